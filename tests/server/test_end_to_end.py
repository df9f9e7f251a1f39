"""The same door with the real engine behind it, up to the simulated venue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from oms.v1 import account_service_pb2 as account_pb
from oms.v1 import account_service_pb2_grpc, broker_service_pb2_grpc, order_service_pb2_grpc
from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd import app
from orderd.config.settings import AccountSettings, BrokerName, Settings
from tests.server.conftest import Reader, order_request, refused


class Orderd:
    """A whole server in this process, and its services."""

    def __init__(self, channel: grpc.aio.Channel, halt: app.Halt) -> None:
        self.orders = order_service_pb2_grpc.OrderServiceStub(channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        self.brokers = broker_service_pb2_grpc.BrokerServiceStub(channel)
        self.halt = halt

    async def submit(self, **changes: object) -> opb.Order:
        """Submit, as often as the account is still recovering."""
        request = order_request(**changes)
        while True:
            try:
                return (await self.orders.SubmitOrder(request)).order
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.05)

    def stream(self, **fields: object) -> Reader:
        """Subscribe."""
        return Reader(self.orders.StreamOrderEvents(pb.StreamOrderEventsRequest(**fields), timeout=30))


@contextlib.asynccontextmanager
async def running(path: Path) -> AsyncIterator[Orderd]:
    """Serve one simulated account until the end of the block."""
    settings = Settings(
        database_url=f"sqlite+aiosqlite:///{path / 'orderd.db'}",
        grpc_address="127.0.0.1:0",
        http_address="",
        accounts={"paper": AccountSettings(broker=BrokerName.SIMULATED)},
    )
    ready: asyncio.Future[app.Ready] = asyncio.get_running_loop().create_future()
    halt = app.Halt()
    serving = asyncio.ensure_future(app.serve(settings, on_ready=ready.set_result, halt=halt))
    done, _ = await asyncio.wait([serving, ready], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if serving in done:
        raise AssertionError(f"the server ended: {serving.result()}")
    async with grpc.aio.insecure_channel((await ready).grpc_address) as channel:
        yield Orderd(channel, halt)
        halt.asked.set()
        assert await serving == 0


async def test_an_order_from_its_submit_to_its_fill_and_beyond(tmp_path: Path) -> None:
    async with running(tmp_path) as orderd:
        reader = orderd.stream(after_sequence=0)
        order = await orderd.submit(type=opb.ORDER_TYPE_MARKET, limit_price="", quantity="10")
        while not any(event.to_status == opb.ORDER_STATUS_FILLED for event in reader.events):
            await reader.next()
        got = await orderd.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id, full=True))
        assert got.order.status == opb.ORDER_STATUS_FILLED
        assert got.order.filled_quantity == "10"
        assert got.broker_snapshot_json
        assert (await orderd.orders.ListFills(pb.ListFillsRequest(order_ids=[order.order_id]))).fills == got.fills
        story = await orderd.orders.ListOrderEvents(pb.ListOrderEventsRequest(order_id=order.order_id))
        assert list(story.events) == [event for event in reader.events if event.order_id == order.order_id]
        error = await refused(orderd.orders.CancelOrder(pb.CancelOrderRequest(order_id=order.order_id)))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ORDER_ENDED")
        assert error.order is not None
        assert error.order.order_id == order.order_id


async def test_a_hundred_callers_with_one_key_make_one_order(tmp_path: Path) -> None:
    async with running(tmp_path) as orderd:
        await orderd.submit()
        request = order_request(limit_price="1")
        answers = await asyncio.gather(*(orderd.orders.SubmitOrder(request) for _ in range(100)))
        assert len({answer.order.order_id for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1


async def test_a_resting_order_is_replaced_and_canceled(tmp_path: Path) -> None:
    async with running(tmp_path) as orderd:
        order = await orderd.submit(limit_price="1", time_in_force=opb.TIME_IN_FORCE_GTC)
        replace = pb.ReplaceOrderRequest(order_id=order.order_id, request_id="r-1", limit_price="2")
        assert (await orderd.orders.ReplaceOrder(replace)).order.limit_price in {"1", "2"}
        replace.limit_price = "3"
        error = await refused(orderd.orders.ReplaceOrder(replace))
        assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
        cancel = pb.CancelOrderRequest(order_id=order.order_id)
        assert (await orderd.orders.CancelOrder(cancel)).order.status == opb.ORDER_STATUS_CANCELED
        assert (await orderd.orders.CancelOrder(cancel)).order.status == opb.ORDER_STATUS_CANCELED, "repeats are fine"


async def test_the_account_and_what_its_broker_says(tmp_path: Path) -> None:
    async with running(tmp_path) as orderd:
        order = await orderd.submit(limit_price="1", time_in_force=opb.TIME_IN_FORCE_GTC)
        account = (await orderd.accounts.GetAccount(account_pb.GetAccountRequest())).account
        assert (account.account_id, account.mode, account.recovering) == ("paper", opb.MODE_PAPER, False)
        assert account.equity
        (entry,) = (await orderd.brokers.ListBrokerOrders(broker_pb.ListBrokerOrdersRequest())).entries
        assert entry.order.order_id == order.order_id
        assert entry.broker_order.broker_order_id == entry.order.broker_order_id
        steps = [step async for step in orderd.brokers.Reconcile(broker_pb.ReconcileRequest())]
        assert steps[-1].stage == broker_pb.RECONCILE_STAGE_DONE
        error = await refused(orderd.brokers.ResumeAccount(broker_pb.ResumeAccountRequest(reason="why not")))
        assert error.reason == "ACCOUNT_NOT_HALTED"


async def test_a_preview_records_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as orderd:
        answer = await orderd.orders.PreviewOrder(pb.PreviewOrderRequest(order=order_request()))
        assert (answer.valid, answer.estimated_cost) == (True, "1000")
        assert '"AAPL"' in answer.broker_request
        assert not (await orderd.orders.ListOrders(pb.ListOrdersRequest())).orders


@pytest.mark.parametrize("is_snapshot", [True, False])
async def test_a_stream_ends_with_the_server(tmp_path: Path, is_snapshot: bool) -> None:
    async with running(tmp_path) as orderd:
        reader = orderd.stream(snapshot=is_snapshot)
        await reader.next("started")
        orderd.halt.asked.set()
        error = await reader.end()
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
