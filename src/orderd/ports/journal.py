"""The append-only truth: what is written, what is read back."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from orderd.core.discrepancies import Discrepancy, DiscrepancyKind
from orderd.core.events import Step
from orderd.core.order import AssetClass, Order, OrderRole, OrderState, Side
from orderd.core.records import RecordKind
from orderd.core.turnstiles import Recorded, Staged
from orderd.core.values import AccountId, OrderId, Value
from orderd.ports.records import Record, RecordChange, RecordFilter


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

    `steps` may be empty when only raw payloads are kept, or discrepancies recorded.
    """

    steps: tuple[Step, ...]
    raw: tuple[RawPayload, ...] = ()
    discrepancies: tuple[Discrepancy, ...] = ()
    """Records that this change opens (new ids) or closes (known ids, with a resolved time); each is a desk event."""
    can_wait: bool = False
    """Nobody is kept by it: it may wait a moment (some milliseconds at most) to share the commit of what comes next."""

    @property
    def order(self) -> Order:
        """The order after the last step."""
        return self.steps[-1].after


class Entry(Value, frozen=True, kw_only=True):
    """One committed event as it is streamed: `data` are its stored bytes, sent verbatim.

    They are an `oms.v1.OrderEvent`, or, when `record_kind` says of what, an `oms.v1.DeskEvent`.
    """

    sequence: int
    account_id: str
    order_id: str
    """Of a desk event: the order that caused it, or that it is about; often empty."""
    symbol: str
    strategy: str
    trace_id: str
    decision_id: str
    trade_id: str
    data: bytes
    record_kind: RecordKind | None = None
    """What a desk event is about; None for the event of an order."""
    record_id: str = ""
    """The record that a desk event changed."""

    @property
    def is_desk(self) -> bool:
        """Whether it is an event of the desk, not of an order."""
        return self.record_kind is not None


class KeyTakenError(Exception):
    """Another order of the account has this client order id; nothing of this append was written."""

    def __init__(self, client_order_id: str) -> None:
        """Name the key."""
        super().__init__(f"client_order_id {client_order_id} is taken")
        self.client_order_id = client_order_id


class JournalError(Exception):
    """The journal failed: whether the last commit happened is unknown. The process ends and recovers."""


class JournalBusyError(JournalError):
    """A read could not be served in time because too many were asked for; nothing is wrong with the store."""


class CompactedError(Exception):
    """Events after the position that was asked for have been let go; `oldest` is the smallest that can be read from."""

    def __init__(self, oldest: int) -> None:
        """Name the floor."""
        super().__init__(f"events up to sequence {oldest} are no longer kept")
        self.oldest = oldest


class Compaction(Value, frozen=True, kw_only=True):
    """How far a compaction has come. What is below the floor goes; orders and fills stay for ever."""

    cutoff: datetime
    """What was recorded before it may go, when its order is over."""
    floor: int
    """The last sequence that may be gone: no stream begins below it any more."""
    events_at: int = 0
    """Events up to here have been looked at."""
    payloads_at: int = 0
    """Raw payloads up to here have been looked at."""
    events: int = 0
    """Deleted so far."""
    payloads: int = 0
    """Deleted so far."""
    is_done: bool = False


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
    decision_ids: tuple[str, ...] = ()
    """Of their orders, like the trace ids."""
    trace_ids: tuple[str, ...] = ()
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


class RecordPage(Value, frozen=True, kw_only=True):
    """A page of records and the keyset position of each. `sequence` is the head it was read at."""

    records: tuple[Record, ...]
    keys: tuple[tuple[int | str, ...], ...]
    has_more: bool
    sequence: int


class DiscrepancyFilter(Value, frozen=True, kw_only=True):
    """Which discrepancies: AND between fields, OR inside one, empty = all. Times leave both ends out."""

    account_ids: tuple[str, ...] = ()
    kinds: tuple[DiscrepancyKind, ...] = ()
    symbols: tuple[str, ...] = ()
    order_ids: tuple[str, ...] = ()
    open_only: bool = False
    opened_after: datetime | None = None
    opened_before: datetime | None = None


