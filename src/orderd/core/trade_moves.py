"""What is written down before a step is taken, and what a caller's request changes in a trade. Pure.

Rule: an order that is to be sent is a `Child` first, and one that is to be cancelled is named first: whoever comes
after a crash knows what was meant.
"""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from orderd.core import keys
from orderd.core.order import OrderRole
from orderd.core.trade import Asked, Child, Closing, ExitReason, Protection, Trade, TradeState
from orderd.core.trade_life import TradeEvent, TradeStep, step
from orderd.core.trade_steps import (
    BeginClosing,
    CancelChild,
    CloseExternally,
    Disarm,
    EndClosing,
    Judged,
    NeverSent,
    ReadOrder,
    SendExit,
    SendStop,
    Step,
)
from orderd.core.values import ROUNDED, ZERO, OrderId, Reason, add, subtract


def noted(
    trade: Trade,
    taken: Step,
    *,
    at: datetime,
    session: str = "",
    last_stop: OrderId | None = None,
    tick: Decimal | None = None,
    exit_price: Decimal | None = None,
) -> TradeStep | None:
    """Return the record that goes before a step; None when its order's own events say it all.

    `session`: the session's day; `last_stop`: the newest stop there was; `tick`: the price increment at the stop;
    `exit_price`: the limit of an exit outside the session.
    """
    match taken:
        case SendStop():
            return _arming(trade, taken, at=at, session=session, last_stop=last_stop, tick=tick)
        case SendExit(quantity=quantity):
            child = _child(trade, OrderRole.EXIT, quantity, exit_price)
            return step(trade, TradeEvent.EXIT_SENDING, at, children=(*trade.children, child))
        case CancelChild(order_id=order_id):
            named = (*trade.canceled_by_us, order_id)
            return step(trade, TradeEvent.ORDER_CANCELING, at, canceled_by_us=named)
        case ReadOrder(is_late=True) if trade.closing is not None:
            late = msgspec.structs.replace(trade.closing, is_late=True)
            why = Reason(code="STOP_END_UNPROVEN", message="the end of the stop is not proven; no exit is sent")
            return step(trade, TradeEvent.EXIT_WAITING, at, closing=late, reason=why)
        case BeginClosing() | EndClosing() | Disarm() | Judged() | CloseExternally() | NeverSent():
            return _concluded(trade, taken, at)
        case _:
            return None


def _concluded(
    trade: Trade, taken: BeginClosing | EndClosing | Disarm | Judged | CloseExternally | NeverSent, at: datetime
) -> TradeStep:
    """What is decided without an order."""
    match taken:
        case BeginClosing(reason=cause, text=text):
            event = TradeEvent.STOP_FALLBACK if cause is ExitReason.STOP_FALLBACK else TradeEvent.TRADE_CLOSING
            closing = _closing(trade, ZERO, cause, at=at, text=text)
            return step(trade, event, at, closing=closing, exit_reason=cause, state=_while_closing(trade))
        case EndClosing(failed=failed):
            return _given_up(trade, failed, at) if failed else _done(trade, at)
        case Disarm(stop_id=stop_id, text=text):
            handled = (*trade.handled_stops, stop_id)
            why = Reason(code="DISARMED", message=text)
            told = Protection.DISARMED if trade.protection is Protection.UNPROTECTED else trade.protection
            changes = {"is_disarmed": True, "handled_stops": handled, "reason": why, "protection": told}
            return step(trade, TradeEvent.DISARMED, at, **changes)
        case CloseExternally(held=held):
            return _gone(trade, held, at)
        case NeverSent():
            return never_sent(trade, "closed before its entry was written", code="CLOSED", at=at)
        case _:
            return step(trade, TradeEvent.TRADE_FILLED, at, is_entry_end_judged=True)


def _arming(
    trade: Trade, taken: SendStop, *, at: datetime, session: str, last_stop: OrderId | None, tick: Decimal | None
) -> TradeStep:
    price = rounded_toward_market(trade, tick) if taken.rounds_price and tick is not None else trade.stop_price
    child = _child(trade, OrderRole.STOP_LOSS, taken.quantity, price)
    changes: dict[str, object] = {"children": (*trade.children, child), "stop_price": price}
    if taken.is_rearm and last_stop is not None:
        count = trade.rearms if trade.rearm_day == session else 0
        handled = (*trade.handled_stops, last_stop)
        changes |= {"rearms": count + 1, "rearm_day": session, "handled_stops": handled}
    return step(trade, TradeEvent.STOP_ARMING, at, **changes)


def rounded_toward_market(trade: Trade, tick: Decimal) -> Decimal:
    """Return the stop's price as a whole number of ticks: up below a long position, down above a short one."""
    rounding = ROUND_CEILING if trade.sign > 0 else ROUND_FLOOR
    ticks = ROUNDED.divide(trade.stop_price, tick).to_integral_value(rounding=rounding)
    return ROUNDED.multiply(ticks, tick)


