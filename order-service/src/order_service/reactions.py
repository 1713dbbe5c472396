"""What order-service does when it hears of an order's stock and payment. The choreography, on a page."""

from .domain import CancelReason
from .events import PaymentCompleted, PaymentFailed, StockRejected, StockReleased, StockReserved
from .service import OrderService


async def on_stock_reserved(event: StockReserved, orders: OrderService) -> None:
    unit_prices = {line.product_id: line.unit_price for line in event.lines}
    await orders.reserve_order(event.order_id, unit_prices, event.total)


async def on_stock_rejected(event: StockRejected, orders: OrderService) -> None:
    await orders.fail_order(event.order_id, event.reason, "inventory-service")


async def on_stock_released(event: StockReleased, orders: OrderService) -> None:
    # Released for any other reason, it is an answer to what this service or payment-service has said.
    if event.reason == "expired":
        await orders.lose_stock(event.order_id, "inventory-service")


async def on_payment_completed(event: PaymentCompleted, orders: OrderService) -> None:
    await orders.confirm_order(event.order_id, event.amount)


async def on_payment_failed(event: PaymentFailed, orders: OrderService) -> None:
    await orders.fail_order(event.order_id, CancelReason.PAYMENT_FAILED, "payment-service")


REACTIONS = (on_stock_reserved, on_stock_rejected, on_stock_released, on_payment_completed, on_payment_failed)
