"""What the broker says of instruments, through the real server and Alpaca's protocol: told, judged, sized, traded."""

from pathlib import Path

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from oms.v1 import risk_service_pb2, risk_service_pb2_grpc
from oms.v1 import trade_service_pb2 as tpb
from tests.e2e.harness import House, submit_request, trading
from tests.e2e.test_trades import calls, is_closed, is_protected, request, until

FRACTIONS = {"risk": {"allow_fractions": True, "risk_percent": "0.0333"}}
ASSETS = "/v2/assets"


async def previewed(house: House, **fields: object) -> pb.PreviewOrderResponse:
    answer = await house.orders.PreviewOrder(
        pb.PreviewOrderRequest(order=submit_request(**{"client_order_id": "p", **fields}))
    )
    assert isinstance(answer, pb.PreviewOrderResponse)
    return answer


async def denial(house: House, **fields: object) -> str:
    """What a preview and a submit of the same say alike."""
    order = await house.submit(**fields)
    told = (await previewed(house, **fields)).risk_verdict.code
    if order.status != opb.ORDER_STATUS_DENIED:
        return told
    assert order.status_reason.code == told
    return told


async def asked(house: House) -> int:
    """How often the venue was asked for an instrument."""
    return sum(row["path"].startswith(ASSETS) for row in (await house.venue.ledger())["received"])


async def test_instruments_by_the_brokers_word(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": FRACTIONS}) as house:
        for symbol, said in (("F", {"is_tradable": False}), ("AMD", {"is_shortable": False})):
            await house.venue.call("POST", "assets", {"symbol": symbol, **said})
        await house.venue.quote("KO", "80", "80")
        answer = await previewed(house, symbol="KO", quantity="0.5")
        assert answer.valid
        known = answer.instrument
        assert (known.symbol, known.tradable, known.shortable, known.fractionable) == ("KO", True, True, True)
        assert (known.quantity_step, known.minimum_quantity, known.price_step) == ("0.000000001", "", "")
        assert (await previewed(house, symbol="F")).instrument.tradable is False
        assert await denial(house, symbol="F", client_order_id="f") == "NOT_TRADABLE"
        short = {"symbol": "AMD", "side": opb.SIDE_SELL, "limit_price": "900"}
        assert await denial(house, client_order_id="amd", **short) == "NOT_SHORTABLE"
        assert await denial(house, symbol="OCGN", quantity="0.5", client_order_id="ocgn") == "NOT_FRACTIONABLE"
        before = await asked(house)
        assert before == 4, "one reading a symbol"
        await house.submit(symbol="KO", client_order_id="ko")
        assert await asked(house) == before
        unknown = await house.submit(symbol="NOSUCH", client_order_id="nosuch")
        assert (unknown.status, unknown.status_reason.code) == (opb.ORDER_STATUS_REJECTED, "40010001")
        assert not (await previewed(house, symbol="NOSUCH")).HasField("instrument")

        sizing = await risk_service_pb2_grpc.RiskServiceStub(house.channel).SizePosition(
            risk_service_pb2.SizePositionRequest(
                symbol="KO", side=opb.SIDE_BUY, entry_price="80", stop_loss_price="75", equity="100000"
            )
        )
        assert (sizing.sizing.quantity, sizing.sizing.step) == ("6.66", "0.000000001")
        await house.venue.arm("answer_status", path=ASSETS, status=500, times=0)
        await house.kill()
        await house.start()
        assert not (await previewed(house, symbol="F")).HasField("instrument")
        refused = await house.submit(symbol="F", client_order_id="f-2")
        assert refused.status == opb.ORDER_STATUS_REJECTED, "what cannot be read is the broker's to judge"
        await house.venue.calm()


async def test_a_trade_of_a_part_of_a_share_over_a_death(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": FRACTIONS}) as house:
        await house.venue.quote("KO", "80", "80")
        opened = await calls(house).OpenTrade(request("part", "KO", quantity=""))
        trade_id = opened.trade.trade_id
        answer = await until(house, trade_id, is_protected)
        quantity = answer.trade.open_quantity
        assert "." in quantity
        assert answer.trade.protected_quantity == quantity
        assert answer.orders[-1].time_in_force == opb.TIME_IN_FORCE_DAY
        assert answer.trade.sizing.quantity == quantity, "how it was sized is told"
        await house.kill()
        await house.start()
        after = await until(house, trade_id, is_protected)
        assert (after.trade.sizing, after.trade.sizing.step) == (answer.trade.sizing, "0.000000001")
        await calls(house).CloseTrade(tpb.CloseTradeRequest(trade_id=trade_id, reason="done"))
        closed = await until(house, trade_id, is_closed)
        assert [order.role for order in closed.orders].count(opb.ORDER_ROLE_EXIT) == 1
        assert closed.orders[-1].filled_quantity == quantity
