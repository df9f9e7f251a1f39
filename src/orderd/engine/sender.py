"""The submit worker of an account: what leaves, in which order, and what its silence means.

Rule 1: the order of sending is kept per symbol; up to `parallel_submits` orders leave at once per account, so one
hanging POST holds nobody else's stop.
Rule 2: SUBMITTED is durable before the first byte leaves; a second send happens only after proof that the first one is
not at the broker, and with the same client id.
Rule 3: nothing here runs in an RPC: a caller that gives up changes nothing.
"""

import asyncio
from collections import deque

import structlog

from orderd.core.adopt import mismatch
from orderd.core.facts import GaveUp, OutcomeLost, Sending
from orderd.core.facts import NotSent as NotSentFact
from orderd.core.facts import Refused as RefusedFact
from orderd.core.order import Order, OrderState
from orderd.core.turnstiles import Recorded, Staged
from orderd.core.values import OrderId
from orderd.engine.account import ENGINE, REPLY, Account
from orderd.engine.resolver import Resolver
from orderd.engine.router import Router
from orderd.ports import Acked, Found, NotSent, Refused, SubmitOutcome, Unknown

log = structlog.get_logger("orderd.sender")

NOT_SENT_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
CALL_MARGIN_S = 0.5
"""Beyond the adapter's own timeout, after which its silence is an unknown outcome."""


