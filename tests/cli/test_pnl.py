"""What was earned, as a command: what it asks for and what it prints."""

import json
from datetime import UTC, datetime

import pytest

from oms.v1 import trade_service_pb2 as pb
from tests.cli.conftest import Run
from tests.client.fake import Fake

FLAGS = ["--strategy", "momentum", "--strategy", "a", "--symbol", "aapl"]
TIMES = ["--after-time", "2026-01-05T00:00:00Z", "--before-time", "2026-01-06T00:00:00Z"]
FROM, TO = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _answers(fake: Fake) -> None:
    point = pb.PerformancePoint(cumulative_pnl="12.5", pnl="-3.5", completed_trade_id="ct-1")
    summary = pb.PerformanceSummary(trade_count=2, win_rate="0.5", total_pnl="12.5", profit_factor="2.25")
    named = pb.PerformanceSummary(strategy="momentum", trade_count=2)
    fake.answer("GetPerformance", pb.GetPerformanceResponse(summary=summary, strategies=[named], points=[point]))
    trades = [
        pb.CompletedTrade(completed_trade_id=f"ct-{n}", symbol="AAPL", pnl="0.000000000000000001") for n in range(3)
    ]
    fake.answer("ListCompletedTrades", pb.ListCompletedTradesResponse(completed_trades=trades))


def test_the_statistics_of_all_and_of_each_strategy(run: Run, fake: Fake) -> None:
    ran = run("pnl", "paper", *FLAGS, *TIMES, "-o", "json")
    assert [each.get("strategy", "") for each in json.loads(ran.out)] == ["", "momentum"]
    assert fake.asked["GetPerformance"].pop() == pb.GetPerformanceRequest(
        account_id="paper", strategies=["momentum", "a"], symbols=["AAPL"], after_time=FROM, before_time=TO,
        summary_only=True,
    )  # fmt: skip
    table = run("pnl", "-o", "table").out
    assert "profitFactor" in table
    assert "2.25" in table
    assert fake.asked["GetPerformance"].pop() == pb.GetPerformanceRequest(summary_only=True)


def test_the_result_after_each_trade(run: Run, fake: Fake) -> None:
    lines = run("pnl", "--show", "series", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["cumulativePnl"] for line in lines] == ["12.5"]
    assert fake.asked["GetPerformance"].pop() == pb.GetPerformanceRequest()


def test_the_trades_themselves_in_full_in_csv(run: Run, fake: Fake) -> None:
    rows = run("pnl", "paper", "--show", "trades", *FLAGS, *TIMES, "--limit", "2", "-o", "csv").out.splitlines()
    assert "exitFillIds" in rows[0]
    assert len(rows) == 3
    assert "0.000000000000000001" in rows[1]
    assert fake.asked["ListCompletedTrades"].pop() == pb.ListCompletedTradesRequest(
        account_ids=["paper"], strategies=["momentum", "a"], symbols=["AAPL"], closed_after_time=FROM,
        closed_before_time=TO, page_size=2,
    )  # fmt: skip
    assert run("pnl", "--show", "trades").code == 0
    assert fake.asked["ListCompletedTrades"].pop() == pb.ListCompletedTradesRequest(page_size=50)


@pytest.mark.parametrize(
    "wrong", [["--show", "everything"], ["--after-time", "yesterday"], ["--strategy", "x" * 129], ["--limit", "0"]]
)
def test_what_makes_no_sense_is_never_asked(run: Run, fake: Fake, wrong: list[str]) -> None:
    ran = run("pnl", *wrong)
    assert (ran.code, ran.out) == (2, "")
    assert fake.asked == {}
