"""What breaks where nobody expects it leaves as INTERNAL with an id: whatever broke, and however far out."""

import asyncio
import re
from collections.abc import Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from oms.v1 import order_service_pb2 as pb
from orderd.engine.errors import EngineError, Kind
from tests.canary import SECRET, shown_in
from tests.server.conftest import House, OpenHouse, Said, order_request, refused

REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


class DefectError(Exception):
    """Nobody raises this, so nobody expects it. Its text is not for callers."""


def broken(*_: object, **__: object) -> None:
    raise DefectError(f"inside {SECRET}")


def assert_sealed(error: Said) -> None:
    """INTERNAL, an id, and no word of what happened."""
    assert error.code == grpc.StatusCode.INTERNAL
    assert re.fullmatch(r"a defect of the server; its log knows it as [0-9a-f]{16}", error.message), error.message
    assert not shown_in(repr(error))


@pytest.mark.parametrize(
    "where", ["orderd.server.errors.refusal_of", "orderd.server.registry.refuse", "orderd.server.errors._code_of"]
)
async def test_the_table_of_errors_itself_breaks(house: House, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(where, broken)
    house.engine.errors["submit"] = EngineError(Kind.EXHAUSTED, "QUEUE_FULL", "full")
    with capture_logs() as lines:
        error = await refused(house.orders.SubmitOrder(order_request()))
    assert_sealed(error)
    assert error.reason == "INTERNAL"
    (line,) = [line for line in lines if line["event"] == "defect"]
    assert line["error_id"] == error.metadata["error_id"]
    assert isinstance(line["exc_info"], DefectError)


async def test_the_details_cannot_be_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id is in the text too, so nothing is lost but the form."""
    monkeypatch.setattr("orderd.server.edge.status_bytes", broken)
    house.engine.errors["submit"] = ZeroDivisionError(SECRET)
    error = await refused(house.orders.SubmitOrder(order_request()))
    assert_sealed(error)
    assert error.reason == ""


async def test_whoever_watches_the_calls_breaks(serve: OpenHouse) -> None:
    async with serve(observe=broken) as house:
        assert_sealed(await refused(house.orders.SubmitOrder(order_request())))
        assert_sealed(await house.stream(after_sequence=99).end())
        assert house.server.calls == house.server.streams == 0


async def test_the_log_cannot_be_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __getattr__(self, name: str) -> Callable[..., None]:
            def write(*_: object, **__: object) -> None:
                raise OSError(28, f"No space left on device {SECRET}")

            return write

    for module in ("errors", "edge", "registry"):
        monkeypatch.setattr(f"orderd.server.{module}.log", Full())
    house.engine.errors["submit"] = ZeroDivisionError(SECRET)
    assert_sealed(await refused(house.orders.SubmitOrder(order_request())))


async def test_a_stream_breaks_after_it_has_told_something(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.add(3)
    stream = house.stream(after_sequence=0)
    await stream.until(3)
    monkeypatch.setattr(house.engine.feed, "read", broken)
    await house.add(1)
    assert_sealed(await stream.end())
    await house.streams_left(0)


# ------------------------------------------------------------------------------------------- services that are not ours


async def test_bytes_that_are_no_message_for_health_and_reflection(house: House) -> None:
    for path in ("Check", "Watch"):
        method = f"/grpc.health.v1.Health/{path}"
        call = (
            house.channel.unary_unary(method)(b"\xff\xff")
            if path == "Check"
            else house.channel.unary_stream(method)(b"\xff\xff").read()
        )
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    error = await refused(house.channel.stream_stream(REFLECT)(iter([b"\xff\xff"])).read())
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


async def test_health_and_reflection_break(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        get = broken

    monkeypatch.setattr(house.server._health, "_server_status", Broken())
    stub = health_pb2_grpc.HealthStub(house.channel)
    assert_sealed(await refused(stub.Check(health_pb2.HealthCheckRequest())))
    assert_sealed(await refused(stub.Watch(health_pb2.HealthCheckRequest()).read()))
    monkeypatch.setattr("orderd.server.reflection.Symbols.FindFileContainingSymbol", broken)
    monkeypatch.setattr("orderd.server.reflection.Symbols.__getattr__", broken)
    asked = b"\x22\x01x"  # file_containing_symbol: "x"
    assert_sealed(await refused(house.channel.stream_stream(REFLECT)(iter([asked])).read()))
    monkeypatch.undo()
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


async def test_a_caller_that_leaves_is_no_defect(house: House) -> None:
    house.engine.broker_answers.clear()
    with capture_logs() as lines:
        call = house.orders.SubmitOrder(order_request())
        async with asyncio.timeout(20):
            while house.server.calls == 0:  # noqa: ASYNC110 - the server rings no bell for it
                await asyncio.sleep(0)
            call.cancel()
            while house.server.calls:  # noqa: ASYNC110 - the server rings no bell for it
                await asyncio.sleep(0.01)
    assert [line for line in lines if line["event"] == "defect"] == []
    house.engine.broker_answers.set()
    await house.orders.ListOrders(pb.ListOrdersRequest())
