"""Known fills at the venue become known figures, and a bust there restates a closed trade here."""

import asyncio

import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import trade_service_pb2 as pb
from oms.v1 import trade_service_pb2_grpc
from tests.e2e.harness import PATIENCE_S, House

pytestmark = pytest.mark.asyncio(loop_scope="module")

SELL = opb.SIDE_SELL


async def traded(house: House, name: str, *fills: tuple[str, str], **fields: object) -> str:
    """Submit an order and let the venue trade it in these parts; our id of it."""
    await house.venue.settings(is_auto_fill=False)
    quantity = sum(int(part) for part, _ in fills)
    limit = "1000" if fields.get("side", opb.SIDE_BUY) == opb.SIDE_BUY else "1"
    order = await house.submit(client_order_id=name, quantity=str(quantity), limit_price=limit, **fields)
    for part, price in fills:
        await house.venue.fill(name, part, price)
    await house.until(order.order_id, "FILLED")
    return order.order_id


async def completed(house: House, strategy: str, *versions: int) -> list[pb.CompletedTrade]:
    """The strategy's completed trades, oldest first, once they stand in these versions."""
    calls = trade_service_pb2_grpc.TradeServiceStub(house.channel)
    request = pb.ListCompletedTradesRequest(strategies=[strategy])
    async with asyncio.timeout(PATIENCE_S):
        while True:
            trades = list(reversed((await calls.ListCompletedTrades(request)).completed_trades))
            if [trade.version for trade in trades] == list(versions):
                return trades
            await asyncio.sleep(0.01)


async def performance(house: House, *strategies: str) -> pb.GetPerformanceResponse:
    calls = trade_service_pb2_grpc.TradeServiceStub(house.channel)
    return await calls.GetPerformance(pb.GetPerformanceRequest(strategies=strategies))


async def test_known_fills_give_known_figures_to_the_last_decimal(house: House) -> None:
    about = {"strategy": "worked", "decision_id": "d-worked", "trace_id": "tr-worked", "symbol": "MSFT"}
    entry = await traded(house, "w-in", ("3", "86.01"), ("4", "86.0233"), ("3", "86.1"), **about)
    first = await traded(house, "w-out-1", ("4", "86.5"), side=SELL, **about)
    await traded(house, "w-out-2", ("6", "85.9999"), side=SELL, **about)
    one, two = await completed(house, "worked", 1, 1)
    # 3 at 86.01 and 1 at 86.0233, out at 86.5: 346 - 258.03 - 86.0233.
    assert (one.quantity, one.pnl, one.gross_pnl, one.fees) == ("4", "1.9467", "1.9467", "0")
    assert (one.entry_price, one.exit_price, one.pnl_pct) == ("86.013325", "86.5", "0.005658134945951688")
    # 3 at 86.0233 and 3 at 86.1, out at 85.9999: 515.9994 - 258.0699 - 258.3.
    assert (two.quantity, two.pnl, two.entry_price) == ("6", "-0.3705", "86.06165")
    assert (one.decision_id, one.trace_id, one.symbol) == ("d-worked", "tr-worked", "MSFT")
    assert (list(one.entry_order_ids), list(one.exit_order_ids)) == ([entry], [first])
    answer = await performance(house, "worked")
    assert [point.cumulative_pnl for point in answer.points] == ["1.9467", "1.5762"]
    summary = answer.summary
    assert (summary.total_pnl, summary.win_rate, summary.expectancy) == ("1.5762", "0.5", "0.7881")
    assert (summary.max_drawdown, summary.profit_factor) == ("0.3705", "5.254251012145748988")


async def test_a_bust_at_the_venue_restates_a_closed_trade_also_over_a_death(house: House) -> None:
    about = {"strategy": "undone", "symbol": "AMD"}
    await traded(house, "u-in", ("10", "86"), **about)
    await traded(house, "u-out", ("6", "87"), ("4", "87.5"), side=SELL, **about)
    (before,) = await completed(house, "undone", 2)
    assert (before.pnl, before.is_restated) == ("12", False)
    rows = (await house.venue.ledger())["executions"]
    busted = next(row["execution_id"] for row in rows if row["client_order_id"] == "u-out" and row["price"] == "87.5")
    await house.venue.call("POST", f"executions/{busted}/bust")
    (after,) = await completed(house, "undone", 3)
    assert (after.quantity, after.pnl, after.is_restated) == ("6", "6", True)
    await house.kill()
    await house.start()
    assert await completed(house, "undone", 3) == [after]
    await traded(house, "u-out-2", ("4", "88"), side=SELL, **about)
    assert [trade.pnl for trade in await completed(house, "undone", 3, 1)] == ["6", "8"]
    assert (await performance(house, "undone")).summary.total_pnl == "14"


async def test_a_short_trade_and_a_reversal(house: House) -> None:
    about = {"strategy": "turning", "symbol": "KO"}
    await traded(house, "t-1", ("5", "60"), side=SELL, **about)
    await traded(house, "t-2", ("5", "58"), **about)
    (short,) = await completed(house, "turning", 1)
    assert (short.side, short.pnl) == (SELL, "10")
