"""A completed trade: what one exit order closed of one entry order, and the fills it is made of.

Rule: every figure is worked out from exact sums; averages are for reading and never for working on.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from orderd.core.keys import completed_trade_id
from orderd.core.order import Side
from orderd.core.trade import ExitReason
from orderd.core.values import ZERO, FillId, OrderId, Value, add, divide, multiply, subtract

Key = tuple[datetime, str, int, int]
"""Where a fill stands in its ledger: when it was executed, then (same moment) its order, then its booking."""


class Ticket(Value, frozen=True, kw_only=True):
    """What a ledger needs to know of an order. `multiplier`: units per contract, None when unknown."""

    order_id: OrderId
    side: Side
    reason: ExitReason = ExitReason.REQUESTED
    """Why it closes, when it closes."""
    is_exit: bool = False
    """It is meant to close: it never opens a lot."""
    multiplier: Decimal | None = Decimal(1)
    trade_id: str = ""
    decision_id: str = ""
    trace_id: str = ""
    adjustment_id: str = ""
    """It is no order: an option's end, or what was delivered for one."""


class Booked(Value, frozen=True, kw_only=True):
    """One counted fill. `price` None: closed at a price nobody has told. `fee`: what the broker names for this fill."""

    ticket: Ticket
    fill_id: FillId
    quantity: Decimal
    price: Decimal | None
    fee: Decimal = ZERO
    at: datetime
    sequence: int = 0
    """Journal sequence of the event that booked it."""
    index: int = 0
    """Its place among the fills of that event."""

    @property
    def key(self) -> Key:
        """Its place in the ledger."""
        return (self.at, self.ticket.order_id, self.sequence, self.index)


class Slice(Value, frozen=True, kw_only=True):
    """A completed trade: what one exit order closed of one entry order. Quantity 0: nothing of it is left.

    Money in the quote currency, exact. What cannot be known (a price nobody told, a contract of unknown size) is None,
    and so is every figure that would need it.
    """

    slice_id: str
    version: int
    entry: Ticket
    exit: Ticket
    quantity: Decimal = ZERO
    entry_value: Decimal | None = ZERO
    """Sum of price * quantity."""
    exit_value: Decimal | None = ZERO
    fees: Decimal = ZERO
    entries: tuple[Booked, ...] = ()
    exits: tuple[Booked, ...] = ()
    is_restated: bool = False
    """Something that stood in it was changed: more than another fill of its exit."""

    @property
    def side(self) -> Side:
        """The side it was entered with: BUY is a long trade."""
        return self.entry.side

    @property
    def entry_price(self) -> Decimal | None:
        """Average, half-even at 18 places."""
        return _average(self.entry_value, self.quantity)

    @property
    def exit_price(self) -> Decimal | None:
        """Average, half-even at 18 places."""
        return _average(self.exit_value, self.quantity)

    @property
    def entry_time(self) -> datetime | None:
        """When the first of its entry fills was executed; None when nothing is left of it."""
        return self.entries[0].at if self.entries else None

    @property
    def exit_time(self) -> datetime | None:
        """When the last of its exit fills was executed; None when nothing is left of it."""
        return self.exits[-1].at if self.exits else None

    @property
    def duration(self) -> timedelta | None:
        """From the first entry to the last exit, never negative: its fills stand in the order of time."""
        return self.exits[-1].at - self.entries[0].at if self.entries else None

    @property
    def cost(self) -> Decimal | None:
        """What the entry moved: value * multiplier. For a short trade, what it was sold for."""
        if self.entry_value is None or self.entry.multiplier is None:
            return None
        return multiply(self.entry_value, self.entry.multiplier)

    @property
    def gross(self) -> Decimal | None:
        """(exit - entry) * quantity * multiplier, the other way round for a short trade. From sums, not averages."""
        if self.entry_value is None or self.exit_value is None or self.entry.multiplier is None:
            return None
        bought, sold = self.entry_value, self.exit_value
        if self.side is Side.SELL:
            bought, sold = sold, bought
        return multiply(subtract(sold, bought), self.entry.multiplier)

    @property
    def pnl(self) -> Decimal | None:
        """Gross less the fees that the broker names for its orders."""
        gross = self.gross
        return None if gross is None else subtract(gross, self.fees)

    @property
    def pnl_fraction(self) -> Decimal | None:
        """P&L / cost: 0.05 is five per cent. None when it cost nothing."""
        pnl, cost = self.pnl, self.cost
        return None if pnl is None or not cost else divide(pnl, abs(cost))


class Match(Value, frozen=True, kw_only=True):
    """A part of a lot and the part of a fill that closed it."""

    lot: Booked
    fill: Booked
    quantity: Decimal
    entry_value: Decimal | None
    exit_value: Decimal | None
    fees: Decimal


def by_slice(matches: Iterable[Match]) -> dict[str, list[Match]]:
    """The matches of each slice, in the order of time."""
    groups: dict[tuple[str, str], list[Match]] = {}
    for match in matches:
        pair = (match.lot.ticket.order_id, match.fill.ticket.order_id)
        groups.setdefault(pair, []).append(match)
    return {completed_trade_id(entry, out): group for (entry, out), group in groups.items()}


def grown(known: Slice | None, slice_id: str, matches: Sequence[Match]) -> Slice:
    """The slice with these matches too, one version on."""
    first = matches[0]
    before = known or Slice(slice_id=slice_id, version=0, entry=first.lot.ticket, exit=first.fill.ticket)
    quantity, fees = before.quantity, before.fees
    entry_value, exit_value = before.entry_value, before.exit_value
    entries = {fill.fill_id: fill for fill in before.entries}
    exits = {fill.fill_id: fill for fill in before.exits}
    for match in matches:
        quantity, fees = add(quantity, match.quantity), add(fees, match.fees)
        entry_value, exit_value = _sum(entry_value, match.entry_value), _sum(exit_value, match.exit_value)
        entries[match.lot.fill_id], exits[match.fill.fill_id] = match.lot, match.fill
    return msgspec.structs.replace(
        before,
        version=before.version + 1,
        quantity=quantity,
        entry_value=entry_value,
        exit_value=exit_value,
        fees=fees,
        entries=tuple(entries.values()),
        exits=tuple(exits.values()),
    )


def _sum(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    return None if a is None or b is None else add(a, b)


def _average(value: Decimal | None, quantity: Decimal) -> Decimal | None:
    return None if value is None or not quantity else divide(value, quantity)
