"""Whoever follows the feed goes on when old events are let go under his hands, and when the journal is busy."""

import asyncio
from collections.abc import Sequence

from orderd.desk.reading import Unattended, kept_after
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


def test_what_is_acted_on_ends_before_the_first_event_that_is_not() -> None:
    heard = Unattended()
    assert heard.done(9) == 9
    for trade, sequence in (("a", 3), ("b", 5), ("a", 8)):
        heard.hear(trade, sequence)
    assert heard.done(9) == 2
    before = heard.count("a")
    heard.hear("a", 10)
    heard.attended("a", before)
    assert heard.done(10) == 4, "b was not looked after"
    heard.attended("b", heard.count("b"))
    assert heard.done(10) == 9, "this one of a came while it was looked after"
    heard.attended("a", heard.count("a"))
    heard.attended("never heard of", 0)
    assert heard.done(11) == 11
