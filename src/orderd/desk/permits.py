"""Whether an order or a trade that names a decision may be written down.

Rule 1: a decision is held from the question to the commit, so that no rejection comes in between.
Rule 2: what names one decision counts together: many small orders are one large one. They are asked one by one.
Rule 3: an id that nobody has recorded is only a name; and what was written down before is answered, whatever its
decision says by now.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial

from orderd.core.decisions import Decision, Refusal, forbidden, is_its_own, unapproved
from orderd.core.order import OrderIntent, Side
from orderd.core.records import RecordKind
from orderd.core.values import ZERO, OrderId, add
from orderd.desk.decisions import DecisionDesk
from orderd.desk.refusals import refused
from orderd.desk.sizes import Sizes
from orderd.desk.trade_asks import OpenTrade
from orderd.engine.account import Account
from orderd.ports import Journal, OrderFilter

READ = 500


class DecisionPermits:
    """Asked by the engine and by the trades."""

    def __init__(
        self, journal: Journal, decisions: DecisionDesk, accounts: Mapping[str, Account], sizes: Sizes
    ) -> None:
        """Nothing is kept."""
        self._journal = journal
        self._decisions = decisions
        self._accounts = accounts
        self._sizes = sizes

    @asynccontextmanager
    async def order(self, intent: OrderIntent) -> AsyncGenerator[None]:
        """Hold the decision of an order. Raises EngineError when the order may not stand."""
        async with self._held(intent.account_id, intent.decision_id, intent.client_order_id) as decision:
            if decision is not None and self._journal.find_key(intent.account_id, intent.client_order_id) is None:
                await self._check_order(decision, intent)
            yield

    async def _check_order(self, decision: Decision, intent: OrderIntent) -> None:
        self._check(decision)
        sent = await self._sent(decision, intent.side)
        refusal = unapproved(decision, is_large=self._sizes.is_large_order(intent, sent))
        if refusal is not None and not await self._sizes.is_exit(intent):
            raise refused(refusal, decision)

    @asynccontextmanager
    async def trade(self, ask: OpenTrade) -> AsyncGenerator[datetime | None]:
        """Hold the decision of a trade; yields when that is over. Raises EngineError when it may not be opened."""
        named = self._decisions.book.find(ask.account_id, ask.decision_id) if ask.decision_id else None
        async with self._held(ask.account_id, ask.decision_id, ask.client_trade_id) as decision:
            if decision is not None and not self._is_known(ask):
                self._check(decision)
                await self._check_approved(decision, partial(self._is_large_trade, decision, ask))
            yield None if named is None else named.said.expires_time

    def _is_known(self, ask: OpenTrade) -> bool:
        return self._journal.find_record(RecordKind.TRADE, ask.account_id, ask.client_trade_id) is not None

    async def _is_large_trade(self, decision: Decision, ask: OpenTrade) -> bool:
        return await self._sizes.is_large_trade(ask, await self._sent(decision, ask.signal.side))

    async def _sent(self, decision: Decision, side: Side | None) -> Decimal | None:
        """What orders that name it are worth on one side, but for what a person has approved. None: not known."""
        said, total = decision.said, ZERO
        if self._sizes.limit(said.account_id) is None:
            return ZERO
        sides = () if side is None else (side,)
        where = OrderFilter(account_ids=(said.account_id,), decision_ids=(said.decision_id,), sides=sides)
        after_key: tuple[int | str, ...] | None = None
        while True:
            page = await self._journal.list_orders(where, after_key=after_key, limit=READ)
            for row in page.rows:
                order = self._journal.load(OrderId(str(row.key[-1])))
                if order is None or order.intent.is_exit:
                    continue
                if decision.is_approved_by_person and is_its_own(decision, order.intent):
                    continue
                worth = self._sizes.worth(order)
                if worth is None:
                    return None
                total = add(total, worth)
            if not page.has_more:
                return total
            after_key = page.rows[-1].key

    @staticmethod
    async def _check_approved(decision: Decision, is_large: Callable[[], Awaitable[bool]]) -> None:
        refusal = unapproved(decision, is_large=False) or unapproved(decision, is_large=await is_large())
        if refusal is not None:
            raise refused(refusal, decision)

    def _check(self, decision: Decision) -> None:
        refusal: Refusal | None = forbidden(decision, self._accounts[decision.said.account_id].clock.now())
        if refusal is not None:
            raise refused(refusal, decision)

    @asynccontextmanager
    async def _held(self, account_id: str, decision_id: str, key: str) -> AsyncGenerator[Decision | None]:
        """The decision while it is held; None when it was never recorded, or is being sent by itself."""
        book = self._decisions.book
        is_own = self._decisions.is_sending(account_id, key)
        if is_own or not decision_id or account_id not in self._accounts or book.find(account_id, decision_id) is None:
            yield None
            return
        async with book.hold(account_id, decision_id):
            yield book.find(account_id, decision_id)
