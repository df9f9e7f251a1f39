"""Why a command ends as it does: the one table of exit codes."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orderd.client import OrderdError


class Exit(IntEnum):
    """Exit codes; scripts rely on them."""

    OK = 0
    OTHER = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNKNOWN = 5
    AUTH = 6
    UNAVAILABLE = 7
    CONFLICT = 8
    PARTIAL = 9
    DEADLINE = 124
    INTERRUPTED = 130


MEANING: Final[Mapping[Exit, str]] = {
    Exit.OK: "done; the answer is on stdout",
    Exit.OTHER: "anything that has no code of its own, a defect of the server too",
    Exit.USAGE: "a flag, an argument, a field or a setting is wrong",
    Exit.NOT_FOUND: "there is no such order, trade or account",
    Exit.REFUSED: "the order or the trade was denied by orderd, rejected by the broker, or given up unsent",
    Exit.UNKNOWN: "the outcome is not known yet; repeat with the same key",
    Exit.AUTH: "not signed in, or not allowed",
    Exit.UNAVAILABLE: "no server, or it cannot take the call now",
    Exit.CONFLICT: "the order, trade or account is not in a state for that, or the key stands for other content",
    Exit.PARTIAL: "some of it was done; the answer says what was not",
    Exit.DEADLINE: "no answer within --timeout",
    Exit.INTERRUPTED: "interrupted",
}

BY_CODE: Final[Mapping[str, Exit]] = {
    "INVALID_ARGUMENT": Exit.USAGE,
    "OUT_OF_RANGE": Exit.USAGE,
    "NOT_FOUND": Exit.NOT_FOUND,
    "UNAUTHENTICATED": Exit.AUTH,
    "PERMISSION_DENIED": Exit.AUTH,
    "UNAVAILABLE": Exit.UNAVAILABLE,
    "RESOURCE_EXHAUSTED": Exit.UNAVAILABLE,
    "ALREADY_EXISTS": Exit.CONFLICT,
    "FAILED_PRECONDITION": Exit.CONFLICT,
    "ABORTED": Exit.CONFLICT,
    "DEADLINE_EXCEEDED": Exit.DEADLINE,
}
"""By the name of the gRPC code; every other code is OTHER."""

BY_STATUS: Final[Mapping[str, Exit]] = {
    "DENIED": Exit.REFUSED,
    "REJECTED": Exit.REFUSED,
    "SUBMIT_FAILED": Exit.REFUSED,
    "UNKNOWN": Exit.UNKNOWN,
}
"""By the name of the order's state; every other state is OK."""


class Failure(Exception):
    """End the command: the text on stderr, the code to the caller."""

    def __init__(self, code: Exit, text: str = "") -> None:
        """An empty text says nothing: the answer on stdout speaks for itself."""
        super().__init__(text)
        self.code = code
        self.text = text


def failure_of(error: "OrderdError") -> Failure:
    """How a command ends when its call was refused."""
    code = Exit.REFUSED if error.reason == "RISK_DENIED" else BY_CODE.get(error.code.name, Exit.OTHER)
    lines = [f"{error.reason or error.code.name}: {error.message}"]
    lines += [f"  {violation.field}: {violation.description}" for violation in error.field_violations]
    lines += [f"  {name} = {value}" for name, value in sorted(error.metadata.items())]
    if error.retry_after_s is not None:
        lines.append(f"  repeat after {error.retry_after_s:g} s")
    return Failure(code, "\n".join(lines))
