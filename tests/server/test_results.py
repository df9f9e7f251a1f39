"""Completed trades and performance over a real socket: figures, pages, filters and bad questions."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from oms.v1 import trade_service_pb2 as pb
from oms.v1 import trade_service_pb2_grpc
from orderd.core.order import Side
from orderd.desk.completed import CompletedTrades
from orderd.server import results
from orderd.server.desk_services import DeskParts
from tests.desk.fills import Tail, Tape
from tests.server.conftest import House, open_house, refused
from tests.storage.making import START

BUY, SELL = Side.BUY, Side.SELL
BAD_TIME = Timestamp(nanos=-1)


class Desk:
    """A server that shows results, and the tape that they come from."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.journal = house.engine.journal
        self.tape = Tape(self.journal)
        self.calls = trade_service_pb2_grpc.TradeServiceStub(house.channel)
        self.completed = CompletedTrades(self.journal, Tail(self.journal))

    async def round_trip(self, entry: str, out: str, **about: object) -> None:
        """A trade of ten, bought and sold."""
        name = str(self.tape.second)
        await self.tape.trade(f"{name} in", BUY, "10", entry, **about)
        await self.tape.trade(f"{name} out", SELL, "10", out, **about)
        await self.completed.catch_up()


class Sequence:
    """How far the fold of a desk has come."""

    desk: Desk | None = None

    @property
    def sequence(self) -> int:
        return self.desk.completed.sequence if self.desk else 0


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    sequence = Sequence()
    async with open_house(tmp_path, desk=DeskParts(completed=sequence)) as house:
        sequence.desk = Desk(house)
        yield sequence.desk


async def test_the_series_and_the_statistics(desk: Desk) -> None:
    for entry, out, strategy in (("10", "12", "a"), ("10", "9.5", "b"), ("10", "10.33", "a"), ("10", "8", "a")):
        await desk.round_trip(entry, out, strategy=strategy)
    answer = await desk.calls.GetPerformance(pb.GetPerformanceRequest())
    assert [(point.pnl, point.cumulative_pnl) for point in answer.points] == [
        ("20", "20"), ("-5", "15"), ("3.3", "18.3"), ("-20", "-1.7"),
    ]  # fmt: skip
    summary = answer.summary
    assert (summary.trade_count, summary.win_count, summary.loss_count, summary.win_rate) == (4, 2, 2, "0.5")
    assert (summary.total_pnl, summary.gross_profit, summary.gross_loss) == ("-1.7", "23.3", "25")
    assert (summary.profit_factor, summary.expectancy) == ("0.932", "-0.425")
    assert (summary.average_win, summary.average_loss) == ("11.65", "12.5")
    assert (summary.largest_win, summary.largest_loss) == ("20", "-20")
    assert (summary.max_drawdown, summary.max_drawdown_pct) == ("21.7", "1.085")
    assert summary.average_duration.ToTimedelta() == timedelta(seconds=1)
    assert [(each.strategy, each.total_pnl) for each in answer.strategies] == [("a", "3.3"), ("b", "-5")]
    assert answer.sequence == desk.completed.sequence


async def test_no_trade_at_all_has_figures_all_the_same(desk: Desk) -> None:
    answer = await desk.calls.GetPerformance(pb.GetPerformanceRequest(account_id="paper"))
    assert answer.summary == pb.PerformanceSummary(
        total_pnl="0", total_fees="0", gross_profit="0", gross_loss="0", max_drawdown="0"
    )
    assert (list(answer.strategies), list(answer.points)) == ([], [])


async def test_filters_of_performance(desk: Desk) -> None:
    await desk.round_trip("10", "11", strategy="a", symbol="AAPL")
    await desk.round_trip("10", "12", strategy="b", symbol="AAPL")
    await desk.round_trip("10", "13", strategy="a", symbol="MSFT")

    async def total(**asked: object) -> str:
        answer = await desk.calls.GetPerformance(pb.GetPerformanceRequest(**asked, summary_only=True))
        assert not answer.points
        return str(answer.summary.total_pnl)

    assert await total() == "60"
    assert await total(strategies=["a"]) == "40"
    assert await total(symbols=["AAPL"]) == "30"
    assert await total(strategies=["a", "b"], symbols=["MSFT"]) == "30"
    first, last = START + timedelta(seconds=2), START + timedelta(seconds=6)
    assert await total(after_time=first) == "50"
    assert await total(after_time=first, before_time=last) == "20"
    assert await total(after_time=Timestamp(seconds=-62_135_596_800)) == "60"


