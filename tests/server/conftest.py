"""A served stand-in engine behind a real socket, and the means to talk to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2

from oms.v1 import account_service_pb2_grpc, broker_service_pb2_grpc, order_service_pb2_grpc
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd.server import Bounds, GrpcServer
from orderd.storage import open_journal
from tests.server.stand_in import CLOCK, IDS, StandIn


@dataclass
class Said:
    """An error as a client sees it."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    fields: list[str] = field(default_factory=list[str])
    resource: tuple[str, str] = ("", "")
    retry_s: float | None = None
    precondition: str = ""
    order: opb.Order | None = None


class House:
    """One server over one journal, with a channel to it."""

    def __init__(self, engine: StandIn, server: GrpcServer, address: str) -> None:
        self.engine = engine
        self.server = server
        self.address = address
        self.channel = grpc.aio.insecure_channel(address)
        self.orders = order_service_pb2_grpc.OrderServiceStub(self.channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(self.channel)
        self.brokers = broker_service_pb2_grpc.BrokerServiceStub(self.channel)

    async def add(self, count: int, **fields: object) -> list[opb.Order]:
        """Submit many orders, journal only."""
        requests = [order_request(**fields) for _ in range(count)]
        answer = await self.orders.BatchSubmitOrders(pb.BatchSubmitOrdersRequest(requests=requests))
        assert all(result.HasField("response") for result in answer.results), answer
        return [result.response.order for result in answer.results]

    async def compact(self) -> None:
        """Let go of every event there is, as far as its order is over."""
        done = await self.engine.journal.begin_compaction(datetime.now(UTC) + timedelta(days=1))
        while not done.is_done:
            done = await self.engine.journal.compact(done)

    async def streams_left(self, count: int) -> None:
        """Wait until no more than so many streams are open."""
        async with asyncio.timeout(20):
            while self.server.streams > count:  # noqa: ASYNC110 - the server rings no bell for it
                await asyncio.sleep(0.01)

    def stream(self, **fields: object) -> "Reader":
        """Subscribe."""
        return Reader(self.orders.StreamOrderEvents(pb.StreamOrderEventsRequest(**fields), timeout=30))


class Reader:
    """A subscriber that checks what every subscriber may rely on."""

    def __init__(self, call: grpc.aio.UnaryStreamCall) -> None:
        self.call = call
        self.told = 0
        self.events: list[opb.OrderEvent] = []
        self.raw: list[bytes] = []

    async def next(self, kind: str = "") -> pb.StreamOrderEventsResponse:
        """The next response; with `kind`, which must be its payload."""
        response = await self.call.read()
        assert response is not grpc.aio.EOF, "the stream ended"
        assert response.previous_sequence == self.told, response
        self.told = response.sequence
        self.events.extend(response.events.events)
        if kind:
            assert response.WhichOneof("payload") == kind, response
        return response

    async def until(self, count: int) -> list[opb.OrderEvent]:
        """Read until there are so many events in all."""
        while len(self.events) < count:
            await self.next()
        return self.events

    async def end(self) -> Said:
        """Read to the error that ends the stream."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await self.call.read() is not grpc.aio.EOF:
                pass
        return said(caught.value)


def said(error: grpc.aio.AioRpcError) -> Said:
    """Take an error apart; it must carry exactly one ErrorInfo of ours, or no details at all."""
    heard = Said(code=error.code(), message=error.details() or "")
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        return heard
    status = status_pb2.Status.FromString(details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    infos = 0
    for packed in status.details:
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo.FromString(packed.value)
            assert info.domain == "orderd"
            heard.reason, heard.metadata = info.reason, dict(info.metadata)
            infos += 1
        elif packed.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest.FromString(packed.value)
            heard.fields = [violation.field for violation in bad.field_violations]
        elif packed.Is(error_details_pb2.ResourceInfo.DESCRIPTOR):
            resource = error_details_pb2.ResourceInfo.FromString(packed.value)
            heard.resource = (resource.resource_type, resource.resource_name)
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo.FromString(packed.value)
            heard.retry_s = retry.retry_delay.ToTimedelta().total_seconds()
        elif packed.Is(error_details_pb2.PreconditionFailure.DESCRIPTOR):
            heard.precondition = error_details_pb2.PreconditionFailure.FromString(packed.value).violations[0].type
        else:
            assert packed.Is(opb.Order.DESCRIPTOR), packed
            heard.order = opb.Order.FromString(packed.value)
    assert infos == 1
    return heard


async def refused(call: Awaitable[object]) -> Said:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return said(caught.value)


def order_request(**changes: object) -> pb.SubmitOrderRequest:
    """A plain order with a key of its own."""
    plain: dict[str, object] = {
        "client_order_id": f"k-{IDS.new()}",
        "symbol": "AAPL",
        "side": opb.SIDE_BUY,
        "quantity": "10",
        "type": opb.ORDER_TYPE_LIMIT,
        "limit_price": "100",
        "time_in_force": opb.TIME_IN_FORCE_DAY,
    }
    return pb.SubmitOrderRequest(**(plain | changes))


@contextlib.asynccontextmanager
async def open_house(path: Path, accounts: tuple[str, ...] = ("paper",), **settings: object) -> AsyncIterator[House]:
    """Serve until the end of the block."""
    journal = await open_journal(f"sqlite+aiosqlite:///{path / 'orderd.db'}", clock=CLOCK, ids=IDS)
    engine = StandIn(journal, accounts)
    bounds = {name: settings.pop(name) for name in Bounds.__struct_fields__ if name in settings}
    given = {"stop_grace_s": 0.2, "bounds": Bounds(**bounds)} | settings
    server = GrpcServer(engine, address="127.0.0.1:0", **given)
    house = House(engine, server, await server.start())
    try:
        yield house
    finally:
        await house.channel.close()
        await server.stop()
        await journal.close()


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """One account: `paper`."""
    async with open_house(tmp_path) as one:
        yield one


@pytest_asyncio.fixture
async def two_accounts(tmp_path: Path) -> AsyncIterator[House]:
    """Two accounts: `paper` and `other`."""
    async with open_house(tmp_path, ("paper", "other")) as two:
        yield two


OpenHouse = Callable[..., contextlib.AbstractAsyncContextManager[House]]


@pytest.fixture
def serve(tmp_path: Path) -> OpenHouse:
    """Serve with settings of the test's own: `async with serve(write_timeout_s=1) as house`."""
    return lambda accounts=("paper",), **settings: open_house(tmp_path, accounts, **settings)
