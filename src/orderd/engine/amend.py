"""Cancels and replaces under way: asked once, followed until the broker has proven an end.

A 204 is not an end and a 422 not a failure: after either, the order's own word is read. Three times without proof
becomes a discrepancy; the flag stays, so nothing is forgotten.
"""

import structlog

from orderd.core.facts import CancelDeclined, ReplaceDeclined
from orderd.core.order import Order, Phase
from orderd.core.values import BrokerOrderId, OrderId
from orderd.engine.account import ENGINE, REPLY, Account
from orderd.engine.discrepancies import Discrepancies
from orderd.engine.router import Router
from orderd.ports import Absent, Acked, Found, NotSent, Refused, ReplaceOutcome, ReplaceRequest, Taken, Unknown

log = structlog.get_logger("orderd.amend")

TRIES = 3
CANCEL_PROOF_S = 5.0
REPLACE_PROOF_S = 1.0
CALL_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0
RETRY_S = 0.5


class Amender:
    """Carries one account's cancels and replaces to its broker."""

    def __init__(self, account: Account, router: Router, discrepancies: Discrepancies) -> None:
        """Watches the blotter: a flag with a broker id beside it is work to do, also after a restart."""
        self._account = account
        self._router = router
        self._discrepancies = discrepancies
        self._exhausted: set[tuple[str, OrderId]] = set()

    def watch(self, order: Order) -> None:
        """Start what the order's flags ask for, unless it is under way. A drain still lets cancels go."""
        if not order.is_open:
            self._exhausted.discard(("cancel", order.order_id))
            self._exhausted.discard(("replace", order.order_id))
            return
        if not order.links:
            return
        if order.pending_replace is not None:
            if ("replace", order.order_id) not in self._exhausted and not self._account.is_stopping:
                self._account.tasks.start_once(self._settle_replace(order.order_id), "replace", order.order_id)
        elif order.pending_cancel and ("cancel", order.order_id) not in self._exhausted:
            self._account.tasks.start_once(self._cancel(order.order_id), "cancel", order.order_id)

    # ------------------------------------------------------------------------------------------------------- cancel

    def _cancelling(self, order_id: OrderId) -> Order | None:
        order = self._account.blotter.get(order_id)
        if order is None or not order.is_open or not order.pending_cancel or order.pending_replace is not None:
            return None
        return order

    async def _cancel(self, order_id: OrderId) -> None:
        for _ in range(TRIES):
            order = self._cancelling(order_id)
            if order is None or order.broker_order_id is None or await self._cancel_once(order, order.broker_order_id):
                return
        order = self._cancelling(order_id)
        if order is not None:
            self._exhausted.add(("cancel", order_id))
            await self._discrepancies.open(
                "CANCEL_UNPROVEN", order, expected="an end", observed=order.broker_status, evidence=f"{TRIES} cancels"
            )

    async def _cancel_once(self, order: Order, broker_order_id: BrokerOrderId) -> bool:
        """One cancel and its proof. True when nothing is left to do."""
        account = self._account
        outcome = await account.broker.cancel(broker_order_id, timeout_s=CALL_TIMEOUT_S)
        match outcome:
            case Taken():
                await account.blotter.wait(order, lambda o: not o.is_open or not o.pending_cancel, CANCEL_PROOF_S)
            case Refused():
                await self.read(broker_order_id)
                return await self._refused_for_good(order.order_id, outcome)
            case NotSent() | Unknown():
                await account.pause(RETRY_S)
        if self._cancelling(order.order_id) is not None:
            await self.read(broker_order_id)
        return self._cancelling(order.order_id) is None

    async def _refused_for_good(self, order_id: OrderId, outcome: Refused) -> bool:
        """After a refusal and a read: still working and not on its way out means the broker will not cancel it."""
        order = self._cancelling(order_id)
        if order is None:
            return True
        if order.links[-1].phase in {Phase.PENDING_CANCEL, Phase.PENDING_REPLACE}:
            await self._account.pause(RETRY_S)
            return False
        at = self._account.clock.now()
        fact = CancelDeclined(at=at, source=REPLY, code=outcome.code, message=outcome.message)
        await self._account.take(order, fact, self._account.raw("", "cancel_refusal", outcome.raw))
        return True

    # ------------------------------------------------------------------------------------------------------ replace

    async def replace(self, order: Order) -> None:
        """Send the replace that was just recorded, once, and bring in what the broker answered."""
        pending = order.pending_replace
        if pending is None:
            return
        request = ReplaceRequest(order=order, terms=pending.terms, client_order_id=pending.client_order_id)
        outcome = await self._account.broker.replace(request, timeout_s=CALL_TIMEOUT_S)
        await self._answered(order, outcome)

    async def _answered(self, order: Order, outcome: ReplaceOutcome) -> None:
        match outcome:
            case Acked():
                raw = self._account.raw(outcome.view.broker_order_id, "replace_reply", outcome.raw)
                await self._router.view(outcome.view, REPLY, raw)
            case Refused():
                await self._declined_unless_done(order.order_id, outcome.code, outcome.message)
            case NotSent():
                await self._declined_unless_done(order.order_id, outcome.code, outcome.message)
            case Unknown():
                log.warning("replace_unknown", order_id=order.order_id, code=outcome.code)

    async def _declined_unless_done(self, order_id: OrderId, code: str, message: str) -> None:
        """Read the old order before calling it refused: it may have been replaced, filled or ended all the same."""
        order = self._replacing(order_id)
        if order is None or order.broker_order_id is None or not await self.read(order.broker_order_id):
            return
        order = self._replacing(order_id)
        if order is None or order.links[-1].phase in {Phase.REPLACED, Phase.PENDING_REPLACE}:
            return
        at = self._account.clock.now()
        await self._account.take(order, ReplaceDeclined(at=at, source=REPLY, code=code, message=message))

    def _replacing(self, order_id: OrderId) -> Order | None:
        order = self._account.blotter.get(order_id)
        return order if order is not None and order.is_open and order.pending_replace is not None else None

    async def _settle_replace(self, order_id: OrderId) -> None:
        """Follow a pending replace to its proof; the first run sends it when it was asked for in this process."""
        account = self._account
        order = self._replacing(order_id)
        if order is not None and order.pending_replace is not None and order_id in account.replaces_to_send:
            account.replaces_to_send.discard(order_id)
            await self.replace(order)
        waited_s, tries = 0.0, 0
        while (order := self._replacing(order_id)) is not None and not account.is_stopping:
            await account.blotter.wait(order, lambda o: o.pending_replace is None, REPLACE_PROOF_S)
            waited_s += REPLACE_PROOF_S
            if (order := self._replacing(order_id)) is None:
                return
            tries += 1
            await self._look_for_successor(order, waited_s)
            if tries >= TRIES + int(account.policy.settle_s):
                break
        order = self._replacing(order_id)
        if order is not None:
            self._exhausted.add(("replace", order_id))
            await self._discrepancies.open(
                "REPLACE_UNPROVEN", order, expected="a successor", observed=order.broker_status
            )

    async def _look_for_successor(self, order: Order, waited_s: float) -> None:
        """The PATCH carried its own client id: look that up. Absent after settling, the old one alive: refused."""
        account = self._account
        pending = order.pending_replace
        if pending is None or order.broker_order_id is None:
            return
        found = await account.broker.find(pending.client_order_id, timeout_s=READ_TIMEOUT_S)
        if isinstance(found, Found):
            raw = account.raw(found.view.broker_order_id, "lookup", found.raw)
            await self._router.view(found.view, REPLY, raw)
        if self._replacing(order.order_id) is None:
            return
        await self.read(order.broker_order_id)
        if isinstance(found, Absent) and waited_s >= account.policy.settle_s:
            message = "the broker has no successor of this order"
            await self._declined_unless_done(order.order_id, "NOT_PLACED", message)

    # --------------------------------------------------------------------------------------------------------- read

    async def read(self, broker_order_id: BrokerOrderId, *, may_infer: bool = False) -> bool:
        """Read one order by the broker's id and bring in what it says. False when there was no usable answer."""
        outcome = await self._account.broker.order(broker_order_id, timeout_s=READ_TIMEOUT_S)
        if not isinstance(outcome, Found):
            return False
        raw = self._account.raw(broker_order_id, "read", outcome.raw)
        source = ENGINE if may_infer else REPLY
        await self._router.view(outcome.view, source, raw, may_infer=may_infer)
        return True
