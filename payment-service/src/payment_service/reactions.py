"""What payment-service does when it hears of an order's stock and its end. The choreography, on a page."""

from .events import OrderCancelled, StockReleased, StockReserved
from .service import PaymentService


async def on_stock_reserved(event: StockReserved, payments: PaymentService) -> None:
    await payments.request_payment(
        order_id=event.order_id,
        customer_id=event.customer_id,
        amount=event.total,
        currency=event.currency,
        payment_method=event.payment_method,
    )


async def on_stock_released(event: StockReleased, payments: PaymentService) -> None:
    # Released for any other reason, it is an answer to what this service or order-service has said.
    if event.reason == "expired":
        await payments.cancel_payment(event.order_id, event.reason, "inventory-service")


async def on_order_cancelled(event: OrderCancelled, payments: PaymentService) -> None:
    await payments.cancel_payment(event.order_id, event.reason, event.cancelled_by)


REACTIONS = (on_stock_reserved, on_stock_released, on_order_cancelled)
