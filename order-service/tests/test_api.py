"""Orders over HTTP."""
from chassis.testing.service import ServiceUnderTest
from order_service.settings import Settings
from uuid import uuid4

async def test_smoke(service: ServiceUnderTest[Settings]) -> None:
    headers = service.tokens.customer() | {"Idempotency-Key": "1"}
    product = str(uuid4())
    answer = await service.client.post("/api/v1/orders", json={"currency": "EUR", "payment_method": "card-ok", "lines": [{"product_id": product, "quantity": 2}]}, headers=headers)
    assert answer.status_code == 202, answer.text
    order = answer.json()
    print(order)
    await service.said.wait_for("order.placed.v1", order["id"])
    await service.neighbours.say("inventory.stock-reserved.v1", topic="inventory-events", key=order["id"], data={"order_id": order["id"], "lines": [{"product_id": product, "quantity": 2, "unit_price": 100}], "total": 200})
    await service.neighbours.say("payment.completed.v1", topic="payment-events", key=order["id"], data={"order_id": order["id"], "amount": 200})
    await service.said.wait_for("order.confirmed.v1", order["id"])
    print((await service.client.get(f"/api/v1/orders/{order['id']}/timeline", headers=headers)).text)
