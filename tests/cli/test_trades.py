"""Trades from the command line: what is asked for, what is said before money moves, and how each command ends."""

import json

import grpc
import pytest

from oms.v1 import order_pb2, trade_service_pb2
from oms.v1 import order_service_pb2 as orders_pb
from oms.v1 import trade_service_pb2 as pb
from oms.v1.account_service_pb2 import ListAccountsResponse
from tests.cli.conftest import Run
from tests.client.fake import Fake, Refusal, account, desk_event, desk_events, desk_started, order, trade

SIGNAL = ["--symbol", "aapl", "--side", "buy", "--entry-price", "100", "--stop-loss-price", "95"]
DENIED = order_pb2.StatusReason(code="MAX_OPEN_POSITIONS", message="3 are open")
TIME = "2026-01-05T15:00:00Z"


@pytest.fixture(autouse=True)
def _answers(fake: Fake) -> None:
    fake.answer("ListAccounts", ListAccountsResponse(accounts=[account()]))
    fake.answer("OpenTrade", pb.OpenTradeResponse(trade=trade(), entry_order=order()))
    fake.answer("CloseTrade", pb.CloseTradeResponse(trade=trade(state=pb.TRADE_STATE_CLOSED)))
    fake.answer("MoveStop", pb.MoveStopResponse(trade=trade()))
    fake.answer("RearmStop", pb.RearmStopResponse(trade=trade()))
    fake.answer("GetTrade", pb.GetTradeResponse(trade=trade()))
    fake.answer("ListTrades", pb.ListTradesResponse())


def test_every_flag_of_an_open_reaches_the_request(run: Run, fake: Fake) -> None:
    more = [
        "--type", "stop", "--time-in-force", "gtc", "--strategy", "s", "--signal-time", TIME, "--max-candles", "3",
        "--extended-hours", "--quantity", "7", "--on-partial", "wait", "--on-entry-end", "keep",
        "--accept-unprotected", "--account-id", "paper", "--client-trade-id", "k-1", "--trace-id", "t",
        "--decision-id", "d", "--tag", "a=b", "--no-wait",
    ]  # fmt: skip
    assert run("trade", "open", *SIGNAL, *more).code == 0
    signal = pb.Signal(
        symbol="AAPL", side=order_pb2.SIDE_BUY, entry_price="100", stop_loss_price="95",
        type=order_pb2.ORDER_TYPE_STOP, time_in_force=order_pb2.TIME_IN_FORCE_GTC, strategy="s", max_candles=3,
        extended_hours=True,
    )  # fmt: skip
    signal.signal_time.FromJsonString(TIME)
    assert fake.asked["OpenTrade"] == [
        pb.OpenTradeRequest(
            account_id="paper", client_trade_id="k-1", decision_id="d", trace_id="t", signal=signal, quantity="7",
            on_partial=pb.ON_PARTIAL_WAIT, on_entry_end=pb.ON_ENTRY_END_KEEP, accept_unprotected=True,
            tags={"a": "b"}, wait=orders_pb.SUBMIT_WAIT_JOURNAL,
        )
    ]  # fmt: skip


def test_a_key_is_made_and_printed(run: Run, fake: Fake) -> None:
    ran = run("trade", "open", *SIGNAL)
    key = fake.asked["OpenTrade"][0].client_trade_id
    assert key
    assert f"client_trade_id {key}" in ran.err
    assert fake.asked["OpenTrade"][0].signal.type == order_pb2.ORDER_TYPE_LIMIT


def test_a_lost_answer_says_how_to_repeat(run: Run, fake: Fake) -> None:
    fake.answer("OpenTrade", Refusal(grpc.StatusCode.DEADLINE_EXCEEDED))
    fake.answer("CloseTrade", Refusal(grpc.StatusCode.UNAVAILABLE))
    opened = run("trade", "open", *SIGNAL)
    assert opened.code == 124
    assert f"repeat the command with --client-trade-id {fake.asked['OpenTrade'][0].client_trade_id}" in opened.err
    closed = run("trade", "close", "trade-1")
    assert closed.code == 7
    assert f"repeat the command with --request-id {fake.asked['CloseTrade'][0].request_id}" in closed.err
    assert len(fake.asked["OpenTrade"]) == len(fake.asked["CloseTrade"]) == 1


