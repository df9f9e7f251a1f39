"""The desk's calls of the client: what is repeated under one key, what is sent once, and a stream that resumes."""

from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2 as details

from oms.v1 import decision_service_pb2 as decisions_pb
from oms.v1 import order_pb2, order_service_pb2
from oms.v1 import trade_service_pb2 as pb
from orderd.client import Client, GapError, OrderdError, keyed_trade
from tests.client.fake import Fake, Refusal, desk_event, desk_events, desk_started, serving, trade

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
DEADLINE = grpc.StatusCode.DEADLINE_EXCEEDED
NOW = details.RetryInfo(retry_delay=Duration(nanos=1_000_000))
DRAINING = Refusal(UNAVAILABLE, "DRAINING", "restarting", more=[NOW])
END = Refusal(grpc.StatusCode.OUT_OF_RANGE, "END_OF_TEST")
STREAM = "StreamDeskEvents"


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with serving(Fake()) as running:
        yield running


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[Client]:
    async with Client(fake.address, timeout_s=7, retry_for_s=5) as connected:
        yield connected


REPEATED: dict[str, tuple[Callable[[Client], Awaitable[object]], object, str]] = {
    "RecordDecision": (
        lambda client: client.record_decision(decisions_pb.RecordDecisionRequest()),
        decisions_pb.RecordDecisionResponse(decision=order_pb2.Decision(decision_id="d")), "decision_id",
    ),
    "GetDecision": (
        lambda client: client.decision(decisions_pb.GetDecisionRequest()), decisions_pb.GetDecisionResponse(), "",
    ),
    "ApproveDecision": (
        lambda client: client.approve_decision(decisions_pb.ApproveDecisionRequest(decision_id="d")),
        decisions_pb.ApproveDecisionResponse(), "decision_id",
    ),
    "RejectDecision": (
        lambda client: client.reject_decision(decisions_pb.RejectDecisionRequest(decision_id="d")),
        decisions_pb.RejectDecisionResponse(), "decision_id",
    ),
    "OpenTrade": (
        lambda client: client.open_trade(pb.OpenTradeRequest()), pb.OpenTradeResponse(trade=trade()), "client_trade_id",
    ),
    "CloseTrade": (
        lambda client: client.close_trade(pb.CloseTradeRequest(trade_id="t")), pb.CloseTradeResponse(), "request_id",
    ),
    "MoveStop": (
        lambda client: client.move_stop(pb.MoveStopRequest(trade_id="t")), pb.MoveStopResponse(), "request_id",
    ),
    "AdvanceCandle": (
        lambda client: client.advance_candle(pb.AdvanceCandleRequest()), pb.AdvanceCandleResponse(), "",
    ),
    "GetTrade": (lambda client: client.trade(pb.GetTradeRequest(trade_id="t")), pb.GetTradeResponse(), ""),
}  # fmt: skip


@pytest.mark.parametrize("code", [UNAVAILABLE, DEADLINE])
@pytest.mark.parametrize("method", REPEATED)
async def test_the_same_call_is_made_again(fake: Fake, client: Client, method: str, code: grpc.StatusCode) -> None:
    call, answer, key = REPEATED[method]
    fake.answer(method, Refusal(code), DRAINING, answer)  # type: ignore[arg-type]
    await call(client)
    first, second, third = fake.asked[method]
    assert first == second == third
    assert not key or getattr(first, key)


@pytest.mark.parametrize("method", ["RearmStop", "CancelPendingEntries"])
async def test_what_has_no_key_is_sent_once(fake: Fake, client: Client, method: str) -> None:
    fake.answer(method, Refusal(UNAVAILABLE))
    with pytest.raises(OrderdError) as caught:
        if method == "RearmStop":
            await client.rearm_stop(pb.RearmStopRequest(trade_id="t"))
        else:
            await client.cancel_pending_entries(pb.CancelPendingEntriesRequest())
    assert caught.value.code is UNAVAILABLE
    assert len(fake.asked[method]) == 1


