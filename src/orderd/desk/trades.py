"""What callers ask of trades: open, close, move and arm stops, count candles, cancel what is pending.

Rule 1: a request is written into its trade first; acting for it is the protector's, for a caller as after a crash.
Rule 2: the same key is the same trade. A request that repeats itself is answered, not done twice.
Rule 3: what writes runs to its end although the caller leaves: a record that is written must become known.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import structlog

from orderd.core import keys
from orderd.core.assets import WHOLE
from orderd.core.instruments import asset_class_of_symbol, multiplier_of_symbol
from orderd.core.order import EventSource, Order, OrderRole, OrderType
from orderd.core.sizing import Setup, Sizing
from orderd.core.trade import Asked, Child, ExitReason, OnPartial, Signal, Trade, TradeState
from orderd.core.trade_life import TradeEvent, TradeStep, step
from orderd.core.trade_moves import candle_counted, close_asked, rearmed, stop_moved
from orderd.core.values import ZERO, Value, canonical
from orderd.desk.intents import intent_of
from orderd.desk.locks import Locks
from orderd.desk.protector import Protector
from orderd.desk.steps import step_of
from orderd.desk.trade_asks import OpenTrade
from orderd.desk.trade_refusals import check_increment, check_increments, check_step, ended, same_content, unknown
from orderd.desk.tradebook import TradeBook
from orderd.engine import api
from orderd.engine.engine import is_answered
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerError, JournalError, RecordTakenError
from orderd.risk.sizer import size

log = structlog.get_logger("orderd.desk")
T = TypeVar("T")


class Opened(Value, frozen=True, kw_only=True):
    """The trade of a key."""

    trade: Trade
    entry: Order | None
    replayed: bool


class TradeDesk:
    """The calls about trades, over one book and one protector."""

    def __init__(self, book: TradeBook, engine: api.Engine, protector: Protector) -> None:
        """Nothing is kept here but what is being opened right now."""
        self._book = book
        self._engine = engine
        self._protector = protector
        self._opening = Locks[tuple[str, str]]()
        self.permit: Callable[[OpenTrade], AbstractAsyncContextManager[datetime | None]] = lambda _: nullcontext()
        """Holds the decision that a trade names and tells when it is over; refuses what it does not allow."""

    # ------------------------------------------------------------------------------------------------------------ open

    async def open(self, ask: OpenTrade, *, wait: api.Wait, timeout_s: float) -> Opened:
        """Size it, write it down, send its entry. Calls with one key wait for each other."""
        trade, entry, is_replay = await self._to_its_end(ask.account_id, self._open(ask))
        if entry is not None and wait is api.Wait.BROKER:
            entry = await self._protector.around[ask.account_id].account.blotter.wait(entry, is_answered, timeout_s)
        return Opened(trade=self._now(trade.trade_id), entry=entry, replayed=is_replay)

    async def _to_its_end(self, account_id: str, work: Coroutine[Any, Any, T]) -> T:
        """Run in a task of the account's own, which only the process's end cancels."""
        account = self._protector.around[account_id].account
        result = await asyncio.shield(account.tasks.run(_outcome(work), "request about a trade"))
        if isinstance(result, EngineError | JournalError):
            raise result
        return result

    async def _open(self, ask: OpenTrade) -> tuple[Trade, Order | None, bool]:
        key = (ask.account_id, ask.client_trade_id)
        async with self.permit(ask) as expires, self._opening.hold(key):
            trade, is_replay = await self._opened(ask, expires)
            return trade, await self._entered(trade), is_replay

    async def _opened(self, ask: OpenTrade, expires: datetime | None) -> tuple[Trade, bool]:
        known = self._book.find(ask.account_id, ask.client_trade_id)
        if known is not None:
            same_content(known, ask)
            return known, True
        await self._protector.around[ask.account_id].account.assets.look(ask.signal.symbol)
        self.check(ask)
        sizing = None if ask.quantity is not None else await self.size(ask.account_id, ask.signal)
        try:
            return await self._book.record((self._created(ask, sizing, expires),), EventSource.CLIENT), False
        except RecordTakenError:
            known = self._book.find(ask.account_id, ask.client_trade_id)
            if known is None:
                raise
            same_content(known, ask)
            return known, True

    def check(self, ask: OpenTrade) -> None:
        """Refuse what cannot be protected, and prices that no order could have. Nothing is recorded then."""
        around, symbol = self._protector.around[ask.account_id], ask.signal.symbol
        check_increments(ask.signal, lambda price: around.increment(symbol, price))
        can = around.account.broker.capabilities(asset_class_of_symbol(symbol))
        can_rest = OrderType.STOP in can.types_for(WHOLE if ask.quantity is None else ask.quantity)
        if (ask.signal.extended_hours or not can_rest) and not ask.accept_unprotected:
            what = "an extended-hours entry" if can_rest else f"{ask.signal.symbol} at this broker"
            raise EngineError(
                Kind.FAILED_PRECONDITION,
                "UNPROTECTED",
                f"no stop can rest for {what}: say accept_unprotected to hold it without one",
                subject=("orderd.Trade", ask.client_trade_id),
            )

    async def size(self, account_id: str, signal: Signal, *, equity: Decimal | None = None) -> Sizing:
        """The quantity for a signal by the account's risk settings, with the broker's figures of now."""
        account = self._protector.around[account_id].account
        asset = await account.assets.look(signal.symbol)
        can = account.broker.capabilities(asset_class_of_symbol(signal.symbol))
        try:
            figures = await account.broker.account()
        except BrokerError as error:
            text = f"the account's figures cannot be read: {error}"
            raise EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=2) from error
        setup = Setup(
            side=signal.side,
            entry=signal.entry_price,
            stop=signal.stop_loss_price,
            equity=figures.equity if equity is None else equity,
            buying_power=figures.buying_power,
            multiplier=multiplier_of_symbol(signal.symbol),
            step=step_of(asset, signal, can, allows_fractions=bool(account.policy.limits.allow_fractions)),
            minimum=None if asset is None else asset.minimum_quantity,
        )
        return size(setup, account.policy.limits)

    def _created(self, ask: OpenTrade, sizing: Sizing | None, expires: datetime | None) -> TradeStep:
        """The trade's first version: with its entry named, or, sized to nothing, with the reason."""
        account = self._protector.around[ask.account_id].account
        now = account.clock.now()
        young_until = now + timedelta(seconds=account.policy.send_within_s)
        quantity = ask.quantity if sizing is None else sizing.quantity
        trade = Trade(
            trade_id=account.ids.new(),
            client_trade_id=ask.client_trade_id,
            account_id=ask.account_id,
            signal=ask.signal,
            quantity=quantity or ZERO,
            stop_price=ask.signal.stop_loss_price,
            created_time=now,
            updated_time=now,
            decision_id=ask.decision_id,
            trace_id=ask.trace_id,
            on_partial=ask.on_partial or OnPartial.CANCEL_REST,
            on_entry_end=ask.on_entry_end,
            accept_unprotected=ask.accept_unprotected,
            is_disarmed=ask.accept_unprotected,
            tags=ask.tags,
            enter_by=expires if expires is not None and expires <= young_until else None,
            multiplier=multiplier_of_symbol(ask.signal.symbol),
            sizing=sizing,
        )
        if not quantity:
            why = None if sizing is None else sizing.reason
            denied = {"reason": why, "state": TradeState.NEVER_OPENED, "closed_time": now}
            return step(trade, TradeEvent.TRADE_DENIED, now, **denied)
        entry = Child(
            role=OrderRole.ENTRY,
            number=1,
            client_order_id=keys.trade_key(trade.trade_id, OrderRole.ENTRY, 1),
            quantity=quantity,
        )
        log.info("signal_detected", trade_id=trade.trade_id, trace_id=trade.trace_id, symbol=trade.signal.symbol)
        return step(trade, TradeEvent.TRADE_CREATED, now, children=(entry,))

    async def _entered(self, trade: Trade) -> Order | None:
        """The entry, sent when it has not been yet: also for the repeat of a call that died in between."""
        account = self._protector.around[trade.account_id].account
        entry = next(iter(trade.of(OrderRole.ENTRY)), None)
        if entry is None:
            return None
        known = account.blotter.by_key(trade.account_id, entry.client_order_id)
        if known is not None:
            return account.blotter.get(known)
        try:
            async with self._book.lock(trade.trade_id):
                if self._of(trade.trade_id).is_over:
                    return None
                can = account.broker.capabilities(asset_class_of_symbol(trade.signal.symbol))
                intent = intent_of(trade, entry, can.times_for(entry.quantity))
                result = await self._engine.submit(intent, wait=api.Wait.JOURNAL, timeout_s=0)
                said = {"order_id": result.order.order_id, "trade_id": trade.trade_id, "trace_id": trade.trace_id}
                log.info("order_submitted", **said, role=entry.role, quantity=canonical(entry.quantity))
                await self._protector.attend(trade.trade_id)
                return result.order
        except EngineError:
            self._protector.wake(trade.account_id, trade.trade_id)  # unless it is asked again, it ends
            raise

    async def resume(self, trade_id: str) -> None:
        """Send an entry that a crash has left in its trade, while it is young; one that counts candles missed some."""
        trade = self._of(trade_id)
        account = self._protector.around[trade.account_id].account
        age_s = (account.clock.now() - trade.created_time).total_seconds()
        if trade.signal.max_candles or age_s > account.policy.send_within_s:
            return
        try:
            await self._entered(trade)
        except EngineError as error:
            log.warning("trade_order_refused", trade_id=trade_id, reason=error.message)

    def _now(self, trade_id: str) -> Trade:
        trade = self._book.get(trade_id)
        if trade is None:
            raise unknown(trade_id)
        return self._protector.stand(trade)[0]

    # ----------------------------------------------------------------------------------------------------------- close

    async def close(
        self,
        trade_id: str,
        *,
        quantity: Decimal | None = None,
        reason: ExitReason = ExitReason.REQUESTED,
        text: str = "",
        request_id: str = "",
        decision_id: str = "",
        timeout_s: float = 0,
    ) -> Trade:
        """Ask for the close of a trade or a part of it; wait at most `timeout_s` for its end."""
        account_id = self._of(trade_id).account_id
        asking = self._close(
            trade_id, quantity=quantity, reason=reason, text=text, request_id=request_id, decision_id=decision_id
        )
        await self._to_its_end(account_id, asking)
        return await self._closed(trade_id, timeout_s)

    async def _close(
        self,
        trade_id: str,
        *,
        quantity: Decimal | None,
        reason: ExitReason,
        text: str,
        request_id: str,
        decision_id: str,
    ) -> None:
        async with self._book.lock(trade_id):
            trade = self._of(trade_id)
            if not self._is_repeat(trade, "close", request_id, "all" if quantity is None else str(quantity)):
                if trade.is_over:
                    raise ended(trade)
                check_step(quantity, self._protector.around[trade.account_id].account.assets.get(trade.signal.symbol))
                if quantity is not None or trade.closing is None or trade.closing.target:
                    asked = close_asked(
                        trade,
                        quantity=quantity,
                        reason=reason,
                        text=text,
                        request_id=request_id,
                        decision_id=decision_id,
                        at=self._at(trade),
                    )
                    await self._book.record((asked,), EventSource.CLIENT)
        self._protector.wake(trade.account_id, trade_id)

    async def _closed(self, trade_id: str, timeout_s: float) -> Trade:
        """The trade once its closing is over, or as it stands when the time is up."""
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                while (trade := self._now(trade_id)).is_being_closed and not trade.is_over:
                    await self._book.changed(trade_id)
        except TimeoutError:
            pass
        return self._now(trade_id)

    # ------------------------------------------------------------------------------------------------------------ stop

    async def move_stop(self, trade_id: str, price: Decimal, *, request_id: str = "", text: str = "") -> Trade:
        """Ask for the stop at another price."""
        account_id = self._of(trade_id).account_id
        return await self._to_its_end(account_id, self._move(trade_id, price, request_id=request_id, text=text))

    async def _move(self, trade_id: str, price: Decimal, *, request_id: str, text: str) -> Trade:
        async with self._book.lock(trade_id):
            trade = self._of(trade_id)
            if self._is_repeat(trade, "move", request_id, str(price)):
                return trade
            self._check_stop(trade, price)
            if trade.stop_price != price:
                moved = stop_moved(trade, price, request_id=request_id, text=text, at=self._at(trade))
                await self._book.record((moved,), EventSource.CLIENT)
                log.info("stop_moved", trade_id=trade_id, trace_id=trade.trace_id, stop_price=canonical(price))
        self._protector.wake(trade.account_id, trade_id)
        return self._now(trade_id)

    async def rearm(self, trade_id: str, price: Decimal | None = None) -> Trade:
        """Ask for a stop where somebody has cancelled it."""
        return await self._to_its_end(self._of(trade_id).account_id, self._rearm(trade_id, price))

    async def _rearm(self, trade_id: str, price: Decimal | None) -> Trade:
        async with self._book.lock(trade_id):
            trade = self._of(trade_id)
            self._check_stop(trade, trade.stop_price if price is None else price)
            if trade.is_disarmed or (price is not None and price != trade.stop_price):
                session = self._protector.around[trade.account_id].session
                again = rearmed(trade, price, at=self._at(trade), session=session)
                await self._book.record((again,), EventSource.CLIENT)
        self._protector.wake(trade.account_id, trade_id)
        return self._now(trade_id)

    def _check_stop(self, trade: Trade, price: Decimal) -> None:
        if trade.is_over:
            raise ended(trade)
        if trade.state is not TradeState.OPEN:
            text = f"the trade is {trade.state}: there is no stop to place or move"
            raise EngineError(
                Kind.FAILED_PRECONDITION, "TRADE_NOT_OPEN", text, subject=("orderd.Trade", trade.trade_id)
            )
        around = self._protector.around[trade.account_id]
        check_increment("stop_price", price, around.increment(trade.signal.symbol, price))
        last = self._protector.last_price(trade)
        if last is not None and (price >= last if trade.sign > 0 else price <= last):
            raise EngineError(
                Kind.FAILED_PRECONDITION,
                "STOP_THROUGH_MARKET",
                f"a stop at {canonical(price)} would execute at once: the market is at {canonical(last)}",
                metadata={"market_price": canonical(last)},
                subject=("orderd.Trade", trade.trade_id),
            )

    # --------------------------------------------------------------------------------------------------------- entries

    async def advance_candle(
        self, account_id: str, candle_time: datetime, *, symbols: Sequence[str] = (), strategies: Sequence[str] = ()
    ) -> tuple[list[Trade], list[str]]:
        """Count a candle for each pending entry that counts them; cancel those that have waited too long."""
        counted: list[Trade] = []
        canceled: list[str] = []
        for trade in self._pending(account_id, symbols, strategies):
            if not trade.signal.max_candles:
                continue
            after = await self._to_its_end(account_id, self._count(trade.trade_id, candle_time))
            counted.append(after)
            if after.candles > after.signal.max_candles and after.state is TradeState.PENDING:
                canceled.append(trade.trade_id)
        for trade_id in canceled:
            await self.cancel_entry(trade_id, "max_candles")
        return counted, canceled

    async def _count(self, trade_id: str, candle_time: datetime) -> Trade:
        async with self._book.lock(trade_id):
            trade = self._of(trade_id)
            record = candle_counted(trade, candle_time, at=self._at(trade))
            return trade if record is None else await self._book.record((record,), EventSource.CLIENT)

    async def cancel_pending(
        self, account_id: str, *, symbols: Sequence[str] = (), strategies: Sequence[str] = (), reason: str = ""
    ) -> list[api.CancelResult]:
        """Cancel the entries of trades without a fill."""
        pending = self._pending(account_id, symbols, strategies)
        return [await self.cancel_entry(trade.trade_id, reason) for trade in pending]

    async def cancel_entry(self, trade_id: str, reason: str) -> api.CancelResult:
        """Cancel a trade's entry."""
        trade, orders = self._protector.stand(self._of(trade_id))
        if orders.entry is None:
            return api.CancelResult(order_id="", error_reason="ORDER_NOT_FOUND", message="its entry was never written")
        order_id = orders.entry.order_id
        try:
            await self._engine.cancel(
                api.OrderRef(order_id=order_id), reason=reason, wait=api.Wait.JOURNAL, timeout_s=0
            )
        except EngineError as error:
            return api.CancelResult(order_id=order_id, error_reason=error.reason, message=error.message)
        self._protector.wake(trade.account_id, trade_id)
        return api.CancelResult(order_id=order_id)

    def _pending(self, account_id: str, symbols: Sequence[str], strategies: Sequence[str]) -> list[Trade]:
        return [
            trade
            for trade in self._book.live(account_id)
            if trade.state is TradeState.PENDING
            and (not symbols or trade.signal.symbol in symbols)
            and (not strategies or trade.signal.strategy in strategies)
        ]

    # -------------------------------------------------------------------------------------------------------- as it is

    def get(self, trade_id: str) -> Trade:
        """The trade. Raises NOT_FOUND."""
        return self._now(trade_id)

    def find(self, account_id: str, client_trade_id: str) -> Trade:
        """The trade with this key. Raises NOT_FOUND."""
        trade = self._book.find(account_id, client_trade_id)
        if trade is None:
            raise unknown(client_trade_id)
        return self._protector.stand(trade)[0]

    def wake(self, account_id: str) -> None:
        """Look after every trade of the account now: what may be sent has changed."""
        for trade in self._book.live(account_id):
            self._protector.wake(account_id, trade.trade_id)

    def orders(self, trade: Trade) -> Sequence[Order]:
        """Its orders, the entry first."""
        return self._protector.stand(trade)[1].all

    def _of(self, trade_id: str) -> Trade:
        trade = self._book.get(trade_id)
        if trade is None or trade.account_id not in self._protector.around:
            raise unknown(trade_id)
        return trade

    def _at(self, trade: Trade) -> datetime:
        return self._protector.around[trade.account_id].account.clock.now()

    @staticmethod
    def _is_repeat(trade: Trade, what: str, request_id: str, content: str) -> bool:
        """Whether this request was taken before. Raises ALREADY_EXISTS when it asked for something else."""
        if not request_id:
            return False
        before = next((one for one in trade.asked if one.request_id == f"{what}:{request_id}"), None)
        if before is not None and before != Asked(request_id=before.request_id, content=content):
            raise EngineError(
                Kind.ALREADY_EXISTS,
                "REQUEST_ID_REUSED",
                f"request_id {request_id} was used for another request about this trade",
                subject=("orderd.Trade", trade.trade_id),
            )
        return before is not None


async def _outcome(work: Coroutine[Any, Any, T]) -> T | EngineError | JournalError:
    """An error that is the caller's to hear does not end the process."""
    try:
        return await work
    except (EngineError, JournalError) as error:
        return error
