"""The sockets of the house: what the engine needs from a broker, a journal, a clock.

A port says what is true before and after each call; adapters in `brokers/` and `storage/` keep it, one contract suite
per port proves it. Expected outcomes are values, exceptions are broken promises.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from orderd.core.events import Step
from orderd.core.facts import Execution, View
from orderd.core.order import AssetClass, Mode, Order, OrderClass, OrderRole, OrderState, OrderType, Side, Terms, TimeInForce
from orderd.core.turnstiles import Recorded, Staged
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, OrderId, Value

# ---------------------------------------------------------------------------------------------------------------- time


class Clock(Protocol):
    """Wall and monotonic time; a virtual one drives the simulation."""

    def now(self) -> datetime:
        """Aware UTC wall time. May jump; never used for a timeout."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back within this process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a duration, so a float is fine here and only here."""
        ...


class Ids(Protocol):
    """The only source of ids and randomness."""

    def new(self) -> str:
        """A UUIDv7."""
        ...

    def jitter(self) -> float:
        """Uniform in [0, 1): spreads retries, never decides anything about an order."""
        ...


# -------------------------------------------------------------------------------------------------------------- broker


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
    """A replace to send: `terms` are complete, `changed` names the ones that differ, `client_order_id` is the PATCH's own."""

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

    async def submit(self, staged: Staged, *, timeout_s: float) -> SubmitOutcome:
        """Send once, never retry inside. Silence is `Unknown`, not `Refused`."""
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

    async def account(self) -> BrokerAccount:
        """The account's figures. Raises BrokerError."""
        ...

    async def clock(self) -> BrokerClock:
        """The market's clock. Raises BrokerError."""
        ...

    def updates(self) -> AsyncIterator[Update]:
        """Arrival order, repeats included, `StreamUp` on every (re)connect. Reconnects for ever; ends when closed."""
        ...

    async def close(self) -> None:
        """Let go of sockets and threads; a thread's late answer is not waited for."""
        ...


# ------------------------------------------------------------------------------------------------------------- journal


class RawPayload(Value, frozen=True, kw_only=True):
    """A broker's own bytes, kept beside the event they caused. `quarantined` ones could not be understood."""

    account_id: AccountId
    broker_order_id: str
    kind: str
    body: bytes
    recorded_time: datetime
    is_quarantined: bool = False


class Append(Value, frozen=True, kw_only=True):
    """One order's change: its steps, oldest first, and the broker bytes that caused them.

    `steps` may be empty when only raw payloads are kept.
    """

    steps: tuple[Step, ...]
    raw: tuple[RawPayload, ...] = ()

    @property
    def order(self) -> Order:
        """The order after the last step."""
        return self.steps[-1].after


class Entry(Value, frozen=True, kw_only=True):
    """One committed event as it is streamed: `data` are the stored bytes of `oms.v1.OrderEvent`, sent verbatim."""

    sequence: int
    account_id: str
    order_id: str
    symbol: str
    strategy: str
    trace_id: str
    decision_id: str
    trade_id: str
    data: bytes


class KeyTakenError(Exception):
    """Another order of the account has this client order id; nothing of this append was written."""

    def __init__(self, client_order_id: str) -> None:
        """Name the key."""
        super().__init__(f"client_order_id {client_order_id} is taken")
        self.client_order_id = client_order_id


class JournalError(Exception):
    """The journal failed: whether the last commit happened is unknown. The process ends and recovers."""


class OrderFilter(Value, frozen=True, kw_only=True):
    """Which orders: AND between fields, OR inside one, empty = all."""

    account_ids: tuple[str, ...] = ()
    states: tuple[OrderState, ...] = ()
    open_only: bool = False
    symbols: tuple[str, ...] = ()
    underlyings: tuple[str, ...] = ()
    expires_on_or_after: str = ""
    """Option expiry, YYYY-MM-DD."""
    expires_on_or_before: str = ""
    asset_classes: tuple[AssetClass, ...] = ()
    sides: tuple[Side, ...] = ()
    roles: tuple[OrderRole, ...] = ()
    strategies: tuple[str, ...] = ()
    strategy_types: tuple[str, ...] = ()
    is_external: bool | None = None
    trace_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


class FillFilter(Value, frozen=True, kw_only=True):
    """Which fills; times are the recorded times, half-open (after, before)."""

    account_ids: tuple[str, ...] = ()
    order_id: str = ""
    symbols: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None


class Row(Value, frozen=True, kw_only=True):
    """A stored message and where it stands: `key` is the keyset position to go on from."""

    key: tuple[int | str, ...]
    data: bytes


