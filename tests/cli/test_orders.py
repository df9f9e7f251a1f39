"""What the order commands ask for, what they say, and with which code they end."""

import json
import re
import shlex
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from orderd.cli.exits import BY_CODE, BY_STATUS, MEANING, Exit
from orderd.core.order import OrderState
from tests.cli.conftest import Ran, Run
from tests.client.fake import Fake, Refusal, account, fill, order, submitted

BUY = ["order", "submit", "--symbol", "aapl", "--side", "buy", "--quantity", "10"]


@pytest.fixture(autouse=True)
def _paper(fake: Fake) -> None:
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse(accounts=[account()]))
    fake.answer("SubmitOrder", submitted)


def asked(fake: Fake, method: str = "SubmitOrder") -> Any:  # noqa: ANN401 - a message of that method
    """The only request of a method."""
    (request,) = fake.asked[method]
    return request


def words(text: str) -> list[str]:
    """A command line as a shell would take it apart."""
    return shlex.split(text)


# --- submit -------------------------------------------------------------------------------------------


def test_a_key_is_made_and_told_before_the_order(run: Run, fake: Fake) -> None:
    ran = run(*BUY)
    key = asked(fake).client_order_id
    assert re.fullmatch(r"[0-9a-f-]{36}", key)
    assert ran.err == f"client_order_id {key}\n"
    assert json.loads(ran.out)["clientOrderId"] == key


def test_a_key_of_ones_own_is_used(run: Run, fake: Fake) -> None:
    ran = run(*BUY, "--client-order-id", "mine-1")
    assert asked(fake).client_order_id == "mine-1"
    assert ran.err == ""


def test_a_key_that_the_server_derives_is_left_to_it(run: Run, fake: Fake) -> None:
    assert run(*BUY, "--decision-id", "d-1").code == 0
    assert asked(fake).client_order_id == ""


def test_all_flags_reach_the_request(run: Run, fake: Fake) -> None:
    flags = words("""
        --account-id paper --trace-id t-1 --decision-id d-1 --decided-time 2025-01-17T14:30:00Z --strategy s
        --tag a=b --tag c=d=e --type stop_limit --time-in-force GTC --limit-price 101.5 --stop-price 101
        --extended-hours --order-class bracket --take-profit-limit-price 110 --stop-loss-stop-price 95
        --stop-loss-limit-price 94.5 --position-intent BUY_TO_OPEN --valid-until-time 2025-01-17T15:00:00+01:00
        --reference-price 100 --no-wait
    """)
    assert run(*BUY, *flags).code == 0
    expected = pb.SubmitOrderRequest(
        account_id="paper", trace_id="t-1", decision_id="d-1", strategy="s", tags={"a": "b", "c": "d=e"},
        symbol="AAPL", side=order_pb2.SIDE_BUY, quantity="10", type=order_pb2.ORDER_TYPE_STOP_LIMIT,
        time_in_force=order_pb2.TIME_IN_FORCE_GTC, limit_price="101.5", stop_price="101", extended_hours=True,
        order_class=order_pb2.ORDER_CLASS_BRACKET, take_profit=order_pb2.TakeProfit(limit_price="110"),
        stop_loss=order_pb2.StopLoss(stop_price="95", limit_price="94.5"),
        position_intent=order_pb2.POSITION_INTENT_BUY_TO_OPEN, reference_price="100", wait=pb.SUBMIT_WAIT_JOURNAL,
    )  # fmt: skip
    expected.decided_time.FromJsonString("2025-01-17T14:30:00Z")
    expected.valid_until_time.FromJsonString("2025-01-17T14:00:00Z")
    assert asked(fake) == expected


def test_legs_make_a_multi_leg_order(run: Run, fake: Fake) -> None:
    legs = ["--leg", "AAPL250117C00150000:buy", "--leg", "AAPL250117C00160000:SELL:2:sell_to_open"]
    assert run("order", "submit", "--quantity", "1", "--limit-price", "-1.25", *legs).code == 0
    request = asked(fake)
    assert (request.order_class, request.limit_price) == (order_pb2.ORDER_CLASS_MULTILEG, "-1.25")
    assert [(leg.symbol, leg.side, leg.ratio, leg.position_intent) for leg in request.legs] == [
        ("AAPL250117C00150000", order_pb2.SIDE_BUY, 1, 0),
        ("AAPL250117C00160000", order_pb2.SIDE_SELL, 2, order_pb2.POSITION_INTENT_SELL_TO_OPEN),
    ]


