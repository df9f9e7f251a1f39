"""The journal over one SQLite file: `ports.Journal`, and the only place where `Recorded` becomes `Staged`.

Who hears what, in which order: a commit is durable → the head moves and the listeners are called on the loop, oldest
commit first → the futures of its calls resolve. A failed write ends all of it: every waiting future and every later
call gets JournalError, and the process is told to end, because whether the last commit happened is unknown.
"""

import asyncio
import json
import os
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from orderd.core.order import Order, OrderState
from orderd.core.turnstiles import Recorded, Staged
from orderd.core.values import OrderId
from orderd.ports import (
    Append,
    Compaction,
    Discrepancy,
    DiscrepancyFilter,
    DiscrepancyPage,
    Entry,
    FillFilter,
    JournalBusyError,
    JournalError,
    OrderFilter,
    Page,
    Row,
)
from orderd.storage import discrepancies as differing
from orderd.storage import queries, statements
from orderd.storage.checkpoint import Checkpointer
from orderd.storage.compaction import Compactor
from orderd.storage.lock import DatabaseLock
from orderd.storage.points import Points, order_of
from orderd.storage.prepare import check, prepare
from orderd.storage.queries import Query
from orderd.storage.reads import Reads, Rows
from orderd.storage.recent import Recent
from orderd.storage.runner import ENDING, Runner
from orderd.storage.writer import AppendCall, Call, Result, Statement, Writer, Written

Listener = Callable[[Sequence[Entry]], None]
Key = tuple[int | str, ...]

LOADED_AT_ONCE = 500
"""Orders of one read at recovery: the rows of all of them would take more memory than the orders."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What `open_journal` has opened, in the order in which `close` lets go of it."""

    path: Path
    journal_id: str
    head: int
    floor: int
    accounts: frozenset[str]
    runner: Runner
    writer: Writer
    points: Points
    reads: Reads
    checkpointer: Checkpointer
    lock: DatabaseLock


