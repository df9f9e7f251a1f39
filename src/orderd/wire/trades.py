"""Trades as `oms.v1` messages: the record's body, the event of a step, and a caller's signal."""

from datetime import timedelta

from oms.v1 import trade_service_pb2 as pb
from orderd.core.order import EventSource, OrderRole
from orderd.core.trade import Signal, Trade
from orderd.core.trade_life import TradeStep
from orderd.core.values import OrderId
from orderd.wire import desk_enums as words
from orderd.wire import enums
from orderd.wire.messages import reason_message, text_of
from orderd.wire.risk import sizing_message
from orderd.wire.times import set_time


def signal_message(signal: Signal) -> pb.Signal:
    """Return a signal as it was sent."""
    message = pb.Signal(
        symbol=signal.symbol,
        side=enums.SIDE.number[signal.side],
        entry_price=text_of(signal.entry_price),
        stop_loss_price=text_of(signal.stop_loss_price),
        type=enums.TYPE.number[signal.type],
        time_in_force=enums.TIME_IN_FORCE.number[signal.time_in_force],
        strategy=signal.strategy,
        max_candles=signal.max_candles,
        extended_hours=signal.extended_hours,
    )
    set_time(message.signal_time, signal.signal_time)
    return message


def trade_message(trade: Trade) -> pb.Trade:
    """Return a trade as a message, without its sequence."""
    message = pb.Trade(
        trade_id=trade.trade_id,
        client_trade_id=trade.client_trade_id,
        account_id=trade.account_id,
        decision_id=trade.decision_id,
        trace_id=trade.trace_id,
        signal=signal_message(trade.signal),
        state=words.TRADE_STATE.number[trade.state],
        protection=words.PROTECTION.number[trade.protection],
        entry_quantity=text_of(trade.quantity),
        open_quantity=text_of(trade.open_quantity),
        protected_quantity=text_of(trade.protected_quantity),
        closed_outside_quantity=text_of(trade.closed_outside) if trade.closed_outside else "",
        stop_price=text_of(trade.stop_price),
        average_entry_price=text_of(trade.average_entry_price),
        average_exit_price=text_of(trade.average_exit_price),
        realized_pnl=text_of(trade.realized_pnl),
        multiplier=text_of(trade.multiplier),
        entry_order_id=next(iter(_ids(trade, OrderRole.ENTRY)), ""),
        stop_order_ids=_ids(trade, OrderRole.STOP_LOSS),
        exit_order_ids=_ids(trade, OrderRole.EXIT),
        exit_reason=pb.EXIT_REASON_UNSPECIFIED
        if trade.exit_reason is None
        else words.EXIT_REASON.number[trade.exit_reason],
        candles=trade.candles,
        on_partial=words.ON_PARTIAL.number[trade.on_partial],
        on_entry_end=words.ON_ENTRY_END.number[trade.on_entry_end],
        tags=dict(trade.tags),
        accept_unprotected=trade.accept_unprotected,
        version=trade.version,
    )
    if trade.sizing is not None:
        message.sizing.CopyFrom(sizing_message(trade.sizing))
    if trade.reason is not None:
        message.status_reason.CopyFrom(reason_message(trade.reason))
    if trade.unprotected_us:
        message.unprotected_duration.FromTimedelta(timedelta(microseconds=trade.unprotected_us))
    set_time(message.unprotected_since_time, trade.unprotected_since)
    set_time(message.created_time, trade.created_time)
    set_time(message.opened_time, trade.opened_time)
    set_time(message.closed_time, trade.closed_time)
    set_time(message.updated_time, trade.updated_time)
    return message


def trade_event_bytes(step: TradeStep, *, order_id: OrderId | str = "", source: EventSource) -> bytes:
    """Return the bytes of the event of a step, without the trade and its sequence."""
    trade = step.after
    event = pb.DeskEvent(
        type=words.TRADE_EVENT.number[step.event],
        account_id=trade.account_id,
        symbol=trade.signal.symbol,
        strategy=trade.signal.strategy,
        trace_id=trade.trace_id,
        decision_id=trade.decision_id,
        trade_id=trade.trade_id,
        order_id=order_id,
        source=enums.SOURCE.number[source],
    )
    if trade.reason is not None:
        event.reason.CopyFrom(reason_message(trade.reason))
    set_time(event.recorded_time, trade.updated_time)
    return event.SerializeToString(deterministic=True)


def _ids(trade: Trade, role: OrderRole) -> list[str]:
    return [child.order_id for child in trade.of(role) if child.order_id is not None]