class DiscrepancyPage(Value, frozen=True, kw_only=True):
    """A page of records and the keyset position of each. `sequence` is the head it was read at."""

    records: tuple[Discrepancy, ...]
    keys: tuple[tuple[int | str, ...], ...]
    has_more: bool
    sequence: int


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

    @property
    def floor(self) -> int:
        """Events at or below this sequence may be gone, 0 when every one is kept. It never goes down."""
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

    def record(
        self, changes: Sequence[RecordChange], marks: Sequence[tuple[str, str]] = ()
    ) -> Awaitable[tuple[int, ...]]:
        """Hand over changes of the desk's records, and (name, value) marks that are set with them.

        As `append`, and in one order with it: one transaction or nothing, durable when it resolves, with the sequence
        of each change. One record may change several times in one call. Raises ValueError at once for a change that
        is no record's. The awaitable raises RecordTakenError (nothing of this call was written), JournalError
        (unknown; end the process), or ConflictError (a version that does not follow the record's last one).
        """
        ...

    def record_data(self, record_id: str) -> bytes | None:
        """Stored bytes of the record's message: synchronous point read."""
        ...

    def load_record(self, record_id: str) -> Record | None:
        """The record as of its last committed event: synchronous point read."""
        ...

    def find_record(self, kind: RecordKind, account_id: str, client_key: str) -> Record | None:
        """The record of this kind with this key: synchronous point read."""
        ...

    async def open_records(self, kind: RecordKind) -> Sequence[Record]:
        """Every record of a kind that is not over, oldest first, for recovery."""
        ...

    async def list_records(self, where: RecordFilter, *, after_key: tuple[int | str, ...] | None, limit: int) -> Page:
        """Messages, newest first by (created time, record id)."""
        ...

    async def read_records(
        self, where: RecordFilter, *, after_key: tuple[int | str, ...] | None, limit: int
    ) -> RecordPage:
        """The same records in the same order, whole: with the desk's own value."""
        ...

    async def list_record_events(self, record_id: str, *, after_version: int, limit: int) -> Page:
        """The record's story as `oms.v1.DeskEvent`s, oldest first; keys are (version,)."""
        ...

    async def raw_payload(self, account_id: str, broker_order_ids: Sequence[str]) -> bytes | None:
        """The broker's latest own bytes about any of these broker orders."""
        ...

    async def open_discrepancies(self, account_id: str) -> Sequence[Discrepancy]:
        """Records not resolved yet, oldest first."""
        ...

    async def accepted_discrepancies(self, account_id: str) -> Sequence[Discrepancy]:
        """Records that an operator has closed."""
        ...

    async def discrepancy(self, discrepancy_id: str) -> Discrepancy | None:
        """One record."""
        ...

    async def list_discrepancies(
        self, where: DiscrepancyFilter, *, after_key: tuple[int | str, ...] | None, limit: int
    ) -> DiscrepancyPage:
        """Newest first by (opened time, id)."""
        ...

    async def mark(self, name: str) -> str | None:
        """A durable named mark (the last full reconciliation, an account's number)."""
        ...

    async def set_mark(self, name: str, value: str) -> None:
        """Set a durable named mark."""
        ...

    async def begin_compaction(self, cutoff: datetime) -> Compaction:
        """Raise the floor to the last event that was recorded before `cutoff`. Nothing is deleted yet.

        The floor is durable, and every reader of this process knows it, before the first row goes.
        """
        ...

    async def compact(self, at: Compaction) -> Compaction:
        """One short step: delete some events and raw payloads below the floor whose order was over by then.

        An order's events go together or stay together, oldest first; those of an order that is still open stay. To be
        called again with what it returns until `is_done`; what an earlier process left undone is done, too.
        """
        ...

    def free_bytes(self) -> int:
        """Free space where the journal grows."""
        ...

    async def close(self) -> None:
        """Drain the writer, checkpoint, free the lock."""
        ...
