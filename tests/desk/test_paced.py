"""Followers of the feed are woken at once by the first event after a pause, and together by those close behind it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderd.desk.reading import REST_S, Paced
from orderd.engine.feed import JournalFeed
from orderd.ports import Journal
from tests.contracts.journals import ENGINES, opened
from tests.storage.making import submitted_order


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(ENGINES["sqlite in a simulation"], tmp_path) as journal:
        yield journal


async def test_the_first_is_heard_at_once_and_those_behind_it_together(journal: Journal) -> None:
    """Ten commits 2 ms apart wake a follower twice, not ten times; it reads every event all the same."""
    feed, loop = Paced(JournalFeed(journal)), asyncio.get_running_loop()
    position, wakings, heard = 0, list[float](), list[int]()

    async def follow() -> None:
        nonlocal position
        while position < 20:
            if await feed.changed(position, 60):
                wakings.append(loop.time())
                entries = await feed.read(position, 100)
                heard.extend(entry.sequence for entry in entries)
                position = entries[-1].sequence

    following = asyncio.ensure_future(follow())
    began = loop.time()
    for _ in range(10):
        await journal.append([submitted_order()])
        await asyncio.sleep(REST_S / 10)
    await asyncio.wait_for(following, 10)
    assert heard == list(range(1, 21))
    assert wakings[0] - began < REST_S
    assert all(later - earlier >= REST_S * 0.9 for earlier, later in itertools.pairwise(wakings))


async def test_nothing_new_is_said_when_the_time_is_up(journal: Journal) -> None:
    feed = Paced(JournalFeed(journal))
    assert not await feed.changed(journal.head, 0.001)
    await journal.append([submitted_order()])
    assert await feed.changed(0, 60)
    assert (feed.head, feed.oldest) == (2, 0)
