"""Letting old events go: the operator's choice, never the journal's own.

Rule 1: the floor first. It is durable, and known to every reader of the process, before the first row goes; so a read
that may have missed a row finds out by looking at the floor afterwards.
Rule 2: what goes belongs to orders that were over at the floor, all of an order's events or none of them. Orders,
fills, links, keys, discrepancies and everything of the desk stay for ever: keys never expire, and a late report must
find its order.
Rule 3: the floor is a commit's end, and keeps its hash: the chain is verified from there on as ever (chain.py).
Rule 4: small steps through the one writer. A submit waits behind one of them at most, and a process that dies between
two of them leaves nothing wrong: the next compaction begins again from the start.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    literal_column,
    or_,
    select,
    update,
)

from orderd.core.order import ENDED
from orderd.ports import Compaction
from orderd.storage import statements
from orderd.storage.connect import open_writer, translated
from orderd.storage.lock import DatabaseLock
from orderd.storage.prepare import microseconds
from orderd.storage.presence import WRITING, stamp_of
from orderd.storage.queries import Query, Values, compiled
from orderd.storage.reads import Rows
from orderd.storage.records import recorded_time
from orderd.storage.schema import broker_links, journal_meta, order_events, orders, raw_payloads
from orderd.storage.writer import Statement

ROWS_A_STEP: Final = 200
"""Rows looked at in one step, and deleted in one transaction: some milliseconds of the writer's time."""

_EMPTY = literal_column("''", Text)
_ENDED_STATES: Final = [literal_column(f"'{state}'", Text) for state in sorted(ENDED)]

Read = Callable[[Query, Values], Awaitable[Rows]]
Put = Callable[[Statement], Awaitable[Any]]


def _given(name: str, kind: type[Text] | type[Integer] = Integer) -> Any:  # noqa: ANN401 - an expression of its type
    return bindparam(name, type_=kind())


_IS_OVER: Final[ColumnElement[bool]] = and_(orders.c.status.in_(_ENDED_STATES), orders.c.sequence <= _given("floor"))
"""The order had ended at the floor, and nothing was heard of it after."""

_EVENT_GOES: Final = exists().where(orders.c.order_id == order_events.c.order_id, _IS_OVER)
"""An event of the desk has no order: it never goes."""

# A payload without a broker order names ours behind the colon of its kind, such as submit_unclear:<order id>.
_OWN_ID: Final = literal_column("substr(raw_payloads.kind, instr(raw_payloads.kind, ':') + 1)", Text)
_LINKED: Final = exists().where(
    broker_links.c.account_id == raw_payloads.c.account_id,
    broker_links.c.broker_order_id == raw_payloads.c.broker_order_id,
    orders.c.order_id == broker_links.c.order_id,
    ~_IS_OVER,
)
_NAMED: Final = exists().where(orders.c.order_id == _OWN_ID, ~_IS_OVER)
_PAYLOAD_GOES: Final = and_(
    raw_payloads.c.recorded_us < _given("cutoff_us"),
    ~_LINKED,
    or_(raw_payloads.c.broker_order_id != _EMPTY, ~_NAMED),
)

