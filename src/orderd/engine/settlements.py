"""An operator's word: on a discrepancy, and on an order whose truth the broker cannot tell any more.

Rule 1: the broker is asked first, wherever it can be. When it says otherwise, its word stands and the operator's is
refused; when it cannot be reached, the operator waits for it, too.
Rule 2: nothing is sent from here. RESEND puts the order back into its line, where it is judged like every other.
"""

import asyncio
from collections.abc import Mapping

import structlog

from orderd.core.book import known_as
from orderd.core.discrepancies import RULES, Settling, is_settled
from orderd.core.facts import SettledByOperator, Verdicts, View
from orderd.core.lifecycle import decide
from orderd.core.order import Order, OrderState, Phase
from orderd.core.settle import ENDS
from orderd.core.values import BrokerOrderId, canonical, subtract
from orderd.core.verdicts import Apply, Impossible
from orderd.engine.account import OPERATOR, Account
from orderd.engine.api import ResolveAsk
from orderd.engine.comparing import Comparer
from orderd.engine.errors import EngineError, Kind
from orderd.engine.reader import READ_TIMEOUT_S
from orderd.engine.resolver import Resolver
from orderd.engine.router import Router
from orderd.ports import Absent, CannotTell, Discrepancy, FindOutcome, Found, Lookup

log = structlog.get_logger("orderd.settlements")

_PHASE: Mapping[OrderState | None, Phase] = {
    OrderState.CANCELED: Phase.CANCELED,
    OrderState.EXPIRED: Phase.EXPIRED,
    OrderState.REJECTED: Phase.REJECTED,
    OrderState.FILLED: Phase.FILLED,
}


