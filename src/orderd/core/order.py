"""What an order is: the terms asked for, the terms in force, and what is known of its life.

Rule 1: an `Order` is frozen. Only `lifecycle.evolve` makes the next one.
Rule 2: what was asked (`OrderIntent`) never changes; what is in force (`terms`) changes only on the broker's proof.
Rule 3: totals are derived from live fills, so they cannot disagree with them.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orderd.core.values import (
    ZERO,
    AccountId,
    BrokerOrderId,
    ClientOrderId,
    ExecutionId,
    FillId,
    OrderId,
    Reason,
    Value,
    divide,
    subtract,
)


class OrderState(StrEnum):
    """The states of lifecycle.md; names are those of `oms.v1.OrderStatus` without its prefix."""

    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    SUBMIT_FAILED = "SUBMIT_FAILED"
    REPLACED = "REPLACED"


ENDED = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.DENIED,
        OrderState.SUBMIT_FAILED,
        OrderState.REPLACED,
    }
)
OPEN = frozenset(OrderState) - ENDED


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


class TimeInForce(StrEnum):
    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    OPG = "OPG"
    CLS = "CLS"


class OrderClass(StrEnum):
    SIMPLE = "SIMPLE"
    BRACKET = "BRACKET"
    OCO = "OCO"
    OTO = "OTO"
    MULTILEG = "MULTILEG"


_PARENTS_OF_LEGS = frozenset({OrderClass.MULTILEG})


class PositionIntent(StrEnum):
    BUY_TO_OPEN = "BUY_TO_OPEN"
    BUY_TO_CLOSE = "BUY_TO_CLOSE"
    SELL_TO_OPEN = "SELL_TO_OPEN"
    SELL_TO_CLOSE = "SELL_TO_CLOSE"


class AssetClass(StrEnum):
    US_EQUITY = "US_EQUITY"
    US_OPTION = "US_OPTION"
    CRYPTO = "CRYPTO"


class OrderRole(StrEnum):
    ENTRY = "ENTRY"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    EXIT = "EXIT"


CLOSING_INTENTS = frozenset({PositionIntent.BUY_TO_CLOSE, PositionIntent.SELL_TO_CLOSE})
CLOSING_ROLES = frozenset({OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT, OrderRole.EXIT})
"""Roles that only this house gives: such an order closes quantity that was counted."""


class Mode(StrEnum):
    PAPER = "PAPER"
    LIVE = "LIVE"


class FillStatus(StrEnum):
    LIVE = "LIVE"
    INFERRED = "INFERRED"
    CORRECTED = "CORRECTED"
    BUSTED = "BUSTED"


COUNTED = frozenset({FillStatus.LIVE, FillStatus.INFERRED})
"""The fills whose quantities make up the order's total."""


class EventSource(StrEnum):
    """Whose word an event is."""

    CLIENT = "CLIENT"
    RISK = "RISK"
    ENGINE = "ENGINE"
    BROKER_REPLY = "BROKER_REPLY"
    BROKER_STREAM = "BROKER_STREAM"
    RECONCILER = "RECONCILER"
    IMPORT = "IMPORT"
    OPERATOR = "OPERATOR"


OURS = frozenset({EventSource.CLIENT, EventSource.ENGINE, EventSource.OPERATOR, EventSource.RISK})
"""Whose ends are a conclusion, not the broker's word: a live report revives them."""


class Terms(Value, frozen=True, kw_only=True):
    """The terms a replace may change. Prices in the quote currency per unit, quantities in units of the asset."""

    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False


class StopLoss(Value, frozen=True, kw_only=True):
    """The protective leg of a bracket, OCO or OTO: a stop, or a stop-limit when `limit_price` is given."""

    stop_price: Decimal
    limit_price: Decimal | None = None


class LegIntent(Value, frozen=True, kw_only=True):
    """One leg of a MULTILEG order; `ratio` contracts per unit of the parent's quantity."""

    symbol: str
    ratio: Decimal
    side: Side
    position_intent: PositionIntent | None = None


