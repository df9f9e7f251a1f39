"""The exchange's calendar, and where quotes come from."""

import random
from datetime import UTC, date, datetime, time, timedelta

import pytest

from orderd.venue.assets import DEFAULT_ASSETS, Assets, contract_of, option_symbol
from orderd.venue.orders import Status
from orderd.venue.quotes import Walk, read_tape
from orderd.venue.sessions import Phase, Sessions, holidays
from tests.venue.desk import THURSDAY, Desk, d

NYSE = Sessions()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_the_holidays_of_2026() -> None:
    assert sorted(holidays(2026)) == [
        date(2026, 1, 1),
        date(2026, 1, 19),
        date(2026, 2, 16),
        date(2026, 4, 3),
        date(2026, 5, 25),
        date(2026, 6, 19),
        date(2026, 7, 3),
        date(2026, 9, 7),
        date(2026, 11, 26),
        date(2026, 12, 25),
    ]


@pytest.mark.parametrize(("year", "good_friday"), [(2020, (4, 10)), (2024, (3, 29)), (2025, (4, 18)), (2027, (3, 26))])
def test_good_friday(year: int, good_friday: tuple[int, int]) -> None:
    assert date(year, *good_friday) in holidays(year)


def test_a_saturday_s_new_year_is_not_kept_and_juneteenth_began_in_2022() -> None:
    assert date(2021, 12, 31) not in holidays(2021)
    assert not [day for day in holidays(2021) if day.month == 6]
    assert date(2022, 6, 20) in holidays(2022)


@pytest.mark.filterwarnings("ignore")  # the library's own business
def test_agreement_with_the_calendar_library_over_a_decade() -> None:
    calendars = pytest.importorskip("pandas_market_calendars")
    schedule = calendars.get_calendar("NYSE").schedule("2019-01-01", "2030-12-31", tz="America/New_York")
    theirs = {row.market_open.date(): row.market_close.time() for row in schedule.itertuples()}
    ours = {day.date: day.close for day in NYSE.days(date(2019, 1, 1), date(2030, 12, 31))}
    mourning = {date(2025, 1, 9)}  # a president's funeral: no rule foretells it
    assert set(ours) - mourning == set(theirs)
    differing = {day for day in theirs if ours[day] != theirs[day]}
    assert differing == set()


@pytest.mark.parametrize(
    ("moment", "phase"),
    [
        (utc(2026, 10, 8, 7, 59), Phase.CLOSED),
        (utc(2026, 10, 8, 8, 0), Phase.EXTENDED),
        (utc(2026, 10, 8, 13, 29, 59), Phase.EXTENDED),
        (utc(2026, 10, 8, 13, 30), Phase.REGULAR),
        (utc(2026, 10, 8, 19, 59, 59), Phase.REGULAR),
        (utc(2026, 10, 8, 20, 0), Phase.EXTENDED),
        (utc(2026, 10, 9, 0, 0), Phase.CLOSED),
        (utc(2026, 10, 10, 15, 0), Phase.CLOSED),
        (utc(2026, 11, 26, 15, 0), Phase.CLOSED),
        (utc(2026, 11, 27, 17, 59), Phase.REGULAR),
        (utc(2026, 11, 27, 18, 0), Phase.EXTENDED),
        (utc(2026, 12, 8, 14, 30), Phase.REGULAR),
    ],
)
def test_phases(moment: datetime, phase: Phase) -> None:
    assert NYSE.phase(moment) is phase


def test_next_open_and_close_go_over_the_weekend() -> None:
    friday_night = utc(2026, 10, 9, 22, 0)
    assert NYSE.next_open(friday_night) == utc(2026, 10, 12, 13, 30)
    assert NYSE.next_close(friday_night) == utc(2026, 10, 12, 20, 0)
    assert NYSE.next_close(friday_night, is_extended=True) == utc(2026, 10, 10, 0, 0)
    assert NYSE.previous_date(utc(2026, 10, 12, 15, 0)) == date(2026, 10, 9)


def test_an_always_open_venue_trades_on_sunday_and_closes_half_a_day_away_at_least() -> None:
    always = Sessions(is_always_open=True)
    for hours in range(48):
        now = utc(2026, 10, 11, 0, 0) + timedelta(hours=hours)
        assert always.phase(now) is Phase.REGULAR
        assert timedelta(hours=12) < always.next_close(now) - now <= timedelta(hours=37)
    assert [day.date.isoweekday() for day in always.days(date(2026, 10, 10), date(2026, 10, 11))] == [6, 7]


