"""The desk's figures on the metrics page of a real server, as somebody who scrapes it reads them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from oms.v1 import account_service_pb2 as apb
from oms.v1 import order_pb2 as opb
from oms.v1 import risk_service_pb2 as rpb
from oms.v1 import risk_service_pb2_grpc
from oms.v1 import trade_service_pb2 as pb
from tests.e2e.harness import PATIENCE_S, House, trading
from tests.e2e.test_trades import calls, is_closed, is_protected, request, until

WHAT = ("trades_open", "unprotected_quantity", "unprotected_seconds", "trading_state", "circuit_breaker_tripped")


def _scraped(address: str) -> dict[str, float]:
    with urlopen(f"http://{address}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    families = text_string_to_metric_families(page)
    return {
        sample.name.removeprefix("orderd_"): sample.value
        for family in families
        for sample in family.samples
        if sample.labels in ({}, {"account": "paper"})
    }


async def scraped(house: House, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The figures once they are so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told = await asyncio.to_thread(_scraped, house.said["http_address"])
            if holds(told):
                return told
            await asyncio.sleep(0.05)


async def test_what_is_open_without_its_stop_is_on_the_page(tmp_path: Path) -> None:
    async with trading(tmp_path, settings={"http_address": "127.0.0.1:0"}) as house:
        await house.venue.settings(is_auto_fill=True)
        await house.venue.quote("KO", "80", "80")
        quiet = await scraped(house, lambda _: True)
        assert [quiet[name] for name in WHAT] == [0, 0, 0, 0, 0]
        made = await calls(house).OpenTrade(request("m-1", "KO"))
        answer = await until(house, made.trade.trade_id, is_protected)
        told = await scraped(house, lambda told: told["trades_open"] == 1)
        assert (told["unprotected_quantity"], told["unprotected_seconds"]) == (0, 0)
        (stop,) = [order for order in answer.orders if order.role == opb.ORDER_ROLE_STOP_LOSS]
        await house.cancel(stop.order_id)
        told = await scraped(house, lambda told: told["unprotected_quantity"] == 10)
        later = await scraped(house, lambda now: now["unprotected_seconds"] > told["unprotected_seconds"] + 0.1)
        assert later["unprotected_quantity"] == 10
        await house.kill()
        await house.start()
        after = await scraped(house, lambda told: told["unprotected_quantity"] == 10)
        assert after["unprotected_seconds"] >= later["unprotected_seconds"], "it goes on over a restart"
        await calls(house).RearmStop(pb.RearmStopRequest(trade_id=made.trade.trade_id))
        told = await scraped(house, lambda told: told["unprotected_quantity"] == 0)
        assert told["unprotected_seconds"] == 0
        await _halt(house)
        assert (await scraped(house, lambda told: told["trading_state"] == 2))["trades_open"] == 1
        await calls(house).CloseTrade(pb.CloseTradeRequest(trade_id=made.trade.trade_id))
        await until(house, made.trade.trade_id, is_closed)
        await scraped(house, lambda told: told["trades_open"] == 0)


async def _halt(house: House) -> None:
    stub: risk_service_pb2_grpc.RiskServiceAsyncStub = risk_service_pb2_grpc.RiskServiceStub(house.channel)
    halted = apb.TRADING_STATE_HALTED
    await stub.SetTradingState(rpb.SetTradingStateRequest(trading_state=halted, reason="a test", operator_name="ann"))
