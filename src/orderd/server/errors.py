"""How a refusal is said on the wire: one `google.rpc.Status` with exactly one `ErrorInfo`, from one table.

Rule 1: the reason decides the code (`CODES`), the code decides which details go with it. docs/reference/errors.md is
written from this table and from the comments of `oms.v1.ErrorReason`.
Rule 2: everything below the server says no with `EngineError`; anything else that escapes is a defect of ours and
leaves as INTERNAL with an id that also stands in the log, never with its text.
Rule 3: a status travels in a header, and headers are small (8 KiB with most peers): texts and lists are cut to fit.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Final

import grpc
import structlog
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from oms.v1 import error_pb2, order_pb2
from orderd.core.values import Value
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerError, CompactedError, JournalError
from orderd.wire.asks import Invalid

log = structlog.get_logger("orderd.server")

DOMAIN: Final = "orderd"
DETAILS_HEADER: Final = "grpc-status-details-bin"
MAX_MESSAGE_BYTES: Final = 512
MAX_VALUE_CHARACTERS: Final = 256
MAX_STATUS_BYTES: Final = 4_500
"""Serialised status; base64 makes it a third longer, and the message goes out a second time, percent-encoded."""
RETRY_S: Final = 1.0
"""Default wait before a repeat, where the refusal does not say."""

_PREFIX: Final = "ERROR_REASON_"
_ORDER_URL: Final = f"type.googleapis.com/{order_pb2.Order.DESCRIPTOR.full_name}"
_NANOS: Final = 1_000_000_000

_C = grpc.StatusCode
CODES: Final[Mapping[str, grpc.StatusCode]] = {
    "INVALID_FIELDS": _C.INVALID_ARGUMENT,
    "KEY_REQUIRED": _C.INVALID_ARGUMENT,
    "ACCOUNT_REQUIRED": _C.INVALID_ARGUMENT,
    "INVALID_PAGE_TOKEN": _C.INVALID_ARGUMENT,
    "MALFORMED_MESSAGE": _C.INVALID_ARGUMENT,
    "PRICE_INCREMENT": _C.INVALID_ARGUMENT,
    "QUANTITY_STEP": _C.INVALID_ARGUMENT,
    "ORDER_NOT_FOUND": _C.NOT_FOUND,
    "ACCOUNT_NOT_FOUND": _C.NOT_FOUND,
    "TRADE_NOT_FOUND": _C.NOT_FOUND,
    "DECISION_NOT_FOUND": _C.NOT_FOUND,
    "DISCREPANCY_NOT_FOUND": _C.NOT_FOUND,
    "POSITION_NOT_FOUND": _C.NOT_FOUND,
    "CLIENT_ORDER_ID_REUSED": _C.ALREADY_EXISTS,
    "REQUEST_ID_REUSED": _C.ALREADY_EXISTS,
    "DECISION_ID_REUSED": _C.ALREADY_EXISTS,
    "CLIENT_TRADE_ID_REUSED": _C.ALREADY_EXISTS,
    "ORDER_ENDED": _C.FAILED_PRECONDITION,
    "ORDER_PENDING_CANCEL": _C.FAILED_PRECONDITION,
    "ORDER_PENDING_REPLACE": _C.FAILED_PRECONDITION,
    "ORDER_NOT_WORKING": _C.FAILED_PRECONDITION,
    "QUANTITY_NOT_ABOVE_FILLED": _C.FAILED_PRECONDITION,
    "REPLACE_NOT_SUPPORTED": _C.FAILED_PRECONDITION,
    "RISK_DENIED": _C.FAILED_PRECONDITION,
    "ACCOUNT_HALTED": _C.FAILED_PRECONDITION,
    "ACCOUNT_NOT_HALTED": _C.FAILED_PRECONDITION,
    "APPROVAL_REQUIRED": _C.FAILED_PRECONDITION,
    "JOURNAL_MISMATCH": _C.FAILED_PRECONDITION,
    "DISCREPANCY_RESOLVED": _C.FAILED_PRECONDITION,
    "DISCREPANCY_STANDS": _C.FAILED_PRECONDITION,
    "RESOLUTION_CONTRADICTED": _C.FAILED_PRECONDITION,
    "RESOLUTION_NOT_ALLOWED": _C.FAILED_PRECONDITION,
    "ORDER_IN_FLIGHT": _C.FAILED_PRECONDITION,
    "DECISION_EXPIRED": _C.FAILED_PRECONDITION,
    "DECISION_ENDED": _C.FAILED_PRECONDITION,
    "DECISION_WITHOUT_INTENT": _C.FAILED_PRECONDITION,
    "PRICE_MOVED": _C.FAILED_PRECONDITION,
    "TRADE_ENDED": _C.FAILED_PRECONDITION,
    "TRADE_NOT_OPEN": _C.FAILED_PRECONDITION,
    "UNPROTECTED": _C.FAILED_PRECONDITION,
    "STOP_THROUGH_MARKET": _C.FAILED_PRECONDITION,
    "TRADE_OUTCOME_UNKNOWN": _C.FAILED_PRECONDITION,
    "VERSION_CONFLICT": _C.ABORTED,
    "SEQUENCE_IN_FUTURE": _C.OUT_OF_RANGE,
    "SEQUENCE_COMPACTED": _C.OUT_OF_RANGE,
    "QUEUE_FULL": _C.RESOURCE_EXHAUSTED,
    "TOO_MANY_STREAMS": _C.RESOURCE_EXHAUSTED,
    "TOO_MANY_CALLS": _C.RESOURCE_EXHAUSTED,
    "RATE_LIMITED": _C.RESOURCE_EXHAUSTED,
    "TOO_MANY_RESULTS": _C.RESOURCE_EXHAUSTED,
    "SNAPSHOT_TOO_LARGE": _C.RESOURCE_EXHAUSTED,
    "RECOVERING": _C.UNAVAILABLE,
    "ACCOUNT_RECOVERING": _C.UNAVAILABLE,
    "DRAINING": _C.UNAVAILABLE,
    "STORAGE_FAILED": _C.UNAVAILABLE,
    "DISK_LOW": _C.UNAVAILABLE,
    "NOT_OWNER": _C.UNAVAILABLE,
    "STREAM_TOO_SLOW": _C.UNAVAILABLE,
    "BROKER_UNAVAILABLE": _C.UNAVAILABLE,
    "UNAUTHENTICATED": _C.UNAUTHENTICATED,
    "PERMISSION_DENIED": _C.PERMISSION_DENIED,
    "INTERNAL": _C.INTERNAL,
    "NOT_IMPLEMENTED": _C.UNIMPLEMENTED,
}
"""Every reason of `oms.v1.ErrorReason`, without its prefix, and the code it is said with."""

KINDS: Final[Mapping[Kind, grpc.StatusCode]] = {
    Kind.INVALID: _C.INVALID_ARGUMENT,
    Kind.NOT_FOUND: _C.NOT_FOUND,
    Kind.ALREADY_EXISTS: _C.ALREADY_EXISTS,
    Kind.FAILED_PRECONDITION: _C.FAILED_PRECONDITION,
    Kind.ABORTED: _C.ABORTED,
    Kind.OUT_OF_RANGE: _C.OUT_OF_RANGE,
    Kind.EXHAUSTED: _C.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: _C.UNAVAILABLE,
    Kind.PERMISSION: _C.PERMISSION_DENIED,
}
"""The family of an `EngineError` and its code. A test holds the reasons that the engine uses to both tables."""


class Refusal(Value, frozen=True, kw_only=True):
    """A refusal that is ready to be said. `fields` are (path, rule); `retry_after_s` is in seconds."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    subject: tuple[str, str] | None = None
    retry_after_s: float | None = None
    order_data: bytes | None = None


