"""Risk through the real server and the real protocol: limits, states over a death, the kill switch and its proof."""

import asyncio
from pathlib import Path

import grpc
import pytest

from oms.v1 import account_service_pb2 as apb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2, risk_service_pb2_grpc
from oms.v1 import risk_service_pb2 as pb
from tests.e2e.errors import reason_of
from tests.e2e.harness import House, trading

WORD = {"reason": "a test", "operator_name": "ann"}
HALTED, ACTIVE = apb.TRADING_STATE_HALTED, apb.TRADING_STATE_ACTIVE
LIMITED = {
    "risk": {
        "max_open_orders": 5,
        "max_open_positions": 3,
        "check_buying_power": True,
        "max_daily_loss_percent": "2",
        "max_losses_in_a_row": 3,
    }
}


def calls(house: House) -> "risk_service_pb2_grpc.RiskServiceAsyncStub":
    return risk_service_pb2_grpc.RiskServiceStub(house.channel)


def code(order: opb.Order) -> str:
    return order.status_reason.code if order.status == opb.ORDER_STATUS_DENIED else ""


async def refused(call: "grpc.aio.UnaryUnaryCall[object, object]") -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason_of(caught.value)


async def test_an_account_with_limits_from_status_to_the_kill_switch(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": LIMITED}) as house:
        await house.venue.quote("KO", "80", "80")
        status = (await calls(house).GetRiskStatus(pb.GetRiskStatusRequest())).status
        assert (status.account_id, status.trading_state, status.breaker.is_tripped) == ("paper", ACTIVE, False)
        assert {use.name for use in status.limits} == set(LIMITED["risk"])
        assert status.breaker.HasField("day_end_time")

        told = await asyncio.gather(
            *(house.submit(client_order_id=f"k-{n}", symbol="F", limit_price="0.5") for n in range(20))
        )
        assert sorted(code(order) for order in told) == [""] * 5 + ["MAX_OPEN_ORDERS"] * 15
        held = await house.submit(client_order_id="exit-me", symbol="KO")
        assert code(held) == "MAX_OPEN_ORDERS"
        for order in told:
            if not code(order):
                await house.orders.CancelOrder(order_service_pb2.CancelOrderRequest(order_id=order.order_id))
        held = await house.submit(client_order_id="held", quantity="10", reference_price="80")
        await house.until(held.order_id, "FILLED")
        assert code(await house.submit(client_order_id="turn", side=opb.SIDE_SELL, quantity="11")) == "CROSSES_ZERO"

        sized = pb.SizePositionRequest(
            symbol="KO", side=opb.SIDE_BUY, entry_price="50", stop_loss_price="49.5", equity="25000"
        )
        assert (await calls(house).SizePosition(sized)).sizing.quantity == "500"
        sized.stop_loss_price = "50.5"
        assert (await calls(house).SizePosition(sized)).sizing.code == "STOP_WRONG_SIDE"

        rests = await house.submit(client_order_id="rests", symbol="F", limit_price="0.5")
        halted = await calls(house).SetTradingState(pb.SetTradingStateRequest(trading_state=HALTED, **WORD))
        assert (halted.status.trading_state, halted.status.reason.message) == (HALTED, "a test")
        assert code(await house.submit(client_order_id="no", symbol="F", limit_price="0.5")) == "TRADING_HALTED"
        await house.kill()
        await house.restart()
        status = (await calls(house).GetRiskStatus(pb.GetRiskStatusRequest())).status
        assert (status.trading_state, status.reason.operator_name) == (HALTED, "ann")
        assert (await house.account("paper")).trading_state == HALTED

        proof = await calls(house).FlattenAccount(pb.FlattenAccountRequest(close_positions=True, **WORD))
        assert proof.is_flat, proof
        assert [order.order_id for order in proof.canceled_orders] == [rests.order_id]
        assert [(each.symbol, each.quantity_before, each.quantity_after) for each in proof.positions] == [
            ("KO", "10", "0")
        ]
        assert proof.status.trading_state == HALTED
        resumed = await calls(house).SetTradingState(pb.SetTradingStateRequest(trading_state=ACTIVE, **WORD))
        assert resumed.status.trading_state == ACTIVE
        assert code(await house.submit(client_order_id="again", symbol="F", limit_price="0.5")) == ""
        reset = await calls(house).ResetCircuitBreaker(pb.ResetCircuitBreakerRequest(**WORD))
        assert reset.status.version == resumed.status.version + 1
        await _bad_calls(house)


async def _bad_calls(house: House) -> None:
    invalid, missing = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    stub = calls(house)
    assert await refused(stub.SetTradingState(pb.SetTradingStateRequest())) == (invalid, "INVALID_FIELDS")
    frozen = pb.SetTradingStateRequest(trading_state=ACTIVE, freeze_protection=True, **WORD)
    assert await refused(stub.SetTradingState(frozen)) == (invalid, "INVALID_FIELDS")
    assert await refused(stub.FlattenAccount(pb.FlattenAccountRequest())) == (invalid, "INVALID_FIELDS")
    nobody = pb.FlattenAccountRequest(account_id="nobody", **WORD)
    assert await refused(stub.FlattenAccount(nobody)) == (missing, "ACCOUNT_NOT_FOUND")
    assert await refused(stub.GetRiskStatus(pb.GetRiskStatusRequest(account_id="nobody"))) == (
        missing,
        "ACCOUNT_NOT_FOUND",
    )
    priced = pb.SizePositionRequest(symbol="KO", side=opb.SIDE_BUY, entry_price="NaN", stop_loss_price="0")
    assert await refused(stub.SizePosition(priced)) == (invalid, "INVALID_FIELDS")
