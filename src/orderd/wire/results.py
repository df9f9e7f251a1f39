"""Completed trades on the wire: what an order's event says of fills, and a result as a message.

Rule: everything a result says is worked out from the events it was made of. No clock is asked and no id is made, so
working it out again gives the same bytes.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from google.protobuf.duration_pb2 import Duration

from oms.v1 import order_pb2 as pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.lots import Change, Fills
from orderd.core.order import CLOSING_INTENTS, CLOSING_ROLES, AssetClass, EventSource, OrderRole, Side
from orderd.core.performance import Performance, Point, Summary
from orderd.core.slices import Booked, Slice, Ticket
from orderd.core.trade import ExitReason
from orderd.core.values import FillId, OrderId, Value
from orderd.wire import enums
from orderd.wire.messages import order_event, text_of
from orderd.wire.symbols import Contract, contract
from orderd.wire.times import read_time, set_time

EXIT_REASON_TAG: Final = "exit_reason"
"""Label of an exit that the desk sends: why, in a word of `ExitReason`."""

_COUNTED: Final = frozenset({pb.FILL_STATUS_LIVE, pb.FILL_STATUS_INFERRED})
_TELLS_OF_FILLS: Final = frozenset(
    {pb.ORDER_EVENT_TYPE_FILL, pb.ORDER_EVENT_TYPE_FILL_CORRECTED, pb.ORDER_EVENT_TYPE_FILL_BUSTED}
)
_BY_ROLE: Final = {OrderRole.STOP_LOSS: ExitReason.STOP_LOSS, OrderRole.TAKE_PROFIT: ExitReason.TAKE_PROFIT}
_REASONS: Final = {reason.value: reason for reason in ExitReason}


class LedgerName(Value, frozen=True, kw_only=True):
    """Whose lots: first in, first out within these three."""

    account_id: str
    strategy: str
    symbol: str


class Told(Value, frozen=True, kw_only=True):
    """What one event of the journal changes in one ledger."""

    name: LedgerName
    change: Change
    sequence: int
    order_id: str
    source: EventSource
    cause: str
    """The event in a word, for whoever asks why a result changed."""
    at: datetime
    """When it was recorded."""

    def is_news(self, booked: Collection[FillId]) -> bool:
        """Whether it says of fills what a ledger with these fills does not know."""
        change = self.change
        if not isinstance(change, Fills):
            return True  # a ledger knows its splits and charges by itself
        return any(fill.fill_id not in booked for fill in change.added) or any(
            fill.fill_id in booked for fill in change.removed
        )


class Gone(Value, frozen=True, kw_only=True):
    """A trade's position went away outside orderd: what is open of its lots was closed at a price nobody told."""

    name: LedgerName
    trade_id: str
    sequence: int
    source: EventSource
    at: datetime
    closed_at: datetime

    def told(self, quantity: Decimal, side: Side) -> Told:
        """The change it makes when so much is open, entered with that side."""
        ticket = Ticket(
            order_id=OrderId(f"{self.trade_id}-external-{self.sequence}"),
            side=Side.SELL if side is Side.BUY else Side.BUY,
            reason=ExitReason.EXTERNAL,
            is_exit=True,
            trade_id=self.trade_id,
        )
        fill = Booked(
            ticket=ticket,
            fill_id=FillId(ticket.order_id),
            quantity=quantity,
            price=None,
            at=self.closed_at,
            sequence=self.sequence,
        )
        return Told(
            name=self.name,
            change=Fills(added=(fill,)),
            sequence=self.sequence,
            order_id="",
            source=self.source,
            cause="TRADE_CLOSED",
            at=self.at,
        )


def told_by_order(data: bytes, sequence: int) -> Told | None:
    """What an event of an order says of fills; None when nothing, or of an order that was made outside orderd."""
    event = order_event(data)
    if event.type not in _TELLS_OF_FILLS or not event.HasField("fill"):
        return None
    order = event.order
    if _is_a_strangers(order):
        return None
    ticket = ticket_of(order)
    fills = (event.fill, *event.other_fills)
    booked = [(booked_of(fill, ticket, sequence, n), fill.status in _COUNTED) for n, fill in enumerate(fills)]
    added = [fill for fill, is_counted in booked if is_counted]
    removed = [fill for fill, is_counted in booked if not is_counted]
    return Told(
        name=_name(order),
        change=Fills(added=tuple(added), removed=tuple(removed)),
        sequence=sequence,
        order_id=order.order_id,
        source=enums.SOURCE.word.get(event.source, EventSource.ENGINE),
        cause=pb.OrderEventType.Name(event.type).removeprefix("ORDER_EVENT_TYPE_"),
        at=read_time(event.recorded_time),
    )


