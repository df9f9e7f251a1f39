"""Where a trade stands after its orders have changed: its state, its protection, what it holds and what it made.

`follow` derives all of it from the orders, as often as it is asked; what differs from the last record is told as
steps, each of which becomes one event.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from orderd.core.order import Order
from orderd.core.trade import ExitReason, Figures, Protection, Trade, TradeOrders, TradeState, figures
from orderd.core.values import ZERO, Reason, Value, add, divide, multiply, subtract


class TradeEvent(StrEnum):
    """What happened to a trade; names are those of `oms.v1.DeskEventType` without its prefix."""

    TRADE_CREATED = "TRADE_CREATED"
    TRADE_DENIED = "TRADE_DENIED"
    TRADE_OPENED = "TRADE_OPENED"
    TRADE_FILLED = "TRADE_FILLED"
    TRADE_CLOSING = "TRADE_CLOSING"
    TRADE_CLOSED = "TRADE_CLOSED"
    TRADE_NEVER_OPENED = "TRADE_NEVER_OPENED"
    TRADE_REOPENED = "TRADE_REOPENED"
    TRADE_ADJUSTED = "TRADE_ADJUSTED"
    CANDLE_COUNTED = "CANDLE_COUNTED"
    STOP_ARMING = "STOP_ARMING"
    PROTECTED = "PROTECTED"
    UNPROTECTED = "UNPROTECTED"
    DISARMED = "DISARMED"
    STOP_MOVED = "STOP_MOVED"
    STOP_FALLBACK = "STOP_FALLBACK"
    EXIT_SENDING = "EXIT_SENDING"
    EXIT_WAITING = "EXIT_WAITING"
    ORDER_CANCELING = "ORDER_CANCELING"
    EXIT_FAILED = "EXIT_FAILED"


class TradeStep(Value, frozen=True, kw_only=True):
    """One event and the trade after it."""

    event: TradeEvent
    after: Trade


_MICROSECOND = timedelta(microseconds=1)
_PROTECTION_EVENTS = {
    Protection.PROTECTED: TradeEvent.PROTECTED,
    Protection.UNPROTECTED: TradeEvent.UNPROTECTED,
    Protection.DISARMED: TradeEvent.DISARMED,
}
"""Arming is told when the stop is sent, and that nothing is held by the trade's end."""


def step(trade: Trade, event: TradeEvent, at: datetime, **changes: object) -> TradeStep:
    """Return the trade's next version with these fields changed."""
    after = msgspec.structs.replace(trade, version=trade.version + 1, updated_time=at, **changes)
    return TradeStep(event=event, after=after)


def follow(trade: Trade, orders: TradeOrders, *, at: datetime, spell_us: int | None = None) -> tuple[TradeStep, ...]:
    """Return what changed for the trade with its orders, oldest first; nothing when the record says it all.

    `spell_us`: microseconds that the present spell without cover has lasted, when a monotonic clock has seen it begin.
    """
    sums = figures(trade, orders)
    steps: list[TradeStep] = []
    state = _state(trade, orders, sums)
    if state is not trade.state or _told(trade) != _tells(trade, orders, sums):
        steps.append(step(trade, _event(trade, state), at, **_changes(trade, orders, sums, state, at)))
    now = steps[-1].after if steps else trade
    protection = _protection(now, orders, sums)
    covered = max(min(sums.working_leaves, sums.open), ZERO)
    if protection is not now.protection or covered != now.protected_quantity:
        event, changes = _protected(now, protection, covered, at=at, spell_us=spell_us)
        if steps and protection is Protection.NONE:  # the end says it, too: nothing is held
            after = msgspec.structs.replace(now, **changes)
            steps[-1] = TradeStep(event=steps[-1].event, after=after)
        else:
            steps.append(step(now, event, at, **changes))
    return tuple(steps)


def _state(trade: Trade, orders: TradeOrders, sums: Figures) -> TradeState:
    is_live = any(order.is_open for order in orders.all)
    if not sums.entered:
        is_ended = orders.entry is None and trade.reason is not None
        return TradeState.NEVER_OPENED if is_ended or (orders.entry is not None and not is_live) else TradeState.PENDING
    if sums.open <= 0:
        return TradeState.CLOSING if is_live else TradeState.CLOSED
    return TradeState.OPEN if trade.closing is None else TradeState.CLOSING


def _told(trade: Trade) -> tuple[object, ...]:
    return (trade.open_quantity, trade.average_entry_price, trade.average_exit_price, trade.realized_pnl)


def _tells(trade: Trade, orders: TradeOrders, sums: Figures) -> tuple[object, ...]:
    return (max(sums.open, ZERO), sums.average_entry, sums.average_exit, _realized(trade, orders, sums))


