"""Why a call recorded nothing. An outcome of an order (denied, rejected, unknown) is never one of these."""

from collections.abc import Mapping
from enum import Enum, auto


class Kind(Enum):
    """The family of an error; the server turns each into one gRPC code."""

    INVALID = auto()
    NOT_FOUND = auto()
    ALREADY_EXISTS = auto()
    FAILED_PRECONDITION = auto()
    ABORTED = auto()
    OUT_OF_RANGE = auto()
    EXHAUSTED = auto()
    UNAVAILABLE = auto()
    PERMISSION = auto()


class EngineError(Exception):
    """A call was refused and nothing was recorded.

    `reason` is a value of `oms.v1.ErrorReason` without its prefix; `subject` names the resource (type, id) it is about;
    `retry_after_s` says when a repeat may do better (EXHAUSTED and UNAVAILABLE always carry one); `fields` are
    (field path, rule) pairs for INVALID.
    """

    def __init__(  # noqa: PLR0913 - one error, all its parts by name
        self,
        kind: Kind,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        subject: tuple[str, str] | None = None,
        retry_after_s: float | None = None,
        fields: tuple[tuple[str, str], ...] = (),
        order_data: bytes | None = None,
    ) -> None:
        """`order_data`: stored bytes of the order the refusal is about, for the error's details."""
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.subject = subject
        self.retry_after_s = retry_after_s
        self.fields = fields
        self.order_data = order_data
