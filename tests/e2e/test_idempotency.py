"""One intent is one order at the broker: however often it is said, at once or after a crash."""

import asyncio
from pathlib import Path

import grpc
import pytest

from oms.v1 import order_service_pb2 as pb
from tests.e2e.audit import audit
from tests.e2e.harness import House, submit_request, trading

TIMES = 100


async def say_it_often(house: House, **fields: object) -> list[pb.SubmitOrderResponse]:
    request = submit_request(**fields)
    return list(await asyncio.gather(*(house.orders.SubmitOrder(request) for _ in range(TIMES))))


async def test_a_hundred_equal_calls_are_one_order_also_after_a_crash(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        first = await say_it_often(house, client_order_id="once")
        assert sum(not answer.replayed for answer in first) == 1
        (order_id,) = {answer.order.order_id for answer in first}
        await house.until(order_id, "FILLED")
        await house.kill()
        await house.restart()
        again = await say_it_often(house, client_order_id="once")
        assert all(answer.replayed for answer in again)
        assert {answer.order.order_id for answer in again} == {order_id}
        assert len(await house.venue.posts("once")) == 1
        assert len(await house.venue.orders("once")) == 1
        await audit(house)


async def test_a_crash_between_the_post_and_its_answer_makes_no_second_order(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": {"submit_timeout_s": 30}}) as house:
        await house.venue.arm("drop_frame", times=0)
        await house.venue.arm("hold_answer", method="POST", path="/v2/orders", barrier="never")
        calls = asyncio.gather(
            *(house.orders.SubmitOrder(submit_request(client_order_id="cut")) for _ in range(TIMES)),
            return_exceptions=True,
        )
        await house.venue.waiting("never")
        await house.kill()
        await house.venue.calm()
        assert all(isinstance(call, BaseException) for call in await calls), "nobody was answered"
        await house.restart()
        again = await say_it_often(house, client_order_id="cut")
        assert all(answer.replayed for answer in again)
        (order_id,) = {answer.order.order_id for answer in again}
        await house.until(order_id, "FILLED")
        assert "OUTCOME_UNKNOWN" in house.tape.types(order_id)
        assert len(await house.venue.orders("cut")) == 1
        await audit(house)


async def test_a_key_is_bound_to_its_content_for_ever(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        order = await house.submit(client_order_id="bound")
        await house.until(order.order_id, "FILLED")
        await house.kill()
        await house.restart()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.submit(client_order_id="bound", quantity="2")
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert len(await house.venue.posts("bound")) == 1
        await audit(house)


async def test_a_derived_key_is_the_same_after_a_crash(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        first = await house.submit(trace_id="t", decision_id="d")
        await house.kill()
        await house.restart()
        answer = await house.orders.SubmitOrder(submit_request(trace_id="t", decision_id="d"))
        assert (answer.replayed, answer.order.order_id) == (True, first.order_id)
        await house.until(first.order_id, "FILLED")
        await audit(house)
