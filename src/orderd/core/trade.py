"""What a trade is: a signal, the orders that act on it, and how far they have come.

Rule 1: a `Trade` is frozen and holds only what its orders cannot tell: what was asked, and what is about to be sent.
How much is held and covered is derived from its orders (`figures`), so it cannot disagree with them.
Rule 2: what is sent is written down first, as a `Child` with its key: after a crash the key says whether it was sent.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orderd.core.adjustments import Split
from orderd.core.order import Order, OrderRole, OrderState, OrderType, Side, TimeInForce
from orderd.core.sizing import Sizing
from orderd.core.values import ZERO, AccountId, ClientOrderId, OrderId, Reason, Value, add, divide, multiply, subtract


class TradeState(StrEnum):
    """The states of `oms.v1.TradeState`."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"
    NEVER_OPENED = "NEVER_OPENED"


OVER = frozenset({TradeState.CLOSED, TradeState.NEVER_OPENED})


class Protection(StrEnum):
    """The states of `oms.v1.Protection`."""

    NONE = "NONE"
    ARMING = "ARMING"
    PROTECTED = "PROTECTED"
    UNPROTECTED = "UNPROTECTED"
    DISARMED = "DISARMED"


class OnPartial(StrEnum):
    """What becomes of the rest of an entry that has filled in part, where the broker refuses opposite orders."""

    CANCEL_REST = "CANCEL_REST"
    WAIT = "WAIT"


class OnEntryEnd(StrEnum):
    """What becomes of what is held when the entry has ended partly filled, and not by our own cancel of its rest."""

    CLOSE = "CLOSE"
    KEEP = "KEEP"


class ExitReason(StrEnum):
    """Why something was closed."""

    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    REQUESTED = "REQUESTED"
    STOP_FALLBACK = "STOP_FALLBACK"
    ENTRY_ENDED = "ENTRY_ENDED"
    FLATTEN = "FLATTEN"
    EXTERNAL = "EXTERNAL"
    EXPIRY = "EXPIRY"


INSISTENT = frozenset({ExitReason.STOP_FALLBACK, ExitReason.ENTRY_ENDED, ExitReason.FLATTEN})
"""Exits that nobody waits for: one that fails is tried again, because no stop can stand in its place."""


class Signal(Value, frozen=True, kw_only=True):
    """What a strategy saw. Prices per unit, in the quote currency."""

    symbol: str
    side: Side
    entry_price: Decimal
    stop_loss_price: Decimal
    type: OrderType
    time_in_force: TimeInForce = TimeInForce.DAY
    strategy: str = ""
    signal_time: datetime | None = None
    max_candles: int = 0
    extended_hours: bool = False


class Child(Value, frozen=True, kw_only=True):
    """An order that the trade is about to send, or has sent."""

    role: OrderRole
    number: int
    """1, 2, 3 … within the role."""
    client_order_id: ClientOrderId
    quantity: Decimal
    price: Decimal | None = None
    """Stop price of a stop, limit price of an exit outside the session."""
    order_id: OrderId | None = None
    """None until its order is known to be written."""


class Closing(Value, frozen=True, kw_only=True):
    """What is being closed, until it is done or given up."""

    target: Decimal
    """The open quantity to come down to: 0 closes all."""
    reason: ExitReason
    text: str = ""
    request_id: str = ""
    decision_id: str = ""
    """The decision to close it; its exits carry it."""
    asked_time: datetime
    first_exit: int
    """Exits from this number on belong to it."""
    is_late: bool = False
    """The alarm has been raised: its stop's end is not proven in time."""


class Asked(Value, frozen=True, kw_only=True):
    """A request that was taken, by its key: a repeat is answered and not done again."""

    request_id: str
    content: str


