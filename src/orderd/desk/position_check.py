"""Comparing what an account holds at its broker with what the fills say, at the end of each reconciliation.

Rule 1: a figure that changed while the broker was asked is not compared, nor is a symbol in which a fill may be on its
way. Nothing is concluded from a failed read.
Rule 2: a difference stands when two reconciliations, the settle time apart, see the same one. At the first ones of an
account it is what was held before its history begins, and booked as an opening balance; later it is a discrepancy.
Rule 3: the broker's activities are asked for whenever something differs, and explain what they can first.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from orderd.core.activities import Activity, Occurrence, occurrences
from orderd.core.discrepancies import RULES, Discrepancy, DiscrepancyKind, Effect
from orderd.core.order import Order
from orderd.core.positions import OPENING, Happened, Position, awaits_fee
from orderd.core.settle import missing
from orderd.core.values import ZERO, Reason, Value, canonical, subtract
from orderd.desk.explaining import Explainer, Seen, key_of
from orderd.desk.positions import PositionBook, Touched
from orderd.engine.account import OPERATOR, RECONCILER, Account
from orderd.engine.discrepancies import Discrepancies
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerError, JournalBusyError

log = structlog.get_logger("orderd.desk")

DIFFERS: Final = DiscrepancyKind.POSITION_DIFFERS
REACH: Final = timedelta(days=10)
"""How long after its day an activity is still looked for: brokers book some the next morning, and not on weekends."""


class Suspect(Value, frozen=True, kw_only=True):
    """A difference that has been seen, and since when (monotonic)."""

    difference: Decimal
    since_ns: int


class Compared(Value, frozen=True, kw_only=True):
    """Both figures of a symbol. `difference` is 0 when a fee that is still to be told explains it."""

    symbol: str
    ours: Decimal
    theirs: Decimal
    difference: Decimal


class Checker:
    """Compares the positions of one account. Implements `engine.account.PositionCheck`."""

    def __init__(self, account: Account, discrepancies: Discrepancies, book: PositionBook) -> None:
        """Nothing is asked before `compare`."""
        self._account = account
        self._discrepancies = discrepancies
        self._book = book
        self._explainer = Explainer(account, book)
        self._suspects: dict[str, Suspect] = {}
        self._opened: str | None = None
        """The broker's account number that opening balances were booked for; None before it was read."""
        self._told: dict[str, str] | None = None
        self.seen: Seen | None = None
        """What the broker said last."""

    # ------------------------------------------------------------------------------------------------------- asking

    async def look(self) -> Seen:
        """Ask the broker what it holds. Raises BrokerError."""
        clock = self._account.clock
        positions = await self._account.broker.positions()
        by_symbol = {position.symbol: position for position in positions}
        self.seen = Seen(positions=by_symbol, at=clock.now(), at_ns=clock.monotonic_ns())
        return self.seen

    async def compare(self) -> None:
        """Compare, book what is explained, open and close discrepancies."""
        try:
            await self._compare()
        except (BrokerError, JournalBusyError) as error:
            log.warning("positions_not_compared", account_id=self._account.account_id, error=str(error))

    async def _compare(self) -> None:
        is_opened = await self._has_opened()
        await self._book.catch_up()
        before = self._figures()
        seen = await self.look()
        is_same = all(before.get(symbol, ZERO) == seen.held(symbol) for symbol in [*before, *seen.positions])
        # Read before the lock is held: nobody folds while an answer is waited for.
        activities = () if is_same and is_opened else await self._activities(seen)
        async with self._book.lock:
            await self._book.fold()
            everything = list(dict.fromkeys([*before, *seen.positions, *self._suspects, *self._records()]))
            settled = [symbol for symbol in everything if self._is_settled(symbol, before)]
            if is_opened:
                await self._explain(settled, seen, activities)
            compared = [self._compared(symbol, seen) for symbol in settled]
            if not is_opened:
                await self._begin(compared, seen, activities, is_all=len(settled) == len(everything))
        if is_opened:
            for one in compared:
                await self._judge(one, seen)

    async def _activities(self, seen: Seen) -> Sequence[Activity]:
        return await self._account.broker.activities_since(seen.at.date() - REACH)

    def _compared(self, symbol: str, seen: Seen) -> Compared:
        known, ours, theirs = (
            self._book.get(self._account.account_id, symbol),
            self._explainer.ours(symbol),
            seen.held(symbol),
        )
        difference = subtract(theirs, ours)
        if known is not None and awaits_fee(known, difference):
            difference = ZERO
        return Compared(symbol=symbol, ours=ours, theirs=theirs, difference=difference)

    # ----------------------------------------------------------------------------------------------- what is compared

    def _figures(self) -> dict[str, Decimal]:
        return {position.symbol: position.holding.quantity for position in self._positions()}

    def _positions(self) -> list[Position]:
        return self._book.open_of(self._account.account_id)

    def _is_settled(self, symbol: str, before: Mapping[str, Decimal]) -> bool:
        """Whether its figures say something: nothing was booked meanwhile, and nothing is on its way."""
        return before.get(symbol, ZERO) == self._explainer.ours(symbol) and not self._is_on_its_way(symbol)

    def _is_on_its_way(self, symbol: str) -> bool:
        return any(self._may_have_traded(order) for order in self._orders(symbol))

    def _orders(self, symbol: str) -> list[Order]:
        orders = self._account.blotter.open(self._account.account_id)
        return [order for order in orders if order.intent.symbol == symbol]

    def _may_have_traded(self, order: Order) -> bool:
        """Whether something of it may have been executed that is not booked: told, being booked, or never answered."""
        if self._account.intake.is_busy(order.order_id) or (not order.links and order.attempts):
            return True
        return any(missing(order, link) for link in order.links)

    def record(self, symbol: str) -> Discrepancy | None:
        """The open discrepancy about what is held of a symbol."""
        return self._records().get(symbol)

    def _records(self) -> dict[str, Discrepancy]:
        """The open discrepancies of this kind, by symbol."""
        return {record.symbol: record for record in self._discrepancies.all_open() if record.kind is DIFFERS}

    # ------------------------------------------------------------------------------------------------------ explaining

    async def _explain(self, symbols: Sequence[str], seen: Seen, activities: Iterable[Activity]) -> None:
        """Book the activities that bring our figures nearer to the broker's. The book's lock is held."""
        told = await self._told_before()
        touched, fresh = await self._explainer.explain(symbols, seen, activities, told)
        if touched.positions:
            log.info("positions_explained", account_id=self._account.account_id, activities=len(fresh))
            await self._book.write(touched, [self._telling(told, fresh)])

    async def _told_before(self) -> dict[str, str]:
        """The activities that are booked, and the days of them."""
        if self._told is None:
            text = await self._account.journal.mark(self._mark("activities"))
            self._told = msgspec.json.decode(text, type=dict[str, str]) if text else {}
        return self._told

    def _telling(self, told: dict[str, str], fresh: Iterable[Occurrence]) -> tuple[str, str]:
        """The mark that keeps them from being booked again, for as long as they are looked for."""
        oldest = (self._account.clock.now() - 3 * REACH).date().isoformat()
        told |= {key_of(event): event.first.day for event in fresh}
        self._told = {key: day for key, day in told.items() if day >= oldest}
        return self._mark("activities"), msgspec.json.encode(self._told).decode()

    def _mark(self, what: str) -> str:
        return f"{what}:{self._account.account_id}"

    # --------------------------------------------------------------------------------------------------------- judging

    async def _judge(self, one: Compared, seen: Seen) -> None:
        record = self.record(one.symbol)
        if one.difference:
            if self._stands(one, seen) and record is None and not self._is_explained(one.symbol):
                await self._open(one)
            return
        self._suspects.pop(one.symbol, None)
        if record is not None:
            why = f"the broker holds {canonical(one.theirs)}, the fills say {canonical(one.ours)}"
            await self._discrepancies.close(record, RECONCILER, why)

    def _stands(self, one: Compared, seen: Seen) -> bool:
        """Whether an earlier reconciliation saw the same difference, at least the settle time ago."""
        known = self._suspects.get(one.symbol)
        if known is None or known.difference != one.difference:
            self._suspects[one.symbol] = Suspect(difference=one.difference, since_ns=seen.at_ns)
            return False
        return seen.at_ns - known.since_ns >= self._account.policy.settle_s * 1e9

    def _is_explained(self, symbol: str) -> bool:
        """Whether a difference of one of its orders stops the symbol already: it says why."""
        return any(
            record.symbol == symbol and record.order_id and RULES[record.kind].effect is Effect.SYMBOL_BLOCKED
            for record in self._discrepancies.all_open()
        )

    async def _open(self, one: Compared) -> None:
        await self._discrepancies.open_about_symbol(
            DIFFERS,
            one.symbol,
            expected=canonical(one.ours),
            observed=canonical(one.theirs),
            evidence=f"seen for {self._account.policy.settle_s:g} s or longer, with no fill on its way",
        )

    # -------------------------------------------------------------------------------------------------- the first time

    async def _has_opened(self) -> bool:
        """Whether what was held before the history begins is booked, for the account that the broker shows now."""
        if self._opened is None:
            self._opened = await self._account.journal.mark(self._mark("positions_opened")) or ""
        return bool(self._opened) and self._opened == self._account.number

    async def _begin(
        self, compared: Sequence[Compared], seen: Seen, activities: Iterable[Activity], *, is_all: bool
    ) -> None:
        """Book opening balances; when nothing is left to be told, the history of positions has begun.

        What is not being traded is booked at once, the rest when it stands. The book's lock is held.
        """
        touched, told = Touched(RECONCILER), await self._told_before()
        for one in compared:
            if not one.difference:
                self._suspects.pop(one.symbol, None)
            elif not self._orders(one.symbol) or self._stands(one, seen):
                self._suspects.pop(one.symbol, None)
                self._open_with(one, seen, touched)
        marks = list[tuple[str, str]]()
        if is_all and not self._suspects:
            self._opened = self._account.number
            # What is listed by now is in the opening balances.
            marks = [(self._mark("positions_opened"), self._opened), self._telling(told, occurrences(activities))]
        if touched.positions or marks:
            await self._book.write(touched, marks)

    def _open_with(self, one: Compared, seen: Seen, touched: Touched) -> None:
        known = seen.positions.get(one.symbol)
        price = None if known is None else known.average_entry_price
        change_id = f"{OPENING}{one.symbol}:{self._account.journal.head}"
        change = Happened(change_id=change_id, quantity=one.difference, price=price)
        log.info(
            "opening_balance",
            account_id=self._account.account_id,
            symbol=one.symbol,
            quantity=canonical(one.difference),
        )
        self._explainer.take(one.symbol, [change], touched, Reason(code="OPENING_BALANCE", origin=RECONCILER))

    # ----------------------------------------------------------------------------------------------- an operator's word

    async def accept(self, record: Discrepancy, *, reason: str, operator_name: str) -> None:
        """Book what differs now as an adjustment. Raises EngineError when the broker cannot be asked, or fills come."""
        await self._book.catch_up()
        symbol, before = record.symbol, self._explainer.ours(record.symbol)
        try:
            seen = await self.look()
        except BrokerError as error:
            text = f"the broker cannot be asked now: {error}"
            raise EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=5) from None
        async with self._book.lock:
            await self._book.fold()
            if before != self._explainer.ours(symbol) or self._is_on_its_way(symbol):
                text = f"a fill of {symbol} is on its way: what differs is not known in this moment"
                raise EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=5)
            difference = subtract(seen.held(symbol), before)
            if not difference:
                return
            known = seen.positions.get(symbol)
            is_more = known is not None and (not before or before.is_signed() is difference.is_signed())
            change = Happened(
                change_id=f"adjustment:{record.discrepancy_id}",
                quantity=difference,
                price=known.average_entry_price if known is not None and is_more else None,
            )
            touched = Touched(OPERATOR)
            word = Reason(code="ADJUSTMENT", message=reason, origin=OPERATOR, operator_name=operator_name)
            self._explainer.take(symbol, [change], touched, word)
            self._suspects.pop(symbol, None)
            await self._book.write(touched)
