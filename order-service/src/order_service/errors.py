"""What can go wrong with orders, as the client reads it."""

from chassis.problems import NotFound, Problem


class OrderNotFound(NotFound):
    code = "order-not-found"
    title = "There is no such order"


class OrderNotCancellable(Problem):
    status = 409
    code = "order-not-cancellable"
    title = "The order can no longer be cancelled"


class OrderNotShippable(Problem):
    status = 409
    code = "order-not-shippable"
    title = "The order can't be shipped"


class OrderNotDeliverable(Problem):
    status = 409
    code = "order-not-deliverable"
    title = "The order can't be delivered"
