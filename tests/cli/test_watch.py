"""Watching events: where it begins, when it stops, what it says about reconnects."""

import json

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details

from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from tests.cli.conftest import Ran, Run
from tests.client.fake import Fake, Refusal, event, events, heartbeat, order, started

METHOD = "StreamOrderEvents"
NOW = details.RetryInfo(retry_delay=Duration(nanos=1_000_000))
DRAINING = Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", "restarting", more=[NOW])


def sequences(ran: Ran) -> list[str]:
    """The events that were printed."""
    return [json.loads(line)["sequence"] for line in ran.out.splitlines()]


def end(sequence: int, status: str, order_id: str = "order-1") -> pb.StreamOrderEventsResponse:
    """A message with the end of an order."""
    ending = event(sequence, order_id=order_id, to_status=f"ORDER_STATUS_{status}")
    return pb.StreamOrderEventsResponse(
        previous_sequence=sequence - 1, sequence=sequence, events=pb.OrderEvents(events=[ending])
    )


def test_a_limit_stops_it_and_says_how_to_go_on(run: Run, fake: Fake) -> None:
    fake.stream(METHOD, [started(4, head=9), events(4, 5, 6, 7)], [])
    ran = run("event", "watch", "--after", "4", "--limit", "2")
    assert (ran.code, sequences(ran)) == (0, ["5", "6"])
    assert ran.err == "to go on: --after 6 --journal-id j-1\n"


def test_a_reconnect_is_said_on_stderr_and_loses_nothing(run: Run, fake: Fake) -> None:
    fake.stream(METHOD, [started(0), events(0, 1), heartbeat(1, 5), DRAINING], [started(5), events(5, 6)], [])
    ran = run("event", "watch", "--after", "0", "--limit", "2")
    assert (ran.code, sequences(ran)) == (0, ["1", "6"])
    assert "reconnecting after sequence 5: DRAINING: restarting" in ran.err
    assert [asked.after_sequence for asked in fake.asked[METHOD]] == [0, 5]


def test_every_filter(run: Run, fake: Fake) -> None:
    fake.stream(METHOD, [started(3), events(3, 4)], [])
    flags = [
        "--account-id", "a", "--order-id", "o", "--symbol", "aapl", "--strategy", "s", "--trace-id", "t",
        "--decision-id", "d", "--trade-id", "x", "--journal-id", "j-1", "--after", "3", "--limit", "1",
    ]  # fmt: skip
    assert run("event", "watch", *flags).code == 0
    assert fake.asked[METHOD] == [
        pb.StreamOrderEventsRequest(
            account_ids=["a"], order_ids=["o"], symbols=["AAPL"], strategies=["s"], trace_ids=["t"],
            decision_ids=["d"], trade_ids=["x"], journal_id="j-1", after_sequence=3,
        )
    ]  # fmt: skip


def test_without_a_position_it_is_live_from_now(run: Run, fake: Fake) -> None:
    fake.stream(METHOD, [started(8), events(8, 9)], [])
    assert sequences(run("event", "watch", "--limit", "1")) == ["9"]
    assert not fake.asked[METHOD][0].HasField("after_sequence")


@pytest.mark.parametrize(
    ("status", "code"),
    [("FILLED", 0), ("CANCELED", 0), ("EXPIRED", 0), ("REJECTED", 4), ("DENIED", 4), ("SUBMIT_FAILED", 4)],
)
def test_it_stops_at_the_end_of_the_order(run: Run, fake: Fake, status: str, code: int) -> None:
    fake.answer("GetOrder", pb.GetOrderResponse(order=order(sequence=4)))
    fake.stream(METHOD, [started(4), events(4, 5), end(6, status), events(6, 7)], [])
    ran = run("event", "watch", "--order-id", "order-1", "--until-terminal")
    assert (ran.code, sequences(ran)) == (code, ["5", "6"])
    assert fake.asked[METHOD][0].after_sequence == 4


def test_an_order_that_has_ended_is_not_waited_for(run: Run, fake: Fake) -> None:
    fake.answer("GetOrder", pb.GetOrderResponse(order=order(status=order_pb2.ORDER_STATUS_REJECTED)))
    ran = run("event", "watch", "--order-id", "order-1", "--until-terminal")
    assert (ran.code, ran.out) == (4, "")
    assert not fake.asked[METHOD]


def test_an_order_that_does_not_exist(run: Run, fake: Fake) -> None:
    fake.answer("GetOrder", Refusal(grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND"))
    assert run("event", "watch", "--order-id", "nope", "--until-terminal").code == 3


def test_it_waits_for_all_orders(run: Run, fake: Fake) -> None:
    def answer(request: pb.GetOrderRequest) -> pb.GetOrderResponse:
        sequence = 4 if request.order_id == "a" else 3
        return pb.GetOrderResponse(order=order(order_id=request.order_id, sequence=sequence))

    fake.answer("GetOrder", answer)
    fake.stream(METHOD, [started(3), end(4, "FILLED", "a"), end(5, "CANCELED", "b")], [])
    ran = run("event", "watch", "--order-id", "a", "--order-id", "b", "--until-terminal")
    assert (ran.code, sequences(ran)) == (0, ["4", "5"])
    assert fake.asked[METHOD][0].after_sequence == 3


def test_without_an_order_any_end_will_do(run: Run, fake: Fake) -> None:
    fake.stream(METHOD, [started(0), events(0, 1), end(2, "FILLED", "whoever"), events(2, 3)], [])
    assert sequences(run("event", "watch", "--after", "0", "--until-terminal")) == ["1", "2"]


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "JOURNAL_MISMATCH", 8),
        (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_IN_FUTURE", 2),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", 7),
    ],
)
def test_what_no_reconnect_heals_ends_it(
    run: Run, fake: Fake, code: grpc.StatusCode, reason: str, exit_code: int
) -> None:
    fake.stream(METHOD, [Refusal(code, reason, "no", more=[NOW])])
    ran = run("event", "watch", "--after", "9")
    assert (ran.code, ran.out) == (exit_code, "")
    assert f"{reason}: no" in ran.err


def test_a_gap_that_stays_ends_it(run: Run, fake: Fake) -> None:
    fake.stream(METHOD, *([started(0), events(7, 8)] for _ in range(9)))
    ran = run("event", "watch", "--after", "0")
    assert (ran.code, ran.out) == (1, "")
    assert "GAP" in ran.err


def test_no_server_is_not_waited_for_without_end(invoke: Run, unused_tcp_port: int) -> None:
    ran = invoke("event", "watch", "--address", f"127.0.0.1:{unused_tcp_port}", "--timeout", "0.3")
    assert ran.code == 7
    assert "no connection" in ran.err