@pytest.mark.parametrize(
    ("flags", "type_"),
    [
        ([], order_pb2.ORDER_TYPE_MARKET),
        (["--limit-price", "1"], order_pb2.ORDER_TYPE_LIMIT),
        (["--stop-price", "1"], order_pb2.ORDER_TYPE_STOP),
        (["--stop-price", "1", "--limit-price", "2"], order_pb2.ORDER_TYPE_STOP_LIMIT),
        (["--trail-price", "1"], order_pb2.ORDER_TYPE_TRAILING_STOP),
        (["--trail-percent", "1"], order_pb2.ORDER_TYPE_TRAILING_STOP),
        (["--type", "market", "--limit-price", "1"], order_pb2.ORDER_TYPE_MARKET),
    ],
)
def test_the_type_follows_the_prices_unless_it_is_said(run: Run, fake: Fake, flags: list[str], type_: int) -> None:
    assert run(*BUY, *flags).code == 0
    assert asked(fake).type == type_


@pytest.mark.parametrize("state", OrderState)
def test_the_state_of_the_order_is_the_exit_code(run: Run, fake: Fake, state: OrderState) -> None:
    reason = order_pb2.StatusReason(code="MAX_NOTIONAL", message="too much")
    placed = order(status=order_pb2.OrderStatus.Value(f"ORDER_STATUS_{state}"), status_reason=reason)
    fake.answer("SubmitOrder", pb.SubmitOrderResponse(order=placed))
    ran = run(*BUY, "--client-order-id", "key-1")
    expected = {"DENIED": 4, "REJECTED": 4, "SUBMIT_FAILED": 4, "UNKNOWN": 5}.get(state, 0)
    assert ran.code == expected
    assert json.loads(ran.out)["status"] == f"ORDER_STATUS_{state}"
    assert (f"{state}: MAX_NOTIONAL: too much" in ran.err) is bool(expected)
    assert ("--client-order-id key-1" in ran.err) is (expected == 5)


def test_a_replay_is_told(run: Run, fake: Fake) -> None:
    fake.answer("SubmitOrder", pb.SubmitOrderResponse(order=order(), replayed=True))
    assert "replayed" in run(*BUY, "--client-order-id", "key-1").err


@pytest.mark.parametrize(
    ("code", "exit_code"), [(grpc.StatusCode.DEADLINE_EXCEEDED, 124), (grpc.StatusCode.UNAVAILABLE, 7)]
)
def test_without_an_answer_the_key_to_repeat_with_is_told(
    run: Run, fake: Fake, code: grpc.StatusCode, exit_code: int
) -> None:
    fake.answer("SubmitOrder", Refusal(code))
    ran = run(*BUY)
    key = asked(fake).client_order_id
    assert (ran.code, ran.out) == (exit_code, "")
    assert f"repeat the command with --client-order-id {key}" in ran.err


def test_the_deadline_is_the_users(run: Run, fake: Fake) -> None:
    assert run(*BUY, "--timeout", "3").code == 0
    remaining = fake.deadlines["SubmitOrder"][0]
    assert remaining is not None
    assert 2 < remaining <= 3.1


def test_a_dry_run_is_a_preview(run: Run, fake: Fake) -> None:
    fake.answer("PreviewOrder", pb.PreviewOrderResponse(valid=True, client_order_id="k"))
    ran = run(*BUY, "--dry-run", "--client-order-id", "k")
    assert json.loads(ran.out) == {"valid": True, "clientOrderId": "k"}
    assert asked(fake, "PreviewOrder").order.symbol == "AAPL"
    assert not fake.asked["SubmitOrder"]


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (
            pb.PreviewOrderResponse(risk_verdict=pb.RiskVerdict(code="MAX_NOTIONAL", message="too much")),
            4,
            "MAX_NOTIONAL",
        ),
        (pb.PreviewOrderResponse(field_violations=[{"field": "symbol", "description": "is odd"}]), 2, "symbol: is odd"),
    ],
)
def test_a_preview_that_says_no(run: Run, fake: Fake, answer: pb.PreviewOrderResponse, code: int, said: str) -> None:
    fake.answer("PreviewOrder", answer)
    ran = run("order", "preview", *BUY[2:])
    assert ran.code == code
    assert said in ran.err


# --- live -----------------------------------------------------------------------------------------------


