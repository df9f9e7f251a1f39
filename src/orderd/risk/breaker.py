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

REMEMBERED: Final = 64
"""Results of which it is known what they were, so that one that grows, or is restated, is still one result."""
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
    """What came of a trade, or of a slice of one, as it stands now. Money after fees, in the account's currency.

    `day` is the day it was closed on. `before` is what the same result was until now: None when it is new. It grows
    while its exit trades, and is restated by busts and late fees. `pnl` None: it was taken back.
    """

    result_id: str
    at: datetime
    day: datetime
    pnl: Decimal | None
    before: Decimal | None = None


class Morning(Value, frozen=True, kw_only=True):
    """A day has begun."""

    at: datetime
    day: datetime


class Reset(Value, frozen=True, kw_only=True):
    """An operator lets entries go on."""

    at: datetime
    day: datetime


Fact = Base | Result | Morning | Reset


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
    latest: tuple[tuple[str, Decimal], ...] = ()
    """The latest results that count for the streak, oldest first: id and money."""
    trip: Trip | None = None

    @property
    def losses_in_a_row(self) -> int:
        """Results since the last win, the last trip that is over, and the last reset."""
        return next((count for count, (_, pnl) in enumerate(reversed(self.latest)) if pnl > 0), len(self.latest))

    @property
    def counted_loss(self) -> Decimal:
        """What was lost on the day since the last reset; negative when it was won."""
        return subtract(self.forgiven, self.realised)

    def on(self, day: datetime) -> "Breaker":
        """The same on this day: a later one than the last begins with nothing but the streak."""
        if self.day is not None and day <= self.day:
            return self
        return Breaker(day=day, latest=() if self.trip is not None else self.latest)


def fold(breaker: Breaker, fact: Fact, limits: Limits) -> Breaker:
    """What the breaker is after this fact. Facts of earlier days move no money of today's."""
    after = breaker.on(fact.day)
    is_of_today = fact.day == after.day
    match fact:
        case Base() if is_of_today and after.base is None:
            after = msgspec.structs.replace(after, base=fact.equity)
        case Result():
            change = subtract(fact.pnl or ZERO, fact.before or ZERO)
            realised = add(after.realised, change) if is_of_today else after.realised
            after = msgspec.structs.replace(after, realised=realised, latest=_with(after.latest, fact, limits))
        case Reset():
            return msgspec.structs.replace(after, forgiven=after.realised, latest=(), trip=None)
        case _:
            pass  # the day has begun, or has its base already
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


def _with(latest: tuple[tuple[str, Decimal], ...], fact: Result, limits: Limits) -> tuple[tuple[str, Decimal], ...]:
    """The latest results with this one as it stands now. One that is not remembered any more stays forgotten."""
    known = dict(latest)
    if fact.pnl is None:
        known.pop(fact.result_id, None)
    elif fact.before is None or fact.result_id in known:
        known[fact.result_id] = fact.pnl
    return tuple(known.items())[-max(REMEMBERED, limits.max_losses_in_a_row or 0) :]


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
