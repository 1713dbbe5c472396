"""What can go wrong at the sandbox provider, as its client reads it."""

from chassis.problems import NotFound, Problem


class ChargeNotFound(NotFound):
    code = "charge-not-found"
    title = "There is no such charge"


class ChargeVoided(Problem):
    status = 409
    code = "charge-voided"
    title = "The charge was called off before it was made"


class ChargeNotRefundable(Problem):
    status = 409
    code = "charge-not-refundable"
    title = "The charge can't be refunded by that much"


class KeyReused(Problem):
    status = 422
    code = "idempotency-key-reused"
    title = "The key was used for another request"


class ProviderDown(Problem):
    status = 503
    code = "provider-down"
    title = "The provider is down"
