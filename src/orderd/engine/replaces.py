"""Replaces under way: each is sent once, then followed until the broker has proven a successor or none.

A 200 is not yet success and a 422 not yet failure: the old order is read before either is believed. A lost answer is
looked up by the client id the replace carried; it is never sent a second time.
"""

import structlog

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import ReplaceDeclined
from orderd.core.order import Order, PendingReplace, Phase
from orderd.core.values import OrderId
from orderd.engine.account import REPLY, Account
from orderd.engine.discrepancies import Discrepancies
from orderd.engine.reader import Reader
from orderd.engine.router import Router
from orderd.ports import Absent, Acked, Found, NotSent, Refused, ReplaceRequest, Unknown

log = structlog.get_logger("orderd.replaces")

TRIES = 3
PROOF_S = 1.0
SLOW_S = 20.0
CALL_TIMEOUT_S = 10.0


class Replacer:
    """Carries one account's replaces to its broker."""

    def __init__(self, account: Account, router: Router, reader: Reader, discrepancies: Discrepancies) -> None:
        """Watches the blotter: a replace that is pending is work to do, also after a restart."""
        self._account = account
        self._router = router
        self._reader = reader
        self._discrepancies = discrepancies

    def watch(self, order: Order) -> None:
        """Start what the order's flag asks for, unless it is under way."""
        if order.pending_replace is None:
            self._account.stuck_replaces.discard(order.order_id)
        elif order.is_open and order.links and not self._account.is_stopping:
            self._account.tasks.start_once(lambda: self._settle(order.order_id), "replace", order.order_id)

    def _pending(self, order_id: OrderId) -> tuple[Order, PendingReplace] | None:
        order = self._account.blotter.get(order_id)
        if order is None or not order.is_open or order.pending_replace is None:
            return None
        return order, order.pending_replace

    async def _settle(self, order_id: OrderId) -> None:
        """Send what this process was asked for, then follow it; a later replace of the order is followed in turn."""
        account = self._account
        number, rounds, since_ns = 0, 0, 0
        while (under_way := self._pending(order_id)) is not None and not account.is_stopping:
            order, pending = under_way
            if pending.number != number:
                number, rounds, since_ns = pending.number, 0, account.clock.monotonic_ns()
            if (order_id, number) in account.replaces_to_send:
                account.replaces_to_send.discard((order_id, number))
                await self._send(order, pending)
            pause_s = PROOF_S if order_id not in account.stuck_replaces else SLOW_S
            await account.blotter.wait(order, lambda o: o.pending_replace is None, pause_s)
            if not self._is_pending(order_id, number) or account.is_stopping:
                continue
            rounds += 1
            waited_s = (account.clock.monotonic_ns() - since_ns) / 1e9
            await self._look_for_successor(order, pending, waited_s)
            if rounds >= TRIES and waited_s > account.policy.settle_s + TRIES * PROOF_S:
                await self._stuck(order_id, number)

    def _is_pending(self, order_id: OrderId, number: int) -> bool:
        under_way = self._pending(order_id)
        return under_way is not None and under_way[1].number == number

    async def _stuck(self, order_id: OrderId, number: int) -> None:
        """No proof in time: say so, let a cancel go all the same, and ask on, slowly."""
        under_way = self._pending(order_id)
        if under_way is None or not self._is_pending(order_id, number):
            return
        order = under_way[0]
        if order_id not in self._account.stuck_replaces:
            self._account.stuck_replaces.add(order_id)
            await self._discrepancies.open(
                DiscrepancyKind.REPLACE_UNPROVEN, order, expected="a successor", observed=order.broker_status
            )
        self._account.watch(order)

    async def _send(self, order: Order, pending: PendingReplace) -> None:
        """Send it once and bring in what the broker answered."""
        request = ReplaceRequest(order=order, terms=pending.terms, client_order_id=pending.client_order_id)
        outcome = await self._account.broker.replace(request, timeout_s=CALL_TIMEOUT_S)
        match outcome:
            case Acked():
                raw = self._account.raw(outcome.view.broker_order_id, "replace_reply", outcome.raw)
                await self._router.view(outcome.view, REPLY, raw)
            case Refused() | NotSent():
                await self._declined_unless_done(order.order_id, pending, outcome.code, outcome.message)
            case Unknown():
                log.warning("replace_unknown", order_id=order.order_id, code=outcome.code)

    async def _declined_unless_done(self, order_id: OrderId, pending: PendingReplace, code: str, message: str) -> None:
        """Read the old order before calling it refused: it may have been replaced, filled or ended all the same."""
        under_way = self._pending(order_id)
        if under_way is None or under_way[0].broker_order_id is None:
            return
        if not isinstance(await self._reader.read(under_way[0].broker_order_id), Found):
            return
        under_way = self._pending(order_id)
        if under_way is None or under_way[0].links[-1].phase in {Phase.REPLACED, Phase.PENDING_REPLACE}:
            return
        fact = ReplaceDeclined(
            at=self._account.clock.now(), source=REPLY, code=code, message=message, request_id=pending.request_id
        )
        await self._account.take(under_way[0], fact)

    async def _look_for_successor(self, order: Order, pending: PendingReplace, waited_s: float) -> None:
        """The replace carried its own client id: look that up. Absent after settling, the old one alive: refused."""
        found = await self._reader.find(
            pending.client_order_id, asset_class=order.asset_class, since=pending.asked_time
        )
        if not self._is_pending(order.order_id, pending.number) or order.broker_order_id is None:
            return
        if isinstance(found, Absent) and waited_s >= self._account.policy.settle_s:
            message = "the broker has no successor of this order"
            await self._declined_unless_done(order.order_id, pending, "NOT_PLACED", message)
        else:
            await self._reader.read(order.broker_order_id)