class Settlements:
    """Takes an operator's word about one account."""

    def __init__(self, account: Account, router: Router, resolver: Resolver, comparer: Comparer) -> None:
        """The broker's answers go to the router, like all others."""
        self._account = account
        self._router = router
        self._resolver = resolver
        self._comparer = comparer
        self._discrepancies = comparer.discrepancies

    # ---------------------------------------------------------------------------------------------------- discrepancies

    async def resolve_discrepancy(self, record: Discrepancy, *, reason: str, operator_name: str) -> Discrepancy:
        """Close an open record. Raises EngineError when it stands, or was closed meanwhile."""
        if self._discrepancies.get(record.discrepancy_id) is None:
            raise await self._resolved_already(record.discrepancy_id)
        await self._check_gone(record)
        if self._discrepancies.get(record.discrepancy_id) is None:
            raise await self._resolved_already(record.discrepancy_id)
        if RULES[record.kind].settling is Settling.POSITION and self._account.positions is not None:
            await self._account.positions.accept(record, reason=reason, operator_name=operator_name)
        return await self._discrepancies.close(record, OPERATOR, reason, operator_name=operator_name)

    async def _resolved_already(self, discrepancy_id: str) -> EngineError:
        record = await self._account.journal.discrepancy(discrepancy_id)
        said: dict[str, str] = {}
        if record is not None and record.resolved_time is not None:
            by = record.resolved_by or ""
            said = {
                "resolved_time": record.resolved_time.isoformat(),
                "resolved_by": by,
                "resolution": record.resolution,
            }
        return EngineError(
            Kind.FAILED_PRECONDITION,
            "DISCREPANCY_RESOLVED",
            "the discrepancy is resolved already",
            metadata=said,
            subject=("orderd.Discrepancy", discrepancy_id),
        )

    async def _check_gone(self, record: Discrepancy) -> None:
        """Raise when there is evidence that it stands, or when the evidence cannot be had now."""
        order = self._account.blotter.get(record.order_id) if record.order_id else None
        match RULES[record.kind].settling:
            case Settling.RESUME:
                raise _stands(record, "it halts the account: only ResumeAccount settles it")
            case Settling.RECORD if order is not None and not is_settled(record.kind, order):
                raise _stands(record, f"the order is {order.state} and has it still: ResolveOrder settles the order")
            case Settling.COMPARISON:
                await self._compare(record)
            case Settling.WORD | Settling.RECORD | Settling.POSITION:
                return

    async def _compare(self, record: Discrepancy) -> None:
        """An order that is open on either side may still explain itself; on one that has ended, the operator's word
        is the last.
        """
        compared = await self._comparer.compare(record)
        if compared is None or compared.stands is False:
            return
        if isinstance(compared.outcome, CannotTell):
            raise _unreachable(compared.outcome)
        is_open_there = compared.view is not None and compared.view.phase not in ENDS
        if compared.view is None and compared.order.is_open:
            raise _stands(record, "the broker does not know the order, which is open here: ResolveOrder settles it")
        if compared.stands and (compared.order.is_open or is_open_there):
            raise _stands(record, "the order was compared just now, it still differs, and it is not over")

    # ---------------------------------------------------------------------------------------------------------- orders

    async def resolve_order(self, order: Order, ask: ResolveAsk) -> Order:
        """Record what became of an order. Raises EngineError when the record or the broker says otherwise."""
        self._check_record(order, ask)
        view: View | None = None
        if ask.verdict is Verdicts.ADOPT:
            view = await self._adoptable(order, ask)
        else:
            settled = await self._contradicted(order, ask)
            if settled is not None:
                return settled
        current = self._account.blotter.get(order.order_id) or order
        fact = self._fact(ask, view)
        self._check_version(current, ask)
        verdict = decide(current, fact)
        if not isinstance(verdict, Apply):
            why = verdict.explanation if isinstance(verdict, Impossible) else "it says nothing new"
            raise _not_allowed(current, why)
        log.warning("order_resolved", order_id=order.order_id, verdict=ask.verdict, reason=ask.reason)
        taken = await asyncio.shield(self._account.intake.take(order.order_id, fact))
        if not isinstance(taken.verdict, Apply):
            raise _not_allowed(taken.order, "it changed in this very moment; look at it again")
        await self._go_on(taken.order, ask, view)
        return self._account.blotter.get(order.order_id) or taken.order

    def _fact(self, ask: ResolveAsk, view: View | None) -> SettledByOperator:
        return SettledByOperator(
            at=self._account.clock.now(),
            source=OPERATOR,
            heard_ns=self._account.clock.monotonic_ns(),
            verdict=ask.verdict,
            message=ask.reason,
            evidence=ask.evidence,
            operator_name=ask.operator_name,
            state=ask.state,
            filled_quantity=ask.filled_quantity,
            average_price=ask.average_price,
            view=view,
            execution_id=ask.execution_id,
        )

    async def _go_on(self, order: Order, ask: ResolveAsk, view: View | None) -> None:
        """What follows at once: the legs of what was adopted, a place in line for what is to be sent again."""
        if view is not None:
            await self._router.view(view, OPERATOR)
        if ask.verdict is Verdicts.RESEND and self._resolver.resend is not None:
            self._resolver.resend(order)
        self._account.reconcile_wanted.set()

    # ---------------------------------------------------------------------------------------------- what is on record

    def _check_record(self, order: Order, ask: ResolveAsk) -> None:
        """Raise when the record alone does not allow it."""
        self._check_version(order, ask)
        if ask.verdict is Verdicts.BUSTED:
            return
        if not order.is_open:
            raise EngineError(
                Kind.FAILED_PRECONDITION,
                "ORDER_ENDED",
                f"cannot resolve: the order is {order.state}",
                metadata={"order_id": order.order_id, "status": order.state},
                subject=("orderd.Order", order.order_id),
                order_data=self._account.journal.order_data(order.order_id),
            )
        if order.links:
            if ask.verdict in {Verdicts.NOT_PLACED, Verdicts.RESEND}:
                raise _not_allowed(order, f"the broker has it as {order.broker_order_id}")
            return
        if order.parent_order_id is not None:
            raise _not_allowed(order, f"a leg without a broker id goes with its parent {order.parent_order_id}")
        if order.state is not OrderState.UNKNOWN:
            what = "waits to be sent: cancel it" if order.state is OrderState.CREATED else "is on its way to the broker"
            raise _in_flight(order, f"it {what}")

    def _check_version(self, order: Order, ask: ResolveAsk) -> None:
        if ask.expected_version and ask.expected_version != order.version:
            text = f"expected version {ask.expected_version}, the order is at {order.version}"
            meta = {"order_id": order.order_id, "version": str(order.version)}
            raise EngineError(Kind.ABORTED, "VERSION_CONFLICT", text, metadata=meta)

    # --------------------------------------------------------------------------------------------- what the broker says

    async def _contradicted(self, order: Order, ask: ResolveAsk) -> Order | None:
        """Ask the broker and raise when it says otherwise; the order, when it told the same end by itself."""
        outcome = await self._ask(order)
        now = self._account.blotter.get(order.order_id) or order
        match outcome:
            case CannotTell():
                if self._can_be_asked(order):
                    raise _unreachable(outcome)
            case Absent():
                self._check_settled(order)
            case Found() if now.links:
                return self._compare_end(order, now, ask, outcome.view)
            case Found():  # another order has this one's client id: ours is not there
                if ask.verdict is Verdicts.RESEND:
                    raise _contradicted(now, outcome.view, "the broker has another order of that client id")
        return None

    async def _ask(self, order: Order) -> FindOutcome:
        if order.broker_order_id is not None:
            return await self._comparer.read(order.broker_order_id)
        return await self._resolver.look(order)

    def _can_be_asked(self, order: Order) -> bool:
        return bool(order.links) or self._account.broker.capabilities(order.asset_class).lookup is not Lookup.NO

    def _check_settled(self, order: Order) -> None:
        """Raise while "not found" proves nothing yet. A clock that was set meanwhile only makes it later, or not."""
        age_s = abs((self._account.clock.now() - order.updated_time).total_seconds())
        if not order.links and age_s < self._account.policy.settle_s:
            raise _in_flight(order, f"it was sent less than {self._account.policy.settle_s:g} s ago")

    def _compare_end(self, before: Order, now: Order, ask: ResolveAsk, view: View) -> Order | None:
        if ask.verdict is Verdicts.BUSTED:
            self._compare_bust(now, ask, view)
            return None
        if ask.verdict is not Verdicts.ENDED:
            raise _contradicted(now, view, "the broker has the order")
        if not now.is_open and before.is_open:
            # The read brought the end itself.
            is_same = now.state is ask.state and ask.filled_quantity in {None, now.filled_quantity}
            if is_same:
                return now
            raise _contradicted(now, view, f"the broker has just told its end: {now.state}")
        is_other_quantity = ask.filled_quantity is not None and ask.filled_quantity != view.filled_quantity
        is_told = view.phase in ENDS and view.phase is not Phase.REPLACED
        if view.phase not in ENDS or (is_told and (_PHASE.get(ask.state) is not view.phase or is_other_quantity)):
            raise _contradicted(now, view, f"the broker says {view.status}")
        return None

    def _compare_bust(self, now: Order, ask: ResolveAsk, view: View) -> None:
        """The broker's figure must be without the execution. On a replace chain figures cannot tell."""
        taken_back = next((fill for fill in known_as(now, ask.execution_id) if fill.is_counted), None)
        if taken_back is None or len(now.links) > 1:
            return
        left = subtract(now.filled_quantity, taken_back.quantity)
        if view.filled_quantity > left:
            counted = canonical(view.filled_quantity)
            raise _contradicted(now, view, f"the broker counts {counted}, more than the {canonical(left)} without it")

    async def _adoptable(self, order: Order, ask: ResolveAsk) -> View:
        """The view of the broker order that the operator names, when it can be this order's."""
        account = self._account
        owner = account.blotter.by_broker_id(account.account_id, ask.broker_order_id)
        if owner is not None:
            raise _not_allowed(order, f"broker order {ask.broker_order_id} is order {owner} of this record")
        outcome = await account.broker.order(BrokerOrderId(ask.broker_order_id), timeout_s=READ_TIMEOUT_S)
        match outcome:
            case CannotTell():
                raise _unreachable(outcome)
            case Absent():
                raise _contradicted(order, None, f"the broker has no order {ask.broker_order_id}")
            case Found():
                pass
        now = account.blotter.get(order.order_id) or order
        verdict = decide(now, self._fact(ask, outcome.view))
        if isinstance(verdict, Impossible):
            raise _contradicted(now, outcome.view, verdict.explanation)
        return outcome.view


