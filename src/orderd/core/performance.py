"""What a strategy has earned: the realised series and the usual statistics over it.

Rule 1: exact decimals; a quotient is rounded half-even to 18 places. What cannot be told (an average of nothing, a
quotient by zero) is None, never NaN and never a made-up 0.
Rule 2: a result of 0 or less is a loss, as it is for the circuit breaker.
"""

import functools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from orderd.core.values import ZERO, Value, add, divide, subtract


class Result(Value, frozen=True, kw_only=True):
    """One completed trade, as far as statistics need it. `pnl` None: its value is not known."""

    result_id: str
    strategy: str
    at: datetime
    """When it was closed."""
    pnl: Decimal | None
    fees: Decimal = ZERO
    duration: timedelta = timedelta()


class Point(Value, frozen=True, kw_only=True):
    """The realised result after one completed trade."""

    result_id: str
    at: datetime
    pnl: Decimal
    cumulative: Decimal


class Drawdown(Value, frozen=True, kw_only=True):
    """The deepest fall of the cumulative result from its height before (the series begins at 0).

    `fraction` of that height; None when the height was not above 0.
    """

    money: Decimal = ZERO
    fraction: Decimal | None = None


class Summary(Value, frozen=True, kw_only=True):
    """The statistics over some completed trades. Money in the account's currency, losses as positive numbers."""

    strategy: str
    count: int
    wins: int
    losses: int
    unvalued: int
    """Left out of everything else: their value is not known."""
    total: Decimal
    fees: Decimal
    gross_profit: Decimal
    gross_loss: Decimal
    win_rate: Decimal | None
    profit_factor: Decimal | None
    """Gross profit / gross loss; None when nothing was lost."""
    expectancy: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    best: Decimal | None
    worst: Decimal | None
    drawdown: Drawdown
    average_duration: timedelta | None
    """Whole microseconds, rounded down."""


class Performance(Value, frozen=True, kw_only=True):
    """All of it, by strategy (in the order of their names), and the series, oldest first."""

    summary: Summary
    strategies: tuple[Summary, ...]
    points: tuple[Point, ...]


def performance(results: Iterable[Result]) -> Performance:
    """Work out everything. Results may come in any order; those of one moment stand in the order of their ids."""
    ordered = sorted(results, key=lambda result: (result.at, result.result_id))
    by_strategy: dict[str, list[Result]] = {}
    for result in ordered:
        by_strategy.setdefault(result.strategy, []).append(result)
    return Performance(
        summary=_summary("", ordered),
        strategies=tuple(_summary(name, by_strategy[name]) for name in sorted(by_strategy)),
        points=tuple(series(ordered)),
    )


def series(ordered: Iterable[Result]) -> list[Point]:
    """The cumulative result after each one that has a value; the given order is kept."""
    points: list[Point] = []
    cumulative = ZERO
    for result in ordered:
        if result.pnl is not None:
            cumulative = add(cumulative, result.pnl)
            points.append(Point(result_id=result.result_id, at=result.at, pnl=result.pnl, cumulative=cumulative))
    return points


def drawdown(points: Iterable[Point]) -> Drawdown:
    """The deepest fall; of equally deep ones the first."""
    height, deepest = ZERO, Drawdown()
    for point in points:
        height = max(height, point.cumulative)
        fall = subtract(height, point.cumulative)
        if fall > deepest.money:
            deepest = Drawdown(money=fall, fraction=divide(fall, height) if height > 0 else None)
    return deepest


def _summary(strategy: str, ordered: Sequence[Result]) -> Summary:
    valued = [result for result in ordered if result.pnl is not None]
    points = series(valued)
    wins = [point.pnl for point in points if point.pnl > 0]
    losses = [-point.pnl for point in points if point.pnl <= 0]
    total, profit, loss = _sum(point.pnl for point in points), _sum(wins), _sum(losses)
    return Summary(
        strategy=strategy,
        count=len(points),
        wins=len(wins),
        losses=len(losses),
        unvalued=len(ordered) - len(valued),
        total=total,
        fees=_sum(result.fees for result in valued),
        gross_profit=profit,
        gross_loss=loss,
        win_rate=_quotient(Decimal(len(wins)), Decimal(len(points))),
        profit_factor=_quotient(profit, loss),
        expectancy=_quotient(total, Decimal(len(points))),
        average_win=_quotient(profit, Decimal(len(wins))),
        average_loss=_quotient(loss, Decimal(len(losses))),
        best=max((point.pnl for point in points), default=None),
        worst=min((point.pnl for point in points), default=None),
        drawdown=drawdown(points),
        average_duration=sum((result.duration for result in valued), timedelta()) // len(valued) if valued else None,
    )


def _sum(values: Iterable[Decimal]) -> Decimal:
    return functools.reduce(add, values, ZERO)


def _quotient(a: Decimal, b: Decimal) -> Decimal | None:
    return divide(a, b) if b else None
