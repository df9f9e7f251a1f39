"""Positions on the wire: what an order's event says of holdings, and a position as a message."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from oms.v1 import order_pb2 as pb
from oms.v1 import position_service_pb2 as position_pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.activities import ActivityKind
from orderd.core.adjustments import Adjustment
from orderd.core.instruments import multiplier_of_symbol
from orderd.core.order import AssetClass, EventSource, Side
from orderd.core.positions import Position, Traded
from orderd.core.values import Reason, Value, canonical, multiply
from orderd.wire import enums
from orderd.wire.messages import order_event, reason_message, text_of
from orderd.wire.symbols import contract
from orderd.wire.times import read_time, set_time

_COUNTED: Final = frozenset({pb.FILL_STATUS_LIVE, pb.FILL_STATUS_INFERRED})
_TELLS_OF_FILLS: Final = frozenset(
    {pb.ORDER_EVENT_TYPE_FILL, pb.ORDER_EVENT_TYPE_FILL_CORRECTED, pb.ORDER_EVENT_TYPE_FILL_BUSTED}
)


class Moves(Value, frozen=True, kw_only=True):
    """What one event of an order changes in a holding."""

    account_id: str
    symbol: str
    multiplier: Decimal | None
    order_id: str
    source: EventSource
    at: datetime
    added: tuple[Traded, ...] = ()
    removed: tuple[Traded, ...] = ()
    """Fills that count no more, as they were traded."""
    trade_id: str = ""
    """Of a fill in the books: the trade of its order."""


def moves_of(data: bytes) -> Moves | None:
    """What an event of an order says of holdings, also one that was made outside orderd; None when nothing."""
    event = order_event(data)
    if event.type not in _TELLS_OF_FILLS or not event.HasField("fill"):
        return None
    fills = (event.fill, *event.other_fills)
    return Moves(
        account_id=event.order.account_id,
        symbol=event.order.symbol,
        multiplier=_multiplier(event.order),
        order_id=event.order.order_id,
        source=enums.SOURCE.word.get(event.source, EventSource.ENGINE),
        at=max(read_time(event.recorded_time), *(read_time(fill.recorded_time) for fill in fills)),
        added=tuple(_traded(fill, event.order.strategy) for fill in fills if fill.status in _COUNTED),
        removed=tuple(_traded(fill, event.order.strategy) for fill in fills if fill.status not in _COUNTED),
    )


def moves_of_fill(order: bytes, data: bytes) -> Moves | None:
    """The same of a fill as it stands in the books; None when it does not count."""
    fill, asked = pb.Fill.FromString(data), pb.Order.FromString(order)
    if fill.status not in _COUNTED:
        return None
    return Moves(
        account_id=fill.account_id,
        symbol=fill.symbol,
        multiplier=_multiplier(asked),
        order_id=fill.order_id,
        source=enums.SOURCE.word.get(fill.source, EventSource.ENGINE),
        at=read_time(fill.recorded_time),
        added=(_traded(fill, asked.strategy),),
        removed=(),
        trade_id=asked.trade_id,
    )


def executed_time(data: bytes) -> datetime:
    """When a fill was executed; one whose time nobody told counts as executed when it was recorded."""
    fill = pb.Fill.FromString(data)
    return read_time(fill.occurred_time if fill.HasField("occurred_time") else fill.recorded_time)


def _multiplier(order: pb.Order) -> Decimal | None:
    known = multiplier_of_symbol(order.symbol)
    return Decimal(order.multiplier) if known is not None and order.multiplier else known


def _traded(fill: pb.Fill, strategy: str) -> Traded:
    quantity = Decimal(fill.quantity)
    return Traded(
        change_id=fill.fill_id,
        quantity=quantity if enums.SIDE.word[fill.side] is Side.BUY else quantity.copy_negate(),
        price=Decimal(fill.price) if fill.price else None,
        strategy=strategy,
    )


def asset_class_of(symbol: str) -> AssetClass:
    """What a canonical symbol names."""
    if "/" in symbol:
        return AssetClass.CRYPTO
    return AssetClass.US_EQUITY if contract(symbol) is None else AssetClass.US_OPTION


def position_message(position: Position) -> position_pb.Position:
    """The journaled part of a position, without its sequence."""
    holding = position.holding
    message = position_pb.Position(
        position_id=position.position_id,
        account_id=position.account_id,
        symbol=position.symbol,
        asset_class=enums.ASSET_CLASS.number[position.asset_class],
        multiplier=text_of(position.multiplier),
        fill_quantity=text_of(holding.quantity),
        average_price=text_of(holding.average_price),
        opening_quantity=text_of(position.opening_quantity) if position.opening_quantity else "",
        strategies=[
            position_pb.StrategyPosition(
                strategy=share.strategy,
                quantity=text_of(share.quantity),
                average_price=text_of(share.average_price),
                realized_pnl=text_of(_money(share.realized, position.multiplier)),
            )
            for share in holding.shares
        ],
        adjustments=[_adjustment_message(each) for each in position.adjustments],
        version=position.version,
    )
    describe(message)
    set_time(message.opened_time, position.opened_time)
    set_time(message.closed_time, position.closed_time)
    set_time(message.updated_time, position.updated_time)
    return message


def _adjustment_message(each: Adjustment) -> position_pb.PositionAdjustment:
    is_split = each.kind is ActivityKind.SPLIT
    message = position_pb.PositionAdjustment(
        adjustment_id=each.adjustment_id,
        kind=position_pb.AdjustmentKind.Value(f"ADJUSTMENT_KIND_{each.kind}"),
        new_units=text_of(each.new) if is_split else "",
        old_units=text_of(each.old) if is_split else "",
        price="" if is_split else text_of(each.price),
        shares=[position_pb.AdjustmentShare(strategy=name, quantity=text_of(q)) for name, q in each.shares],
        option_symbol=each.option_symbol,
        option_adjustment_id=each.option_adjustment_id,
        units_per_contract=text_of(each.per_contract) if each.option_symbol else "",
        version=each.version,
    )
    set_time(message.effective_time, each.effective_time)
    return message


def adjustments_of(message: position_pb.Position) -> tuple[Adjustment, ...]:
    """What was booked with this version of a position."""
    return tuple([_adjustment(each) for each in message.adjustments if each.version == message.version])


def all_adjustments(message: position_pb.Position) -> tuple[Adjustment, ...]:
    """Everything that was booked to a position, oldest first."""
    return tuple([_adjustment(each) for each in message.adjustments])


def _adjustment(message: position_pb.PositionAdjustment) -> Adjustment:
    return Adjustment(
        adjustment_id=message.adjustment_id,
        kind=ActivityKind(position_pb.AdjustmentKind.Name(message.kind).removeprefix("ADJUSTMENT_KIND_")),
        effective_time=read_time(message.effective_time),
        new=Decimal(message.new_units or 1),
        old=Decimal(message.old_units or 1),
        price=Decimal(message.price or 0),
        shares=tuple([(share.strategy, Decimal(share.quantity)) for share in message.shares]),
        option_symbol=message.option_symbol,
        option_adjustment_id=message.option_adjustment_id,
        per_contract=Decimal(message.units_per_contract or 0),
        version=message.version,
    )


def describe(message: position_pb.Position) -> None:
    """Add what an option's symbol says."""
    option = contract(message.symbol)
    if option is not None:
        message.underlying = option.root
        message.option.expiry_date = option.expiry.isoformat()
        message.option.strike = canonical(option.strike)
        message.option.right = pb.OPTION_RIGHT_CALL if option.is_call else pb.OPTION_RIGHT_PUT


def _money(value: Decimal | None, multiplier: Decimal | None) -> Decimal | None:
    return None if value is None or multiplier is None else multiply(value, multiplier)


def position_event(
    position: Position, *, order_id: str, source: EventSource, reason: Reason | None, strategies: Sequence[str] = ()
) -> bytes:
    """The event that tells of a position's change, but for its subject and sequence.

    `reason` says what happened when it was no fill. One of a single strategy carries that strategy.
    """
    event = desk_pb.DeskEvent(
        type=desk_pb.DESK_EVENT_TYPE_POSITION_CHANGED if reason is None else desk_pb.DESK_EVENT_TYPE_POSITION_ADJUSTED,
        account_id=position.account_id,
        symbol=position.symbol,
        strategy=strategies[0] if len(strategies) == 1 else "",
        order_id=order_id,
        source=enums.SOURCE.number[source],
    )
    if reason is not None:
        event.reason.CopyFrom(reason_message(reason))
    set_time(event.recorded_time, position.updated_time)
    return event.SerializeToString(deterministic=True)
