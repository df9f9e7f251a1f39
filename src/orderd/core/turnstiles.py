"""Types as turnstiles: a value of one of these types is proof that a step was taken.

`Approved` is made only in risk/, `Staged` and `Recorded` only in storage/ (a tidy test holds the house to it), and
`Broker.submit` takes `Staged`: sending what was not written is a type error.
"""

from orderd.core.order import Order, OrderIntent
from orderd.core.values import Reason, Value


class Approved(Value, frozen=True, kw_only=True):
    """Risk has judged this intent and let it pass. `is_closing`: because it opens nothing."""

    intent: OrderIntent
    is_closing: bool = False


class Denied(Value, frozen=True, kw_only=True):
    """Risk has judged this intent and said no, by the name of the limit."""

    intent: OrderIntent
    reason: Reason


class Later(Value, frozen=True, kw_only=True):
    """Risk has nothing against the intent but the moment: nothing is recorded, it may be sent again after a while."""

    intent: OrderIntent
    reason: Reason
    retry_after_s: float


class Recorded(Value, frozen=True, kw_only=True):
    """The order as of its last event is durable. `first_sequence..order.sequence` are the events of this commit.

    `replayed` is set when the key was already taken: nothing was written and `order` is the one that stands.
    """

    order: Order
    first_sequence: int
    replayed: bool = False


class Staged(Value, frozen=True, kw_only=True):
    """The order and its SUBMITTED event are durable: it may be sent, once."""

    order: Order
    legs: tuple[Order, ...] = ()
    """The legs of a complex order, in leg order."""
