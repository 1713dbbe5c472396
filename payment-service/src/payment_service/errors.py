"""What can go wrong with payments, as the client reads it."""

from chassis.problems import NotFound, Problem


class PaymentNotFound(NotFound):
    code = "payment-not-found"
    title = "There is no such payment"


class ProviderNotFound(NotFound):
    code = "provider-not-found"
    title = "There is no such payment provider"


class PaymentNotRefundable(Problem):
    status = 409
    code = "payment-not-refundable"
    title = "The payment can't be refunded"


class RefundTooLarge(Problem):
    status = 409
    code = "refund-too-large"
    title = "More would be refunded than was captured"


class WebhookNotTrusted(Problem):
    status = 401
    code = "webhook-not-trusted"
    title = "The signature does not show that this comes from the provider"
