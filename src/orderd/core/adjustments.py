"""What a broker's activity did to a position, and since when: for whoever counts results and looks after trades.

Rule 1: a split counts from the beginning of its day, before anything is traded; an option's end from half past five in
the afternoon of its day in New York, the hour until which holders may exercise (the exchanges' rule).
Rule 2: nothing counts from later than it was booked: by then the broker had done it.
"""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from orderd.core.activities import ActivityKind
from orderd.core.values import ZERO, Value

NEW_YORK: Final = ZoneInfo("America/New_York")
_OPTIONS_END: Final = time(17, 30)

TOLD_TO_RESULTS: Final = frozenset(
    {
        ActivityKind.SPLIT,
        ActivityKind.EXPIRED,
        ActivityKind.EXERCISED,
        ActivityKind.ASSIGNED,
        ActivityKind.DELIVERED,
    }
)
"""What changes the lots of strategies. Fees in kind, opening balances and operators' adjustments do not."""


class Split(Value, frozen=True, kw_only=True):
    """One old share became `new / old` shares at this moment: quantities change, what was paid does not."""

    at: datetime
    sequence: int = 0
    new: Decimal
    old: Decimal
    split_id: str = ""
    """The activity's; empty when nobody named it."""

    @property
    def key(self) -> tuple[datetime, str, int, int]:
        """Before every fill of its moment."""
        return (self.at, "", self.sequence, 0)


class Adjustment(Value, frozen=True, kw_only=True):
    """An activity as it was booked to a position."""

    adjustment_id: str
    kind: ActivityKind
    effective_time: datetime
    new: Decimal = Decimal(1)
    """Of a split: so many new units for `old` ones."""
    old: Decimal = Decimal(1)
    price: Decimal = ZERO
    """What each unit went or came at: 0, or the strike of what was delivered."""
    shares: tuple[tuple[str, Decimal], ...] = ()
    """What it changed for each strategy, signed; nothing for a split."""
    option_symbol: str = ""
    """Of a delivery: the option it came or went for, and `option_adjustment_id` its end."""
    option_adjustment_id: str = ""
    per_contract: Decimal = ZERO
    """Of a delivery: units for each contract that was held, signed."""
    version: int = 0
    """Of the position that it was booked with; 0 before it is written."""

    @property
    def split(self) -> Split:
        """The split that it is."""
        return Split(at=self.effective_time, new=self.new, old=self.old, split_id=self.adjustment_id)


def split_day(day: str) -> datetime | None:
    """The first moment of a day in New York; None when it is none."""
    read = _day(day)
    return None if read is None else datetime.combine(read, time(), NEW_YORK).astimezone(UTC)


def option_end(day: str, expiry: date, booked: datetime) -> datetime:
    """When an option ended whose activity names this day: never after its expiry, nor after it was booked."""
    last = min(_day(day) or expiry, expiry)
    return min(datetime.combine(last, _OPTIONS_END, NEW_YORK).astimezone(UTC), booked)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
