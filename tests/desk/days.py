"""Seeded days of trades: opened, moved and closed at random while everything goes wrong.

The script, the faults and the deaths are those of the simulated days (docs/testing.md); a referee that knows trades
looks on. Now and then the faults pause: then every trade must soon be protected, closed, or disarmed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec

from oms.v1 import trade_service_pb2 as dpb
from orderd.core.order import OrderType, Side
from orderd.core.trade import OnEntryEnd, OnPartial, Signal, Trade
from orderd.core.values import AccountId
from orderd.desk.trade_asks import OpenTrade
from orderd.engine.api import Wait
from orderd.risk.breaker import Breaker
from orderd.venue.core import Venue
from orderd.venue.faults import Fault, FaultKind
from tests.desk.judge import OVER, PROTECTION
from tests.desk.judge_risk import DeskReferee
from tests.desk.risky import PRICES, RiskyDay, limits_of
from tests.desk.risky import SITUATIONS as OF_RISK
from tests.desk.trading import desk
from tests.engine.world import ACCOUNT
from tests.faults.chaos import Told, live
from tests.faults.referee import Referee
from tests.faults.rest import AGREE_S, Rest

LULL_S = 35.0
"""Seconds for which the broker can be reached, after which nothing may be held without its stop: what was told in
frames that were lost is heard at the next comparison, after 25 seconds at the latest."""
OUTAGE_S = 15.0
COVERED_S = 90.0
"""Seconds after the last fault in which a trade must have come to its cover or its end: an exit that has failed often
is tried again after a minute."""
SITUATIONS = frozenset(
    {
        "trade protected",
        "trade stopped out",
        "trade closed",
        "trade closed in part",
        "trade never opened",
        "trade opened again",
        "stop moved",
        "stop refused, exit instead",
        "stop cancelled by somebody here",
        "broker down",
        "exit failed",
        "exit waited for its stop's proof",
        "closed by somebody else",
        "entry ended partly filled",
        "died while closing",
        "died while unprotected",
        "a lull",
        "a part of a share traded",
        "denied by the broker's word",
    }
    | OF_RISK
)
WORDS = frozenset({"NOT_TRADABLE", "NOT_SHORTABLE", "NOT_FRACTIONABLE", "QUANTITY_STEP"})
SAID = ("is_tradable", "is_shortable", "is_fractionable", "is_halted")
"""What becomes otherwise with an instrument for a moment."""
OF_EVENTS = {
    "PROTECTED": "trade protected",
    "TRADE_NEVER_OPENED": "trade never opened",
    "TRADE_REOPENED": "trade opened again",
    "STOP_MOVED": "stop moved",
    "STOP_FALLBACK": "stop refused, exit instead",
    "DISARMED": "stop cancelled by somebody here",
    "EXIT_FAILED": "exit failed",
    "EXIT_WAITING": "exit waited for its stop's proof",
}
OF_ENDS = {
    dpb.EXIT_REASON_STOP_LOSS: "trade stopped out",
    dpb.EXIT_REASON_REQUESTED: "trade closed",
    dpb.EXIT_REASON_EXTERNAL: "closed by somebody else",
    dpb.EXIT_REASON_ENTRY_ENDED: "entry ended partly filled",
}


class TradeDay(RiskyDay):
    """One seed, of trades."""

    has_desk: ClassVar[bool] = True

    @staticmethod
    def chosen(seed: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """See `Day.chosen`."""
        return {"sessions": "nyse"}, {"limits": limits_of(seed)}

    def seen_by(self, venues: Mapping[str, Venue]) -> Referee:
        """See `Day.seen_by`."""
        self.keys: list[str] = []
        self.traded: dict[str, str] = {}
        self.number = 0
        return DeskReferee(self.world.database, venues, self.world.clock)

    async def judge(self) -> None:
        """See `Day.judge`."""
        await TradeRest(self).judge()

    def _steps(self) -> list[Callable[[], Awaitable[None]]]:
        theme, many = self.theme, self.orders
        steps = [self._open_trade] * many + [self._aim] * (self.kills * theme.deaths) + [self._kill]
        steps += [self._close_trade] * (many // 2) + [self._move_stop] * (many * theme.wants_changes // 4)
        steps += [self._market] * (many // 2) + [self._person] * (many // 5) + [self._kick, self._reconcile]
        steps += [self._rearm, self._repeat_open] * (many // 10) + [self._cancel_stop] * (many // 10)
        steps += [self._lull, self._outage] * max(many // 20, 1) + [self._instrument] * (many // 5)
        of_100 = {self._restate: theme.restates, self._jump: theme.jumps, self._fail: theme.failing_commits}
        for step, number in (of_100 | {self._end_session: theme.expires}).items():
            steps += [step] * -(-many * number // 200)
        steps += self.of_risk()
        self.random.shuffle(steps)
        return steps

    def while_stricter(self) -> list[Callable[[], Awaitable[None]]]:
        """See `RiskyDay.while_stricter`."""
        return [*super().while_stricter(), self._open_trade, self._open_trade, self._close_trade, self._market]

    def _arm(self) -> None:
        super()._arm()
        for path in ("/v2/positions", "/v2/clock", "/v2/assets"):
            for kind in (FaultKind.LOSE_ANSWER, FaultKind.ANSWER_STATUS):
                self.venue.faults.arm(Fault(kind=kind, path=path, times=0, probability=0.1))
        held = Fault(kind=FaultKind.HOLD_ANSWER, path="/v2/assets", times=0, probability=0.1, delay_ms=3000)
        self.venue.faults.arm(held)

    # ---------------------------------------------------------------------------------------------------------- steps

    def _asked(self, key: str) -> OpenTrade:
        """The trade that goes with a key: a repeat says the same."""
        chance = random.Random(f"trade {self.seed} {key}")
        symbol = chance.choice(sorted(PRICES))
        price = Decimal(PRICES[symbol])
        side = chance.choice((Side.BUY, Side.BUY, Side.BUY, Side.SELL))
        kind = chance.choice((OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT))
        away = (price * Decimal("0.04")).quantize(Decimal("0.01")) * (1 if side is Side.BUY else -1)
        signal = Signal(
            symbol=symbol,
            side=side,
            entry_price=price + (away / 8).quantize(Decimal("0.01")) * chance.choice((-1, 1)),
            stop_loss_price=price - away,
            type=kind,
            strategy=f"s-{chance.randint(1, 2)}",
            max_candles=chance.choice((0, 0, 3)),
        )
        return OpenTrade(
            account_id=AccountId(ACCOUNT),
            client_trade_id=key,
            signal=signal,
            quantity=Decimal(chance.randint(2, 9)) + Decimal(chance.choice(("0", "0", "0.25", "0.000000001"))),
            trace_id=f"t-{key}",
            on_partial=chance.choice((OnPartial.CANCEL_REST, OnPartial.CANCEL_REST, OnPartial.WAIT)),
            on_entry_end=chance.choice(list(OnEntryEnd)),
        )

    async def _open_trade(self) -> None:
        self.number += 1
        self.keys.append(f"k-{self.number}")
        await self._say_open(self.keys[-1])

    async def _repeat_open(self) -> None:
        if self.keys:
            await self._say_open(self.random.choice(self.keys))

    async def _say_open(self, key: str) -> None:
        made = await desk(self.world).open(
            self._asked(key), wait=self.random.choice((Wait.JOURNAL, Wait.BROKER)), timeout_s=5
        )
        if self.traded.setdefault(key, made.trade.trade_id) != made.trade.trade_id:
            self.referee.breach(f"{key} was answered with {made.trade.trade_id}, and is {self.traded[key]}")
        self.fresh[key] += not made.replayed
        if self.fresh[key] > 1:
            self.referee.breach(f"{key} was new twice")

    def _some(self) -> Trade | None:
        """A trade that is not over, when there is one."""
        live = self.world.alive.desk.book.live(ACCOUNT)
        return self.random.choice(live) if live else None

    async def _close_trade(self) -> None:
        if trade := self._some():
            part = Decimal(self.random.randint(1, 3)) if self.random.random() < 0.3 else None
            number = self.random.randrange(1_000_000)
            await desk(self.world).close(
                trade.trade_id, quantity=part, request_id=f"c-{number}", timeout_s=self.random.choice((0, 4))
            )
            self.situations["trade closed in part"] += part is not None

    async def _move_stop(self) -> None:
        if trade := self._some():
            step = Decimal(self.random.randint(-3, 3)) / 10
            number = self.random.randrange(1_000_000)
            await desk(self.world).move_stop(trade.trade_id, trade.stop_price + step, request_id=f"m-{number}")

    async def _rearm(self) -> None:
        if trade := self._some():
            await desk(self.world).rearm(trade.trade_id)

    async def _cancel_stop(self) -> None:
        """Somebody cancels a stop, or an entry, through orderd."""
        if trade := self._some():
            orders = [order for order in desk(self.world).orders(trade) if order.is_open]
            if orders:
                await self.world.cancel(self.random.choice(orders).order_id, wait=Wait.JOURNAL)

    async def _person(self) -> None:
        at_the_screen = (self._cancel_by_hand, self._replace_by_hand, self._trade, self._trade, self._trade_late)
        self.random.choice(at_the_screen)()
        self.world.pump()

    async def _instrument(self) -> None:
        """The broker says something else of an instrument for some seconds, or halts it."""
        symbol, what = self.random.choice(sorted(PRICES)), self.random.choice(SAID)
        is_halt = what == "is_halted"
        self.venue.change_asset(symbol, **{what: is_halt})
        back = partial(self.venue.change_asset, symbol, **{what: not is_halt})
        self.venue.state.after(timedelta(seconds=self.random.uniform(0.5, 8)), lambda: back() and None)
        self.world.pump()

    async def _market(self) -> None:
        symbol = self.random.choice(sorted(PRICES))
        middle = PRICES[symbol] * Decimal(self.random.choice(("0.94", "0.99", "1", "1", "1.01", "1.06")))
        price = middle.quantize(Decimal("0.01"))
        self.venue.set_quote(symbol, price, price + Decimal("0.01"))
        self.world.pump()

    async def bear(self, step: Callable[[], Awaitable[None]]) -> None:
        """See `Day.bear`; some steps are longer than any caller's patience."""
        if step in (self._lull, self._outage, *self.long_steps):
            await step()
        else:
            await super().bear(step)

    async def _outage(self) -> None:
        """Nobody hears anything for a while; what is asked meanwhile is not done."""
        self.situations["broker down"] += 1
        fault = self.venue.faults.arm(Fault(kind=FaultKind.LOSE_REQUEST, path="/v2", times=0))
        await self.bear(self._close_trade)
        await asyncio.sleep(OUTAGE_S)
        self.venue.faults.clear(fault.fault_id)

    async def _lull(self) -> None:
        """The faults pause. What is held must be in cover then, or be on its way out."""
        faults = self.venue.faults
        armed = faults.armed()
        faults.clear()
        self.world.arm("", 0)
        self.world.failing_commit = ""
        waited = 0.0
        while waited < LULL_S and not self.world.is_dead:
            await asyncio.sleep(1)
            waited += 1
        if not self.world.is_dead:
            self.situations["a lull"] += 1
            self.referee.committed()
            if not self.referee.stands(ACCOUNT).freeze_protection and (said := self.uncovered()):
                self.referee.breach(f"{LULL_S:g} s without a fault: " + "; ".join(said[:5]))
        for fault in armed:
            faults.arm(msgspec.structs.replace(fault, fault_id=0))

    def uncovered(self) -> list[str]:
        """Trades that hold something without its stop and without an exit on its way."""
        unheard = self.unheard()
        trades = [trade for trade in self.referee.trades.values() if trade.signal.symbol not in unheard]
        return [said for trade in trades if (said := self.referee.bare(trade))]

    def unheard(self) -> set[str]:
        """Symbols in which an execution was taken back without our hearing of it: nobody can know what is held."""
        orders = [self.referee.told[name].order for name in Rest(self).excused() if name in self.referee.told]
        return {order.symbol for order in orders}

    # ------------------------------------------------------------------------------------------------------- counting

    def _count(self) -> None:
        super()._count()
        for events in self.referee.trade_events.values():
            for event in events:
                if name := OF_EVENTS.get(event):
                    self.situations[name] += 1
        for trade in self.referee.trades.values():
            is_part = "." in trade.entry_quantity and trade.HasField("opened_time")
            self.situations["a part of a share traded"] += is_part
            self.situations["denied by the broker's word"] += trade.status_reason.code in WORDS
            if name := OF_ENDS.get(trade.exit_reason):
                self.situations[name] += 1

    async def _survive(self) -> None:
        if self.world.is_dead:
            for trade in self.referee.trades.values():
                self.situations["died while closing"] += trade.state == dpb.TRADE_STATE_CLOSING
                self.situations["died while unprotected"] += PROTECTION[trade.protection] in {"UNPROTECTED", "ARMING"}
        has_died = self.world.is_dead
        await super()._survive()
        if has_died and not self.world.is_dead:
            await self.check_risk()