class Page(Value, frozen=True, kw_only=True):
    """A page of stored messages; `has_more` says whether another one follows. `sequence` is the head it was read at."""

    rows: tuple[Row, ...]
    has_more: bool
    sequence: int


class Discrepancy(Value, frozen=True, kw_only=True):
    """A difference between the broker's word and ours that nothing has explained yet."""

    discrepancy_id: str
    account_id: AccountId
    kind: str
    subject: str
    """The order id, broker order id or symbol it is about: one open record per (account, kind, subject)."""
    symbol: str
    expected: str
    observed: str
    evidence: str
    opened_time: datetime
    resolved_time: datetime | None = None


class Journal(Protocol):
    """The append-only truth and the reads that serve from it.

    One writer, FIFO: `append` hands over in call order, and commit order is that order. Sequences are gapless.
    """

    @property
    def journal_id(self) -> str:
        """Names this store for ever; a restored or new one has another."""
        ...

    @property
    def head(self) -> int:
        """Sequence of the last committed event, 0 for an empty journal."""
        ...

    def listen(self, on_commit: Callable[[Sequence[Entry]], None]) -> None:
        """Call back on the loop after each commit, in order, before the appends' futures resolve."""
        ...

    def append(self, appends: Sequence[Append]) -> Awaitable[tuple[Recorded, ...]]:
        """Hand over at once (no await needed for the order of things); the awaitable resolves when durable.

        All appends of one call are one transaction or nothing. Abandoning the awaitable cancels nothing.
        Raises KeyTakenError (nothing of this call was written) or JournalError (unknown; end the process).
        """
        ...

    def stage(self, recorded: Recorded, legs: Sequence[Recorded] = ()) -> Staged:
        """Turn a durable SUBMITTED order into the right to send it once. Raises ValueError for any other state."""
        ...

    def find_key(self, account_id: str, client_order_id: str) -> OrderId | None:
        """The order with this key: one synchronous point read."""
        ...

    def find_broker_order(self, account_id: str, broker_order_id: str) -> OrderId | None:
        """The order whose chain has this broker id: one synchronous point read."""
        ...

    def load(self, order_id: str) -> Order | None:
        """The order with its fills, from its last committed event: synchronous, a few rows."""
        ...

    def order_data(self, order_id: str) -> bytes | None:
        """Stored bytes of `oms.v1.Order`: synchronous point read."""
        ...

    def fill_data(self, order_id: str) -> Sequence[bytes]:
        """Stored bytes of the order's `oms.v1.Fill`s, in booking order: synchronous, a few rows."""
        ...

    async def open_orders(self) -> Sequence[Order]:
        """Every order without an end, with fills, for recovery."""
        ...

    async def list_orders(self, where: OrderFilter, *, after_key: tuple[int | str, ...] | None, limit: int) -> Page:
        """Newest first by (created time, order id)."""
        ...

    async def snapshot(self, where: OrderFilter, *, limit: int) -> Page:
        """Every matching order as of one sequence, one read transaction. `has_more` when over `limit`."""
        ...

    async def list_fills(self, where: FillFilter, *, after_key: tuple[int | str, ...] | None, limit: int) -> Page:
        """Oldest first by booking."""
        ...

    async def list_events(self, order_id: str, *, after_version: int, limit: int) -> Page:
        """The order's story, oldest first; keys are (version,)."""
        ...

    async def events_after(self, sequence: int, *, limit: int) -> Sequence[Entry]:
        """Events with a greater sequence, in sequence order."""
        ...

    async def raw_payload(self, account_id: str, broker_order_ids: Sequence[str]) -> bytes | None:
        """The broker's latest own bytes about any of these broker orders."""
        ...

    async def keep_raw(self, payload: RawPayload) -> None:
        """Keep broker bytes that belong to no event (a message nobody could read)."""
        ...

    async def put_discrepancy(self, discrepancy: Discrepancy) -> bool:
        """Open (or, with a resolved time, close) a record; False when one was open already."""
        ...

    async def open_discrepancies(self, account_id: str) -> Sequence[Discrepancy]:
        """Records not resolved yet."""
        ...

    async def mark(self, name: str) -> str | None:
        """A durable named mark (the last full reconciliation, an account's number)."""
        ...

    async def set_mark(self, name: str, value: str) -> None:
        """Set a durable named mark."""
        ...

    def free_bytes(self) -> int:
        """Free space where the journal grows."""
        ...

    async def close(self) -> None:
        """Drain the writer, checkpoint, free the lock."""
        ...