def told_by_fill(order: bytes, data: bytes, number: int) -> Told | None:
    """The same of a fill as it stands in the books, at this place of a page of them."""
    fill, asked = pb.Fill.FromString(data), pb.Order.FromString(order)
    if _is_a_strangers(asked):
        return None
    booked = (booked_of(fill, ticket_of(asked), 0, number),)
    return Told(
        name=_name(asked),
        change=Fills(added=booked) if fill.status in _COUNTED else Fills(removed=booked),
        sequence=0,
        order_id=asked.order_id,
        source=enums.SOURCE.word.get(fill.source, EventSource.ENGINE),
        cause="FILL",
        at=read_time(fill.recorded_time),
    )


def order_of(fill: bytes) -> str:
    """The order that a fill belongs to."""
    return pb.Fill.FromString(fill).order_id


def _is_a_strangers(order: pb.Order) -> bool:
    """Made outside orderd, and nobody has said which trade it belongs to."""
    return order.external and not order.trade_id


def _name(order: pb.Order) -> LedgerName:
    return LedgerName(account_id=order.account_id, strategy=order.strategy, symbol=order.symbol)


def told_by_desk(data: bytes, sequence: int) -> Gone | None:
    """What an event of the desk says of lots: that a trade's position went away outside orderd. None otherwise."""
    event = desk_pb.DeskEvent.FromString(data)
    if event.type != desk_pb.DESK_EVENT_TYPE_TRADE_CLOSED or event.trade.exit_reason != desk_pb.EXIT_REASON_EXTERNAL:
        return None
    trade = event.trade
    at = read_time(trade.closed_time if trade.HasField("closed_time") else event.recorded_time)
    return Gone(
        name=LedgerName(account_id=event.account_id, strategy=event.strategy, symbol=event.symbol),
        trade_id=event.trade_id,
        sequence=sequence,
        source=enums.SOURCE.word.get(event.source, EventSource.ENGINE),
        at=read_time(event.recorded_time),
        closed_at=at,
    )


def ticket_of(order: pb.Order) -> Ticket:
    """What a ledger needs to know of an order."""
    role = enums.ROLE.word.get(order.role)
    reason = _BY_ROLE.get(role) if role is not None else None
    return Ticket(
        order_id=OrderId(order.order_id),
        side=enums.SIDE.word[order.side],
        reason=reason or _REASONS.get(order.tags.get(EXIT_REASON_TAG, ""), ExitReason.REQUESTED),
        is_exit=role in CLOSING_ROLES or enums.POSITION_INTENT.word.get(order.position_intent) in CLOSING_INTENTS,
        multiplier=_multiplier(order),
        trade_id=order.trade_id,
        decision_id=order.decision_id,
        trace_id=order.trace_id,
    )


def booked_of(fill: pb.Fill, ticket: Ticket, sequence: int, index: int) -> Booked:
    """A fill as a ledger takes it. One whose time nobody told counts as executed when it was recorded."""
    time = fill.occurred_time if fill.HasField("occurred_time") else fill.recorded_time
    return Booked(
        ticket=ticket,
        fill_id=FillId(fill.fill_id),
        quantity=Decimal(fill.quantity),
        price=Decimal(fill.price),
        fee=Decimal(fill.fee or 0),
        at=read_time(time),
        sequence=sequence,
        index=index,
    )


def contract_of(name: LedgerName) -> Contract | None:
    """The option contract that a ledger is about; None for anything else."""
    return contract(name.symbol)


def _multiplier(order: pb.Order) -> Decimal | None:
    """Units per contract; None for an adjusted contract, whose root says so by a digit: nobody told its size."""
    if order.asset_class == enums.ASSET_CLASS.number[AssetClass.US_OPTION]:
        option = contract(order.symbol)
        if option is None or any(letter.isdigit() for letter in option.root):
            return None
    return Decimal(order.multiplier) if order.multiplier else None


