"""The client: orders, accounts and brokers here, decisions and trades in desk.py.

Repeated after UNAVAILABLE or DEADLINE_EXCEEDED, until `retry_for_s` have passed: reads, and what carries a key that
makes the repeat the same call (a submit, a replace), and CancelOrder, of which a second one answers like the first.
Never repeated: CancelAllOrders, which would also meet orders that are younger than the first call.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc
import grpc.aio

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2, order_service_pb2
from oms.v1.account_service_pb2_grpc import AccountServiceStub
from oms.v1.broker_service_pb2_grpc import BrokerServiceStub
from oms.v1.order_service_pb2_grpc import OrderServiceStub
from orderd.client.desk import DeskCalls
from orderd.client.errors import decode
from orderd.client.follow import Follower, OnReconnect

RECONCILE_TIMEOUT_S: Final = 300.0


class Client(DeskCalls):
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
        super().__init__(address, timeout_s=timeout_s, retry_for_s=retry_for_s, credentials=credentials)
        self._orders = OrderServiceStub(self._channel)
        self._accounts = AccountServiceStub(self._channel)
        self._broker = BrokerServiceStub(self._channel)

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
