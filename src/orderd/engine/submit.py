"""From an intent to a durable order: key, gate, append. Sending is the sender's, waiting is the caller's.

One intent is one order, however often and however concurrently it is sent: the key joins calls in flight, then one
point read, then the unique index as the net.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from orderd.core import keys
from orderd.core.facts import DeniedByRisk, Sending
from orderd.core.instruments import asset_class_of, multiplier_of, underlying_of
from orderd.core.lifecycle import create, decide
from orderd.core.order import (
    EventSource,
    LegIntent,
    Order,
    OrderClass,
    OrderIntent,
    OrderRole,
    OrderState,
    OrderType,
    PositionIntent,
    Side,
    Terms,
)
from orderd.core.turnstiles import Approved, Denied, Later, Recorded
from orderd.core.values import AccountId, ClientOrderId, OrderId, Reason
from orderd.core.verdicts import Apply
from orderd.engine.account import ENGINE, Account
from orderd.engine.errors import EngineError, Kind
from orderd.engine.exposure import Exposures
from orderd.engine.holdings import Holding
from orderd.engine.sender import Sender
from orderd.engine.turns import Turn, turn_of
from orderd.ports import Append, KeyTakenError
from orderd.risk.gate import review

log = structlog.get_logger("orderd.risk")

DISK_LOOK_NS = 1_000_000_000


class _Flight:
    """An intent between its append and its commit. Each caller has a future of its own: one that is cancelled cancels
    nothing that others wait for.
    """

    __slots__ = ("_callers", "claimed", "intent")

    def __init__(self, intent: OrderIntent, claimed: Turn | None) -> None:
        self.intent = intent
        self.claimed = claimed
        self._callers: list[asyncio.Future[Order]] = []

    def join(self) -> "asyncio.Future[Order]":
        """Wait for the durable order."""
        caller: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        self._callers.append(caller)
        return caller

    def land(self, outcome: Order | BaseException) -> None:
        """Answer whoever still waits."""
        for caller in self._callers:
            if caller.done():
                continue
            if isinstance(outcome, BaseException):
                caller.set_exception(outcome)
            else:
                caller.set_result(outcome)


class Submitter:
    """Writes one account's orders down, once each."""

    def __init__(self, account: Account, sender: Sender, exposures: Exposures, *, min_free_bytes: int) -> None:
        """`min_free_bytes`: below this much free space submits are refused, everything else goes on."""
        self._account = account
        self._sender = sender
        self._min_free_bytes = min_free_bytes
        self.exposures = exposures
        self._in_flight: dict[ClientOrderId, _Flight] = {}
        self._free_bytes = 0
        self._free_bytes_ns = -DISK_LOOK_NS

    async def submit(self, intent: OrderIntent) -> tuple[Order, bool]:
        """The durable order of this intent, and whether its key had been used before.

        What the limits need is read first. An order that would be denied and may be an exit is judged once more, when
        the broker was asked what is held; nothing is waited for between a judging and the handing over to the journal.
        """
        unread = await self.exposures.look(intent) if self.exposures.needs_look(intent) else None
        held: Holding | EngineError | None = None
        while True:
            flight = self._in_flight.get(intent.client_order_id)
            if flight is not None:
                self._same_content(flight.intent, intent, "")
                return (await self._landed(flight))[0], True
            existing = self._account.journal.find_key(intent.account_id, intent.client_order_id)
            if existing is not None:
                return self._replay(existing, intent), True
            self._admit()
            if unread is not None:
                raise unread
            if isinstance(held, EngineError):
                raise held
            orders = self._with_legs(intent)
            verdict = self.judge(intent, sketch=orders[0], held=held)
            if held is None and isinstance(verdict, Denied) and self.exposures.may_close(intent, verdict):
                held = await self.exposures.prove(intent)
                continue
            return await self._landed(self._write(intent, orders, verdict))

    async def _landed(self, flight: "_Flight") -> tuple[Order, bool]:
        """The order once it is durable, and whether the unique index knew the key although the read before did not."""
        try:
            return await flight.join(), False
        except KeyTakenError:
            existing = self._account.journal.find_key(flight.intent.account_id, flight.intent.client_order_id)
            if existing is None:
                raise
            return self._replay(existing, flight.intent), True

    # ------------------------------------------------------------------------------------------------------ the key

    def _replay(self, order_id: OrderId, intent: OrderIntent) -> Order:
        order = self._account.blotter.get(order_id)
        if order is None:
            raise LookupError(f"order {order_id} has a key and no row")
        self._same_content(order.intent, intent, order_id, is_taken_up=order.is_taken_up)
        return order

    def _same_content(
        self, ours: OrderIntent, theirs: OrderIntent, order_id: str, *, is_taken_up: bool = False
    ) -> None:
        differing = keys.differences(ours, theirs, is_taken_up=is_taken_up)
        if not differing:
            return
        raise EngineError(
            Kind.ALREADY_EXISTS,
            "CLIENT_ORDER_ID_REUSED",
            f"client_order_id {ours.client_order_id} was used for an order that differs in {', '.join(differing)}",
            metadata={
                "client_order_id": ours.client_order_id,
                "differing_fields": ",".join(differing),
                "order_id": order_id,
            },
            subject=("orderd.Order", order_id or ours.client_order_id),
        )

    # ---------------------------------------------------------------------------------------------------- admission

    def _admit(self) -> None:
        """Refuse, recording nothing, for when the order came (never for what it is)."""
        account = self._account
        if account.is_stopping:
            raise EngineError(Kind.UNAVAILABLE, "DRAINING", "the server is shutting down", retry_after_s=5)
        if not account.is_recovered and not account.halt_reason:
            text = f"account {account.account_id} has not been reconciled with its broker yet"
            meta = {"account_id": account.account_id}
            raise EngineError(Kind.UNAVAILABLE, "ACCOUNT_RECOVERING", text, metadata=meta, retry_after_s=1)
        if self._sender.queued >= account.policy.queue_limit:
            text = f"{self._sender.queued} orders are waiting to be sent"
            raise EngineError(Kind.EXHAUSTED, "QUEUE_FULL", text, retry_after_s=1)
        if self._free() < self._min_free_bytes:
            text = f"less than {self._min_free_bytes} bytes are free where the journal grows"
            raise EngineError(Kind.UNAVAILABLE, "DISK_LOW", text, retry_after_s=30)

    def _free(self) -> int:
        """Free bytes beside the journal, looked at once a second."""
        now_ns = self._account.clock.monotonic_ns()
        if now_ns - self._free_bytes_ns >= DISK_LOOK_NS:
            self._free_bytes, self._free_bytes_ns = self._account.journal.free_bytes(), now_ns
        return self._free_bytes

    def judge(
        self,
        intent: OrderIntent,
        *,
        sketch: Order | None = None,
        held: Holding | None = None,
        leaving_out: OrderId | None = None,
    ) -> Approved | Denied:
        """Risk first, then the broker's own rules: what it cannot take is refused here, naming the rule.

        Raises EngineError for what only came too soon.
        """
        at_stake = self.exposures.of(intent, held=held, leaving_out=leaving_out)
        verdict = review(intent, at_stake, self._account.policy.limits)
        if isinstance(verdict, Later):
            reason = verdict.reason
            raise EngineError(Kind.EXHAUSTED, reason.code, reason.message, retry_after_s=verdict.retry_after_s)
        if isinstance(verdict, Denied):
            return verdict
        complaint = self._account.broker.complaint(sketch or self.sketch(intent))
        if complaint:
            reason = Reason(code="BROKER_CANNOT_TAKE", message=complaint, origin=EventSource.RISK)
            return Denied(intent=intent, reason=reason)
        return verdict

    async def verdict(self, intent: OrderIntent, *, leaving_out: OrderId | None = None) -> Approved | Denied:
        """Judge an intent that is not written here. Nothing is waited for after the judging."""
        unread = await self.exposures.look(intent) if self.exposures.needs_look(intent) else None
        if unread is not None:
            raise unread
        verdict = self.judge(intent, leaving_out=leaving_out)
        if isinstance(verdict, Approved) or not self.exposures.may_close(intent, verdict):
            return verdict
        held = await self.exposures.prove(intent, leaving_out=leaving_out)
        if isinstance(held, EngineError):
            raise held
        return self.judge(intent, held=held, leaving_out=leaving_out)

    # ------------------------------------------------------------------------------------------------------ writing

    def _write(self, intent: OrderIntent, orders: Sequence[Order], verdict: Approved | Denied) -> "_Flight":
        """Reserve and hand to the writer, without an await since the judging."""
        turn = turn_of(orders[0])
        claimed = turn if isinstance(verdict, Approved) and self._sender.claim(turn) else None
        commit = self._hand_over(orders, verdict, claimed)
        flight = self._in_flight[intent.client_order_id] = _Flight(intent, claimed)
        if isinstance(verdict, Approved):
            self.exposures.begin(orders, verdict)
            if verdict.is_closing:
                self._account.proven_exits.add(orders[0].order_id)
        commit.add_done_callback(lambda done: self._written(flight, done))
        return flight

    def _hand_over(
        self, orders: Sequence[Order], verdict: Approved | Denied, claimed: Turn | None
    ) -> "asyncio.Future[tuple[Recorded, ...]]":
        """Hand the orders to the writer; a claimed turn is given back when even that fails."""
        is_handed_over = False
        try:
            appends = [self._append(order, verdict, goes_out_now=claimed is not None) for order in orders]
            commit = asyncio.ensure_future(self._account.journal.append(appends))
            is_handed_over = True
        finally:
            if claimed is not None and not is_handed_over:
                self._sender.give_back(claimed)
        return commit

    def _written(self, flight: "_Flight", commit: "asyncio.Future[tuple[Recorded, ...]]") -> None:
        """After the commit, whoever is still waiting: tell the blotter, then the callers, then the worker."""
        del self._in_flight[flight.intent.client_order_id]
        failure = asyncio.CancelledError() if commit.cancelled() else commit.exception()
        self.exposures.end(flight.intent.client_order_id, is_recorded=failure is None)
        if failure is not None:
            if flight.claimed is not None:
                self._sender.give_back(flight.claimed)
            flight.land(failure)
            return
        parent, *legs = commit.result()
        account = self._account
        account.born_ns[parent.order.order_id] = account.clock.monotonic_ns()
        for recorded in (*legs, parent):
            account.blotter.apply(recorded.order)
        flight.land(parent.order)
        if parent.order.state is OrderState.DENIED:
            _tell_denied(parent.order)
        if flight.claimed is not None:
            self._sender.send_claimed(parent, tuple(legs))
        elif parent.order.state is OrderState.CREATED:
            self._sender.enqueue(parent.order)

    def _append(self, order: Order, verdict: Approved | Denied, *, goes_out_now: bool) -> Append:
        first = create(order, source=EventSource.CLIENT)
        at = order.created_time
        fact: DeniedByRisk | Sending
        if isinstance(verdict, Denied):
            reason = verdict.reason
            fact = DeniedByRisk(at=at, source=EventSource.RISK, code=reason.code, message=reason.message)
        elif goes_out_now:
            fact = Sending(at=at, source=ENGINE)
        else:
            return Append(steps=(first,))
        judged = decide(first.after, fact)
        if not isinstance(judged, Apply):
            raise TypeError(f"a new order answered {judged}")
        return Append(steps=(first, *judged.steps))

    # ----------------------------------------------------------------------------------------------- building orders

    def sketch(self, intent: OrderIntent) -> Order:
        """The order as it would be written, with an id of its own: for judging, previews and writing alike."""
        account = self._account
        now = account.clock.now()
        return Order(
            order_id=OrderId(account.ids.new()),
            intent=intent,
            terms=intent.terms,
            state=OrderState.CREATED,
            broker=account.broker.name,
            mode=account.policy.mode,
            asset_class=asset_class_of(intent),
            created_time=now,
            updated_time=now,
            underlying=underlying_of(intent.symbol),
            multiplier=multiplier_of(intent),
        )

    def _with_legs(self, intent: OrderIntent) -> list[Order]:
        """The parent and its legs, which have order ids from submission on."""
        parent = self.sketch(intent)
        if intent.order_class is OrderClass.SIMPLE:
            return [parent]
        legs = [self.sketch(leg) for leg in leg_intents(intent)]
        if not legs:
            return [parent]
        numbered = [
            msgspec.structs.replace(leg, parent_order_id=parent.order_id, leg_number=number)
            for number, leg in enumerate(legs, start=1)
        ]
        return [msgspec.structs.replace(parent, leg_order_ids=tuple(leg.order_id for leg in numbered)), *numbered]