async def test_keys_of_ones_own_stay(fake: Fake, client: Client) -> None:
    fake.answer("OpenTrade", pb.OpenTradeResponse())
    fake.answer("CloseTrade", pb.CloseTradeResponse())
    fake.answer("MoveStop", pb.MoveStopResponse())
    await client.open_trade(pb.OpenTradeRequest(client_trade_id="mine"))
    await client.close_trade(pb.CloseTradeRequest(request_id="mine"))
    await client.move_stop(pb.MoveStopRequest(request_id="mine"))
    assert fake.asked["OpenTrade"][0].client_trade_id == "mine"
    assert fake.asked["CloseTrade"][0].request_id == fake.asked["MoveStop"][0].request_id == "mine"


@pytest.mark.parametrize(
    ("request_", "has_key"),
    [
        (pb.OpenTradeRequest(), True),
        (pb.OpenTradeRequest(trace_id="t"), True),
        (pb.OpenTradeRequest(signal=pb.Signal(strategy="s")), True),
        (pb.OpenTradeRequest(signal=pb.Signal(strategy="s", signal_time=Timestamp(seconds=1))), False),
        (pb.OpenTradeRequest(decision_id="d"), False),
    ],
)
def test_a_key_is_made_only_where_none_can_be_derived(request_: pb.OpenTradeRequest, has_key: bool) -> None:
    assert bool(keyed_trade(request_).client_trade_id) is has_key
    assert request_.client_trade_id == ""


async def test_pages_of_trades(fake: Fake, client: Client) -> None:
    fake.answer(
        "ListTrades",
        pb.ListTradesResponse(trades=[trade(2)], next_page_token="two"),
        Refusal(UNAVAILABLE),
        pb.ListTradesResponse(trades=[trade(1)]),
    )
    request = pb.ListTradesRequest(symbols=["AAPL"])
    assert [found.trade_id async for found in client.trades(request)] == ["trade-2", "trade-1"]
    assert [asked.page_token for asked in fake.asked["ListTrades"]] == ["", "two", "two"]
    assert request.page_token == ""


async def test_every_call_has_a_deadline(fake: Fake, client: Client) -> None:
    for method, (call, answer, _) in REPEATED.items():
        fake.answer(method, answer)  # type: ignore[arg-type]
        await call(client)
    result = order_service_pb2.CancelAllOrdersResult(order_id="o")
    fake.answer("RearmStop", pb.RearmStopResponse(trade=trade()))
    fake.answer("CancelPendingEntries", pb.CancelPendingEntriesResponse(results=[result]))
    fake.answer("ListTrades", pb.ListTradesResponse())
    assert (await client.rearm_stop(pb.RearmStopRequest())).trade_id == "trade-1"
    assert await client.cancel_pending_entries(pb.CancelPendingEntriesRequest()) == [result]
    fake.answer("ListDecisions", decisions_pb.ListDecisionsResponse())
    assert [found async for found in client.trades()] == []
    assert [found async for found in client.decisions()] == []
    assert len(fake.deadlines) == 13
    for name, remaining in fake.deadlines.items():
        assert remaining[0] is not None, name
        assert 5 < remaining[0] <= 7.1, name


async def test_the_desks_stream_goes_on_where_it_stopped(fake: Fake, client: Client) -> None:
    lines = [desk_event(5), desk_event(9)]
    fake.stream(
        STREAM, [desk_started(4), desk_events(4, lines[0]), DRAINING], [desk_started(5), desk_events(5, lines[1]), END]
    )
    follower = client.follow_desk(pb.StreamDeskEventsRequest(trade_ids=["trade-1"]), after_sequence=4)
    found = []
    with pytest.raises(OrderdError, match="END_OF_TEST"):
        async for event in follower:
            assert follower.sequence == event.sequence
            found.append(event.sequence)
    assert found == [5, 9]
    assert [(asked.after_sequence, asked.journal_id) for asked in fake.asked[STREAM]] == [(4, ""), (5, "j-1")]
    assert all(list(asked.trade_ids) == ["trade-1"] for asked in fake.asked[STREAM])


async def test_a_gap_of_the_desks_stream_is_an_error(fake: Fake, client: Client) -> None:
    fake.stream(STREAM, *([desk_started(0), desk_events(7, desk_event(8))] for _ in range(9)))
    with pytest.raises(GapError):
        async for _ in client.follow_desk(after_sequence=0):
            pass
