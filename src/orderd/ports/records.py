"""What the desk remembers, as the journal keeps it: aggregates with a version, a message and the desk's own value."""

from datetime import datetime

from orderd.core.records import RecordKind
from orderd.core.values import Value


class Record(Value, frozen=True, kw_only=True):
    """One decision, trade, completed trade, risk state or position, as of one of its versions.

    `kind`, `account_id`, `client_key`, `symbol`, `underlying`, `expiry_date`, `strategy`, `trace_id` and `created_time`
    never change; the others may with each version.
    """

    record_id: str
    """Unique over all kinds, orders and discrepancies."""
    kind: RecordKind
    account_id: str
    client_key: str = ""
    """The caller's own id: unique per account and kind for ever. Empty: it has none."""
    status: str = ""
    """A word that lists filter by."""
    is_open: bool = False
    """Whether it is not over: recovery begins with those."""
    symbol: str = ""
    underlying: str = ""
    expiry_date: str = ""
    """An option's expiry, YYYY-MM-DD."""
    strategy: str = ""
    trace_id: str = ""
    decision_id: str = ""
    trade_id: str = ""
    created_time: datetime
    version: int
    """1, 2, 3 … without gaps."""
    body: bytes
    """Its message as it is sent, with its `sequence` (field 100). Of a change: without it."""
    state: bytes = b""
    """The desk's own value, encoded; the journal does not look into it."""
    sequence: int = 0
    """Of its last event; 0 before it is committed."""


class RecordChange(Value, frozen=True, kw_only=True):
    """A record's next version, and the event that tells of it."""

    record: Record
    """As it is afterwards; `body` without its sequence."""
    event: bytes
    """`oms.v1.DeskEvent` without its subject and its sequence: the commit adds the record's message and both numbers.
    Streams filter by its account, symbol, strategy, trace, decision and trade."""


class RecordFilter(Value, frozen=True, kw_only=True):
    """Which records of one kind: AND between fields, OR inside one, empty = all. Times leave both ends out."""

    kind: RecordKind
    account_ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    open_only: bool = False
    symbols: tuple[str, ...] = ()
    underlyings: tuple[str, ...] = ()
    expires_on_or_after: str = ""
    """Option expiry, YYYY-MM-DD."""
    expires_on_or_before: str = ""
    strategies: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


class RecordTakenError(Exception):
    """Another record of the kind and account has this key, or a record has this id; nothing of the call was written."""

    def __init__(self, kind: RecordKind, client_key: str) -> None:
        """Name the key."""
        super().__init__(f"{kind} {client_key} is taken")
        self.kind = kind
        self.client_key = client_key
