"""The door itself: what enters that is no message, health, reflection, addresses, and leaving."""

import asyncio
import contextlib
import time

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from oms.v1 import account_service_pb2, broker_service_pb2, order_service_pb2
from oms.v1 import order_service_pb2 as pb
from orderd.engine.account import EndingError
from orderd.server import AddressError, Bounds, GrpcServer
from orderd.server.registry import Registry
from orderd.server.traffic import Traffic
from tests.server.conftest import House, OpenHouse, order_request, refused

FILES = (order_service_pb2.DESCRIPTOR, account_service_pb2.DESCRIPTOR, broker_service_pb2.DESCRIPTOR)
METHODS = [
    (f"/{service.full_name}/{method.name}", method.server_streaming)
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
]
NO_MESSAGES = [b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a\x02\xff\xfe"]
"""An unfinished tag, a field longer than its message, text that is no UTF-8."""


# ---------------------------------------------------------------------------------------------------- what enters it


@pytest.mark.parametrize(("path", "is_stream"), METHODS)
async def test_bytes_that_are_no_message(house: House, path: str, is_stream: bool) -> None:
    for raw in NO_MESSAGES:
        if path.endswith("/ListAccounts") and raw is not NO_MESSAGES[0]:
            continue  # a request without fields: every well-formed field is one it does not know
        call = house.channel.unary_stream(path)(raw).read() if is_stream else house.channel.unary_unary(path)(raw)
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
        assert error.fields == [""]
    assert house.engine.asked == []
    assert house.server.calls == house.server.streams == 0


async def test_a_message_that_is_too_large_is_grpcs_own_business(house: House) -> None:
    raw = order_request(strategy="x" * 10_000_000).SerializeToString()
    error = await refused(house.channel.unary_unary("/oms.v1.OrderService/SubmitOrder")(raw))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "")
    assert house.engine.asked == []


async def test_a_method_that_does_not_exist_is_grpcs_own_business(house: House) -> None:
    error = await refused(house.channel.unary_unary("/oms.v1.OrderService/DoMagic")(b""))
    assert (error.code, error.reason) == (grpc.StatusCode.UNIMPLEMENTED, "")


async def test_a_deadline_is_grpcs_own_business(house: House) -> None:
    gate = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        await gate.wait()

    house.engine.account_status = hang  # type: ignore[method-assign,assignment]
    error = await refused(house.channel.unary_unary("/oms.v1.AccountService/GetAccount")(b"", timeout=0.2))
    assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    async with asyncio.timeout(5):
        while house.server.calls:  # noqa: ASYNC110 - the server rings no bell for it
            await asyncio.sleep(0.01)


async def test_every_call_is_observed(serve: OpenHouse) -> None:
    seen: list[tuple[str, str]] = []
    async with serve(observe=lambda path, code, took_s: seen.append((path.rpartition("/")[2], code))) as house:
        await house.orders.SubmitOrder(order_request())
        await refused(house.orders.SubmitOrder(order_request(side=0)))
        await house.stream(after_sequence=99).end()
    assert seen == [("SubmitOrder", "OK"), ("SubmitOrder", "INVALID_ARGUMENT"), ("StreamOrderEvents", "OUT_OF_RANGE")]


def test_a_method_that_nobody_serves_is_noticed_at_the_start() -> None:
    registry = Registry(Traffic(Bounds()), write_timeout_s=1)
    with pytest.raises(ValueError, match="SubmitOrder is served by 0 parts"):
        registry.add(order_service_pb2.DESCRIPTOR.services_by_name["OrderService"], object())


# ------------------------------------------------------------------------------------------------- health, reflection


async def health_of(house: House, service: str) -> int:
    """What the health service says about a service."""
    stub = health_pb2_grpc.HealthStub(house.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def test_health_for_each_service(house: House) -> None:
    for name in ("", "oms.v1.OrderService", "oms.v1.AccountService", "oms.v1.BrokerService"):
        assert await health_of(house, name) == health_pb2.HealthCheckResponse.SERVING
    error = await refused(health_of(house, "oms.v1.Nobody"))
    assert error.code == grpc.StatusCode.NOT_FOUND


async def reflect(house: House, version: str, *requests: reflection_pb2.ServerReflectionRequest) -> list[object]:
    """What reflection answers. Both versions have the same messages."""
    call = house.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(iter(requests))
    return [answer async for answer in call]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_what_is_served(house: House, version: str) -> None:
    (answer,) = await reflect(house, version, reflection_pb2.ServerReflectionRequest(list_services=""))
    assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
    names = {service.name for service in answer.list_services_response.service}
    assert names == {
        "oms.v1.OrderService",
        "oms.v1.AccountService",
        "oms.v1.BrokerService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    "symbol",
    [
        "oms.v1.OrderService",
        "oms.v1.SubmitOrderRequest",
        "oms.v1.OrderService.SubmitOrder",
        "oms.v1.ErrorReason",
        "google.rpc.ErrorInfo",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ],
)
async def test_reflection_describes_everything(house: House, version: str, symbol: str) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    (answer,) = await reflect(house, version, request)
    assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
    files = [FileDescriptorProto.FromString(raw) for raw in answer.file_descriptor_response.file_descriptor_proto]
    pool = DescriptorPool()
    waiting = {file.name: file for file in files}
    while waiting:
        ready = [file for file in waiting.values() if not any(name in waiting for name in file.dependency)]
        for file in ready:
            pool.Add(waiting.pop(file.name))
    assert any(symbol.startswith(f"{file.package}.") for file in files)
    with contextlib.suppress(KeyError):
        assert pool.FindServiceByName(symbol).methods


async def test_reflection_knows_what_it_does_not_know(house: House) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="oms.v1.Nothing")
    (answer,) = await reflect(house, "v1", request)
    assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


