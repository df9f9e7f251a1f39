"""Whether what the tables say of the desk's records is what their events say (books.py does the same for orders).

Events of the desk are never removed, so each story is there from its first version on. The message in the last event
is, to the byte, the one in the record's row.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from google.protobuf.message import DecodeError, Message

from oms.v1 import trade_service_pb2 as pb
from orderd.core.records import RecordKind
from orderd.ports import Record
from orderd.storage import statements
from orderd.storage.records import record_of
from orderd.wire.desk_events import said_by

PAGE_RECORDS: Final = 100
OPENED, CLOSED = 1, 2
"""Versions of a discrepancy."""


class Event(msgspec.Struct, frozen=True):
    """An event's row."""

    sequence: int
    version: int
    body: bytes


class Found(msgspec.Struct, frozen=True):
    """A page of what was looked at: where to go on, how many there were, and what does not agree."""

    last: int
    count: int
    faults: list[str]


def records_after(connection: sqlite3.Connection, after: int) -> Found:
    """Look at the next records, in the order of their rows, in the caller's snapshot."""
    rows = connection.execute(statements.RECORD_ROWS, (after, PAGE_RECORDS)).fetchall()
    faults = [
        f"{row[2]} {row[1]}: {text}"
        for row in rows
        for text in _record_faults(record_of(row[1:]), _story(connection, row[1]))
    ]
    return Found(rows[-1][0] if rows else after, len(rows), faults)


def discrepancy_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Hold every discrepancy to its events; one of an earlier release has none of its opening."""
    for discrepancy_id, resolved_us in connection.execute(statements.DISCREPANCY_ENDS).fetchall():
        story = _story(connection, discrepancy_id)
        versions = [event.version for event in story]
        is_closed = resolved_us is not None
        if not set(versions) <= {OPENED, CLOSED} or (CLOSED in versions and not is_closed):
            yield f"discrepancy {discrepancy_id}: its events have versions {versions}"
        elif OPENED in versions and is_closed and CLOSED not in versions:
            yield f"discrepancy {discrepancy_id}: no event says that it was closed"
        for event in story:
            yield from (
                f"discrepancy {discrepancy_id}: {text}" for text in _event_faults(event, RecordKind.DISCREPANCY)
            )


def _story(connection: sqlite3.Connection, record_id: str) -> list[Event]:
    return [Event(*row) for row in connection.execute(statements.RECORD_EVENT_ROWS, (record_id,))]


def _record_faults(record: Record, story: Sequence[Event]) -> Iterator[str]:
    versions = [event.version for event in story]
    if versions != list(range(1, record.version + 1)):
        yield f"its row is version {record.version}, its events are {_shown(versions)}"
        return
    if story[-1].sequence != record.sequence:
        yield f"its last event is {story[-1].sequence}, and its row says {record.sequence}"
    for event in story:
        yield from _event_faults(event, record.kind)
    try:
        last = pb.DeskEvent.FromString(story[-1].body)
    except DecodeError:
        return  # told already
    if last.account_id != record.account_id:
        yield f"account_id is {record.account_id} in its row and {last.account_id} in its last event"
    if _subject(last).SerializeToString(deterministic=True) != record.body:
        yield f"event {story[-1].sequence} left it as another than its row says"


def _event_faults(event: Event, kind: RecordKind) -> Iterator[str]:
    try:
        message = pb.DeskEvent.FromString(event.body)
    except DecodeError as error:
        yield f"event {event.sequence} cannot be read: {error}"
        return
    if message.sequence != event.sequence:
        yield f"event {event.sequence} calls itself {message.sequence}"
    if said_by(event.body).kind is not kind:
        yield f"event {event.sequence} is about something else"


def _subject(event: pb.DeskEvent) -> Message:
    name = event.WhichOneof("subject")
    subject: Message = getattr(event, name) if name else event
    return subject


def _shown(versions: Sequence[int]) -> str:
    return ", ".join(str(version) for version in versions) or "none"
