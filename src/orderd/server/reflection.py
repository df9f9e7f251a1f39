"""Reflection v1 and v1alpha: grpcurl and its like ask the server what it serves.

grpcio-reflection knows v1alpha only. The two versions have the same messages under another package name, so v1 is
served by the same code with a descriptor that is v1alpha's, renamed. The descriptors live in a pool of our own: nobody
else's v1 can get in the way.
"""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias, cast

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from oms.v1 import error_pb2, order_pb2

V1ALPHA: Final = "grpc.reflection.v1alpha.ServerReflection"
V1: Final = "grpc.reflection.v1.ServerReflection"
# The stubs of these packages name a descriptor class of their own.
_ALPHA: Final = cast("FileDescriptor", reflection_pb2.DESCRIPTOR)
_BESIDE: Final = (
    order_pb2.DESCRIPTOR,
    error_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
    cast("FileDescriptor", health_pb2.DESCRIPTOR),
    _ALPHA,
)


Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Symbols:
    """The pool as the servicer asks it. It finds methods, too, which the pool does not, for `grpcurl describe`."""

    def __init__(self, pool: DescriptorPool) -> None:
        """Ask this pool."""
        self._pool = pool

    def __getattr__(self, name: str) -> object:
        """Everything else is the pool's own."""
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """The file that says what the symbol is. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            return self._pool.FindServiceByName(service).methods_by_name[method].containing_service.file


class ReflectionHandlers(grpc.GenericRpcHandler):
    """Serves both versions for the given files."""

    def __init__(self, files: Iterable[FileDescriptor]) -> None:
        """Describe all services of the files, and health and reflection themselves."""
        described = (*files, *_BESIDE)
        pool = DescriptorPool()
        for file in described:
            _add(pool, file)
        pool.Add(_renamed(_proto(_ALPHA)))
        names = [service.full_name for file in described for service in file.services_by_name.values()]
        servicer: Any = reflection.aio.ReflectionServicer([*names, V1], pool=Symbols(pool))
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        self._handlers = {f"/{name}/ServerReflectionInfo": handler for name in (V1, V1ALPHA)}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of either version's only method."""
        return self._handlers.get(handler_call_details.method)


def _add(pool: DescriptorPool, file: FileDescriptor) -> None:
    """Add a file after everything it imports."""
    for imported in file.dependencies:
        _add(pool, imported)
    pool.Add(_proto(file))


def _proto(file: FileDescriptor) -> FileDescriptorProto:
    return FileDescriptorProto.FromString(file.serialized_pb)


def _renamed(alpha: FileDescriptorProto) -> FileDescriptorProto:
    """The v1 file: v1alpha's messages and service under v1's names."""
    proto = FileDescriptorProto()
    proto.CopyFrom(alpha)
    proto.name = alpha.name.replace("v1alpha", "v1")
    proto.package = alpha.package.replace("v1alpha", "v1")
    for message in proto.message_type:
        for field in (field for field in message.field if field.type_name):
            field.type_name = field.type_name.replace(".v1alpha.", ".v1.")
    for method in proto.service[0].method:
        method.input_type = method.input_type.replace(".v1alpha.", ".v1.")
        method.output_type = method.output_type.replace(".v1alpha.", ".v1.")
    return proto