async def test_what_busts_took_back_counts_for_nothing_and_what_is_unknown_is_counted_apart(desk: Desk) -> None:
    await desk.round_trip("10", "11")
    await desk.tape.bust("0 out", 1)
    await desk.tape.trade("2 in", SELL, "10", "1")
    await desk.completed.catch_up()
    summary = (await desk.calls.GetPerformance(pb.GetPerformanceRequest())).summary
    assert (summary.trade_count, summary.total_pnl, summary.unvalued_count) == (1, "-90", 0)


async def test_more_points_than_one_answer_holds_are_refused_and_the_summary_is_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_POINTS", 1)
    monkeypatch.setattr(results, "PAGE", 1)
    for _ in range(2):
        await desk.round_trip("10", "11")
    error = await refused(desk.calls.GetPerformance(pb.GetPerformanceRequest()))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_RESULTS")
    answer = await desk.calls.GetPerformance(pb.GetPerformanceRequest(summary_only=True))
    assert answer.summary.trade_count == 2


async def test_pages_of_completed_trades(desk: Desk) -> None:
    for n in range(5):
        await desk.round_trip("10", f"{11 + n}", trade_id=f"t-{n}", trace_id="tr", decision_id=f"d-{n}")
    request = pb.ListCompletedTradesRequest(trace_ids=["tr"], page_size=2)
    found: list[str] = []
    while True:
        page = await desk.calls.ListCompletedTrades(request)
        assert page.sequence == desk.completed.sequence
        found += [trade.pnl for trade in page.completed_trades]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert found == ["50", "40", "30", "20", "10"]
    one = await desk.calls.ListCompletedTrades(pb.ListCompletedTradesRequest(decision_ids=["d-3"], trade_ids=["t-3"]))
    assert [trade.pnl for trade in one.completed_trades] == ["40"]
    early = pb.ListCompletedTradesRequest(closed_before_time=START + timedelta(seconds=3))
    assert [trade.pnl for trade in (await desk.calls.ListCompletedTrades(early)).completed_trades] == ["10"]


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.ListCompletedTradesRequest(page_size=-1), ["page_size"]),
        (pb.ListCompletedTradesRequest(symbols=["A" * 33], strategies=[""]), ["symbols[0]", "strategies[0]"]),
        (pb.ListCompletedTradesRequest(closed_after_time=BAD_TIME), ["closed_after_time"]),
        (
            pb.ListCompletedTradesRequest(closed_after_time=START, closed_before_time=START),
            ["closed_before_time"],
        ),
        (pb.ListCompletedTradesRequest(trade_ids=["\n"], trace_ids=["x" * 129]), ["trade_ids[0]", "trace_ids[0]"]),
        (pb.ListCompletedTradesRequest(page_token="made up"), ["page_token"]),
        (pb.GetPerformanceRequest(account_id="x" * 129), ["account_id"]),
        (
            pb.GetPerformanceRequest(symbols=[""] * 2, strategies=["a\tb"]),
            ["symbols[0]", "symbols[1]", "strategies[0]"],
        ),
        (pb.GetPerformanceRequest(after_time=BAD_TIME, before_time=BAD_TIME), ["after_time", "before_time"]),
        (pb.GetPerformanceRequest(after_time=START, before_time=START), ["before_time"]),
    ],
)
async def test_every_bad_field_is_named(desk: Desk, request_: object, fields: list[str]) -> None:
    is_list = isinstance(request_, pb.ListCompletedTradesRequest)
    call = desk.calls.ListCompletedTrades if is_list else desk.calls.GetPerformance
    error = await refused(call(request_))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


async def test_an_unknown_account_has_no_results(desk: Desk) -> None:
    error = await refused(desk.calls.GetPerformance(pb.GetPerformanceRequest(account_id="nobody")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    error = await refused(desk.calls.ListCompletedTrades(pb.ListCompletedTradesRequest(account_ids=["nobody"])))
    assert error.reason == "ACCOUNT_NOT_FOUND"


async def test_with_several_accounts_one_must_be_named(tmp_path: Path) -> None:
    async with open_house(tmp_path, ("paper", "other"), desk=DeskParts(completed=Sequence())) as house:
        calls = trade_service_pb2_grpc.TradeServiceStub(house.channel)
        error = await refused(calls.GetPerformance(pb.GetPerformanceRequest()))
        assert (error.reason, error.fields) == ("ACCOUNT_REQUIRED", ["account_id"])
