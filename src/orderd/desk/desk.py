"""The desk of a process: its trades, and whoever looks after them.

It is the engine's first client: it asks by the engine's calls, and hears by the feed. Every open trade is looked after
at the start, after each event of its orders, and when its time has come; a trade that was over is looked at again when
an event of its orders comes after all.
"""

from collections.abc import Mapping
from functools import partial

import structlog

from orderd.core.records import RecordKind
from orderd.core.trade import Trade, TradeState
from orderd.desk.adjusting import Adjusting
from orderd.desk.counting import Counting
from orderd.desk.decisionbook import DecisionBook
from orderd.desk.decisionfeed import DecisionFeed
from orderd.desk.decisions import DecisionDesk
from orderd.desk.gauges import Figures
from orderd.desk.permits import DecisionPermits
from orderd.desk.positions import PositionBook
from orderd.desk.protector import Protector
from orderd.desk.reading import Paced, kept_after
from orderd.desk.risk import RiskDesk
from orderd.desk.sizes import Sizes
from orderd.desk.surroundings import is_through
from orderd.desk.tradebook import TradeBook
from orderd.desk.trades import TradeDesk
from orderd.engine.account import Account
from orderd.engine.blotter import Blotter
from orderd.engine.engine import OrderEngine
from orderd.engine.workers import Workers
from orderd.ports import BrokerError, Journal
from orderd.risk.limits import Stake

log = structlog.get_logger("orderd.desk")

CURSOR = "trades"
"""Name of the mark up to which events have been looked at."""
PAGE = 500
MARK_EVERY_S = 5.0
"""How often the mark is written down; what comes after it is read again after a restart, and nothing comes of that."""
LOOK_S = 2.0
"""Between two looks at the prices of what is held."""
CLOSED_LOOK_S = 300.0
"""The same while the session is closed."""


class Desk:
    """Everything of the desk that runs, wired together."""

    def __init__(
        self,
        journal: Journal,
        blotter: Blotter,
        engine: OrderEngine,
        workers: Mapping[str, Workers],
    ) -> None:
        """Nothing is read or watched before `open`. `workers` of each account."""
        accounts = {account_id: each.account for account_id, each in workers.items()}
        self._journal = journal
        self._blotter = blotter
        self._engine = engine
        self._accounts = accounts
        self.book = TradeBook(journal)
        self.protector = Protector(self.book, engine, accounts, is_frozen=self._is_frozen)
        self.trades = TradeDesk(self.book, engine, self.protector)
        sizes = Sizes(accounts, self.trades, {account_id: each.holdings for account_id, each in workers.items()})
        self.decisions = DecisionDesk(DecisionBook(journal), engine, self.trades, accounts, sizes)
        permits = DecisionPermits(journal, self.decisions, accounts, sizes)
        engine.permit, self.trades.permit = permits.order, permits.trade
        self._decided = DecisionFeed(journal, engine.feed, self.decisions, self.book, accounts)
        self.risk = RiskDesk(engine, workers, self.book, self.trades)
        self.figures = Figures(engine, self.book, self.protector, accounts)
        self._counting = Counting(journal, engine.feed, accounts)
        self._adjusting = Adjusting(journal, self.book, self.protector)
        self._position = 0

    def follow(self, positions: PositionBook) -> None:
        """Compare what the broker holds with what these say of the fills, before a stop is believed to be passed."""
        for account_id, around in self.protector.around.items():
            around.by_fills, around.catch_up = partial(positions.get, account_id), positions.catch_up

    async def open(self) -> None:
        """Take up what is not over, and listen to the orders from now on."""
        await self.book.load()
        self._position = int(await self._journal.mark(CURSOR) or 0)
        self._blotter.watch(self.protector.heard)
        await self._decided.open()
        for account_id, account in self._accounts.items():
            account.stakes_of = partial(self._stakes, account_id)

    def _is_frozen(self, account_id: str) -> bool:
        return self._accounts[account_id].risk.state.is_frozen

    def _stakes(self, account_id: str, symbol: str) -> list[Stake]:
        """The strategies that hold something of a symbol, and on which side."""
        return [
            Stake(strategy=trade.signal.strategy, side=trade.signal.side)
            for trade in self.book.live_on(account_id, symbol)
            if trade.open_quantity
        ]

    def start(self) -> None:
        """Look after every trade; returns at once."""
        for account_id, account in self._accounts.items():
            for trade in self.book.live(account_id):
                self.protector.wake(account_id, trade.trade_id)
            account.tasks.start(self._begin(account_id), f"desk:{account_id}")
            account.tasks.start(self._look(account_id), f"prices:{account_id}")
        self._decided.start()
        first = next(iter(self._accounts.values()), None)
        if first is not None:
            first.tasks.start(self._listen(first), "desk feed")
            first.tasks.start(self._counting.run(), "circuit breakers")

    async def _begin(self, account_id: str) -> None:
        """The start-up policy: entries that were not sent yet go out; those that count candles have missed some."""
        account = self._accounts[account_id]
        await account.recovered.wait()
        for trade in self.book.live(account_id):
            if trade.state is TradeState.PENDING and not account.is_stopping:
                await self.trades.resume(trade.trade_id)
            if trade.state is TradeState.PENDING and trade.signal.max_candles and not account.is_stopping:
                await self.trades.cancel_entry(trade.trade_id, "the server was started anew")

    async def _listen(self, account: Account) -> None:
        """Wake the trades of every event, those that are over, too. The mark follows what they have done."""
        feed, marked = Paced(self._engine.feed), self._position
        marked_ns = account.clock.monotonic_ns()
        while not account.is_stopping:
            entries = await kept_after(feed, self._position, PAGE)
            for entry in entries:
                if entry.record_kind is RecordKind.POSITION:
                    await self._adjusting.take(entry)
                if entry.trade_id and not entry.is_desk:
                    self.protector.wake_by(entry)
            if entries:
                self._position = entries[-1].sequence
            done = self.protector.unattended.done(self._position)
            if account.clock.monotonic_ns() - marked_ns >= MARK_EVERY_S * 1e9 and marked < done:
                await self._journal.set_mark(CURSOR, str(done))
                marked, marked_ns = done, account.clock.monotonic_ns()
            if not entries:
                await feed.changed(self._position, MARK_EVERY_S)

    async def _look(self, account_id: str) -> None:
        """Follow the prices of what is held, to see a stop that is triggered and does not execute."""
        account = self._accounts[account_id]
        await account.recovered.wait()
        while not account.is_stopping:
            await account.pause(LOOK_S if self.protector.around[account_id].is_open else CLOSED_LOOK_S)
            held = [trade for trade in self.book.live(account_id) if trade.open_quantity]
            if held and not account.is_stopping:
                await self.protector.around[account_id].refresh_clock()
                await self._prices(account_id, held)

    async def _prices(self, account_id: str, held: list[Trade]) -> None:
        around = self.protector.around[account_id]
        try:
            await around.look()
        except BrokerError:
            return
        for trade in held:
            price = around.prices.get(trade.signal.symbol)
            is_believed = trade.protected_quantity and not around.is_split_suspected(trade)
            if not is_believed or not is_through(trade, price):
                around.through_since.pop(trade.trade_id, None)
                continue
            around.through_since.setdefault(trade.trade_id, around.account.clock.monotonic_ns())
            self.protector.wake(account_id, trade.trade_id)