_EVENT: Final = compiled(
    select(order_events.c.kind, order_events.c.body).where(order_events.c.sequence == _given("sequence"))
)
_EVENTS: Final = compiled(
    select(order_events.c.sequence, _EVENT_GOES)
    .where(order_events.c.sequence > _given("after"), order_events.c.sequence <= _given("floor"))
    .order_by(order_events.c.sequence)
    .limit(_given("limit"))
    .offset(literal_column("0", Integer))
)
_DELETE_EVENTS: Final = compiled(
    delete(order_events).where(
        order_events.c.sequence > _given("after"), order_events.c.sequence <= _given("upto"), _EVENT_GOES
    )
)
_PAYLOADS: Final = compiled(
    select(raw_payloads.c.payload_number, raw_payloads.c.recorded_us, _PAYLOAD_GOES)
    .where(raw_payloads.c.payload_number > _given("after"))
    .order_by(raw_payloads.c.payload_number)
    .limit(_given("limit"))
    .offset(literal_column("0", Integer))
)
_DELETE_PAYLOADS: Final = compiled(
    delete(raw_payloads).where(
        raw_payloads.c.payload_number > _given("after"), raw_payloads.c.payload_number <= _given("upto"), _PAYLOAD_GOES
    )
)
_COMMIT_END: Final = compiled(
    select(order_events.c.sequence, order_events.c.commit_hash)
    .where(
        order_events.c.sequence > _given("floor"),
        order_events.c.sequence <= _given("upto"),
        order_events.c.commit_hash.is_not(None),
    )
    .order_by(order_events.c.sequence.desc())
    .limit(_given("limit"))
    .offset(literal_column("0", Integer))
)
_RAISE_FLOOR: Final = statements.sql(
    update(journal_meta).values(floor_sequence=bindparam("floor"), floor_hash=bindparam("hash")), "floor", "hash"
)


class Compactor:
    """Compactions of one open journal; one at a time."""

    def __init__(self, read: Read, put: Put) -> None:
        """`read` runs a statement of a reader, `put` hands one to the writer."""
        self._read = read
        self._put = put

    async def raise_floor(self, cutoff: datetime, *, floor: int, head: int) -> int:
        """Find the last commit before the cutoff, and write down that what is at or below its end may go."""
        last = await self._last_before(cutoff, floor, head)
        rows = await self._read(_COMMIT_END, {"floor": floor, "upto": last, "limit": 1})
        if not rows:
            return floor
        raised, digest = rows[0]
        await self._put(Statement(_RAISE_FLOOR, (raised, digest)))
        return int(raised)

    async def _last_before(self, cutoff: datetime, low: int, high: int) -> int:
        """By halving: times follow the sequence, but for a wall clock that jumped."""
        while low < high:
            middle = (low + high + 1) // 2
            rows = await self._read(_EVENT, {"sequence": middle})
            if recorded_time(*rows[0]) < cutoff:
                low = middle
            else:
                high = middle - 1
        return low

    async def step(self, at: Compaction) -> Compaction:
        """See `Journal.compact`."""
        cutoff_us = microseconds(at.cutoff)
        cells: Values = {"floor": at.floor, "cutoff_us": cutoff_us, "limit": ROWS_A_STEP}
        events = await self._read(_EVENTS, cells | {"after": at.events_at})
        if events:
            gone = sum(goes for _, goes in events)
            await self._delete(_DELETE_EVENTS, cells | {"after": at.events_at, "upto": events[-1][0]}, gone)
            return msgspec.structs.replace(at, events_at=events[-1][0], events=at.events + gone)
        payloads = await self._read(_PAYLOADS, cells | {"after": at.payloads_at})
        upto = payloads[-1][0] if payloads else at.payloads_at
        gone = sum(goes for _, _, goes in payloads)
        await self._delete(_DELETE_PAYLOADS, cells | {"after": at.payloads_at, "upto": upto}, gone)
        # What follows a step without an old one is younger still, and what comes meanwhile is for the next compaction.
        is_done = len(payloads) < ROWS_A_STEP or all(recorded_us >= cutoff_us for _, recorded_us, _ in payloads)
        return msgspec.structs.replace(at, payloads_at=upto, payloads=at.payloads + gone, is_done=is_done)

    async def _delete(self, query: Query, values: Values, count: int) -> None:
        if count:
            await self._put(Statement(query.text, query.cells(values)))


def shrink(path: Path) -> None:
    """Give the space of deleted rows back to the file system. Nobody may have the journal open.

    The file is written anew: for a while its size is needed a second time. Raises OpenError.
    """
    with translated(path):
        lock = DatabaseLock.take(path)
        try:
            lock.wrote(WRITING)
            with closing(open_writer(path)) as connection:
                _vacuum(connection)
            lock.wrote(stamp_of(path))
        finally:
            lock.free()


def _vacuum(connection: sqlite3.Connection) -> None:
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
