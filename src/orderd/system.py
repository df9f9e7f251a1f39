"""Time, ids and randomness: the real ones, and the ones a simulation runs on.

Everything else is passed these, so a seed and a virtual clock replay a run to the last byte.
"""

import asyncio
import random
import selectors
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import uuid_utils

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")

EPOCH = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
"""When simulations begin unless told otherwise: the opening bell of a Monday in winter."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Aware UTC wall time; may jump."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back within this process."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SystemIds:
    """UUIDv7 ids and unpredictable jitter."""

    def __init__(self) -> None:
        """Seed the jitter from the operating system."""
        self._random = random.Random()

    def new(self) -> str:
        """Return a UUIDv7."""
        return str(uuid_utils.uuid7())

    def jitter(self) -> float:
        """Return a uniform number in [0, 1)."""
        return self._random.random()


class VirtualClock:
    """The running loop's time as wall and monotonic clock: on a `VirtualLoop` it moves only when all tasks wait.

    `skew` moves the wall clock alone, the way a stepped system clock does.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        """Begin at `start` (aware)."""
        self._start = start
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """Virtual wall time."""
        return self._start + timedelta(microseconds=self.monotonic_ns() // 1000) + self.skew

    def monotonic_ns(self) -> int:
        """Virtual nanoseconds since the loop began."""
        return round(asyncio.get_running_loop().time() * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)


class SeededIds:
    """Ids and jitter from a seed: UUIDv7-shaped, growing with the clock, never two alike."""

    def __init__(self, seed: int, now: Callable[[], datetime]) -> None:
        """Draw everything from `seed`; `now` gives the ids their time."""
        self._random = random.Random(seed)
        self._now = now
        self._last = 0

    def new(self) -> str:
        """Return a UUIDv7 whose 74 free bits come from the seed."""
        millis = int(self._now().timestamp() * 1000)
        number = (millis << 80) | (0x7 << 76) | (self._random.getrandbits(12) << 64)
        number |= (0b10 << 62) | self._random.getrandbits(62)
        # Two ids of one millisecond keep the order they were made in.
        self._last = number if number > self._last else self._last + 1
        digits = f"{self._last:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def jitter(self) -> float:
        """Return a uniform number in [0, 1) from the seed."""
        return self._random.random()


class StalledError(RuntimeError):
    """A simulation in which nothing can happen any more: every task waits and no timer is set."""


class _NoSelector(selectors.BaseSelector):
    """Waits for nothing: the time until the next timer passes at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}

    def register(self, fileobj: "FileDescriptorLike", events: int, data: object = None) -> selectors.SelectorKey:
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StalledError("every task waits and no timer is set")
        self.now += max(timeout, 0.0)
        return []

    def get_map(self) -> "Mapping[FileDescriptorLike, selectors.SelectorKey]":
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer. No sockets, no threads: a pure function of its tasks."""

    def __init__(self) -> None:
        """Begin at time zero."""
        self._virtual = _NoSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual.now


def run_virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main` on a fresh virtual loop to its end. Raises StalledError when nothing can happen any more."""

    async def body() -> T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body())
