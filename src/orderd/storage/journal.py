"""The journal over one SQLite file: `ports.Journal`, and the only place where `Recorded` becomes `Staged`.

Who hears what, in which order: a commit is durable → the head moves and the listeners are called on the loop, oldest
commit first → the futures of its calls resolve. A failed write ends all of it: every waiting future and every later
call gets JournalError, and the process is told to end, because whether the last commit happened is unknown.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from orderd.core.order import OrderState
from orderd.core.turnstiles import Recorded, Staged
from orderd.ports import Append, Compaction, Entry, JournalError, RecordChange
from orderd.storage import statements
from orderd.storage.compaction import Compactor
from orderd.storage.prepare import check, prepare
from orderd.storage.reading import Parts, Reading
from orderd.storage.records import check_changes, prepare_change
from orderd.storage.runner import ENDING
from orderd.storage.writer import AppendCall, Call, RecordCall, Result, Statement, Written

Listener = Callable[[Sequence[Entry]], None]
Handed = Sequence[Append] | RecordCall
"""Appends that are not encoded yet, or changes of records that are."""


class SqliteJournal(Reading):
    """See `ports.Journal`. Made by `open_journal`."""

    def __init__(self, parts: Parts, on_failure: Callable[[JournalError], None] | None) -> None:
        """Start the writer. Called on the loop; `on_failure` is called on it, once."""
        super().__init__(parts)
        self._floor = parts.floor
        self._compactor = Compactor(self._read, self._put)
        self._listeners: list[Listener] = []
        self._on_failure = on_failure
        self._failure: JournalError | None = None
        self._handed: list[tuple[Handed, asyncio.Future[Any]]] = []
        """What this turn of the loop brought."""
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
        return self._hand(appends)

    def record(
        self, changes: Sequence[RecordChange], marks: Sequence[tuple[str, str]] = ()
    ) -> Awaitable[tuple[int, ...]]:
        """See `Journal.record`. Besides the errors of the port it raises ValueError or TypeError at once."""
        check_changes(changes)
        return self._hand(RecordCall(tuple([prepare_change(change) for change in changes]), tuple(marks)))

    def _hand(self, handed: Handed) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._is_refusing(future):
            return future
        if not self._handed:
            self._loop.call_soon(self._hand_over)
        self._handed.append((handed, future))
        return future

    def _hand_over(self) -> None:
        """Encode what this turn of the loop brought and hand it to the writer, in order.

        All in a row: the encoders cost half as much as they do one at a time between everything else.
        """
        handed, self._handed = self._handed, []
        for each, future in handed:
            call = each if isinstance(each, RecordCall) else _encoded(each, future)
            if call is None:
                continue
            self._note_accounts(call)
            self._waiting.append(future)
            self._parts.runner.put(call)

    def _note_accounts(self, call: AppendCall | RecordCall) -> None:
        match call:
            case AppendCall():
                for one in call.appends:
                    if one.order is not None and one.order.intent.account_id not in self._accounts:
                        self._accounts[one.order.intent.account_id] = None
            case RecordCall():
                self._accounts.update({change.record.account_id: None for change in call.changes})

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
            with suppress(OSError):  # it lags behind then, as after a kill
                parts.lock.settle()
            parts.lock.free()


def _encoded(appends: Sequence[Append], future: "asyncio.Future[Any]") -> AppendCall | None:
    """What the writer is given, or None: then the future tells why nothing of it can be written."""
    failure: Exception | None = RuntimeError("an append could not be encoded")
    try:
        can_wait = all([append.can_wait for append in appends])
        call = AppendCall(tuple([prepare(append) for append in appends]), can_wait)
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
