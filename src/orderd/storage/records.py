"""Records of the desk and their events: from a change to what is written, and from rows back.

This runs before the writer is handed anything, as prepare.py does for orders: a change that cannot be written down is
its caller's exception alone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError

from orderd.core.records import RecordKind
from orderd.ports import Entry, Record, RecordChange
from orderd.storage.prepare import EPOCH, Cells, microseconds
from orderd.storage.schema import ORDER_EVENT, desk_records
from orderd.wire import desk_events, messages
from orderd.wire.desk_events import Said, said_by

COLUMNS: Final = tuple([column.name for column in desk_records.columns if column.name != "record_number"])
FIXED: Final = COLUMNS[: COLUMNS.index("decision_id")]
"""What a record says for good."""
CHANGING: Final = COLUMNS[len(FIXED) : COLUMNS.index("version")]


class PreparedChange(msgspec.Struct, frozen=True, gc=False):
    """A record's next version, ready but for its sequence."""

    record: Record
    event: bytes
    said: Said
    fixed: Cells
    changing: Cells


def check_changes(changes: Sequence[RecordChange]) -> None:
    """Hold the caller to records, and to versions without gaps; 1 is the first. Raises ValueError."""
    versions: dict[str, int] = {}
    for change in changes:
        record = change.record
        if record.kind is RecordKind.DISCREPANCY:
            raise ValueError("a discrepancy is recorded by an append")
        if not record.record_id or not record.account_id:
            raise ValueError(f"a {record.kind} has an id and an account")
        expected = versions.get(record.record_id, record.version - 1) + 1
        if record.version != expected or record.version < 1:
            raise ValueError(f"{record.kind} {record.record_id} goes to version {record.version}, not {expected}")
        versions[record.record_id] = record.version


def prepare_change(change: RecordChange) -> PreparedChange:
    """Encode everything a change says that does not depend on its place in the journal. Raises ValueError."""
    record = change.record
    try:
        said = said_by(change.event)
    except DecodeError as error:
        raise ValueError(f"the event of {record.kind} {record.record_id} cannot be read: {error}") from error
    if said.kind is not None or said.account_id != record.account_id:
        raise ValueError(f"the event of {record.kind} {record.record_id} has a subject, or another account")
    fixed: Cells = (
        record.record_id,
        record.kind.value,
        record.account_id,
        record.client_key,
        microseconds(record.created_time),
        record.symbol,
        record.underlying,
        record.expiry_date,
        record.strategy,
        record.trace_id,
    )
    changing: Cells = (record.decision_id, record.trade_id, record.status, 1 if record.is_open else 0)
    return PreparedChange(record, change.event, said, fixed, changing)


def record_of(cells: Sequence[Any]) -> Record:
    """The record of a row of `COLUMNS`."""
    said = dict(zip(COLUMNS, cells, strict=True))
    return Record(
        record_id=said["record_id"],
        kind=RecordKind(said["kind"]),
        account_id=said["account_id"],
        client_key=said["client_key"],
        status=said["status"],
        is_open=bool(said["is_open"]),
        symbol=said["symbol"],
        underlying=said["underlying"],
        expiry_date=said["expiry_date"],
        strategy=said["strategy"],
        trace_id=said["trace_id"],
        decision_id=said["decision_id"],
        trade_id=said["trade_id"],
        created_time=EPOCH + timedelta(microseconds=said["created_us"]),
        version=said["version"],
        sequence=said["sequence"],
        body=said["body"],
        state=said["state"],
    )


# ------------------------------------------------------------------------------------------------------------- events


def desk_entry(sequence: int, record_id: str, said: Said, kind: RecordKind | None, data: bytes) -> Entry:
    """An event of the desk, as it is streamed."""
    return Entry(
        sequence=sequence,
        account_id=said.account_id,
        order_id=said.order_id,
        symbol=said.symbol,
        strategy=said.strategy,
        trace_id=said.trace_id,
        decision_id=said.decision_id,
        trade_id=said.trade_id,
        data=data,
        record_kind=kind,
        record_id=record_id,
    )


def entry_of(row: tuple[Any, ...]) -> Entry:
    """The entry of a row of `EVENTS_AFTER`: an order's row says what it is filtered by, a desk event itself."""
    sequence, kind, event_of, account_id, symbol, strategy, trace_id, decision_id, trade_id, data = row
    if kind != ORDER_EVENT:
        said = said_by(data)
        return desk_entry(sequence, event_of, said, said.kind, data)
    return Entry(
        sequence=sequence,
        account_id=account_id,
        order_id=event_of,
        symbol=symbol,
        strategy=strategy,
        trace_id=trace_id,
        decision_id=decision_id,
        trade_id=trade_id,
        data=data,
    )


def recorded_time(kind: int, event: bytes) -> datetime:
    """When an event of this kind of row was recorded."""
    return messages.recorded_time(event) if kind == ORDER_EVENT else desk_events.recorded_time(event)
