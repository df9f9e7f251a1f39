"""Positions: folded from the feed, compared with the broker's, written down as records.

Rule 1: figures by fills are worked out from the events of orders alone, in their order; a death anywhere goes on where
it was written down. What was changed, and how far the feed has been folded, is written in one transaction.
Rule 2: the broker is the truth about what is held. A difference that its activities explain is booked with them; one
that nothing explains, in two reconciliations with no fill on its way, becomes a discrepancy.
Rule 3: whoever asks is answered as of an event: the fold is brought up to the head first.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from orderd.core.adjustments import Adjustment
from orderd.core.keys import position_id
from orderd.core.order import EventSource
from orderd.core.positions import Change, Holding, Position, after, changed, parts, reaches, restated, undone
from orderd.core.records import RecordKind
from orderd.core.values import AccountId, Reason
from orderd.desk.reading import Paced
from orderd.engine.api import Feed
from orderd.ports import FillFilter, Journal, JournalBusyError, Record, RecordChange, RecordFilter
from orderd.wire.positions import (
    Moves,
    asset_class_of,
    moves_of,
    moves_of_fill,
    position_event,
    position_message,
)
from orderd.wire.results import order_of
from orderd.wire.symbols import contract

log = structlog.get_logger("orderd.desk")

CURSOR: Final = "positions"
"""Name of the mark that says how far the feed has been folded."""
PAGE: Final = 100
READ: Final = 500
FLUSH_EVENTS: Final = 1000
"""After so many events how far we have come is written down, also when nothing was traded."""
IDLE_S: Final = 60.0
BUSY_S: Final = 1.0

Name = tuple[str, str]
"""Account and symbol."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Position).decode


def position_of(record: Record) -> Position:
    """The position that a record holds."""
    return msgspec.structs.replace(_decode(record.state), sequence=record.sequence)


class Touched:
    """What a page of events, or one booking, changes: positions that are to be written, and who caused it."""

    def __init__(self, source: EventSource = EventSource.ENGINE) -> None:
        """`source`: whose word it is."""
        self.positions: dict[str, Position] = {}
        self.order_ids: dict[str, str] = {}
        self.reasons: dict[str, Reason] = {}
        self.source = source

    def put(self, position: Position, order_id: str = "", reason: Reason | None = None) -> None:
        """This is how the position is now; the order that changed it last, or what happened when it was no fill."""
        self.positions.pop(position.position_id, None)
        self.positions[position.position_id] = position
        self.order_ids[position.position_id] = order_id
        if reason is not None:
            self.reasons[position.position_id] = reason

    def last(self, name: Name) -> Position | None:
        """The position of a symbol that was changed last."""
        return next((p for p in reversed(self.positions.values()) if (p.account_id, p.symbol) == name), None)


