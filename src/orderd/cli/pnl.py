"""`orderd pnl`: what was earned, by strategy, trade by trade, or as it grew."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from orderd.cli import texts
from orderd.cli.accounts import AccountId
from orderd.cli.connection import Connection
from orderd.cli.intent import option
from orderd.cli.orders import MOST_IN_A_PAGE, Limit, first
from orderd.cli.render import Output


class Show(StrEnum):
    """What is printed."""

    SUMMARY = "summary"
    SERIES = "series"
    TRADES = "trades"


@dataclass(frozen=True, kw_only=True)
class ResultFilter:
    """Which completed trades: AND between flags, OR inside one that is repeated."""

    strategy: Annotated[list[str], option("Strategy; repeat for more.", parser=texts.name, metavar="NAME")] = field(
        default_factory=list[str]
    )
    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    after_time: Annotated[datetime | None, option("Closed after then.", parser=texts.time, metavar="TIME")] = None
    before_time: Annotated[datetime | None, option("Closed before then.", parser=texts.time, metavar="TIME")] = None


async def pnl(
    which: ResultFilter,
    connection: Connection,
    output: Output,
    account_id: AccountId = "",
    *,
    show: Annotated[
        Show,
        typer.Option(
            case_sensitive=False,
            help="The statistics of all and of each strategy, the result after each trade, or the trades themselves.",
        ),
    ] = Show.SUMMARY,
    limit: Limit = 50,
) -> None:
    """Print realised profit and loss: money, fractions, fees taken off. --limit is for the trades, newest first."""
    match show:
        case Show.TRADES:
            await _trades(which, connection, output, account_id, limit)
        case Show.SERIES | Show.SUMMARY:
            await _figures(which, connection, output, account_id, has_points=show is Show.SERIES)


async def _figures(
    which: ResultFilter, connection: Connection, output: Output, account_id: str, *, has_points: bool
) -> None:
    from oms.v1.trade_service_pb2 import GetPerformanceRequest, PerformancePoint, PerformanceSummary

    request = GetPerformanceRequest(
        account_id=account_id, strategies=which.strategy, symbols=which.symbol, summary_only=not has_points
    )
    if which.after_time is not None:
        request.after_time.FromDatetime(which.after_time)
    if which.before_time is not None:
        request.before_time.FromDatetime(which.before_time)
    async with connection.client() as client:
        answer = await client.performance(request)
    if has_points:
        await output.many(answer.points, PerformancePoint)
    else:
        await output.many([answer.summary, *answer.strategies], PerformanceSummary)


async def _trades(which: ResultFilter, connection: Connection, output: Output, account_id: str, limit: int) -> None:
    from oms.v1.trade_service_pb2 import CompletedTrade, ListCompletedTradesRequest

    request = ListCompletedTradesRequest(
        account_ids=[account_id] if account_id else [],
        strategies=which.strategy,
        symbols=which.symbol,
        page_size=min(limit, MOST_IN_A_PAGE),
    )
    if which.after_time is not None:
        request.closed_after_time.FromDatetime(which.after_time)
    if which.before_time is not None:
        request.closed_before_time.FromDatetime(which.before_time)
    async with connection.client() as client:
        await output.many(first(limit, client.completed_trades(request)), CompletedTrade)
