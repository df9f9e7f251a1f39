"""Whoever follows the feed goes on when old events are let go under his hands, and when the journal is busy."""

import asyncio
from collections.abc import Sequence

from orderd.desk.reading import kept_after
from orderd.ports import CompactedError, Entry, JournalBusyError
from orderd.system import run_virtual


class Moving:
    """A feed whose floor moves on while it is being read."""

    def __init__(self) -> None:
        self.oldest = 0
        self.head = 9
        self.asked: list[int] = []
        self.answers: list[Exception | None] = [CompactedError(5), JournalBusyError("busy"), None]

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        self.asked.append(after)
        answer = self.answers.pop(0)
        if isinstance(answer, CompactedError):
            self.oldest = answer.oldest
        if answer is not None:
            raise answer
        return ()

    async def changed(self, after: int, timeout_s: float) -> bool:
        await asyncio.sleep(timeout_s)
        return False


def test_what_is_let_go_is_passed_over_and_a_busy_journal_is_asked_again() -> None:
    feed = Moving()

    async def story() -> None:
        assert await kept_after(feed, 3, 10) == ()

    run_virtual(story)
    assert feed.asked == [3, 5, 5]
