"""The submit worker of an account: what leaves, and what its silence means. Who is next is for turns.py to say.

Rule 1: SUBMITTED is durable before the first byte leaves; a second send happens only after proof that the first one is
not at the broker, and with the same client id.
Rule 2: before every send, in this order: a cancel was asked for → not sent; the account is halted → not now; too old →
given up.
Rule 3: nothing here runs in an RPC: a caller that gives up changes nothing.
"""

import asyncio

import structlog

from orderd.core.adopt import mismatch
from orderd.core.facts import GaveUp, OutcomeLost, Sending, View
from orderd.core.facts import NotSent as NotSentFact
from orderd.core.facts import Refused as RefusedFact
from orderd.core.order import Order, OrderState
from orderd.core.turnstiles import Recorded, Staged
from orderd.core.values import OrderId
from orderd.engine.account import ENGINE, REPLY, Account
from orderd.engine.lookup import look_up
from orderd.engine.reader import Reader
from orderd.engine.resolver import Resolver
from orderd.engine.router import Router
from orderd.engine.turns import Turn, Turns, turn_of
from orderd.ports import Acked, CannotTell, NotSent, Refused, SubmitOutcome, Unknown

log = structlog.get_logger("orderd.sender")

NOT_SENT_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
CALL_MARGIN_S = 0.5
"""Beyond the adapter's own timeout, after which its silence is an unknown outcome."""