def refusal_of(error: Exception) -> Refusal | None:
    """What an expected error says; None for anything that nobody is supposed to raise."""
    match error:
        case EngineError():
            return Refusal(
                code=_code_of(error),
                reason=error.reason,
                message=_cut(error.message, MAX_MESSAGE_BYTES),
                metadata=tuple((name, text[:MAX_VALUE_CHARACTERS]) for name, text in error.metadata.items()),
                fields=error.fields,
                subject=error.subject,
                retry_after_s=error.retry_after_s,
                order_data=error.order_data,
            )
        case CompactedError():
            message = "events after this sequence are no longer kept; take a snapshot, or begin at oldest_sequence"
            return _plain("SEQUENCE_COMPACTED", message, oldest_sequence=str(error.oldest))
        case JournalError():
            return _plain("STORAGE_FAILED", "the journal cannot be read or written")
        case BrokerError():
            return _plain("BROKER_UNAVAILABLE", "the broker could not be asked")
        case _:
            return None


def refuse(method: str, error: Exception) -> Refusal:
    """What to answer to whatever escaped; a defect is logged with its trace under the id that the caller gets."""
    refusal = refusal_of(error)
    if refusal is not None:
        log.debug("refused", method=method, code=refusal.code.name, reason=refusal.reason)
        return refusal
    error_id = secrets.token_hex(8)
    log.error("defect", method=method, error_id=error_id, exc_info=error)
    return defect(error_id)


def defect(error_id: str) -> Refusal:
    """A defect of ours, with the id that also stands in the log."""
    return _plain("INTERNAL", f"a defect of the server; its log knows it as {error_id}", error_id=error_id)


def invalid(problem: Invalid) -> EngineError:
    """A request with problems, as the error to raise; all of them are in it."""
    fields = tuple((violation.field, violation.rule) for violation in problem.violations)
    first = f"{fields[0][0]} {fields[0][1]}"
    message = first if len(fields) == 1 else f"{len(fields)} fields are wrong; {first}"
    return EngineError(Kind.INVALID, problem.reason, message, fields=fields)


def too_slow(last_sequence: int | None = None) -> EngineError:
    """The reader of a stream did not take what was sent."""
    metadata = {} if last_sequence is None else {"last_sequence": str(last_sequence)}
    message = "the stream was not read fast enough; resume after the last sequence that arrived"
    return EngineError(Kind.UNAVAILABLE, "STREAM_TOO_SLOW", message, metadata=metadata, retry_after_s=RETRY_S)