# ---------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
async def test_any_free_port(house: House, address: str) -> None:
    other = GrpcServer(house.engine, address=address, stop_grace_s=0)
    try:
        bound = await other.start()
    except AddressError:
        assert "::1" in address, "this machine has no IPv6"
        return
    assert bound.rpartition(":")[0] == address.rpartition(":")[0]
    async with grpc.aio.insecure_channel(bound) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
    await other.stop()


@pytest.mark.parametrize("address", ["", "nonsense", "192.0.2.1:50051"])
async def test_an_address_that_is_none_of_ours(house: House, address: str) -> None:
    with pytest.raises(AddressError, match="cannot listen on"):
        await GrpcServer(house.engine, address=address).start()


async def test_an_address_that_is_taken(house: House) -> None:
    second = GrpcServer(house.engine, address=house.address)
    with pytest.raises(AddressError, match=f"cannot listen on {house.address}: another process has it"):
        await second.start()
    await second.stop()
    assert (await house.orders.SubmitOrder(order_request())).order.order_id, "the first is unharmed"


# ------------------------------------------------------------------------------------------------------------ leaving


async def test_leaving_in_its_order(house: House) -> None:
    (order,) = await house.add(1)
    stream = house.stream(after_sequence=0)
    await stream.until(1)
    house.engine.broker_answers.clear()
    waiting = asyncio.ensure_future(house.orders.SubmitOrder(order_request()))
    await stream.until(2)

    house.server.refuse_submits()
    assert await health_of(house, "oms.v1.OrderService") == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await health_of(house, "") == health_pb2.HealthCheckResponse.NOT_SERVING
    for call in (
        house.orders.SubmitOrder(order_request()),
        house.orders.BatchSubmitOrders(pb.BatchSubmitOrdersRequest(requests=[order_request()])),
        house.orders.ReplaceOrder(pb.ReplaceOrderRequest(order_id=order.order_id, request_id="r", quantity="1")),
        house.stream().call.read(),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert error.retry_s == 1
    await house.orders.CancelOrder(pb.CancelOrderRequest(order_id=order.order_id))
    await house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id))
    events = await stream.until(3)
    assert events[-1].order_id == order.order_id, "an open stream still tells"

    house.engine.broker_answers.set()
    assert (await waiting).order.order_id, "a submit that was under way is answered"
    await house.server.stop()
    error = await stream.end()
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert error.retry_s == 1


async def test_what_the_ending_engine_does_not_begin_is_unavailable(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ending(*_: object, **__: object) -> None:
        raise EndingError

    monkeypatch.setattr(house.engine, "submit", ending)
    error = await refused(house.orders.SubmitOrder(order_request()))
    assert (error.code, error.reason, error.retry_s) == (grpc.StatusCode.UNAVAILABLE, "DRAINING", 1)


async def test_the_engine_settles_between_the_last_submit_and_the_end_of_the_streams(house: House) -> None:
    stream = house.stream()
    await stream.next("started")

    async def settle() -> None:
        assert (await refused(house.orders.SubmitOrder(order_request()))).reason == "DRAINING"
        assert house.server.streams == 1

    await house.server.drain(settle)
    assert (await stream.end()).reason == "DRAINING"


async def test_leaving_does_not_wait_for_those_who_stand_still(serve: OpenHouse) -> None:
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    async with serve(write_timeout_s=60) as house:
        still, idle = house.stream(after_sequence=0), house.stream()
        await still.next("started")
        await idle.next("started")
        watch = health_pb2_grpc.HealthStub(house.channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        for _ in range(10):
            await house.add(100, tags=tags)
        began = time.monotonic()
        await house.server.stop()
        assert time.monotonic() - began < 3
        assert house.server.streams == 0


async def test_stopping_twice_and_before_the_start(house: House) -> None:
    await GrpcServer(house.engine, address="127.0.0.1:0").stop()
    await house.server.stop()
    await house.server.stop()
