"""Risk as commands: what they ask for, what they print, and how they end."""

import json

import pytest

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import order_pb2 as opb
from oms.v1 import risk_service_pb2 as pb
from tests.cli.conftest import Run
from tests.client.fake import Fake, account

WHY = ["--reason", "a test", "--operator-name", "ann"]
WORD = {"reason": "a test", "operator_name": "ann"}
SIZE = ["AAPL", "--side", "buy", "--entry-price", "50", "--stop-loss-price", "49.5"]


@pytest.fixture(autouse=True)
def _answers(fake: Fake) -> None:
    status = pb.RiskStatus(account_id="paper", trading_state=accounts_pb.TRADING_STATE_HALTED, open_orders=3)
    fake.answer("GetRiskStatus", pb.GetRiskStatusResponse(status=status))
    fake.answer("SetTradingState", pb.SetTradingStateResponse(status=status))
    fake.answer("ResetCircuitBreaker", pb.ResetCircuitBreakerResponse(status=status))
    fake.answer("SizePosition", pb.SizePositionResponse(sizing=pb.Sizing(quantity="500", bound_by="RISK")))
    fake.answer("FlattenAccount", pb.FlattenAccountResponse(is_flat=True, status=status))
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse(accounts=[account()]))


def test_how_an_account_stands(run: Run, fake: Fake) -> None:
    ran = run("risk", "status", "paper", "-o", "json")
    assert json.loads(ran.out)["tradingState"] == "TRADING_STATE_HALTED"
    assert fake.asked["GetRiskStatus"].pop() == pb.GetRiskStatusRequest(account_id="paper")
    assert "tradingState" in run("risk", "status", "-o", "table").out


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (["halt", "paper"], {"account_id": "paper", "trading_state": accounts_pb.TRADING_STATE_HALTED}),
        (
            ["halt", "--freeze-protection"],
            {"trading_state": accounts_pb.TRADING_STATE_HALTED, "freeze_protection": True},
        ),
        (["reduce"], {"trading_state": accounts_pb.TRADING_STATE_REDUCING}),
        (["resume", "--yes"], {"trading_state": accounts_pb.TRADING_STATE_ACTIVE}),
    ],
)
def test_trading_states(run: Run, fake: Fake, line: list[str], asked: dict[str, object]) -> None:
    assert run("risk", *line, *WHY).code == 0
    assert fake.asked["SetTradingState"].pop() == pb.SetTradingStateRequest(**asked, **WORD)


def test_a_reset_says_why(run: Run, fake: Fake) -> None:
    assert run("risk", "reset", *WHY).code == 0
    assert fake.asked["ResetCircuitBreaker"].pop() == pb.ResetCircuitBreakerRequest(**WORD)


def test_a_size_and_one_of_nothing(run: Run, fake: Fake) -> None:
    ran = run("risk", "size", "--symbol", *SIZE, "--equity", "25000", "-o", "json")
    assert (ran.code, json.loads(ran.out)["quantity"]) == (0, "500")
    assert fake.asked["SizePosition"].pop() == pb.SizePositionRequest(
        symbol="AAPL", side=opb.SIDE_BUY, entry_price="50", stop_loss_price="49.5", equity="25000"
    )
    nothing = pb.Sizing(quantity="0", code="STOP_WRONG_SIDE", message="the stop must be below the entry")
    fake.answer("SizePosition", pb.SizePositionResponse(sizing=nothing))
    ran = run("risk", "size", "--symbol", *SIZE, "-o", "json")
    assert (ran.code, json.loads(ran.out)["code"]) == (4, "STOP_WRONG_SIDE")
    assert "STOP_WRONG_SIDE: the stop must be below the entry" in ran.err


def test_the_kill_switch_and_what_is_still_live(run: Run, fake: Fake) -> None:
    assert run("risk", "flatten", "paper", "--close-positions", *WHY).code == 0
    assert fake.asked["FlattenAccount"].pop() == pb.FlattenAccountRequest(
        account_id="paper", close_positions=True, **WORD
    )
    deadline = fake.deadlines["FlattenAccount"].pop()
    assert deadline is not None
    assert deadline > 60, "longer than the server waits for its proof"
    live = pb.FlattenedOrder(order_id="o-1", symbol="AAPL", status=opb.ORDER_STATUS_UNKNOWN)
    fake.answer("FlattenAccount", pb.FlattenAccountResponse(is_flat=False, live_orders=[live]))
    ran = run("risk", "flatten", *WHY, "-o", "json")
    assert (ran.code, json.loads(ran.out)["liveOrders"][0]["orderId"]) == (9, "o-1")
    assert "not flat yet" in ran.err


@pytest.mark.parametrize(
    "wrong",
    [
        ["halt"],
        ["halt", "--reason", ""],
        ["halt", "--reason", "x" * 513],
        ["resume", *WHY, "--freeze-protection"],
        ["reset"],
        ["flatten"],
        ["flatten", *WHY, "--operator-name", "n" * 129],
        ["size", "--symbol", "AAPL"],
        ["size", "--symbol", *SIZE, "--entry-price", "NaN"],
        ["size", "--symbol", *SIZE, "--stop-loss-price", "0"],
        ["size", "--symbol", *SIZE, "--side", "up"],
        ["size", "--symbol", *SIZE, "--equity", "1e5"],
        ["status", "a" * 129],
        ["explode"],
    ],
)
def test_what_makes_no_sense_is_never_asked(run: Run, fake: Fake, wrong: list[str]) -> None:
    ran = run("risk", *wrong)
    assert (ran.code, ran.out) == (2, "")
    assert fake.asked == {}