def test_early_closes_on_the_day_after_thanksgiving_and_before_christmas() -> None:
    days = NYSE.days(date(2026, 11, 27), date(2026, 12, 24))
    early = [day.date for day in days if day.close == time(13)]
    assert early == [date(2026, 11, 27), date(2026, 12, 24)]


# --- quotes -------------------------------------------------------------------------------------------


def test_the_walk_is_seeded_and_never_crosses() -> None:
    def walked(seed: int) -> list[tuple[str, str]]:
        source = Walk(random.Random(seed), THURSDAY, timedelta(milliseconds=250), DEFAULT_ASSETS)
        desk = Desk(source=source)
        desk.go(ms=60_000)
        for quote in desk.venue.state.quotes.all():
            assert 0 < quote.bid < quote.last < quote.ask
        return [(quote.symbol, str(quote.last)) for quote in desk.venue.state.quotes.all()]

    assert walked(1) == walked(1)
    assert walked(1) != walked(2)


def test_a_resting_order_is_met_by_the_walk() -> None:
    desk = Desk(source=Walk(random.Random(1), THURSDAY, timedelta(milliseconds=250), DEFAULT_ASSETS))
    order = desk.submit()
    desk.go(ms=1000)
    assert desk.see(order).status is Status.FILLED


def test_a_tape_moves_the_market_at_its_seconds() -> None:
    tape = read_tape(
        ["seconds,symbol,bid,ask,last", "1,AAPL,200,200.1,", "1,F,12,12.01,12.005", "2.5,AAPL,210,210.1,209"],
        THURSDAY,
    )
    desk = Desk(source=tape)
    order = desk.limit("250", quantity=d(1), symbol="F")
    assert desk.see(order).average_price == d("11.01")
    desk.go(ms=1000)
    assert (desk.venue.quote("AAPL").last, desk.venue.quote("F").last) == (d("200.05"), d("12.005"))
    desk.go(ms=5000)
    assert desk.venue.quote("AAPL").last == 209
    assert tape.next_at() is None


@pytest.mark.parametrize(
    "line", ["x,AAPL,1,2,", "1,AAPL,one,2,", "1,AAPL,-1,2,", "1,AAPL,NaN,2,", "1,AAPL", "1,AAPL,1,2,z"]
)
def test_a_tape_that_cannot_be_read_names_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        read_tape(["seconds,symbol,bid,ask,last", line], THURSDAY)


def test_an_empty_side_means_that_nobody_is_there() -> None:
    desk = Desk()
    desk.quote("0", "0")
    order = desk.submit()
    desk.go()
    assert desk.see(order).status is Status.NEW


def test_a_quote_for_nobody_is_an_error() -> None:
    with pytest.raises(LookupError):
        Desk().venue.set_quote("NOBODY", d(1), d(2))


# --- instruments --------------------------------------------------------------------------------------


def test_asset_ids_depend_on_the_symbol_only() -> None:
    assert [a.asset_id for a in Assets().all()] == [a.asset_id for a in Assets(reversed(DEFAULT_ASSETS)).all()][::-1]


def test_a_pair_is_found_with_and_without_its_slash_and_by_id() -> None:
    assets = Assets()
    pair = assets.find("BTC/USD")
    assert pair is not None
    assert assets.find("BTCUSD") is pair
    assert assets.find(pair.asset_id) is pair


@pytest.mark.parametrize("symbol", ["AAPL261120C00190000", "F261120P00000500", "SPY271217C01234567"])
def test_option_symbols_go_round(symbol: str) -> None:
    contract = contract_of(symbol)
    assert contract is not None
    assert option_symbol(contract) == symbol


@pytest.mark.parametrize("symbol", ["AAPL", "AAPL261340C00190000", "AAPL261120X00190000", "aapl261120C00190000", ""])
def test_what_is_no_option_symbol(symbol: str) -> None:
    assert contract_of(symbol) is None


def test_an_option_on_an_unknown_share_is_unknown() -> None:
    assert Assets().find("ZZZZ261120C00190000") is None
