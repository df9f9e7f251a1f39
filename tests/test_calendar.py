"""The exchange's calendar: holidays, early closes, summer time, and the day that the breaker counts in."""

import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.ports import Session
from orderd.system import EPOCH, ExchangeCalendar, sessions_of


@pytest.fixture(scope="module")
def calendar() -> ExchangeCalendar:
    return ExchangeCalendar(lambda: EPOCH, is_threaded=False)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def test_nothing_is_loaded_before_it_is_asked_for_and_then_once() -> None:
    loads: list[None] = []

    def now() -> datetime:
        loads.append(None)
        return EPOCH

    fresh = ExchangeCalendar(now)
    await fresh.ready()
    await fresh.ready()
    assert len(loads) == 1
    assert "pandas" in sys.modules
    assert fresh.is_regular(EPOCH)


@pytest.mark.parametrize(
    ("moment", "is_regular", "day", "next_open", "next_close"),
    [
        # a Monday in winter: to the second
        ("2026-01-05T14:29:59", False, "2026-01-02T14:30", "2026-01-05T14:30", "2026-01-05T21:00"),
        ("2026-01-05T14:30:00", True, "2026-01-05T14:30", "2026-01-06T14:30", "2026-01-05T21:00"),
        ("2026-01-05T20:59:59", True, "2026-01-05T14:30", "2026-01-06T14:30", "2026-01-05T21:00"),
        ("2026-01-05T21:00:00", False, "2026-01-05T14:30", "2026-01-06T14:30", "2026-01-06T21:00"),
        # midnight of New York belongs to the day before
        ("2026-01-06T05:00:00", False, "2026-01-05T14:30", "2026-01-06T14:30", "2026-01-06T21:00"),
        # summer time began on Sunday
        ("2026-03-09T13:30:00", True, "2026-03-09T13:30", "2026-03-10T13:30", "2026-03-09T20:00"),
        ("2026-03-08T12:00:00", False, "2026-03-06T14:30", "2026-03-09T13:30", "2026-03-09T20:00"),
        # Thanksgiving, and the early close after it
        ("2026-11-26T16:00:00", False, "2026-11-25T14:30", "2026-11-27T14:30", "2026-11-27T18:00"),
        ("2026-11-27T17:59:59", True, "2026-11-27T14:30", "2026-11-30T14:30", "2026-11-27T18:00"),
        ("2026-11-27T18:00:00", False, "2026-11-27T14:30", "2026-11-30T14:30", "2026-11-30T21:00"),
        # Independence Day on a Saturday is kept on Friday
        ("2026-07-03T15:00:00", False, "2026-07-02T13:30", "2026-07-06T13:30", "2026-07-06T20:00"),
    ],
)
def test_days_and_sessions(
    calendar: ExchangeCalendar, moment: str, is_regular: bool, day: str, next_open: str, next_close: str
) -> None:
    asked = at(moment)
    assert calendar.is_regular(asked) is is_regular
    assert (calendar.session(asked) is not None) is is_regular
    assert calendar.day_of(asked) == at(day)
    assert calendar.next_open(asked) == at(next_open)
    assert calendar.next_close(asked) == at(next_close)


def test_an_early_close_is_a_short_session(calendar: ExchangeCalendar) -> None:
    short = Session(opened=at("2026-12-24T14:30"), closed=at("2026-12-24T18:00"))
    assert calendar.session(at("2026-12-24T15:00")) == short


def test_a_clock_far_away_is_no_reason_to_fail(calendar: ExchangeCalendar) -> None:
    assert calendar.day_of(at("2031-03-03T15:00")) == at("2031-03-03T14:30")
    assert calendar.next_open(at("1999-12-31T23:00")) == at("2000-01-03T14:30")
    assert calendar.is_regular(EPOCH)


@given(minutes=st.integers(-60 * 24 * 300, 60 * 24 * 300))
def test_every_moment_is_in_exactly_one_day(minutes: int) -> None:
    calendar = ExchangeCalendar(lambda: EPOCH, is_threaded=False)
    moment = EPOCH + timedelta(minutes=minutes)
    day, following = calendar.day_of(moment), calendar.next_open(moment)
    assert day <= moment < following
    assert calendar.day_of(following - timedelta(microseconds=1)) == day
    assert calendar.next_open(day) == following
    assert moment.tzinfo is day.tzinfo is UTC
    session = calendar.session(moment)
    assert session is None or session.opened == day


def test_sessions_are_in_order_and_never_touch() -> None:
    sessions = sessions_of(2025, 2028)
    assert all(one.opened < one.closed < other.opened for one, other in pairwise(sessions))