def live(fake: Fake) -> None:
    """Make the second account real money."""
    real = account("real", mode=order_pb2.MODE_LIVE)
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse(accounts=[account(), real]))


def test_live_is_said_before_it_is_sent(run: Run, fake: Fake) -> None:
    live(fake)
    fake.answer("SubmitOrder", Refusal(grpc.StatusCode.INTERNAL))
    ran = run(*BUY, "--account-id", "real", "--limit-price", "101.5")
    assert ran.err.startswith("LIVE: account real at alpaca trades real money: BUY 10 AAPL LIMIT limit 101.5 DAY\n")
    assert ran.err.index("LIVE") < ran.err.index("INTERNAL")


def test_paper_is_not_called_live(run: Run, fake: Fake) -> None:
    live(fake)
    assert "LIVE" not in run(*BUY, "--account-id", "paper").err


def test_a_live_replace_is_said_too(run: Run, fake: Fake) -> None:
    live(fake)
    fake.answer("ReplaceOrder", pb.ReplaceOrderResponse(order=order()))
    ran = run("order", "replace", "order-1", "--account-id", "real", "--quantity", "3")
    assert "LIVE: account real at alpaca trades real money: replace of order-1" in ran.err


# --- the others -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["o-1"], pb.GetOrderRequest(order_id="o-1")),
        (["--client-order-id", "k-1", "--account-id", "a"], pb.GetOrderRequest(client_order_id="k-1", account_id="a")),
        (["--broker-order-id", "b-1", "--full"], pb.GetOrderRequest(broker_order_id="b-1", full=True)),
    ],
)
def test_get_by_any_id(run: Run, fake: Fake, flags: list[str], expected: pb.GetOrderRequest) -> None:
    fake.answer("GetOrder", pb.GetOrderResponse(order=order(), fills=[fill()]))
    assert run("order", "get", *flags).code == 0
    assert asked(fake, "GetOrder") == expected


@pytest.mark.parametrize("command", ["get", "cancel", "replace"])
@pytest.mark.parametrize("flags", [[], ["o-1", "--client-order-id", "k-1"]])
def test_exactly_one_order_is_named(run: Run, command: str, flags: list[str]) -> None:
    ran = run("order", command, *flags, *(["--quantity", "1"] if command == "replace" else []))
    assert ran.code == 2
    assert "name one order" in ran.err


def test_every_filter_of_the_list(run: Run, fake: Fake) -> None:
    fake.answer("ListOrders", pb.ListOrdersResponse())
    flags = words("""
        --account-id a --account-id b --status filled --status UNKNOWN --open --symbol aapl --underlying spy
        --expiry-date-from 2025-01-01 --expiry-date-to 2025-02-01 --asset-class us_option --side sell --role entry
        --strategy s --strategy-type vertical --own --trace-id t --decision-id d --trade-id x
        --created-after-time 2025-01-01T00:00:00Z --created-before-time 2025-01-02T00:00:00Z --limit 7
    """)
    assert run("order", "list", *flags).code == 0
    expected = pb.ListOrdersRequest(
        account_ids=["a", "b"], statuses=[order_pb2.ORDER_STATUS_FILLED, order_pb2.ORDER_STATUS_UNKNOWN],
        open_only=True, symbols=["AAPL"], underlyings=["SPY"], expiry_date_from="2025-01-01",
        expiry_date_to="2025-02-01", asset_classes=[order_pb2.ASSET_CLASS_US_OPTION], sides=[order_pb2.SIDE_SELL],
        roles=[order_pb2.ORDER_ROLE_ENTRY], strategies=["s"], strategy_types=["vertical"], external=False,
        trace_ids=["t"], decision_ids=["d"], trade_ids=["x"], page_size=7,
    )  # fmt: skip
    expected.created_after_time.FromJsonString("2025-01-01T00:00:00Z")
    expected.created_before_time.FromJsonString("2025-01-02T00:00:00Z")
    assert asked(fake, "ListOrders") == expected


def test_a_limit_ends_the_paging(run: Run, fake: Fake) -> None:
    fake.answer("ListOrders", pb.ListOrdersResponse(orders=[order(3), order(2)], next_page_token="more"))
    ran = run("order", "list", "--limit", "3")
    assert [found["orderId"] for found in json.loads(ran.out)] == ["order-3", "order-2", "order-3"]
    assert len(fake.asked["ListOrders"]) == 2


