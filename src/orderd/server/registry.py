"""From the service descriptors to gRPC handlers: the one place where calls enter and errors leave.

Requests are parsed here and not by gRPC, so that bytes that are no message get an answer like any other mistake.
Answers are bytes already: what is stored is sent, nothing is serialised twice.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from orderd.engine.account import EndingError
from orderd.server.call import Call
from orderd.server.edge import Context, abort, parsed, sealed
from orderd.server.errors import draining, refuse
from orderd.server.traffic import Traffic

log = structlog.get_logger("orderd.server")

SLOW_S: Final = 1.0
"""A single call that takes longer is logged. Seconds."""
SLOW_WAIT_S: Final = 6.0
"""The same for calls that wait up to 5 s for a broker's word."""
_ORDERS: Final = "/oms.v1.OrderService/"
_TRADES: Final = "/oms.v1.TradeService/"
_DECISIONS: Final = "/oms.v1.DecisionService/"
_BROKER: Final = "/oms.v1.BrokerService/"
_RISK: Final = "/oms.v1.RiskService/"
STARTS_SOMETHING: Final = frozenset(
    {
        f"{_ORDERS}SubmitOrder",
        f"{_ORDERS}BatchSubmitOrders",
        f"{_ORDERS}ReplaceOrder",
        f"{_BROKER}Reconcile",
        f"{_TRADES}OpenTrade",
        f"{_DECISIONS}ApproveDecision",
    }
)
"""Refused while the server leaves. Cancels, reads and resumes are taken to the last moment."""
ALWAYS_TAKEN: Final = frozenset(
    {
        f"{_ORDERS}CancelOrder",
        f"{_ORDERS}CancelAllOrders",
        f"{_TRADES}CloseTrade",
        f"{_TRADES}CancelPendingEntries",
        f"{_DECISIONS}RejectDecision",
        f"{_RISK}SetTradingState",
        f"{_RISK}FlattenAccount",
    }
)
"""Taken also when as many calls are under way as there may be: getting out must work."""
WAITS_FOR_A_BROKER: Final = STARTS_SOMETHING | {
    f"{_DECISIONS}RecordDecision",
    f"{_ORDERS}CancelOrder",
    f"{_ORDERS}CancelAllOrders",
    f"{_BROKER}ListBrokerOrders",
    f"{_BROKER}ResolveDiscrepancy",
    f"{_BROKER}ResolveOrder",
    f"{_TRADES}CloseTrade",
    f"{_RISK}GetRiskStatus",
    f"{_RISK}SizePosition",
    f"{_RISK}FlattenAccount",
    "/oms.v1.AccountService/GetAccount",
}

Observer = Callable[[str, str, float], None]
"""Told after each call: full method name, name of the status code, seconds."""
Method = Callable[[Any, Call], Awaitable[Any]]
"""A method of a service: takes its own request type; answers bytes, or None when it streams."""
Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


class Registry(grpc.GenericRpcHandler):
    """Every method of the given services, by its full name."""

    def __init__(self, traffic: Traffic, *, write_timeout_s: float, observe: Observer | None = None) -> None:
        """Start without services. A stream's reader has `write_timeout_s` to make room for a message."""
        self._traffic = traffic
        self._write_timeout_s = write_timeout_s
        self._observe = observe
        self._handlers: dict[str, Handler] = {}

    def add(self, service: ServiceDescriptor, *parts: object) -> None:
        """Serve all methods of the service, each by the part that has it. Raises ValueError when none has."""
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            serving = [getattr(part, method.name) for part in parts if hasattr(part, method.name)]
            if len(serving) != 1:
                raise ValueError(f"{path} is served by {len(serving)} parts, not by one")
            self._handlers[path] = self._handler(path, method, serving[0])

    def add_what_there_is(self, service: ServiceDescriptor, *parts: object) -> None:
        """Serve those methods of the service that a part has; the others are answered UNIMPLEMENTED."""
        for method in service.methods:
            for part in parts:
                if hasattr(part, method.name):
                    path = f"/{service.full_name}/{method.name}"
                    self._handlers[path] = self._handler(path, method, getattr(part, method.name))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of a method; None lets gRPC answer UNIMPLEMENTED."""
        return self._handlers.get(handler_call_details.method)

    def _handler(self, path: str, method: MethodDescriptor, serve: Method) -> Handler:
        request_type = GetMessageClass(method.input_type)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(sealed(path, self._streaming(path, request_type, serve)))
        return grpc.unary_unary_rpc_method_handler(sealed(path, self._single(path, request_type, serve)))

    def _single(
        self, path: str, request_type: type[Message], serve: Method
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        traffic = self._traffic
        starts_something = path in STARTS_SOMETHING
        is_bounded = path not in ALWAYS_TAKEN
        name = request_type.DESCRIPTOR.full_name

        async def handle(raw: bytes, context: Context) -> bytes:
            began = time.perf_counter()
            traffic.calls += 1
            try:
                if is_bounded:
                    traffic.check_room()
                if starts_something:
                    traffic.check_open()
                answer: bytes = await serve(parsed(request_type.FromString, name, raw), Call(path, context))
            except EndingError:
                refusal = refuse(path, draining())
            except Exception as error:  # noqa: BLE001 - the last door: whatever it is, the caller gets a status
                refusal = refuse(path, error)
            else:
                self._ended(path, "OK", began)
                return answer
            finally:
                traffic.calls -= 1
            self._ended(path, refusal.code.name, began)
            return await abort(context, refusal)

        return handle

    def _streaming(
        self, path: str, request_type: type[Message], serve: Method
    ) -> Callable[[bytes, Context], Awaitable[None]]:
        traffic = self._traffic
        name = request_type.DESCRIPTOR.full_name

        async def handle(raw: bytes, context: Context) -> None:
            began = time.perf_counter()
            try:
                request = parsed(request_type.FromString, name, raw)
                async with traffic.stream(context.peer()):
                    await serve(request, Call(path, context, write_timeout_s=self._write_timeout_s))
            except Exception as error:  # noqa: BLE001 - the last door: whatever it is, the caller gets a status
                refusal = refuse(path, error)
            else:
                self._observed(path, "OK", began)
                return
            self._observed(path, refusal.code.name, began)
            await abort(context, refusal)

        return handle

    def _ended(self, path: str, code: str, began: float) -> None:
        took_s = time.perf_counter() - began
        if took_s > SLOW_S and (path not in WAITS_FOR_A_BROKER or took_s > SLOW_WAIT_S):
            log.warning("slow_call", method=path, code=code, took_s=round(took_s, 3))
        if self._observe is not None:
            self._observe(path, code, took_s)

    def _observed(self, path: str, code: str, began: float) -> None:
        if self._observe is not None:
            self._observe(path, code, time.perf_counter() - began)