class PositionBook:
    """Every open position in memory; the one place that writes them."""

    def __init__(self, journal: Journal, feed: Feed) -> None:
        """Nothing is read before `open`."""
        self._journal = journal
        self._feed = Paced(feed)
        self._open: dict[Name, Position] = {}
        self._position = 0
        self._written = 0
        self.lock = asyncio.Lock()
        """Held by whoever folds or books."""

    @property
    def sequence(self) -> int:
        """Figures by fills are as of this event."""
        return self._position

    async def open(self) -> None:
        """Go on where it was left. To be called before anything trades."""
        for record in await self._journal.open_records(RecordKind.POSITION):
            position = position_of(record)
            self._open[position.account_id, position.symbol] = position
        self._position = self._written = int(await self._journal.mark(CURSOR) or 0)
        if self._position < self._feed.oldest or (not self._position and self._feed.head):
            await self._begin_with_the_books()
        try:
            await self.fold()  # before old events are let go
        except JournalBusyError as error:
            log.warning("positions_put_off", reason=str(error))

    async def run(self) -> None:
        """Follow the feed for ever. Raises JournalError."""
        while True:
            try:
                await self.catch_up()
                await self._feed.changed(self._position, IDLE_S)
            except JournalBusyError as error:
                log.warning("positions_put_off", reason=str(error))
                await asyncio.sleep(BUSY_S)

    async def catch_up(self) -> int:
        """Fold everything there is now; returns the event that all figures are as of then."""
        async with self.lock:
            return await self.fold()

    async def fold(self) -> int:
        """The same for whoever holds the lock."""
        while await self._step():
            pass
        return self._position

    # ---------------------------------------------------------------------------------------------- what is known

    def get(self, account_id: str, symbol: str) -> Position | None:
        """The open position of a symbol, as of `sequence`."""
        return self._open.get((account_id, symbol))

    def open_of(self, account_id: str) -> list[Position]:
        """The account's open positions."""
        return [position for position in self._open.values() if position.account_id == account_id]

    async def last(self, account_id: str, symbol: str) -> Position | None:
        """The open position of a symbol, else the one that was opened last."""
        known = self.get(account_id, symbol)
        if known is not None:
            return known
        where = RecordFilter(kind=RecordKind.POSITION, account_ids=(account_id,), symbols=(symbol,))
        page = await self._journal.read_records(where, after_key=None, limit=1)
        return position_of(page.records[0]) if page.records else None

    # ------------------------------------------------------------------------------------------------------ folding

    async def _step(self) -> bool:
        entries = await self._feed.read(self._position, PAGE)
        if not entries:
            return False
        touched, before = Touched(), dict(self._open)
        try:
            for entry in entries:
                moves = None if entry.is_desk else moves_of(entry.data)
                if moves is not None:
                    await self._move(moves, touched)
        except JournalBusyError:
            self._open = before  # the page is folded again
            raise
        self._position = entries[-1].sequence
        if touched.positions or self._position - self._written >= FLUSH_EVENTS:
            await self.write(touched)
        return True

    async def _move(self, moves: Moves, touched: Touched) -> None:
        touched.source = moves.source
        if moves.removed:
            await self._restate(moves, touched)
            return
        for traded in moves.added:
            self.change(moves, traded, touched)

    async def _restate(self, moves: Moves, touched: Touched) -> None:
        """As if it had never been otherwise, where that can still be told; else by the opposite trades."""
        name = (moves.account_id, moves.symbol)
        known = self._open.get(name) or touched.last(name) or await self.last(*name)
        if known is not None and reaches(known.holding, moves.removed):
            position = restated(known, moves.removed, moves.added, moves.at)
            self.put(position, touched, moves.order_id)
            return
        for traded in (*(undone(trade) for trade in moves.removed), *moves.added):
            self.change(moves, traded, touched)

    def change(self, moves: Moves, change: Change, touched: Touched, reason: Reason | None = None) -> None:
        """Take one change into the open position of its symbol, and what of it crosses zero into the next one."""
        known, rest = self._open.get((moves.account_id, moves.symbol)), None
        if known is not None:
            change, rest = parts(known.holding, change)
        self.put(changed(known or _new(moves, change), change, moves.at), touched, moves.order_id, reason)
        if rest is not None:
            self.put(changed(_new(moves, rest), rest, moves.at), touched, moves.order_id, reason)

    def adjusted(self, name: Name, adjustment: Adjustment, touched: Touched, reason: Reason) -> None:
        """Keep with the position that was just changed what has changed it."""
        known = touched.last(name)
        assert known is not None
        kept = (*known.adjustments, adjustment)
        self.put(msgspec.structs.replace(known, adjustments=kept), touched, reason=reason)

    def put(self, position: Position, touched: Touched, order_id: str = "", reason: Reason | None = None) -> None:
        """This is how a position is now."""
        touched.put(position, order_id, reason)
        name = (position.account_id, position.symbol)
        if position.is_open:
            self._open[name] = position
        else:
            self._open.pop(name, None)

    async def write(self, touched: Touched, marks: Sequence[tuple[str, str]] = ()) -> None:
        """What was changed, how far the feed has been folded, and these marks: all of it, or nothing."""
        written = [_next_version(position) for position in touched.positions.values()]
        changes = [_record_change(position, touched) for position in written]
        for position in written:
            if position.is_open:
                self._open[position.account_id, position.symbol] = position
        sequences = await self._journal.record(changes, [*marks, (CURSOR, str(self._position))])
        self._written = self._position
        for position, sequence in zip(written, sequences, strict=True):
            known = self._open.get((position.account_id, position.symbol))
            if known is not None and known.position_id == position.position_id:
                self._open[position.account_id, position.symbol] = msgspec.structs.replace(known, sequence=sequence)

    async def _begin_with_the_books(self) -> None:
        """Of events that are no longer kept, or were never folded, the fills say what counts now. Nothing trades yet.

        What was booked beside fills is kept in what is open; what is then missing the next comparison finds.
        """
        head = self._feed.head
        log.warning("positions_from_fills", position=self._position, oldest=self._feed.oldest)
        before, self._open = self._open, {}
        is_first = not self._position
        touched = Touched()
        after_key: tuple[int | str, ...] | None = None
        while True:
            page = await self._journal.list_fills(FillFilter(), after_key=after_key, limit=READ)
            for row in page.rows:
                order = self._journal.order_data(order_of(row.data))
                moves = moves_of_fill(order, row.data) if order is not None else None
                for traded in moves.added if moves is not None else ():
                    assert moves is not None
                    self.change(moves, traded, touched)
            if not page.has_more:
                break
            after_key = page.rows[-1].key
        self._position = head
        await self.write(_anew(touched, before, self._open, is_first=is_first))


