"""A trade through the real server and the real protocol: protected from its fills, closed once, also over a death."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import trade_service_pb2 as pb
from oms.v1 import trade_service_pb2_grpc
from tests.e2e.harness import PATIENCE_S, House

pytestmark = pytest.mark.asyncio(loop_scope="module")


def calls(house: House) -> "trade_service_pb2_grpc.TradeServiceAsyncStub":
    return trade_service_pb2_grpc.TradeServiceStub(house.channel)


def request(key: str, symbol: str, **changes: object) -> pb.OpenTradeRequest:
    signal = pb.Signal(
        symbol=symbol,
        side=opb.SIDE_BUY,
        entry_price="80",
        stop_loss_price="75",
        type=opb.ORDER_TYPE_MARKET,
        strategy="e2e",
    )
    return pb.OpenTradeRequest(
        **({"client_trade_id": key, "signal": signal, "quantity": "10", "trace_id": "tr-1"} | changes)
    )


async def until(house: House, trade_id: str, holds: Callable[[pb.GetTradeResponse], bool]) -> pb.GetTradeResponse:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await calls(house).GetTrade(pb.GetTradeRequest(trade_id=trade_id))
            if holds(answer):
                return answer
            await asyncio.sleep(0.05)


def is_protected(answer: pb.GetTradeResponse) -> bool:
    return answer.trade.protection == pb.PROTECTION_PROTECTED


def is_closed(answer: pb.GetTradeResponse) -> bool:
    return answer.trade.state == pb.TRADE_STATE_CLOSED


async def test_a_trade_is_protected_survives_a_death_and_is_closed_once(house: House) -> None:
    await house.venue.settings(is_auto_fill=True)
    await house.venue.quote("KO", "80", "80")
    opened = await calls(house).OpenTrade(request("e-1", "KO"))
    trade_id = opened.trade.trade_id
    again = await calls(house).OpenTrade(request("e-1", "KO"))
    assert (again.replayed, again.trade.trade_id) == (True, trade_id)
    answer = await until(house, trade_id, is_protected)
    assert [order.role for order in answer.orders] == [opb.ORDER_ROLE_ENTRY, opb.ORDER_ROLE_STOP_LOSS]
    assert {order.trade_id for order in answer.orders} == {trade_id}
    assert {order.trace_id for order in answer.orders} == {"tr-1"}
    assert answer.trade.protected_quantity == "10"
    await house.kill()
    await house.start()
    after = await until(house, trade_id, is_protected)
    assert [order.order_id for order in after.orders] == [order.order_id for order in answer.orders]
    closed = await calls(house).CloseTrade(pb.CloseTradeRequest(trade_id=trade_id, reason="done"))
    assert closed.trade.state == pb.TRADE_STATE_CLOSED, closed.trade
    assert closed.exit_order.filled_quantity == "10"
    whole = await until(house, trade_id, is_closed)
    assert [order.role for order in whole.orders].count(opb.ORDER_ROLE_EXIT) == 1
    whole = await until(house, trade_id, lambda answer: bool(answer.completed_trades))
    assert whole.completed_trades[0].trade_id == trade_id
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls(house).CloseTrade(pb.CloseTradeRequest(trade_id=trade_id))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_the_same_key_with_another_signal_is_refused(house: House) -> None:
    await calls(house).OpenTrade(request("e-2", "F"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls(house).OpenTrade(request("e-2", "F", quantity="11"))
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert "quantity" in (refused.value.details() or "")


async def test_a_stop_between_two_ticks_is_refused_before_anything_is_recorded(house: House) -> None:
    bad = request("e-3", "KO")
    bad.signal.stop_loss_price = "75.005"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls(house).OpenTrade(bad)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await calls(house).GetTrade(pb.GetTradeRequest(client_trade_id="e-3", account_id="paper"))
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_trades_are_listed_and_streamed(house: House) -> None:
    await house.venue.settings(is_auto_fill=True)
    await house.venue.quote("AAPL", "80", "80")
    keys = ["e-4", "e-5"]
    for key in keys:
        asked = request(key, "AAPL", quantity="1")
        asked.signal.strategy = "listed"
        trade_id = (await calls(house).OpenTrade(asked)).trade.trade_id
        await until(house, trade_id, is_protected)
        await calls(house).CloseTrade(pb.CloseTradeRequest(trade_id=trade_id))
        await until(house, trade_id, is_closed)
    listed = await calls(house).ListTrades(pb.ListTradesRequest(strategies=["listed"]))
    assert [trade.client_trade_id for trade in listed.trades] == keys[::-1]
    stream = calls(house).StreamDeskEvents(pb.StreamDeskEventsRequest(after_sequence=0, strategies=["listed"]))
    types: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        async for message in stream:
            types += [event.type for event in message.events.events]
            if types.count(pb.DESK_EVENT_TYPE_TRADE_CLOSED) == len(keys):
                break
    assert types[0] == pb.DESK_EVENT_TYPE_TRADE_CREATED
    assert pb.DESK_EVENT_TYPE_PROTECTED in types
