"""The reconciler: fetch the broker's lists, compare (pure), bring in what differs. Recovery is its first run.

A failed or partial read is no snapshot: nothing is compared, nothing concluded, and the age of the last full
reconciliation keeps growing for everyone to see.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.events import Filled
from orderd.core.facts import Execution, OutcomeLost, Reported, SettledByOperator, Verdicts, View
from orderd.core.order import EventSource, Order, OrderState
from orderd.core.reconcile import MASS, Plan, plan
from orderd.core.values import BrokerOrderId, OrderId, Value
from orderd.core.verdicts import Apply
from orderd.engine import restored
from orderd.engine.account import ENGINE, RECONCILER, Account
from orderd.engine.api import ReconcileProgress, ReconcileStage
from orderd.engine.comparing import AT_MOST, Comparer
from orderd.engine.figures import Figures
from orderd.engine.holdings import Holdings
from orderd.engine.reader import Reader
from orderd.engine.resolver import Resolver
from orderd.engine.router import Router
from orderd.ports import Absent, BrokerError, CannotTell, Discrepancy, FindOutcome, Found, JournalBusyError

log = structlog.get_logger("orderd.reconciler")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)
FIRST_REACH = timedelta(days=1)
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
AT_ONCE = 8
VANISHED = DiscrepancyKind.ORDER_VANISHED
GRACE_S = 2.0
"""An order answered this recently may not be in the broker's lists yet."""


class SameAccountError(Exception):
    """Two configured accounts are one account at the broker: neither may be traded."""


class Snapshot(Value, frozen=True, kw_only=True):
    """Everything that was read from the broker for one comparison."""

    orders: tuple[Order, ...]
    in_flight: frozenset[OrderId]
    seen_open: tuple[Found, ...]
    seen_since: tuple[Found, ...]
    executions: tuple[Execution, ...]
    asked_ns: int
    told_until: datetime
    """The latest moment, by the broker's clock, that it told of."""


