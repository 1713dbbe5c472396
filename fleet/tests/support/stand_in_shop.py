"""A gateway with a shop behind it, as far as the demo asks: each order goes the way that its test wants."""

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

Ways = Mapping[str, list[tuple[str, str | None]]]
"""For each payment method and quantity, `card-ok 2`, the statuses that an order has one after the other."""

AS_PROMISED: Ways = {
    "card-ok 2": [("PLACED", None), ("RESERVED", None), ("CONFIRMED", None)],
    "card-ok 1000": [("PLACED", None), ("CANCELLED", "out-of-stock")],
    "card-declined 1": [("PLACED", None), ("RESERVED", None), ("CANCELLED", "payment-failed")],
}


class StandInShop:
    def __init__(self, ways: Ways, *, admin_password: str = "secret") -> None:
        self.ways = ways
        self.admin_password = admin_password
        self.orders: dict[str, list[tuple[str, str | None]]] = {}
        self.keys: list[str] = []

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, Any]:
        match method, path.removeprefix("/api/v1").split("/")[1:]:
            case "POST", ["auth", "register"]:
                return 201, {"id": str(uuid4()), **body}
            case "POST", ["auth", "login"]:
                if body["email"].startswith("admin@") and body["password"] != self.admin_password:
                    return 401, {"detail": "The e-mail or the password is wrong."}
                return 200, {"access_token": body["email"]}
            case "POST", ["inventory", "products"] if token.startswith("admin@"):
                return 201, {"id": str(uuid4()), **body}
            case "POST", ["orders"] if token.startswith("demo-"):
                order_id = str(uuid4())
                self.orders[order_id] = list(self.ways[f"{body['payment_method']} {body['lines'][0]['quantity']}"])
                return 202, self._order(order_id)
            case "GET", ["orders", order_id]:
                if len(self.orders[order_id]) > 1:
                    self.orders[order_id].pop(0)
                return 200, self._order(order_id)
            case "GET", ["orders", _, "timeline"]:
                event = {"time": "2026-01-01T10:00:00.000Z", "type": "order.placed.v1", "source": "/order-service"}
                return 200, {"items": [event]}
        return 404, {"detail": f"{method} {path} is not known to this shop."}

    def _order(self, order_id: str) -> dict[str, Any]:
        status, reason = self.orders[order_id][0]
        return {"id": order_id, "status": status, "status_reason": reason}


@contextmanager
def serving(shop: StandInShop) -> Iterator[str]:
    """Its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            if key := self.headers.get("Idempotency-Key"):
                shop.keys.append(key)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, answer = shop.answer(self.command, self.path, token, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve  # noqa: N815 - the names are http.server's

        def log_message(self, *_: Any) -> None:
            """Say nothing for each request."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
