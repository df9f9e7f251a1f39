"""What is done about decisions: recorded, approved, rejected, sent once, linked to what came of them.

Rule 1: an approval is written down before anything is sent for it, and what is sent has a key derived from the
decision: after a crash the same question ("what is to be done now?") sends it, or finds that it was sent.
Rule 2: whoever acts on a decision holds it. Submits and trades that name it hold it, too, until they are durable.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import structlog

from orderd.core import decision_story
from orderd.core.decisions import (
    Decided,
    Decision,
    DecisionEvent,
    DecisionStatus,
    DecisionStep,
    SendClose,
    SendOpen,
    SendOrder,
    Todo,
    approved,
    first,
    linked,
    move,
    to_be_approved,
    todo,
)
from orderd.core.order import EventSource, Order, OrderIntent
from orderd.core.trade import Trade
from orderd.core.values import OrderId, Reason, Value
from orderd.desk.decisionbook import DecisionBook
from orderd.desk.refusals import check_takes, check_waits, refused_as, same_content
from orderd.desk.sizes import Sizes
from orderd.desk.trade_asks import OpenTrade
from orderd.desk.trades import TradeDesk
from orderd.desk.unhurried import whole
from orderd.engine import api
from orderd.engine.account import Account
from orderd.engine.engine import is_answered
from orderd.engine.errors import EngineError, Kind

log = structlog.get_logger("orderd.desk")

MOST_STEPS = 10
"""Of one look at a decision."""
AGAIN_S = 1.0
PASSING = frozenset({Kind.UNAVAILABLE, Kind.EXHAUSTED})
"""Refusals that a later attempt may not meet."""


class Told(Value, frozen=True, kw_only=True):
    """A decision, and what has come of it so far."""

    decision: Decision
    replayed: bool = False
    order: Order | None = None
    trade: Trade | None = None


class DecisionDesk:
    """The calls about decisions, and the permits of whoever names one."""

    def __init__(
        self,
        book: DecisionBook,
        engine: api.Engine,
        trades: TradeDesk,
        accounts: Mapping[str, Account],
        sizes: Sizes,
    ) -> None:
        """Nothing is kept here but which approvals this process has seen, and what it is sending right now."""
        self.book = book
        self._engine = engine
        self._trades = trades
        self._accounts = accounts
        self._sizes = sizes
        self._approved_ns: dict[str, int] = {}
        self._sending: set[tuple[str, str]] = set()
        """Keys (account, client id) of what is being sent for a decision that is held."""

    # ---------------------------------------------------------------------------------------------------------- record

    async def record(self, said: Decided) -> Told:
        """Write a decision down; send its intent at once when that was asked for and needs nobody's word."""
        account = self._account(said.account_id)
        return await whole(account.tasks, self._record(account, said), f"decision:{said.decision_id}")

    async def _record(self, account: Account, said: Decided) -> Told:
        async with self.book.hold(said.account_id, said.decision_id):
            known = self.book.find(said.account_id, said.decision_id)
            if known is not None:
                said = self._with_its_trade(said)
                same_content(known, said)
                return self.told(known, replayed=True)
            said = self._with_its_trade(said)
            self._check(said)
            why = await self._sizes.why_approval(said)
            decision = await self.book.record(self._begun(account, said, why))
            return self.told(await self._attend(account, decision))

    def _begun(self, account: Account, said: Decided, why: Reason | None) -> list[DecisionStep]:
        """The first versions of a decision, all in one commit. `why`: it has to wait for a person."""
        now = account.clock.now()
        steps = [first(account.ids.new(), said, now)]
        decision = steps[-1].after
        if decision.is_past(now):
            return steps  # what expires is told by the same look as any other
        if said.intent is not None and why is not None:
            steps.append(to_be_approved(decision, now, why))
        elif said.intent is not None and said.execute:
            reason = Reason(code="NO_APPROVAL_NEEDED", origin=EventSource.RISK)
            steps.append(approved(decision, EventSource.RISK, now, reason, by_person=False))
            self._approved_ns[decision.record_id] = account.clock.monotonic_ns()
        return steps

    def _with_its_trade(self, said: Decided) -> Decided:
        """An exit has the symbol and side of the trade that it closes; where the caller says them, too, they agree."""
        if not said.linked_trade_id or isinstance(said.intent, SendOrder):
            return said
        trade = self._trade_of(said, said.linked_trade_id)
        for field, given, its_own in (
            ("symbol", said.symbol, trade.signal.symbol),
            ("side", said.side or "", trade.exit_side),
        ):
            if given not in {"", its_own}:
                rule = f"must be empty or that of the trade's exit, {its_own}"
                raise EngineError(Kind.INVALID, "INVALID_FIELDS", f"{field} {rule}", fields=((field, rule),))
        return msgspec.structs.replace(said, symbol=trade.signal.symbol, side=trade.exit_side)

    def _check(self, said: Decided) -> None:
        """Refuse what could never be carried out. Nothing is recorded then."""
        if said.linked_trade_id:
            self._trade_of(said, said.linked_trade_id)
        match said.intent:
            case SendClose(trade_id=trade_id):
                trade = self._trade_of(said, trade_id)
                if trade.is_over:
                    raise EngineError(
                        Kind.FAILED_PRECONDITION,
                        "TRADE_ENDED",
                        f"the trade is {trade.state}",
                        metadata={"trade_id": trade_id, "state": trade.state},
                        subject=("orderd.Trade", trade_id),
                    )
            case SendOpen() as intent:
                self._trades.check(open_trade(said, intent))
            case _:
                return

    def _trade_of(self, said: Decided, trade_id: str) -> Trade:
        trade = self._trades.get(trade_id)
        if trade.account_id != said.account_id:
            raise EngineError(
                Kind.NOT_FOUND, "TRADE_NOT_FOUND", "there is no such trade", subject=("orderd.Trade", trade_id)
            )
        return trade

    # ------------------------------------------------------------------------------------------------- approve, reject

    async def approve(
        self, account_id: str, decision_id: str, word: Reason, *, reference_price: Decimal | None = None
    ) -> Told:
        """A person's yes: check everything again and send the intent, once however often this is called."""
        account = self._account(account_id)
        work = self._approve(account, decision_id, word, reference_price)
        return await whole(account.tasks, work, f"approve:{decision_id}")

    async def _approve(self, account: Account, decision_id: str, word: Reason, reference_price: Decimal | None) -> Told:
        async with self.book.hold(account.account_id, decision_id):
            decision = await self._attend(account, self.known(account.account_id, decision_id))
            is_done = decision.status is DecisionStatus.EXECUTED and decision.is_approved_by_person
            if is_done or decision.status is DecisionStatus.APPROVED:
                return self.told(decision, replayed=True)
            check_waits(decision, account.clock.now())
            check_takes(account)
            if decision.said.intent is None:
                raise refused_as("DECISION_WITHOUT_INTENT", "the decision has no intent that could be sent", decision)
            self._check(decision.said)
            self._sizes.check_price(decision, reference_price)
            await self._check_risk(account, decision)
            now = account.clock.now()
            if not decision.is_past(now):  # the checks may have taken a while
                yes = approved(decision, EventSource.OPERATOR, now, word, by_person=True)
                self._approved_ns[decision.record_id] = account.clock.monotonic_ns()
                decision = await self.book.record([yes])
                log.info("decision_approved", decision_id=decision_id, trace_id=decision.said.trace_id)
            return self.told(await self._attend(account, decision))

    async def _check_risk(self, account: Account, decision: Decision) -> None:
        """Ask the gate as if it were sent now; what it would deny is not approved. An exit of a trade has no limits."""
        intent = await self._sizes.entry_of(decision.said)
        if intent is None:
            return
        verdict = await self._engine.preview(intent)
        if verdict.denial is not None:
            raise EngineError(
                Kind.FAILED_PRECONDITION,
                "RISK_DENIED",
                verdict.denial.message,
                metadata={"limit": verdict.denial.code, "decision_id": decision.said.decision_id},
                subject=("orderd.Decision", decision.said.decision_id),
            )

    async def reject(self, account_id: str, decision_id: str, word: Reason) -> Decision:
        """A person's no: nothing is sent because of it any more."""
        account = self._account(account_id)
        return await whole(account.tasks, self._reject(account, decision_id, word), f"reject:{decision_id}")

    async def _reject(self, account: Account, decision_id: str, word: Reason) -> Decision:
        async with self.book.hold(account.account_id, decision_id):
            decision = await self._found(account, self.known(account.account_id, decision_id))
            now = account.clock.now()
            if decision.status is DecisionStatus.REJECTED:
                return decision
            if decision.is_past(now) and not decision.is_over:
                decision = await self._expire(account, decision)
            check_waits(decision, now)
            no = move(decision, DecisionEvent.DECISION_REJECTED, EventSource.OPERATOR, now, word)
            log.info("decision_rejected", decision_id=decision_id, trace_id=decision.said.trace_id)
            return await self.book.record([no])

    # -------------------------------------------------------------------------------------------------- looking after

    def wake(self, decision: Decision) -> None:
        """Look after a decision now."""
        account = self._accounts.get(decision.said.account_id)
        if account is not None:
            account.tasks.start_once(lambda: self._work(account, decision), "decision", decision.record_id)

    async def _work(self, account: Account, decision: Decision) -> None:
        await account.recovered.wait()
        if account.is_stopping:
            return
        async with self.book.hold(*decision.name):
            await self._attend(account, self.known(*decision.name))

    async def _later(self, account: Account, decision: Decision, seconds: float) -> None:
        await account.pause(seconds)
        if not account.is_stopping:
            self.wake(decision)

    async def _attend(self, account: Account, decision: Decision) -> Decision:
        """Do what is to be done for a decision now. The caller holds it."""
        decision = await self._found(account, decision)
        for _ in range(MOST_STEPS):
            send_within_s = account.policy.send_within_s
            age_s = self._age_s(account, decision)
            match todo(decision, account.clock.now(), age_s=age_s, send_within_s=send_within_s):
                case Todo.NOTHING:
                    self._approved_ns.pop(decision.record_id, None)
                    return decision
                case Todo.EXPIRE:
                    decision = await self._expire(account, decision)
                case Todo.LAPSE:
                    text = f"it could not be sent within {send_within_s:g} s of its approval"
                    decision = await self._lapse(account, decision, Reason(code="APPROVAL_LAPSED", message=text))
                case Todo.SEND:
                    after = await self._sent(account, decision)
                    if after is decision:
                        return decision
                    decision = after
        return decision

    def _age_s(self, account: Account, decision: Decision) -> float:
        """Seconds since the approval: by the monotonic clock where this process has seen it."""
        since_ns = self._approved_ns.get(decision.record_id)
        if since_ns is not None:
            return (account.clock.monotonic_ns() - since_ns) / 1e9
        if decision.approved_time is None:
            return 0
        return max((account.clock.now() - decision.approved_time).total_seconds(), 0)

    async def _expire(self, account: Account, decision: Decision) -> Decision:
        now = account.clock.now()
        return await self.book.record([move(decision, DecisionEvent.DECISION_EXPIRED, EventSource.ENGINE, now)])

    async def _lapse(self, account: Account, decision: Decision, reason: Reason) -> Decision:
        log.warning("decision_not_sent", decision_id=decision.said.decision_id, reason=reason.message)
        return await self.book.record([to_be_approved(decision, account.clock.now(), reason)])

    async def _found(self, account: Account, decision: Decision) -> Decision:
        """The decision with what carries it in the journal, in case nobody has told it yet."""
        if decision.is_over:
            return decision
        orders, trades = await self.book.links(decision)
        steps: list[DecisionStep] = []
        now = account.clock.now()
        for trade_id in trades:
            steps += _step(linked(decision, now, trade_id=trade_id))
            decision = steps[-1].after if steps else decision
        for order_id in orders:
            steps += _step(linked(decision, now, order_id=order_id))
            decision = steps[-1].after if steps else decision
        return await self.book.record(steps) if steps else decision

    async def link(
        self, account_id: str, decision_id: str, *, order_id: str = "", trade_id: str = "", mark: tuple[str, str]
    ) -> None:
        """Note that an order or a trade stands because of a decision; `mark` is set with it."""
        if self.book.find(account_id, decision_id) is None:
            return
        async with self.book.hold(account_id, decision_id):
            decision = self.known(account_id, decision_id)
            now = self._account(account_id).clock.now()
            step = linked(decision, now, order_id=OrderId(order_id) if order_id else None, trade_id=trade_id)
            if step is not None:
                await self.book.record([step], [mark])

    # --------------------------------------------------------------------------------------------------------- sending

    async def _sent(self, account: Account, decision: Decision) -> Decision:
        """Send the intent of an approved decision. The same decision when that has to be tried again later."""
        try:
            step = await self._send(account, decision)
        except EngineError as error:
            if error.kind in PASSING:
                wait_s = error.retry_after_s or AGAIN_S
                account.tasks.start(self._later(account, decision, wait_s), f"decision later:{decision.record_id}")
                return decision
            return await self._lapse(account, decision, Reason(code=error.reason, message=error.message))
        return decision if step is None else await self.book.record([step])

    async def _send(self, account: Account, decision: Decision) -> DecisionStep | None:
        said, clock = decision.said, account.clock
        match said.intent:
            case SendOrder(order=intent):
                intent = _in_time(intent, said.expires_time, clock.now(), account.policy.send_within_s)
                with self._sends(said, intent.client_order_id):
                    result = await self._engine.submit(intent, wait=api.Wait.JOURNAL, timeout_s=0)
                return linked(decision, clock.now(), order_id=result.order.order_id)
            case SendOpen() as intent:
                with self._sends(said, intent.client_trade_id):
                    opened = await self._trades.open(open_trade(said, intent), wait=api.Wait.JOURNAL, timeout_s=0)
                entry = None if opened.entry is None else opened.entry.order_id
                return linked(decision, clock.now(), order_id=entry, trade_id=opened.trade.trade_id)
            case SendClose() as intent:
                trade = await self._trades.close(
                    intent.trade_id,
                    quantity=intent.quantity,
                    text=intent.text,
                    request_id=intent.request_id,
                    decision_id=said.decision_id,
                )
                return linked(decision, clock.now(), trade_id=trade.trade_id)
            case None:
                return None

    @contextmanager
    def _sends(self, said: Decided, key: str) -> Generator[None]:
        """While a decision's own intent is on its way: its permit is the approval."""
        name = (said.account_id, key)
        self._sending.add(name)
        try:
            yield
        finally:
            self._sending.discard(name)

    def is_sending(self, account_id: str, key: str) -> bool:
        """Whether this key is a decision's own intent, on its way while the decision is held."""
        return (account_id, key) in self._sending

    # -------------------------------------------------------------------------------------------------------- as it is

    async def answered(self, told: Told, timeout_s: float) -> Told:
        """The same once the broker has answered for its order, or the time is up."""
        if told.order is None:
            return told
        account = self._account(told.decision.said.account_id)
        await account.blotter.wait(told.order, is_answered, timeout_s)
        now = self.known(*told.decision.name)
        return self.told(now, replayed=told.replayed)

    def known(self, account_id: str, decision_id: str) -> Decision:
        """The decision. Raises NOT_FOUND."""
        decision = self.book.find(account_id, decision_id)
        if decision is None:
            text = "there is no such decision"
            raise EngineError(
                Kind.NOT_FOUND, "DECISION_NOT_FOUND", text, subject=("orderd.Decision", decision_id[:128])
            )
        return decision

    def told(self, decision: Decision, *, replayed: bool = False) -> Told:
        """The decision with its order and its trade as they stand now."""
        orders = [order for order in map(self._order, decision.order_ids) if order is not None]
        trade_id = decision.trade_id or decision.said.linked_trade_id
        trade = self._trades.get(trade_id) if trade_id else None
        order = decision_story.order_of(decision, orders)
        return Told(decision=decision, replayed=replayed, order=order, trade=trade)

    def _order(self, order_id: OrderId) -> Order | None:
        first_account = next(iter(self._accounts.values()))
        return first_account.blotter.get(order_id)

    def _account(self, account_id: str) -> Account:
        account = self._accounts.get(account_id)
        if account is None:
            text = "there is no such account"
            raise EngineError(Kind.NOT_FOUND, "ACCOUNT_NOT_FOUND", text, subject=("orderd.Account", account_id[:128]))
        return account


def open_trade(said: Decided, intent: SendOpen) -> OpenTrade:
    """The request that a decision to open a trade stands for."""
    return OpenTrade(
        account_id=said.account_id,
        client_trade_id=intent.client_trade_id,
        signal=intent.signal,
        quantity=intent.quantity,
        decision_id=said.decision_id,
        trace_id=said.trace_id,
        on_partial=intent.on_partial,
        on_entry_end=intent.on_entry_end,
        accept_unprotected=intent.accept_unprotected,
        tags=intent.tags,
    )


def _in_time(intent: OrderIntent, expires: datetime | None, now: datetime, send_within_s: float) -> OrderIntent:
    """An order is not sent once its decision has expired: also not from the queue it may have to wait in."""
    if expires is None or expires > now + timedelta(seconds=send_within_s):
        return intent
    until = expires if intent.valid_until_time is None else min(expires, intent.valid_until_time)
    return msgspec.structs.replace(intent, valid_until_time=until)


def _step(step: DecisionStep | None) -> list[DecisionStep]:
    return [] if step is None else [step]
