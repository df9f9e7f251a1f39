"""The breaker: what trips it, for how long, and that the same records always make the same value."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.risk.breaker import (
    REMEMBERED,
    Base,
    Breaker,
    Cause,
    Fact,
    Morning,
    Reset,
    Result,
    allowed_loss,
    fold,
    tripped,
)
from orderd.risk.limits import Limits
from tests.core.builders import dec

MONDAY = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)
LIMITS = Limits(max_daily_loss_percent=Decimal(2), max_losses_in_a_row=3)
STREAK = Limits(max_losses_in_a_row=3)


_numbers = count()


def result(pnl: str | None, day: datetime = MONDAY, *, result_id: str = "", before: str | None = None) -> Result:
    """A new result, unless its id and what it was are given."""
    return Result(
        result_id=result_id or f"r-{next(_numbers)}",
        at=day + timedelta(hours=1),
        day=day,
        pnl=dec(pnl),
        before=dec(before),
    )


def base(equity: str = "10000", day: datetime = MONDAY) -> Base:
    return Base(at=day, day=day, equity=Decimal(equity))


def reset(day: datetime = MONDAY) -> Reset:
    return Reset(at=day + timedelta(hours=2), day=day)


def morning(day: datetime) -> Morning:
    return Morning(at=day, day=day)


def after(*facts: Fact, limits: Limits = LIMITS) -> Breaker:
    breaker = Breaker()
    for fact in facts:
        breaker = fold(breaker, fact, limits)
    return breaker


def cause(*facts: Fact, limits: Limits = LIMITS) -> Cause | None:
    trip = after(*facts, limits=limits).trip
    return None if trip is None else trip.cause


def test_nothing_is_not_tripped() -> None:
    assert tripped(Breaker(), MONDAY) == ""
    assert allowed_loss(Breaker(), LIMITS) is None
    assert allowed_loss(after(base()), STREAK) is None
    assert not Limits().has_breaker
    assert LIMITS.has_breaker
    assert STREAK.has_breaker


# ------------------------------------------------------------------------------------------------------ the daily loss


@pytest.mark.parametrize(("lost", "trips"), [("-199.99", False), ("-200", True), ("-200.01", True), ("500", False)])
def test_it_trips_at_the_daily_limit_exactly(lost: str, trips: bool) -> None:
    breaker = after(base(), result(lost))
    assert allowed_loss(breaker, LIMITS) == 200
    assert (breaker.trip is not None) is trips
    if breaker.trip is not None:
        assert breaker.trip.cause is Cause.DAILY_LOSS
        assert breaker.trip.at == MONDAY + timedelta(hours=1)
        assert tripped(breaker, MONDAY) == f"{lost.lstrip('-')} lost on the day, the limit is 200"


def test_wins_count_against_losses() -> None:
    assert cause(base(), result("100"), result("-250")) is None
    assert cause(base(), result("100"), result("-300")) is Cause.DAILY_LOSS


def test_the_first_equity_of_a_day_stands_and_may_come_after_the_losses() -> None:
    assert after(base("10000"), base("5")).base == 10000
    assert cause(result("-200")) is None
    assert cause(result("-200"), base()) is Cause.DAILY_LOSS
    assert cause(base("0"), result("0")) is None
    assert after(base(day=TUESDAY), base("5", MONDAY)).base == 10000


def test_a_result_that_grows_or_is_restated_stays_one_result() -> None:
    first = result("-150", result_id="a")
    grown = result("-200", result_id="a", before="-150")
    assert cause(base(), first, grown) is Cause.DAILY_LOSS
    assert after(base(), first, grown).losses_in_a_row == 1
    turned = after(result("-1"), result("5", result_id="a"), result("-1"), result("-5", result_id="a", before="5"))
    assert (turned.losses_in_a_row, turned.realised) == (3, -7)
    assert after(first, result("3", result_id="a", before="-150")).losses_in_a_row == 0


def test_a_result_that_was_taken_back_never_was() -> None:
    back = after(result("-1"), result("-9", result_id="a"), result(None, result_id="a", before="-9"))
    assert (back.losses_in_a_row, back.realised) == (1, -1)
    assert after(result(None, result_id="a", before="-9")).realised == 9


def test_what_is_restated_of_an_earlier_day_moves_no_money_of_today() -> None:
    breaker = after(result("-5", result_id="a"), result("1", TUESDAY), result("-400", result_id="a", before="-5"))
    assert breaker.realised == 1


def test_only_so_many_results_are_remembered() -> None:
    many = after(*[result("-1", result_id=f"{number}") for number in range(REMEMBERED + 9)], limits=Limits())
    assert (many.losses_in_a_row, many.realised) == (REMEMBERED, -(REMEMBERED + 9))
    late = fold(many, result("50", result_id="0", before="-1"), Limits())
    assert (late.losses_in_a_row, late.realised) == (REMEMBERED, many.realised + 51)
    far = Limits(max_losses_in_a_row=REMEMBERED + 5)
    assert cause(*[result("-1") for _ in range(REMEMBERED + 4)], limits=far) is None
    assert cause(*[result("-1") for _ in range(REMEMBERED + 5)], limits=far) is Cause.LOSSES_IN_A_ROW


# ---------------------------------------------------------------------------------------------------------- the streak


def test_losses_in_a_row_trip_it_whatever_they_cost() -> None:
    assert cause(result("-1"), result("0")) is None
    assert cause(result("-1"), result("0"), result("-0.01")) is Cause.LOSSES_IN_A_ROW
    assert "3 losing trades in a row" in tripped(after(*[result("-1") for _ in range(3)]), MONDAY)


def test_a_win_resets_the_streak_and_zero_is_a_loss() -> None:
    assert after(result("-1"), result("-1"), result("0.01"), result("0")).losses_in_a_row == 1
    assert cause(result("-1"), result("-1"), result("0.01"), result("-1"), result("-1")) is None


def test_a_streak_goes_on_overnight_unless_it_has_tripped() -> None:
    assert cause(result("-1"), result("-1"), result("-1", TUESDAY)) is Cause.LOSSES_IN_A_ROW
    spent = after(*[result("-1") for _ in range(4)], result("-1", TUESDAY))
    assert (spent.losses_in_a_row, spent.trip) == (1, None)


# ------------------------------------------------------------------------------------------------------ for how long


def test_it_is_sticky_for_its_day() -> None:
    restated = result("0", result_id="a", before="-200")
    breaker = after(base(), result("-200", result_id="a"), result("500"), restated)
    assert breaker.realised == 500
    assert tripped(breaker, MONDAY)
    assert tripped(breaker, MONDAY - timedelta(days=1)), "a clock that was set back frees nobody"
    assert not tripped(breaker, TUESDAY)
    assert fold(breaker, morning(MONDAY), LIMITS) == breaker
    assert fold(breaker, morning(TUESDAY), LIMITS) == Breaker(day=TUESDAY)


def test_the_first_cause_is_the_one_that_is_told() -> None:
    assert cause(base(), result("-200"), result("-1"), result("-1")) is Cause.DAILY_LOSS


def test_a_new_day_begins_with_nothing_but_the_streak() -> None:
    breaker = after(base(), result("-150"), result("-1", TUESDAY))
    assert (breaker.realised, breaker.base, breaker.losses_in_a_row, breaker.day) == (-1, None, 2, TUESDAY)


def test_a_late_result_of_yesterday_moves_no_money_of_today() -> None:
    breaker = after(base(day=TUESDAY), result("-500", MONDAY))
    assert (breaker.realised, breaker.losses_in_a_row, breaker.trip, breaker.day) == (0, 1, None, TUESDAY)


def test_a_reset_frees_at_once_and_gives_the_allowance_anew() -> None:
    facts = (base(), result("-200"), reset())
    assert after(*facts).trip is None
    assert after(*facts).realised == -200
    assert cause(*facts, result("-199")) is None
    assert cause(*facts, result("-200")) is Cause.DAILY_LOSS
    assert cause(result("-1"), result("-1"), reset(), result("-1"), result("-1")) is None


# ---------------------------------------------------------------------------------------------------------- properties

DAYS = st.sampled_from([MONDAY + timedelta(days=number) for number in range(4)])
PNL = st.decimals(min_value=-300, max_value=300, places=2)
FACTS = st.lists(
    st.one_of(
        st.builds(result, PNL.map(str), DAYS),
        st.builds(base, st.sampled_from(["10000", "5000", "0"]), DAYS),
        st.builds(reset, DAYS),
        st.builds(morning, DAYS),
        st.builds(
            lambda day, number, pnl, before: result(pnl, day, result_id=f"k-{number}", before=before),
            DAYS,
            st.integers(0, 3),
            st.none() | PNL.map(str),
            st.none() | PNL.map(str),
        ),
    ),
    max_size=40,
)


@given(facts=FACTS, cut=st.integers(0, 40))
def test_rebuilding_from_the_same_records_gives_the_same_value(facts: list[Fact], cut: int) -> None:
    """Also from what was kept in the middle, as after a restart."""
    whole = after(*facts)
    assert after(*facts) == whole
    kept = after(*facts[:cut])
    for fact in facts[cut:]:
        kept = fold(kept, fact, LIMITS)
    assert kept == whole


@given(facts=FACTS)
def test_once_tripped_only_a_reset_or_a_later_day_frees_it(facts: list[Fact]) -> None:
    breaker = Breaker()
    for fact in facts:
        before, breaker = breaker, fold(breaker, fact, LIMITS)
        freed = before.trip is not None and breaker.trip is None
        assert not freed or isinstance(fact, Reset) or fact.day > (before.day or fact.day)


@given(pnls=st.lists(PNL, max_size=30))
def test_on_one_day_the_money_is_the_sum_and_the_streak_is_the_tail_of_losses(pnls: list[Decimal]) -> None:
    breaker = after(*(result(str(pnl)) for pnl in pnls), limits=Limits())
    assert breaker.realised == sum(pnls)
    tail = 0
    for pnl in reversed(pnls):
        if pnl > 0:
            break
        tail += 1
    assert breaker.losses_in_a_row == tail
    assert breaker.trip is None
