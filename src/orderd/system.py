"""Time, ids, randomness and the exchange's calendar: the real ones, and the ones a simulation runs on.

Everything else is passed these, so a seed and a virtual clock replay a run to the last byte.
"""

import asyncio
import importlib
import random
import selectors
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import uuid_utils

from orderd.ports import Session

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

    def doze(self, seconds: float) -> None:
        """Let time pass in which nothing happens, as on a machine that sleeps: what was due by then is late."""
        self._virtual.now += seconds


def run_virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main` on a fresh virtual loop to its end. Raises StalledError when nothing can happen any more."""

    async def body() -> T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body())


EXCHANGE = "NYSE"
YEARS_BACK, YEARS_AHEAD = 1, 2


@cache
def sessions_of(first_year: int, last_year: int) -> tuple[Session, ...]:
    """The exchange's regular sessions of whole years, oldest first.

    Importing the library (it brings pandas) takes a second and 70 MB, so it is done by whoever needs a calendar.
    """
    library: Any = importlib.import_module("pandas_market_calendars")
    schedule = library.get_calendar(EXCHANGE).schedule(f"{first_year}-01-01", f"{last_year}-12-31", tz="UTC")
    opens, closes = schedule["market_open"], schedule["market_close"]
    return tuple(
        Session(
            opened=opened.to_pydatetime().astimezone(UTC),
            closed=closed.to_pydatetime().astimezone(UTC),
        )
        for opened, closed in zip(opens, closes, strict=True)
    )


class ExchangeCalendar:
    """New York's regular sessions, with holidays and early closes, from pandas-market-calendars."""

    def __init__(self, now: Callable[[], datetime], *, is_threaded: bool = True) -> None:
        """Nothing is loaded yet. `is_threaded` is off where no thread may exist: in simulations."""
        self._now = now
        self._is_threaded = is_threaded
        self._years = (0, -1)
        self._sessions: tuple[Session, ...] = ()
        self._opens: list[datetime] = []
        self._closes: list[datetime] = []

    async def ready(self) -> None:
        """Load the years around now, once."""
        if self._sessions:
            return
        years = self._years_around(self._now())
        if self._is_threaded:
            self._keep(years, await asyncio.to_thread(sessions_of, *years))
        else:
            self._keep(years, sessions_of(*years))

    def session(self, moment: datetime) -> Session | None:
        """The regular session this moment is in, None between two."""
        index = self._index_of_day(moment)
        found = self._sessions[index]
        return found if moment < found.closed else None

    def is_regular(self, moment: datetime) -> bool:
        """Whether the exchange is in its regular session."""
        return self.session(moment) is not None

    def day_of(self, moment: datetime) -> datetime:
        """The last regular open at or before: it names the day [regular open, next regular open)."""
        index = self._index_of_day(moment)
        return self._opens[index]

    def next_open(self, after: datetime) -> datetime:
        """The first regular open later than this."""
        index = self._index_of_day(after)
        return self._opens[index + 1]

    def next_close(self, after: datetime) -> datetime:
        """The first regular close later than this."""
        self._cover(after)
        return self._closes[bisect_right(self._closes, after)]

    def _index_of_day(self, moment: datetime) -> int:
        self._cover(moment)
        return bisect_right(self._opens, moment) - 1

    def _cover(self, moment: datetime) -> None:
        """A moment at the edge of what was loaded, as a clock that was set far away has it: load more, here and now."""
        if not self._years[0] < moment.year < self._years[1]:
            years = self._years_around(moment)
            self._keep(years, sessions_of(*years))

    def _years_around(self, moment: datetime) -> tuple[int, int]:
        return moment.year - YEARS_BACK, moment.year + YEARS_AHEAD

    def _keep(self, years: tuple[int, int], sessions: tuple[Session, ...]) -> None:
        self._years, self._sessions = years, sessions
        self._opens = [session.opened for session in sessions]
        self._closes = [session.closed for session in sessions]
