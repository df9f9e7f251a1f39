"""Somewhere orders are executed: what it is asked, what it may answer, what it says by itself."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from orderd.core import trade_steps
from orderd.core.activities import Activity
from orderd.core.assets import WHOLE, Asset, is_whole
from orderd.core.facts import Execution, View
from orderd.core.order import AssetClass, Order, OrderClass, OrderType, Terms, TimeInForce
from orderd.core.turnstiles import Staged
from orderd.core.values import BrokerOrderId, ClientOrderId, Reason, Value
from orderd.risk.limits import OppositeOrders


class Refusal(StrEnum):
    """For how long a broker refuses a second order with the same client id."""

    NONE = "NONE"
    WHILE_OPEN = "WHILE_OPEN"
    FOR_EVER = "FOR_EVER"


class Lookup(StrEnum):
    """How an order is found by its client id."""

    YES = "YES"
    LIST_ONLY = "LIST_ONLY"
    NO = "NO"


class Capabilities(Value, frozen=True, kw_only=True):
    """What a broker can do; the engine's policies follow from it. Seconds and requests per minute."""

    duplicate_refusal: Refusal
    lookup: Lookup
    has_execution_ids: bool
    settle_s: float
    can_replace: bool
    can_replace_quantity: bool
    order_types: frozenset[OrderType]
    times_in_force: frozenset[TimeInForce]
    order_classes: frozenset[OrderClass]
    client_order_id_limit: int
    quantity_places: int
    requests_per_minute: int
    opposite_orders: OppositeOrders
    """What it makes of an order that could meet an own resting one of the other side."""
    split_types: frozenset[OrderType]
    """Types of an order about a part of a unit; none: it trades whole units only."""
    split_times: frozenset[TimeInForce]
    """Times in force of such an order."""
    can_replace_splits: bool
    """Whether a replace may change a quantity from, or to, such a part."""
    takes_extended_hours: bool
    """Whether a limit order may execute outside the regular session."""

    def times_for(self, quantity: Decimal) -> frozenset[TimeInForce]:
        """Times in force of an order about so much."""
        return self.times_in_force if is_whole(quantity, WHOLE) else self.split_times

    def types_for(self, quantity: Decimal) -> frozenset[OrderType]:
        """Types of an order about so much."""
        return self.order_types if is_whole(quantity, WHOLE) else self.split_types


class Acked(Value, frozen=True, kw_only=True):
    """A parsed yes: the broker has the order."""

    view: View
    raw: bytes


class Refused(Value, frozen=True, kw_only=True):
    """A refusal the adapter lists as definite. `is_duplicate_id`: the client id is taken at the broker."""

    code: str
    message: str
    raw: bytes = b""
    is_duplicate_id: bool = False


class NotSent(Value, frozen=True, kw_only=True):
    """Provably never reached the broker."""

    code: str
    message: str


class Unknown(Value, frozen=True, kw_only=True):
    """Anything else: it may be there."""

    code: str
    message: str
    raw: bytes = b""


SubmitOutcome = Acked | Refused | NotSent | Unknown
ReplaceOutcome = Acked | Refused | NotSent | Unknown


class Taken(Value, frozen=True, kw_only=True):
    """The broker took the cancel; the end is still to come."""


CancelOutcome = Taken | Refused | NotSent | Unknown


class Found(Value, frozen=True, kw_only=True):
    """The broker has it."""

    view: View
    raw: bytes


class Absent(Value, frozen=True, kw_only=True):
    """The broker says it has no such order. Proof only after the settle time."""


class CannotTell(Value, frozen=True, kw_only=True):
    """No answer that says anything."""

    message: str


FindOutcome = Found | Absent | CannotTell


class NoAsset(Value, frozen=True, kw_only=True):
    """The broker's own word that it knows no such instrument."""


AssetOutcome = Asset | NoAsset | CannotTell


class ReportKind(StrEnum):
    UPDATE = "UPDATE"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    REPLACE_REJECTED = "REPLACE_REJECTED"
    BUST = "BUST"
    CORRECT = "CORRECT"


class BrokerReport(Value, frozen=True, kw_only=True):
    """One message of the broker's stream (or one listed execution), normalised.

    `executions` name their own broker order ids: for a multi-leg fill those of the legs. For BUST and CORRECT the
    only execution is the new one (its quantity and price count for CORRECT) and `previous_execution_id` the old.
    """

    kind: ReportKind
    view: View | None
    executions: tuple[Execution, ...] = ()
    previous_execution_id: str = ""
    event: str = ""
    broker_time: datetime | None = None
    raw: bytes = b""


class StreamUp(Value, frozen=True, kw_only=True):
    """The stream is connected and authorised; anything may have been missed before this point."""


class StreamDown(Value, frozen=True, kw_only=True):
    """The stream is not connected."""

    message: str


class Unreadable(Value, frozen=True, kw_only=True):
    """A message that could not be understood; it is kept raw and the stream goes on."""

    message: str
    raw: bytes


Update = BrokerReport | StreamUp | StreamDown | Unreadable


