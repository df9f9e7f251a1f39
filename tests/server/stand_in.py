"""An engine that does what a test tells it, over the real journal and the real feed.

The rooms below the server are real where bytes come from them; only the brokers' side of the engine is played.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal

import msgspec

from orderd.core.facts import CancelAsked, Executed, Execution, Fact, Reported, Sending, View
from orderd.core.keys import differences
from orderd.core.lifecycle import create, decide
from orderd.core.order import AssetClass, EventSource, Mode, Order, OrderIntent, OrderState, Phase
from orderd.core.values import BrokerOrderId, ExecutionId, OrderId
from orderd.core.verdicts import Apply
from orderd.engine.api import (
    AccountStatus,
    CancelAllAsk,
    CancelResult,
    OrderRef,
    PairedOrder,
    Preview,
    ReconcileProgress,
    ReplaceAsk,
    ResolveAsk,
    SubmitResult,
    Wait,
)
from orderd.engine.errors import EngineError, Kind
from orderd.engine.feed import JournalFeed
from orderd.ports import Append, BrokerAccount, Discrepancy
from orderd.risk.limits import TradingState
from orderd.storage import SqliteJournal
from orderd.system import SystemClock, SystemIds

CLOCK, IDS = SystemClock(), SystemIds()


class StandIn:
    """`api.Engine` with every answer in the open."""

    def __init__(self, journal: SqliteJournal, accounts: Sequence[str]) -> None:
        self.journal = journal
        self.feed = JournalFeed(journal)
        self.accounts = list(accounts)
        self.errors: dict[str, Exception] = {}
        """By the name of the call: what it raises instead of answering."""
        self.asked: list[tuple[str, object]] = []
        """Every call that reached the engine, with what it was asked."""
        self.broker_answers = asyncio.Event()
        """While it is not set, a submit that waits for the broker waits."""
        self.broker_answers.set()
        self.pairs: Sequence[PairedOrder] = ()
        self.progress: Sequence[ReconcileProgress] = ()
        self.cancel_results: Sequence[CancelResult] = ()
        self.preview_answer = Preview(valid=True, denial=None, complaint="", estimated_cost=None, broker_request=b"{}")
        self.figures: BrokerAccount | None = None
        self.figures_error = ""
        self.halt_reason = ""
        self.before_submit: Callable[[], None] = lambda: None

    def _heard(self, call: str, about: object) -> None:
        self.asked.append((call, about))
        if call in self.errors:
            raise self.errors[call]

    def account_ids(self) -> Sequence[str]:
        return self.accounts

    # ------------------------------------------------------------------------------------------------- writing

    async def write(self, intent: OrderIntent) -> Order:
        """Record a new order as CREATED."""
        now = CLOCK.now()
        order = Order(
            order_id=OrderId(IDS.new()),
            intent=intent,
            terms=intent.terms,
            state=OrderState.CREATED,
            broker="simulated",
            mode=Mode.PAPER,
            asset_class=AssetClass.US_EQUITY,
            created_time=now,
            updated_time=now,
        )
        (recorded,) = await self.journal.append([Append(steps=(create(order, source=EventSource.CLIENT),))])
        return recorded.order

    async def take(self, order_id: str, *facts: Fact) -> Order:
        """Record what follows from the facts, one append each."""
        order = self.journal.load(order_id)
        assert order is not None
        for fact in facts:
            verdict = decide(order, fact)
            assert isinstance(verdict, Apply), verdict
            (recorded,) = await self.journal.append([Append(steps=verdict.steps)])
            order = recorded.order
        return order

    async def work(self, order_id: str, broker_order_id: str = "b-1") -> Order:
        """Send the order and let the broker accept it."""
        return await self.take(order_id, Sending(at=CLOCK.now(), source=EventSource.ENGINE), accepted(broker_order_id))

    # --------------------------------------------------------------------------------------------------- Engine

    async def submit(self, intent: OrderIntent, *, wait: Wait, timeout_s: float) -> SubmitResult:
        self._heard("submit", (intent, wait, timeout_s))
        self.before_submit()
        known = self.journal.find_key(intent.account_id, intent.client_order_id)
        if known is not None:
            order = self.journal.load(known)
            assert order is not None
            if differences(order.intent, intent):
                raise EngineError(
                    Kind.ALREADY_EXISTS,
                    "CLIENT_ORDER_ID_REUSED",
                    "used for another order",
                    metadata={"order_id": known, "differing_fields": ",".join(differences(order.intent, intent))},
                    subject=("orderd.Order", known),
                )
            return SubmitResult(order=order, replayed=True)
        order = await self.write(intent)
        if wait is Wait.BROKER:
            try:
                async with asyncio.timeout(timeout_s):
                    await self.broker_answers.wait()
                order = await self.work(order.order_id, f"b-{order.order_id}")
            except TimeoutError:
                pass
        return SubmitResult(order=order, replayed=False)

    async def preview(self, intent: OrderIntent) -> Preview:
        self._heard("preview", intent)
        return self.preview_answer

    def find(self, ref: OrderRef) -> str:
        self._heard("find", ref)
        if ref.order_id:
            found = ref.order_id if self.journal.order_data(ref.order_id) is not None else None
        elif ref.client_order_id:
            found = self.journal.find_key(ref.account_id, ref.client_order_id)
        else:
            found = self.journal.find_broker_order(ref.account_id, ref.broker_order_id)
        if found is None:
            name = ref.order_id or ref.client_order_id or ref.broker_order_id
            raise EngineError(Kind.NOT_FOUND, "ORDER_NOT_FOUND", "no such order", subject=("orderd.Order", name))
        return found

    async def cancel(self, ref: OrderRef, *, reason: str, wait: Wait, timeout_s: float) -> Order:
        self._heard("cancel", (ref, reason, wait, timeout_s))
        return await self.take(self.find(ref), CancelAsked(at=CLOCK.now(), source=EventSource.CLIENT, reason=reason))

    async def cancel_all(self, ask: CancelAllAsk) -> Sequence[CancelResult]:
        self._heard("cancel_all", ask)
        return self.cancel_results

    async def replace(self, ref: OrderRef, ask: ReplaceAsk, *, timeout_s: float) -> Order:
        self._heard("replace", (ref, ask, timeout_s))
        order = self.journal.load(self.find(ref))
        assert order is not None
        return order

    async def account_status(self, account_id: str, *, fresh: bool) -> AccountStatus:
        self._heard("account_status", (account_id, fresh))
        return AccountStatus(
            account_id=account_id,
            broker="simulated",
            mode=Mode.PAPER,
            is_recovering=False,
            halt_reason=self.halt_reason,
            trading_state=TradingState.HALTED if self.halt_reason else TradingState.ACTIVE,
            trading_state_reason=self.halt_reason,
            stream_connected=True,
            stream_changed_time=CLOCK.now(),
            reconciled_time=CLOCK.now(),
            reconcile_age_s=1.5,
            open_orders=3,
            unknown_orders=1,
            open_discrepancies=2,
            figures=self.figures if fresh else None,
            figures_error=self.figures_error if fresh else "",
        )

    async def reconcile(self, account_id: str) -> AsyncIterator[ReconcileProgress]:
        self._heard("reconcile", account_id)
        for progress in self.progress:
            yield progress

    async def broker_orders(self, account_id: str) -> Sequence[PairedOrder]:
        self._heard("broker_orders", account_id)
        return self.pairs

    async def resume_account(self, account_id: str, *, reason: str) -> AccountStatus:
        self._heard("resume_account", (account_id, reason))
        self.halt_reason = ""
        return await self.account_status(account_id, fresh=False)

    async def resolve_discrepancy(self, discrepancy_id: str, *, reason: str, operator_name: str) -> Discrepancy:
        self._heard("resolve_discrepancy", (discrepancy_id, reason, operator_name))
        record = await self.journal.discrepancy(discrepancy_id)
        assert record is not None
        closed = msgspec.structs.replace(
            record,
            resolved_time=CLOCK.now(),
            resolved_by=EventSource.OPERATOR,
            resolution=reason,
            operator_name=operator_name,
        )
        await self.journal.append([Append(steps=(), discrepancies=(closed,))])
        return closed

    async def resolve_order(self, ref: OrderRef, ask: ResolveAsk) -> Order:
        self._heard("resolve_order", (ref, ask))
        order = self.journal.load(self.find(ref))
        assert order is not None
        return order


def view(broker_order_id: str = "b-1", phase: Phase = Phase.WORKING, **changes: object) -> View:
    """A broker's description of an order."""
    plain = View(broker_order_id=BrokerOrderId(broker_order_id), phase=phase, status="new")
    return msgspec.structs.replace(plain, **changes)


def accepted(broker_order_id: str = "b-1") -> Reported:
    """The broker works the order."""
    return Reported(at=CLOCK.now(), source=EventSource.BROKER_REPLY, view=view(broker_order_id))


def filled(broker_order_id: str, quantity: str, cum: str, execution_id: str) -> Executed:
    """One execution at 100."""
    return Executed(
        at=CLOCK.now(),
        source=EventSource.BROKER_STREAM,
        execution=Execution(
            broker_order_id=BrokerOrderId(broker_order_id),
            quantity=Decimal(quantity),
            price=Decimal(100),
            execution_id=ExecutionId(execution_id),
            cum_after=Decimal(cum),
            occurred_time=CLOCK.now(),
        ),
    )
