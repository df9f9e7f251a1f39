"""Restates trades with what activities of the broker did to their positions: splits, and ends of options.

Rule: an activity counts once, also when its event is heard again after a restart: a trade remembers its splits, and
what an option's end took from several trades is written in one transaction with the place of its event.
"""

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Final

import structlog

from orderd.core.activities import ActivityKind
from orderd.core.trade_adjust import end_taken, restated_price, split_taken
from orderd.core.trade_life import TradeStep
from orderd.core.values import ZERO, subtract
from orderd.desk.explaining import traded_since
from orderd.desk.protector import Protector
from orderd.desk.tradebook import TradeBook
from orderd.ports import Entry, Journal, JournalBusyError
from orderd.wire.ends import Adjusted, adjusted_by

log = structlog.get_logger("orderd.desk")

BUSY_S: Final = 1.0
ENDS: Final = "trade_ends:"
"""How the marks begin that say up to which event ends of options have been taken, by account."""


class Adjusting:
    """Takes the events of positions to the trades of their symbols."""

    def __init__(self, journal: Journal, book: TradeBook, protector: Protector) -> None:
        """Nothing is kept."""
        self._journal = journal
        self._book = book
        self._protector = protector

    async def take(self, entry: Entry) -> None:
        """Restate the trades that an event of a position is about."""
        for told in adjusted_by(entry.data, entry.sequence):
            if told.account_id not in self._protector.around:
                continue
            match told.adjustment.kind:
                case ActivityKind.SPLIT:
                    await self._split(told)
                case ActivityKind.DELIVERED:
                    self._delivered(told)
                case _:
                    await self._ended(told)

    async def _split(self, told: Adjusted) -> None:
        """Of trades that were held, or have executed something since."""
        split = told.adjustment.split
        for trade_id in await self._concerned(told):
            async with self._book.lock(trade_id):
                trade = self._book.get(trade_id)
                if trade is None:
                    continue
                around = self._protector.around[trade.account_id]
                tick = around.increment(told.symbol, restated_price(trade.stop_price, split))
                step = split_taken(trade, split, tick=tick, at=around.account.clock.now())
                if step is not None:
                    await self._book.record((step,))
                    self._tell(step)

    async def _concerned(self, told: Adjusted) -> list[str]:
        """The trades of the symbol that are not over, and those that were closed in the new units."""
        live = [trade.trade_id for trade in self._book.live_on(told.account_id, told.symbol)]
        since = told.adjustment.effective_time
        while since < told.at:
            try:
                fills = await traded_since(self._journal, told.account_id, told.symbol, since)
                return list(dict.fromkeys([*live, *(each.trade_id for each in fills if each.trade_id)]))
            except JournalBusyError:
                await asyncio.sleep(BUSY_S)
        return live

    async def _ended(self, told: Adjusted) -> None:
        """Of the strategy's trades the oldest first: what each still holds."""
        mark = f"{ENDS}{told.account_id}"
        if told.sequence <= int(await self._journal.mark(mark) or 0):
            return
        steps: list[TradeStep] = []
        async with AsyncExitStack() as held:
            for strategy, gone in told.adjustment.shares:
                steps += await self._ends(told, strategy, gone, held)
            if steps:
                await self._book.record_all(steps, [(mark, str(told.sequence))])
        for step in steps:
            self._tell(step)

    async def _ends(self, told: Adjusted, strategy: str, gone: Decimal, held: AsyncExitStack) -> list[TradeStep]:
        """What it closes of each trade of a strategy; their locks are held from now on."""
        left, steps = abs(gone), list[TradeStep]()
        for known in self._book.live_on(told.account_id, told.symbol):
            if known.signal.strategy != strategy or (known.sign > 0) is not (gone < 0):
                continue
            await held.enter_async_context(self._book.lock(known.trade_id))
            trade = self._book.get(known.trade_id)
            quantity = ZERO if trade is None else min(trade.open_quantity, left)
            if trade is not None and quantity:
                left = subtract(left, quantity)
                at = self._protector.around[trade.account_id].account.clock.now()
                steps.append(end_taken(trade, told.adjustment, quantity, at=at))
        return steps

    def _tell(self, step: TradeStep) -> None:
        """An alarm, and whoever looks after the trade looks again."""
        trade = step.after
        self._protector.around[trade.account_id].through_since.pop(trade.trade_id, None)
        said = {"trade_id": trade.trade_id, "trace_id": trade.trace_id, "symbol": trade.signal.symbol}
        log.error("trade_adjusted", **said, reason="" if trade.reason is None else trade.reason.message)
        self._protector.wake(trade.account_id, trade.trade_id)

    def _delivered(self, told: Adjusted) -> None:
        """No trade looks after what an option has delivered: an operator must hear of it."""
        log.error(
            "units_delivered",
            account_id=told.account_id,
            symbol=told.symbol,
            option=told.option,
            reason="no stop stands for what an option has delivered",
        )
