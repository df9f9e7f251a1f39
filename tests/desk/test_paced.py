"""Followers of the feed are woken at once by the first event after a pause, and together by those close behind it."""

import asyncio
import itertools
from pathlib import Path

from orderd.desk.reading import REST_S, Paced
from orderd.engine.feed import JournalFeed
from orderd.system import run_virtual
from tests.contracts.journals import ENGINES, opened
from tests.storage.making import submitted_order


def test_the_first_is_heard_at_once_and_those_behind_it_together(tmp_path: Path) -> None:
    """Ten commits 2 ms apart wake a follower twice, not ten times; it reads every event all the same."""
    wakings, heard = list[float](), list[int]()

    async def main() -> None:
        async with opened(ENGINES["sqlite in a simulation"], tmp_path) as journal:
            feed, loop = Paced(JournalFeed(journal)), asyncio.get_running_loop()

            async def follow() -> None:
                while len(heard) < 20:
                    assert await feed.changed(len(heard), 60)
                    wakings.append(loop.time())
                    heard.extend(entry.sequence for entry in await feed.read(len(heard), 100))

            following = asyncio.ensure_future(follow())
            await asyncio.sleep(1)
            began = loop.time()
            for _ in range(10):
                await journal.append([submitted_order()])
                await asyncio.sleep(REST_S / 10)
            await following
            assert wakings[0] - began < REST_S / 10

    run_virtual(main)
    assert heard == list(range(1, 21))
    assert 2 <= len(wakings) <= 3
    assert all(later - earlier >= REST_S * 0.99 for earlier, later in itertools.pairwise(wakings))


async def test_nothing_new_is_said_when_the_time_is_up(tmp_path: Path) -> None:
    async with opened(ENGINES["sqlite in a simulation"], tmp_path) as journal:
        feed = Paced(JournalFeed(journal))
        assert not await feed.changed(journal.head, 0.001)
        await journal.append([submitted_order()])
        assert await feed.changed(0, 60)
        assert (feed.head, feed.oldest) == (2, 0)
