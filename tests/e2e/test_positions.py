"""Positions at the venue, through the real adapter and a real process: both figures, by hand, split, over a death."""

import asyncio
from decimal import Decimal

import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import position_service_pb2 as pb
from oms.v1 import position_service_pb2_grpc, trade_service_pb2_grpc
from oms.v1 import trade_service_pb2 as trade_pb
from tests.canary import KEY_ID
from tests.e2e.harness import PATIENCE_S, House

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def position(house: House, symbol: str) -> pb.Position:
    calls = position_service_pb2_grpc.PositionServiceStub(house.channel)
    return (await calls.GetPosition(pb.GetPositionRequest(symbol=symbol))).position


async def until(house: House, symbol: str, *, fill_quantity: str = "", is_blocked: bool | None = None) -> pb.Position:
    """Reconcile until the position is so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await house.reconcile()
            known = await position(house, symbol)
            if (not fill_quantity or known.fill_quantity == fill_quantity) and (
                is_blocked is None or bool(known.discrepancy_id) is is_blocked
            ):
                return known
            await asyncio.sleep(0.2)


async def completed(house: House, symbol: str) -> trade_pb.CompletedTrade:
    """The one completed trade of a symbol, once it is recorded."""
    calls = trade_service_pb2_grpc.TradeServiceStub(house.channel)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            listed = await calls.ListCompletedTrades(trade_pb.ListCompletedTradesRequest(symbols=[symbol]))
            if listed.completed_trades:
                (found,) = listed.completed_trades
                return found
            await asyncio.sleep(0.2)


async def test_both_figures_a_split_and_a_position_made_by_hand(house: House) -> None:
    await house.reconcile()
    order = await house.submit(client_order_id="p-1", symbol="AMD", quantity="10", strategy="momentum")
    await house.until(order.order_id, "FILLED")
    held = await position(house, "AMD")
    assert held.fill_quantity == "10"
    assert [(share.strategy, share.quantity) for share in held.strategies] == [("momentum", "10")]
    split = [
        {"symbol": "AMD", "quantity": "-10", "kind": "SPLIT"},
        {"symbol": "AMD", "quantity": "20", "price": "50", "kind": "SPLIT"},
    ]
    await house.venue.call("POST", f"accounts/{KEY_ID}/holdings", split)
    held = await until(house, "AMD", fill_quantity="20")
    assert held.strategies[0].strategy == "momentum"
    assert [(each.kind, each.new_units, each.old_units) for each in held.adjustments] == [
        (pb.ADJUSTMENT_KIND_SPLIT, "20", "10")
    ]
    await house.venue.call("POST", f"accounts/{KEY_ID}/holdings", [{"symbol": "AMD", "quantity": "5", "price": "50"}])
    held = await until(house, "AMD", is_blocked=True)
    assert (held.fill_quantity, held.broker_quantity) == ("20", "25")
    await house.kill()
    await house.start()
    held = await until(house, "AMD", is_blocked=True)
    await house.venue.call("POST", f"accounts/{KEY_ID}/holdings", [{"symbol": "AMD", "quantity": "-5", "price": "50"}])
    held = await until(house, "AMD", is_blocked=False)
    assert (held.fill_quantity, held.broker_quantity) == ("20", "20")
    sold = await house.submit(
        client_order_id="p-2", symbol="AMD", side=opb.SIDE_SELL, quantity="20", strategy="momentum"
    )
    await house.until(sold.order_id, "FILLED")
    bought = Decimal((await house.get(order.order_id)).average_fill_price)
    closed = await completed(house, "AMD")
    assert (closed.quantity, Decimal(closed.entry_price) * 2) == ("20", bought)
    assert closed.exit_order_ids == [sold.order_id]
    paid = Decimal((await house.get(sold.order_id)).average_fill_price)
    assert Decimal(closed.pnl) == paid * 20 - bought * 10
