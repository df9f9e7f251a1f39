"""When and where the writer runs: in a thread of its own, or inline for a simulation.

Group commit: whatever waits when the writer is free becomes one transaction. Nothing is ever timed when one caller is
alone and waits; after a crowd the thread lets the next batch gather for a moment, because a sync, a hop to the loop and
the interpreter's lock changing hands cost the same for one order as for fifty. For the same reason what nobody waits
for is kept back for a moment, and goes with what comes next.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from orderd.storage.errors import DisplacedError
from orderd.storage.writer import Call, Written

BATCH_CALLS = 256
"""Most calls in one transaction: bounds how long the first of them waits."""
CROWD = 4
"""From so many calls in the previous batch on, the next one gathers."""
GATHER_S: float = 0.001
"""It does so in steps of this length, until as many have come as the time before, or a step brings nobody."""
STEPS = 4
PATIENCE_S: float = 0.002
"""So long a call that can wait is kept back, unless another comes first."""
ENOUGH = 32
"""Calls that are not kept waiting for more."""


ENDING = (sqlite3.Error, OSError, DisplacedError)
"""A disk or a file that failed: the outcome of the batch in hand is unknown. Anything else is a bug of ours."""


class Delivery(Protocol):
    """Who hears of commits, on the loop and in commit order."""

    def committed(self, written: Written) -> None:
        """Every call put before and not told of yet is durable, as far as `written` has results."""
        ...

    def failed(self, error: Exception) -> None:
        """The outcome of the batch in hand is unknown; nothing will be written any more."""
        ...


Write = Callable[[Sequence[Call]], Written]


class Runner(Protocol):
    """Runs `write` for the calls put, in their order."""

    @property
    def has_threads(self) -> bool:
        """Whether threads may be used beside it; a simulation has none."""
        ...

    def start(self, write: Write, delivery: Delivery) -> None:
        """Begin. Called on the loop."""
        ...

    def put(self, call: Call) -> None:
        """Hand over; returns at once. Calls are written in the order they were put."""
        ...

    async def stop(self) -> None:
        """Write what was put, then end."""
        ...


class ThreadRunner:
    """A thread that commits whatever has gathered. One hop back to the loop for each batch."""

    has_threads = True

    def __init__(self) -> None:
        """Nothing runs before `start`."""
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended = asyncio.Event()
        self._is_stopping = False

    def start(self, write: Write, delivery: Delivery) -> None:
        """Start the thread; results come back to the loop this is called on."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, args=(write, delivery, loop), name="orderd-journal-writer", daemon=True
        )
        self._thread.start()

    def put(self, call: Call) -> None:
        """Hand over to the thread."""
        self._queue.put(call)

    async def stop(self) -> None:
        """Wait until everything put before is written and told."""
        if self._thread is None:
            return
        self._queue.put(None)
        await self._ended.wait()
        self._thread.join()
        self._thread = None

    def _run(self, write: Write, delivery: Delivery, loop: asyncio.AbstractEventLoop) -> None:
        failure: Exception | None = RuntimeError("the journal's writer ended by an error of its own")
        try:
            size = 0
            while batch := self._gather(expected=size if size >= CROWD else 0):
                written = write(batch)
                size = len(batch)
                _tell(loop, delivery.committed, written)
            failure = None
        except ENDING as error:
            failure = error
        finally:
            if failure is not None:
                _tell(loop, delivery.failed, failure)
            _tell(loop, self._ended.set)

    def _gather(self, *, expected: int) -> list[Call]:
        """Wait for a call and take everything that waits with it; empty at the end."""
        batch: list[Call] = []
        if self._is_stopping or not self._take(batch, is_waiting=True):
            return batch
        self._take_all(batch)
        if self._may_wait(batch):
            if not self._take(batch, is_waiting=True, timeout_s=PATIENCE_S):
                return batch
            self._take_all(batch)
        for _ in range(STEPS):
            size = len(batch)
            if size >= min(expected, ENOUGH) or self._is_stopping:
                break
            time.sleep(GATHER_S)
            self._take_all(batch)
            if len(batch) == size:
                break
        return batch

    def _may_wait(self, batch: Sequence[Call]) -> bool:
        return not self._is_stopping and all([call.can_wait for call in batch])

    def _take_all(self, batch: list[Call]) -> None:
        while len(batch) < BATCH_CALLS and self._take(batch, is_waiting=False):
            pass

    def _take(self, batch: list[Call], *, is_waiting: bool, timeout_s: float | None = None) -> bool:
        try:
            call = self._queue.get(block=is_waiting, timeout=timeout_s)
        except queue.Empty:
            return False
        if call is None:
            self._is_stopping = True
            return False
        batch.append(call)
        return True


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> None:
    """Hand to the loop; one that is closed already has nobody left to tell."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)


class InlineRunner:
    """No thread: a batch is written on the loop after a delay that the simulation chooses."""

    has_threads = False

    def __init__(self, delay_s: Callable[[], float]) -> None:
        """`delay_s` is asked once a batch, in seconds; a seeded one makes group commits of chosen sizes."""
        self._delay_s = delay_s
        self._waiting: list[Call] = []
        self._timer: asyncio.TimerHandle | None = None
        self._write: Write | None = None
        self._delivery: Delivery | None = None

    def start(self, write: Write, delivery: Delivery) -> None:
        """Remember whom to call."""
        self._write, self._delivery = write, delivery

    def put(self, call: Call) -> None:
        """Queue; the first of a batch sets the timer."""
        self._waiting.append(call)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s(), self._flush)

    async def stop(self) -> None:
        """Write what waits, now."""
        while self._timer is not None:
            self._timer.cancel()
            self._flush()

    def _flush(self) -> None:
        self._timer = None
        write, delivery = self._write, self._delivery
        if write is None or delivery is None:
            raise RuntimeError("put before start")
        batch, self._waiting = self._waiting[:BATCH_CALLS], self._waiting[BATCH_CALLS:]
        failure: Exception | None = RuntimeError("the journal's writer ended by an error of its own")
        try:
            written = write(batch)
            failure = None
        except ENDING as error:
            failure = error
            return
        finally:
            if failure is not None:
                self._waiting = []
                delivery.failed(failure)
        delivery.committed(written)
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s(), self._flush)
