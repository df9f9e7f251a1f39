"""Acts for trades: asks what is to be done now, writes it down, does it, and asks again.

Rule 1: nothing here decides; `core.protection.next_step` does. What is remembered between two questions is only what a
restart may forget: ages, and what the broker would not change.
Rule 2: one worker a trade, under the trade's lock. It is woken by its orders, by time, and by callers.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec
import structlog

from orderd.core.instruments import asset_class_of_symbol
from orderd.core.order import Order, OrderRole
from orderd.core.protection import next_step
from orderd.core.trade import Child, ExitReason, Trade, TradeOrders, TradeState, figures
from orderd.core.trade_life import TradeEvent, TradeStep, follow
from orderd.core.trade_moves import never_sent, noted
from orderd.core.trade_steps import (
    BeginClosing,
    CancelChild,
    CloseExternally,
    ReadOrder,
    ReadPosition,
    ReplaceStop,
    SendExit,
    SendStop,
    Step,
    Wait,
)
from orderd.core.values import OrderId
from orderd.desk.ends import OrderEnds
from orderd.desk.intents import intent_of
from orderd.desk.reading import Unattended
from orderd.desk.surroundings import NANOS, Surroundings
from orderd.desk.tradebook import TradeBook
from orderd.engine import api
from orderd.engine.account import Account
from orderd.engine.errors import EngineError
from orderd.ports import BrokerError, Entry

log = structlog.get_logger("orderd.desk")

MOST_STEPS = 100
"""Of one waking. More is a fault of ours: it is told, and taken up again a moment later."""
AGAIN_S = 1.0
NOTHING_RECORDED = frozenset(
    {"ORDER_ENDED", "ORDER_PENDING_CANCEL", "ORDER_PENDING_REPLACE", "QUANTITY_NOT_ABOVE_FILLED"}
)
"""Refusals of a change that the next look at the order answers by itself."""


class Protector:
    """Works for the trades of all accounts."""

    def __init__(
        self,
        book: TradeBook,
        engine: api.Engine,
        accounts: Mapping[str, Account],
        *,
        is_frozen: Callable[[str], bool] = lambda _account_id: False,
    ) -> None:
        """`is_frozen`: whether an account may not even send stops and exits."""
        self._book = book
        self._engine = engine
        self.around = {account_id: Surroundings(account) for account_id, account in accounts.items()}
        self._is_frozen = is_frozen
        self._alarms: dict[str, str] = {}
        self._ends = OrderEnds()
        self._due: dict[str, int] = {}
        """When each trade is looked after next without being asked (monotonic ns): one timer a trade."""
        self._spells: dict[str, int] = {}
        """Since when each trade is not covered (monotonic ns)."""
        self.unattended = Unattended()
        """The events by which trades were woken."""

    # --------------------------------------------------------------------------------------------------------- waking

    def heard(self, order: Order) -> None:
        """See a committed change of any order."""
        if order.intent.trade_id:
            self.around[order.intent.account_id].watch(order)
            self._ends.tell(order)
            self.wake(order.intent.account_id, order.intent.trade_id)
        elif not order.is_open and (around := self.around.get(order.intent.account_id)) is not None:
            around.unwatch(order)

    def wake_by(self, entry: Entry) -> None:
        """Look after the trade of an event, after a restart, too, if it comes before that."""
        if entry.account_id in self.around:
            self.unattended.hear(entry.trade_id, entry.sequence)
            self.wake(entry.account_id, entry.trade_id)

    def wake(self, account_id: str, trade_id: str) -> None:
        """Look after a trade now, and once more when that is being done."""
        around = self.around.get(account_id)
        if around is not None:
            around.account.tasks.start_once(lambda: self._work(account_id, trade_id), "trade", trade_id)

    def wake_later(self, account_id: str, trade_id: str, seconds: float) -> None:
        """Look after a trade in a while; at the first of several such times, and then it is asked anew."""
        account = self.around[account_id].account
        due = account.clock.monotonic_ns() + round(seconds * NANOS)
        if self._due.get(trade_id, due + 1) > due:
            self._due[trade_id] = due
            account.tasks.start(self._later(account_id, trade_id, seconds, due), f"trade later:{trade_id}")

    async def _later(self, account_id: str, trade_id: str, seconds: float, due: int) -> None:
        account = self.around[account_id].account
        await account.pause(seconds)
        if self._due.get(trade_id) != due:
            return  # an earlier time has taken its place
        del self._due[trade_id]
        if not account.is_stopping:
            self.wake(account_id, trade_id)

    async def _work(self, account_id: str, trade_id: str) -> None:
        around = self.around[account_id]
        await around.account.recovered.wait()
        if around.account.is_stopping:
            return
        if (trade := self._book.get(trade_id)) is not None:
            around.account.assets.ask(trade.signal.symbol)
        async with self._book.lock(trade_id):
            heard = self.unattended.count(trade_id)
            await around.refresh_clock()
            await self.attend(trade_id)
            self.unattended.attended(trade_id, heard)

    def last_price(self, trade: Trade) -> Decimal | None:
        """What the trade's symbol traded at lately, None when nobody has told."""
        return self.around[trade.account_id].prices.get(trade.signal.symbol)

    def uncovered_s(self, trade: Trade) -> float:
        """For how many seconds the trade has held more than its stops cover; by the wall clock where another process
        has seen the beginning.
        """
        clock, since = self.around[trade.account_id].account.clock, self._spells.get(trade.trade_id)
        if since is not None:
            return (clock.monotonic_ns() - since) / NANOS
        began = trade.unprotected_since
        return 0.0 if began is None else max((clock.now() - began).total_seconds(), 0.0)

    # ------------------------------------------------------------------------------------------------------- one trade

    async def attend(self, trade_id: str) -> Trade | None:
        """Take steps until there is nothing to do but wait. The caller holds the trade's lock."""
        trade = self._book.get(trade_id)
        if trade is None:
            return None
        held: Decimal | None = None
        for _ in range(MOST_STEPS):
            trade, orders = self.stand(trade)
            trade = await self._follow(trade, orders)
            around = self.around[trade.account_id]
            is_frozen = self._is_frozen(trade.account_id)
            step = next_step(trade, orders, around.world(trade, orders, held, is_frozen=is_frozen))
            if isinstance(step, Wait):
                self._rest(trade, step, orders)
                return await self._given_up(trade, orders)
            if isinstance(step, ReadPosition):
                held = await self._position(trade, orders)
                if held is None:
                    return trade
                continue
            held = None
            trade = await self._note(trade, step, orders)
            if not await self._do(trade, step):
                return trade
        log.error("trade_does_not_rest", trade_id=trade_id)
        self.wake_later(trade.account_id, trade_id, AGAIN_S)
        return trade

    def stand(self, trade: Trade) -> tuple[Trade, TradeOrders]:
        """The trade with its orders as of their last commits."""
        blotter = self.around[trade.account_id].account.blotter
        found: dict[OrderRole, list[Order]] = {role: [] for role in OrderRole}
        children: list[Child] = []
        for child in trade.children:
            order_id = child.order_id or blotter.by_key(trade.account_id, child.client_order_id)
            order = None if order_id is None else blotter.get(order_id)
            if order is not None:
                found[child.role].append(order)
            children.append(msgspec.structs.replace(child, order_id=order_id) if order_id != child.order_id else child)
        if tuple(children) != trade.children:
            trade = msgspec.structs.replace(trade, children=tuple(children))
            self._book.keep(trade)
        entries = found[OrderRole.ENTRY]
        return trade, TradeOrders(
            entry=entries[0] if entries else None,
            stops=tuple(found[OrderRole.STOP_LOSS]),
            exits=tuple(found[OrderRole.EXIT]),
        )

    async def _follow(self, trade: Trade, orders: TradeOrders) -> Trade:
        """Write down what the orders have made of the trade."""
        clock = self.around[trade.account_id].account.clock
        since = self._spells.get(trade.trade_id)
        spell_us = None if since is None else (clock.monotonic_ns() - since) // 1000
        steps = follow(trade, orders, at=clock.now(), spell_us=spell_us)
        if not steps:
            return trade
        after = await self._book.record(steps)
        self._measure(after)
        for step in steps:
            self._tell(step)
        if after.is_over:
            self.around[trade.account_id].forget(orders, trade.trade_id)
        return after

    async def _given_up(self, trade: Trade, orders: TradeOrders) -> Trade:
        """A pending trade whose entry was never written (the process died, or was full) waits for its caller only so
        long as an order would wait to be sent.
        """
        if orders.entry is not None or trade.state is not TradeState.PENDING:
            return trade
        account = self.around[trade.account_id].account
        age_s = (account.clock.now() - trade.created_time).total_seconds()
        left_s = account.policy.send_within_s - age_s
        if left_s > 0:
            self.wake_later(trade.account_id, trade.trade_id, left_s)
            return trade
        text = f"its entry could not be written within {account.policy.send_within_s:g} s"
        return await self._book.record((never_sent(trade, text, at=account.clock.now()),))

    def _measure(self, trade: Trade) -> None:
        if trade.unprotected_since is None:
            self._spells.pop(trade.trade_id, None)
        else:
            clock = self.around[trade.account_id].account.clock
            self._spells.setdefault(trade.trade_id, clock.monotonic_ns())

    def _rest(self, trade: Trade, step: Wait, orders: TradeOrders) -> None:
        if step.alarm and self._alarms.get(trade.trade_id) != step.alarm:
            log.warning("trade_waits", trade_id=trade.trade_id, symbol=trade.signal.symbol, reason=step.alarm)
        if step.alarm and not trade.is_over:
            self._alarms[trade.trade_id] = step.alarm
        else:
            self._alarms.pop(trade.trade_id, None)
        if trade.is_over:
            self.around[trade.account_id].forget(orders, trade.trade_id)
        if step.seconds is not None and figures(trade, orders).open > 0:
            self.wake_later(trade.account_id, trade.trade_id, float(step.seconds))

    async def _position(self, trade: Trade, orders: TradeOrders) -> Decimal | None:
        """What the broker holds; None when that cannot be told now, or an order has changed meanwhile."""
        around = self.around[trade.account_id]
        try:
            held = await around.held(trade.signal.symbol)
        except BrokerError as error:
            log.warning("position_unreadable", trade_id=trade.trade_id, symbol=trade.signal.symbol, reason=str(error))
            self.wake_later(trade.account_id, trade.trade_id, AGAIN_S)
            return None
        _, now = self.stand(trade)
        if _versions(now) != _versions(orders):
            self.wake(trade.account_id, trade.trade_id)
            return None
        return held

    async def _note(self, trade: Trade, step: Step, orders: TradeOrders) -> Trade:
        """Write down what is about to be done."""
        around = self.around[trade.account_id]
        record = noted(
            trade,
            step,
            at=around.account.clock.now(),
            session=around.session,
            last_stop=orders.stops[-1].order_id if orders.stops else None,
            tick=around.increment(trade.signal.symbol, trade.stop_price),
            exit_price=around.exit_price(trade),
        )
        if record is None:
            return trade
        after = await self._book.record((record,))
        self._tell(record)
        if isinstance(step, CloseExternally):
            log.critical("trade_closed_externally", trade_id=trade.trade_id, symbol=trade.signal.symbol)
        return after

    # ------------------------------------------------------------------------------------------------------ doing it

    async def _do(self, trade: Trade, step: Step) -> bool:
        """Do what was written down; False when nothing more can be done now."""
        match step:
            case SendStop() | SendExit():
                return await self._send(trade, trade.children[-1])
            case CancelChild(order_id=order_id):
                return await self._cancel(trade, order_id)
            case ReplaceStop():
                return await self._replace(trade, step)
            case ReadOrder(order_id=order_id):
                await self._read(trade, order_id)
                return False
            case BeginClosing(reason=ExitReason.STOP_FALLBACK, text=text):
                log.critical("stop_fallback_market_exit", trade_id=trade.trade_id, trace_id=trade.trace_id, reason=text)
                return True
            case _:
                return True

    async def _send(self, trade: Trade, child: Child) -> bool:
        account = self.around[trade.account_id].account
        can = account.broker.capabilities(asset_class_of_symbol(trade.signal.symbol))
        intent = intent_of(trade, child, can.times_for(child.quantity))
        try:
            result = await self._engine.submit(intent, wait=api.Wait.JOURNAL, timeout_s=0)
        except EngineError as error:
            # Nothing was recorded: this number is spent, and the next look asks anew.
            log.warning("trade_order_refused", trade_id=trade.trade_id, role=child.role, reason=error.message)
            self.wake_later(trade.account_id, trade.trade_id, error.retry_after_s or AGAIN_S)
            return False
        log.info(
            "order_submitted",
            order_id=result.order.order_id,
            trade_id=trade.trade_id,
            trace_id=trade.trace_id,
            role=child.role,
            quantity=str(child.quantity),
        )
        return True

    async def _cancel(self, trade: Trade, order_id: OrderId) -> bool:
        ref = api.OrderRef(order_id=order_id)
        try:
            await self._engine.cancel(ref, reason=f"trade {trade.trade_id}", wait=api.Wait.JOURNAL, timeout_s=0)
        except EngineError as error:
            return self._refused(trade, error)
        return True

    async def _replace(self, trade: Trade, step: ReplaceStop) -> bool:
        ask = api.ReplaceAsk(
            request_id=f"{trade.trade_id}:{trade.version}",
            quantity=step.quantity,
            stop_price=step.price,
            reason=f"trade {trade.trade_id}",
        )
        try:
            await self._engine.replace(api.OrderRef(order_id=step.order_id), ask, timeout_s=0)
        except EngineError as error:
            if error.reason not in NOTHING_RECORDED:
                self.around[trade.account_id].unchangeable.add(step.order_id)
                return True
            return self._refused(trade, error)
        return True

    def _refused(self, trade: Trade, error: EngineError) -> bool:
        log.info("trade_change_refused", trade_id=trade.trade_id, reason=error.message)
        self.wake_later(trade.account_id, trade.trade_id, AGAIN_S)
        return False

    async def _read(self, trade: Trade, order_id: OrderId) -> None:
        """Have an order read by its id: its cancel is looked after by the engine, and this asks again each second."""
        account = self.around[trade.account_id].account
        order = account.blotter.get(order_id)
        if order is not None:
            account.watch(order)
        self.wake_later(trade.account_id, trade.trade_id, AGAIN_S)

    def _tell(self, step: TradeStep) -> None:
        """The lifecycle's log lines, by their fixed names."""
        trade = step.after
        said = {"trade_id": trade.trade_id, "trace_id": trade.trace_id, "symbol": trade.signal.symbol}
        match step.event:
            case TradeEvent.TRADE_CLOSED:
                log.info("trade_closed", **said, pnl=str(trade.realized_pnl), reason=trade.exit_reason)
            case TradeEvent.UNPROTECTED:
                log.warning("trade_unprotected", **said, open_quantity=str(trade.open_quantity))
            case TradeEvent.DISARMED:
                log.error("trade_disarmed", **said, open_quantity=str(trade.open_quantity))
            case _:
                log.debug("trade_changed", **said, event_type=step.event)


def _versions(orders: TradeOrders) -> Sequence[tuple[str, int]]:
    return [(order.order_id, order.version) for order in orders.all]
