"""The words of an order at this venue: what can be asked, what is kept, and what happened to it.

All values are frozen: an event carries the order as it was at that moment, however late the event is sent.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from orderd.venue.money import ZERO


class Side(StrEnum):
    """Which way the order trades."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How the order is priced."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    """How long the order lives."""

    DAY = "day"
    GTC = "gtc"
    OPG = "opg"
    CLS = "cls"
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    """Whether other orders hang on this one."""

    SIMPLE = "simple"
    BRACKET = "bracket"
    OCO = "oco"
    OTO = "oto"
    MLEG = "mleg"


class AssetClass(StrEnum):
    """What is traded; the value is Alpaca's word."""

    EQUITY = "us_equity"
    OPTION = "us_option"
    CRYPTO = "crypto"


class PositionIntent(StrEnum):
    """Whether the order opens or closes a position."""

    BUY_TO_OPEN = "buy_to_open"
    BUY_TO_CLOSE = "buy_to_close"
    SELL_TO_OPEN = "sell_to_open"
    SELL_TO_CLOSE = "sell_to_close"


class Status(StrEnum):
    """Alpaca's order statuses (reference, section 7)."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    ACCEPTED_FOR_BIDDING = "accepted_for_bidding"
    NEW = "new"
    HELD = "held"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    DONE_FOR_DAY = "done_for_day"
    CALCULATED = "calculated"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


class EventKind(StrEnum):
    """What the venue tells about an order (reference, section 8)."""

    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIAL_FILL = "partial_fill"
    FILL = "fill"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    EXPIRED = "expired"
    DONE_FOR_DAY = "done_for_day"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    CALCULATED = "calculated"
    REJECTED = "rejected"
    HELD = "held"
    PENDING_REPLACE = "pending_replace"
    REPLACED = "replaced"
    ORDER_REPLACE_REJECTED = "order_replace_rejected"
    ORDER_CANCEL_REJECTED = "order_cancel_rejected"
    RESTATED = "restated"
    TRADE_BUST = "trade_bust"
    TRADE_CORRECT = "trade_correct"


TERMINAL: Final = frozenset(
    {Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REJECTED, Status.REPLACED},
)
# A fill may still reach an order whose cancel or replace is on its way: that is the race to be tested.
WORKING: Final = frozenset(
    {Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.PENDING_REPLACE},
)
# Orders of these classes are exempt from the wash-trade rule and cancel as a group.
COMPLEX: Final = frozenset({OrderClass.BRACKET, OrderClass.OCO, OrderClass.OTO})


class NewLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a multi-leg request."""

    symbol: str
    ratio: Decimal
    side: Side
    position_intent: PositionIntent | None = None


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A request to trade. Exactly one of quantity and notional is set; a multi-leg one has no symbol or side."""

    type: OrderType
    time_in_force: TimeInForce
    symbol: str = ""
    side: Side | None = None
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    client_order_id: str = ""
    order_class: OrderClass = OrderClass.SIMPLE
    take_profit_limit: Decimal | None = None
    stop_loss_stop: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    legs: tuple[NewLeg, ...] = ()
    position_intent: PositionIntent | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a replace asks for; None keeps what the order has."""

    quantity: Decimal | None = None
    time_in_force: TimeInForce | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    client_order_id: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the venue has it. Prices in dollars a unit; quantities in shares, coins or contracts."""

    order_id: str
    account_id: str
    sequence: int
    client_order_id: str
    created_at: datetime
    submitted_at: datetime
    updated_at: datetime
    status: Status
    time_in_force: TimeInForce
    type: OrderType | None
    """None on the legs of a multi-leg order."""
    symbol: str = ""
    asset_id: str = ""
    asset_class: AssetClass | None = None
    side: Side | None = None
    position_intent: PositionIntent | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    high_water_mark: Decimal | None = None
    extended_hours: bool = False
    expires_at: datetime | None = None
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    """Sum of price x quantity of the executions: the average is exact until it is shown."""
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    parent_id: str = ""
    leg_ids: tuple[str, ...] = ()
    ratio: Decimal | None = None
    fixed_quantity: Decimal | None = None
    """What a notional order turned out to buy, settled at its first fill."""
    base_quantity: Decimal = ZERO
    """Filled by predecessors but not counted in filled_quantity (setting `carries_fills` off)."""
    is_triggered: bool = False
    is_armed: bool = False
    """A held exit leg whose stop is already being watched."""
    cap_price: Decimal | None = None
    """The limit a triggered buy stop may not pay more than."""
    reserve_price: Decimal = ZERO
    """Buying power held for each unit still open; 0 for closing orders."""

    @property
    def target(self) -> Decimal | None:
        """The quantity this order works for; None for a notional order that met no price yet."""
        return self.quantity if self.quantity is not None else self.fixed_quantity

    @property
    def leaves(self) -> Decimal:
        """What is still to be traded (0 when unknown or when an overfill went past the quantity)."""
        target = self.target
        if target is None:
            return ZERO
        return max(target - self.base_quantity - self.filled_quantity, ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Average price of the executions; None before the first."""
        return self.filled_value / self.filled_quantity if self.filled_quantity else None

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen to it."""
        return self.status not in TERMINAL

    @property
    def is_closing(self) -> bool:
        """Whether it gives back an open position."""
        return self.position_intent in CLOSING


CLOSING: Final = frozenset({PositionIntent.BUY_TO_CLOSE, PositionIntent.SELL_TO_CLOSE})


class ExecutionState(StrEnum):
    """What became of an execution."""

    LIVE = "live"
    BUSTED = "busted"
    CORRECTED = "corrected"


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One trade. Quantity is positive; the side says which way."""

    execution_id: str
    account_id: str
    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    multiplier: Decimal
    at: datetime
    cumulative: Decimal
    leaves: Decimal
    order_status: Status
    state: ExecutionState = ExecutionState.LIVE
    previous_execution_id: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One message about one order, with the order after it."""

    event_id: str
    kind: EventKind
    account_id: str
    at: datetime
    order: Order
    legs: tuple[Order, ...] = ()
    execution_id: str = ""
    execution: Execution | None = None
    leg_executions: tuple[Execution, ...] = ()
    quantity: Decimal | None = None
    """What this event traded; of a multi-leg order: strategies."""
    price: Decimal | None = None
    """At which price; of a multi-leg order: the net of the legs."""
    position_quantity: Decimal | None = None
    position_quantities: tuple[tuple[str, Decimal], ...] = ()
    previous_execution_id: str = ""


class Reason(StrEnum):
    """Why the venue refused a request. The face words it."""

    CLIENT_ORDER_ID_TAKEN = "client_order_id_taken"
    CLIENT_ORDER_ID_TOO_LONG = "client_order_id_too_long"
    UNKNOWN_ASSET = "unknown_asset"
    NOT_TRADABLE = "not_tradable"
    NOT_FRACTIONABLE = "not_fractionable"
    NOT_SHORTABLE = "not_shortable"
    FRACTIONAL_SHORT = "fractional_short"
    SHORTING_OFF = "shorting_off"
    ACCOUNT_BLOCKED = "account_blocked"
    INVALID = "invalid"
    SUB_PENNY = "sub_penny"
    STOP_PRICE = "stop_price"
    WASH_TRADE = "wash_trade"
    OPPOSITE_OPEN = "opposite_open"
    INSUFFICIENT_QUANTITY = "insufficient_quantity"
    INSUFFICIENT_BUYING_POWER = "insufficient_buying_power"
    COVERED_CALL = "covered_call"
    MINIMUM_COST = "minimum_cost"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_POSITION = "unknown_position"
    NOT_CANCELABLE = "not_cancelable"
    NOT_SENT_YET = "not_sent_yet"
    NOT_OPEN = "not_open"
    BELOW_FILLED = "below_filled"
    UNCHANGED = "unchanged"


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A request the venue did not take; nothing changed."""

    reason: Reason
    message: str = ""
    details: dict[str, str] = {}
    related: tuple[str, ...] = ()