def test_every_filter_of_the_fills(run: Run, fake: Fake) -> None:
    fake.answer("ListFills", pb.ListFillsResponse())
    flags = words("""
        --account-id a --order-id o --symbol aapl --trade-id x --after-time 2025-01-01T00:00:00Z
        --before-time 2025-01-02T00:00:00Z --limit 9999
    """)
    assert run("fill", "list", *flags).code == 0
    expected = pb.ListFillsRequest(
        account_ids=["a"], order_ids=["o"], symbols=["AAPL"], trade_ids=["x"], page_size=1000
    )
    expected.after_time.FromJsonString("2025-01-01T00:00:00Z")
    expected.before_time.FromJsonString("2025-01-02T00:00:00Z")
    assert asked(fake, "ListFills") == expected


def test_cancel(run: Run, fake: Fake) -> None:
    fake.answer("CancelOrder", pb.CancelOrderResponse(order=order(pending_cancel=True)))
    ran = run("order", "cancel", "o-1", "--reason", "no longer wanted", "--no-wait")
    assert json.loads(ran.out)["pendingCancel"] is True
    assert asked(fake, "CancelOrder") == pb.CancelOrderRequest(
        order_id="o-1", reason="no longer wanted", wait=pb.SUBMIT_WAIT_JOURNAL
    )


def test_cancel_of_an_ended_order(run: Run, fake: Fake) -> None:
    fake.answer("CancelOrder", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "ORDER_ENDED", "it is filled"))
    assert run("order", "cancel", "o-1").code == 8


def test_cancel_all_tells_what_it_could_not_do(run: Run, fake: Fake) -> None:
    failed = pb.CancelAllOrdersResult(order_id="o-2", error_reason="ERROR_REASON_ORDER_ENDED")
    results = [pb.CancelAllOrdersResult(order_id="o-1"), failed]
    fake.answer("CancelAllOrders", pb.CancelAllOrdersResponse(results=results))
    flags = [
        "--account-id",
        "paper",
        "--symbol",
        "aapl",
        "--include-protective",
        "--include-external",
        "--reason",
        "stop",
    ]
    ran = run("order", "cancel-all", *flags)
    assert ran.code == 9
    assert "1 of 2" in ran.err
    assert [found.get("errorReason") for found in json.loads(ran.out)] == [None, "ERROR_REASON_ORDER_ENDED"]
    assert asked(fake, "CancelAllOrders") == pb.CancelAllOrdersRequest(
        account_id="paper", symbols=["AAPL"], include_protective=True, include_external=True, reason="stop"
    )


def test_replace(run: Run, fake: Fake) -> None:
    fake.answer("ReplaceOrder", pb.ReplaceOrderResponse(order=order()))
    flags = words("""
        --quantity 11 --limit-price 102 --stop-price 100 --trail 2 --time-in-force gtc --expected-version 3
        --request-id r-1 --reason better
    """)
    assert run("order", "replace", "o-1", *flags).code == 0
    assert asked(fake, "ReplaceOrder") == pb.ReplaceOrderRequest(
        order_id="o-1", quantity="11", limit_price="102", stop_price="100", trail="2", request_id="r-1",
        time_in_force=order_pb2.TIME_IN_FORCE_GTC, expected_version=3, reason="better",
    )  # fmt: skip


def test_a_replace_makes_its_key_and_tells_it(run: Run, fake: Fake) -> None:
    fake.answer("ReplaceOrder", pb.ReplaceOrderResponse(order=order()))
    ran = run("order", "replace", "o-1", "--quantity", "11")
    assert ran.err == f"request_id {asked(fake, 'ReplaceOrder').request_id}\n"


def test_a_replace_by_nothing(run: Run) -> None:
    ran = run("order", "replace", "o-1")
    assert ran.code == 2
    assert "at least one new term" in ran.err


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("CancelOrder", ["order", "cancel", "o-1"]),
        ("CancelAllOrders", ["order", "cancel-all", "--symbol", "AAPL"]),
        ("ReplaceOrder", ["order", "replace", "o-1", "--quantity", "3"]),
        (
            "ResolveOrder",
            ["order", "resolve", "o-1", "--resolution", "not_placed", "--reason", "r", "--evidence", "e"],
        ),
    ],
)
def test_a_dry_run_shows_the_request_and_sends_nothing(run: Run, fake: Fake, method: str, line: list[str]) -> None:
    ran = run(*line, "--dry-run")
    assert ran.code == 0
    assert json.loads(ran.out)
    assert not fake.asked[method]


