"""Realised results on their way into the circuit breakers: once each, in the journal's order."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from orderd.core.records import RecordKind
from orderd.desk.reading import Paced
from orderd.engine.account import Account
from orderd.engine.api import Feed
from orderd.ports import CompactedError, Entry, Journal, JournalBusyError, RecordFilter
from orderd.wire.risk import Counted, counted, counted_by_record

log = structlog.get_logger("orderd.desk")

CURSOR: Final = "risk_results"
"""Name of the mark up to which results have been counted."""
PAGE: Final = 500
LOOK_S: Final = 5.0
"""Between two looks at the calendar, and at most between two marks of a journal that tells of no results."""
BUSY_S: Final = 1.0


class Counting:
    """Follows the feed for the accounts that have a circuit breaker; without one it does nothing at all."""

    def __init__(self, journal: Journal, feed: Feed, accounts: Mapping[str, Account]) -> None:
        """Nothing is read before `open`."""
        self._journal = journal
        self._feed = Paced(feed)
        self._accounts = {name: each for name, each in accounts.items() if each.policy.limits.has_breaker}
        self._position = 0
        self._marked = 0

    async def run(self) -> None:
        """Count for ever. Raises JournalError."""
        if not self._accounts:
            return
        await self._open()
        while True:
            try:
                await self._follow()
            except JournalBusyError as error:
                log.warning("results_put_off", reason=str(error))
                await asyncio.sleep(BUSY_S)
            except CompactedError as gone:
                self._position = gone.oldest

    async def _open(self) -> None:
        """Go on where it was left. An account's first breaker begins with what was closed today."""
        kept = await self._journal.mark(CURSOR)
        self._position = self._marked = self._feed.head if kept is None else int(kept)
        for account in self._accounts.values():
            await account.risk.calendar.ready()
            if kept is None:
                await self._begin(account)
        if kept is None:
            await self._journal.set_mark(CURSOR, str(self._position))

    async def _begin(self, account: Account) -> None:
        """What is told of it afterwards is known by then: a result is counted once, and changes as changes."""
        where = RecordFilter(
            kind=RecordKind.COMPLETED_TRADE,
            account_ids=(account.account_id,),
            created_after=account.risk.today(),
        )
        page = await self._journal.read_records(where, after_key=None, limit=PAGE)
        for record in reversed(page.records):
            told = counted_by_record(record.body)
            if told.at is not None and record.sequence <= self._position:
                await account.risk.result(told.result_id, told.pnl, at=told.at)

    async def _follow(self) -> None:
        entries = await self._feed.read(max(self._position, self._feed.oldest), PAGE)
        for entry in entries:
            if entry.record_kind is RecordKind.COMPLETED_TRADE and entry.account_id in self._accounts:
                await self._count(entry, self._accounts[entry.account_id])
                self._marked = entry.sequence
            self._position = entry.sequence
        for account in self._accounts.values():
            if account.risk.is_over:
                await account.risk.morning()
        if entries:
            return
        if self._marked < self._position:
            await self._journal.set_mark(CURSOR, str(self._position))
            self._marked = self._position
        await self._feed.changed(self._position, LOOK_S)

    async def _count(self, entry: Entry, account: Account) -> None:
        now = counted(entry.data)
        before = await self._before(now)
        marks = ((CURSOR, str(entry.sequence)),)
        at = now.at or (before.at if before is not None else None)
        was = None if before is None else before.pnl
        if at is None or (now.pnl is None and was is None):
            return
        await account.risk.result(now.result_id, now.pnl, at=at, before=was, marks=marks)

    async def _before(self, now: Counted) -> Counted | None:
        """What the result was in its previous version."""
        if now.version <= 1:
            return None
        page = await self._journal.list_record_events(now.result_id, after_version=now.version - 2, limit=1)
        return next((counted(row.data) for row in page.rows), None)