class Trade(Value, frozen=True, kw_only=True):
    """A trade as of its last record."""

    trade_id: str
    client_trade_id: str
    account_id: AccountId
    signal: Signal
    quantity: Decimal
    """Of the entry; 0 when it was sized to nothing."""
    stop_price: Decimal
    """Where the stop is to be now."""
    created_time: datetime
    updated_time: datetime
    decision_id: str = ""
    trace_id: str = ""
    on_partial: OnPartial = OnPartial.CANCEL_REST
    on_entry_end: OnEntryEnd = OnEntryEnd.CLOSE
    accept_unprotected: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    enter_by: datetime | None = None
    """When the entry may not be sent any more, because its decision is over then; None: as long as any order."""
    multiplier: Decimal | None = Decimal(1)
    sizing: Sizing | None = None
    """How it was sized; None when the quantity was given."""
    state: TradeState = TradeState.PENDING
    protection: Protection = Protection.NONE
    reason: Reason | None = None
    children: tuple[Child, ...] = ()
    closing: Closing | None = None
    canceled_by_us: tuple[OrderId, ...] = ()
    """Orders whose cancel the trade itself has asked for, or is about to."""
    is_disarmed: bool = False
    rearms: int = 0
    """How often an ended stop was placed again in the session `rearm_day`."""
    rearm_day: str = ""
    handled_stops: tuple[OrderId, ...] = ()
    """Ended stops whose end has been judged."""
    is_entry_end_judged: bool = False
    asked: tuple[Asked, ...] = ()
    candles: int = 0
    candle_time: datetime | None = None
    exit_reason: ExitReason | None = None
    closed_outside: Decimal = ZERO
    """What the broker does not hold any more although no order of the trade has closed it."""
    splits: tuple[Split, ...] = ()
    """Of its instrument, oldest first: what executed before one counts in the new units."""
    ended: Decimal = ZERO
    """What its option's end has closed, at 0."""
    stop_time: datetime | None = None
    """When its stop's price was last said; None: with the trade."""
    open_quantity: Decimal = ZERO
    """As the last record told it, like the four below."""
    protected_quantity: Decimal = ZERO
    average_entry_price: Decimal | None = None
    average_exit_price: Decimal | None = None
    realized_pnl: Decimal | None = None
    unprotected_since: datetime | None = None
    unprotected_us: int = 0
    """Microseconds without full cover in spells that are over."""
    opened_time: datetime | None = None
    closed_time: datetime | None = None
    version: int = 0
    sequence: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more is done for it, unless executions are taken back."""
        return self.state in OVER

    @property
    def is_being_closed(self) -> bool:
        """Whether a closing has not come to its end."""
        return self.closing is not None or self.state is TradeState.CLOSING

    @property
    def exit_side(self) -> Side:
        """The side of its stops and exits."""
        return Side.SELL if self.signal.side is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """1 for a long trade, -1 for a short one."""
        return 1 if self.signal.side is Side.BUY else -1

    def of(self, role: OrderRole) -> tuple[Child, ...]:
        """Its children of a role, oldest first."""
        return tuple([child for child in self.children if child.role is role])

    def next_number(self, role: OrderRole) -> int:
        """The number of its next child of a role."""
        return len(self.of(role)) + 1


class TradeOrders(Value, frozen=True, kw_only=True):
    """The orders of a trade as of their last commits, each kind oldest first."""

    entry: Order | None = None
    stops: tuple[Order, ...] = ()
    exits: tuple[Order, ...] = ()

    @property
    def closers(self) -> tuple[Order, ...]:
        """Everything that makes the position smaller."""
        return (*self.stops, *self.exits)

    @property
    def all(self) -> tuple[Order, ...]:
        """All of them, the entry first."""
        return self.closers if self.entry is None else (self.entry, *self.closers)


class Figures(Value, frozen=True, kw_only=True):
    """What a trade's orders add up to. Quantities in units of the instrument."""

    entered: Decimal
    entered_value: Decimal
    closed: Decimal
    closed_value: Decimal
    stop_leaves: Decimal
    """What live stops have still to execute, working or not."""
    working_leaves: Decimal
    """What stops have still to execute that work at the broker and are not being cancelled."""
    exit_leaves: Decimal
    """What live exits have still to execute."""
    outside: Decimal = ZERO
    """What went away without an order of the trade."""

    @property
    def open(self) -> Decimal:
        """What is held; below zero when more was closed than opened."""
        return subtract(subtract(self.entered, self.closed), self.outside)

    @property
    def average_entry(self) -> Decimal | None:
        """Average price of what was entered."""
        return divide(self.entered_value, self.entered) if self.entered else None

    @property
    def average_exit(self) -> Decimal | None:
        """Average price of what was closed."""
        return divide(self.closed_value, self.closed) if self.closed else None


WORKING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


def figures(trade: Trade, orders: TradeOrders) -> Figures:
    """Add up a trade's orders, and what went away without them."""
    entry = orders.entry
    closed = _sum(filled(trade, order) for order in orders.closers)
    live_stops = [order for order in orders.stops if order.is_open]
    return Figures(
        entered=ZERO if entry is None else filled(trade, entry),
        entered_value=ZERO if entry is None else entry.filled_value,
        closed=add(closed, trade.ended),
        closed_value=_sum(order.filled_value for order in orders.closers),
        stop_leaves=_leaves(live_stops),
        working_leaves=_leaves(order for order in live_stops if order.state in WORKING and not order.pending_cancel),
        exit_leaves=_leaves(order for order in orders.exits if order.is_open),
        outside=trade.closed_outside,
    )


def filled(trade: Trade, order: Order) -> Decimal:
    """What has executed of an order, in the units of now: rounded once a split, half-even at 18 places."""
    if not trade.splits:
        return order.filled_quantity
    total, left = ZERO, [fill for fill in order.fills if fill.is_counted]
    for split in trade.splits:
        before = [fill for fill in left if fill.executed_time < split.at]
        left = [fill for fill in left if fill not in before]
        total = divide(multiply(add(total, _sum(fill.quantity for fill in before)), split.new), split.old)
    return add(total, _sum(fill.quantity for fill in left))


def is_of_before(trade: Trade, order: Order) -> bool:
    """Whether an order was made before the last split: its quantity and prices are in units that are no more."""
    return bool(trade.splits) and order.created_time < trade.splits[-1].at


def is_mixed(trade: Trade, order: Order) -> bool:
    """Whether a part of an order executed before a split: nobody can say what its whole quantity would be now."""
    return is_of_before(trade, order) and any(
        fill.is_counted and fill.executed_time < trade.splits[-1].at for fill in order.fills
    )


def _leaves(orders: Iterable[Order]) -> Decimal:
    """Stops and exits are ordered by quantity, so their leaves are known."""
    return _sum(order.leaves_quantity or ZERO for order in orders)


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = add(total, value)
    return total
