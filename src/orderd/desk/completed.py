"""Completed trades, folded from the feed: fills go in, results come out, first in first out (core/lots.py).

Rule 1: everything is worked out from the events alone, in their order. Whoever folds them again, from the beginning or
from wherever a process died, comes to the same results with the same versions.
Rule 2: what is written down (results, what is open, how far we have come) is written in one transaction. What is in
memory beyond it is folded again after a crash.
Rule 3: nobody waits for it. Orders are sent, filled and closed whether it runs or not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec
import structlog

from orderd.core.lots import Ledger, Outcome, apply, restarts, straddles, tape
from orderd.core.records import RecordKind
from orderd.core.slices import Key, Slice
from orderd.core.values import ZERO, FillId, Value, add
from orderd.desk.reading import Paced
from orderd.engine.api import Feed
from orderd.ports import (
    Entry,
    FillFilter,
    JournalBusyError,
    Page,
    Record,
    RecordChange,
    RecordFilter,
    RecordPage,
)
from orderd.wire import results
from orderd.wire.ends import Adjusted, adjusted_at_all, adjusted_by
from orderd.wire.results import Gone, LedgerName, Told

log = structlog.get_logger("orderd.desk")

CURSOR: Final = "completed_trades"
"""Name of the mark that says how far the feed has been folded."""
PAGE: Final = 100
"""Events taken at once: some milliseconds of the loop."""
READ: Final = 500
"""Results and fills read at once."""
FLUSH_EVENTS: Final = 1000
"""After so many events how far we have come is written down, also when no trade was completed."""
LOTS_PER_EVENT: Final = 10
"""What is open is written down whole: for each event folded since the last time, so many lots."""
MOST_CHANGES: Final = 500
"""No more results than these, and a page's, are written down together: submits wait behind them."""
FLUSH_S: Final = 1.0
"""After a pause of so long what was opened is written down, and no result waits longer to be. Seconds."""
IDLE_S: Final = 60.0
BUSY_S: Final = 1.0
"""How long to wait when the journal has too much to read. Seconds."""


class Records(Protocol):
    """What of `ports.Journal` is needed."""

    async def mark(self, name: str) -> str | None: ...

    def record(
        self, changes: Sequence[RecordChange], marks: Sequence[tuple[str, str]] = ()
    ) -> Awaitable[tuple[int, ...]]: ...

    def load_record(self, record_id: str) -> Record | None: ...

    async def read_records(
        self, where: RecordFilter, *, after_key: tuple[int | str, ...] | None, limit: int
    ) -> RecordPage: ...

    def order_data(self, order_id: str) -> bytes | None: ...

    async def list_fills(self, where: FillFilter, *, after_key: tuple[int | str, ...] | None, limit: int) -> Page: ...


class Kept(Value, frozen=True, kw_only=True):
    """A result as it is kept in its record: what the next version is worked out from."""

    slice: Slice
    recorded_time: datetime
    """When its first version was recorded."""
    closed_time: datetime
    """When the first of it was closed: its place in lists, for good."""


class Open(Value, frozen=True, kw_only=True):
    """What is open of a ledger, as it is kept in a mark."""

    ledger: Ledger = Ledger()
    spread: timedelta = timedelta()
    """No exit fill of its results is further than this from the place in lists that its result has."""


_kept = msgspec.msgpack.Decoder(Kept)
_open = msgspec.json.Decoder(Open)


def decode(record: Record) -> Kept:
    """The result that a record holds."""
    return _kept.decode(record.state)