def _event(trade: Trade, state: TradeState) -> TradeEvent:
    match state:
        case TradeState.CLOSED if trade.state is not TradeState.CLOSED:
            return TradeEvent.TRADE_CLOSED
        case TradeState.NEVER_OPENED if trade.state is not TradeState.NEVER_OPENED:
            return TradeEvent.TRADE_NEVER_OPENED
        case TradeState.OPEN | TradeState.CLOSING if trade.is_over:
            return TradeEvent.TRADE_REOPENED
        case TradeState.OPEN | TradeState.CLOSING if trade.state is TradeState.PENDING:
            return TradeEvent.TRADE_OPENED
        case _:
            return TradeEvent.TRADE_FILLED


def _changes(trade: Trade, orders: TradeOrders, sums: Figures, state: TradeState, at: datetime) -> dict[str, object]:
    held, entry, exit_price, pnl = _tells(trade, orders, sums)
    is_over = state in {TradeState.CLOSED, TradeState.NEVER_OPENED}
    return {
        "state": state,
        "open_quantity": held,
        "average_entry_price": entry,
        "average_exit_price": exit_price,
        "realized_pnl": pnl,
        "opened_time": trade.opened_time or (at if sums.entered else None),
        "closed_time": (trade.closed_time or at) if is_over else None,
        "reason": _reason(trade, orders, state),
        "exit_reason": _exit_reason(trade, orders, state),
    }


def _exit_reason(trade: Trade, orders: TradeOrders, state: TradeState) -> ExitReason | None:
    """What nobody asked to close, and nobody else has closed, its stop has; what opens again has no reason yet."""
    if trade.is_over:
        return trade.exit_reason if state is trade.state else None
    is_by_itself = trade.closing is None and trade.exit_reason not in {ExitReason.EXTERNAL, ExitReason.EXPIRY}
    if state is TradeState.CLOSED and is_by_itself and any(stop.filled_quantity for stop in orders.stops):
        return ExitReason.STOP_LOSS
    return trade.exit_reason


def _reason(trade: Trade, orders: TradeOrders, state: TradeState) -> Reason | None:
    """A trade that never opened says why: its entry's own reason."""
    if state is TradeState.NEVER_OPENED and orders.entry is not None:
        return orders.entry.reason or trade.reason
    return trade.reason


def _realized(trade: Trade, orders: TradeOrders, sums: Figures) -> Decimal | None:
    """The result of what was closed, fees taken off: exact once all is closed, else by the average entry."""
    if trade.multiplier is None or not sums.closed or not sums.entered:
        return None
    share = min(sums.closed, sums.entered)
    cost = sums.entered_value if share == sums.entered else divide(multiply(sums.entered_value, share), sums.entered)
    earned = multiply(multiply(subtract(sums.closed_value, cost), Decimal(trade.sign)), trade.multiplier)
    fees = ZERO
    for order in orders.all:
        fees = add(fees, _fees(order))
    return subtract(earned, fees)


def _fees(order: Order) -> Decimal:
    fees = ZERO
    for fill in order.fills:
        if fill.is_counted and fill.fee is not None:
            fees = add(fees, fill.fee)
    return fees


def _protection(trade: Trade, orders: TradeOrders, sums: Figures) -> Protection:
    if sums.open <= 0:
        return Protection.NONE
    if sums.working_leaves >= sums.open:
        return Protection.PROTECTED
    if trade.is_disarmed:
        return Protection.DISARMED
    is_coming = add(sums.stop_leaves, sums.exit_leaves) >= sums.open
    is_changing = any(stop.is_open and stop.pending_replace is not None for stop in orders.stops)
    is_closing = trade.closing is not None
    return Protection.ARMING if is_coming or is_changing or is_closing else Protection.UNPROTECTED


def _protected(
    trade: Trade, protection: Protection, covered: Decimal, *, at: datetime, spell_us: int | None
) -> tuple[TradeEvent, dict[str, object]]:
    is_bare = protection not in {Protection.NONE, Protection.PROTECTED}
    since, lasted = trade.unprotected_since, trade.unprotected_us
    if is_bare:
        since = since or at
    elif since is not None:
        spell = max((at - since) // _MICROSECOND, 0) if spell_us is None else spell_us
        since, lasted = None, lasted + spell
    changes: dict[str, object] = {
        "protection": protection,
        "protected_quantity": covered,
        "unprotected_since": since,
        "unprotected_us": lasted,
    }
    return _PROTECTION_EVENTS.get(protection, TradeEvent.TRADE_FILLED), changes
