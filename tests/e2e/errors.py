"""Errors as a client sees them."""

import grpc
from google.rpc import error_details_pb2, status_pb2


def details(error: grpc.aio.AioRpcError) -> tuple[str, float]:
    """Reason and retry delay (seconds, 0 when there is none) of an error."""
    reason, retry_s = "", 0.0
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(bytes(value)).details:
                info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
                if packed.Unpack(info):
                    reason = info.reason
                elif packed.Unpack(retry):
                    retry_s = retry.retry_delay.ToNanoseconds() / 1e9
    return reason, retry_s


def metadata_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """What the error says beside its reason."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(bytes(value)).details:
                info = error_details_pb2.ErrorInfo()
                if packed.Unpack(info):
                    return dict(info.metadata)
    return {}


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The ErrorReason, without its prefix."""
    return details(error)[0]
