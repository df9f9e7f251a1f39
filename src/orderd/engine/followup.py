"""What a verdict asks for after its commit: reads that the record alone cannot do without, and a second order's end."""

from functools import partial

import structlog

from orderd.core.adopt import mismatch
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import CancelAsked
from orderd.core.order import Order
from orderd.core.settle import missing
from orderd.core.values import BrokerOrderId, OrderId
from orderd.core.verdicts import NeedKind, Verdict
from orderd.engine.account import ENGINE, REPLY, Account
from orderd.engine.reader import Reader
from orderd.engine.router import LOOKUP_TIMEOUT_S, Router
from orderd.ports import BrokerError, Found

log = structlog.get_logger("orderd.followup")

READ_PAUSES_S = (0.0, 0.5, 2.0)
EXECUTION_PAUSES_S = (0.1, 0.4, 1.0, 1.5, 2.0)
"""Within 5 s the executions behind a cumulative figure are fetched; only then is the rest inferred."""


class FollowUp:
    """Acts on one account's verdicts."""

    def __init__(self, account: Account, router: Router, reader: Reader) -> None:
        """What is read goes to the router."""
        self._account = account
        self._router = router
        self._reader = reader

    def act(self, order: Order, verdict: Verdict) -> None:
        """Start what the verdict asks for."""
        tasks = self._account.tasks
        for finding in verdict.findings:
            if finding.kind is DiscrepancyKind.SECOND_BROKER_ORDER:
                second = BrokerOrderId(finding.observed)
                tasks.start_once(partial(self._second, order.order_id, second), "second", second)
        if self._account.is_stopping:
            return
        for need in verdict.needs:
            broker_order_id = BrokerOrderId(need.broker_order_id)
            if not broker_order_id:
                continue
            if need.kind is NeedKind.EXECUTIONS:
                work = partial(self._executions, order.order_id, broker_order_id)
                tasks.start_once(work, "executions", order.order_id, broker_order_id)
            else:
                elder_of = None if order.links else order.order_id
                if elder_of is not None:  # nothing but this verdict says whose it is
                    self._router.claim(broker_order_id, elder_of)
                tasks.start_once(partial(self._read, broker_order_id, elder_of), "read", broker_order_id)

    async def _second(self, order_id: OrderId, broker_order_id: BrokerOrderId) -> None:
        """A second broker order of one intent gets a record of its own, so that its fills count; and when it asks for
        the very same, it is cancelled. One that could not be read is met again in the next list.
        """
        outcome = await self._account.broker.order(broker_order_id, timeout_s=LOOKUP_TIMEOUT_S)
        first = self._account.blotter.get(order_id)
        if not isinstance(outcome, Found) or first is None:
            return
        raw = self._account.raw(broker_order_id, "second", outcome.raw)
        second_id = await self._router.stranger(outcome.view, REPLY, raw)
        second = None if second_id is None or second_id == order_id else self._account.blotter.get(second_id)
        if second is None or not second.is_open or mismatch(first, outcome.view) is not None:
            return
        reason = f"a second broker order of {order_id}"
        fact = CancelAsked(at=self._account.clock.now(), source=ENGINE, reason=reason)
        await self._account.take(second, fact)

    async def _read(self, broker_order_id: BrokerOrderId, elder_of: OrderId | None) -> None:
        """Read it; `elder_of`: the order that has it claimed, until it was brought in or could not be read."""
        is_claimed = elder_of is not None and self._router.claim(broker_order_id, elder_of)
        try:
            for pause_s in READ_PAUSES_S:
                if pause_s:
                    await self._account.pause(pause_s)
                if self._account.is_stopping or isinstance(await self._reader.read(broker_order_id), Found):
                    return
            log.warning("read_failed", account_id=self._account.account_id, broker_order_id=broker_order_id)
        finally:
            if is_claimed:
                self._router.release(broker_order_id)

    def _is_missing(self, order_id: OrderId, broker_order_id: BrokerOrderId) -> bool:
        order = self._account.blotter.get(order_id)
        link = order.link(broker_order_id) if order is not None else None
        return order is not None and link is not None and missing(order, link)

    async def _executions(self, order_id: OrderId, broker_order_id: BrokerOrderId) -> None:
        """Fetch the executions the broker's cumulative figure is about; the stream usually brings them first."""
        account = self._account
        for pause_s in EXECUTION_PAUSES_S:
            await account.pause(pause_s)
            if account.is_stopping or not self._is_missing(order_id, broker_order_id):
                return
            try:
                executions = await account.broker.executions_of(broker_order_id)
            except BrokerError as error:
                log.warning("executions_unread", order_id=order_id, error=str(error))
                continue
            for execution in executions:
                await self._router.execution(execution, ENGINE)
        if self._is_missing(order_id, broker_order_id):
            await self._reader.read(broker_order_id, may_infer=True)
