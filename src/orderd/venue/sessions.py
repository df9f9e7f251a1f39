"""When the market is open: New York time, weekdays, the exchange's holidays and early closes.

Holidays follow the published rules, not a table, so any year works.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

NEW_YORK: Final = ZoneInfo("America/New_York")
PRE_OPEN: Final = time(4)
OPEN: Final = time(9, 30)
CLOSE: Final = time(16)
EARLY_CLOSE: Final = time(13)
POST_CLOSE: Final = time(20)
GTC_DAYS: Final = 89
"""A gtc order of 18 September was recorded to expire on 16 December (reference, section 4)."""

MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6
JUNETEENTH_SINCE: Final = 2022


class Phase(StrEnum):
    """What trades now."""

    CLOSED = "closed"
    EXTENDED = "extended"
    REGULAR = "regular"


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One trading day, New York times."""

    date: date
    open: time = OPEN
    close: time = CLOSE


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _last_monday_of_may(year: int) -> date:
    last = date(year, 5, 31)
    return last - timedelta(days=last.weekday())


def _easter(year: int) -> date:
    """Western Easter (the anonymous Gregorian computus)."""
    golden = year % 19
    century, in_century = divmod(year, 100)
    skipped, leap_century = divmod(century, 4)
    moon = (century + 8) // 25
    epact = (19 * golden + century - skipped - (century - moon + 1) // 3 + 15) % 30
    leaps, rest = divmod(in_century, 4)
    weekday = (32 + 2 * leap_century + 2 * leaps - epact - rest) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _observed(day: date) -> date:
    """Saturday holidays are kept on Friday, Sunday ones on Monday."""
    if day.weekday() == SATURDAY:
        return day - timedelta(days=1)
    return day + timedelta(days=1) if day.weekday() == SUNDAY else day


@lru_cache(maxsize=64)
def holidays(year: int) -> frozenset[date]:
    """The days of the year on which the exchange is closed besides weekends."""
    fixed = [date(year, 7, 4), date(year, 12, 25)]
    if year >= JUNETEENTH_SINCE:
        fixed.append(date(year, 6, 19))
    days = [_observed(day) for day in fixed]
    new_year = date(year, 1, 1)
    if new_year.weekday() != SATURDAY:  # a Saturday's New Year is not kept on the Friday before
        days.append(_observed(new_year))
    days += [
        _nth(year, 1, MONDAY, 3),
        _nth(year, 2, MONDAY, 3),
        _easter(year) - timedelta(days=2),
        _last_monday_of_may(year),
        _nth(year, 9, MONDAY, 1),
        _nth(year, 11, THURSDAY, 4),
    ]
    return frozenset(days)


def _closes_early(day: date) -> bool:
    return (day.month, day.day) in {(7, 3), (12, 24)} or day == _nth(day.year, 11, THURSDAY, 4) + timedelta(days=1)


@lru_cache(maxsize=4096)
def _exchange_day(day: date) -> Day | None:
    if day.weekday() >= SATURDAY or day in holidays(day.year):
        return None
    return Day(date=day, close=EARLY_CLOSE) if _closes_early(day) else Day(date=day)


def at(day: date, clock: time) -> datetime:
    """A New York wall time as UTC."""
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


class Sessions:
    """The exchange's calendar. With `is_always_open` every moment is a regular session (for demos and tests)."""

    def __init__(self, *, is_always_open: bool = False) -> None:
        self.is_always_open = is_always_open

    def day(self, day: date) -> Day | None:
        """The trading day on that date; None when the exchange is closed."""
        if self.is_always_open:
            return Day(date=day)
        return _exchange_day(day)

    def days(self, first: date, last: date) -> list[Day]:
        """The trading days of a range, both ends included."""
        dates = (first + timedelta(days=step) for step in range((last - first).days + 1))
        return [day for day in map(self.day, dates) if day is not None]

    def phase(self, now: datetime) -> Phase:
        """What trades at this moment."""
        if self.is_always_open:
            return Phase.REGULAR
        local = now.astimezone(NEW_YORK)
        day = self.day(local.date())
        if day is None:
            return Phase.CLOSED
        clock = local.time()
        if day.open <= clock < day.close:
            return Phase.REGULAR
        return Phase.EXTENDED if PRE_OPEN <= clock < POST_CLOSE else Phase.CLOSED

    def next_open(self, now: datetime, *, is_extended: bool = False) -> datetime:
        """The next moment strictly after now at which a session starts."""
        for day in self._from(now):
            start = at(day.date, PRE_OPEN if is_extended else day.open)
            if start > now:
                return start
        raise AssertionError("a calendar without end has a next session")

    def next_close(self, now: datetime, *, is_extended: bool = False) -> datetime:
        """The next moment strictly after now at which a session ends.

        Always open: the first 16:00 that is at least 12 hours away, so that no test meets a day's end by chance.
        """
        margin = timedelta(hours=12) if self.is_always_open else timedelta()
        for day in self._from(now):
            end = at(day.date, POST_CLOSE if is_extended else day.close)
            if end > now + margin:
                return end
        raise AssertionError("a calendar without end has a next close")

    def gtc_end(self, now: datetime) -> datetime:
        """When an order without a day limit is taken off the book."""
        return at(now.astimezone(NEW_YORK).date() + timedelta(days=GTC_DAYS), CLOSE)

    def previous_date(self, now: datetime) -> date:
        """The last trading date before today (New York)."""
        today = now.astimezone(NEW_YORK).date()
        return next(day.date for step in range(1, 15) if (day := self.day(today - timedelta(days=step))))

    def _from(self, now: datetime) -> Iterator[Day]:
        """The trading days from today on; two weeks hold every closure there is."""
        today = now.astimezone(NEW_YORK).date()
        for step in range(15):
            day = self.day(today + timedelta(days=step))
            if day is not None:
                yield day

    def settlement(self, traded: date) -> date:
        """The next trading day: when a trade of that date settles."""
        return next(day.date for step in range(1, 15) if (day := self.day(traded + timedelta(days=step))))