class TradeRest(Rest):
    """One day's end."""

    _day: TradeDay
    _referee: DeskReferee

    async def judge(self) -> None:
        """Agreement and cover; again with everything closed; again after a restart, which changes nothing."""
        await self._agree(AGREE_S)
        await self._day.thaw()
        await self._wait(self._day.uncovered, COVERED_S, "after the last fault")
        await self._wait(self._day.undone, COVERED_S, "after the last fault")
        await self._close_all()
        await self._agree(COVERED_S)
        await self._wait(self._day.uncovered, COVERED_S, "after everything was closed")
        lost = set(self._day.traded.values()) - self._referee.trades.keys()
        assert not lost, f"answered and lost: {sorted(lost)}"
        left = [
            f"{t.client_trade_id} {dpb.TradeState.Name(t.state)}"
            for t in self._referee.trades.values()
            if t.state not in OVER and not self._is_alarmed(t)
        ]
        assert not left, left
        await asyncio.sleep(5)
        await self._wait(self._day.miscounted, AGREE_S, "after everything was closed")
        told, breaker = self._versions(), self._breaker()
        await self._world.restart()
        await self._agree(AGREE_S)
        await asyncio.sleep(20)
        self._referee.committed()
        changed = [
            f"{trade.client_trade_id} {PROTECTION[trade.protection]}: {self._referee.trade_events[trade_id][-3:]}"
            for trade_id, trade in self._referee.trades.items()
            if told.get(trade_id) != trade.version and trade.signal.symbol not in self._day.unheard()
        ]
        assert not changed, f"a restart changed trades: {changed}"
        assert self._breaker() == breaker, f"a restart changed the breaker: {breaker} became {self._breaker()}"
        await self._world.kill()
        self._referee.check_file()
        self._day.check()

    def _breaker(self) -> Breaker:
        return self._world.alive.workers.account.risk.day()

    def _versions(self) -> dict[str, int]:
        return {trade_id: trade.version for trade_id, trade in self._referee.trades.items()}

    def _is_alarmed(self, trade: dpb.Trade) -> bool:
        """What cannot be closed, because the broker holds it for somebody else, or nothing of it."""
        symbol = trade.signal.symbol
        return bool(self._referee.taken_away[symbol]) or symbol in self._day.unheard()

    async def _close_all(self) -> None:
        for order in list(self._referee.orders()):
            if not order.HasField("closed_time") and not order.trade_id:
                await self._day.bear(lambda order_id=order.order_id: self._world.cancel(order_id))
        for trade in list(self._world.alive.desk.book.live(ACCOUNT)):
            await self._day.bear(lambda trade_id=trade.trade_id: desk(self._world).close(trade_id))
        end = self._referee.now() + COVERED_S
        while self._world.alive.desk.book.live(ACCOUNT) and self._referee.now() < end:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(1)


def live_trades(seed: int, directory: Path, *, orders: int = 40, kills: int = 3) -> Told:
    """Live one day of trades."""
    return live(seed, directory, orders=orders, kills=kills, of=TradeDay)