class OrderIntent(Value, frozen=True, kw_only=True):
    """What the caller asked for, validated but not yet judged by risk. Never changes.

    `symbol` and `side` are empty/None for a MULTILEG parent, whose legs carry them.
    """

    account_id: AccountId
    client_order_id: ClientOrderId
    symbol: str
    side: Side | None
    terms: Terms
    order_class: OrderClass = OrderClass.SIMPLE
    position_intent: PositionIntent | None = None
    take_profit: Decimal | None = None
    stop_loss: StopLoss | None = None
    legs: tuple[LegIntent, ...] = ()
    trace_id: str = ""
    decision_id: str = ""
    trade_id: str = ""
    decided_time: datetime | None = None
    valid_until_time: datetime | None = None
    reference_price: Decimal | None = None
    strategy: str = ""
    role: OrderRole | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """Sorted by key."""

    @property
    def is_exit(self) -> bool:
        """Whether it is meant to close: by its role, or by what the caller says of the position."""
        return self.role in CLOSING_ROLES or self.position_intent in CLOSING_INTENTS


class Fill(Value, frozen=True, kw_only=True):
    """One execution. It covers the interval (cum_after - quantity, cum_after] of its broker order in its bust epoch.

    `aliases` are all execution and activity ids ever seen for it, the first one is its `execution_id`.
    `is_restated`: it is what a correction made of another fill, which stays and keeps the interval.
    `sequence` of the event that booked it lives in the table, not here.
    """

    fill_id: FillId
    broker_order_id: BrokerOrderId
    cum_after: Decimal
    quantity: Decimal
    price: Decimal
    status: FillStatus
    source: EventSource
    occurred_time: datetime | None
    recorded_time: datetime
    is_restated: bool = False
    aliases: tuple[ExecutionId, ...] = ()
    liquidity: str = ""
    fee: Decimal | None = None

    @property
    def execution_id(self) -> str:
        """The broker's id for this execution, empty for an inferred fill."""
        return self.aliases[0] if self.aliases else ""

    @property
    def executed_time(self) -> datetime:
        """When it was executed; one whose time nobody told counts as executed when it was recorded."""
        return self.occurred_time or self.recorded_time

    @property
    def cum_before(self) -> Decimal:
        """The broker order's cumulative quantity before it."""
        return subtract(self.cum_after, self.quantity)

    @property
    def is_counted(self) -> bool:
        """Whether it is part of the order's filled quantity."""
        return self.status in COUNTED


class Phase(StrEnum):
    """What a broker's status word says about the order's place: the right column of a mapping table."""

    QUEUED = "QUEUED"
    WORKING = "WORKING"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    REPLACED = "REPLACED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    UNKNOWN = "UNKNOWN"
    """A word this adapter does not know: the state stays, the word is kept, the order is read again."""


class BrokerLink(Value, frozen=True, kw_only=True):
    """One broker order of the replace chain, and the last thing the broker said of it.

    `reported_quantity` is the broker's cumulative figure (durable baseline of inferred fills). `bust_times` are the
    broker's times, rising, at which it undid or resized an execution: it counts anew from each of them, so they part
    its executions into epochs.
    """

    broker_order_id: BrokerOrderId
    client_order_id: str = ""
    status: str = ""
    phase: Phase = Phase.UNKNOWN
    updated_ns: int = 0
    reported_quantity: Decimal = ZERO
    reported_average: Decimal | None = None
    bust_times: tuple[datetime, ...] = ()

    def epoch_of(self, moment: datetime) -> int:
        """The bust epoch that something executed at this moment was counted in."""
        return sum(moment > bust_time for bust_time in self.bust_times) if self.bust_times else 0


class PendingReplace(Value, frozen=True, kw_only=True):
    """A replace that was asked for and is not proven yet."""

    request_id: str
    number: int
    client_order_id: ClientOrderId
    terms: Terms
    asked_time: datetime


class ReplaceAnswered(Value, frozen=True, kw_only=True):
    """A replace request that was recorded, by its key."""

    request_id: str
    terms: Terms


