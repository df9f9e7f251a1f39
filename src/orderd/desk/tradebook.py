"""The trades: those that are not over in memory, the rest read from the journal. The one place that writes them.

Rule: a trade is told, and acted for, as of its last durable record. Steps of one trade are recorded one after the
other: whoever writes holds its lock.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Final

import msgspec

from orderd.core.book import total
from orderd.core.order import EventSource
from orderd.core.records import RecordKind
from orderd.core.trade import Trade
from orderd.core.trade_life import TradeStep
from orderd.core.values import ZERO, subtract
from orderd.desk.locks import Locks
from orderd.ports import Journal, Record, RecordChange
from orderd.wire.trades import trade_event_bytes, trade_message

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Trade).decode


def trade_of(record: Record) -> Trade:
    """The trade that a record holds."""
    return msgspec.structs.replace(_decode(record.state), sequence=record.sequence)


def change_of(step: TradeStep, source: EventSource) -> RecordChange:
    """The record of a step, ready to be written."""
    trade = step.after
    record = Record(
        record_id=trade.trade_id,
        kind=RecordKind.TRADE,
        account_id=trade.account_id,
        client_key=trade.client_trade_id,
        status=trade.state.value,
        is_open=not trade.is_over,
        symbol=trade.signal.symbol,
        strategy=trade.signal.strategy,
        trace_id=trade.trace_id,
        decision_id=trade.decision_id,
        trade_id=trade.trade_id,
        created_time=trade.created_time,
        version=trade.version,
        body=trade_message(trade).SerializeToString(deterministic=True),
        state=_encode(trade),
    )
    return RecordChange(record=record, event=trade_event_bytes(step, source=source))


_NOTHING: Final[dict[str, Trade]] = {}


class TradeBook:
    """Reads and writes trades."""

    def __init__(self, journal: Journal) -> None:
        """Start empty; `load` brings what is not over."""
        self._journal = journal
        self._live: dict[str, Trade] = {}
        self._live_on: dict[tuple[str, str], dict[str, Trade]] = {}
        """The same by account and symbol; no inner one is empty."""
        self._locks = Locks[str]()
        """Of trades that somebody writes, or waits to write."""
        self._changed: dict[str, asyncio.Event] = {}

    async def load(self) -> None:
        """Take up every trade that is not over."""
        for record in await self._journal.open_records(RecordKind.TRADE):
            self._hold(trade_of(record))

    def live(self, account_id: str) -> list[Trade]:
        """The account's trades that are not over, oldest first."""
        return [trade for trade in self._live.values() if trade.account_id == account_id]

    def live_on(self, account_id: str, symbol: str) -> list[Trade]:
        """Those of them in one symbol."""
        return list(self._live_on.get((account_id, symbol), _NOTHING).values())

    def unprotected(self, account_id: str) -> Decimal:
        """What the account's trades hold and no working stop of theirs covers, summed over trades."""
        live = self.live(account_id)
        return total(max(subtract(trade.open_quantity, trade.protected_quantity), ZERO) for trade in live)

    def get(self, trade_id: str) -> Trade | None:
        """The trade as of its last record."""
        known = self._live.get(trade_id)
        if known is not None:
            return known
        record = self._journal.load_record(trade_id)
        return trade_of(record) if record is not None and record.kind is RecordKind.TRADE else None

    def find(self, account_id: str, client_trade_id: str) -> Trade | None:
        """The trade with this key."""
        record = self._journal.find_record(RecordKind.TRADE, account_id, client_trade_id)
        return None if record is None else self.get(record.record_id)

    def lock(self, trade_id: str) -> AbstractAsyncContextManager[None]:
        """What a writer of this trade holds."""
        return self._locks.hold(trade_id)

    async def record(self, steps: Sequence[TradeStep], source: EventSource = EventSource.ENGINE) -> Trade:
        """Write steps of one trade and return it as it is then. Raises RecordTakenError for a key that is taken.

        Only from a task that nobody cancels but the process's end: what is written must become known here.
        """
        commit = asyncio.ensure_future(self._journal.record([change_of(step, source) for step in steps]))
        sequences = await asyncio.shield(commit)
        trade = msgspec.structs.replace(steps[-1].after, sequence=sequences[-1])
        self._put(trade)
        return trade

    async def record_all(self, steps: Sequence[TradeStep], marks: Sequence[tuple[str, str]]) -> None:
        """Write one step of each of several trades and these marks: all of it, or nothing. The same rule holds."""
        changes = [change_of(step, EventSource.ENGINE) for step in steps]
        sequences = await asyncio.shield(asyncio.ensure_future(self._journal.record(changes, marks)))
        for step, sequence in zip(steps, sequences, strict=True):
            self._put(msgspec.structs.replace(step.after, sequence=sequence))

    def keep(self, trade: Trade) -> None:
        """Remember what the next record will say, too: which order a child has become."""
        if trade.trade_id in self._live:
            self._hold(trade)

    def _hold(self, trade: Trade) -> None:
        self._live[trade.trade_id] = trade
        self._live_on.setdefault((trade.account_id, trade.signal.symbol), {})[trade.trade_id] = trade

    def _let_go(self, trade: Trade) -> None:
        place = (trade.account_id, trade.signal.symbol)
        if self._live.pop(trade.trade_id, None) is not None:
            del self._live_on[place][trade.trade_id]
            if not self._live_on[place]:
                del self._live_on[place]

    def _put(self, trade: Trade) -> None:
        if trade.is_over:
            self._let_go(trade)
        else:
            self._hold(trade)
        changed = self._changed.pop(trade.trade_id, None)
        if changed is not None:
            changed.set()

    async def changed(self, trade_id: str) -> None:
        """Wait for the trade's next record."""
        await self._changed.setdefault(trade_id, asyncio.Event()).wait()
