"""The outermost edge of every call: whatever nobody expected leaves as INTERNAL with an id, whoever's code it was.

Left to itself, grpc.aio tells the caller type and text of an exception, and a text may hold anything. Also sealed:
health and reflection, which are not ours, with the reading of their requests.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from orderd.engine.errors import EngineError, Kind
from orderd.server.errors import DETAILS_HEADER, Refusal, defect, refuse, status_bytes

log = structlog.get_logger("orderd.server")

ABORT_TIMEOUT_S: Final = 5.0
"""How long a status may wait behind messages that its reader does not take."""

_TRANSPORT: Final = (grpc.aio.AbortError, grpc.aio.InternalError)
"""grpc.aio's own: the call has its status already, or its caller is gone."""

T = TypeVar("T")
Context = grpc.aio.ServicerContext[bytes, bytes]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[bytes, Context], Awaitable[T]]


async def abort(context: Context, refusal: Refusal) -> NoReturn:
    """End the call with the refusal.

    A status queues behind messages that the reader has not taken yet. A reader that stands still is not waited for:
    the transport keeps the status for it, and the call's task ends.
    """
    trailers = ((DETAILS_HEADER, status_bytes(refusal)),)
    try:
        async with asyncio.timeout(ABORT_TIMEOUT_S):
            await context.abort(refusal.code, refusal.message, trailers)
    except (TimeoutError, grpc.aio.InternalError):
        # grpc.aio takes no AbortError but its own, and calls any other a defect. The status is on its way already, or
        # the listener is being closed with a message of the stream still under way, and ends the call by itself.
        raise asyncio.CancelledError("the reader takes no messages; its status waits in the transport") from None


def sealed(path: str, serve: Behaviour[T]) -> Behaviour[T]:
    """The same method, out of which no exception's text gets."""

    async def serve_sealed(request: bytes, context: Context) -> T:
        try:
            return await serve(request, context)
        except _TRANSPORT:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge: behind it is grpc.aio, which would tell the text
            await _give_up(path, context, error)

    return serve_sealed


async def _give_up(path: str, context: Context, error: Exception) -> NoReturn:
    """Answer without relying on anything: what is broken may be the table of errors, or the log."""
    error_id = secrets.token_hex(8)
    with contextlib.suppress(Exception):  # a log that fails is no reason to answer with the reason why it failed
        log.error("defect", method=path, error_id=error_id, exc_info=error)
    trailers: tuple[tuple[str, bytes], ...] = ()
    refusal = defect(error_id)
    with contextlib.suppress(Exception):  # without its details it is still INTERNAL, with its id in the text
        trailers = ((DETAILS_HEADER, status_bytes(refusal)),)
    try:
        await context.abort(refusal.code, refusal.message, trailers)
    except grpc.aio.UsageError:
        raise error from None  # the call has its status already, so nothing of this one is sent
    raise AssertionError("abort always raises")


def parsed(read: Callable[[bytes], T], name: str, raw: bytes) -> T:
    """The message of that name. Raises EngineError MALFORMED_MESSAGE."""
    try:
        return read(raw)
    except DecodeError:
        rule = f"is not a {name}"
        raise EngineError(Kind.INVALID, "MALFORMED_MESSAGE", f"the message {rule}", fields=(("", rule),)) from None


# ------------------------------------------------------------------------------------------- services that are not ours


class SealedHandlers(grpc.GenericRpcHandler):
    """Handlers made by generated code, sealed. Stands in for the server when they are added."""

    def __init__(self) -> None:
        """Begin without any."""
        self._within: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Take handlers in, as a server would."""
        self._within += handlers

    def add_registered_method_handlers(self, service_name: str, handlers: dict[str, Handler]) -> None:
        """Ignore a second way to the same handlers."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The sealed handler of a method; None when nobody inside has it."""
        found = (handlers.service(handler_call_details) for handlers in self._within)
        handler = next((one for one in found if one is not None), None)
        return None if handler is None else _sealed_handler(handler_call_details.method, handler)


def _sealed_handler(path: str, handler: Any) -> Handler:  # noqa: ANN401 - its stub knows only synchronous methods
    """The same handler; its requests are read inside the seal."""
    read: Callable[[bytes], Message] = handler.request_deserializer
    write: Callable[[Message], bytes] = handler.response_serializer
    if handler.request_streaming:
        talk: Any = _sealed_conversation(path, handler.stream_stream, read)
        return grpc.stream_stream_rpc_method_handler(talk, response_serializer=write)
    make = grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
    behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary

    async def serve(raw: bytes, context: Context) -> object:
        try:
            request = parsed(read, "request of this method", raw)
        except EngineError as error:
            await abort(context, refuse(path, error))
        answer: object = await behaviour(request, context)
        return answer

    return make(sealed(path, serve), response_serializer=write)


def _sealed_conversation(
    path: str,
    talk: Callable[[AsyncIterable[Message], Context], AsyncIterator[Message]],
    read: Callable[[bytes], Message],
) -> Callable[[AsyncIterable[bytes], Context], AsyncIterator[Message]]:
    async def serve(requests: AsyncIterable[bytes], context: Context) -> AsyncIterator[Message]:
        try:
            async for answer in talk((parsed(read, "request of this method", raw) async for raw in requests), context):
                yield answer
        except _TRANSPORT:
            raise
        except EngineError as error:
            await abort(context, refuse(path, error))
        except Exception as error:  # noqa: BLE001 - the outermost edge, as in `sealed`
            await _give_up(path, context, error)

    return serve
