"""Decisions from the command line: what is written down, what is sent for it, and how each command ends."""

import json
from pathlib import Path

import grpc
import pytest

from oms.v1 import decision_service_pb2 as pb
from oms.v1 import order_pb2
from oms.v1.account_service_pb2 import ListAccountsResponse
from tests.cli.conftest import Run
from tests.client.fake import Fake, Refusal, account, decision, order

TIME = "2026-01-05T15:00:00Z"
BUY = ["--symbol", "aapl", "--side", "buy"]
WAITS = decision(
    status=order_pb2.DECISION_STATUS_PENDING_APPROVAL,
    status_reason=order_pb2.StatusReason(code="APPROVAL_REQUIRED", message="its value is 800"),
)


@pytest.fixture(autouse=True)
def _answers(fake: Fake) -> None:
    fake.answer("ListAccounts", ListAccountsResponse(accounts=[account()]))
    fake.answer("RecordDecision", pb.RecordDecisionResponse(decision=decision()))
    fake.answer("ApproveDecision", pb.ApproveDecisionResponse(decision=decision(), order=order()))
    fake.answer("RejectDecision", pb.RejectDecisionResponse(decision=decision()))
    fake.answer("ListDecisions", pb.ListDecisionsResponse())
    fake.answer("GetDecision", pb.GetDecisionResponse(decision=decision(), lifecycle="Entry filled, trade open"))


def test_every_flag_of_a_record_reaches_the_request(run: Run, fake: Fake) -> None:
    flags = [
        "--decision-id", "d-1", "--kind", "exit", "--account-id", "paper", "--trace-id", "t", "--strategy", "s",
        "--confidence", "0.8", "--signal", "rsi=28", "--model", "m", "--provider", "p", "--rationale", "because",
        "--decided-time", TIME, "--expires-time", TIME, "--linked-trade-id", "trade-1",
    ]  # fmt: skip
    assert run("decision", "record", *BUY, *flags).code == 0
    expected = pb.RecordDecisionRequest(
        decision_id="d-1", kind=order_pb2.DECISION_KIND_EXIT, symbol="AAPL", side=order_pb2.SIDE_BUY,
        account_id="paper", trace_id="t", strategy="s", confidence="0.8", signals={"rsi": "28"}, model="m",
        provider="p", rationale="because", linked_trade_id="trade-1",
    )  # fmt: skip
    expected.decided_time.FromJsonString(TIME)
    expected.expires_time.FromJsonString(TIME)
    assert fake.asked["RecordDecision"] == [expected]


def sent(run: Run, fake: Fake, *flags: str) -> pb.DecisionIntent:
    assert run("decision", "record", *flags).code == 0
    request = fake.asked["RecordDecision"].pop()
    assert isinstance(request, pb.RecordDecisionRequest)
    return request.intent


def test_what_is_sent_is_an_order_a_trade_or_the_end_of_one(run: Run, fake: Fake, tmp_path: Path) -> None:
    limit = sent(run, fake, *BUY, "--quantity", "10", "--limit-price", "80", "--time-in-force", "gtc").submit_order
    assert (limit.symbol, limit.quantity, limit.limit_price) == ("AAPL", "10", "80")
    assert (limit.type, limit.time_in_force) == (order_pb2.ORDER_TYPE_LIMIT, order_pb2.TIME_IN_FORCE_GTC)
    market = sent(run, fake, *BUY, "--quantity", "10", "--reference-price", "79").submit_order
    assert (market.type, market.reference_price) == (order_pb2.ORDER_TYPE_MARKET, "79")
    opening = sent(run, fake, *BUY, "--entry-price", "80", "--stop-loss-price", "75", "--type", "stop").open_trade
    assert (opening.signal.symbol, opening.signal.side) == ("AAPL", order_pb2.SIDE_BUY)
    assert (opening.signal.type, opening.quantity) == (order_pb2.ORDER_TYPE_STOP, "")
    closing = sent(run, fake, "--kind", "exit", "--linked-trade-id", "t", "--close", "--quantity", "3").close_trade
    assert (closing.trade_id, closing.quantity) == ("t", "3")
    file = tmp_path / "intent.json"
    file.write_text(json.dumps({"closeTrade": {"tradeId": "t"}}), encoding="utf-8")
    assert sent(run, fake, "--kind", "exit", "--intent", str(file)).close_trade.trade_id == "t"
    assert not sent(run, fake, *BUY).WhichOneof("request")


