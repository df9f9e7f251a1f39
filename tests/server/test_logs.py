"""What the log says about calls: defects and slow calls, with the names of what they were about. Nothing else."""

import asyncio

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from oms.v1 import order_service_pb2 as pb
from tests.server.conftest import House, order_request, refused


async def test_a_defect_is_logged_under_its_id_with_what_it_was_about(house: House) -> None:
    house.engine.errors["submit"] = ZeroDivisionError("inside")
    with capture_logs(processors=[merge_contextvars]) as lines:
        error = await refused(house.orders.SubmitOrder(order_request(client_order_id="k-1", trace_id="t-1")))
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert line["event"] == "defect"
    assert line["error_id"] == error.metadata["error_id"]
    assert line["method"] == "/oms.v1.OrderService/SubmitOrder"
    assert isinstance(line["exc_info"], ZeroDivisionError)
    assert (line["account_id"], line["client_order_id"], line["trace_id"]) == ("paper", "k-1", "t-1")


async def test_a_call_that_goes_well_says_nothing(house: House) -> None:
    with capture_logs() as lines:
        await house.orders.SubmitOrder(order_request())
        await house.orders.ListOrders(pb.ListOrdersRequest())
    assert lines == []


async def test_one_calls_names_are_not_the_next_calls(house: House) -> None:
    await house.orders.SubmitOrder(order_request(trace_id="t-1"))
    house.engine.errors["account_status"] = ZeroDivisionError()
    with capture_logs(processors=[merge_contextvars]) as lines:
        await refused(house.channel.unary_unary("/oms.v1.AccountService/GetAccount")(b""))
    assert "trace_id" not in lines[-1]


async def test_a_slow_call_is_logged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderd.server.registry.SLOW_S", 0.05)
    monkeypatch.setattr("orderd.server.registry.SLOW_WAIT_S", 0.2)

    async def slow(wait_s: float, request: pb.SubmitOrderRequest) -> None:
        house.engine.broker_answers.clear()
        answer = asyncio.ensure_future(house.orders.SubmitOrder(request))
        await asyncio.sleep(wait_s)
        house.engine.broker_answers.set()
        await answer

    with capture_logs() as lines:
        await slow(0.1, order_request())
        assert lines == [], "a submit may wait for its broker"
        await slow(0.3, order_request())
    (line,) = lines
    assert (line["event"], line["code"], line["log_level"]) == ("slow_call", "OK", "warning")
    assert line["took_s"] >= 0.2
