"""The circuit breaker: what realised losses do to entries.

Rule 1: a fold over what the journal holds, in its order: the same facts always give the same value, before and after a
restart.
Rule 2: realised results only. A result of zero is a loss; a win ends a losing streak.
Rule 3: a trip lasts until the next regular open, or until an operator resets it. What had been counted is spent then:
the streak begins anew, and after a reset the day's allowance too.

A day reaches from one regular open to the next one and is named by the open it began with. Whoever makes a fact knows
the exchange's calendar and gives it its day.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from orderd.core.values import ZERO, Value, add, canonical, multiply, subtract
from orderd.risk.limits import Limits

_HUNDREDTH: Final = Decimal("0.01")


class Cause(StrEnum):
    """Which limit opened the breaker."""

    DAILY_LOSS = "DAILY_LOSS"
    LOSSES_IN_A_ROW = "LOSSES_IN_A_ROW"


class Base(Value, frozen=True, kw_only=True):
    """The broker's last equity, read on this day. The first one of a day stands."""

    at: datetime
    day: datetime
    equity: Decimal


class Result(Value, frozen=True, kw_only=True):
    """A trade, or a slice of one, was completed on this day. Money after fees, in the account's currency."""

    at: datetime
    day: datetime
    pnl: Decimal


class Correction(Value, frozen=True, kw_only=True):
    """A completed trade was restated (a bust, a late fee). `day` is that of the trade, `change` what it adds.

    Money only: a streak counts results as they were known when they came.
    """

    at: datetime
    day: datetime
    change: Decimal


class Reset(Value, frozen=True, kw_only=True):
    """An operator lets entries go on."""

    at: datetime
    day: datetime


Fact = Base | Result | Correction | Reset


class Trip(Value, frozen=True, kw_only=True):
    """Why and when the breaker opened."""

    cause: Cause
    at: datetime
    message: str


class Breaker(Value, frozen=True, kw_only=True):
    """What has been counted. `realised` is the day's, `forgiven` the part of it from before the last reset."""

    day: datetime | None = None
    base: Decimal | None = None
    realised: Decimal = ZERO
    forgiven: Decimal = ZERO
    losses_in_a_row: int = 0
    trip: Trip | None = None

    @property
    def counted_loss(self) -> Decimal:
        """What was lost on the day since the last reset; negative when it was won."""
        return subtract(self.forgiven, self.realised)

    def on(self, day: datetime) -> "Breaker":
        """The same on this day: a later one than the last begins with nothing but the streak."""
        if self.day is not None and day <= self.day:
            return self
        return Breaker(day=day, losses_in_a_row=0 if self.trip is not None else self.losses_in_a_row)


def fold(breaker: Breaker, fact: Fact, limits: Limits) -> Breaker:
    """What the breaker is after this fact. Facts of earlier days move no money of today's."""
    after = breaker.on(fact.day)
    is_of_today = fact.day == after.day
    match fact:
        case Base() if is_of_today and after.base is None:
            after = msgspec.structs.replace(after, base=fact.equity)
        case Result():
            streak = 0 if fact.pnl > 0 else after.losses_in_a_row + 1
            realised = add(after.realised, fact.pnl) if is_of_today else after.realised
            after = msgspec.structs.replace(after, realised=realised, losses_in_a_row=streak)
        case Correction() if is_of_today:
            after = msgspec.structs.replace(after, realised=add(after.realised, fact.change))
        case Reset():
            return msgspec.structs.replace(after, forgiven=after.realised, losses_in_a_row=0, trip=None)
        case _:
            pass  # of an earlier day, or the day's second base
    return after if after.trip is not None else msgspec.structs.replace(after, trip=_trip(after, fact.at, limits))


def tripped(breaker: Breaker, day: datetime) -> str:
    """Why entries pause on this day, empty when they do not."""
    trip = breaker.on(day).trip
    return "" if trip is None else trip.message


def allowed_loss(breaker: Breaker, limits: Limits) -> Decimal | None:
    """Money that may be lost on the day, None without such a limit or while its base is not known."""
    if limits.max_daily_loss_percent is None or breaker.base is None:
        return None
    return multiply(multiply(breaker.base, limits.max_daily_loss_percent), _HUNDREDTH)


def _trip(breaker: Breaker, at: datetime, limits: Limits) -> Trip | None:
    most, allowed = limits.max_losses_in_a_row, allowed_loss(breaker, limits)
    if most is not None and breaker.losses_in_a_row >= most:
        text = f"{breaker.losses_in_a_row} losing trades in a row, the limit is {most}"
        return Trip(cause=Cause.LOSSES_IN_A_ROW, at=at, message=text)
    loss = breaker.counted_loss
    if allowed is not None and loss > 0 and allowed <= loss:
        text = f"{canonical(loss)} lost on the day, the limit is {canonical(allowed)}"
        return Trip(cause=Cause.DAILY_LOSS, at=at, message=text)
    return None