NEVER = trade(state=pb.TRADE_STATE_NEVER_OPENED, status_reason=DENIED)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (pb.OpenTradeResponse(trade=trade(), entry_order=order()), 0, ""),
        (pb.OpenTradeResponse(trade=trade(), replayed=True), 0, "replayed"),
        (pb.OpenTradeResponse(trade=NEVER), 4, "NEVER_OPENED: MAX_OPEN_POSITIONS: 3 are open"),
        (
            pb.OpenTradeResponse(
                trade=NEVER, entry_order=order(status=order_pb2.ORDER_STATUS_DENIED, status_reason=DENIED)
            ),
            4,
            "DENIED: MAX_OPEN_POSITIONS",
        ),
        (
            pb.OpenTradeResponse(trade=trade(), entry_order=order(status=order_pb2.ORDER_STATUS_UNKNOWN)),
            5,
            "the entry of trade trade-1 is UNKNOWN",
        ),
    ],
)
def test_the_end_of_an_open(run: Run, fake: Fake, answer: pb.OpenTradeResponse, code: int, said: str) -> None:
    fake.answer("OpenTrade", answer)
    ran = run("trade", "open", *SIGNAL)
    assert ran.code == code
    assert said in ran.err
    assert json.loads(ran.out)["trade"]["tradeId"] == "trade-1"


@pytest.mark.parametrize(
    ("answer", "flags", "code", "said"),
    [
        (pb.CloseTradeResponse(trade=trade(state=pb.TRADE_STATE_CLOSED)), [], 0, ""),
        (pb.CloseTradeResponse(trade=trade(state=pb.TRADE_STATE_CLOSING)), [], 5, "CLOSING"),
        (pb.CloseTradeResponse(trade=trade(state=pb.TRADE_STATE_CLOSING)), ["--no-wait"], 0, ""),
        (pb.CloseTradeResponse(trade=trade()), [], 9, "10 is still held"),
        (pb.CloseTradeResponse(trade=trade(open_quantity="6")), ["--quantity", "4"], 0, ""),
        (
            pb.CloseTradeResponse(trade=trade(), exit_order=order(status=order_pb2.ORDER_STATUS_REJECTED)),
            [],
            4,
            "the exit is REJECTED",
        ),
    ],
)
def test_the_end_of_a_close(
    run: Run, fake: Fake, answer: pb.CloseTradeResponse, flags: list[str], code: int, said: str
) -> None:
    fake.answer("CloseTrade", answer)
    ran = run("trade", "close", "trade-1", "--reason", "done", *flags)
    assert (ran.code, said in ran.err) == (code, True), ran
    asked = fake.asked["CloseTrade"][0]
    assert (asked.trade_id, asked.reason, bool(asked.request_id)) == ("trade-1", "done", True)


CHANGES = {
    "OpenTrade": ["trade", "open", *SIGNAL],
    "CloseTrade": ["trade", "close", "trade-1"],
    "MoveStop": ["trade", "move-stop", "trade-1", "--stop-price", "96"],
    "RearmStop": ["trade", "rearm", "trade-1"],
}


@pytest.mark.parametrize("method", CHANGES)
def test_real_money_is_said_before(run: Run, fake: Fake, method: str) -> None:
    fake.answer("ListAccounts", ListAccountsResponse(accounts=[account(mode=order_pb2.MODE_LIVE)]))
    ran = run(*CHANGES[method], "--yes")
    assert ran.code == 0, ran.err
    assert "LIVE: account paper at alpaca trades real money: " in ran.err
    assert len(fake.asked[method]) == 1


@pytest.mark.parametrize(
    "line",
    [
        *CHANGES.values(),
        ["trade", "candle", "--candle-time", TIME],
        ["trade", "cancel-pending", "--symbol", "AAPL", "--reason", "r"],
    ],
)
def test_a_dry_run_asks_nobody(run: Run, fake: Fake, line: list[str]) -> None:
    ran = run(*line, "--dry-run")
    assert ran.code == 0
    assert json.loads(ran.out)
    assert not fake.asked


def test_an_unknown_trade_is_not_found(run: Run, fake: Fake) -> None:
    fake.answer("GetTrade", Refusal(grpc.StatusCode.NOT_FOUND, "TRADE_NOT_FOUND"))
    for line in (["get", "x"], ["close", "x"], ["rearm", "x"], ["move-stop", "x", "--stop-price", "1"]):
        ran = run("trade", *line)
        assert (ran.code, ran.out) == (3, "")
    assert not fake.asked["CloseTrade"]


@pytest.mark.parametrize("name", [[], ["t-1", "--client-trade-id", "k"]])
@pytest.mark.parametrize(
    "flags", [["get"], ["close"], ["rearm"], ["close", "--dry-run"], ["move-stop", "--stop-price", "1"]]
)
def test_exactly_one_trade_is_named(run: Run, fake: Fake, flags: list[str], name: list[str]) -> None:
    assert run("trade", *flags, *name).code == 2
    assert not fake.asked


def test_a_trade_by_its_key(run: Run, fake: Fake) -> None:
    assert run("trade", "get", "--client-trade-id", "k-1", "--account-id", "paper").code == 0
    assert fake.asked["GetTrade"] == [pb.GetTradeRequest(client_trade_id="k-1", account_id="paper")]


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("CloseTrade", ["close", "--quantity", "4"]),
        ("MoveStop", ["move-stop", "--stop-price", "96"]),
        ("RearmStop", ["rearm"]),
    ],
)
def test_a_trade_is_changed_by_its_key(run: Run, fake: Fake, method: str, line: list[str]) -> None:
    assert run("trade", *line, "--client-trade-id", "key-1").code == 0
    assert fake.asked["GetTrade"] == [pb.GetTradeRequest(client_trade_id="key-1")]
    assert [asked.trade_id for asked in fake.asked[method]] == ["trade-1"]