class SqliteJournal:
    """See `ports.Journal`. Made by `open_journal`."""

    def __init__(self, parts: Parts, on_failure: Callable[[JournalError], None] | None) -> None:
        """Start the writer. Called on the loop; `on_failure` is called on it, once."""
        self._parts = parts
        self._points = parts.points
        self._recent = Recent()
        self._points.tell(self._failed_read)
        self._opened_at = self._head = parts.head
        self._floor = parts.floor
        self._compactor = Compactor(self._read, self._put)
        self._accounts = dict.fromkeys(sorted(parts.accounts))
        self._listeners: list[Listener] = []
        self._on_failure = on_failure
        self._failure: JournalError | None = None
        self._is_closed = False
        self._handed: list[tuple[Sequence[Append], asyncio.Future[Any]]] = []
        """Appends of this turn of the loop, not encoded yet."""
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        parts.runner.start(self._write, self)
        if parts.runner.has_threads:
            parts.checkpointer.start(self._failed_in_thread)

    # ------------------------------------------------------------------------------------------------- writing

    @property
    def journal_id(self) -> str:
        """See `Journal.journal_id`."""
        return self._parts.journal_id

    @property
    def head(self) -> int:
        """See `Journal.head`."""
        return self._head

    @property
    def floor(self) -> int:
        """See `Journal.floor`."""
        return self._floor

    def listen(self, on_commit: Listener) -> None:
        """See `Journal.listen`."""
        self._listeners.append(on_commit)

    def append(self, appends: Sequence[Append]) -> Awaitable[tuple[Recorded, ...]]:
        """See `Journal.append`. One `Recorded` for each append that has steps, in their order.

        Raises ValueError at once when the steps of an append are not one order's next versions. Besides the errors of
        the port the awaitable may raise ConflictError (the append follows a version that is not the order's last), and
        ValueError or TypeError for a value that cannot be written down.
        """
        for append in appends:
            check(append.steps)
        future: asyncio.Future[tuple[Recorded, ...]] = self._loop.create_future()
        if self._is_refusing(future):
            return future
        if not self._handed:
            self._loop.call_soon(self._hand_over)
        self._handed.append((appends, future))
        return future

    def _hand_over(self) -> None:
        """Encode what this turn of the loop brought and hand it to the writer, in order.

        All in a row: the encoders cost half as much as they do one at a time between everything else.
        """
        handed, self._handed = self._handed, []
        for appends, future in handed:
            call = _encoded(appends, future)
            if call is None:
                continue
            for one in call.appends:
                if one.order is not None and one.order.intent.account_id not in self._accounts:
                    self._accounts[one.order.intent.account_id] = None
            self._waiting.append(future)
            self._parts.runner.put(call)

    def stage(self, recorded: Recorded, legs: Sequence[Recorded] = ()) -> Staged:
        """See `Journal.stage`."""
        for one in (recorded, *legs):
            order = one.order
            if order.state is not OrderState.SUBMITTED:
                raise ValueError(f"order {order.order_id} is {order.state}: only a SUBMITTED one may be sent")
            if not 0 < order.sequence <= self._head:
                raise ValueError(f"order {order.order_id} is not in this journal")
        return Staged(order=recorded.order, legs=tuple(leg.order for leg in legs))

    async def set_mark(self, name: str, value: str) -> None:
        """See `Journal.set_mark`."""
        await self._put(Statement(statements.SET_MARK, (name, value)))

    def _put(self, call: Call) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._is_refusing(future):
            self._hand_over()  # what was called before is written before
            self._waiting.append(future)
            self._parts.runner.put(call)
        return future

    def _is_refusing(self, future: "asyncio.Future[Any]") -> bool:
        if self._failure is None and not self._is_closed:
            return False
        future.set_exception(self._failure or JournalError("the journal is closed"))
        return True

    def _write(self, batch: Sequence[Call]) -> Written:
        """What the runner runs, wherever it runs it."""
        written = self._parts.writer.write(batch)
        self._parts.checkpointer.between_batches(written.rows)
        self._parts.lock.reached(written.head)
        return written

    def committed(self, written: Written) -> None:
        """Tell the listeners, then whoever waits. Called on the loop by the runner."""
        if self._failure is not None:
            return  # nobody waits any more, and nobody may be told what follows an unknown
        self._head = written.head
        self._recent.take(written.changes)
        if written.entries:
            self._tell(written.entries)
        for result in written.results:
            _resolve(self._waiting.popleft(), result)

    def _tell(self, entries: Sequence[Entry]) -> None:
        """Tell the listeners. One that fails no longer knows what is in the journal, so it ends here, too."""
        is_told = False
        try:
            for listener in self._listeners:
                listener(entries)
            is_told = True
        finally:
            if not is_told:
                self.failed(RuntimeError("a listener failed"))

    def failed(self, error: Exception) -> None:
        """Stop for good: what was handed over is unknown, what comes is refused. Called on the loop."""
        if self._failure is not None:
            return
        self._failure = JournalError(f"the journal failed and ends here ({error}); the last commit is unknown")
        self._failure.__cause__ = error
        while self._waiting:
            _resolve(self._waiting.popleft(), self._failure)
        handed, self._handed = self._handed, []
        for _, future in handed:
            _resolve(future, self._failure)
        if self._on_failure is not None:
            self._on_failure(self._failure)

    def _failed_in_thread(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self.failed, error)

    def _failed_read(self, error: Exception) -> JournalError:
        """A disk that cannot be read is no better than one that cannot be written; after closing it is only late."""
        if self._is_closed:
            return JournalError("the journal is closed")
        self.failed(error)
        return JournalError(f"the journal cannot be read: {error}")

    # ---------------------------------------------------------------------------------------------- point reads

    def find_key(self, account_id: str, client_order_id: str) -> OrderId | None:
        """See `Journal.find_key`."""
        return self._points.find_key(account_id, client_order_id)

    def find_broker_order(self, account_id: str, broker_order_id: str) -> OrderId | None:
        """See `Journal.find_broker_order`."""
        return self._points.find_broker_order(account_id, broker_order_id)

    def load(self, order_id: str) -> Order | None:
        """See `Journal.load`."""
        return self._points.load(order_id)

    def order_data(self, order_id: str) -> bytes | None:
        """See `Journal.order_data`."""
        return self._recent.order(order_id) or self._points.order_data(order_id)

    def fill_data(self, order_id: str) -> Sequence[bytes]:
        """See `Journal.fill_data`."""
        recent = self._recent.fills(order_id)
        return self._points.fill_data(order_id) if recent is None else recent

    # --------------------------------------------------------------------------------------------------- lists

    async def open_orders(self) -> Sequence[Order]:
        """See `Journal.open_orders`."""
        numbers = [row[0] for row in await self._read(queries.OPEN_NUMBERS, {})]
        orders: list[Order] = []
        for first in range(0, len(numbers), LOADED_AT_ONCE):
            orders += await self._orders(numbers[first : first + LOADED_AT_ONCE])
        return orders

    async def _orders(self, numbers: Sequence[int]) -> list[Order]:
        states: dict[str, tuple[bytes, int]] = {}
        booked: dict[str, list[bytes]] = {}
        rows = await self._read(queries.ORDERS_WITH_FILLS, {"numbers": json.dumps(numbers)})
        for order_id, state, sequence, fill in rows:
            states[order_id] = (state, sequence)
            if fill is not None:
                booked.setdefault(order_id, []).append(fill)
        return [
            order_of(state, sequence, booked.get(order_id, ()), opened_at=self._opened_at)
            for order_id, (state, sequence) in states.items()
        ]

    async def list_orders(self, where: OrderFilter, *, after_key: Key | None, limit: int) -> Page:
        """See `Journal.list_orders`. Keys are (created time in microseconds since 1970, order id)."""
        return await self._page(queries.orders_page(where, tuple(self._accounts), after_key, limit + 1), limit)

    async def snapshot(self, where: OrderFilter, *, limit: int) -> Page:
        """See `Journal.snapshot`."""
        return await self.list_orders(where, after_key=None, limit=limit)

    async def list_fills(self, where: FillFilter, *, after_key: Key | None, limit: int) -> Page:
        """See `Journal.list_fills`. Keys are (number in the book,)."""
        return await self._page(queries.fills_page(where, after_key, limit + 1), limit)

    async def list_events(self, order_id: str, *, after_version: int, limit: int) -> Page:
        """See `Journal.list_events`."""
        values: queries.Values = {"order_id": order_id, "after": after_version, "limit": limit + 1}
        return await self._page((queries.ORDER_EVENTS, values), limit)

    async def events_after(self, sequence: int, *, limit: int) -> Sequence[Entry]:
        """See `Journal.events_after`."""
        rows = await self._read(queries.EVENTS_AFTER, {"after": sequence, "limit": limit})
        return [
            Entry(
                sequence=number,
                account_id=account_id,
                order_id=order_id,
                symbol=symbol,
                strategy=strategy,
                trace_id=trace_id,
                decision_id=decision_id,
                trade_id=trade_id,
                data=data,
            )
            for number, account_id, order_id, symbol, strategy, trace_id, decision_id, trade_id, data in rows
        ]

    async def raw_payload(self, account_id: str, broker_order_ids: Sequence[str]) -> bytes | None:
        """See `Journal.raw_payload`."""
        values: queries.Values = {"account_id": account_id, "broker_order_ids": json.dumps(list(broker_order_ids))}
        rows = await self._read(queries.LATEST_RAW, values)
        return rows[0][0] if rows else None

    async def open_discrepancies(self, account_id: str) -> Sequence[Discrepancy]:
        """See `Journal.open_discrepancies`."""
        rows = await self._read(differing.OPEN, {"account_id": account_id})
        return [differing.record_of(row) for row in rows]

    async def accepted_discrepancies(self, account_id: str) -> Sequence[Discrepancy]:
        """See `Journal.accepted_discrepancies`."""
        rows = await self._read(differing.ACCEPTED, {"account_id": account_id})
        return [differing.record_of(row) for row in rows]

    async def discrepancy(self, discrepancy_id: str) -> Discrepancy | None:
        """See `Journal.discrepancy`."""
        rows = await self._read(differing.ONE, {"discrepancy_id": discrepancy_id})
        return differing.record_of(rows[0]) if rows else None

    async def list_discrepancies(
        self, where: DiscrepancyFilter, *, after_key: Key | None, limit: int
    ) -> DiscrepancyPage:
        """See `Journal.list_discrepancies`. Keys are (opened time in microseconds since 1970, discrepancy id)."""
        head = self._head
        rows = await self._read(*differing.page(where, after_key, limit + 1))
        records = tuple([differing.record_of(row[1:]) for row in rows[:limit]])
        return DiscrepancyPage(
            records=records,
            keys=tuple([differing.key_of(record) for record in records]),
            has_more=len(rows) > limit,
            sequence=rows[0][0] if rows else head,
        )

    async def mark(self, name: str) -> str | None:
        """See `Journal.mark`."""
        rows = await self._read(queries.MARK, {"name": name})
        return rows[0][0] if rows else None

    async def _page(self, asked: tuple[Query, queries.Values], limit: int) -> Page:
        """Read one row too many, to know whether more follow: head, then the key, then the message.

        The head comes from the rows' own snapshot; of an empty page it is one that was passed before.
        """
        head = self._head
        rows = await self._read(*asked)
        return Page(
            rows=tuple([Row(key=row[1:-1], data=row[-1]) for row in rows[:limit]]),
            has_more=len(rows) > limit,
            sequence=rows[0][0] if rows else head,
        )

    async def _read(self, query: Query, values: queries.Values) -> Rows:
        try:
            return await self._parts.reads.rows(query, values)
        except sqlite3.Error as error:
            raise self._failed_read(error) from error
        except SQLAlchemyError as error:  # closed, or no connection in time: nothing wrong with the disk
            if self._is_closed:
                raise JournalError("the journal is closed") from error
            raise JournalBusyError(f"the journal cannot be read now: {error}") from error

    # ----------------------------------------------------------------------------------------------- letting go

    async def begin_compaction(self, cutoff: datetime) -> Compaction:
        """See `Journal.begin_compaction`."""
        self._floor = await self._compactor.raise_floor(cutoff, floor=self._floor, head=self._head)
        return Compaction(cutoff=cutoff, floor=self._floor)

    async def compact(self, at: Compaction) -> Compaction:
        """See `Journal.compact`."""
        return await self._compactor.step(at)

    # ------------------------------------------------------------------------------------------------- the end

    def free_bytes(self) -> int:
        """See `Journal.free_bytes`."""
        disk = os.statvfs(self._parts.path.parent)
        return disk.f_bavail * disk.f_frsize

    async def close(self) -> None:
        """See `Journal.close`. Closing twice is closing once.

        Raises JournalError when the log could not be moved into the database at the end. Nothing is lost by that: what
        was committed is in the log, and the next start reads it there.
        """
        if self._is_closed:
            return
        self._hand_over()
        self._is_closed = True
        parts = self._parts
        await parts.runner.stop()
        await parts.reads.close()
        parts.points.close()
        parts.writer.close()
        try:
            parts.checkpointer.close(is_final=self._failure is None)
        except ENDING as error:
            raise JournalError(
                f"the journal's log could not be moved into the database at the end ({error}); "
                "what was committed is in the log, and the next start reads it there"
            ) from error
        finally:
            parts.lock.free()


def _encoded(appends: Sequence[Append], future: "asyncio.Future[Any]") -> AppendCall | None:
    """What the writer is given, or None: then the future tells why nothing of it can be written."""
    failure: Exception | None = RuntimeError("an append could not be encoded")
    try:
        call = AppendCall(tuple([prepare(append) for append in appends]))
        failure = None
    except (TypeError, ValueError) as error:
        failure = error
        return None
    finally:
        if failure is not None:
            _resolve(future, failure)
    return call


def _resolve(future: "asyncio.Future[Any]", result: Result | Exception) -> None:
    if future.done():  # its caller has gone; what it asked for is in the journal all the same
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
