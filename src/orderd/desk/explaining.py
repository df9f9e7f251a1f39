"""Booking the activities of a broker's list that explain why it holds something else than the fills say.

Rule 1: an activity is booked once, when it brings our figure nearer to the broker's. It stays with its position, so
that results and trades can be restated with it, and so that what is delivered finds its option days later.
Rule 2: a split counts from the beginning of its day: what was executed on it is in the new units already. Where what
is held does not agree with that, it counts from the moment it is booked.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import structlog

from orderd.core.activities import Activity, ActivityKind, Occurrence, is_delivery_for, occurrences
from orderd.core.adjustments import TOLD_TO_RESULTS, Adjustment, option_end, split_day
from orderd.core.instruments import multiplier_of_symbol
from orderd.core.order import EventSource
from orderd.core.positions import FEE, Change, Divided, Happened, Position, Traded, divided
from orderd.core.values import ZERO, Reason, Value, add, canonical, divide, multiply, subtract
from orderd.desk.positions import READ, PositionBook, Touched
from orderd.engine.account import RECONCILER, Account
from orderd.ports import BrokerPosition, FillFilter, Journal
from orderd.wire.positions import Moves, executed_time, moves_of_fill
from orderd.wire.results import order_of
from orderd.wire.symbols import contract

log = structlog.get_logger("orderd.desk")

EARLIER: Final = timedelta(hours=1)
"""A fill is recorded after it was executed, but for clocks that disagree."""


class Seen(Value, frozen=True, kw_only=True):
    """What the broker holds, and when it was asked."""

    positions: Mapping[str, BrokerPosition]
    at: datetime
    at_ns: int

    def held(self, symbol: str) -> Decimal:
        """Signed quantity; 0 when it is not among them."""
        known = self.positions.get(symbol)
        return ZERO if known is None else known.quantity


def key_of(event: Occurrence) -> str:
    """What an event is remembered by: ids of rows alone are not told apart."""
    row = event.first
    return f"{row.activity_id} {row.kind} {row.symbol} {canonical(event.quantity)}"


class Explainer:
    """Books what explains differences of one account. Its caller holds the book's lock."""

    def __init__(self, account: Account, book: PositionBook) -> None:
        """Nothing is kept."""
        self._account = account
        self._book = book

    async def explain(
        self, symbols: Sequence[str], seen: Seen, activities: Iterable[Activity], told: Mapping[str, str]
    ) -> tuple[Touched, list[Occurrence]]:
        """Take what explains something of these symbols into the book; what is to be written, and the events of it."""
        touched, fresh = Touched(RECONCILER), list[Occurrence]()
        events = occurrences(activities)
        for event in events:
            symbol = event.first.symbol
            if (
                key_of(event) not in told
                and symbol in symbols
                and event.explains(self.ours(symbol), seen.held(symbol))
                and await self._book_event(event, events, symbols, touched)
            ):
                fresh.append(event)
        for symbol in symbols:
            self._expire(symbol, seen, touched)
        return touched, fresh

    def ours(self, symbol: str) -> Decimal:
        """What is held by the fills."""
        known = self._book.get(self._account.account_id, symbol)
        return ZERO if known is None else known.holding.quantity

    def take(self, symbol: str, changes: Iterable[Change], touched: Touched, reason: Reason) -> None:
        """Book changes of a symbol."""
        moves = Moves(
            account_id=self._account.account_id,
            symbol=symbol,
            multiplier=multiplier_of_symbol(symbol),
            order_id="",
            source=EventSource(reason.origin),
            at=self._account.clock.now(),
        )
        for change in changes:
            self._book.change(moves, change, touched, reason)

    async def _book_event(
        self, event: Occurrence, events: Sequence[Occurrence], symbols: Sequence[str], touched: Touched
    ) -> bool:
        """Book one event; False when it has to wait, or does not say enough."""
        row = event.first
        match row.kind:
            case ActivityKind.SPLIT:
                return await self._split(event, touched)
            case ActivityKind.DELIVERED:
                return await self._deliver(event, events, symbols, touched)
            case ActivityKind.FEE_IN_KIND:
                self._happen(event, touched, change_id=f"{FEE}{row.activity_id}")
            case _:
                before = self._by_strategy(row.symbol)
                self._happen(event, touched, change_id=row.activity_id)
                self._ended(event, before, touched)
        return True

    def _happen(self, event: Occurrence, touched: Touched, *, change_id: str) -> None:
        change = Happened(change_id=change_id, quantity=event.quantity, price=ZERO)
        self.take(event.first.symbol, [change], touched, _reason(event))

    def _adjusted(self, adjustment: Adjustment, symbol: str, touched: Touched) -> None:
        assert adjustment.kind in TOLD_TO_RESULTS
        reason = Reason(code=adjustment.kind, origin=RECONCILER)
        self._book.adjusted((self._account.account_id, symbol), adjustment, touched, reason)

    def _by_strategy(self, symbol: str) -> dict[str, Decimal]:
        known = self._book.get(self._account.account_id, symbol)
        return {} if known is None else {share.strategy: share.quantity for share in known.holding.shares}

    # -------------------------------------------------------------------------------------------------------- options

    def _ended(self, event: Occurrence, before: Mapping[str, Decimal], touched: Touched) -> None:
        """Keep what an option's end took from each strategy."""
        row, now = event.first, self._account.clock.now()
        named, after = contract(row.symbol), self._by_strategy(row.symbol)
        if named is None:
            return
        changed = [(name, subtract(after.get(name, ZERO), quantity)) for name, quantity in before.items()]
        known, at = touched.last((self._account.account_id, row.symbol)), option_end(row.day, named.expiry, now)
        ended = Adjustment(
            adjustment_id=key_of(event),
            kind=row.kind,
            # What was traded after its day by the broker's own word cannot have ended before.
            effective_time=at if known is not None and known.opened_time <= at else now,
            shares=tuple([(name, quantity) for name, quantity in changed if quantity]),
        )
        self._adjusted(ended, row.symbol, touched)

    def _expire(self, symbol: str, seen: Seen, touched: Touched) -> None:
        """Strategies that stand against each other in an option that has run out: the broker never held any of it."""
        known, option = self._book.get(self._account.account_id, symbol), contract(symbol)
        if known is None or option is None or known.holding.quantity or seen.held(symbol):
            return
        if seen.at.date() > option.expiry:
            gone = [(s.strategy, s.quantity.copy_negate()) for s in known.holding.shares if s.lots]
            ended = f"expired:{known.position_id}"
            changes: list[Change] = [
                Traded(change_id=f"{ended}:{strategy}", quantity=quantity, price=ZERO, strategy=strategy)
                for strategy, quantity in gone
            ]
            self.take(symbol, changes, touched, Reason(code=ActivityKind.EXPIRED, origin=RECONCILER))
            adjustment = Adjustment(
                adjustment_id=ended,
                kind=ActivityKind.EXPIRED,
                effective_time=option_end("", option.expiry, self._account.clock.now()),
                shares=tuple(gone),
            )
            self._adjusted(adjustment, symbol, touched)

    async def _deliver(
        self, event: Occurrence, events: Sequence[Occurrence], symbols: Sequence[str], touched: Touched
    ) -> bool:
        """Units at the strike, to the strategies whose options they came or went for; else they are nobody's.

        They wait while their option's own activity does: only then it is known whose it was.
        """
        row = event.first
        for other in events:
            option, named = other.first, contract(other.first.symbol)
            if named is None or not is_delivery_for(row, option, named.root):
                continue
            ended = await self._end_of(other, touched)
            if ended is not None:
                self._hand_out(event, option, ended, touched)
                return True
            if option.symbol not in symbols:
                return False
        change = Happened(change_id=row.activity_id, quantity=row.quantity, price=row.price)
        self.take(row.symbol, [change], touched, _reason(event))
        return True

    async def _end_of(self, event: Occurrence, touched: Touched) -> Adjustment | None:
        """The end of an option as it was booked, now or at an earlier reconciliation."""
        name = (self._account.account_id, event.first.symbol)
        known = touched.last(name) or await self._book.last(*name)
        ends = () if known is None else known.adjustments
        return next((each for each in ends if each.adjustment_id == key_of(event)), None)

    def _hand_out(self, event: Occurrence, option: Activity, ended: Adjustment, touched: Touched) -> None:
        row, named = event.first, contract(option.symbol)
        assert named is not None
        each = divide(row.quantity, option.quantity.copy_negate())
        left, shares = row.quantity, dict[str, Decimal]()
        for strategy, gone in ended.shares:
            units = multiply(each, gone.copy_negate())
            left = subtract(left, units)
            shares[strategy] = units
        if left:
            shares[""] = add(shares.get("", ZERO), left)
        changes: list[Change] = [
            Traded(change_id=f"{row.activity_id}:{strategy}", quantity=units, price=named.strike, strategy=strategy)
            for strategy, units in shares.items()
        ]
        self.take(row.symbol, changes, touched, _reason(event))
        delivered = Adjustment(
            adjustment_id=key_of(event),
            kind=row.kind,
            effective_time=ended.effective_time,
            price=named.strike,
            shares=tuple(shares.items()),
            option_symbol=option.symbol,
            option_adjustment_id=ended.adjustment_id,
            per_contract=each,
        )
        self._adjusted(delivered, row.symbol, touched)

    # --------------------------------------------------------------------------------------------------------- splits

    async def _split(self, event: Occurrence, touched: Touched) -> bool:
        row, now = event.first, self._account.clock.now()
        day = split_day(row.day)
        if day is None or day > now:
            day = now
        fills = await traded_since(self._account.journal, self._account.account_id, row.symbol, day)
        since = [each.traded for each in fills]
        before = self.ours(row.symbol)
        for traded in since:
            before = subtract(before, traded.quantity)
        rate = event.rate(before) if before else None
        if rate is None or rate[1] != before.copy_abs():
            day, since, rate = now, [], event.rate(self.ours(row.symbol))
        new, old = rate
        if not new or not old:
            return False  # one row, and nothing held: nobody can tell how many came for how many
        change = Divided(change_id=row.activity_id, new=new, old=old)
        position = await self._in_its_place(row.symbol, change, since, touched) if since else None
        if position is None:
            self.take(row.symbol, [change], touched, _reason(event))
        else:
            self._book.put(position, touched, reason=_reason(event))
        self._adjusted(
            Adjustment(adjustment_id=key_of(event), kind=row.kind, effective_time=day, new=new, old=old),
            row.symbol,
            touched,
        )
        return True

    async def _in_its_place(
        self, symbol: str, change: Divided, since: Sequence[Traded], touched: Touched
    ) -> Position | None:
        """The position with the split before what was executed after it."""
        name = (self._account.account_id, symbol)
        known = self._book.get(*name) or touched.last(name) or await self._book.last(*name)
        if known is None:
            return None
        return divided(known, change, [traded.change_id for traded in since], self._account.clock.now())


class Since(Value, frozen=True, kw_only=True):
    """A fill that counts, and the trade that it belongs to."""

    trade_id: str
    traded: Traded


async def traded_since(journal: Journal, account_id: str, symbol: str, since: datetime) -> list[Since]:
    """What counts of an account's fills of a symbol that were executed from then on. Raises JournalBusyError."""
    where = FillFilter(account_ids=(account_id,), symbols=(symbol,), after=since - EARLIER)
    found: list[Since] = []
    after_key: tuple[int | str, ...] | None = None
    while True:
        page = await journal.list_fills(where, after_key=after_key, limit=READ)
        for row in page.rows:
            order = journal.order_data(order_of(row.data))
            moves = moves_of_fill(order, row.data) if order is not None else None
            if moves is not None and executed_time(row.data) >= since:
                found += [Since(trade_id=moves.trade_id, traded=traded) for traded in moves.added]
        if not page.has_more:
            return found
        after_key = page.rows[-1].key


def _reason(event: Occurrence) -> Reason:
    return Reason(code=event.first.kind, origin=RECONCILER)
