"""The words between a trade and whoever acts for it: what the world is like, and what is to be done."""

from decimal import Decimal
from enum import StrEnum

from orderd.core.order import Order
from orderd.core.trade import ExitReason
from orderd.core.values import ZERO, OrderId, Value


class Refused(StrEnum):
    """Why a broker does not take a stop, sorted by its adapter."""

    FOR_NOW = "FOR_NOW"
    """Quantity not free yet, too many requests, not routed yet: again in a moment."""
    THROUGH_MARKET = "THROUGH_MARKET"
    """The market is beyond the stop's price."""
    PRICE_INCREMENT = "PRICE_INCREMENT"
    """The price is between two ticks."""
    FOR_GOOD = "FOR_GOOD"


class World(Value, frozen=True, kw_only=True):
    """What a step depends on besides the trade and its orders. Quantities signed, seconds by a monotonic clock."""

    ages: tuple[tuple[OrderId, Decimal], ...] = ()
    """Seconds since each of the trade's orders, and those in its way, has been as it is; since this process saw it, at
    least.
    """
    held: Decimal | None = None
    """The broker's position, read after everything that is on record happened. None: not read."""
    closing_elsewhere: Decimal = ZERO
    """What other closing orders of this account have still to execute in the symbol, on the exit's side."""
    opposite_elsewhere: tuple[OrderId, ...] = ()
    """Own live orders of other trades on the entry's side of the symbol whose end nobody has asked for yet."""
    is_opposite_ending: bool = False
    """Such an order has been asked to end, and has not yet."""
    refuses_opposite: bool = True
    can_replace_quantity: bool = True
    can_replace_splits: bool = True
    """The same where a quantity is, or becomes, no whole number of units."""
    takes_exits: bool = True
    """The session is open, or the broker takes an exit outside it."""
    opens_in_s: Decimal | None = None
    """Until the session opens. None: it is open, or nobody knows."""
    is_frozen: bool = False
    """Halted, stops and exits included."""
    refused: tuple[tuple[OrderId, Refused], ...] = ()
    """Why stops were refused that the broker, or the gate, did not take."""
    unchangeable: tuple[OrderId, ...] = ()
    """Stops that the broker, or the gate, would not change."""
    through_s: Decimal | None = None
    """For how long the market has been beyond the stop's price. None: it is not, or nobody knows."""
    is_split_suspected: bool = False
    """The broker holds something else than the fills say, as after a split that it has not told of."""
    session: str = ""
    """The day of the session, YYYY-MM-DD."""

    def age_s(self, order: Order) -> Decimal:
        """Return how long the order has been as it is."""
        return dict(self.ages).get(order.order_id, ZERO)


class Wait(Value, frozen=True, kw_only=True, tag=True):
    """Nothing, until an order of the trade changes or the time is up. None: no time."""

    seconds: Decimal | None = None
    alarm: str = ""
    """What an operator must hear of."""


class ReadPosition(Value, frozen=True, kw_only=True, tag=True):
    """Ask the broker what is held, and come back."""


class ReadOrder(Value, frozen=True, kw_only=True, tag=True):
    """Ask the broker for an order by its id, and come back in a second."""

    order_id: OrderId
    is_late: bool = False
    """Its proof is overdue: raise the alarm, once."""


class CancelChild(Value, frozen=True, kw_only=True, tag=True):
    """Ask for the cancel of an order of the trade, or of one that stands in its way."""

    order_id: OrderId


class SendStop(Value, frozen=True, kw_only=True, tag=True):
    """Place a stop."""

    quantity: Decimal
    is_rearm: bool = False
    rounds_price: bool = False
    """The price was between two ticks: round it toward the market first."""


class ReplaceStop(Value, frozen=True, kw_only=True, tag=True):
    """Change a stop in place: `quantity` is the total of its order, what has executed included."""

    order_id: OrderId
    quantity: Decimal
    price: Decimal


class SendExit(Value, frozen=True, kw_only=True, tag=True):
    """Close a quantity now."""

    quantity: Decimal


class BeginClosing(Value, frozen=True, kw_only=True, tag=True):
    """Close what is held, by the trade's own rules."""

    reason: ExitReason
    text: str


class EndClosing(Value, frozen=True, kw_only=True, tag=True):
    """The closing is done, or given up: what is left is protected again."""

    failed: str = ""


class Disarm(Value, frozen=True, kw_only=True, tag=True):
    """Somebody has cancelled the stop, or it has ended too often."""

    stop_id: OrderId
    text: str


class Judged(Value, frozen=True, kw_only=True, tag=True):
    """The end of the entry has been looked at, and what is held is kept."""


class NeverSent(Value, frozen=True, kw_only=True, tag=True):
    """It is closed before its entry was written."""


class CloseExternally(Value, frozen=True, kw_only=True, tag=True):
    """The broker holds nothing of it any more, and no order of ours has closed it."""

    held: Decimal


Step = (
    Wait
    | ReadPosition
    | ReadOrder
    | CancelChild
    | SendStop
    | ReplaceStop
    | SendExit
    | BeginClosing
    | EndClosing
    | Disarm
    | Judged
    | CloseExternally
    | NeverSent
)
WAIT = Wait()
