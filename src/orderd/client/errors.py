"""What the server says when it says no, decoded from the status details once and for all callers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc
from google.rpc import error_details_pb2 as details  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from oms.v1.order_pb2 import Order

DETAILS_HEADER: Final = "grpc-status-details-bin"
DOMAIN: Final = "orderd"


@dataclass(frozen=True, kw_only=True)
class FieldViolation:
    """One problem of one field: its path in the request, and the rule it breaks."""

    field: str
    description: str


@dataclass(kw_only=True)
class OrderdError(Exception):
    """A call ended without an answer. An order that is denied, rejected or unknown is an answer, not an error.

    `reason` is a word of `oms.v1.ErrorReason` without its prefix, or empty when the error did not come from orderd
    (no connection, a deadline). `retry_after_s`: the server's advice, in seconds. `order`: the order it is about, when
    the server sent it along.
    """

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    field_violations: tuple[FieldViolation, ...] = ()
    retry_after_s: float | None = None
    order: Order | None = None

    def __str__(self) -> str:
        """Reason, message and every field problem in one line."""
        problems = "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in self.field_violations)
        return f"{self.reason or self.code.name}: {self.message}" + (f" ({problems})" if problems else "")

    @property
    def is_transport(self) -> bool:
        """Whether this came from the connection and not from orderd."""
        return not self.reason


def decode(error: grpc.aio.AioRpcError) -> OrderdError:
    """Everything the status details hold."""
    found = OrderdError(code=error.code(), message=error.details() or "")
    for name, value in error.trailing_metadata() or ():
        if name == DETAILS_HEADER and isinstance(value, bytes):
            _read(value, found)
    return found


def _read(data: bytes, into: OrderdError) -> None:
    for packed in Status.FromString(data).details:
        info, request, retry, order = details.ErrorInfo(), details.BadRequest(), details.RetryInfo(), Order()
        if packed.Unpack(info) and info.domain == DOMAIN:
            into.reason, into.metadata = info.reason, dict(info.metadata)
        elif packed.Unpack(request):
            violations = request.field_violations
            into.field_violations = tuple(FieldViolation(field=v.field, description=v.description) for v in violations)
        elif packed.Unpack(retry):
            into.retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
        elif packed.Unpack(order):
            into.order = order
