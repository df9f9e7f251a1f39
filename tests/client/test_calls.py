"""Calls of the client: deadlines, repeats, keys, pages and decoded errors."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2 as details

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from orderd.client import Client, OrderdError, keyed
from tests.client.fake import Fake, Refusal, account, fill, order, serving, submitted

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
DEADLINE = grpc.StatusCode.DEADLINE_EXCEEDED
SUBMIT = pb.SubmitOrderRequest(symbol="AAPL", side=order_pb2.SIDE_BUY, quantity="1", type=order_pb2.ORDER_TYPE_MARKET)


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with serving(Fake()) as running:
        yield running


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[Client]:
    async with Client(fake.address, timeout_s=5, retry_for_s=5) as connected:
        yield connected


def soon() -> details.RetryInfo:
    """Advice to repeat at once."""
    return details.RetryInfo(retry_delay=Duration(nanos=1_000_000))


@pytest.mark.parametrize("code", [UNAVAILABLE, DEADLINE])
async def test_a_submit_is_repeated_with_one_key(fake: Fake, client: Client, code: grpc.StatusCode) -> None:
    fake.answer("SubmitOrder", Refusal(code), Refusal(code, "DRAINING", more=[soon()]), submitted)
    answer = await client.submit(SUBMIT)
    keys = {asked.client_order_id for asked in fake.asked["SubmitOrder"]}
    assert len(fake.asked["SubmitOrder"]) == 3
    assert keys == {answer.order.client_order_id}
    assert SUBMIT.client_order_id == ""


async def test_a_batch_is_repeated_with_the_same_keys(fake: Fake, client: Client) -> None:
    fake.answer("BatchSubmitOrders", Refusal(UNAVAILABLE), pb.BatchSubmitOrdersResponse())
    await client.submit_many([SUBMIT, SUBMIT])
    first, second = fake.asked["BatchSubmitOrders"]
    assert first == second
    assert len({request.client_order_id for request in first.requests}) == 2
    assert first.wait == pb.SUBMIT_WAIT_JOURNAL


async def test_a_replace_is_repeated_with_one_request_id(fake: Fake, client: Client) -> None:
    fake.answer("ReplaceOrder", Refusal(UNAVAILABLE), pb.ReplaceOrderResponse(order=order()))
    await client.replace(pb.ReplaceOrderRequest(order_id="order-1", quantity="2"))
    first, second = fake.asked["ReplaceOrder"]
    assert first.request_id
    assert first == second


async def test_a_request_id_of_ones_own_stays(fake: Fake, client: Client) -> None:
    fake.answer("ReplaceOrder", pb.ReplaceOrderResponse())
    await client.replace(pb.ReplaceOrderRequest(order_id="order-1", request_id="mine"))
    assert fake.asked["ReplaceOrder"][0].request_id == "mine"


@pytest.mark.parametrize(
    ("request_", "has_key"),
    [
        (pb.SubmitOrderRequest(), True),
        (pb.SubmitOrderRequest(client_order_id="mine"), True),
        (pb.SubmitOrderRequest(trace_id="t"), True),
        (pb.SubmitOrderRequest(trace_id="t", decided_time=Timestamp(seconds=1)), False),
        (pb.SubmitOrderRequest(decision_id="d"), False),
    ],
)
def test_a_key_is_made_only_where_none_can_be_derived(request_: pb.SubmitOrderRequest, has_key: bool) -> None:
    assert bool(keyed(request_).client_order_id) is has_key
    assert keyed(pb.SubmitOrderRequest(client_order_id="mine")).client_order_id == "mine"


async def test_reads_are_repeated(fake: Fake, client: Client) -> None:
    fake.answer("GetOrder", Refusal(UNAVAILABLE), pb.GetOrderResponse(order=order()))
    fake.answer("CancelOrder", Refusal(UNAVAILABLE), pb.CancelOrderResponse(order=order()))
    fake.answer("GetAccount", Refusal(UNAVAILABLE), accounts_pb.GetAccountResponse(account=account()))
    assert (await client.get(pb.GetOrderRequest(order_id="order-1"))).order.order_id == "order-1"
    assert (await client.cancel(pb.CancelOrderRequest(order_id="order-1"))).order_id == "order-1"
    assert (await client.account("paper")).account_id == "paper"
    assert [len(fake.asked[name]) for name in ("GetOrder", "CancelOrder", "GetAccount")] == [2, 2, 2]


@pytest.mark.parametrize("method", ["CancelAllOrders", "ResumeAccount"])
async def test_what_is_not_safe_is_sent_once(fake: Fake, client: Client, method: str) -> None:
    fake.answer(method, Refusal(UNAVAILABLE))
    with pytest.raises(OrderdError) as caught:
        if method == "CancelAllOrders":
            await client.cancel_all(pb.CancelAllOrdersRequest())
        else:
            await client.resume_account("paper", reason="checked")
    assert caught.value.code is UNAVAILABLE
    assert len(fake.asked[method]) == 1


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAUTHENTICATED,
    ],
)  # fmt: skip
async def test_an_answer_is_not_asked_for_again(fake: Fake, client: Client, code: grpc.StatusCode) -> None:
    fake.answer("SubmitOrder", Refusal(code, "SOME_REASON"))
    with pytest.raises(OrderdError) as caught:
        await client.submit(SUBMIT)
    assert (caught.value.code, caught.value.reason) == (code, "SOME_REASON")
    assert len(fake.asked["SubmitOrder"]) == 1


async def test_repeats_end(fake: Fake) -> None:
    fake.answer("GetOrder", Refusal(UNAVAILABLE, "DRAINING", "later", more=[soon()]))
    async with Client(fake.address, retry_for_s=0.2) as client:
        async with asyncio.timeout(5):
            with pytest.raises(OrderdError, match="DRAINING: later"):
                await client.get(pb.GetOrderRequest(order_id="o"))
    assert len(fake.asked["GetOrder"]) > 2


async def test_without_repeats_there_is_one_attempt(fake: Fake) -> None:
    fake.answer("GetOrder", Refusal(UNAVAILABLE))
    async with Client(fake.address, retry_for_s=0) as client:
        with pytest.raises(OrderdError):
            await client.get(pb.GetOrderRequest(order_id="o"))
    assert len(fake.asked["GetOrder"]) == 1


async def test_nobody_listens(unused_tcp_port: int) -> None:
    async with Client(f"127.0.0.1:{unused_tcp_port}", retry_for_s=0) as client:
        with pytest.raises(OrderdError) as caught:
            await client.accounts()
    assert (caught.value.code, caught.value.is_transport) == (UNAVAILABLE, True)


async def test_every_call_has_a_deadline(fake: Fake) -> None:
    fake.answer("SubmitOrder", submitted)
    fake.answer("BatchSubmitOrders", pb.BatchSubmitOrdersResponse())
    fake.answer("GetOrder", pb.GetOrderResponse())
    fake.answer("ListOrders", pb.ListOrdersResponse())
    fake.answer("CancelOrder", pb.CancelOrderResponse())
    fake.answer("CancelAllOrders", pb.CancelAllOrdersResponse())
    fake.answer("ReplaceOrder", pb.ReplaceOrderResponse())
    fake.answer("PreviewOrder", pb.PreviewOrderResponse())
    fake.answer("ListFills", pb.ListFillsResponse())
    fake.answer("ListOrderEvents", pb.ListOrderEventsResponse())
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse(accounts=[account()]))
    fake.answer("GetAccount", accounts_pb.GetAccountResponse())
    fake.answer("ListBrokerOrders", broker_pb.ListBrokerOrdersResponse())
    fake.answer("ResumeAccount", broker_pb.ResumeAccountResponse())
    fake.stream("Reconcile", [broker_pb.ReconcileResponse(stage=broker_pb.RECONCILE_STAGE_DONE)])
    async with Client(fake.address, timeout_s=7) as client:
        await client.submit(SUBMIT)
        await client.submit_many([SUBMIT])
        await client.get(pb.GetOrderRequest())
        assert [item async for item in client.orders()] == []
        await client.cancel(pb.CancelOrderRequest())
        await client.cancel_all(pb.CancelAllOrdersRequest())
        await client.replace(pb.ReplaceOrderRequest())
        await client.preview(SUBMIT)
        assert [item async for item in client.fills()] == []
        assert [item async for item in client.events_of("order-1")] == []
        assert [item.account_id for item in await client.accounts()] == ["paper"]
        await client.account()
        assert [item async for item in client.broker_orders()] == []
        await client.resume_account("paper", reason="checked")
        assert len([step async for step in client.reconcile("paper", timeout_s=7)]) == 1
    assert len(fake.deadlines) == 15
    for name, remaining in fake.deadlines.items():
        assert remaining[0] is not None, name
        assert 5 < remaining[0] <= 7.1, name


async def test_the_address_comes_from_the_environment(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse())
    monkeypatch.setenv("ORDERD_GRPC_ADDRESS", fake.address)
    async with Client() as client:
        assert await client.accounts() == []


# --- pages --------------------------------------------------------------------------------------------


async def test_all_pages_are_read_with_the_same_filter(fake: Fake, client: Client) -> None:
    fake.answer(
        "ListOrders",
        pb.ListOrdersResponse(orders=[order(3), order(2)], next_page_token="two"),
        Refusal(UNAVAILABLE),
        pb.ListOrdersResponse(orders=[order(1)]),
    )
    request = pb.ListOrdersRequest(symbols=["AAPL"], page_size=2)
    assert [found.order_id async for found in client.orders(request)] == ["order-3", "order-2", "order-1"]
    assert [asked.page_token for asked in fake.asked["ListOrders"]] == ["", "two", "two"]
    assert all(list(asked.symbols) == ["AAPL"] and asked.page_size == 2 for asked in fake.asked["ListOrders"])
    assert request.page_token == ""


async def test_a_page_that_is_not_wanted_is_not_read(fake: Fake, client: Client) -> None:
    fake.answer("ListFills", pb.ListFillsResponse(fills=[fill(1), fill(2)], next_page_token="two"))
    async for found in client.fills():
        assert found.fill_id == "fill-1"
        break
    assert len(fake.asked["ListFills"]) == 1


# --- errors -------------------------------------------------------------------------------------------


async def test_an_error_is_decoded_whole(fake: Fake, client: Client) -> None:
    request = details.BadRequest()
    request.field_violations.add(field="quantity", description="must be positive")
    request.field_violations.add(field="symbol", description="is missing")
    more = [request, details.RetryInfo(retry_delay=Duration(seconds=2)), order(7)]
    fake.answer("SubmitOrder", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS", "2 wrong", more=more, a="b"))
    with pytest.raises(OrderdError) as caught:
        await client.submit(SUBMIT)
    error = caught.value
    assert (error.code, error.reason, error.message) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS", "2 wrong")
    assert error.metadata == {"a": "b"}
    assert [(v.field, v.description) for v in error.field_violations] == [
        ("quantity", "must be positive"),
        ("symbol", "is missing"),
    ]
    assert error.retry_after_s == 2
    assert error.order is not None
    assert error.order.order_id == "order-7"
    assert str(error) == "INVALID_FIELDS: 2 wrong (quantity: must be positive; symbol: is missing)"


async def test_a_status_of_the_transport_has_no_reason(fake: Fake, client: Client) -> None:
    fake.answer("SubmitOrder", Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, message="too large"))
    with pytest.raises(OrderdError) as caught:
        await client.submit(SUBMIT)
    assert caught.value.is_transport
    assert str(caught.value) == "RESOURCE_EXHAUSTED: too large"


async def test_a_reconciliation_that_is_refused(fake: Fake, client: Client) -> None:
    fake.stream("Reconcile", [broker_pb.ReconcileResponse(), Refusal(UNAVAILABLE, "BROKER_UNAVAILABLE")])
    steps = []
    with pytest.raises(OrderdError) as caught:
        async for step in client.reconcile("paper"):
            steps.append(step)
    assert (len(steps), caught.value.reason) == (1, "BROKER_UNAVAILABLE")
