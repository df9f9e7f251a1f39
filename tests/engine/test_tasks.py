"""Tasks that run once at a time lose nothing that is asked meanwhile."""

import asyncio

import pytest

from orderd.engine.account import EndingError, Tasks


async def test_what_is_asked_while_it_runs_is_run_once_more() -> None:
    ran: list[int] = []
    gate = asyncio.Event()

    async def work() -> None:
        ran.append(len(ran))
        await gate.wait()

    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        for _ in range(5):
            tasks.start_once(work, "a", "1")
        tasks.start_once(work, "a", "2")
        await asyncio.sleep(0)
        assert len(ran) == 2
        gate.set()
    assert len(ran) == 3, "five asked at once are one run and one more"


async def test_a_failing_task_is_not_started_again_and_ends_the_group() -> None:
    ran = 0

    async def work() -> None:
        nonlocal ran
        ran += 1
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            tasks = Tasks(group)
            tasks.start_once(work, "a")
            tasks.start_once(work, "a")
    assert ran == 1


async def test_nothing_is_begun_when_the_group_is_ending_and_nothing_fails_for_it() -> None:
    ran = 0

    async def work() -> None:
        nonlocal ran
        ran += 1

    class Over(Exception):
        pass

    kept: list[Tasks] = []
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            kept.append(Tasks(group))
            raise Over
    kept[0].start(work(), "late")
    kept[0].start_once(work, "late")
    with pytest.raises(EndingError):
        kept[0].run(work(), "late")
    assert ran == 0