def _anew(touched: Touched, before: Mapping[Name, Position], now: dict[Name, Position], *, is_first: bool) -> Touched:
    """What is written of a fold of all fills: what is open, under the names it is known by."""
    kept = Touched()
    for name, known in before.items():
        held = now.get(name)
        if held is None:
            closed = after(known, Holding(), known.updated_time)
            kept.put(closed)
        else:
            now[name] = msgspec.structs.replace(
                held, position_id=known.position_id, opened_time=known.opened_time, version=known.version
            )
    if is_first:
        for position in touched.positions.values():
            if not position.is_open:
                kept.put(position, touched.order_ids[position.position_id])
    for position in now.values():
        kept.put(position, touched.order_ids.get(position.position_id, ""))
    return kept


def _next_version(position: Position) -> Position:
    version = position.version + 1
    told = [msgspec.structs.replace(each, version=each.version or version) for each in position.adjustments]
    return msgspec.structs.replace(position, version=version, adjustments=tuple(told))


def _new(moves: Moves, change: Change) -> Position:
    return Position(
        position_id=position_id(moves.account_id, moves.symbol, change.change_id),
        account_id=AccountId(moves.account_id),
        symbol=moves.symbol,
        asset_class=asset_class_of(moves.symbol),
        multiplier=moves.multiplier,
        opened_time=moves.at,
        updated_time=moves.at,
    )


def _record_change(position: Position, touched: Touched) -> RecordChange:
    option = contract(position.symbol)
    strategies = [share.strategy for share in position.holding.shares]
    record = Record(
        record_id=position.position_id,
        kind=RecordKind.POSITION,
        account_id=position.account_id,
        status="OPEN" if position.is_open else "CLOSED",
        is_open=position.is_open,
        symbol=position.symbol,
        underlying=option.root if option is not None else "",
        expiry_date=option.expiry.isoformat() if option is not None else "",
        created_time=position.opened_time,
        version=position.version,
        body=position_message(position).SerializeToString(deterministic=True),
        state=_encode(position),
    )
    event = position_event(
        position,
        order_id=touched.order_ids[position.position_id],
        source=touched.source,
        reason=touched.reasons.get(position.position_id),
        strategies=strategies,
    )
    return RecordChange(record=record, event=event)