def completed_trade(name: LedgerName, each: Slice, *, created: datetime, updated: datetime) -> desk_pb.CompletedTrade:
    """A result as a message, without its sequence. Figures that cannot be known are empty."""
    entry, out = each.entry, each.exit
    message = desk_pb.CompletedTrade(
        completed_trade_id=each.slice_id,
        account_id=name.account_id,
        trade_id=entry.trade_id or out.trade_id,
        decision_id=entry.decision_id,
        trace_id=entry.trace_id,
        strategy=name.strategy,
        symbol=name.symbol,
        side=enums.SIDE.number[each.side],
        quantity=text_of(each.quantity),
        entry_price=text_of(each.entry_price),
        exit_price=text_of(each.exit_price),
        multiplier=text_of(entry.multiplier),
        gross_pnl=text_of(each.gross),
        fees=text_of(each.fees),
        pnl=text_of(each.pnl),
        pnl_pct=text_of(each.pnl_fraction),
        exit_reason=desk_pb.ExitReason.Value(f"EXIT_REASON_{out.reason.value}"),
        entry_order_ids=[] if entry.adjustment_id else [entry.order_id],
        exit_order_ids=[] if out.adjustment_id or out.reason is ExitReason.EXTERNAL else [out.order_id],
        entry_fill_ids=[] if entry.adjustment_id else [fill.fill_id for fill in each.entries],
        exit_fill_ids=[] if out.adjustment_id else [fill.fill_id for fill in each.exits],
        entry_adjustment_id=entry.adjustment_id,
        exit_adjustment_id=out.adjustment_id,
        is_restated=each.is_restated,
        version=each.version,
    )
    set_time(message.entry_time, each.entry_time)
    set_time(message.exit_time, each.exit_time)
    _set_duration(message.duration, each.duration)
    set_time(message.created_time, created)
    set_time(message.updated_time, updated)
    return message


def completed_event(told: Told, message: desk_pb.CompletedTrade, at: datetime, *, is_restatement: bool) -> bytes:
    """The event that tells of a result, but for its subject and sequence; it is written down at that moment."""
    event = desk_pb.DeskEvent(
        type=desk_pb.DESK_EVENT_TYPE_COMPLETED_TRADE_RESTATED
        if is_restatement
        else desk_pb.DESK_EVENT_TYPE_COMPLETED_TRADE_RECORDED,
        account_id=message.account_id,
        symbol=message.symbol,
        strategy=message.strategy,
        trace_id=message.trace_id,
        decision_id=message.decision_id,
        trade_id=message.trade_id,
        order_id=told.order_id,
        source=enums.SOURCE.number[told.source],
    )
    if is_restatement:
        event.reason.code = told.cause
        event.reason.source = enums.SOURCE.number[told.source]
    set_time(event.recorded_time, at)
    return event.SerializeToString(deterministic=True)


def _set_duration(field: Duration, value: timedelta | None) -> None:
    if value is not None:
        field.FromTimedelta(value)
        field.SetInParent()


def performance_message(worked: Performance, *, sequence: int, with_points: bool) -> desk_pb.GetPerformanceResponse:
    """The series and the statistics; figures that cannot be told are empty."""
    return desk_pb.GetPerformanceResponse(
        summary=_summary(worked.summary),
        strategies=[_summary(each) for each in worked.strategies],
        points=_points(worked.points) if with_points else (),
        sequence=sequence,
    )


def _points(points: Iterable[Point]) -> Iterable[desk_pb.PerformancePoint]:
    for point in points:
        message = desk_pb.PerformancePoint(
            cumulative_pnl=text_of(point.cumulative), pnl=text_of(point.pnl), completed_trade_id=point.result_id
        )
        set_time(message.time, point.at)
        yield message


def _summary(summary: Summary) -> desk_pb.PerformanceSummary:
    message = desk_pb.PerformanceSummary(
        strategy=summary.strategy,
        trade_count=summary.count,
        win_count=summary.wins,
        loss_count=summary.losses,
        win_rate=text_of(summary.win_rate),
        total_pnl=text_of(summary.total),
        total_fees=text_of(summary.fees),
        gross_profit=text_of(summary.gross_profit),
        gross_loss=text_of(summary.gross_loss),
        profit_factor=text_of(summary.profit_factor),
        expectancy=text_of(summary.expectancy),
        average_win=text_of(summary.average_win),
        average_loss=text_of(summary.average_loss),
        largest_win=text_of(summary.best),
        largest_loss=text_of(summary.worst),
        max_drawdown=text_of(summary.drawdown.money),
        max_drawdown_pct=text_of(summary.drawdown.fraction),
        unvalued_count=summary.unvalued,
    )
    _set_duration(message.average_duration, summary.average_duration)
    return message
