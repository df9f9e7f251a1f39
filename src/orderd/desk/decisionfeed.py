"""What came of decisions, from the feed: each order and trade that names one is linked to it, with a durable cursor.

Rule: events are taken one after the other, and the mark never goes beyond what is linked. Linking twice adds nothing.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from orderd.core.records import RecordKind
from orderd.desk.decisions import DecisionDesk
from orderd.desk.reading import Paced, kept_after
from orderd.desk.tradebook import TradeBook
from orderd.engine.account import Account
from orderd.engine.api import Feed
from orderd.ports import Entry, Journal

CURSOR = "decisions"
"""Name of the mark up to which events have been looked at."""
PAGE = 500
MARK_EVERY_S = 5.0
EXPIRY_LOOK_S = 1.0
MOST_REMEMBERED = 10_000
"""Orders whose links are known to stand, so that each asks the journal once."""


class DecisionFeed:
    """Follows the feed, and the time."""

    def __init__(
        self,
        journal: Journal,
        feed: Feed,
        decisions: DecisionDesk,
        trades: TradeBook,
        accounts: Mapping[str, Account],
    ) -> None:
        """Nothing is read before `open`."""
        self._journal = journal
        self._feed = Paced(feed)
        self._decisions = decisions
        self._trades = trades
        self._accounts = accounts
        self._position = 0
        self._linked: OrderedDict[str, None] = OrderedDict()

    async def open(self) -> None:
        """Take up what is to be sent or to expire, and where the feed was left."""
        await self._decisions.book.load()
        mark = await self._journal.mark(CURSOR)
        if mark is None:  # no decision was ever recorded here, so nothing before can be about one
            mark = str(self._journal.head)
            await self._journal.set_mark(CURSOR, mark)
        self._position = int(mark)

    def start(self) -> None:
        """Go on with what a crash has left, and follow; returns at once."""
        for decision in self._decisions.book.watched():
            self._decisions.wake(decision)
        first = next(iter(self._accounts.values()), None)
        if first is not None:
            first.tasks.start(self._listen(first), "decisions feed")
            first.tasks.start(self._watch_time(first), "decisions expiry")

    async def _watch_time(self, account: Account) -> None:
        """Look for decisions whose time is over. Times are the callers', so the wall clock has the word."""
        while not account.is_stopping:
            await account.pause(EXPIRY_LOOK_S)
            now = account.clock.now()
            for decision in self._decisions.book.watched():
                if decision.is_past(now) and not account.is_stopping:
                    self._decisions.wake(decision)

    async def _listen(self, account: Account) -> None:
        marked_ns, marked = account.clock.monotonic_ns(), self._position
        while not account.is_stopping:
            entries = await kept_after(self._feed, self._position, PAGE)
            await self._hear(entries)
            is_time = account.clock.monotonic_ns() - marked_ns >= MARK_EVERY_S * 1e9
            if is_time and marked < self._position:
                await self._journal.set_mark(CURSOR, str(self._position))
                marked_ns, marked = account.clock.monotonic_ns(), self._position
            if not entries:
                await self._feed.changed(self._position, MARK_EVERY_S)

    async def _hear(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.record_kind is RecordKind.TRADE:
                await self._hear_trade(entry)
            elif (entry.decision_id or entry.trade_id) and not entry.is_desk:
                await self._hear_order(entry)
            self._position = entry.sequence

    async def _hear_order(self, entry: Entry) -> None:
        """An order's decision, and that of the trade it belongs to: an exit may have one of its own."""
        if entry.order_id in self._linked:
            return
        trade = self._trades.get(entry.trade_id) if entry.trade_id else None
        of_trade = "" if trade is None else trade.decision_id
        for decision_id in dict.fromkeys((entry.decision_id, of_trade)):
            await self._link(entry, decision_id, order_id=entry.order_id, trade_id=entry.trade_id)
        self._linked[entry.order_id] = None
        if len(self._linked) > MOST_REMEMBERED:
            self._linked.popitem(last=False)

    async def _hear_trade(self, entry: Entry) -> None:
        """A trade's decision to open it, and the one to close it."""
        trade = self._trades.get(entry.record_id)
        closing = None if trade is None else trade.closing
        to_close = "" if closing is None else closing.decision_id
        for decision_id in dict.fromkeys((entry.decision_id, to_close)):
            await self._link(entry, decision_id, trade_id=entry.record_id)

    async def _link(self, entry: Entry, decision_id: str, *, order_id: str = "", trade_id: str = "") -> None:
        if decision_id and entry.account_id in self._accounts:
            mark = (CURSOR, str(entry.sequence - 1))
            await self._decisions.link(entry.account_id, decision_id, order_id=order_id, trade_id=trade_id, mark=mark)