def _tell_denied(order: Order) -> None:
    intent, reason = order.intent, order.reason
    log.info(
        "risk_denied",
        order_id=order.order_id,
        account_id=intent.account_id,
        symbol=intent.symbol,
        strategy=intent.strategy,
        trace_id=intent.trace_id,
        decision_id=intent.decision_id,
        trade_id=intent.trade_id,
        code="" if reason is None else reason.code,
    )


def leg_intents(intent: OrderIntent) -> list[OrderIntent]:
    """What each leg of a complex order asks for: option legs, or the protective orders of a bracket, OCO or OTO.

    An OCO's take-profit is the parent itself (the broker's own shape), so only its stop is a leg.
    """
    if intent.order_class is OrderClass.MULTILEG:
        return [_option_leg(intent, leg, number) for number, leg in enumerate(intent.legs, start=1)]
    legs: list[tuple[OrderRole, Terms]] = []
    base = Terms(type=OrderType.LIMIT, time_in_force=intent.terms.time_in_force, quantity=intent.terms.quantity)
    if intent.take_profit is not None and intent.order_class is not OrderClass.OCO:
        legs.append((OrderRole.TAKE_PROFIT, msgspec.structs.replace(base, limit_price=intent.take_profit)))
    if intent.stop_loss is not None:
        stop = intent.stop_loss
        kind = OrderType.STOP if stop.limit_price is None else OrderType.STOP_LIMIT
        terms = msgspec.structs.replace(base, type=kind, stop_price=stop.stop_price, limit_price=stop.limit_price)
        legs.append((OrderRole.STOP_LOSS, terms))
    side = intent.side if intent.order_class is OrderClass.OCO else _opposite(intent.side)
    return [
        _leg(intent, number, symbol=intent.symbol, side=side, terms=terms, role=role, position_intent=None)
        for number, (role, terms) in enumerate(legs, start=1)
    ]


def _option_leg(intent: OrderIntent, leg: LegIntent, number: int) -> OrderIntent:
    quantity = None if intent.terms.quantity is None else intent.terms.quantity * leg.ratio
    terms = Terms(type=intent.terms.type, time_in_force=intent.terms.time_in_force, quantity=quantity)
    return _leg(
        intent,
        number,
        symbol=leg.symbol,
        side=leg.side,
        terms=terms,
        role=intent.role,
        position_intent=leg.position_intent,
    )


def _leg(
    intent: OrderIntent,
    number: int,
    *,
    symbol: str,
    side: Side | None,
    terms: Terms,
    role: OrderRole | None,
    position_intent: PositionIntent | None,
) -> OrderIntent:
    return msgspec.structs.replace(
        intent,
        client_order_id=keys.leg_key(intent.client_order_id, AccountId(intent.account_id), number),
        symbol=symbol,
        side=side,
        terms=terms,
        role=role,
        position_intent=position_intent,
        take_profit=None,
        stop_loss=None,
        legs=(),
        reference_price=None,
    )


def _opposite(side: Side | None) -> Side | None:
    if side is None:
        return None
    return Side.SELL if side is Side.BUY else Side.BUY
