"""What can go wrong with products and stock, as the client reads it."""

from chassis.problems import NotFound, Problem


class ProductNotFound(NotFound):
    code = "product-not-found"
    title = "There is no such product"


class ReservationNotFound(NotFound):
    code = "reservation-not-found"
    title = "There is no such reservation"


class SkuTaken(Problem):
    status = 409
    code = "sku-taken"
    title = "Another product has this SKU"


class ProductInOrders(Problem):
    status = 409
    code = "product-in-orders"
    title = "Orders that are not shipped yet hold some of this product"


class NotEnoughStock(Problem):
    status = 409
    code = "not-enough-stock"
    title = "So much stock can't be taken away"
