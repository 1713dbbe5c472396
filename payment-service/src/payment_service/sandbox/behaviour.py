"""What each payment method does. A payment method that is not known here is declined."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a charge goes. Without a failure reason it succeeds."""

    failure_reason: str | None = None
    is_slow: bool = False  # answers "pending" first, and the outcome by webhook
    is_down: bool = False  # answers 503 to the first calls
    loses_answer: bool = False  # charges, then drops the connection; the webhook tells later


BEHAVIOURS = {
    "card-ok": Behaviour(),
    "paypal-ok": Behaviour(),
    "cash": Behaviour(),
    "card-declined": Behaviour("declined"),
    "card-insufficient-funds": Behaviour("insufficient-funds"),
    "card-expired": Behaviour("expired-card"),
    "provider-slow": Behaviour(is_slow=True),
    "provider-down": Behaviour(is_down=True),
    "provider-lost": Behaviour(loses_answer=True),
}


def behaviour_of(payment_method: str) -> Behaviour:
    return BEHAVIOURS.get(payment_method, Behaviour("declined"))
