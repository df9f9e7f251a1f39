"""Opening and closing the gRPC door.

Leaving is done in this order: health says NOT_SERVING, what would start something is refused (cancels and reads are
still taken), the engine settles what it has in flight, streams end with UNAVAILABLE, the listener closes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast

import grpc
import structlog
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from oms.v1 import account_service_pb2, broker_service_pb2, order_service_pb2
from orderd.engine.api import Engine
from orderd.server.accounts import AccountService
from orderd.server.bounds import Bounds
from orderd.server.brokers import BrokerService
from orderd.server.desk_services import NO_DESK, DeskParts, services
from orderd.server.discrepancies import DiscrepancyCalls
from orderd.server.edge import SealedHandlers
from orderd.server.order_reads import OrderReads
from orderd.server.orders import OrderChanges
from orderd.server.reflection import ReflectionHandlers
from orderd.server.registry import Observer, Registry
from orderd.server.stream import OrderStreams
from orderd.server.traffic import Traffic

log = structlog.get_logger("orderd.server")

WRITE_TIMEOUT_S: Final = 30.0
"""How long a subscriber may stand still before it is cut off."""
STOP_GRACE_S: Final = 2.0

_FILES: Final[tuple[FileDescriptor, ...]] = (
    order_service_pb2.DESCRIPTOR,
    account_service_pb2.DESCRIPTOR,
    broker_service_pb2.DESCRIPTOR,
)


KEEPALIVE_S: Final = 20.0
KEEPALIVE_TIMEOUT_S: Final = 10.0
"""A peer is asked for a sign of life after so long, and has so long to give it."""


def options(
    bounds: Bounds,
    *,
    keepalive_s: float = KEEPALIVE_S,
    keepalive_timeout_s: float = KEEPALIVE_TIMEOUT_S,
) -> Sequence[tuple[str, int]]:
    """The options of the listener."""
    return (
        # On by default: a second process would share the port and take half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", bounds.max_request_bytes),
        # Lists are bounded where they are made; this is for the one answer that somebody else's bytes made too long.
        ("grpc.max_send_message_length", bounds.max_answer_bytes),
        # One bound, not two: between a soft and a hard one gRPC refuses by chance.
        ("grpc.max_metadata_size", bounds.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", bounds.max_metadata_bytes),
        # A peer that is frozen or gone without a word is noticed, and its calls end.
        ("grpc.keepalive_time_ms", int(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(keepalive_timeout_s * 1000)),
        # Left alone, a ping has a minute, whatever the keepalive says, and a frozen peer goes unnoticed for so long.
        ("grpc.http2.ping_timeout_ms", int(keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Clients may ask as often themselves.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # With the probe on, a stream whose reader stands still is given megabytes to fill.
        ("grpc.http2.bdp_probe", 0),
    )


class AddressError(OSError):
    """The address cannot be listened on."""


class GrpcServer:
    """The server's gRPC face: `start`, then `refuse_submits` and `stop`."""

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        engine: Engine,
        *,
        address: str,
        credentials: grpc.ServerCredentials | None = None,
        bounds: Bounds | None = None,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        stop_grace_s: float = STOP_GRACE_S,
        keepalive_s: float = KEEPALIVE_S,
        keepalive_timeout_s: float = KEEPALIVE_TIMEOUT_S,
        observe: Observer | None = None,
        desk: DeskParts = NO_DESK,
    ) -> None:
        """Serve `engine` on `address` (host:port, port 0 for any free one); without credentials in plain text.

        `observe` is told of every call that ended. `desk`: what it has is served, too.
        """
        self._engine = engine
        self._address = address
        self._credentials = credentials
        self._bounds = bounds or Bounds()
        self._options = options(self._bounds, keepalive_s=keepalive_s, keepalive_timeout_s=keepalive_timeout_s)
        self._stop_grace_s = stop_grace_s
        self._traffic = Traffic(self._bounds)
        self._health = health.aio.HealthServicer()
        self._registry = Registry(self._traffic, write_timeout_s=write_timeout_s, observe=observe)
        self._server: grpc.aio.Server | None = None
        self._leaving: asyncio.Task[None] | None = None
        order, account, broker = (next(iter(file.services_by_name.values())) for file in _FILES)
        self._registry.add(order, OrderChanges(engine), OrderReads(engine), OrderStreams(engine))
        self._registry.add(account, AccountService(engine))
        self._registry.add(broker, BrokerService(engine), DiscrepancyCalls(engine))
        self._service_names: tuple[str, ...] = (order.full_name, account.full_name, broker.full_name)
        self._files = _FILES
        for file, parts in services(engine, desk):
            service = next(iter(file.services_by_name.values()))
            self._registry.add_what_there_is(service, *parts)
            self._service_names = (*self._service_names, service.full_name)
            self._files = (*self._files, file)

    @property
    def calls(self) -> int:
        """How many single calls are being answered."""
        return self._traffic.calls

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._traffic.streams

    async def start(self) -> str:
        """Listen and serve; returns the bound address. Raises AddressError when it is taken or is none."""
        server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=self._bounds.everything)
        beside = SealedHandlers()
        beside.add_generic_rpc_handlers([ReflectionHandlers(self._files)])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, cast("grpc.aio.Server", beside))
        server.add_generic_rpc_handlers((self._registry, beside))
        bound = self._bind(server)
        await server.start()
        for name in self._service_names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._server = server
        log.info("grpc_listening", address=bound, is_encrypted=self._credentials is not None)
        return bound

    def refuse_submits(self) -> None:
        """Say NOT_SERVING and refuse what would start something. Cancels, reads and open streams go on."""
        self._traffic.is_draining = True
        if self._leaving is None:
            leaving = self._health.enter_graceful_shutdown()
            self._leaving = asyncio.get_running_loop().create_task(leaving, name="health")

    async def stop(self) -> None:
        """End the streams with UNAVAILABLE, let single calls finish for the grace time, close the listener."""
        self.refuse_submits()
        self._traffic.end_streams()
        if self._leaving is not None:
            await self._leaving
        if self._server is not None:
            await self._server.stop(self._stop_grace_s)
            self._server = None

    async def drain(self, settle: Callable[[], Awaitable[None]] | None = None) -> None:
        """Leave: `refuse_submits`, then `settle` (the engine's part, bounded by itself), then `stop`."""
        self.refuse_submits()
        if settle is not None:
            await settle()
        await self.stop()

    def _bind(self, server: grpc.aio.Server) -> str:
        try:
            if self._credentials is None:
                port = server.add_insecure_port(self._address)
            else:
                port = server.add_secure_port(self._address, self._credentials)
        except RuntimeError:
            port = 0
        if not port:
            raise AddressError(
                f"cannot listen on {self._address}: another process has it, or it is no address of this machine"
            )
        host, _, _ = self._address.rpartition(":")
        return f"{host}:{port}"
