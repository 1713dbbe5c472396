"""Whether services answer through the gateway: only then does the first request after the start work."""

import http.client
import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any

_TIMEOUT_SECONDS = 2.0


class ThroughTheGateway:
    """Asks each service for what only the admin may see: it has to be found, and to know the keys of tokens."""

    def __init__(self, port: int, services: Iterable[str], email: str, password: str) -> None:
        self._port = port
        self._unreached = list(services)
        self._login = {"email": email, "password": password}
        self._token = ""

    def reaches_all(self) -> bool:
        """Asks only those which have not answered before."""
        try:
            if not self._token:
                status, answer = self._ask("POST", "/api/v1/auth/login", self._login)
                if status != 200:
                    return False
                self._token = answer["access_token"]
            while self._unreached:
                if self._ask("GET", f"/{self._unreached[0]}/actuator/env")[0] != 200:
                    return False
                self._unreached.pop(0)
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return False
        return True

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)) as connection:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if answer.status == 200 else {}