def _child(trade: Trade, role: OrderRole, quantity: Decimal, price: Decimal | None) -> Child:
    number = trade.next_number(role)
    key = keys.trade_key(trade.trade_id, role, number)
    return Child(role=role, number=number, client_order_id=key, quantity=quantity, price=price)


def _closing(
    trade: Trade,
    target: Decimal,
    reason: ExitReason,
    *,
    at: datetime,
    text: str = "",
    request_id: str = "",
    decision_id: str = "",
) -> Closing:
    return Closing(
        target=target,
        reason=reason,
        text=text,
        request_id=request_id,
        decision_id=decision_id,
        asked_time=at,
        first_exit=trade.next_number(OrderRole.EXIT),
    )


def _while_closing(trade: Trade) -> TradeState:
    return TradeState.CLOSING if trade.open_quantity else trade.state


def _after_closing(trade: Trade) -> TradeState:
    return TradeState.OPEN if trade.open_quantity else trade.state


def _done(trade: Trade, at: datetime) -> TradeStep:
    return step(trade, TradeEvent.TRADE_FILLED, at, closing=None, state=_after_closing(trade))


def _given_up(trade: Trade, failed: str, at: datetime) -> TradeStep:
    reason = Reason(code="EXIT_FAILED", message=failed)
    state = _after_closing(trade)
    return step(trade, TradeEvent.EXIT_FAILED, at, closing=None, reason=reason, exit_reason=None, state=state)


def _gone(trade: Trade, held: Decimal, at: datetime) -> TradeStep:
    text = f"the broker holds {held} of {trade.signal.symbol}; no order of this trade has closed {trade.open_quantity}"
    return step(
        trade,
        TradeEvent.TRADE_FILLED,
        at,
        closing=None,
        closed_outside=add(trade.closed_outside, trade.open_quantity),
        exit_reason=ExitReason.EXTERNAL,
        reason=Reason(code="EXTERNAL", message=text),
    )


# ----------------------------------------------------------------------------------------------------------- requests


def close_asked(
    trade: Trade,
    *,
    quantity: Decimal | None,
    reason: ExitReason,
    text: str,
    request_id: str,
    decision_id: str = "",
    at: datetime,
) -> TradeStep:
    """Return the trade as it is being closed, down to what the request leaves. It replaces a closing under way."""
    target = ZERO if quantity is None else max(subtract(trade.open_quantity, quantity), ZERO)
    if trade.closing is not None:
        target = min(target, trade.closing.target)
    closing = _closing(trade, target, reason, at=at, text=text, request_id=request_id, decision_id=decision_id)
    content = "all" if quantity is None else str(quantity)
    asked = (*trade.asked, Asked(request_id=f"close:{request_id}", content=content)) if request_id else trade.asked
    state = _while_closing(trade)
    return step(trade, TradeEvent.TRADE_CLOSING, at, closing=closing, exit_reason=reason, asked=asked, state=state)


def stop_moved(trade: Trade, price: Decimal, *, request_id: str, text: str, at: datetime) -> TradeStep:
    """Return the trade with its stop wanted at another price."""
    asked = (*trade.asked, Asked(request_id=f"move:{request_id}", content=str(price))) if request_id else trade.asked
    reason = Reason(code="STOP_MOVED", message=text) if text else trade.reason
    return step(trade, TradeEvent.STOP_MOVED, at, stop_price=price, stop_time=at, asked=asked, reason=reason)


def rearmed(trade: Trade, price: Decimal | None, *, at: datetime, session: str) -> TradeStep:
    """Return the trade as one that is to be protected again."""
    return step(
        trade,
        TradeEvent.STOP_ARMING,
        at,
        is_disarmed=False,
        stop_price=trade.stop_price if price is None else price,
        stop_time=trade.stop_time if price is None else at,
        rearms=0,
        rearm_day=session,
        reason=None,
    )


def candle_counted(trade: Trade, candle_time: datetime, *, at: datetime) -> TradeStep | None:
    """Return the trade with a candle counted; None for a candle that was counted, or is older."""
    if trade.candle_time is not None and candle_time <= trade.candle_time:
        return None
    return step(trade, TradeEvent.CANDLE_COUNTED, at, candles=trade.candles + 1, candle_time=candle_time)


def never_sent(trade: Trade, text: str, *, at: datetime, code: str = "STALE") -> TradeStep:
    """Return the trade as one whose entry was never written, and is not to be any more."""
    reason = Reason(code=code, message=text)
    changes = {"state": TradeState.NEVER_OPENED, "reason": reason, "closing": None, "closed_time": at}
    return step(trade, TradeEvent.TRADE_NEVER_OPENED, at, **changes)