class PendingBust(Value, frozen=True, kw_only=True):
    """A bust or correction that arrived before the fill it names; applied when the fill comes.

    `broker_time` is when the broker says it did it (our clock's word when it does not say).
    """

    previous_execution_id: ExecutionId
    broker_time: datetime
    execution_id: str = ""
    quantity: Decimal | None = None
    """None for a bust; the corrected quantity otherwise."""
    price: Decimal | None = None


class Order(Value, frozen=True, kw_only=True):
    """An order as of its last committed event."""

    order_id: OrderId
    intent: OrderIntent
    terms: Terms
    state: OrderState
    broker: str
    mode: Mode
    asset_class: AssetClass
    created_time: datetime
    updated_time: datetime
    version: int = 0
    sequence: int = 0
    """Journal sequence of its last event; 0 until committed."""
    reason: Reason | None = None
    closed_by: EventSource | None = None
    """Whose word ended it; decides whether a late live report revives it."""
    links: tuple[BrokerLink, ...] = ()
    broker_status: str = ""
    fills: tuple[Fill, ...] = ()
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    """Exact sum of quantity * price over counted fills."""
    is_overfilled: bool = False
    is_busted: bool = False
    """Executions were taken back: it may be FILLED short until it is read again."""
    pending_cancel: bool = False
    cancel_asked_by: EventSource | None = None
    """Who asked for the cancel that is pending, or was when the order ended."""
    pending_replace: PendingReplace | None = None
    replace_requests: tuple[ReplaceAnswered, ...] = ()
    """Every replace ever asked for, oldest first: a repeated request id is answered, not sent again."""
    pending_busts: tuple[PendingBust, ...] = ()
    attempts: int = 0
    """How often it was handed to the broker."""
    heard_ns: int = 0
    """Monotonic arrival of the last applied broker word in this process; 0 after a restart."""
    submitted_time: datetime | None = None
    accepted_time: datetime | None = None
    closed_time: datetime | None = None
    expires_time: datetime | None = None
    is_external: bool = False
    broker_client_reference: str = ""
    is_taken_up: bool = False
    """Ours, but its record was lost with a journal that was restored: known only as its broker describes it."""
    parent_order_id: OrderId | None = None
    leg_number: int = 0
    leg_order_ids: tuple[OrderId, ...] = ()
    underlying: str = ""
    multiplier: Decimal = Decimal(1)

    @property
    def is_open(self) -> bool:
        """Whether it may still change without anybody having been wrong."""
        return self.state in OPEN

    @property
    def broker_order_id(self) -> BrokerOrderId | None:
        """The working id of the chain, None before the broker has answered."""
        return self.links[-1].broker_order_id if self.links else None

    @property
    def leaves_quantity(self) -> Decimal | None:
        """Quantity still to come: None for notional orders while open, 0 once ended."""
        if not self.is_open:
            return ZERO
        if self.terms.quantity is None:
            return None
        return max(subtract(self.terms.quantity, self.filled_quantity), ZERO)

    @property
    def average_fill_price(self) -> Decimal | None:
        """Average price of the counted fills, half-even at 18 places."""
        return divide(self.filled_value, self.filled_quantity) if self.filled_quantity else None

    @property
    def is_short(self) -> bool:
        """Whether less was executed than asked for; by notional only the broker knows, unless it is nothing."""
        wanted = self.terms.quantity
        return not self.filled_quantity if wanted is None else self.filled_quantity < wanted

    @property
    def is_undone(self) -> bool:
        """FILLED once, and executions were taken back since: what the broker says next decides."""
        if not self.is_busted or self.state is not OrderState.FILLED:
            return False
        return self.terms.quantity is None or self.is_short

    @property
    def is_parent_of_legs(self) -> bool:
        """A MULTILEG parent: its legs carry the fills, its own totals are the broker's word."""
        return self.intent.order_class in _PARENTS_OF_LEGS and self.parent_order_id is None

    def link(self, broker_order_id: str) -> BrokerLink | None:
        """The link of the chain with this broker id."""
        for link in self.links:
            if link.broker_order_id == broker_order_id:
                return link
        return None
