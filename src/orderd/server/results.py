"""TradeService, the calls about what came of trades: completed trades, and performance."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from oms.v1 import trade_service_pb2 as pb
from orderd.core.performance import Result, performance
from orderd.core.records import RecordKind
from orderd.engine.api import Engine
from orderd.engine.errors import EngineError, Kind
from orderd.ports import RecordFilter
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.server.pages import Place
from orderd.wire.asks import Invalid, PerformanceAsk
from orderd.wire.results import performance_message
from orderd.wire.times import read_time
from orderd.wire.validate_results import performance_ask, results_ask

MAX_POINTS: Final = 20_000
"""Of one answer: about 2 MiB."""
PAGE: Final = 1000
LONGEST_CLOSING: Final = timedelta(days=400)
"""No exit order works longer: between the first and the last fill of a completed trade."""


class AsOf(Protocol):
    """How far completed trades are recorded."""

    @property
    def sequence(self) -> int: ...


class ResultCalls:
    """ListCompletedTrades, GetPerformance."""

    def __init__(self, engine: Engine, completed: AsOf) -> None:
        """Results are read from the journal; `completed` says what they are as of."""
        self._engine = engine
        self._completed = completed

    async def ListCompletedTrades(self, request: pb.ListCompletedTradesRequest, call: Call) -> bytes:
        """One page of completed trades, newest first."""
        ask = results_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        where = ask.where
        naming.check_known(self._engine, where.account_ids)
        journal = self._engine.journal
        place = Place(request, journal.journal_id)
        sequence = place.sequence(self._completed.sequence)
        asked = msgspec.structs.asdict(where)
        times = {"created_after": asked.pop("closed_after"), "created_before": asked.pop("closed_before")}
        found = RecordFilter(kind=RecordKind.COMPLETED_TRADE, **asked, **times)
        page = await journal.list_records(found, after_key=place.after_key, limit=ask.page_size)
        rows, token = place.cut(page, sequence)
        answer = pb.ListCompletedTradesResponse(next_page_token=token, sequence=sequence)
        answer.completed_trades.extend(pb.CompletedTrade.FromString(row.data) for row in rows)
        return answer.SerializeToString()

    async def GetPerformance(self, request: pb.GetPerformanceRequest, call: Call) -> bytes:
        """The realised series and the statistics of an account."""
        ask = performance_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        sequence = self._completed.sequence
        results = await self._results(account_id, ask)
        if ask.has_points and len(results) > MAX_POINTS:
            raise EngineError(
                Kind.EXHAUSTED,
                "TOO_MANY_RESULTS",
                f"{len(results)} completed trades are more points than one answer holds ({MAX_POINTS}): "
                "narrow the filters, or ask with summary_only",
            )
        # A hundred thousand of them take a second: the loop has orders to see to.
        worked = await asyncio.to_thread(performance, results)
        answer = performance_message(worked, sequence=sequence, with_points=ask.has_points)
        return answer.SerializeToString()

    async def _results(self, account_id: str, ask: PerformanceAsk) -> list[Result]:
        where = RecordFilter(
            kind=RecordKind.COMPLETED_TRADE,
            account_ids=(account_id,),
            symbols=ask.symbols,
            strategies=ask.strategies,
            created_after=_long_before(ask.after),
            created_before=ask.before,
        )
        found: list[Result] = []
        after_key: tuple[int | str, ...] | None = None
        while True:
            page = await self._engine.journal.list_records(where, after_key=after_key, limit=PAGE)
            for row in page.rows:
                result = result_of(pb.CompletedTrade.FromString(row.data))
                if result is not None and _is_within(result.at, ask.after, ask.before):
                    found.append(result)
            if not page.has_more:
                return found
            after_key = page.rows[-1].key


def _long_before(moment: datetime | None) -> datetime | None:
    """Records stand at the time of their first exit fill: what was closed after a moment may stand long before it."""
    try:
        return None if moment is None else moment - LONGEST_CLOSING
    except OverflowError:
        return None


def _is_within(at: datetime, after: datetime | None, before: datetime | None) -> bool:
    return (after is None or at > after) and (before is None or at < before)


def result_of(trade: pb.CompletedTrade) -> Result | None:
    """What statistics need of it; None when busts have taken all of it back."""
    if not trade.HasField("exit_time"):
        return None
    return Result(
        result_id=trade.completed_trade_id,
        strategy=trade.strategy,
        at=read_time(trade.exit_time),
        pnl=Decimal(trade.pnl) if trade.pnl else None,
        fees=Decimal(trade.fees),
        duration=trade.duration.ToTimedelta(),
    )
