"""Typed calls to one server: a deadline on each, and a repeat where a repeat can do no harm.

Repeated after UNAVAILABLE or DEADLINE_EXCEEDED, until `retry_for_s` have passed: reads, and what carries a key that
makes the repeat the same call (a submit, a replace), and CancelOrder, of which a second one answers like the first.
Never repeated: CancelAllOrders, which would also meet orders that are younger than the first call.
"""

import asyncio
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar, cast

import grpc
import grpc.aio

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2, order_service_pb2
from oms.v1 import trade_service_pb2 as trades_pb
from oms.v1.account_service_pb2_grpc import AccountServiceStub
from oms.v1.broker_service_pb2_grpc import BrokerServiceStub
from oms.v1.order_service_pb2_grpc import OrderServiceStub
from oms.v1.trade_service_pb2_grpc import TradeServiceStub
from orderd.client.errors import OrderdError, decode
from orderd.client.follow import Follower, OnReconnect

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
SHORTEST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
RECONCILE_TIMEOUT_S: Final = 300.0
REPEATABLE: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
# A frozen peer is noticed after 30 s, also on a stream that only listens.
CHANNEL_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class _Paged(Protocol):
    page_token: str


class Client:
    """A connection to one orderd. Safe for any number of concurrent calls of one event loop."""

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout_s: float = 10,
        retry_for_s: float = 30,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """Without an address: ORDERD_GRPC_ADDRESS, else 127.0.0.1:50051. Nothing is sent before the first call.

        `timeout_s` is the deadline of one attempt, `retry_for_s` how long attempts go on (0: one attempt).
        `credentials` turn TLS on, for a server behind a proxy that ends it.
        """
        self.address = address or os.environ.get("ORDERD_GRPC_ADDRESS") or DEFAULT_ADDRESS
        self._timeout_s = timeout_s
        self._retry_for_s = retry_for_s
        self._channel = (
            grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(self.address, credentials, options=CHANNEL_OPTIONS)
        )
        self._orders = OrderServiceStub(self._channel)
        self._accounts = AccountServiceStub(self._channel)
        self._broker = BrokerServiceStub(self._channel)
        self._trades = TradeServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        """Use as `async with`; the connection is made by the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the connection and every stream on it."""
        await self.close()

    async def close(self) -> None:
        """End the connection and every stream on it."""
        await self._channel.close()

    async def ready(self) -> None:
        """Connect, or raise OrderdError after `timeout_s`: for streams, which would otherwise wait for ever."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._channel.channel_ready()
        except TimeoutError:
            text = f"no connection to {self.address} within {self._timeout_s:g} s"
            raise OrderdError(code=grpc.StatusCode.UNAVAILABLE, message=text) from None

    # ------------------------------------------------------------------------------------------------ orders

    async def submit(self, request: order_service_pb2.SubmitOrderRequest) -> order_service_pb2.SubmitOrderResponse:
        """Submit one order; a missing key is made first, so that every attempt is the same order.

        Raises OrderdError when no answer came. After UNAVAILABLE or DEADLINE_EXCEEDED the order may stand: repeat with
        the same `client_order_id` (make the request with `keyed` to know it). An order that is denied, rejected or
        unknown is an answer.
        """
        return await self._call(self._orders.SubmitOrder, keyed(request), is_repeatable=True)

    async def submit_many(
        self,
        requests: Sequence[order_service_pb2.SubmitOrderRequest],
        *,
        wait: "order_service_pb2.SubmitWait.ValueType" = order_service_pb2.SUBMIT_WAIT_JOURNAL,
    ) -> list[order_service_pb2.BatchSubmitResult]:
        """Submit at most 500 orders, each for itself; the results are in the order given."""
        batch = order_service_pb2.BatchSubmitOrdersRequest(requests=[keyed(request) for request in requests], wait=wait)
        return list((await self._call(self._orders.BatchSubmitOrders, batch, is_repeatable=True)).results)

    async def preview(self, request: order_service_pb2.SubmitOrderRequest) -> order_service_pb2.PreviewOrderResponse:
        """What a submit would do. Nothing is stored or sent."""
        asked = order_service_pb2.PreviewOrderRequest(order=keyed(request))
        return await self._call(self._orders.PreviewOrder, asked, is_repeatable=True)

    async def get(self, request: order_service_pb2.GetOrderRequest) -> order_service_pb2.GetOrderResponse:
        """One order with its fills."""
        return await self._call(self._orders.GetOrder, request, is_repeatable=True)

    async def cancel(self, request: order_service_pb2.CancelOrderRequest) -> order_pb2.Order:
        """Ask for the cancel of one order."""
        return (await self._call(self._orders.CancelOrder, request, is_repeatable=True)).order

    async def cancel_all(
        self, request: order_service_pb2.CancelAllOrdersRequest
    ) -> list[order_service_pb2.CancelAllOrdersResult]:
        """Ask for the cancel of the open entries of one account. Sent once."""
        return list((await self._call(self._orders.CancelAllOrders, request, is_repeatable=False)).results)

    async def replace(self, request: order_service_pb2.ReplaceOrderRequest) -> order_pb2.Order:
        """Ask for new terms; a missing `request_id` is made first, so that every attempt is the same replace."""
        asked = order_service_pb2.ReplaceOrderRequest()
        asked.CopyFrom(request)
        asked.request_id = asked.request_id or str(uuid.uuid4())
        return (await self._call(self._orders.ReplaceOrder, asked, is_repeatable=True)).order

    def orders(self, request: order_service_pb2.ListOrdersRequest | None = None) -> AsyncIterator[order_pb2.Order]:
        """Every matching order, newest first, page by page."""
        asked = request or order_service_pb2.ListOrdersRequest()
        return self._pages(self._orders.ListOrders, asked, lambda page: page.orders)

    def fills(self, request: order_service_pb2.ListFillsRequest | None = None) -> AsyncIterator[order_pb2.Fill]:
        """Every matching fill, oldest first, page by page."""
        asked = request or order_service_pb2.ListFillsRequest()
        return self._pages(self._orders.ListFills, asked, lambda page: page.fills)

    def events_of(self, order_id: str) -> AsyncIterator[order_pb2.OrderEvent]:
        """The whole story of one order, oldest first."""
        asked = order_service_pb2.ListOrderEventsRequest(order_id=order_id)
        return self._pages(self._orders.ListOrderEvents, asked, lambda page: page.events)

    def follow(
        self,
        request: order_service_pb2.StreamOrderEventsRequest | None = None,
        *,
        after_sequence: int | None = None,
        snapshot: bool = False,
        on_reconnect: OnReconnect | None = None,
        give_up_after_s: float | None = None,
    ) -> Follower:
        """Follow events, over restarts of the server too. `request` holds the filters; see Follower.

        Gives up, with the last OrderdError, when nothing answers for `give_up_after_s`; None: never.
        """
        asked = order_service_pb2.StreamOrderEventsRequest()
        if request is not None:
            asked.CopyFrom(request)
        if after_sequence is not None:
            asked.after_sequence = after_sequence
        asked.snapshot = asked.snapshot or snapshot
        return Follower(
            self._orders.StreamOrderEvents,
            asked,
            on_reconnect=on_reconnect,
            give_up_after_s=give_up_after_s,
        )

    # ------------------------------------------------------------------------------------- accounts and brokers

    async def accounts(self) -> list[accounts_pb.Account]:
        """Every configured account, without the broker's figures."""
        answer = await self._call(self._accounts.ListAccounts, accounts_pb.ListAccountsRequest(), is_repeatable=True)
        return list(answer.accounts)

    async def account(self, account_id: str = "") -> accounts_pb.Account:
        """One account, with fresh figures from the broker."""
        asked = accounts_pb.GetAccountRequest(account_id=account_id)
        return (await self._call(self._accounts.GetAccount, asked, is_repeatable=True)).account

    async def reconcile(
        self, account_id: str = "", *, timeout_s: float = RECONCILE_TIMEOUT_S
    ) -> AsyncIterator[broker_pb.ReconcileResponse]:
        """Compare an account with its broker now; yields the progress."""
        asked = broker_pb.ReconcileRequest(account_id=account_id)
        call = self._broker.Reconcile(asked, timeout=timeout_s)
        try:
            async for step in call:
                yield step
        except grpc.aio.AioRpcError as error:
            raise decode(error) from None
        finally:
            call.cancel()

    def broker_orders(
        self, request: broker_pb.ListBrokerOrdersRequest | None = None
    ) -> AsyncIterator[broker_pb.BrokerOrderEntry]:
        """The broker's orders beside ours."""
        asked = request or broker_pb.ListBrokerOrdersRequest()
        return self._pages(self._broker.ListBrokerOrders, asked, lambda page: page.entries)

    async def resume_account(self, account_id: str, *, reason: str) -> accounts_pb.Account:
        """Let a halted account trade again. Sent once."""
        asked = broker_pb.ResumeAccountRequest(account_id=account_id, reason=reason)
        return (await self._call(self._broker.ResumeAccount, asked, is_repeatable=False)).account

    def discrepancies(
        self, request: broker_pb.ListDiscrepanciesRequest | None = None
    ) -> AsyncIterator[broker_pb.Discrepancy]:
        """Every matching discrepancy, newest first, page by page."""
        asked = request or broker_pb.ListDiscrepanciesRequest()
        return self._pages(self._broker.ListDiscrepancies, asked, lambda page: page.discrepancies)

    async def resolve_discrepancy(
        self, discrepancy_id: str, *, reason: str, operator_name: str = ""
    ) -> broker_pb.Discrepancy:
        """Close a discrepancy by an operator's word. Sent once."""
        asked = broker_pb.ResolveDiscrepancyRequest(
            discrepancy_id=discrepancy_id, reason=reason, operator_name=operator_name
        )
        return (await self._call(self._broker.ResolveDiscrepancy, asked, is_repeatable=False)).discrepancy

    async def resolve_order(self, request: broker_pb.ResolveOrderRequest) -> order_pb2.Order:
        """Record an operator's word about an order. Sent once."""
        return (await self._call(self._broker.ResolveOrder, request, is_repeatable=False)).order

    # ------------------------------------------------------------------------------------------------ results

    def completed_trades(
        self, request: trades_pb.ListCompletedTradesRequest | None = None
    ) -> AsyncIterator[trades_pb.CompletedTrade]:
        """Every matching completed trade, newest first, page by page."""
        asked = request or trades_pb.ListCompletedTradesRequest()
        return self._pages(self._trades.ListCompletedTrades, asked, lambda page: page.completed_trades)

    async def performance(
        self, request: trades_pb.GetPerformanceRequest | None = None
    ) -> trades_pb.GetPerformanceResponse:
        """The realised series of an account and its statistics."""
        asked = request or trades_pb.GetPerformanceRequest()
        return await self._call(self._trades.GetPerformance, asked, is_repeatable=True)

    # ------------------------------------------------------------------------------------------------ calling

    async def _call(self, method: Callable[..., Awaitable[Answer]], request: object, *, is_repeatable: bool) -> Answer:
        give_up = time.monotonic() + (self._retry_for_s if is_repeatable else 0)
        attempt = 0
        while True:
            try:
                return await method(request, timeout=self._timeout_s)
            except grpc.aio.AioRpcError as error:
                said = decode(error)
                pause_s = pause(attempt, said.retry_after_s)
                if said.code not in REPEATABLE or time.monotonic() + pause_s >= give_up:
                    raise said from None
            attempt += 1
            await asyncio.sleep(pause_s)

    async def _pages(
        self, method: Callable[..., Awaitable[Answer]], request: object, items: Callable[[Answer], Sequence[Item]]
    ) -> AsyncIterator[Item]:
        asked = cast("Any", type(request))()
        asked.CopyFrom(request)
        while True:
            page = await self._call(method, asked, is_repeatable=True)
            for item in items(page):
                yield item
            token: str = cast("Any", page).next_page_token
            if not token:
                return
            cast("_Paged", asked).page_token = token


def keyed(request: order_service_pb2.SubmitOrderRequest) -> order_service_pb2.SubmitOrderRequest:
    """The request with a key that makes repeats the same order.

    A key of its own stays. So does a request whose key the server derives from the request alone: from its decision, or
    from a trace id with the time of the decision. (A trace id alone is not enough: without a decided time the server's
    clock would choose the bucket, and a repeat could land in the next one.)
    """
    is_derived = request.decision_id or (request.trace_id and request.HasField("decided_time"))
    copy = order_service_pb2.SubmitOrderRequest()
    copy.CopyFrom(request)
    if not copy.client_order_id and not is_derived:
        copy.client_order_id = str(uuid.uuid4())
    return copy


def pause(attempt: int, advice_s: float | None) -> float:
    """Seconds before the next attempt: the server's advice, or a random part of a doubling time."""
    longest = min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2**attempt)
    return advice_s if advice_s is not None else random.uniform(SHORTEST_PAUSE_S / 2, longest)