class Sender:
    """Hands an account's orders to its broker."""

    def __init__(self, account: Account, router: Router, resolver: Resolver) -> None:
        """Answers go to the router, silences to the resolver."""
        self._account = account
        self._router = router
        self._resolver = resolver
        self._queues: dict[str, deque[OrderId]] = {}
        """By symbol; none is empty."""
        self._ready: dict[str, None] = {}
        """The symbols that have a queue and are not busy, the longest waiting first: found without a search."""
        self._queued = 0
        self._busy: set[str] = set()
        self._sending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        resolver.resend = self.resend

    @property
    def queued(self) -> int:
        """Orders written down and waiting for their turn."""
        return self._queued

    def claim(self, symbol: str) -> bool:
        """Take the symbol's turn now when nothing is ahead: the order may be written as SUBMITTED at once."""
        if symbol in self._busy or symbol in self._queues or not self._may_begin():
            return False
        self._begin(symbol)
        return True

    def _may_begin(self) -> bool:
        return self._sending < self._account.policy.parallel_submits and self._account.may_send()

    def _begin(self, symbol: str) -> None:
        self._busy.add(symbol)
        self._sending += 1
        self._idle.clear()

    def release(self, symbol: str) -> None:
        """Give the turn back and let the next order of any symbol go."""
        self._busy.discard(symbol)
        if symbol in self._queues:
            self._ready[symbol] = None
        self._sending -= 1
        if self._sending == 0:
            self._idle.set()
        self.pump()

    def enqueue(self, order: Order) -> None:
        """Put an order that is written down (CREATED) in line."""
        symbol = order.intent.symbol
        queue = self._queues.get(symbol)
        if queue is None:
            queue = self._queues[symbol] = deque()
            if symbol not in self._busy:
                self._ready[symbol] = None
        queue.append(order.order_id)
        self._queued += 1
        self.pump()

    def send_claimed(self, recorded: Recorded, legs: tuple[Recorded, ...]) -> None:
        """Send an order whose turn was claimed and whose SUBMITTED is durable."""
        staged = self._account.journal.stage(recorded, legs)
        self._account.tasks.start(self._send_and_release(staged), f"send:{recorded.order.order_id}")

    async def drained(self, timeout_s: float) -> None:
        """Wait until nothing is in flight, at most so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("drain_incomplete", account_id=self._account.account_id, in_flight=self._sending)

    def pump(self) -> None:
        """Start whatever may go."""
        while self._ready and self._may_begin():
            symbol = next(iter(self._ready))
            del self._ready[symbol]
            queue = self._queues[symbol]
            order_id = queue.popleft()
            if not queue:
                del self._queues[symbol]
            self._queued -= 1
            self._begin(symbol)
            self._account.tasks.start(self._take_turn(order_id, symbol), f"turn:{order_id}")

    async def _take_turn(self, order_id: OrderId, symbol: str) -> None:
        try:
            order = self._account.blotter.get(order_id)
            if order is not None and order.is_open and not order.links:
                await self._hand_over(order)
        finally:
            self.release(symbol)

    async def _hand_over(self, order: Order) -> None:
        """Record SUBMITTED, then send; or give up when it has become too old or unwanted."""
        if await self._is_stale(order):
            return
        account = self._account
        fact = Sending(at=account.clock.now(), source=ENGINE)
        legs = [await account.intake.take(leg.order_id, fact) for leg in account.legs(order)]
        taken = await account.intake.take(order.order_id, fact)
        if taken.recorded is None or taken.order.state is not OrderState.SUBMITTED or taken.order.links:
            return
        staged_legs = tuple(leg.recorded for leg in legs if leg.recorded is not None)
        await self._send(account.journal.stage(taken.recorded, staged_legs))

    async def _is_stale(self, order: Order) -> bool:
        account = self._account
        if not account.is_too_old(order):
            return False
        fact = GaveUp(at=account.clock.now(), source=ENGINE, code="STALE", message=account.limit_text(order))
        await account.take_with_legs(order, fact)
        return True

    async def resend(self, order: Order) -> None:
        """Send again an order that is proven absent, with the same client id."""
        await self._hand_over(order)

    async def _send_and_release(self, staged: Staged) -> None:
        try:
            await self._send(staged)
        finally:
            self.release(staged.order.intent.symbol)

    async def _send(self, staged: Staged) -> None:
        account = self._account
        timeout_s = account.policy.submit_timeout_s
        try:
            async with asyncio.timeout(timeout_s + CALL_MARGIN_S):
                outcome = await account.broker.submit(staged, timeout_s=timeout_s)
        except TimeoutError:
            outcome = Unknown(code="TIMEOUT", message=f"no answer within {timeout_s} s")
        await self.outcome(staged.order, outcome)

    async def outcome(self, order: Order, outcome: SubmitOutcome) -> None:
        """Record what the broker's answer, or its silence, means."""
        account = self._account
        match outcome:
            case Acked():
                raw = account.raw(outcome.view.broker_order_id, "submit_reply", outcome.raw)
                await self._router.view(outcome.view, REPLY, raw)
                await self._check_adopted(order, outcome)
            case Refused(is_duplicate_id=True):
                await self._duplicate(order, outcome)
            case Refused():
                raw = account.raw("", f"submit_refusal:{order.order_id}", outcome.raw)
                fact = RefusedFact(at=account.clock.now(), source=REPLY, code=outcome.code, message=outcome.message)
                await account.take_with_legs(order, fact, raw)
            case NotSent():
                await self._not_sent(order, outcome)
            case Unknown():
                await self._lost(order, outcome.code, outcome.message, outcome.raw)

    async def _check_adopted(self, order: Order, outcome: Acked) -> None:
        """A yes that is not about this order proves nothing about it."""
        now = self._account.blotter.get(order.order_id)
        if now is not None and now.is_open and not now.links:
            await self._lost(order, "ECHO_DIFFERS", f"the broker answered about {outcome.view.broker_order_id}", b"")

    async def _lost(self, order: Order, code: str, message: str, raw: bytes) -> None:
        account = self._account
        fact = OutcomeLost(at=account.clock.now(), source=ENGINE, code=code, message=message)
        kept = account.raw("", f"submit_unclear:{order.order_id}", raw)
        after = await account.take_with_legs(order, fact, kept)
        log.warning("outcome_unknown", order_id=order.order_id, code=code, message=message)
        if after.is_open and not after.links:
            self._resolver.start(after)

    async def _duplicate(self, order: Order, outcome: Refused) -> None:
        """The client id is taken: by an earlier send of this order, or by somebody else's."""
        account = self._account
        found = await account.broker.find(order.intent.client_order_id, timeout_s=account.policy.submit_timeout_s)
        if isinstance(found, Found) and mismatch(order, found.view) is not None:
            message = f"{outcome.message}: another order at the broker has this client id"
            fact = RefusedFact(at=account.clock.now(), source=REPLY, code="DUPLICATE_CLIENT_ORDER_ID", message=message)
            await account.take_with_legs(order, fact, account.raw("", "submit_refusal", outcome.raw))
        elif isinstance(found, Found):
            raw = account.raw(found.view.broker_order_id, "lookup", found.raw)
            await self._router.view(found.view, REPLY, raw)
        else:
            await self._lost(order, outcome.code, outcome.message, outcome.raw)

    async def _not_sent(self, order: Order, outcome: NotSent) -> None:
        """Provably not at the broker: the same id again after a pause, while it is young enough."""
        account = self._account
        fact = NotSentFact(at=account.clock.now(), source=ENGINE, code=outcome.code, message=outcome.message)
        after = await account.take_with_legs(order, fact)
        pause_s = NOT_SENT_PAUSES_S[min(after.attempts, len(NOT_SENT_PAUSES_S)) - 1]
        if account.is_too_old(order, ahead_s=pause_s):
            gave_up = GaveUp(at=account.clock.now(), source=ENGINE, code="NOT_SENT", message=outcome.message)
            await account.take_with_legs(after, gave_up)
            return
        if account.is_stopping:
            return
        await account.pause(pause_s)
        current = account.blotter.get(order.order_id)
        if current is not None and current.is_open and not current.links and not account.is_stopping:
            await self._hand_over(current)
