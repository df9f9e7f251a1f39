"""A trade's orders as intents: what its entry, its stops and its exits ask the engine for."""

from decimal import Decimal

from orderd.core.instruments import asset_class_of_symbol
from orderd.core.order import AssetClass, OrderIntent, OrderRole, OrderType, PositionIntent, Side, Terms, TimeInForce
from orderd.core.trade import Child, Trade
from orderd.wire.results import EXIT_REASON_TAG


def intent_of(trade: Trade, child: Child, times_in_force: frozenset[TimeInForce]) -> OrderIntent:
    """The intent of one of the trade's orders. `times_in_force`: those that the broker takes for its quantity."""
    is_entry = child.role is OrderRole.ENTRY
    side = trade.signal.side if is_entry else trade.exit_side
    return OrderIntent(
        account_id=trade.account_id,
        client_order_id=child.client_order_id,
        symbol=trade.signal.symbol,
        side=side,
        terms=_entry_terms(trade, child) if is_entry else _closing_terms(child, times_in_force),
        position_intent=_position_intent(trade, side, is_entry=is_entry),
        trace_id=trade.trace_id,
        decision_id=_decision(trade, child),
        trade_id=trade.trade_id,
        decided_time=trade.signal.signal_time if is_entry else None,
        valid_until_time=trade.enter_by if is_entry else None,
        reference_price=trade.signal.entry_price if is_entry else None,
        strategy=trade.signal.strategy,
        role=child.role,
        tags=_tags(trade, child),
    )


def _decision(trade: Trade, child: Child) -> str:
    """An exit carries the decision to exit, when there was one; the rest that of the trade."""
    closing = trade.closing if child.role is OrderRole.EXIT else None
    return trade.decision_id if closing is None or not closing.decision_id else closing.decision_id


def _tags(trade: Trade, child: Child) -> tuple[tuple[str, str], ...]:
    """The trade's labels; an exit also says why, for whoever works out what came of it."""
    if child.role is not OrderRole.EXIT or trade.closing is None:
        return trade.tags
    return tuple(sorted((dict(trade.tags) | {EXIT_REASON_TAG: trade.closing.reason.value}).items()))


def _entry_terms(trade: Trade, child: Child) -> Terms:
    signal = trade.signal
    return Terms(
        type=signal.type,
        time_in_force=signal.time_in_force,
        quantity=child.quantity,
        limit_price=signal.entry_price if signal.type is OrderType.LIMIT else None,
        stop_price=signal.entry_price if signal.type is OrderType.STOP else None,
        extended_hours=signal.extended_hours,
    )


def _closing_terms(child: Child, times_in_force: frozenset[TimeInForce]) -> Terms:
    """A stop stays until it is taken back where the broker lets it; an exit is for now."""
    lasting = TimeInForce.GTC if TimeInForce.GTC in times_in_force else TimeInForce.DAY
    if child.role is OrderRole.STOP_LOSS:
        return Terms(type=OrderType.STOP, time_in_force=lasting, quantity=child.quantity, stop_price=child.price)
    now = TimeInForce.DAY if TimeInForce.DAY in times_in_force else lasting
    return _exit_terms(child.quantity, child.price, now)


def _exit_terms(quantity: Decimal, limit_price: Decimal | None, time_in_force: TimeInForce) -> Terms:
    if limit_price is None:
        return Terms(type=OrderType.MARKET, time_in_force=time_in_force, quantity=quantity)
    return Terms(
        type=OrderType.LIMIT,
        time_in_force=time_in_force,
        quantity=quantity,
        limit_price=limit_price,
        extended_hours=True,
    )


def _position_intent(trade: Trade, side: Side, *, is_entry: bool) -> PositionIntent | None:
    """Options say whether they open or close; shares follow from the position."""
    if asset_class_of_symbol(trade.signal.symbol) is not AssetClass.US_OPTION:
        return None
    if side is Side.BUY:
        return PositionIntent.BUY_TO_OPEN if is_entry else PositionIntent.BUY_TO_CLOSE
    return PositionIntent.SELL_TO_OPEN if is_entry else PositionIntent.SELL_TO_CLOSE