class CompletedTrades:
    """Follows the feed and records what was closed. One task; nothing else writes these records."""

    def __init__(
        self,
        records: Records,
        feed: Feed,
        *,
        page: int = PAGE,
        flush_events: int = FLUSH_EVENTS,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Nothing is read before `open`. `now`: when events are written down; None: when what caused them was."""
        self._now = now
        self._page = page
        self._flush_events = flush_events
        self._records = records
        self._feed = Paced(feed)
        self._position = 0
        self._written = 0
        self._ledgers: dict[LedgerName, Open] = {}
        """What is open, and what was touched since it was last written down."""
        self._touched: dict[LedgerName, None] = {}
        self._unwritten: dict[str, tuple[LedgerName, Kept]] = {}
        self._changes: list[RecordChange] = []
        """Of what is unwritten, in the order it came about."""
        self._changed_at = 0.0
        """When the first of them was folded, by the loop's time."""
        self.sequence = 0
        """Results are recorded as of this event."""

    async def open(self) -> None:
        """Go on where it was left. To be called before anything trades."""
        self._position = self._written = self.sequence = int(await self._records.mark(CURSOR) or 0)
        if self._position < self._feed.oldest:
            await self._begin_with_the_books()
        try:
            await self.catch_up()  # before old events are let go
        except JournalBusyError as error:
            log.warning("completed_trades_put_off", reason=str(error))
            self._forget()

    async def run(self) -> None:
        """Follow the feed for ever. Raises JournalError."""
        while True:
            try:
                await self._follow()
            except JournalBusyError as error:
                log.warning("completed_trades_put_off", reason=str(error))
                self._forget()
                await asyncio.sleep(BUSY_S)

    async def _follow(self) -> None:
        if await self.step():
            return
        if not self._touched:
            await self._feed.changed(self._position, IDLE_S)
        elif not await self._feed.changed(self._position, FLUSH_S):
            await self._write()

    def _forget(self) -> None:
        """Begin again at what is written down: part of the next events may be folded already."""
        self._position = self._written
        self._ledgers.clear()
        self._touched.clear()
        self._unwritten.clear()
        self._changes.clear()

    async def _begin_with_the_books(self) -> None:
        """The events are no longer kept; the fills are, as they stand now. Nothing trades while they are read.

        What is recorded already stays recorded: a death in the middle begins again and comes to the same end.
        """
        head = self._feed.head
        log.warning("completed_trades_from_fills", position=self._position, oldest=self._feed.oldest)
        booked: dict[LedgerName, set[FillId]] = {}
        after_key: tuple[int | str, ...] | None = None
        while True:
            page = await self._records.list_fills(FillFilter(), after_key=after_key, limit=READ)
            for number, row in enumerate(page.rows):
                self._changes += await self._book(row.data, number, booked)
            await self._write()
            if not page.has_more:
                break
            after_key = page.rows[-1].key
        await self._book_adjustments(booked)
        self._position = head
        await self._write()

    async def _book_adjustments(self, booked: dict[LedgerName, set[FillId]]) -> None:
        """What activities did to positions is kept with them; deliveries follow the ends of their options."""
        found: list[Adjusted] = []
        where = RecordFilter(kind=RecordKind.POSITION)
        after_key: tuple[int | str, ...] | None = None
        while True:
            page = await self._records.read_records(where, after_key=after_key, limit=READ)
            for record in page.records:
                found += adjusted_at_all(record.body, record.sequence)
            if not page.has_more:
                break
            after_key = page.keys[-1]
        for each in sorted(found, key=lambda each: (bool(each.option), each.adjustment.effective_time)):
            for told in await self._told_of(each):
                if told.name not in booked:
                    booked[told.name] = await self._fills_of(told.name)
                if told.is_news(booked[told.name]):
                    self._changes += await self._change(told)
                    await self._write()

    async def _book(self, fill: bytes, number: int, booked: dict[LedgerName, set[FillId]]) -> list[RecordChange]:
        order = self._records.order_data(results.order_of(fill))
        told = results.told_by_fill(order, fill, number) if order is not None else None
        if told is None:
            return []
        if told.name not in booked:
            booked[told.name] = await self._fills_of(told.name)
        return await self._change(told) if told.is_news(booked[told.name]) else []

    async def _fills_of(self, name: LedgerName) -> set[FillId]:
        ledger = (await self._open(name)).ledger
        return {each.fill_id for each in tape(ledger, await self._closed_after(name, None))}

    async def catch_up(self) -> None:
        """Fold everything there is now, and write it down."""
        while await self.step():
            pass
        await self._write()

    async def step(self) -> bool:
        """Fold the next events and record what they completed; False when there are none yet."""
        entries = await self._feed.read(self._position, self._page)
        if not entries:
            return False
        for entry in entries:
            changes = await self._fold(entry)
            if changes and not self._changes:
                self._changed_at = asyncio.get_running_loop().time()
            self._changes += changes
        self._position = entries[-1].sequence
        if self._is_worth_writing():
            await self._write()
        if not self._changes:
            self.sequence = self._position
        return True

    def _is_worth_writing(self) -> bool:
        """Results at once, how far we have come now and then; either a little later when very much is open."""
        folded = self._position - self._written
        worth = sum(len(self._ledgers[name].ledger.lots) for name in self._touched) // LOTS_PER_EVENT
        if not self._changes:
            return folded >= max(worth, self._flush_events)
        waited_s = asyncio.get_running_loop().time() - self._changed_at
        return folded >= worth or len(self._changes) >= MOST_CHANGES or waited_s >= FLUSH_S

    async def _fold(self, entry: Entry) -> list[RecordChange]:
        if entry.record_kind is RecordKind.POSITION:
            return await self._adjust(entry)
        told = results.told_by_order(entry.data, entry.sequence) if not entry.is_desk else await self._gone(entry)
        return [] if told is None else await self._change(told)

    async def _change(self, told: Told) -> list[RecordChange]:
        ledger = (await self._open(told.name)).ledger
        since, known = await self._restart(told.name, restarts(ledger, told.change))
        outcome = apply(ledger, told.change, lambda slice_id: _slice(self._find(slice_id)), since=since, known=known)
        return self._take(told, outcome)

    async def _restart(self, name: LedgerName, places: Sequence[Key | None]) -> tuple[Key | None, Sequence[Slice]]:
        """Where to fold anew from, and the slices that were closed after it. Nothing when there is no need to."""
        for since in places:
            slices = await self._closed_after(name, since)
            if not straddles(slices, since):
                return since, slices
        return None, ()

    async def _adjust(self, entry: Entry) -> list[RecordChange]:
        changes: list[RecordChange] = []
        for each in adjusted_by(entry.data, entry.sequence):
            for told in await self._told_of(each):
                changes += await self._change(told)
        return changes

    async def _told_of(self, each: Adjusted) -> list[Told]:
        """What an adjustment of a position changes in the ledgers of its strategies."""
        if not each.option:
            return each.told()
        found: list[Told] = []
        for strategy, _ in each.adjustment.shares:
            name = each.name(strategy, each.option)
            await self._open(name)
            told = each.delivered(strategy, await self._closed_after(name, None))
            if told is not None:
                found.append(told)
        return found

    async def _gone(self, entry: Entry) -> Told | None:
        """What of a trade's lots is still open when its position went away outside orderd."""
        gone = results.told_by_desk(entry.data, entry.sequence) if entry.record_kind is RecordKind.TRADE else None
        return None if gone is None else _closed(gone, (await self._open(gone.name)).ledger)

    def _take(self, told: Told, outcome: Outcome) -> list[RecordChange]:
        """What is to be written down, and what is remembered until it is."""
        changes: list[RecordChange] = []
        spread = self._ledgers[told.name].spread
        for each in outcome.changed:
            known = self._find(each.slice_id)
            kept = Kept(
                slice=each,
                recorded_time=known.recorded_time if known else told.at,
                closed_time=known.closed_time if known else each.exit_time or told.at,
            )
            self._unwritten[each.slice_id] = (told.name, kept)
            is_restatement = outcome.is_restatement and known is not None
            changes.append(_change(told, kept, self._recorded(told), is_restatement=is_restatement))
            spread = max(spread, *(abs(fill.at - kept.closed_time) for fill in each.exits), spread)
        self._ledgers[told.name] = Open(ledger=outcome.ledger, spread=spread)
        self._touched[told.name] = None
        return changes

    def _recorded(self, told: Told) -> datetime:
        """When an event is written down: among the events around it, and never before what caused it."""
        return told.at if self._now is None else max(told.at, self._now())

    # ------------------------------------------------------------------------------------------------- what is known

    async def _open(self, name: LedgerName) -> Open:
        known = self._ledgers.get(name)
        if known is None:
            text = await self._records.mark(_mark(name))
            known = self._ledgers[name] = _open.decode(text) if text else Open()
        return known

    def _find(self, slice_id: str) -> Kept | None:
        unwritten = self._unwritten.get(slice_id)
        if unwritten is not None:
            return unwritten[1]
        record = self._records.load_record(slice_id)
        return None if record is None else decode(record)

    async def _closed_after(self, name: LedgerName, since: Key | None) -> Sequence[Slice]:
        """At least the results of a ledger that something was closed of after that place."""
        before = None if since is None else _before(since[0], self._ledgers[name].spread)
        where = RecordFilter(
            kind=RecordKind.COMPLETED_TRADE,
            account_ids=(name.account_id,),
            symbols=(name.symbol,),
            strategies=(name.strategy,) if name.strategy else (),
            created_after=before,
        )
        found: dict[str, Kept] = {}
        after_key: tuple[int | str, ...] | None = None
        while True:
            page = await self._records.read_records(where, after_key=after_key, limit=READ)
            found |= {each.record_id: decode(each) for each in page.records if each.strategy == name.strategy}
            if not page.has_more:
                break
            after_key = page.keys[-1]
        found |= {slice_id: kept for slice_id, (of, kept) in self._unwritten.items() if of == name}
        return [kept.slice for kept in found.values()]

    async def _write(self) -> None:
        """Results, what is open and how far we have come: all of it, or nothing."""
        if self._position == self._written and not self._touched:
            return
        marks = [(_mark(name), msgspec.json.encode(self._ledgers[name]).decode()) for name in self._touched]
        await self._records.record(tuple(self._changes), [*marks, (CURSOR, str(self._position))])
        self._written = self.sequence = self._position
        self._unwritten.clear()
        self._changes.clear()
        for name in self._touched:
            if not self._ledgers[name].ledger.lots:  # what is over is read again when somebody trades it again
                del self._ledgers[name]
        self._touched.clear()


def _closed(gone: Gone, ledger: Ledger) -> Told | None:
    quantity = ZERO
    lots = [lot for lot in ledger.lots if lot.fill.ticket.trade_id == gone.trade_id]
    for lot in lots:
        quantity = add(quantity, lot.quantity)
    return gone.told(quantity, lots[0].fill.ticket.side) if lots else None


def _mark(name: LedgerName) -> str:
    return "lots:" + msgspec.json.encode((name.account_id, name.symbol, name.strategy)).decode()


def _status(each: Slice) -> str:
    if not each.quantity:
        return "TAKEN_BACK"
    return "RESTATED" if each.is_restated else "RECORDED"


def _slice(kept: Kept | None) -> Slice | None:
    return None if kept is None else kept.slice


def _before(moment: datetime, spread: timedelta) -> datetime:
    return moment - spread - timedelta(microseconds=1)


def _change(told: Told, kept: Kept, at: datetime, *, is_restatement: bool) -> RecordChange:
    """A result as it is written down."""
    each, option = kept.slice, results.contract_of(told.name)
    message = results.completed_trade(told.name, each, created=kept.recorded_time, updated=told.at)
    record = Record(
        record_id=each.slice_id,
        kind=RecordKind.COMPLETED_TRADE,
        account_id=told.name.account_id,
        status=_status(each),
        symbol=told.name.symbol,
        underlying=option.root if option else "",
        expiry_date=option.expiry.isoformat() if option else "",
        strategy=told.name.strategy,
        trace_id=message.trace_id,
        decision_id=message.decision_id,
        trade_id=message.trade_id,
        created_time=kept.closed_time,
        version=each.version,
        body=message.SerializeToString(deterministic=True),
        state=msgspec.msgpack.encode(kept),
    )
    return RecordChange(record=record, event=results.completed_event(told, message, at, is_restatement=is_restatement))