class Reconciler:
    """Compares one account with its broker, at intervals and when asked."""

    def __init__(
        self,
        account: Account,
        router: Router,
        reader: Reader,
        resolver: Resolver,
        comparer: Comparer,
        *,
        holdings: Holdings,
        figures: Figures,
    ) -> None:
        """Facts go through the router and the intake like everybody's; what is held and owned is kept up to date."""
        self._account = account
        self._holdings = holdings
        self._figures = figures
        self._router = router
        self._resolver = resolver
        self._reader = reader
        self._discrepancies = comparer.discrepancies
        self.lock = asyncio.Lock()
        """Held by a run: nothing else is compared or accepted meanwhile."""
        self._accepts_absence = ""
        self._comparer = comparer
        self._booked = 0
        self._changed: set[OrderId] = set()
        """Fills and orders that the run under way has booked and changed."""
        self._began_ns = account.clock.monotonic_ns()

    async def run(self) -> None:
        """Reconcile until the process ends. The first full run opens the account for submits."""
        failures = 0
        while not self._account.is_stopping:
            self._account.reconcile_wanted.clear()
            done = False
            async for progress in self.reconcile():
                done = progress.stage is ReconcileStage.DONE
            failures = 0 if done else failures + 1
            pause_s = self._account.policy.reconcile_interval_s
            if self._accepts_absence:
                pause_s = GRACE_S
            elif self._account.lost_since is not None:
                pause_s = min(pause_s, self._account.policy.settle_s)
            if not done:
                pause_s = min(RETRY_S[min(failures, len(RETRY_S)) - 1], pause_s)
            await self._pause(pause_s)

    async def _pause(self, seconds: float) -> None:
        """Wait for the interval, or until somebody wants a run now."""
        sleeper = asyncio.ensure_future(self._account.clock.sleep(seconds))
        bell = asyncio.ensure_future(self._account.reconcile_wanted.wait())
        sleeper.add_done_callback(lambda _: bell.cancel())
        bell.add_done_callback(lambda _: sleeper.cancel())
        try:
            await asyncio.gather(sleeper, bell, return_exceptions=True)
        finally:
            sleeper.cancel()
            bell.cancel()

    async def reconcile(self) -> AsyncIterator[ReconcileProgress]:
        """One full run, told as it goes. Runs of one account never overlap."""
        account = self._account
        async with self.lock:
            yield self._progress(ReconcileStage.STARTED)
            try:
                await self._check_account()
                seen = await self._fetch()
            except (BrokerError, JournalBusyError) as error:
                log.warning("reconcile_failed", account_id=account.account_id, error=str(error))
                yield self._progress(ReconcileStage.FAILED, message=str(error))
                return
            counted = self._progress(
                ReconcileStage.FETCHED, broker_orders=len(seen.seen_open), local_orders=len(seen.orders)
            )
            yield counted
            self._booked, self._changed, opened = 0, set(), self._discrepancies.opened
            imported = await self._apply(seen)
            if imported is None:
                yield self._progress(ReconcileStage.FAILED, message=account.halt_reason or "orders could not be read")
                return
            await self._discrepancies.close_settled()
            await self._comparer.again()
            await account.journal.set_mark(self._mark, seen.told_until.isoformat())
            account.reconciled_time = account.clock.now()
            account.reconciled_ns = account.clock.monotonic_ns()
            if account.lost_since is not None and seen.asked_ns - self._began_ns >= account.policy.settle_s * 1e9:
                await restored.done(account)
            if not account.is_recovered and account.lost_since is None:
                await self._recover()
            if account.positions is not None:
                await account.positions.compare()
            yield msgspec.structs.replace(
                counted,
                stage=ReconcileStage.DONE,
                fills_booked=self._booked,
                orders_changed=len(self._changed) + imported,
                orders_imported=imported,
                discrepancies_opened=self._discrepancies.opened - opened,
            )

    @property
    def _mark(self) -> str:
        return f"told_until:{self._account.account_id}"

    def _progress(
        self, stage: ReconcileStage, *, message: str = "", broker_orders: int = 0, local_orders: int = 0
    ) -> ReconcileProgress:
        return ReconcileProgress(
            stage=stage,
            account_id=self._account.account_id,
            message=message,
            broker_orders=broker_orders,
            local_orders=local_orders,
        )

    # -------------------------------------------------------------------------------------------------------- fetch

    async def _check_account(self) -> None:
        """A changed account number (another key, a paper reset) halts: these are not the orders we know."""
        account = self._account
        asked_ns = account.clock.monotonic_ns()
        figures = await account.broker.account()
        mark = f"account_number:{account.account_id}"
        known = await account.journal.mark(mark)
        holder = account.numbers.setdefault(figures.number, account.account_id)
        if holder != account.account_id:
            one, other = sorted((holder, account.account_id))
            raise SameAccountError(f"accounts {one} and {other} are one account at the broker")
        account.number = figures.number
        if not known:
            await account.journal.set_mark(mark, figures.number)
        elif known != figures.number:
            await self._discrepancies.open_about_account(
                DiscrepancyKind.ACCOUNT_CHANGED,
                expected="the account number seen first",
                observed="another account number",
            )
            raise BrokerError("the broker shows another account: nothing it says is about these orders")
        self._figures.keep(figures, asked_ns)
        account.tasks.start_once(self._read_positions, "positions", account.account_id)

    async def _read_positions(self) -> None:
        """Beside the comparison: it does not need them, and the gate only believes them."""
        if not await self._holdings.refresh():
            log.warning("positions_unread", account_id=self._account.account_id)

    async def _reach(self) -> tuple[datetime, datetime]:
        """From when on the lists are to be read, and until when they were read before: both by the broker's clock.

        Ours may have been set meanwhile, by a day even: a list that begins in the broker's future shows nothing.
        """
        account = self._account
        mark = await account.journal.mark(self._mark)
        known = datetime.fromisoformat(mark) if mark is not None else (await account.broker.clock()).time
        if account.lost_since is not None:
            return min(account.lost_since, known) - FIRST_REACH, known
        if mark is not None:
            return known - OVERLAP, known
        return min([known, *(order.created_time for order in self._local())]) - FIRST_REACH, known

    def _local(self) -> list[Order]:
        return self._account.blotter.open(self._account.account_id)

    async def _fetch(self) -> Snapshot:
        account = self._account
        asked_ns = account.clock.monotonic_ns()
        orders = self._local()
        in_flight = frozenset(order.order_id for order in orders if self._is_in_flight(order, asked_ns))
        since, known = await self._reach()
        seen_open = tuple(await account.broker.open_orders())
        seen_since = tuple(await account.broker.orders_since(since))
        executions = tuple(await account.broker.executions_since(since))
        return Snapshot(
            orders=tuple(orders),
            in_flight=in_flight,
            seen_open=seen_open,
            seen_since=seen_since,
            executions=executions,
            asked_ns=asked_ns,
            told_until=max([known, *_told_times(seen_open, seen_since, executions)]),
        )

    def _is_in_flight(self, order: Order, asked_ns: int) -> bool:
        if not order.links:
            return order.state is not OrderState.UNKNOWN and self._account.is_recovered
        return asked_ns - order.heard_ns < GRACE_S * 1e9

    # -------------------------------------------------------------------------------------------------------- apply

    async def _apply(self, seen: Snapshot) -> int | None:
        """Bring in what differs. Returns the orders imported, None when the lists are not to be believed."""
        first = self._plan(seen, self._with_named(seen))
        reads = await self._gather(self._reader.read(broker_order_id) for broker_order_id in first.reads)
        vanished = [i for i, outcome in zip(first.reads, reads, strict=True) if isinstance(outcome, Absent)]
        if first.is_mass_disappearance and not self._accepts_absence:
            if len(vanished) >= MASS:
                await self._all_vanished(len(first.reads), len(vanished))
                return None
            if any(isinstance(outcome, CannotTell) for outcome in reads):
                return None
        await self._take(first)
        for broker_order_id in vanished:
            await self._vanished(broker_order_id)
        if vanished or not seen.in_flight:
            self._accepts_absence = ""
        imported = await self._import(first, seen)
        await self._look_up(first.lookups)
        return imported

    async def _all_vanished(self, known: int, vanished: int) -> None:
        """Each was read by its id, and the broker knows none: that is about the account, not about the orders."""
        await self._discrepancies.open_about_account(
            DiscrepancyKind.MASS_DISAPPEARANCE,
            expected=f"{known} open orders",
            observed=f"{vanished} of them unknown to the broker",
        )

    async def _vanished(self, broker_order_id: BrokerOrderId) -> None:
        """The broker does not know an order that was working there: ended only when an operator has said so."""
        account = self._account
        order_id = account.blotter.by_broker_id(account.account_id, broker_order_id)
        order = account.blotter.get(order_id) if order_id is not None else None
        if order is None or not order.is_open:
            return
        if not self._accepts_absence:
            await self._discrepancies.open(VANISHED, order, expected=order.broker_status, observed="unknown order")
            return
        fact = SettledByOperator(
            at=account.clock.now(),
            source=EventSource.OPERATOR,
            verdict=Verdicts.ENDED,
            state=OrderState.CANCELED,
            message=self._accepts_absence,
        )
        await account.take(order, fact)

    async def accept(self, closed: Sequence[Discrepancy], reason: str) -> None:
        """An operator has seen these records and lets the account go on."""
        account = self._account
        for record in closed:
            match record.kind:
                case DiscrepancyKind.ACCOUNT_CHANGED if account.number:
                    await account.journal.set_mark(f"account_number:{account.account_id}", account.number)
                    self._accepts_absence = reason or "accepted by the operator"
                case DiscrepancyKind.MASS_DISAPPEARANCE:
                    self._accepts_absence = reason or "accepted by the operator"
                case DiscrepancyKind.ADOPTION_MISMATCH:
                    await self._not_placed(OrderId(record.subject), reason)
                case _:
                    pass

    async def _not_placed(self, order_id: OrderId, reason: str) -> None:
        """Another broker order has this order's client id: ours is not there."""
        order = self._account.blotter.get(order_id)
        if order is None or not order.is_open or order.links:
            return
        fact = SettledByOperator(
            at=self._account.clock.now(), source=EventSource.OPERATOR, verdict=Verdicts.NOT_PLACED, message=reason
        )
        await self._account.take(order, fact)

    async def _import(self, first: Plan, seen: Snapshot) -> int:
        """Write external orders down, then bring in their executions and whatever else names them."""
        found = {f.view.broker_order_id: f for f in (*seen.seen_open, *seen.seen_since)}
        imported = 0
        for view in first.externals:
            kept = found.get(view.broker_order_id)
            raw = self._account.raw(view.broker_order_id, "list", kept.raw if kept else b"")
            if await self._router.view(view, RECONCILER, raw) is not None:
                imported += 1
            elif (order := self._router.may_be_ours(view)) is not None:
                await self._may_be_ours(order, view)
        if first.externals:
            await self._take(self._plan(seen, self._with_named(seen)))
        strangers = {e.broker_order_id: e for e in first.unmatched_executions if not self._is_known(e)}
        await self._gather(self._reader.read(broker_order_id) for broker_order_id in strangers)
        for execution in first.unmatched_executions:
            if execution.broker_order_id in strangers:
                await self._router.execution(execution, RECONCILER)
        return imported

    async def _may_be_ours(self, order: Order, view: View) -> None:
        """Only an operator can say whether this broker order is the one whose outcome is not known."""
        await self._discrepancies.open(
            DiscrepancyKind.OUTCOME_UNPROVEN, order, expected="an outcome", observed=view.broker_order_id
        )

    def _is_known(self, execution: Execution) -> bool:
        account = self._account
        return account.blotter.by_broker_id(account.account_id, execution.broker_order_id) is not None

    async def _gather(self, reads: Iterable[Awaitable[FindOutcome]]) -> list[FindOutcome]:
        """A few at a time: one after the other would take as long as all answers together."""
        places = asyncio.Semaphore(AT_ONCE)

        async def placed(read: Awaitable[FindOutcome]) -> FindOutcome:
            async with places:
                return await read

        return list(await asyncio.gather(*(placed(read) for read in reads)))

    def _with_named(self, seen: Snapshot) -> list[Order]:
        """Our open orders, and every other order of ours that the lists name."""
        orders = {order.order_id: self._account.blotter.get(order.order_id) or order for order in seen.orders}
        views: list[View] = []
        for found in (*seen.seen_open, *seen.seen_since):
            views += [found.view, *found.view.legs]
        ids = [self._router.match(view) for view in views]
        ids += [
            self._account.blotter.by_broker_id(self._account.account_id, e.broker_order_id) for e in seen.executions
        ]
        for order_id in ids:
            if order_id is not None and order_id not in orders:
                order = self._account.blotter.get(order_id)
                if order is not None:
                    orders[order_id] = order
        # Legs have no broker ids before their parent names them, and may have ended without: they come with it.
        legs = [leg for order in orders.values() for leg in self._account.legs(order)]
        return list(({leg.order_id: leg for leg in legs} | orders).values())

    def _plan(self, seen: Snapshot, orders: Sequence[Order]) -> Plan:
        return plan(
            orders=orders,
            seen_open=[f.view for f in seen.seen_open],
            seen_since=[f.view for f in seen.seen_since],
            executions=seen.executions,
            asked_ns=seen.asked_ns,
            at=self._account.clock.now(),
            in_flight=seen.in_flight,
        )

    async def _take(self, planned: Plan) -> None:
        for order_id, fact in planned.facts:
            names = fact.view.broker_order_id if isinstance(fact, Reported) else ""
            if names and not self._router.claim(names, order_id):
                continue  # written down as another one's while the lists were read
            try:
                taken = await self._account.intake.take(order_id, fact)
            finally:
                self._router.release(names)
            if isinstance(taken.verdict, Apply):
                self._changed.add(order_id)
                self._booked += sum(1 for step in taken.verdict.steps if isinstance(step.event, Filled))
        for order_id, finding in list(dict(planned.findings).items())[:AT_MOST]:
            await self._comparer.found(order_id, finding)

    async def _look_up(self, order_ids: Sequence[OrderId]) -> None:
        for order_id in order_ids:
            order = self._account.blotter.get(order_id)
            if order is not None and order.is_open and not order.links and self._account.is_recovered:
                self._resolver.start(order)

    # ------------------------------------------------------------------------------------------------------ recover

    async def _recover(self) -> None:
        """The end of the first run: orders whose outcome the last process did not learn are each looked up once."""
        account = self._account
        await self._gather(self._recover_one(order) for order in self._unplaced())
        account.recovered.set()
        log.info("account_recovered", account_id=account.account_id, open_orders=len(self._local()))

    async def _recover_one(self, order: Order) -> FindOutcome:
        outcome = await self._resolver.look(order)
        if order.state is OrderState.UNKNOWN:
            self._resolver.start(order)
        return outcome

    async def mark_lost(self) -> None:
        """Submits that a dead process was in the middle of: shown as not known before any broker is asked."""
        account = self._account
        message = "the process ended before the broker's answer was recorded"
        fact = OutcomeLost(at=account.clock.now(), source=ENGINE, code="RESTARTED", message=message)
        lost = [order for order in self._unplaced() if order.state is OrderState.SUBMITTED]
        await asyncio.gather(*(account.take_with_legs(order, fact) for order in lost))

    def _unplaced(self) -> list[Order]:
        return [order for order in self._local() if not order.links and order.parent_order_id is None]


def _told_times(
    seen_open: Sequence[Found], seen_since: Sequence[Found], executions: Sequence[Execution]
) -> Iterator[datetime]:
    """When, by the broker's clock, the things happened that it told of."""
    for found in (*seen_open, *seen_since):
        yield EPOCH + timedelta(microseconds=found.view.updated_ns // 1000)
    for execution in executions:
        if execution.occurred_time is not None:
            yield execution.occurred_time
