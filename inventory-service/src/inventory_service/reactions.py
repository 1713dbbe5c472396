"""What inventory-service does when it hears of an order and its payment. The choreography, on a page."""

from .domain import ReleaseReason, ReservationLine
from .events import OrderCancelled, OrderPlaced, OrderShipped, PaymentCompleted, PaymentFailed
from .service import InventoryService


async def on_order_placed(event: OrderPlaced, inventory: InventoryService) -> None:
    await inventory.reserve_stock(
        order_id=event.order_id,
        customer_id=event.customer_id,
        currency=event.currency,
        payment_method=event.payment_method,
        lines=[ReservationLine(line.product_id, line.quantity) for line in event.lines],
        deadline=event.deadline,
    )


async def on_payment_completed(event: PaymentCompleted, inventory: InventoryService) -> None:
    await inventory.commit_stock(event.order_id)


async def on_payment_failed(event: PaymentFailed, inventory: InventoryService) -> None:
    await inventory.release_stock(event.order_id, ReleaseReason.PAYMENT_FAILED)


async def on_order_cancelled(event: OrderCancelled, inventory: InventoryService) -> None:
    await inventory.release_stock(event.order_id, ReleaseReason.CANCELLED)


async def on_order_shipped(event: OrderShipped, inventory: InventoryService) -> None:
    await inventory.ship_stock(event.order_id)


REACTIONS = (on_order_placed, on_payment_completed, on_payment_failed, on_order_cancelled, on_order_shipped)
