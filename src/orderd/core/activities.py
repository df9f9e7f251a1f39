"""What changed a holding without a trade, as the broker lists it: expiries, exercises, splits, fees in kind.

Rule: an activity explains a difference, it never makes one. It is booked when it brings our figure nearer to the
broker's, once; what would take it further away (because it was in an opening balance already) is left alone.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from orderd.core.values import ZERO, Value, add, subtract


class ActivityKind(StrEnum):
    """What happened; the words also stand as reason codes in events of positions."""

    EXPIRED = "EXPIRED"
    """An option ran out: closed at 0."""
    EXERCISED = "EXERCISED"
    """A long option became units of its underlying: closed at 0."""
    ASSIGNED = "ASSIGNED"
    """A short option did: closed at 0."""
    DELIVERED = "DELIVERED"
    """The units that came or went for an option that was exercised or assigned, at its strike."""
    SPLIT = "SPLIT"
    """A row of a split: the old units that went, or the new ones that came."""
    FEE_IN_KIND = "FEE_IN_KIND"
    """Units that were taken as a fee."""


class Activity(Value, frozen=True, kw_only=True):
    """One row of the broker's list."""

    activity_id: str
    kind: ActivityKind
    symbol: str
    quantity: Decimal
    """What it changed, signed."""
    price: Decimal | None = None
    """Per unit, where the broker names one."""
    group_id: str = ""
    """Rows of one event carry the same; empty where the broker does not say."""
    day: str = ""
    """YYYY-MM-DD."""


class Occurrence(Value, frozen=True, kw_only=True):
    """One event: its rows about one symbol, put together."""

    rows: tuple[Activity, ...]

    @property
    def first(self) -> Activity:
        """The row that names it."""
        return self.rows[0]

    @property
    def quantity(self) -> Decimal:
        """What it changed, signed."""
        changed = ZERO
        for row in self.rows:
            changed = add(changed, row.quantity)
        return changed

    def explains(self, ours: Decimal, theirs: Decimal) -> bool:
        """Whether it brings our figure nearer to the broker's."""
        before = subtract(theirs, ours).copy_abs()
        return subtract(subtract(theirs, ours), self.quantity).copy_abs() < before

    def rate(self, ours: Decimal) -> tuple[Decimal, Decimal]:
        """Of a split: how many new units there are for how many old ones. From its rows, else from what is held."""
        went = [row.quantity for row in self.rows if row.quantity.is_signed() is not ours.is_signed()]
        came = [row.quantity for row in self.rows if row.quantity.is_signed() is ours.is_signed()]
        if len(went) == 1 and len(came) == 1:
            return came[0].copy_abs(), went[0].copy_abs()
        return add(ours, self.quantity).copy_abs(), ours.copy_abs()


_ORDER = {kind: place for place, kind in enumerate(ActivityKind)}


def occurrences(activities: Iterable[Activity]) -> tuple[Occurrence, ...]:
    """What happened, day by day; on one day options go before what was delivered for them. Each row counts once."""
    rows = {(row.activity_id, row.kind, row.symbol, row.quantity): row for row in activities}
    events: dict[tuple[str, ...], list[Activity]] = {}
    for row in sorted(rows.values(), key=lambda row: (row.day, _ORDER[row.kind], row.activity_id)):
        is_split = row.kind is ActivityKind.SPLIT
        which = row.group_id or row.day if is_split else f"{row.activity_id} {row.quantity}"
        events.setdefault((row.kind, row.symbol, which), []).append(row)
    return tuple(Occurrence(rows=tuple(rows)) for rows in events.values())


def is_delivery_for(delivered: Activity, option: Activity, root: str) -> bool:
    """Whether these units came or went for that option; `root` is what the option is on."""
    if delivered.kind is not ActivityKind.DELIVERED or option.kind not in {
        ActivityKind.EXERCISED,
        ActivityKind.ASSIGNED,
    }:
        return False
    if delivered.group_id or option.group_id:
        return delivered.group_id == option.group_id and delivered.symbol == root
    return delivered.day == option.day and delivered.symbol == root
