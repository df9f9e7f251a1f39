"""What adjustments of positions change in the lots of strategies: splits, ends of options, and what they deliver."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from oms.v1 import position_service_pb2 as position_pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.activities import ActivityKind
from orderd.core.adjustments import Adjustment
from orderd.core.instruments import multiplier_of_symbol
from orderd.core.lots import Change, Fills
from orderd.core.order import EventSource, Side
from orderd.core.slices import Booked, Slice, Ticket
from orderd.core.trade import ExitReason
from orderd.core.values import ZERO, FillId, OrderId, Value, add, multiply
from orderd.wire import enums
from orderd.wire.positions import adjustments_of, all_adjustments
from orderd.wire.results import LedgerName, Told
from orderd.wire.times import read_time


class Adjusted(Value, frozen=True, kw_only=True):
    """An adjustment of a position, and the strategies that have a share in it."""

    account_id: str
    symbol: str
    strategies: tuple[str, ...]
    adjustment: Adjustment
    sequence: int
    source: EventSource
    at: datetime
    """When it was recorded."""

    @property
    def option(self) -> str:
        """Of a delivery: the option that it came or went for. Empty for anything else."""
        return self.adjustment.option_symbol

    def name(self, strategy: str, symbol: str = "") -> LedgerName:
        """The ledger of a strategy, in the position's symbol or another."""
        return LedgerName(account_id=self.account_id, strategy=strategy, symbol=symbol or self.symbol)

    def told(self) -> list[Told]:
        """What it changes by itself: nothing for a delivery, which belongs to the trades of its option."""
        each = self.adjustment
        if each.kind is ActivityKind.SPLIT:
            return [self._told(strategy, each.split) for strategy in self.strategies]
        if each.kind is ActivityKind.DELIVERED:
            return []
        return [self._told(strategy, Fills(added=(self._end(gone),))) for strategy, gone in each.shares]

    def delivered(self, strategy: str, closed: Iterable[Slice]) -> Told | None:
        """Units for a strategy's option, to the trades that this end of the option has closed; None when none did."""
        contracts: dict[str, Decimal] = {}
        entries: dict[str, Ticket] = {}
        for each in sorted(closed, key=lambda each: (each.entries[0].key if each.entries else (), each.slice_id)):
            if each.exit.adjustment_id == self.adjustment.option_adjustment_id and each.quantity:
                held = each.quantity if each.side is Side.BUY else -each.quantity
                contracts[each.entry.trade_id] = add(contracts.get(each.entry.trade_id, ZERO), held)
                entries.setdefault(each.entry.trade_id, each.entry)
        fills = [
            self._units(multiply(held, self.adjustment.per_contract), entries[trade_id], number)
            for number, (trade_id, held) in enumerate(contracts.items())
        ]
        return self._told(strategy, Fills(added=tuple(fills))) if fills else None

    def _end(self, gone: Decimal) -> Booked:
        return self._booked(gone, OrderId(self.adjustment.adjustment_id), None, 0)

    def _units(self, units: Decimal, entry: Ticket, number: int) -> Booked:
        """Units of the same trade, decision and trace as the option that was entered."""
        return self._booked(units, OrderId(f"{self.adjustment.adjustment_id}:{entry.trade_id}"), entry, number)

    def _booked(self, quantity: Decimal, order_id: OrderId, entry: Ticket | None, number: int) -> Booked:
        """So much came or went: an end closes only, what is delivered may open."""
        ticket = Ticket(
            order_id=order_id,
            side=Side.SELL if quantity < 0 else Side.BUY,
            reason=ExitReason.EXPIRY,
            is_exit=entry is None,
            multiplier=multiplier_of_symbol(self.symbol),
            trade_id="" if entry is None else entry.trade_id,
            decision_id="" if entry is None else entry.decision_id,
            trace_id="" if entry is None else entry.trace_id,
            adjustment_id=self.adjustment.adjustment_id,
        )
        return Booked(
            ticket=ticket,
            fill_id=FillId(order_id),
            quantity=abs(quantity),
            price=self.adjustment.price,
            at=self.adjustment.effective_time,
            sequence=self.sequence,
            index=number,
        )

    def _told(self, strategy: str, change: Change) -> Told:
        return Told(
            name=self.name(strategy),
            change=change,
            sequence=self.sequence,
            order_id="",
            source=self.source,
            cause=self.adjustment.kind.value,
            at=self.at,
        )


def adjusted_by(data: bytes, sequence: int) -> list[Adjusted]:
    """What an event of a position says of lots: the adjustments that were booked with it."""
    event = desk_pb.DeskEvent.FromString(data)
    source = enums.SOURCE.word.get(event.source, EventSource.ENGINE)
    at = read_time(event.recorded_time)
    return [_adjusted(event.position, each, sequence, source, at) for each in adjustments_of(event.position)]


def adjusted_at_all(position: bytes, sequence: int) -> list[Adjusted]:
    """Everything that was ever booked to a position, from its record."""
    message = position_pb.Position.FromString(position)
    at = read_time(message.updated_time)
    return [_adjusted(message, each, sequence, EventSource.RECONCILER, at) for each in all_adjustments(message)]


def _adjusted(
    position: position_pb.Position, each: Adjustment, sequence: int, source: EventSource, at: datetime
) -> Adjusted:
    return Adjusted(
        account_id=position.account_id,
        symbol=position.symbol,
        strategies=tuple([share.strategy for share in position.strategies]),
        adjustment=each,
        sequence=sequence,
        source=source,
        at=at,
    )
