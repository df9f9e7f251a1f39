"""What the door refuses because it is too much, each with its code, over real sockets; and that it goes on after it."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from oms.v1 import account_service_pb2 as apb
from oms.v1 import order_service_pb2 as pb
from tests.server.conftest import House, OpenHouse, order_request, refused

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


async def answers(house: House) -> None:
    """The server is as it was."""
    assert (await house.orders.SubmitOrder(order_request())).order.order_id


def connection(house: House) -> grpc.aio.Channel:
    """A connection of its own; two plain channels of one process share one."""
    return grpc.aio.insecure_channel(house.address, options=(("grpc.use_local_subchannel_pool", 1),))


# ---------------------------------------------------------------------------------------------------------- sizes


async def test_a_request_of_the_limit_is_read_and_one_byte_more_is_not(serve: OpenHouse) -> None:
    async with serve(max_request_bytes=100_000) as house:
        submit = house.channel.unary_unary("/oms.v1.OrderService/SubmitOrder")
        rest = order_request(strategy="x" * 99_000).SerializeToString()
        full = order_request(strategy="x" * (99_000 + 100_000 - len(rest))).SerializeToString()
        assert len(full) == 100_000
        assert (await refused(submit(full))).fields == ["strategy"], "it was read, and judged"
        error = await refused(submit(full + b"\x00"))
        assert (error.code, error.reason) == (EXHAUSTED, "")
        await answers(house)


async def test_an_answer_that_somebody_made_too_long_is_not_sent(
    serve: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(max_answer_bytes=2_000_000) as house:
        monkeypatch.setattr("orderd.server.accounts.account_message", _too_long, raising=True)
        error = await refused(house.accounts.ListAccounts(apb.ListAccountsRequest()))
        assert (error.code, error.reason) == (EXHAUSTED, "")
        await answers(house)


def _too_long(*_: object, **__: object) -> apb.Account:
    return apb.Account(account_id="x" * 2_000_000)


@pytest.mark.parametrize("where", ["one long value", "many values", "a binary value"])
async def test_headers_above_the_limit(serve: OpenHouse, where: str) -> None:
    given: tuple[tuple[str, str | bytes], ...] = {
        "one long value": (("x-note", "v" * 9_000),),
        "many values": tuple((f"x-note-{number}", "v" * 80) for number in range(100)),
        "a binary value": (("x-note-bin", b"v" * 9_000),),
    }[where]
    async with serve(max_metadata_bytes=8_192) as house:
        error = await refused(house.orders.SubmitOrder(order_request(), metadata=given))
        assert (error.code, error.reason) == (EXHAUSTED, "")
        await house.orders.SubmitOrder(order_request(), metadata=(("x-note", "v" * 6_000),))
        await answers(house)
        assert len(house.engine.asked) == 2, "what was refused reached nobody"


# --------------------------------------------------------------------------------------------------------- streams


async def test_one_connection_cannot_take_every_stream(serve: OpenHouse) -> None:
    async with serve(max_streams=4) as house, connection(house) as other:
        held = [house.stream(), house.stream()]
        for reader in held:
            await reader.next("started")
        error = await house.stream().end()
        assert (error.code, error.reason, error.retry_s) == (EXHAUSTED, "TOO_MANY_STREAMS", 5)
        assert "of this connection" in error.message
        theirs = other.unary_stream("/oms.v1.OrderService/StreamOrderEvents")
        others = [theirs(b""), theirs(b"")]
        for call in others:
            assert await call.read() is not grpc.aio.EOF, "another connection has room"
        async with connection(house) as third:
            error = await refused(third.unary_stream("/oms.v1.OrderService/StreamOrderEvents")(b"").read())
            assert (error.reason, error.message) == ("TOO_MANY_STREAMS", "4 streams are open, which is the limit")
        held[0].call.cancel()
        await house.streams_left(3)
        await house.stream().next("started")


async def test_a_connection_that_is_gone_leaves_its_places(serve: OpenHouse) -> None:
    async with serve(max_streams=4, max_streams_per_connection=1) as house:
        for _ in range(5):
            async with connection(house) as channel:
                call = channel.unary_stream("/oms.v1.OrderService/StreamOrderEvents")(b"")
                assert await call.read() is not grpc.aio.EOF
            await house.streams_left(0)
        assert not house.server._traffic._streams_of


# ----------------------------------------------------------------------------------------------------------- calls


async def test_more_calls_than_may_be_and_a_cancel_all_the_same(serve: OpenHouse) -> None:
    async with serve(max_calls=3) as house:
        (order,) = await house.add(1)
        house.engine.broker_answers.clear()
        waiting = [asyncio.ensure_future(house.orders.SubmitOrder(order_request())) for _ in range(3)]
        while house.server.calls < 3:  # noqa: ASYNC110 - the server rings no bell for it
            await asyncio.sleep(0)
        for call in (
            house.orders.SubmitOrder(order_request()),
            house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id)),
        ):
            error = await refused(call)
            assert (error.code, error.reason, error.retry_s) == (EXHAUSTED, "TOO_MANY_CALLS", 0.5)
        await house.orders.CancelOrder(pb.CancelOrderRequest(order_id=order.order_id))
        await house.orders.CancelAllOrders(pb.CancelAllOrdersRequest(account_id="paper"))
        house.engine.broker_answers.set()
        await asyncio.gather(*waiting)
        await answers(house)


async def test_what_is_no_call_of_ours_is_bounded_too(serve: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Health watches are nobody's streams; above everything that is counted, gRPC itself refuses."""
    monkeypatch.setattr("orderd.server.bounds.RESERVE", 2)
    async with serve(max_streams=1, max_calls=1) as house:
        stub = health_pb2_grpc.HealthStub(house.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(4)]
        for watch in watches:
            await watch.read()
        error = await refused(stub.Watch(health_pb2.HealthCheckRequest()).read())
        assert (error.code, error.reason) == (EXHAUSTED, "")
        for watch in watches:
            watch.cancel()
        async with asyncio.timeout(20):
            while True:
                try:
                    await answers(house)
                    break
                except grpc.aio.AioRpcError as busy:
                    assert busy.code() == EXHAUSTED
                await asyncio.sleep(0.01)