def unknown_account(account_id: str) -> EngineError:
    """No such account; the same words whether it does not exist or may not be seen."""
    return EngineError(
        Kind.NOT_FOUND, "ACCOUNT_NOT_FOUND", "there is no such account", subject=("orderd.Account", account_id[:128])
    )


def unknown_order(named: str) -> EngineError:
    """No such order, or none in that account."""
    return EngineError(
        Kind.NOT_FOUND, "ORDER_NOT_FOUND", "there is no such order", subject=("orderd.Order", named[:128])
    )


def draining() -> EngineError:
    """The server is on its way out; another one, or this one restarted, will answer."""
    return EngineError(Kind.UNAVAILABLE, "DRAINING", "the server is shutting down", retry_after_s=RETRY_S)


def status_bytes(refusal: Refusal) -> bytes:
    """The refusal as a serialised `google.rpc.Status` of at most about `MAX_STATUS_BYTES`."""
    info = details.ErrorInfo(domain=DOMAIN, reason=refusal.reason, metadata=dict(refusal.metadata))
    status = Status(code=refusal.code.value[0], message=refusal.message)
    for message in (info, *_details_of(refusal)):
        _pack(status, message)
    if refusal.order_data is not None and status.ByteSize() + len(refusal.order_data) <= MAX_STATUS_BYTES:
        status.details.append(Any(type_url=_ORDER_URL, value=refusal.order_data))
    serialized: bytes = status.SerializeToString()
    return serialized


def error_message(refusal: Refusal) -> error_pb2.Error:
    """The refusal as an `oms.v1.Error`, for answers that carry several outcomes."""
    error = error_pb2.Error(
        code=refusal.code.value[0],
        message=refusal.message,
        reason=reason_number(refusal.reason),
        metadata=dict(refusal.metadata),
        field_violations=[error_pb2.FieldViolation(field=path, description=rule) for path, rule in refusal.fields],
    )
    if _is_repeatable(refusal.code):
        error.metadata["retry_after_ms"] = str(int(_retry_s(refusal) * 1000))
    return error


def reason_number(reason: str) -> error_pb2.ErrorReason.ValueType:
    """The wire's number for a reason; unspecified for an empty one and for a word that the contract lacks."""
    return error_pb2.ErrorReason.Value(_PREFIX + (reason if reason in CODES else "UNSPECIFIED"))


def _code_of(error: EngineError) -> grpc.StatusCode:
    code = CODES.get(error.reason)
    if code is not None:
        return code
    # A word that the contract lacks is a defect, but nothing was recorded, and the caller must hear that.
    log.error("undocumented_reason", reason=error.reason, kind=error.kind.name)
    return KINDS[error.kind]


def _plain(reason: str, message: str, **metadata: str) -> Refusal:
    return Refusal(code=CODES[reason], reason=reason, message=message, metadata=tuple(metadata.items()))


def _details_of(refusal: Refusal) -> Iterable[Message]:
    match refusal.code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            yield _bad_request(refusal.fields)
        case grpc.StatusCode.NOT_FOUND | grpc.StatusCode.ALREADY_EXISTS:
            kind, name = refusal.subject or ("", "")
            yield details.ResourceInfo(resource_type=kind, resource_name=name, description=refusal.message)
        case grpc.StatusCode.FAILED_PRECONDITION:
            yield _precondition(refusal)
        case code if _is_repeatable(code):
            yield details.RetryInfo(retry_delay=_duration(_retry_s(refusal)))
        case _:
            return


def _bad_request(fields: tuple[tuple[str, str], ...]) -> details.BadRequest:
    """All violations, or as many as fit and a last one that says how many more there are."""
    request = details.BadRequest()
    for index, (path, rule) in enumerate(fields):
        if request.ByteSize() + len(path) + len(rule) > MAX_STATUS_BYTES - 2 * MAX_MESSAGE_BYTES:
            request.field_violations.add(description=f"and {len(fields) - index} more")
            break
        request.field_violations.add(field=path, description=rule)
    return request


def _precondition(refusal: Refusal) -> details.PreconditionFailure:
    failure = details.PreconditionFailure()
    subject = "/".join(refusal.subject) if refusal.subject else ""
    failure.violations.add(type=refusal.reason, subject=subject, description=refusal.message)
    return failure


def _is_repeatable(code: grpc.StatusCode) -> bool:
    return code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}


def _retry_s(refusal: Refusal) -> float:
    return RETRY_S if refusal.retry_after_s is None else refusal.retry_after_s


def _duration(seconds: float) -> Duration:
    nanos = int(seconds * _NANOS)
    return Duration(seconds=nanos // _NANOS, nanos=nanos % _NANOS)


def _pack(status: Status, message: Message) -> None:
    packed = Any()
    packed.Pack(message)
    status.details.append(packed)


def _cut(text: str, limit: int) -> str:
    return text if len(text) * 4 <= limit else text.encode()[:limit].decode(errors="ignore")