def test_one_thing_is_sent(run: Run, fake: Fake, tmp_path: Path) -> None:
    ran = run("decision", "record", *BUY, "--close", "--entry-price", "80")
    assert (ran.code, "only one of these" in ran.err) == (2, True)
    file = tmp_path / "intent.json"
    for text in ("{", '{"sendMoney": 1}', "7"):
        file.write_text(text, encoding="utf-8")
        ran = run("decision", "record", *BUY, "--intent", str(file))
        assert (ran.code, "is no DecisionIntent" in ran.err) == (2, True)
    file.write_bytes(b"\xff\xfe")
    assert run("decision", "record", *BUY, "--intent", str(file)).code == 2
    assert "RecordDecision" not in fake.asked or not fake.asked["RecordDecision"]


def test_an_id_is_made_and_printed(run: Run, fake: Fake) -> None:
    ran = run("decision", "record", *BUY)
    made = fake.asked["RecordDecision"][0]
    assert f"decision_id {made.decision_id}" in ran.err  # type: ignore[attr-defined]


def test_a_dry_run_sends_nothing(run: Run, fake: Fake) -> None:
    ran = run("decision", "record", *BUY, "--quantity", "1", "--dry-run", "--decision-id", "d-1")
    assert json.loads(ran.out)["intent"]["submitOrder"]["quantity"] == "1"
    assert not fake.asked.get("RecordDecision")


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (pb.RecordDecisionResponse(decision=WAITS), 0, "waits for approval: its value is 800"),
        (pb.RecordDecisionResponse(decision=decision(), replayed=True), 0, "replayed"),
        (pb.RecordDecisionResponse(decision=decision(status=order_pb2.DECISION_STATUS_EXPIRED)), 4, "EXPIRED"),
        (
            pb.RecordDecisionResponse(
                decision=decision(),
                order=order(
                    status=order_pb2.ORDER_STATUS_DENIED,
                    status_reason=order_pb2.StatusReason(code="MAX_ORDER_QUANTITY", message="too much"),
                ),
            ),
            4,
            "its order is DENIED: MAX_ORDER_QUANTITY: too much",
        ),
    ],
)
def test_the_end_of_a_record(run: Run, fake: Fake, answer: pb.RecordDecisionResponse, code: int, said: str) -> None:
    fake.answer("RecordDecision", answer)
    ran = run("decision", "record", *BUY, "--quantity", "1", "--execute")
    assert (ran.code, said in ran.err) == (code, True)
    assert json.loads(ran.out)["decision"]["decisionId"] == "decision-1"


def test_a_persons_word(run: Run, fake: Fake) -> None:
    words = ["--reason", "fine", "--operator-name", "ann", "--account-id", "paper"]
    assert run("decision", "approve", "d-1", *words, "--reference-price", "80.5").code == 0
    assert fake.asked["ApproveDecision"] == [
        pb.ApproveDecisionRequest(
            decision_id="d-1", account_id="paper", reason="fine", operator_name="ann", reference_price="80.5"
        )
    ]
    assert run("decision", "reject", "d-1", *words).code == 0
    assert fake.asked["RejectDecision"] == [
        pb.RejectDecisionRequest(decision_id="d-1", account_id="paper", reason="fine", operator_name="ann")
    ]
    assert run("decision", "reject", "d-1").code == 2, "a no has a reason"
    fake.answer("ApproveDecision", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "DECISION_EXPIRED", "too late"))
    ran = run("decision", "approve", "d-1")
    assert (ran.code, "DECISION_EXPIRED" in ran.err) == (8, True)


def test_reading(run: Run, fake: Fake) -> None:
    ran = run("decision", "get", "d-1", "--account-id", "paper")
    assert json.loads(ran.out)["lifecycle"] == "Entry filled, trade open"
    assert fake.asked["GetDecision"] == [pb.GetDecisionRequest(decision_id="d-1", account_id="paper")]
    flags = [
        "--status", "pending_approval", "--kind", "exit", "--symbol", "aapl", "--strategy", "s", "--trace-id", "t",
        "--decision-id", "d", "--trade-id", "r", "--account-id", "paper", "--created-after-time", TIME, "--limit", "5",
    ]  # fmt: skip
    assert run("decision", "list", *flags).code == 0
    expected = pb.ListDecisionsRequest(
        statuses=[order_pb2.DECISION_STATUS_PENDING_APPROVAL], kinds=[order_pb2.DECISION_KIND_EXIT], symbols=["AAPL"],
        strategies=["s"], trace_ids=["t"], decision_ids=["d"], trade_ids=["r"], account_ids=["paper"], page_size=5,
    )  # fmt: skip
    expected.created_after_time.FromJsonString(TIME)
    assert fake.asked["ListDecisions"] == [expected]
