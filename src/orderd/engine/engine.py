"""The engine: every account with its workers, behind the calls the server makes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from decimal import Decimal

import msgspec
import structlog

from orderd.core import keys
from orderd.core.facts import CancelAsked, ReplaceAsked
from orderd.core.order import EventSource, Order, OrderIntent, OrderRole, OrderState, OrderType, Terms
from orderd.core.turnstiles import Approved, Denied
from orderd.core.values import OrderId, multiply
from orderd.core.verdicts import Impossible, Verdict
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
from orderd.engine.blotter import Blotter
from orderd.engine.errors import EngineError, Kind
from orderd.engine.feed import JournalFeed
from orderd.engine.workers import Workers
from orderd.ports import BrokerError, Discrepancy, Journal
from orderd.risk.limits import TradingState

log = structlog.get_logger("orderd.engine")


class OrderEngine:
    """Implements `api.Engine` over a journal and its accounts."""

    def __init__(self, journal: Journal, blotter: Blotter, feed: JournalFeed, workers: Sequence[Workers]) -> None:
        """Built by app.py, the composition root."""
        self.journal = journal
        self.feed = feed
        self._blotter = blotter
        self._workers: dict[str, Workers] = {w.account.account_id: w for w in workers}
        self._is_draining = False
        self.permit: Callable[[OrderIntent], AbstractAsyncContextManager[None]] = lambda _intent: nullcontext()
        """Holds the decision that an order names until the order is durable, and refuses what it does not allow."""

    def account_ids(self) -> Sequence[str]:
        """Configured accounts, in configuration order."""
        return list(self._workers)

    def _of(self, account_id: str) -> Workers:
        workers = self._workers.get(account_id)
        if workers is None:
            raise not_found("ACCOUNT_NOT_FOUND", "orderd.Account", account_id)
        return workers

    # ------------------------------------------------------------------------------------------------------- submit

    async def submit(self, intent: OrderIntent, *, wait: Wait, timeout_s: float) -> SubmitResult:
        """Write it down, hand it to the submit worker, wait as asked but at most `timeout_s`."""
        submitter = self._of(intent.account_id).submitter
        if not intent.decision_id or intent.role is not None:  # what a trade sends was asked for when it was opened
            order, is_replay = await submitter.submit(intent)
        else:
            async with self.permit(intent):
                order, is_replay = await submitter.submit(intent)
        if wait is Wait.BROKER:
            order = await self._blotter.wait(order, is_answered, timeout_s)
        return SubmitResult(order=order, replayed=is_replay)

    async def preview(self, intent: OrderIntent) -> Preview:
        """Judge it and show the broker request; store and send nothing."""
        workers = self._of(intent.account_id)
        order = workers.submitter.sketch(intent)
        complaint = workers.account.broker.complaint(order)
        verdict = await workers.submitter.verdict(intent)
        denial = verdict.reason if isinstance(verdict, Denied) else None
        return Preview(
            valid=denial is None,
            denial=denial,
            complaint=complaint,
            estimated_cost=estimated_cost(order),
            broker_request=b"" if complaint else workers.account.broker.request_body(order),
            asset=workers.account.assets.get(intent.symbol),
        )

    # --------------------------------------------------------------------------------------------------------- find

    def find(self, ref: OrderRef) -> OrderId:
        """The order id a reference names. NOT_FOUND otherwise."""
        found: OrderId | None = None
        if ref.order_id:
            if self.journal.order_data(ref.order_id) is not None:
                found = OrderId(ref.order_id)
        elif ref.client_order_id:
            found = self.journal.find_key(self._of(ref.account_id).account.account_id, ref.client_order_id)
        else:
            found = self.journal.find_broker_order(self._of(ref.account_id).account.account_id, ref.broker_order_id)
        if found is None:
            raise not_found(
                "ORDER_NOT_FOUND", "orderd.Order", ref.order_id or ref.client_order_id or ref.broker_order_id
            )
        return found

    def _order(self, ref: OrderRef) -> tuple[Workers, Order]:
        order = self._blotter.get(self.find(ref))
        if order is None or (ref.account_id and order.intent.account_id != ref.account_id):
            raise not_found("ORDER_NOT_FOUND", "orderd.Order", ref.order_id or ref.client_order_id)
        return self._of(order.intent.account_id), order

    # ------------------------------------------------------------------------------------------------------- cancel

    async def cancel(self, ref: OrderRef, *, reason: str, wait: Wait, timeout_s: float) -> Order:
        """Ask for a cancel; repeats are fine; another end is FAILED_PRECONDITION with the order."""
        workers, order = self._order(ref)
        if order.parent_order_id is not None and self._blotter.get(order.parent_order_id) is not None:
            # Cancelling any part of a complex order cancels the group at the broker: the parent's flag drives it
            # only while the parent itself is open; a leg of a filled entry is cancelled by its own id.
            parent = self._blotter.get(order.parent_order_id)
            if parent is not None and parent.is_open and not order.links:
                order = parent
        account = workers.account
        fact = CancelAsked(at=account.clock.now(), source=EventSource.CLIENT, reason=reason)
        taken = await asyncio.shield(account.intake.take(order.order_id, fact))
        if isinstance(taken.verdict, Impossible):
            raise self._ended(taken.order, "cancel")
        account.watch(taken.order)  # a repeat records nothing, and may be what a stuck cancel waits for
        if wait is Wait.BROKER:
            return await self._blotter.wait(taken.order, is_cancel_answered, timeout_s)
        return taken.order

    def _ended(self, order: Order, what: str) -> EngineError:
        return EngineError(
            Kind.FAILED_PRECONDITION,
            "ORDER_ENDED",
            f"cannot {what}: the order is {order.state}",
            metadata={"order_id": order.order_id, "status": order.state},
            subject=("orderd.Order", order.order_id),
            order_data=self.journal.order_data(order.order_id),
        )

    async def cancel_all(self, ask: CancelAllAsk) -> Sequence[CancelResult]:
        """Ask for the cancel of every matching open order."""
        account = self._of(ask.account_id).account
        wanted = [order for order in self._blotter.open(ask.account_id) if self._is_wanted(order, ask)]
        fact = CancelAsked(at=account.clock.now(), source=EventSource.CLIENT, reason=ask.reason)
        taken = await asyncio.gather(*(account.intake.take(order.order_id, fact) for order in wanted))
        for one in taken:
            account.watch(one.order)
        return [_cancel_result(one.order, one.verdict) for one in taken]

    def _is_wanted(self, order: Order, ask: CancelAllAsk) -> bool:
        """Entries always; stops and exits, and orders of others, only when asked for. Legs go with an open parent."""
        if ask.symbols and order.intent.symbol not in ask.symbols:
            return False
        if order.is_external and not ask.include_external:
            return False
        parent = self._blotter.get(order.parent_order_id) if order.parent_order_id is not None else None
        if parent is not None and parent.is_open:
            return False
        is_protective = order.intent.role in {OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT, OrderRole.EXIT}
        return ask.include_protective or not is_protective

    # ------------------------------------------------------------------------------------------------------ replace

    async def replace(self, ref: OrderRef, ask: ReplaceAsk, *, timeout_s: float) -> Order:
        """Ask for new terms in place; the answer shows them pending or proven."""
        workers, order = self._order(ref)
        account = workers.account
        terms = new_terms(order, ask)
        if self._is_repeat(order, ask, terms):
            return order
        self._check_replaceable(order, ask, terms)
        intent = msgspec.structs.replace(order.intent, terms=terms)
        verdict = await workers.submitter.verdict(intent, leaving_out=order.order_id)
        order = self._blotter.get(order.order_id) or order
        if new_terms(order, ask) != terms:  # changed by somebody else while the broker was asked
            return await self.replace(ref, ask, timeout_s=timeout_s)
        if self._is_repeat(order, ask, terms):
            return order
        self._check_replaceable(order, ask, terms)
        self._check_terms(workers, order, verdict)
        if terms == order.terms:
            return order
        fact = ReplaceAsked(
            at=account.clock.now(),
            source=EventSource.CLIENT,
            request_id=ask.request_id,
            terms=terms,
            client_order_id=keys.replace_key(order.order_id, len(order.replace_requests) + 1),
            reason=ask.reason,
        )
        under_way = (order.order_id, len(order.replace_requests) + 1)
        account.replaces_to_send.add(under_way)
        workers.exposures.replaced(order, terms)
        taken = await asyncio.shield(account.intake.take(order.order_id, fact))
        if isinstance(taken.verdict, Impossible):
            account.replaces_to_send.discard(under_way)
            raise precondition("ORDER_NOT_WORKING", taken.verdict.explanation, order)
        return await self._blotter.wait(taken.order, lambda o: o.pending_replace is None, timeout_s)

    def _is_repeat(self, order: Order, ask: ReplaceAsk, terms: Terms) -> bool:
        """A request id seen before is answered, before anything else is compared."""
        for earlier in order.replace_requests:
            if earlier.request_id != ask.request_id:
                continue
            if _asked_of(earlier.terms, ask) != _asked_of(terms, ask):
                raise EngineError(
                    Kind.ALREADY_EXISTS,
                    "REQUEST_ID_REUSED",
                    f"request_id {ask.request_id} was used for other terms",
                    metadata={"order_id": order.order_id, "request_id": ask.request_id},
                    subject=("orderd.Order", order.order_id),
                )
            return True
        return False

    def _check_replaceable(self, order: Order, ask: ReplaceAsk, terms: Terms) -> None:
        if not order.is_open:
            raise self._ended(order, "replace")
        if ask.expected_version and ask.expected_version != order.version:
            text = f"expected version {ask.expected_version}, the order is at {order.version}"
            meta = {"order_id": order.order_id, "version": str(order.version)}
            raise EngineError(Kind.ABORTED, "VERSION_CONFLICT", text, metadata=meta)
        if order.pending_cancel or order.pending_replace is not None:
            what = "cancel" if order.pending_cancel else "replace"
            raise precondition(f"ORDER_PENDING_{what.upper()}", f"a {what} is under way", order)
        if not order.links:
            raise precondition("ORDER_NOT_WORKING", "the broker has not acknowledged it yet", order)
        if terms.quantity is not None and terms.quantity <= order.filled_quantity:
            text = f"quantity {terms.quantity} is not above the filled {order.filled_quantity}"
            raise precondition("QUANTITY_NOT_ABOVE_FILLED", text, order)

    def _check_terms(self, workers: Workers, order: Order, verdict: Approved | Denied) -> None:
        """The new terms pass the gate like an order's, without the order's own share."""
        if not workers.account.broker.capabilities(order.asset_class).can_replace:
            raise precondition("REPLACE_NOT_SUPPORTED", "this broker cannot replace such an order", order)
        if isinstance(verdict, Denied):
            raise precondition("RISK_DENIED", f"{verdict.reason.code}: {verdict.reason.message}", order)

    # ----------------------------------------------------------------------------------------------------- accounts

    async def account_status(self, account_id: str, *, fresh: bool) -> AccountStatus:
        """How the account stands; `fresh` asks the broker for its figures."""
        account = self._of(account_id).account
        figures, error = None, ""
        if fresh:
            try:
                figures = await account.broker.account()
            except BrokerError as failure:
                error = str(failure)
        age_ns = None if account.reconciled_ns is None else account.clock.monotonic_ns() - account.reconciled_ns
        orders = self._blotter.open(account_id)
        return AccountStatus(
            account_id=account_id,
            broker=account.broker.name,
            mode=account.policy.mode,
            is_recovering=not account.is_recovered and not account.halt_reason,
            halt_reason=account.halt_reason,
            trading_state=TradingState.HALTED if account.halt_reason else account.risk.state.trading_state,
            trading_state_reason=account.halt_reason or account.risk.state.trading_reason,
            stream_connected=account.stream_connected,
            stream_changed_time=account.stream_changed_time,
            reconciled_time=account.reconciled_time,
            reconcile_age_s=None if age_ns is None else age_ns / 1e9,
            open_orders=len(orders),
            unknown_orders=sum(1 for order in orders if order.state is OrderState.UNKNOWN),
            open_discrepancies=len(self._of(account_id).discrepancies.all_open()),
            figures=figures,
            figures_error=error,
        )

    def reconcile(self, account_id: str) -> AsyncIterator[ReconcileProgress]:
        """Run a full reconciliation now (after the one running)."""
        return self._of(account_id).reconciler.reconcile()

    async def broker_orders(self, account_id: str) -> Sequence[PairedOrder]:
        """The broker's open and recent orders beside ours, orphans both ways."""
        return await self._of(account_id).pairs()

    async def resume_account(self, account_id: str, *, reason: str) -> AccountStatus:
        """Let a halted account trade again."""
        await self._of(account_id).resume(reason)
        return await self.account_status(account_id, fresh=False)

    async def resolve_discrepancy(self, discrepancy_id: str, *, reason: str, operator_name: str) -> Discrepancy:
        """Close a discrepancy by an operator's word. NOT_FOUND, resolved already, or it still stands."""
        record = await self.journal.discrepancy(discrepancy_id)
        workers = self._workers.get(record.account_id) if record is not None else None
        if record is None or workers is None:
            raise not_found("DISCREPANCY_NOT_FOUND", "orderd.Discrepancy", discrepancy_id)
        return await workers.settlements.resolve_discrepancy(record, reason=reason, operator_name=operator_name)

    async def resolve_order(self, ref: OrderRef, ask: ResolveAsk) -> Order:
        """Record an operator's word about an order, after the broker was asked."""
        workers, order = self._order(ref)
        return await workers.settlements.resolve_order(order, ask)

    def gauges(self) -> Sequence[tuple[str, Mapping[str, str], float]]:
        """(name, labels, value) of every figure for the metrics page, as of now."""
        rows: list[tuple[str, Mapping[str, str], float]] = [("orderd_journal_head", {}, float(self.journal.head))]
        for account_id, workers in self._workers.items():
            rows += [(name, {"account": account_id}, value) for name, value in workers.gauges()]
        return rows

    # ------------------------------------------------------------------------------------------------- start and end

    async def drain(self) -> None:
        """No new submits, no new sends; those in flight are waited for and recorded."""
        self._is_draining = True
        for workers in self._workers.values():
            workers.account.stopping.set()
        await asyncio.gather(*(workers.settle() for workers in self._workers.values()))

    def stop(self) -> None:
        """Stop listening and reconciling: the last step before the journal is closed."""
        for workers in self._workers.values():
            workers.stop()