def _stands(record: Discrepancy, why: str) -> EngineError:
    return EngineError(
        Kind.FAILED_PRECONDITION,
        "DISCREPANCY_STANDS",
        f"{record.kind} still stands: {why}",
        metadata={
            "kind": record.kind,
            "order_id": record.order_id,
            "expected": record.expected,
            "observed": record.observed,
        },
        subject=("orderd.Discrepancy", record.discrepancy_id),
    )


def _unreachable(outcome: CannotTell) -> EngineError:
    text = f"the broker cannot be asked now: {outcome.message}"
    return EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=5)


def _of(order: Order) -> dict[str, str]:
    return {"order_id": order.order_id, "status": order.state, "version": str(order.version)}


def _not_allowed(order: Order, why: str) -> EngineError:
    return _refusal("RESOLUTION_NOT_ALLOWED", order, why)


def _in_flight(order: Order, why: str) -> EngineError:
    return _refusal("ORDER_IN_FLIGHT", order, why)


def _contradicted(order: Order, view: View | None, why: str) -> EngineError:
    said: dict[str, str] = {}
    if view is not None:
        said = {
            "broker_order_id": view.broker_order_id,
            "broker_status": view.status,
            "broker_filled_quantity": canonical(view.filled_quantity),
        }
    return _refusal("RESOLUTION_CONTRADICTED", order, why, said)


def _refusal(reason: str, order: Order, why: str, said: dict[str, str] | None = None) -> EngineError:
    return EngineError(
        Kind.FAILED_PRECONDITION,
        reason,
        f"cannot resolve: {why}",
        metadata=_of(order) | (said or {}),
        subject=("orderd.Order", order.order_id),
    )
