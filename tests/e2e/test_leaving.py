"""SIGTERM, a second SIGTERM, and a second server on the same journal."""

import asyncio
import signal
import time
from pathlib import Path

import grpc
import pytest

from oms.v1 import order_service_pb2 as pb
from tests.e2e import processes
from tests.e2e.audit import audit
from tests.e2e.errors import details
from tests.e2e.harness import House, state_of, submit_request, trading

DRAIN_S = 20.0


async def refusal(house: House, **fields: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.submit(**fields)
    return refused.value


async def test_a_drain_records_what_is_in_flight_and_still_takes_cancels(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": {"submit_timeout_s": 10}}) as house:
        await house.venue.settings(is_auto_fill=False)
        resting = await house.submit(client_order_id="resting")
        await house.until(resting.order_id, "ACCEPTED")
        await house.venue.arm("drop_frame", order="flying", times=0)
        await house.venue.arm("hold_answer", method="POST", order="flying", barrier="flying")
        flying = asyncio.create_task(house.submit(client_order_id="flying", symbol="AAPL"))
        await house.venue.waiting("flying")
        queued = await house.orders.SubmitOrder(
            submit_request(client_order_id="queued", symbol="AAPL", wait=pb.SUBMIT_WAIT_JOURNAL)
        )
        began = time.monotonic()
        house.server.signal(signal.SIGTERM)
        error = await refused_eventually(house)
        assert (error.code(), details(error)[0]) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert details(error)[1] > 0
        assert state_of(await house.cancel(resting.order_id)) == "CANCELED"
        await house.venue.release("flying")
        assert await house.server.ended(DRAIN_S) == 0
        assert time.monotonic() - began < DRAIN_S
        await asyncio.wait([flying])
        await house.tape.stop()
        await house.venue.calm()
        assert await house.venue.orders("queued") == [], "nothing new is sent during a drain"

        await house.restart()
        await house.until(queued.order.order_id, "ACCEPTED")
        assert len(await house.venue.posts("flying")) == 1
        assert "OUTCOME_UNKNOWN" not in house.tape.types(flying_id(house)), "its answer was recorded before the end"
        await house.until(queued.order.order_id, "ACCEPTED")
        await audit(house)


def flying_id(house: House) -> str:
    return next(order.order_id for order in house.tape.orders.values() if order.client_order_id == "flying")


async def refused_eventually(house: House) -> grpc.aio.AioRpcError:
    """Submits are taken until the server has noticed the signal."""
    async with asyncio.timeout(5):
        for number in range(10_000):
            try:
                await house.submit(client_order_id=f"during-{number}", symbol="MSFT", wait=pb.SUBMIT_WAIT_JOURNAL)
            except grpc.aio.AioRpcError as error:
                return error
    raise AssertionError("submits are still taken")


async def test_a_drain_does_not_wait_for_a_broker_that_hangs(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": {"submit_timeout_s": 60}}) as house:
        await house.venue.arm("drop_frame", times=0)
        await house.venue.arm("hold_answer", method="POST", barrier="never")
        await house.venue.arm("hold_answer", method="GET", barrier="never", times=0)
        await house.venue.arm("hold_answer", method="DELETE", barrier="never", times=0)
        order = await house.orders.SubmitOrder(submit_request(client_order_id="x", wait=pb.SUBMIT_WAIT_JOURNAL))
        await house.venue.waiting("never")
        assert await house.terminate(DRAIN_S) == 0
        await house.venue.call("DELETE", "faults")
        await house.restart()
        await house.until(order.order.order_id, "FILLED")
        assert len(await house.venue.posts("x")) == 1
        await audit(house)


async def test_an_idle_server_leaves_soon(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        order = await house.submit(client_order_id="x")
        await house.until(order.order_id, "FILLED")
        assert await house.terminate(5) == 0
        log = house.database.with_name("orderd.db-wal")
        assert not log.exists() or not log.stat().st_size, "the log was taken in"
        await house.restart()
        await audit(house)


async def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": {"submit_timeout_s": 60}}) as house:
        await house.venue.arm("drop_frame", times=0)
        await house.venue.arm("hold_answer", method="POST", barrier="never")
        await house.orders.SubmitOrder(submit_request(client_order_id="x", wait=pb.SUBMIT_WAIT_JOURNAL))
        await house.venue.waiting("never")
        house.server.signal(signal.SIGTERM)
        await refused_eventually(house)
        house.server.signal(signal.SIGTERM)
        assert await house.server.ended(1) == 128 + signal.SIGTERM
        await house.venue.calm()
        await house.restart()
        assert len(await house.venue.orders("x")) == 1
        await audit(house)


async def test_a_second_server_on_the_same_journal_leaves_and_harms_nobody(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        order = await house.submit(client_order_id="before")
        for number in range(3):
            second = processes.server(tmp_path / "orderd.toml", tmp_path / f"second-{number}.log")
            await second.spawn()
            assert await second.ended(60) != 0
            assert f"orderd cannot start: {house.database}" in second.said(), second.said()
            assert "one server at a time" in second.said()
            assert "Traceback" not in second.said()
        after = await house.submit(client_order_id="after")
        for each in (order, after):
            await house.until(each.order_id, "FILLED")
        await audit(house)


async def test_a_killed_server_frees_the_journal_at_once(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        await house.kill()
        await house.restart()
        order = await house.submit(client_order_id="x")
        await house.until(order.order_id, "FILLED")
        await audit(house)