def not_found(reason: str, kind: str, name: str) -> EngineError:
    """An unknown resource."""
    noun = kind.rsplit(".", maxsplit=1)[-1].lower()
    return EngineError(Kind.NOT_FOUND, reason, f"no such {noun}: {name}", subject=(kind, name))


def precondition(reason: str, message: str, order: Order) -> EngineError:
    """The order's state does not allow the call."""
    return EngineError(
        Kind.FAILED_PRECONDITION,
        reason,
        message,
        metadata={"order_id": order.order_id, "status": order.state},
        subject=("orderd.Order", order.order_id),
    )


def is_answered(order: Order) -> bool:
    """The broker has answered, or the order's outcome is one without it."""
    return bool(order.links) or not order.is_open or order.state is OrderState.UNKNOWN


def is_cancel_answered(order: Order) -> bool:
    """The cancel ended the order, or was refused."""
    return not order.is_open or not order.pending_cancel


def estimated_cost(order: Order) -> Decimal | None:
    """Money the order would move: notional, or quantity * price * multiplier. None without a price."""
    terms = order.terms
    if terms.notional is not None:
        return terms.notional
    price = terms.limit_price or terms.stop_price or order.intent.reference_price
    if terms.quantity is None or price is None:
        return None
    return multiply(multiply(terms.quantity, abs(price)), order.multiplier)