class Sender:
    """Hands an account's orders to its broker."""

    def __init__(self, account: Account, router: Router, reader: Reader, resolver: Resolver) -> None:
        """Answers go to the router, silences to the resolver."""
        self._account = account
        self._router = router
        self._reader = reader
        self._resolver = resolver
        self._turns = Turns(account.policy.parallel_submits)
        self._proven_absent: set[OrderId] = set()
        """Unknown outcomes that may be sent again: each proof is good for one send."""
        self._idle = asyncio.Event()
        self._idle.set()
        resolver.resend = self.resend

    @property
    def queued(self) -> int:
        """Orders written down and waiting for their turn."""
        return self._turns.waiting

    def claim(self, turn: Turn) -> bool:
        """Take the turn now when nothing is ahead: the order may be written as SUBMITTED at once."""
        if not self._account.may_send() or not self._turns.claim(turn):
            return False
        self._idle.clear()
        return True

    def give_back(self, turn: Turn) -> None:
        """A claimed turn comes to nothing."""
        self._end_turn(turn)

    def enqueue(self, order: Order) -> None:
        """Put an order that is written down (CREATED) in line."""
        self._turns.join(turn_of(order))
        self.pump()

    def resend(self, order: Order) -> None:
        """Put an order that is proven absent at the head of its symbol's line; it goes with the same client id."""
        if order.order_id not in self._proven_absent:
            self._proven_absent.add(order.order_id)
            self._turns.join(turn_of(order), first=True)
            self.pump()

    def send_claimed(self, recorded: Recorded, legs: tuple[Recorded, ...]) -> None:
        """Send an order whose turn was claimed and whose SUBMITTED is durable."""
        staged = self._account.journal.stage(recorded, legs)
        turn = turn_of(recorded.order)
        self._account.tasks.start(self._take_turn(turn, staged), f"send:{turn.order_id}")

    async def drained(self, timeout_s: float) -> None:
        """Wait until nothing is in flight, at most so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("drain_incomplete", account_id=self._account.account_id, in_flight=self._turns.sending)

    def pump(self) -> None:
        """Start whatever may go."""
        while self._account.may_send() and (turn := self._turns.next()) is not None:
            self._idle.clear()
            self._account.tasks.start(self._take_turn(turn, None), f"turn:{turn.order_id}")

    async def give_up_unsendable(self) -> None:
        """End what has grown too old in line (while an account is halted nothing gets its turn), or may not leave."""
        for order_id in self._turns:
            order = self._account.blotter.get(order_id)
            if order is not None and order.is_open and not order.links and (no := self._unsendable(order)) is not None:
                await self._give_up(order, *no)

    def _unsendable(self, order: Order) -> tuple[str, str] | None:
        """Why it may not be sent any more, as code and text."""
        account = self._account
        return ("STALE", account.limit_text(order)) if account.is_too_old(order) else account.forbidden(order)

    # --------------------------------------------------------------------------------------------------------- turns

    async def _take_turn(self, turn: Turn, staged: Staged | None) -> None:
        """One order's turn: its send, and a pause of its symbol when it provably did not leave."""
        pause_s: float | None = None
        ready = staged or await self._stage(turn.order_id)
        if ready is not None and (no := self._unsendable(ready.order)) is not None:
            # The state was set, or its time ran out, while this was being written: it provably did not leave.
            await self._give_up(ready.order, *no)
            ready = None
        if ready is not None:
            outcome = await self._submit(ready)
            if isinstance(outcome, Acked):
                await self._received(turn, ready.order, outcome)
                return
            pause_s = await self.outcome(ready.order, outcome)
        if pause_s is None:
            self._end_turn(turn)
            return
        self._turns.join(turn, first=True)
        self._end_turn(turn, keeps_symbol=True)
        self._account.tasks.start(self._go_on(turn.symbol, pause_s), f"pause:{turn.symbol}")

    async def _received(self, turn: Turn, order: Order, outcome: Acked) -> None:
        """Record the broker's receipt, and let the symbol's next order be written meanwhile when somebody waits for it.

        The journal is in order, and the receipt is handed to it before the other has its turn: once that one may leave,
        this one's receipt is durable. Where it could not be handed over at once, the next order waits for its commit.
        """
        is_let_go = self._is_next_awaited(turn.symbol) and self._is_plain(order, outcome)
        if is_let_go:
            asyncio.get_running_loop().call_soon(self._let_next, turn.symbol)
        await self.outcome(order, outcome)
        self._end_turn(turn, keeps_symbol=is_let_go)

    def _is_next_awaited(self, symbol: str) -> bool:
        following = self._turns.first(symbol)
        return following is not None and self._account.blotter.is_awaited(following)

    def _is_plain(self, order: Order, outcome: Acked) -> bool:
        """Whether the answer is about this order, and no other fact of it is being recorded just now."""
        return self._router.match(outcome.view) == order.order_id and not self._account.intake.is_busy(order.order_id)

    def _let_next(self, symbol: str) -> None:
        self._turns.free(symbol)
        self.pump()

    def _end_turn(self, turn: Turn, *, keeps_symbol: bool = False) -> None:
        self._turns.give_back(turn.symbol, keeps_symbol=keeps_symbol)
        self._tell_idle()
        self.pump()

    async def _go_on(self, symbol: str, pause_s: float) -> None:
        await self._account.pause(pause_s)
        self._turns.free(symbol)
        self.pump()

    def _tell_idle(self) -> None:
        if self._turns.sending == 0:
            self._idle.set()

    async def _stage(self, order_id: OrderId) -> Staged | None:
        """Record SUBMITTED; None when the order is not to be sent (any more), or not now."""
        account = self._account
        order = account.blotter.get(order_id)
        is_proven = order_id in self._proven_absent
        self._proven_absent.discard(order_id)
        if order is None or not order.is_open or order.links:
            return None
        if order.state is OrderState.UNKNOWN and not is_proven:
            return None
        if (no := self._unsendable(order)) is not None:
            await self._give_up(order, *no)
            return None
        fact = Sending(at=account.clock.now(), source=ENGINE)
        taken = await account.intake.take(order.order_id, fact)
        if taken.recorded is None or taken.order.state is not OrderState.SUBMITTED or taken.order.links:
            return None
        legs = await asyncio.gather(*(account.intake.take(leg.order_id, fact) for leg in account.legs(taken.order)))
        if account.halt_reason:
            # Halted while this was being written: it provably did not leave, and waits for the operator.
            await self._not_sent(taken.order, NotSent(code="HALTED", message=account.halt_reason))
            self._turns.join(turn_of(order), first=True)
            return None
        return account.journal.stage(taken.recorded, [leg.recorded for leg in legs if leg.recorded is not None])

    async def _give_up(self, order: Order, code: str, message: str) -> None:
        fact = GaveUp(at=self._account.clock.now(), source=ENGINE, code=code, message=message)
        await self._account.take(order, fact)

    async def _submit(self, staged: Staged) -> SubmitOutcome:
        timeout_s = self._account.policy.submit_timeout_s

        def may_leave() -> bool:
            """The adapter may have had to wait for its turn meanwhile."""
            return self._unsendable(staged.order) is None

        try:
            async with asyncio.timeout(timeout_s + CALL_MARGIN_S):
                return await self._account.broker.submit(staged, timeout_s=timeout_s, may_leave=may_leave)
        except TimeoutError:
            return Unknown(code="TIMEOUT", message=f"no answer within {timeout_s} s")

    # ------------------------------------------------------------------------------------------------------ outcomes

    async def outcome(self, order: Order, outcome: SubmitOutcome) -> float | None:
        """Record what the broker's answer, or its silence, means. Returns a pause when it is to be sent again."""
        match outcome:
            case Acked():
                raw = self._account.raw(outcome.view.broker_order_id, "submit_reply", outcome.raw)
                is_last = self._turns.first(order.intent.symbol) is None
                await self._router.view(outcome.view, REPLY, raw, can_wait=is_last)
                await self._check_adopted(order, outcome)
            case Refused():
                await self._refused(order, outcome)
            case NotSent():
                return await self._not_sent(order, outcome)
            case Unknown():
                await self._lost(order, outcome.code, outcome.message, outcome.raw)
        return None

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

    async def _refused(self, order: Order, outcome: Refused) -> None:
        """A no is final for a first send. A taken id, or a no to a resend, may be about an order that is there."""
        if not outcome.is_duplicate_id and order.attempts <= 1:
            await self._reject(order, outcome, outcome.code, outcome.message)
            return
        found = await look_up(
            self._account,
            order.intent.client_order_id,
            asset_class=order.asset_class,
            since=order.created_time,
            timeout_s=self._account.policy.submit_timeout_s,
        )
        if isinstance(found, CannotTell) or (not found and outcome.is_duplicate_id):
            await self._lost(order, outcome.code, outcome.message, outcome.raw)
        elif not found:
            await self._reject(order, outcome, outcome.code, outcome.message)
        elif ours := [each for each in found if self._may_be(order, each.view)]:
            for each in ours:
                raw = self._account.raw(each.view.broker_order_id, "lookup", each.raw)
                await self._router.view(each.view, REPLY, raw)
        else:
            message = f"{outcome.message}: another order at the broker has this client id"
            await self._reject(order, outcome, "DUPLICATE_CLIENT_ORDER_ID", message)

    def _may_be(self, order: Order, view: View) -> bool:
        """Whether a broker order with this order's client id is it: alike, and not another record's already."""
        account = self._account
        owner = account.blotter.by_broker_id(account.account_id, view.broker_order_id)
        return owner in {None, order.order_id} and mismatch(order, view) is None

    async def _reject(self, order: Order, outcome: Refused, code: str, message: str) -> None:
        raw = self._account.raw("", f"submit_refusal:{order.order_id}", outcome.raw)
        fact = RefusedFact(at=self._account.clock.now(), source=REPLY, code=code, message=message)
        await self._account.take(order, fact, raw)

    async def _not_sent(self, order: Order, outcome: NotSent) -> float | None:
        """Provably not at the broker: the same id again after a pause, while it is young enough."""
        account = self._account
        fact = NotSentFact(at=account.clock.now(), source=ENGINE, code=outcome.code, message=outcome.message)
        after = await account.take_with_legs(order, fact)
        if not after.is_open or after.links:
            return None
        pause_s = NOT_SENT_PAUSES_S[min(after.attempts, len(NOT_SENT_PAUSES_S)) - 1]
        if account.is_too_old(after, ahead_s=pause_s):
            await self._give_up(after, "NOT_SENT", outcome.message)
            return None
        return pause_s