def test_every_filter_of_a_list(run: Run, fake: Fake) -> None:
    flags = [
        "--account-id", "a", "--state", "open", "--state", "closing", "--open", "--symbol", "aapl", "--strategy", "s",
        "--decision-id", "d", "--trace-id", "t", "--created-after-time", TIME, "--created-before-time", TIME,
        "--limit", "3",
    ]  # fmt: skip
    assert run("trade", "list", *flags).code == 0
    wanted = pb.ListTradesRequest(
        account_ids=["a"], states=[pb.TRADE_STATE_OPEN, pb.TRADE_STATE_CLOSING], open_only=True, symbols=["AAPL"],
        strategies=["s"], decision_ids=["d"], trace_ids=["t"], page_size=3,
    )  # fmt: skip
    wanted.created_after_time.FromJsonString(TIME)
    wanted.created_before_time.FromJsonString(TIME)
    assert fake.asked["ListTrades"] == [wanted]


def test_a_candle_says_whose_entry_is_cancelled(run: Run, fake: Fake) -> None:
    answer = pb.AdvanceCandleResponse(trades=[trade(1), trade(2)], canceled_trade_ids=["trade-2"])
    fake.answer("AdvanceCandle", answer)
    ran = run("trade", "candle", "paper", "--candle-time", TIME, "--symbol", "aapl", "--strategy", "s")
    assert (ran.code, len(json.loads(ran.out))) == (0, 2)
    assert ran.err == "the entry of trade trade-2 is being cancelled\n"
    wanted = pb.AdvanceCandleRequest(account_id="paper", symbols=["AAPL"], strategies=["s"])
    wanted.candle_time.FromJsonString(TIME)
    assert fake.asked["AdvanceCandle"] == [wanted]


def test_pending_entries_that_stay_are_told(run: Run, fake: Fake) -> None:
    results = [orders_pb.CancelAllOrdersResult(order_id="a"), orders_pb.CancelAllOrdersResult(order_id="b")]
    results[1].error_reason = 7  # type: ignore[assignment]
    fake.answer("CancelPendingEntries", pb.CancelPendingEntriesResponse(results=results))
    ran = run("trade", "cancel-pending", "paper", "--symbol", "aapl", "--strategy", "s", "--reason", "r")
    assert (ran.code, len(json.loads(ran.out))) == (9, 2)
    wanted = pb.CancelPendingEntriesRequest(account_id="paper", symbols=["AAPL"], strategies=["s"], reason="r")
    assert fake.asked["CancelPendingEntries"] == [wanted]


# --- the desk's stream -----------------------------------------------------------------------------------


def test_the_desk_is_watched_and_goes_on(run: Run, fake: Fake) -> None:
    gone = Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", "restarting")
    fake.stream(
        "StreamDeskEvents",
        [desk_started(4), desk_events(4, desk_event(5)), gone],
        [desk_started(5), desk_events(5, desk_event(9))],
        [],
    )
    flags = [
        "--account-id", "a", "--event-type", "trade_closed", "--event-type", "PROTECTED", "--symbol", "aapl",
        "--strategy", "s", "--trace-id", "t", "--decision-id", "d", "--trade-id", "x", "--journal-id", "j-1",
    ]  # fmt: skip
    ran = run("desk", "watch", "--after", "4", "--limit", "2", *flags)
    assert (ran.code, [json.loads(line)["sequence"] for line in ran.out.splitlines()]) == (0, ["5", "9"])
    assert "reconnecting after sequence 5: DRAINING: restarting" in ran.err
    assert ran.err.endswith("to go on: --after 9 --journal-id j-1\n")
    assert fake.asked["StreamDeskEvents"][0] == pb.StreamDeskEventsRequest(
        account_ids=["a"], types=[pb.DESK_EVENT_TYPE_TRADE_CLOSED, pb.DESK_EVENT_TYPE_PROTECTED], symbols=["AAPL"],
        strategies=["s"], trace_ids=["t"], decision_ids=["d"], trade_ids=["x"], journal_id="j-1", after_sequence=4,
    )  # fmt: skip


def test_every_type_of_event_can_be_asked_for(run: Run, fake: Fake) -> None:
    for value in trade_service_pb2.DeskEventType.DESCRIPTOR.values[1:]:
        fake.stream("StreamDeskEvents", [desk_started(0), desk_events(0, desk_event(1))], [])
        word = value.name.removeprefix("DESK_EVENT_TYPE_").lower()
        assert run("desk", "watch", "--limit", "1", "--event-type", word).code == 0
        assert list(fake.asked["StreamDeskEvents"][-1].types) == [value.number]
