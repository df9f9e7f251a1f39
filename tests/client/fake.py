"""A server of grpc.aio whose every answer the test writes: what is asked is kept, what is answered is scripted."""

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import account_service_pb2_grpc as accounts_grpc
from oms.v1 import broker_service_pb2_grpc as broker_grpc
from oms.v1 import decision_service_pb2_grpc as decision_grpc
from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from oms.v1 import order_service_pb2_grpc as orders_grpc
from oms.v1 import position_service_pb2_grpc as position_grpc
from oms.v1 import risk_service_pb2_grpc as risk_grpc
from oms.v1 import trade_service_pb2 as trades_pb
from oms.v1 import trade_service_pb2_grpc as trade_grpc

Context = Any


class Refusal(Exception):
    """An answer that is a status: with a reason it looks like orderd's own, without like the transport's."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str = "",
        message: str = "no",
        *,
        more: Iterable[Message] = (),
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.more, self.metadata = code, reason, message, more, metadata

    def status(self) -> bytes:
        """The status details as orderd sends them."""
        status = Status(code=self.code.value[0], message=self.message)
        for detail in (details.ErrorInfo(domain="orderd", reason=self.reason, metadata=self.metadata), *self.more):
            packed = status.details.add()
            packed.Pack(detail)
        return status.SerializeToString()


Answer = Message | Refusal | Callable[[Any], Message]
StreamAnswer = Iterable[Message | Refusal]


class Fake:
    """Answers each call with the next of `answers[method]`; the last one is repeated."""

    def __init__(self) -> None:
        self.asked: defaultdict[str, list[Any]] = defaultdict(list)
        self.deadlines: defaultdict[str, list[float | None]] = defaultdict(list)
        self.answers: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self.streams: defaultdict[str, deque[StreamAnswer]] = defaultdict(deque)
        self.address = ""

    def answer(self, method: str, *answers: Answer) -> None:
        """Script the answers of one method."""
        self.answers[method] = deque(answers)

    def stream(self, method: str, *streams: StreamAnswer) -> None:
        """Script the streams of one method, one for each call."""
        self.streams[method] = deque(streams)

    def _note(self, method: str, request: Message, context: Context) -> None:
        self.asked[method].append(request)
        self.deadlines[method].append(context.time_remaining())

    async def unary(self, method: str, request: Message, context: Context) -> Message:
        """Answer one call."""
        self._note(method, request, context)
        queue = self.answers[method]
        answer = queue.popleft() if len(queue) > 1 else queue[0]
        if isinstance(answer, Refusal):
            await _refuse(answer, context)
        return answer if isinstance(answer, Message) else answer(request)  # type: ignore[operator]

    async def server_stream(self, method: str, request: Message, context: Context) -> AsyncIterator[Message]:
        """Play one stream; when it has no more to say it stays open, and ends with a Refusal or with None."""
        self._note(method, request, context)
        for item in self.streams[method].popleft():
            if isinstance(item, Refusal):
                await _refuse(item, context)
            yield item
        if self.streams[method]:
            return


async def _refuse(refusal: Refusal, context: Context) -> None:
    trailing = (("grpc-status-details-bin", refusal.status()),) if refusal.reason else ()
    await context.abort(refusal.code, refusal.message, trailing)


def _methods(fake: Fake, base: type, unary: Iterable[str], streams: Iterable[str]) -> object:
    """A servicer of this service that hands every call to the fake."""

    def unary_of(name: str) -> object:
        async def call(_self: object, request: Message, context: Context) -> Message:
            return await fake.unary(name, request, context)

        return call

    def stream_of(name: str) -> object:
        async def call(_self: object, request: Message, context: Context) -> AsyncIterator[Message]:
            async for message in fake.server_stream(name, request, context):
                yield message

        return call

    members = {name: unary_of(name) for name in unary} | {name: stream_of(name) for name in streams}
    return type("Servicer", (base,), members)()


ORDER_CALLS = [
    "SubmitOrder", "BatchSubmitOrders", "GetOrder", "ListOrders", "CancelOrder", "CancelAllOrders", "ReplaceOrder",
    "PreviewOrder", "ListFills", "ListOrderEvents",
]  # fmt: skip


BROKER_CALLS = ["ListBrokerOrders", "ResumeAccount", "ListDiscrepancies", "ResolveDiscrepancy", "ResolveOrder"]

DECISION_CALLS = ["RecordDecision", "GetDecision", "ListDecisions", "ApproveDecision", "RejectDecision"]

POSITION_CALLS = ["ListPositions", "GetPosition"]
TRADE_CALLS = [
    "OpenTrade", "CloseTrade", "MoveStop", "RearmStop", "AdvanceCandle", "CancelPendingEntries", "GetTrade",
    "ListTrades", "ListCompletedTrades", "GetPerformance",
]  # fmt: skip


RISK_CALLS = ["GetRiskStatus", "SetTradingState", "ResetCircuitBreaker", "SizePosition", "FlattenAccount"]


@asynccontextmanager
async def serving(fake: Fake, port: int = 0) -> AsyncIterator[Fake]:
    """Run the fake on a port of loopback."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    orders_grpc.add_OrderServiceServicer_to_server(
        _methods(fake, orders_grpc.OrderServiceServicer, ORDER_CALLS, ["StreamOrderEvents"]), server
    )
    accounts_grpc.add_AccountServiceServicer_to_server(
        _methods(fake, accounts_grpc.AccountServiceServicer, ["ListAccounts", "GetAccount"], []), server
    )
    position_grpc.add_PositionServiceServicer_to_server(
        _methods(fake, position_grpc.PositionServiceServicer, POSITION_CALLS, []), server
    )
    risk_grpc.add_RiskServiceServicer_to_server(_methods(fake, risk_grpc.RiskServiceServicer, RISK_CALLS, []), server)
    trade_grpc.add_TradeServiceServicer_to_server(
        _methods(fake, trade_grpc.TradeServiceServicer, TRADE_CALLS, ["StreamDeskEvents"]), server
    )
    decision_grpc.add_DecisionServiceServicer_to_server(
        _methods(fake, decision_grpc.DecisionServiceServicer, DECISION_CALLS, []), server
    )
    broker_grpc.add_BrokerServiceServicer_to_server(
        _methods(fake, broker_grpc.BrokerServiceServicer, BROKER_CALLS, ["Reconcile"]), server
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    fake.address = f"127.0.0.1:{bound}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(0)


# --- what a server says -------------------------------------------------------------------------------


def order(number: int = 1, **fields: object) -> order_pb2.Order:
    """A working order."""
    given: dict[str, Any] = {
        "order_id": f"order-{number}", "account_id": "paper", "client_order_id": f"key-{number}", "symbol": "AAPL",
        "side": order_pb2.SIDE_BUY, "quantity": "10", "type": order_pb2.ORDER_TYPE_LIMIT, "limit_price": "101.5",
        "time_in_force": order_pb2.TIME_IN_FORCE_DAY, "status": order_pb2.ORDER_STATUS_ACCEPTED,
        "mode": order_pb2.MODE_PAPER, "filled_quantity": "0", "leaves_quantity": "10", "version": 3, "sequence": number,
    }  # fmt: skip
    return order_pb2.Order(**(given | fields))


def event(sequence: int, **fields: object) -> order_pb2.OrderEvent:
    """An event of order-1."""
    given: dict[str, Any] = {
        "sequence": sequence, "order_id": "order-1", "account_id": "paper", "version": sequence,
        "type": order_pb2.ORDER_EVENT_TYPE_FILL, "from_status": order_pb2.ORDER_STATUS_ACCEPTED,
        "to_status": order_pb2.ORDER_STATUS_PARTIALLY_FILLED, "order": order(sequence=sequence),
    }  # fmt: skip
    return order_pb2.OrderEvent(**(given | fields))


def fill(number: int = 1, **fields: object) -> order_pb2.Fill:
    """A fill of order-1."""
    given: dict[str, Any] = {
        "fill_id": f"fill-{number}", "order_id": "order-1", "account_id": "paper", "execution_id": f"e-{number}",
        "symbol": "AAPL", "side": order_pb2.SIDE_BUY, "quantity": "4", "price": "101.25",
        "status": order_pb2.FILL_STATUS_LIVE,
    }  # fmt: skip
    return order_pb2.Fill(**(given | fields))


def account(account_id: str = "paper", **fields: object) -> accounts_pb.Account:
    """An account that trades."""
    given: dict[str, Any] = {
        "account_id": account_id, "broker": "alpaca", "mode": order_pb2.MODE_PAPER, "currency": "USD",
        "trading_state": accounts_pb.TRADING_STATE_ACTIVE, "stream_health": accounts_pb.STREAM_HEALTH_CONNECTED,
    }  # fmt: skip
    return accounts_pb.Account(**(given | fields))


def trade(number: int = 1, **fields: object) -> trades_pb.Trade:
    """A protected trade."""
    given: dict[str, Any] = {
        "trade_id": f"trade-{number}", "client_trade_id": f"key-{number}", "account_id": "paper",
        "signal": trades_pb.Signal(symbol="AAPL", side=order_pb2.SIDE_BUY, entry_price="100", stop_loss_price="95"),
        "state": trades_pb.TRADE_STATE_OPEN, "protection": trades_pb.PROTECTION_PROTECTED, "entry_quantity": "10",
        "open_quantity": "10", "protected_quantity": "10", "stop_price": "95", "version": 3, "sequence": number,
    }  # fmt: skip
    return trades_pb.Trade(**(given | fields))


def decision(number: int = 1, **fields: object) -> order_pb2.Decision:
    """A decision to buy AAPL that was carried out."""
    given: dict[str, object] = {
        "decision_id": f"decision-{number}", "account_id": "paper", "symbol": "AAPL", "side": order_pb2.SIDE_BUY,
        "kind": order_pb2.DECISION_KIND_ENTRY, "status": order_pb2.DECISION_STATUS_EXECUTED, "version": 1,
    }  # fmt: skip
    return order_pb2.Decision(**(given | fields))  # type: ignore[arg-type]


def desk_event(sequence: int, **fields: object) -> trades_pb.DeskEvent:
    """An event of trade-1."""
    given: dict[str, Any] = {
        "sequence": sequence, "account_id": "paper", "symbol": "AAPL", "trade_id": "trade-1",
        "type": trades_pb.DESK_EVENT_TYPE_PROTECTED, "trade": trade(sequence=sequence),
    }  # fmt: skip
    return trades_pb.DeskEvent(**(given | fields))


def desk_started(sequence: int, journal_id: str = "j-1") -> trades_pb.StreamDeskEventsResponse:
    """First message of a stream of the desk."""
    return trades_pb.StreamDeskEventsResponse(
        sequence=sequence, started=pb.StreamStarted(journal_id=journal_id, head_sequence=sequence)
    )


def desk_events(previous: int, *events: trades_pb.DeskEvent) -> trades_pb.StreamDeskEventsResponse:
    """A message with these events of the desk."""
    return trades_pb.StreamDeskEventsResponse(
        previous_sequence=previous, sequence=events[-1].sequence, events=trades_pb.DeskEvents(events=events)
    )


def started(sequence: int, journal_id: str = "j-1", head: int | None = None) -> pb.StreamOrderEventsResponse:
    """First message of a stream."""
    return pb.StreamOrderEventsResponse(
        sequence=sequence,
        started=pb.StreamStarted(journal_id=journal_id, head_sequence=sequence if head is None else head),
    )


def events(previous: int, *sequences: int, up_to: int | None = None) -> pb.StreamOrderEventsResponse:
    """A message with these events."""
    return pb.StreamOrderEventsResponse(
        previous_sequence=previous,
        sequence=up_to or sequences[-1],
        events=pb.OrderEvents(events=[event(sequence) for sequence in sequences]),
    )


def heartbeat(previous: int, sequence: int) -> pb.StreamOrderEventsResponse:
    """Nothing matched up to here."""
    return pb.StreamOrderEventsResponse(previous_sequence=previous, sequence=sequence, heartbeat=pb.Heartbeat())


def snapshot_page(*orders: order_pb2.Order) -> pb.StreamOrderEventsResponse:
    """A page of a snapshot."""
    return pb.StreamOrderEventsResponse(snapshot=pb.OrderSnapshot(orders=orders))


def snapshot_end(sequence: int) -> pb.StreamOrderEventsResponse:
    """The end of a snapshot."""
    return pb.StreamOrderEventsResponse(sequence=sequence, snapshot_end=pb.OrderSnapshotEnd())


def submitted(request: pb.SubmitOrderRequest) -> pb.SubmitOrderResponse:
    """Echo the order that was asked for, accepted."""
    return pb.SubmitOrderResponse(
        order=order(
            client_order_id=request.client_order_id, symbol=request.symbol, side=request.side,
            quantity=request.quantity, type=request.type, limit_price=request.limit_price,
            time_in_force=request.time_in_force,
        )
    )  # fmt: skip
