"""From a broker's report to the orders it is about.

Matching, in this order: broker id (any of the chain), client id, the id a replace carried, leg of a known parent, and
only then external: imported with the report that announced it, never dropped, never fatal.
"""

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from orderd.core.adopt import mismatch
from orderd.core.facts import (
    CancelDeclined,
    Executed,
    Execution,
    ExecutionBusted,
    ExecutionCorrected,
    Fact,
    ReplaceDeclined,
    Reported,
    View,
)
from orderd.core.imports import external_order, lost_key
from orderd.core.lifecycle import imported
from orderd.core.matching import leg_of
from orderd.core.order import EventSource, Order, OrderClass, OrderState
from orderd.core.spreads import strategies
from orderd.core.values import BrokerOrderId, ClientOrderId, ExecutionId, OrderId
from orderd.engine.account import RECONCILER, STREAM, Account
from orderd.engine.lookup import look_up
from orderd.ports import (
    Absent,
    Append,
    BrokerReport,
    CannotTell,
    FindOutcome,
    Found,
    KeyTakenError,
    Lookup,
    RawPayload,
    ReportKind,
)

if TYPE_CHECKING:
    from orderd.engine.intake import Taken

log = structlog.get_logger("orderd.router")

LOOKUP_TIMEOUT_S = 5.0
RESTATEMENT_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Between the looks for the order that a bust or correction is about, while its elder or parent cannot be read."""


class Router:
    """Brings one account's broker words to its orders."""

    def __init__(self, account: Account) -> None:
        """Reports are matched within this account only."""
        self._account = account
        self._importing: dict[str, asyncio.Task[OrderId | None]] = {}
        self._reading: dict[str, asyncio.Task[FindOutcome]] = {}
        self._binding: dict[str, OrderId] = {}
        """Legs whose broker id is on its way into the journal."""

    def match(self, view: View) -> OrderId | None:
        """The order this view is about."""
        account = self._account
        blotter, account_id = account.blotter, account.account_id
        known = blotter.in_memory(account_id, view.broker_order_id, view.client_order_id)
        known = known or self._binding.get(view.broker_order_id)
        known = known or blotter.by_broker_id(account_id, view.broker_order_id)
        if known is None and view.client_order_id:
            known = blotter.by_key(account_id, view.client_order_id) or self._by_replace_key(view.client_order_id)
        if known is None and view.replaces:
            known = blotter.by_broker_id(account_id, view.replaces) or self._binding.get(view.replaces)
        return known

    def _by_replace_key(self, client_order_id: str) -> OrderId | None:
        if not client_order_id.startswith("r-"):
            return None
        for order in self._account.blotter.open(self._account.account_id):
            if order.pending_replace is not None and order.pending_replace.client_order_id == client_order_id:
                return order.order_id
        return None

    def claim(self, broker_order_id: str, order_id: OrderId) -> bool:
        """Keep a broker order for this order until `release`. False when it is, or is becoming, another one's."""
        account = self._account
        holder = self._binding.get(broker_order_id) or account.blotter.by_broker_id(account.account_id, broker_order_id)
        if broker_order_id in self._importing or holder not in {None, order_id}:
            return False
        self._binding[broker_order_id] = order_id
        return True

    def release(self, broker_order_id: str) -> None:
        """What was claimed is in the journal, or came to nothing."""
        self._binding.pop(broker_order_id, None)

    async def report(self, report: BrokerReport) -> None:
        """Bring in one message of the stream."""
        account = self._account
        at, heard = account.clock.now(), account.clock.monotonic_ns()
        view = report.view
        if view is None:
            for execution in report.executions:
                await self.execution(execution, STREAM)
            return
        raw = account.raw(view.broker_order_id, report.event or report.kind, report.raw)
        fact: Fact
        match report.kind:
            case ReportKind.BUST:
                fact = ExecutionBusted(
                    at=at,
                    source=STREAM,
                    heard_ns=heard,
                    previous_execution_id=ExecutionId(report.previous_execution_id),
                    broker_order_id=view.broker_order_id,
                    execution_id=report.executions[0].execution_id or "" if report.executions else "",
                    broker_time=report.broker_time,
                )
            case ReportKind.CORRECT if report.executions:
                execution = report.executions[0]
                fact = ExecutionCorrected(
                    at=at,
                    source=STREAM,
                    heard_ns=heard,
                    previous_execution_id=ExecutionId(report.previous_execution_id),
                    broker_order_id=view.broker_order_id,
                    execution_id=execution.execution_id or "",
                    quantity=execution.quantity,
                    price=execution.price,
                    broker_time=report.broker_time,
                )
            case _:
                await self._update(report, view, raw)
                return
        order_id = await self._placed(view)
        if order_id is not None:
            await account.intake.take(order_id, fact, raw)

    async def _placed(self, view: View) -> OrderId | None:
        """The order that an execution was taken back of. Told once and in no list: it waits for what cannot be read."""
        order_id = await self.match_or_import(view, STREAM)
        for pause_s in RESTATEMENT_PAUSES_S:
            if order_id is not None or self._account.is_stopping:
                break
            await self._account.pause(pause_s)
            order_id = await self.match_or_import(view, STREAM)
        if order_id is None:
            log.error("restatement_of_unknown_order", broker_order_id=view.broker_order_id)
        return order_id

    async def _update(self, report: BrokerReport, view: View, raw: tuple[RawPayload, ...]) -> None:
        own = tuple(e for e in report.executions if e.broker_order_id == view.broker_order_id)
        order_id = await self.view(view, STREAM, raw, execution=own[0] if own else None, report=report)
        for execution in report.executions:
            if execution.broker_order_id != view.broker_order_id:
                await self._leg_execution(execution, view)
        if order_id is None or report.kind is ReportKind.UPDATE:
            return
        at, heard = self._account.clock.now(), self._account.clock.monotonic_ns()
        code, text = view.reason_code or report.event, view.reason_text
        if report.kind is ReportKind.CANCEL_REJECTED:
            declined: Fact = CancelDeclined(at=at, source=STREAM, heard_ns=heard, code=code, message=text)
        else:
            declined = ReplaceDeclined(at=at, source=STREAM, heard_ns=heard, code=code, message=text)
        await self._account.intake.take(order_id, declined)

    async def view(
        self,
        view: View,
        source: EventSource,
        raw: tuple[RawPayload, ...] = (),
        *,
        execution: Execution | None = None,
        report: BrokerReport | None = None,
        may_infer: bool = False,
        can_wait: bool = False,
    ) -> OrderId | None:
        """Bring in a broker's description of an order and of its legs. Returns the order it was about.

        `can_wait`: nothing stands behind it, so a mere receipt may share the commit of what comes next.
        """
        order_id = await self.match_or_import(view, source)
        if order_id is None:
            return None
        # Parent and legs reach their mailboxes before anything is waited for: a frame about a leg must find it bound.
        fact = self._fact(order_id, view, source, execution=execution, report=report, may_infer=may_infer)
        taken = [self._account.intake.take(order_id, fact, raw, can_wait=can_wait)]
        unknown = self._take_legs(order_id, view, source, taken, may_infer=may_infer)
        await asyncio.gather(*taken)
        for bound in view.legs:
            self._binding.pop(bound.broker_order_id, None)
        parent = self._account.blotter.get(order_id)
        for number, leg in unknown:
            known = self.match(leg)  # by now: what was waited for may have bound its elder
            if known is not None:
                await self._reported(known, leg, source, may_infer=may_infer)
            else:
                await self._import(leg, source, parent=parent, leg_number=number)
        return order_id

    def _take_legs(
        self,
        order_id: OrderId,
        view: View,
        source: EventSource,
        taken: "list[asyncio.Future[Taken]]",
        *,
        may_infer: bool,
    ) -> list[tuple[int, View]]:
        """Bring in what the view says of each leg. Returns the legs (with their numbers) that nothing here knows."""
        if not view.legs:
            return []
        unknown: list[tuple[int, View]] = []
        parent = self._account.blotter.get(order_id)
        free = [] if parent is None else [leg for leg in self._account.legs(parent) if not leg.links]
        for number, leg in enumerate(view.legs, start=1):
            leg_id = self.match(leg)
            if leg_id is None:
                own = leg_of(leg, [known for known in free if known.order_id not in self._binding.values()])
                leg_id = own.order_id if own is not None else None
            if leg_id is None:
                unknown.append((number, leg))
                continue
            self._binding[leg.broker_order_id] = leg_id
            taken.append(self._reported(leg_id, leg, source, may_infer=may_infer))
        return unknown

    def _reported(
        self, order_id: OrderId, view: View, source: EventSource, *, may_infer: bool
    ) -> "asyncio.Future[Taken]":
        return self._account.intake.take(order_id, self._fact(order_id, view, source, may_infer=may_infer))

    def _fact(
        self,
        order_id: OrderId,
        view: View,
        source: EventSource,
        *,
        execution: Execution | None = None,
        report: BrokerReport | None = None,
        may_infer: bool = False,
    ) -> Reported:
        return Reported(
            at=self._account.clock.now(),
            source=source,
            heard_ns=self._account.clock.monotonic_ns(),
            view=view,
            execution=execution,
            broker_time=report.broker_time if report else None,
            may_infer=may_infer or self._has_no_executions(order_id, view),
            legs_traded=self._legs_traded(order_id),
        )

    def _has_no_executions(self, order_id: OrderId, view: View) -> bool:
        """Whether there is nothing to wait for: this broker tells executions only as growth of its figures."""
        order = self._account.blotter.get(order_id)
        if order is None or view.average_price is None:
            return False
        return not self._account.broker.capabilities(order.asset_class).has_execution_ids

    def _legs_traded(self, order_id: OrderId) -> Decimal | None:
        """Of a spread: the whole strategies that its legs have traded, as far as that is booked."""
        order = self._account.blotter.get(order_id)
        return None if order is None or not order.leg_order_ids else strategies(order, self._account.legs(order))

    async def execution(self, execution: Execution, source: EventSource) -> bool:
        """Bring in a listed execution. False when its broker order is not known: it must be read first."""
        account = self._account
        order_id = account.blotter.by_broker_id(account.account_id, execution.broker_order_id)
        if order_id is None:
            return False
        at, heard = account.clock.now(), account.clock.monotonic_ns()
        await account.intake.take(order_id, Executed(at=at, source=source, heard_ns=heard, execution=execution))
        return True

    async def _leg_execution(self, execution: Execution, parent: View) -> None:
        """An execution of a leg whose broker id is not known yet: the parent, read by id, names its legs."""
        if await self.execution(execution, STREAM):
            return
        found = await self._account.broker.order(parent.broker_order_id, timeout_s=LOOKUP_TIMEOUT_S)
        if isinstance(found, Found):
            await self.view(found.view, EventSource.BROKER_REPLY)
        if not await self.execution(execution, STREAM):
            log.warning("execution_of_unknown_leg", broker_order_id=execution.broker_order_id)
            self._account.reconcile_wanted.set()

    async def match_or_import(self, view: View, source: EventSource) -> OrderId | None:
        """The order a view is about, importing it when nothing here knows it."""
        known, is_all_read = self.match(view), True
        if known is None and self._may_be_a_leg(view):
            known, is_all_read = await self._after_parents(view)
        if known is None and is_all_read and view.replaces:
            known, is_all_read = await self._after_elder(view, source)
        if known is not None:
            return known
        if not is_all_read:
            # It may belong to an order of ours whose broker id nobody has told us yet: the next lists tell both.
            if source is not RECONCILER:
                self._account.reconcile_wanted.set()
            return None
        if source is STREAM:
            # A message cannot be asked again, and a stranger's record would stand in the way of our own answer.
            read = await self._read(view.broker_order_id)
            known = self.match(read.view) if isinstance(read, Found) else self.match(view)
            if known is not None:
                return known
            view = read.view if isinstance(read, Found) else view
        return None if self.may_be_ours(view) is not None else await self._import(view, source)

    async def _read(self, broker_order_id: BrokerOrderId) -> FindOutcome:
        """Read an order that messages tell of: those that come together wait for one answer, and are booked with it."""
        running = self._reading.get(broker_order_id)
        if running is None:
            work = self._account.broker.order(broker_order_id, timeout_s=LOOKUP_TIMEOUT_S)
            running = self._account.tasks.run(work, f"read:{broker_order_id}")
            self._reading[broker_order_id] = running
            running.add_done_callback(lambda _: self._reading.pop(broker_order_id, None))
        return await asyncio.shield(running)

    def may_be_ours(self, view: View) -> Order | None:
        """Where nothing that is read shows a client id: the order without an outcome that this one looks like.

        It is not taken for that order, which would be a guess, and not written down as somebody else's either.
        """
        if view.client_order_id or self.match(view) is not None:
            return None
        for order in self._account.blotter.open(self._account.account_id):
            if order.links or order.state is OrderState.CREATED or order.parent_order_id is not None:
                continue
            can = self._account.broker.capabilities(order.asset_class)
            if can.lookup is Lookup.NO and mismatch(order, view) is None:
                return order
        return None

    def _may_be_a_leg(self, view: View) -> bool:
        return any(True for _ in self._unacknowledged(view))

    def _unacknowledged(self, view: View) -> Iterator[Order]:
        """Complex orders in this symbol whose legs have no broker ids yet."""
        for order in self._account.blotter.open(self._account.account_id):
            if order.parent_order_id is not None or order.intent.order_class is OrderClass.SIMPLE:
                continue
            if order.links and all(leg.links for leg in self._account.legs(order)):
                continue
            if view.symbol in {order.intent.symbol, *(leg.symbol for leg in order.intent.legs)}:
                yield order

    async def _after_elder(self, view: View, source: EventSource) -> tuple[OrderId | None, bool]:
        """A successor whose elder nobody here knows yet: the elder is read first, it may be an order of ours.

        Whose it is, and whether it is known by now whose the elder is: that one may have an elder that cannot be read,
        or be an order's whose own elder is not known to be replaced. The lists tell of all of them at once.
        """
        found = await self._account.broker.order(BrokerOrderId(view.replaces), timeout_s=LOOKUP_TIMEOUT_S)
        if isinstance(found, Found):
            owner = await self.view(found.view, EventSource.BROKER_REPLY)
            known = self.match(view)
            return known, known is not None or (owner is not None and source is RECONCILER)
        return self.match(view), isinstance(found, Absent)

    async def _after_parents(self, view: View) -> tuple[OrderId | None, bool]:
        """Read the parents first: one of them may name this as its leg. Whose it is, and whether each was read."""
        is_each_read = True
        for parent in list(self._unacknowledged(view)):
            found = await self._parent(parent)
            if isinstance(found, CannotTell):
                is_each_read = False
                continue
            for each in found:
                await self.view(each.view, EventSource.BROKER_REPLY)
        return self.match(view), is_each_read

    async def _parent(self, parent: Order) -> Sequence[Found] | CannotTell:
        """A parent that has not named all its legs yet: by its broker id when it has one, which every broker reads."""
        account = self._account
        if parent.broker_order_id is None:
            return await look_up(
                account,
                parent.intent.client_order_id,
                asset_class=parent.asset_class,
                since=parent.created_time,
                timeout_s=LOOKUP_TIMEOUT_S,
            )
        outcome = await account.broker.order(parent.broker_order_id, timeout_s=LOOKUP_TIMEOUT_S)
        if isinstance(outcome, CannotTell):
            return outcome
        return (outcome,) if isinstance(outcome, Found) else ()

    async def stranger(self, view: View, source: EventSource, raw: tuple[RawPayload, ...]) -> OrderId | None:
        """Write down a broker order that carries the name of one of ours and is not it; its record's id."""
        account = self._account
        known = account.blotter.by_broker_id(account.account_id, view.broker_order_id)
        if known is None and await self._import(view, source) is None:
            return None
        return await self.view(view, source, raw)

    async def _import(
        self, view: View, source: EventSource, *, parent: Order | None = None, leg_number: int = 0
    ) -> OrderId | None:
        """Write an order down that was not submitted through orderd; once, however many reports announce it."""
        key = view.broker_order_id
        running = self._importing.get(key)
        if running is None:
            # A task of its own: a caller that leaves (a cancelled Reconcile call) takes nobody else's import along.
            running = self._account.tasks.run(self._write_external(view, source, parent, leg_number), f"import:{key}")
            self._importing[key] = running
            running.add_done_callback(lambda _: self._importing.pop(key, None))
        return await asyncio.shield(running)

    async def _write_external(
        self, view: View, source: EventSource, parent: Order | None, leg_number: int
    ) -> OrderId | None:
        account = self._account
        bound = self._binding.get(view.broker_order_id)
        if bound is not None:
            return bound  # its parent has named it in the meantime
        order = external_order(
            view,
            key=self._lost_key(view, parent, leg_number),
            order_id=OrderId(account.ids.new()),
            account_id=account.account_id,
            broker=account.broker.name,
            mode=account.policy.mode,
            at=account.clock.now(),
            parent=parent,
            leg_number=leg_number,
        )
        log.warning("unknown_order_update", account_id=account.account_id, broker_order_id=view.broker_order_id)
        try:
            recorded = await account.journal.append([Append(steps=(imported(order, source=source),))])
        except KeyTakenError:
            return self.match(view)
        account.blotter.apply(recorded[0].order)
        return recorded[0].order.order_id

    def _lost_key(self, view: View, parent: Order | None, leg_number: int) -> ClientOrderId | None:
        """The key of an order of ours whose record was lost with the journal; None for everybody else's."""
        account = self._account
        if account.lost_since is None:
            return None
        key = lost_key(view, parent, leg_number, account.account_id)
        is_free = key is not None and account.blotter.by_key(account.account_id, key) is None
        return key if is_free else None