def test_a_reconciliation_shows_progress_aside(run: Run, fake: Fake) -> None:
    steps = [
        broker_pb.ReconcileResponse(stage="RECONCILE_STAGE_STARTED", account_id="paper"),
        broker_pb.ReconcileResponse(stage="RECONCILE_STAGE_DONE", account_id="paper", booked_fill_count=2),
    ]
    fake.stream("Reconcile", steps)
    ran = run("broker", "reconcile", "paper")
    assert ran.err == "paper: started\npaper: done\n"
    assert json.loads(ran.out)["bookedFillCount"] == 2


def test_a_reconciliation_that_gave_up(run: Run, fake: Fake) -> None:
    fake.stream("Reconcile", [broker_pb.ReconcileResponse(stage="RECONCILE_STAGE_FAILED", message="cut")])
    ran = run("broker", "reconcile")
    assert ran.code == 7
    assert "cut" in ran.err


def test_broker_orders_and_resume(run: Run, fake: Fake) -> None:
    fake.answer("ListBrokerOrders", broker_pb.ListBrokerOrdersResponse())
    fake.answer("ResumeAccount", broker_pb.ResumeAccountResponse(account=account()))
    assert run("broker", "orders", "paper", "--open", "--orphans", "--limit", "5").code == 0
    assert run("broker", "resume", "paper", "--reason", "checked").code == 0
    assert asked(fake, "ListBrokerOrders") == broker_pb.ListBrokerOrdersRequest(
        account_id="paper", open_only=True, orphans_only=True, page_size=5
    )
    assert asked(fake, "ResumeAccount") == broker_pb.ResumeAccountRequest(account_id="paper", reason="checked")


# --- exit codes -----------------------------------------------------------------------------------------


def ended(run: Run, fake: Fake, code: grpc.StatusCode, reason: str = "") -> Ran:
    """A read that is refused."""
    fake.answer("GetOrder", Refusal(code, reason, "no"))
    return run("order", "get", "o-1")


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 2), (grpc.StatusCode.OUT_OF_RANGE, 2), (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.UNAUTHENTICATED, 6), (grpc.StatusCode.PERMISSION_DENIED, 6), (grpc.StatusCode.UNAVAILABLE, 7),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 7), (grpc.StatusCode.ALREADY_EXISTS, 8), (grpc.StatusCode.ABORTED, 8),
        (grpc.StatusCode.FAILED_PRECONDITION, 8), (grpc.StatusCode.DEADLINE_EXCEEDED, 124),
        (grpc.StatusCode.INTERNAL, 1), (grpc.StatusCode.UNIMPLEMENTED, 1), (grpc.StatusCode.DATA_LOSS, 1),
    ],
)  # fmt: skip
def test_each_code_has_its_exit(run: Run, fake: Fake, code: grpc.StatusCode, exit_code: int) -> None:
    ran = ended(run, fake, code)
    assert (ran.code, ran.out) == (exit_code, "")
    assert f"{code.name}: no" in ran.err


def test_the_tables_name_what_exists() -> None:
    assert set(BY_CODE) <= {code.name for code in grpc.StatusCode}
    assert set(BY_STATUS) <= set(OrderState)
    assert set(MEANING) == set(Exit)
    assert {int(code) for code in Exit} == {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 124, 130}


def test_a_risk_refusal_of_a_replace_is_a_refusal(run: Run, fake: Fake) -> None:
    assert ended(run, fake, grpc.StatusCode.FAILED_PRECONDITION, "RISK_DENIED").code == 4


def test_an_error_is_shown_whole(run: Run, fake: Fake) -> None:
    request = details.BadRequest()
    request.field_violations.add(field="quantity", description="must be positive")
    more = [request, details.RetryInfo(retry_delay=Duration(seconds=2))]
    refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS", "one is wrong", more=more, hint="h")
    fake.answer("GetOrder", refusal)
    assert run("order", "get", "o-1").err.splitlines() == [
        "INVALID_FIELDS: one is wrong",
        "  quantity: must be positive",
        "  hint = h",
        "  repeat after 2 s",
    ]


def test_no_server(run: Run, unused_tcp_port: int) -> None:
    ran = run("account", "list", "--address", f"127.0.0.1:{unused_tcp_port}")
    assert ran.code == 7
    assert f"is orderd running at 127.0.0.1:{unused_tcp_port}?" in ran.err