class BrokerPosition(Value, frozen=True, kw_only=True):
    """A position as the broker shows it; `quantity` is negative when short."""

    symbol: str
    quantity: Decimal
    average_entry_price: Decimal | None = None
    market_value: Decimal | None = None
    cost_basis: Decimal | None = None
    current_price: Decimal | None = None
    unrealized_pl: Decimal | None = None
    unrealized_intraday_pl: Decimal | None = None
    quantity_available: Decimal | None = None
    asset_class: AssetClass | None = None


class BrokerAccount(Value, frozen=True, kw_only=True):
    """The account as the broker shows it. Money in the account's currency."""

    number: str
    status: str
    currency: str
    equity: Decimal
    last_equity: Decimal | None
    cash: Decimal
    buying_power: Decimal
    is_trading_blocked: bool
    multiplier: Decimal | None = None
    may_short: bool | None = None
    """None when the broker does not say, like the next."""
    options_level: int | None = None
    raw: bytes = b""


class BrokerClock(Value, frozen=True, kw_only=True):
    """The market's clock."""

    time: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


class BrokerError(Exception):
    """A read of the broker failed or was incomplete: it is no snapshot, nothing may be concluded from it."""


class ReplaceRequest(Value, frozen=True, kw_only=True):
    """A replace to send: `terms` are complete, `client_order_id` is the replace's own."""

    order: Order
    terms: Terms
    client_order_id: ClientOrderId


class Lane(StrEnum):
    """Who goes first when the broker's budget is short (in this order)."""

    CANCEL = "CANCEL"
    EXIT = "EXIT"
    LOOKUP = "LOOKUP"
    ENTRY = "ENTRY"
    READ = "READ"


class Broker(Protocol):
    """Somewhere orders are executed. One instance serves one account."""

    @property
    def name(self) -> str:
        """`alpaca`, `tradier` or `simulated`."""
        ...

    def capabilities(self, asset_class: AssetClass) -> Capabilities:
        """What it can do for this asset class."""
        ...

    def complaint(self, order: Order) -> str:
        """The broker's rule this order breaks, naming it, or empty. Checked before anything is recorded as sent."""
        ...

    def request_body(self, order: Order) -> bytes:
        """The request `submit` would send, for a preview."""
        ...

    def sort_refusal(self, reason: Reason) -> trade_steps.Refused:
        """Why it, or its own rules here, did not take a stop. What is not known is for good."""
        ...

    def price_increment(self, asset_class: AssetClass, price: Decimal) -> Decimal | None:
        """The smallest step of a price of about this size. None: any."""
        ...

    async def submit(
        self, staged: Staged, *, timeout_s: float, may_leave: Callable[[], bool] | None = None
    ) -> SubmitOutcome:
        """Send once, never retry inside. Silence is `Unknown`, not `Refused`.

        `may_leave` is asked after every wait for a turn, right before the first byte, in any thread: no is `NotSent`.
        """
        ...

    async def cancel(self, broker_order_id: BrokerOrderId, *, timeout_s: float) -> CancelOutcome:
        """Ask for the cancel once. Only a later view proves an end."""
        ...

    async def replace(self, request: ReplaceRequest, *, timeout_s: float) -> ReplaceOutcome:
        """Ask once. `Acked.view` is the successor."""
        ...

    async def find(self, client_order_id: str, *, timeout_s: float) -> FindOutcome:
        """Look an order up by its client id, following `replaced_by` is the caller's business."""
        ...

    async def order(self, broker_order_id: BrokerOrderId, *, timeout_s: float) -> FindOutcome:
        """Read one order by the broker's id, legs included."""
        ...

    async def open_orders(self) -> Sequence[Found]:
        """All open orders, every page, legs nested. Raises BrokerError on a partial read."""
        ...

    async def orders_since(self, since: datetime) -> Sequence[Found]:
        """All orders (any state) created since, every page, legs nested. Raises BrokerError on a partial read."""
        ...

    async def executions_since(self, since: datetime) -> Sequence[Execution]:
        """Executions since, with real ids, every page, oldest first. Raises BrokerError on a partial read."""
        ...

    async def executions_of(self, broker_order_id: BrokerOrderId) -> Sequence[Execution]:
        """Executions of one broker order, oldest first. Raises BrokerError."""
        ...

    async def positions(self) -> Sequence[BrokerPosition]:
        """All positions. Raises BrokerError."""
        ...

    async def activities_since(self, day: date) -> Sequence[Activity]:
        """What changed holdings without a trade since that day, every page, oldest first. Raises BrokerError."""
        ...

    async def account(self) -> BrokerAccount:
        """The account's figures. Raises BrokerError."""
        ...

    async def clock(self) -> BrokerClock:
        """The market's clock. Raises BrokerError."""
        ...

    async def asset(self, symbol: str, *, timeout_s: float) -> AssetOutcome:
        """An instrument by its canonical symbol, as the broker describes it now. What cannot be read says nothing."""
        ...

    def updates(self) -> AsyncIterator[Update]:
        """Arrival order, repeats included, `StreamUp` on every (re)connect. Reconnects for ever; ends when closed."""
        ...

    async def close(self) -> None:
        """Let go of sockets and threads; a thread's late answer is not waited for."""
        ...
