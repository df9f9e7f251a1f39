"""Clocks and ids: the real ones behave, the virtual ones repeat themselves."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from orderd.system import EPOCH, SeededIds, StalledError, SystemClock, SystemIds, VirtualClock, run_virtual


async def test_the_system_clock_is_utc_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 1
    before = clock.monotonic_ns()
    await clock.sleep(0.01)
    assert clock.monotonic_ns() - before >= 9_000_000


def test_system_ids_are_uuid7_and_rise() -> None:
    ids = SystemIds()
    made = [ids.new() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert made == sorted(made)
    assert {uuid.UUID(each).version for each in made} == {7}
    assert all(0 <= ids.jitter() < 1 for _ in range(100))


def test_seeded_ids_repeat_with_their_seed_and_differ_without_it() -> None:
    def draw(seed: int) -> list[str | float]:
        ids = SeededIds(seed, lambda: EPOCH)
        return [ids.new(), ids.new(), ids.jitter(), ids.new()]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_seeded_ids_are_uuid7_and_rise_within_one_moment() -> None:
    ids = SeededIds(3, lambda: EPOCH)
    made = [ids.new() for _ in range(1000)]
    assert made == sorted(set(made))
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in made} == {(7, uuid.RFC_4122)}


def test_virtual_time_passes_only_in_sleep_and_costs_nothing() -> None:
    async def body() -> tuple[int, datetime]:
        clock = VirtualClock()
        assert (clock.monotonic_ns(), clock.now()) == (0, EPOCH)
        await clock.sleep(86_400)
        return clock.monotonic_ns(), clock.now()

    began = time.monotonic()
    assert run_virtual(body) == (86_400 * 10**9, EPOCH + timedelta(days=1))
    assert time.monotonic() - began < 5


def test_tasks_meet_in_virtual_time_in_the_order_of_their_timers() -> None:
    async def body() -> list[str]:
        clock, met = VirtualClock(), []

        async def wait(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            met.append(f"{name}@{clock.monotonic_ns() // 10**9}")

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("late", 30), ("early", 10), ("middle", 20)):
                group.create_task(wait(name, seconds))
        return met

    assert run_virtual(body) == ["early@10", "middle@20", "late@30"]


def test_timeouts_run_in_virtual_time() -> None:
    async def body() -> int:
        clock = VirtualClock()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.get_running_loop().create_future()
        return clock.monotonic_ns()

    assert run_virtual(body) == 3600 * 10**9


def test_a_stepped_wall_clock_leaves_the_monotonic_one_alone() -> None:
    async def body() -> None:
        clock = VirtualClock()
        clock.skew = timedelta(days=-1)
        assert clock.now() == EPOCH - timedelta(days=1)
        assert clock.monotonic_ns() == 0

    run_virtual(body)


def test_a_simulation_in_which_nothing_can_happen_says_so() -> None:
    async def body() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StalledError):
        run_virtual(body)
