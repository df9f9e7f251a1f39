"""Positions of every account: the fold of the feed, and the comparison with each broker."""

from collections.abc import Mapping
from typing import Final

from orderd.core.discrepancies import Discrepancy
from orderd.desk.explaining import Seen
from orderd.desk.position_check import Checker
from orderd.desk.positions import PositionBook
from orderd.engine.api import Feed
from orderd.engine.workers import Workers
from orderd.ports import BrokerError, Journal

FRESH_S: Final = 5.0
"""How long what a broker said is shown without asking again. Seconds."""


class PositionDesk:
    """What is held, as the brokers say and as the fills say."""

    def __init__(self, journal: Journal, feed: Feed, workers: Mapping[str, Workers]) -> None:
        """Every account's reconciliations compare positions from now on; nothing is read before `open`."""
        self.book = PositionBook(journal, feed)
        self._workers = workers
        self._checkers: dict[str, Checker] = {}
        for account_id, of_account in workers.items():
            checker = Checker(of_account.account, of_account.discrepancies, self.book)
            self._checkers[account_id] = of_account.account.positions = checker

    async def open(self) -> None:
        """Go on where it was left. To be called before anything trades."""
        await self.book.open()

    async def run(self) -> None:
        """Follow the feed for ever. Raises JournalError."""
        await self.book.run()

    async def seen(self, account_id: str) -> Seen | None:
        """What the broker holds, asked lately or now; what it said last when it cannot be asked; None: it never did."""
        checker, clock = self._checkers[account_id], self._workers[account_id].account.clock
        last = checker.seen
        if last is not None and clock.monotonic_ns() - last.at_ns < FRESH_S * 1e9:
            return last
        try:
            return await checker.look()
        except BrokerError:
            return last

    def discrepancy(self, account_id: str, symbol: str) -> Discrepancy | None:
        """The open difference between the two figures of a symbol."""
        return self._checkers[account_id].record(symbol)
