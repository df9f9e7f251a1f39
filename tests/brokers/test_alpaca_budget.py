"""The request budget: never a request too many in any minute, and the urgent ones always have room."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.brokers.alpaca.budget import Budget
from orderd.ports import Lane
from orderd.system import EPOCH, VirtualClock, run_virtual

MINUTE_NS = 60 * 10**9


def headers(limit: int, remaining: int, reset: int) -> dict[str, str]:
    return {"x-ratelimit-limit": str(limit), "x-ratelimit-remaining": str(remaining), "x-ratelimit-reset": str(reset)}


@given(
    st.integers(min_value=5, max_value=60),
    st.lists(st.tuples(st.sampled_from(list(Lane)), st.integers(min_value=0, max_value=4000)), max_size=150),
)
def test_no_minute_ever_holds_more_than_the_limit(limit: int, asked: list[tuple[Lane, int]]) -> None:
    sent: list[int] = []

    async def body() -> None:
        clock = VirtualClock()
        budget = Budget(clock, limit)
        for lane, pause_ms in asked:
            await clock.sleep(pause_ms / 1000)
            await budget.take(lane)
            sent.append(clock.monotonic_ns())

    run_virtual(body)
    for start in sent:
        assert sum(start <= each < start + MINUTE_NS for each in sent) <= limit


@pytest.mark.parametrize(
    ("lane", "share"), [(Lane.CANCEL, 100), (Lane.EXIT, 100), (Lane.LOOKUP, 90), (Lane.ENTRY, 70), (Lane.READ, 60)]
)
def test_each_lane_has_its_share_and_then_waits(lane: Lane, share: int) -> None:
    async def body() -> None:
        clock = VirtualClock()
        budget = Budget(clock, 100)
        for _ in range(share):
            assert budget.wait_s(lane) == 0
            await budget.take(lane)
        assert 60 < budget.wait_s(lane) <= 61
        await budget.take(lane)
        assert clock.monotonic_ns() >= MINUTE_NS

    run_virtual(body)


def test_entries_that_used_theirs_up_leave_cancels_a_fifth_and_reads_a_tenth() -> None:
    async def body() -> None:
        clock = VirtualClock()
        budget = Budget(clock, 200)
        for _ in range(140):
            await budget.take(Lane.ENTRY)
        assert budget.wait_s(Lane.ENTRY) > 0
        for _ in range(20):
            assert budget.wait_s(Lane.READ) == 0
            await budget.take(Lane.READ)
        assert budget.wait_s(Lane.READ) > 0
        assert budget.wait_s(Lane.ENTRY) > 0
        for _ in range(40):
            assert budget.wait_s(Lane.CANCEL) == 0
            await budget.take(Lane.CANCEL)
        assert budget.wait_s(Lane.CANCEL) > 0

    run_virtual(body)


def test_reads_that_had_theirs_leave_entries_four_fifths() -> None:
    async def body() -> None:
        budget = Budget(VirtualClock(), 200)
        for _ in range(120):
            await budget.take(Lane.READ)
        assert budget.wait_s(Lane.READ) > 0
        for _ in range(40):
            assert budget.wait_s(Lane.ENTRY) == 0
            await budget.take(Lane.ENTRY)
        assert budget.wait_s(Lane.ENTRY) > 0

    run_virtual(body)


def test_lookups_that_used_theirs_up_leave_cancels_and_exits_a_tenth() -> None:
    async def body() -> None:
        budget = Budget(VirtualClock(), 200)
        for _ in range(180):
            await budget.take(Lane.LOOKUP)
        assert budget.wait_s(Lane.LOOKUP) > 0
        for lane in (Lane.CANCEL, Lane.EXIT) * 10:
            assert budget.wait_s(lane) == 0
            await budget.take(lane)
        assert budget.wait_s(Lane.CANCEL) > 0

    run_virtual(body)


def test_the_headers_correct_the_count_down_and_the_limit_up() -> None:
    async def body() -> None:
        clock = VirtualClock()
        budget = Budget(clock, 200)
        reset = int(EPOCH.timestamp()) + 30
        ticket = await budget.take(Lane.READ)
        budget.learn(ticket, headers(200, 2, reset))  # somebody else uses the key
        await budget.take(Lane.CANCEL)
        await budget.take(Lane.CANCEL)
        assert 29 < budget.wait_s(Lane.CANCEL) <= 30
        assert budget.wait_s(Lane.ENTRY) > 0
        await clock.sleep(30.5)
        assert budget.wait_s(Lane.CANCEL) == budget.wait_s(Lane.READ) == 0
        budget.learn(await budget.take(Lane.READ), headers(1000, 999, reset + 60))
        assert budget.limit == 1000

    run_virtual(body)


def test_an_older_answer_does_not_raise_what_a_newer_one_lowered() -> None:
    async def body() -> None:
        clock = VirtualClock()
        budget = Budget(clock, 200)
        reset = int(EPOCH.timestamp()) + 30
        first, second = await budget.take(Lane.READ), await budget.take(Lane.READ)
        budget.learn(second, headers(200, 0, reset))
        budget.learn(first, headers(200, 150, reset))
        assert budget.wait_s(Lane.CANCEL) > 0
        budget.learn(first, headers(200, 199, reset - 60))
        assert budget.wait_s(Lane.CANCEL) > 0

    run_virtual(body)


@pytest.mark.parametrize("skew_days", [-1, 1])
def test_a_wall_clock_that_lies_costs_a_minute_at_most(skew_days: int) -> None:
    async def body() -> None:
        clock = VirtualClock()
        clock.skew = timedelta(days=skew_days)
        budget = Budget(clock, 200)
        ticket = await budget.take(Lane.READ)
        budget.learn(ticket, headers(200, 0, int(EPOCH.timestamp()) + 30))
        assert budget.wait_s(Lane.CANCEL) <= 61

    run_virtual(body)


@pytest.mark.parametrize("value", ["", "-1", "many", "1.5", "9" * 400, "\u0662"])
def test_headers_that_make_no_sense_change_nothing_for_long(value: str) -> None:
    async def body() -> None:
        clock = VirtualClock()
        budget = Budget(clock, 200)
        ticket = await budget.take(Lane.READ)
        for name in ("limit", "remaining", "reset"):
            told = headers(200, 199, int(EPOCH.timestamp()) + 30) | {f"x-ratelimit-{name}": value}
            budget.learn(ticket, told)
        assert budget.wait_s(Lane.ENTRY) == 0
        budget.learn(ticket, {})

    run_virtual(body)


def test_after_a_429_entries_and_reads_pause_and_cancels_do_not() -> None:
    async def body() -> None:
        clock = VirtualClock()
        budget = Budget(clock, 200)
        budget.exhausted()
        assert budget.wait_s(Lane.CANCEL) == budget.wait_s(Lane.EXIT) == budget.wait_s(Lane.LOOKUP) == 0
        assert budget.wait_s(Lane.ENTRY) == budget.wait_s(Lane.READ) == 5
        await clock.sleep(5)
        assert budget.wait_s(Lane.ENTRY) == 0

    run_virtual(body)


def test_a_budget_that_leaves_a_lane_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 5"):
        Budget(VirtualClock(), 4)
