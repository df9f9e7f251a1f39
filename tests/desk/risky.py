"""Days with an operator, limits and decisions: what they do beside the trades, and what must hold of it.

The steps of `TradeDay` (days.py) that are about risk, decisions and the exchange's hours. Its referee is `DeskReferee`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from oms.v1 import account_service_pb2 as apb
from oms.v1 import order_pb2 as opb
from orderd.core.decisions import Decided, DecisionKind, DecisionStatus, Intent, SendClose, SendOpen, SendOrder
from orderd.core.keys import close_key, open_trade_key
from orderd.core.order import OrderType, Side
from orderd.core.trade import Signal, TradeState
from orderd.core.values import AccountId, Reason
from orderd.desk.flatten import Proof
from orderd.desk.risk import RiskDesk
from orderd.engine.errors import EngineError
from orderd.ports import JournalError
from orderd.risk.limits import Limits, TradingState
from orderd.system import VirtualLoop
from orderd.venue.sessions import Sessions
from orderd.wire import enums
from tests.desk.judge_risk import DeskReferee
from tests.desk.trading import desk
from tests.engine.world import ACCOUNT, DeadError, intent
from tests.faults.chaos import Day

PRICES = {"KO": 86, "F": 11, "AMD": 160, "GOOG": 175, "NVDA": 125, "SPY": 550}
FLATTEN_S = 100.0
"""The longest that the kill switch is waited for."""
FALSE_FLAT = "the kill switch said flat"
ANN = {"reason": "a day of trades", "operator_name": "ann"}
YES = Reason(code="APPROVED", message="looks right", origin="OPERATOR", operator_name="ann")
NO = Reason(code="REJECTED", message="too large", origin="OPERATOR", operator_name="ann")
STRICTER = (
    (TradingState.HALTED, False),
    (TradingState.HALTED, False),
    (TradingState.REDUCING, False),
    (TradingState.REDUCING, False),
    (TradingState.HALTED, True),
)
STATES = {
    apb.TRADING_STATE_ACTIVE: "ACTIVE",
    apb.TRADING_STATE_REDUCING: "REDUCING",
    apb.TRADING_STATE_HALTED: "HALTED",
}
SITUATIONS = frozenset(
    {
        "halted",
        "reducing",
        "frozen",
        "entry refused while halted",
        "entry refused while reducing",
        "entry refused by the breaker",
        "kill switch: everything is closed",
        "kill switch: said what is left",
        "kill switch: died under it",
        "breaker tripped",
        "breaker reset",
        "breaker open over a restart",
        "stricter state over a restart",
        "a night",
        "a decision waited for a person",
        "decision executed",
        "decision approved by a person",
        "decision rejected",
        "decision expired",
        "an exit was decided",
        "approved twice",
        "candle counted",
        "several trades in one symbol",
        "several strategies in one symbol",
    }
)


def limits_of(seed: int) -> Limits:
    """What an account may do on the day of a seed."""
    approval = {"approval_above_notional": Decimal(600), "approval_price_percent": Decimal(5)} if seed % 2 else {}
    in_a_row = {"max_losses_in_a_row": 3} if seed % 4 in {1, 2} else {}
    of_a_day = {"max_daily_loss_percent": Decimal("0.05")} if seed % 4 in {2, 3} else {}
    return Limits(**{**approval, **in_a_row, **of_a_day})  # type: ignore[arg-type]


class RiskyDay(Day):
    """Somebody watches the account, and somebody decides."""

    referee: DeskReferee

    def __post_init__(self) -> None:
        """See `Day`."""
        super().__post_init__()
        self.decided: dict[str, Decided] = {}
        self.limits = limits_of(self.seed)
        self.is_flattening = False

    def of_risk(self) -> list[Callable[[], Awaitable[None]]]:
        """The steps of a day."""
        many = self.orders
        steps = [self._stricter] * max(many // 8, 1) + [self._lift] * max(many // 6, 1)
        steps += [self._flatten] * max(many // 40, 1) + [self._candle] * max(many // 10, 1)
        steps += [self._decide] * (many // 3) + [self._approve] * (many // 4) + [self._reject] * max(many // 15, 1)
        steps += [self._decide_again] * (many // 10)
        if self.limits.has_breaker:
            steps += [self._burst] * max(many // 15, 1) + [self._reset_breaker] * max(many // 6, 1)
        if self.seed % 3 == 0:
            steps += [self._night]
        return steps

    @property
    def long_steps(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Steps that are longer than any caller's patience."""
        return (self._flatten, self._night, self._stricter)

    @property
    def risk(self) -> RiskDesk:
        """The desk's."""
        return self.world.alive.desk.risk

    # -------------------------------------------------------------------------------------------------- trading states

    async def _stricter(self) -> None:
        """An operator stops something; often it is asked for all the same, and often the operator is content soon."""
        state, is_frozen = self.random.choice(STRICTER)
        await self.bear(lambda: self._set(state, is_frozen=is_frozen))
        for step in self.random.choices(self.while_stricter(), k=self.random.randint(0, 4)):
            if self.world.is_dead:
                return
            await self.bear(step)
            self.check()
        if self.random.random() < 0.6:
            await self.bear(self._lift)

    def while_stricter(self) -> list[Callable[[], Awaitable[None]]]:
        """What is tried while less is allowed."""
        return [self._decide, self._approve]

    async def _set(self, state: TradingState, *, is_frozen: bool = False) -> None:
        await self.risk.set_trading_state(ACCOUNT, state, freeze_protection=is_frozen, **ANN)

    async def _lift(self) -> None:
        if not self.is_flattening:
            await self._set(TradingState.ACTIVE)

    async def thaw(self) -> None:
        """At the end of the day what is held may be protected and closed again."""
        if self.referee.stands(ACCOUNT).freeze_protection:
            await self._set(TradingState.HALTED)

    # ------------------------------------------------------------------------------------------------- the kill switch

    async def _flatten(self) -> None:
        """The kill switch; whoever used it asks again until there is an answer."""
        closes = self.random.random() < 0.8
        self.is_flattening = True
        for _ in range(4):
            asked = asyncio.ensure_future(
                self.risk.flatten(ACCOUNT, close_positions=closes, timeout_s=FLATTEN_S, **ANN)
            )
            await asyncio.wait([asked, self.world.death], return_when=asyncio.FIRST_COMPLETED)
            if asked.done() and not asked.cancelled() and (proof := self._answer(asked)) is not None:
                self._proven(proof, closes=closes)
                break
            asked.cancel()
            self.situations["kill switch: died under it"] += self.world.is_dead
            await self._survive()
        self.is_flattening = False
        if self.random.random() < 0.7:
            await self.bear(self._lift)

    @staticmethod
    def _answer(asked: "asyncio.Future[Proof]") -> Proof | None:
        try:
            return asked.result()
        except (EngineError, JournalError, DeadError):
            return None

    def _proven(self, proof: Proof, *, closes: bool) -> None:
        """What the switch says is what the venue has, at this very moment."""
        account = next(iter(self.venue.state.accounts.values()))
        held = {symbol: p.quantity for symbol, p in account.positions.items() if p.quantity}
        rests = {order.symbol for order in self._open()}
        if proof.is_flat and closes and (held or rests):
            self.referee.breach(f"{FALSE_FLAT}, and {held} is held, orders rest in {sorted(rests)}")
        told = {each.symbol: each for each in proof.positions if each.after != 0}
        silent = [each.symbol for each in told.values() if each.after is not None and not each.message]
        if silent:
            self.referee.breach(f"the kill switch does not say why {silent} is held still")
        if not (proof.is_flat or proof.live or told or proof.unproven):
            self.referee.breach(f"the kill switch does not say why it is not flat; {held} is held")
        self.situations["kill switch: everything is closed"] += proof.is_flat and closes
        self.situations["kill switch: said what is left"] += not proof.is_flat

    # ------------------------------------------------------------------------------------------------------ the breaker

    async def _burst(self) -> None:
        """The market goes through every stop at once."""
        for trade in self.world.alive.desk.book.live(ACCOUNT):
            if trade.open_quantity:
                price = trade.stop_price - trade.sign * Decimal("0.05")
                self.venue.set_quote(trade.signal.symbol, price, price + Decimal("0.01"))
        self.world.pump()
        await asyncio.sleep(1)

    async def _reset_breaker(self) -> None:
        await self.risk.reset_breaker(ACCOUNT, **ANN)

    async def check_risk(self) -> None:
        """A process that has just begun stands where the last one left off, by the events that were committed.

        A trip holds before it is committed: then its event comes a moment later.
        """
        for _ in range(10):
            self.referee.committed()
            told, state = self.referee.stands(ACCOUNT), self.world.alive.workers.account.risk.state
            now = (state.trading_state.value, state.freeze_protection, state.breaker.trip is not None)
            then = (STATES[told.trading_state], told.freeze_protection, told.breaker.is_tripped)
            if now == then:
                break
            await asyncio.sleep(0.1)
            if self.world.is_dead:
                return
        else:
            self.referee.breach(f"after a restart the account's risk is {now}, it was {then}")
        self.situations["breaker open over a restart"] += then[2]
        self.situations["stricter state over a restart"] += then[0] != "ACTIVE"

    def miscounted(self) -> list[str]:
        """Where the breaker's day differs from what was realised by the events; the clock must not have jumped."""
        risk = self.world.alive.workers.account.risk
        if not self.limits.has_breaker or self.theme.jumps:
            return []
        day = risk.day()
        begin = day.day if day.day is not None else risk.today()
        realised = self.referee.realised(ACCOUNT, begin, risk.calendar.next_open(begin))
        return [] if day.realised == realised else [f"the breaker counts {day.realised}, realised were {realised}"]

    # -------------------------------------------------------------------------------------------------------- decisions

    async def _decide(self) -> None:
        """Somebody, or something, decides."""
        number = len(self.decided) + 1
        said = self._made(f"d-{number}", random.Random(f"decision {self.seed} {number}"))
        if said is not None:
            self.decided[said.decision_id] = said
            await self._say_decided(said)

    async def _decide_again(self) -> None:
        if self.decided:
            await self._say_decided(self.decided[self.random.choice(sorted(self.decided))])

    async def _say_decided(self, said: Decided) -> None:
        await self.world.alive.desk.decisions.record(said)
        self.situations["an exit was decided"] += said.kind is DecisionKind.EXIT

    def _made(self, key: str, chance: random.Random) -> Decided | None:
        """A decision with an intent of each kind; None when there is nothing to close."""
        symbol = chance.choice(sorted(PRICES))
        price, side = Decimal(PRICES[symbol]), chance.choice((Side.BUY, Side.BUY, Side.SELL))
        away = (price * Decimal("0.04")).quantize(Decimal("0.01")) * (1 if side is Side.BUY else -1)
        asked: Intent
        fields: dict[str, Any] = {"kind": DecisionKind.ENTRY, "symbol": symbol, "side": side, "price": price}
        match chance.choice(("open", "open", "order", "close")):
            case "open":
                signal = Signal(
                    symbol=symbol,
                    side=side,
                    entry_price=price,
                    stop_loss_price=price - away,
                    type=chance.choice((OrderType.MARKET, OrderType.LIMIT)),
                    strategy="decided",
                )
                name = open_trade_key(ACCOUNT, key, signal)
                asked = SendOpen(client_trade_id=name, signal=signal, quantity=Decimal(chance.randint(1, 9)))
            case "order":
                order = intent(
                    client_order_id="",
                    symbol=symbol,
                    side=enums.SIDE.number[side],
                    quantity=str(chance.randint(1, 3)),
                    limit_price=str(price),
                    decision_id=key,
                    trace_id=f"t-{key}",
                    strategy="decided",
                )
                asked = SendOrder(order=order)
            case _:
                live = [t for t in self.world.alive.desk.book.live(ACCOUNT) if t.state is not TradeState.PENDING]
                if not live:
                    return None
                trade = chance.choice(live)
                asked = SendClose(trade_id=trade.trade_id, request_id=close_key(ACCOUNT, key))
                fields = {
                    "kind": DecisionKind.EXIT,
                    "symbol": trade.signal.symbol,
                    "side": trade.exit_side,
                    "linked_trade_id": trade.trade_id,
                }
        soon = self.world.clock.now() + timedelta(seconds=chance.choice((1, 5, 30)))
        return Decided(
            decision_id=key,
            account_id=AccountId(ACCOUNT),
            trace_id=f"t-{key}",
            strategy="decided",
            intent=asked,
            execute=chance.random() < 0.8,
            expires_time=chance.choice((None, soon)),
            **fields,
        )

    def _waiting(self) -> list[str]:
        """Decisions that wait for a person, and now and then one that does not."""
        decisions = self.world.alive.desk.decisions
        known = {key: decisions.book.find(ACCOUNT, key) for key in sorted(self.decided)}
        waits = [key for key, d in known.items() if d is not None and d.status is DecisionStatus.PENDING_APPROVAL]
        is_any = not waits or self.random.random() < 0.2
        return sorted(self.decided) if is_any else waits

    async def _approve(self) -> None:
        if keys := self._waiting():
            key = self.random.choice(keys)
            said = self.decided[key]
            price = None if said.price is None else said.price * Decimal(self.random.choice(("1", "1", "1", "1.2")))
            for _ in range(self.random.choice((1, 2))):
                told = await self.world.alive.desk.decisions.approve(ACCOUNT, key, YES, reference_price=price)
                self.situations["approved twice"] += told.replayed

    async def _reject(self) -> None:
        if keys := self._waiting():
            await self.world.alive.desk.decisions.reject(ACCOUNT, self.random.choice(keys), NO)

    def undone(self) -> list[str]:
        """Decisions that are approved and whose intent never left."""
        approved = opb.DECISION_STATUS_APPROVED
        return [f"{key} is APPROVED still" for (_, key), d in self.referee.decisions.items() if d.status == approved]

    # ---------------------------------------------------------------------------------------------- candles, and nights

    async def _candle(self) -> None:
        """The minute is over."""
        self._count_company()
        await desk(self.world).advance_candle(ACCOUNT, self.world.clock.now())

    def _count_company(self) -> None:
        held: dict[str, list[str]] = {}
        for trade in self.world.alive.desk.book.live(ACCOUNT):
            if trade.open_quantity:
                held.setdefault(trade.signal.symbol, []).append(trade.signal.strategy)
        self.situations["several trades in one symbol"] += any(len(each) > 1 for each in held.values())
        self.situations["several strategies in one symbol"] += any(len(set(each)) > 1 for each in held.values())

    async def _night(self) -> None:
        """The session's end, midnight and the next open; of the hours between them nobody lives through any."""
        sessions, venue_now = Sessions(), self.world.venue_clock.now
        await self._until(sessions.next_close(venue_now()) - timedelta(seconds=10))
        await asyncio.sleep(11)
        for step in (self._decide, *self.while_stricter()):
            if not self.world.is_dead:
                await self.bear(step)
        await asyncio.sleep(5)
        await self._until(sessions.next_open(venue_now()) - timedelta(seconds=10))
        await asyncio.sleep(30)
        self.situations["a night"] += not self.world.is_dead

    async def _until(self, moment: Any) -> None:  # noqa: ANN401 - aware
        """Everything stands still until then: both sides' clocks have moved when it goes on."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.doze(max((moment - self.world.venue_clock.now()).total_seconds(), 0))
        self.world.pump()
        await asyncio.sleep(0)