def new_terms(order: Order, ask: ReplaceAsk) -> Terms:
    """The order's terms with the asked ones put in. `trail` is the kind of trail the order has."""
    terms = order.terms
    trail_price, trail_percent = terms.trail_price, terms.trail_percent
    if ask.trail is not None and terms.type is OrderType.TRAILING_STOP:
        if trail_percent is not None:
            trail_percent = ask.trail
        else:
            trail_price = ask.trail
    return msgspec.structs.replace(
        terms,
        quantity=ask.quantity if ask.quantity is not None else terms.quantity,
        limit_price=ask.limit_price if ask.limit_price is not None else terms.limit_price,
        stop_price=ask.stop_price if ask.stop_price is not None else terms.stop_price,
        trail_price=trail_price,
        trail_percent=trail_percent,
        time_in_force=ask.time_in_force or terms.time_in_force,
    )


def _asked_of(terms: Terms, ask: ReplaceAsk) -> tuple[object, ...]:
    """The part of the terms that this request names."""
    return (
        terms.quantity if ask.quantity is not None else None,
        terms.limit_price if ask.limit_price is not None else None,
        terms.stop_price if ask.stop_price is not None else None,
        (terms.trail_price, terms.trail_percent) if ask.trail is not None else None,
        terms.time_in_force if ask.time_in_force is not None else None,
    )


def _cancel_result(order: Order, verdict: Verdict) -> CancelResult:
    if not isinstance(verdict, Impossible):
        return CancelResult(order_id=order.order_id)
    return CancelResult(order_id=order.order_id, error_reason="ORDER_ENDED", message=f"the order is {order.state}")
