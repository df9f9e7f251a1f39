"""The fault script: what shall go wrong, for which request or frame, how often, and until when.

A fault is armed with a selector. Each time something matches, one of its `times` is used up (0: no limit);
`skip` lets the first so many pass; `probability` draws from the venue's seed.
"""

import random
from collections import deque
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

MOST_ARMED: Final = 1_000
MOST_FIRED: Final = 100_000


class FaultKind(StrEnum):
    """Everything that can go wrong on purpose."""

    # the answer of a request
    LOSE_ANSWER = "lose_answer"
    LOSE_REQUEST = "lose_request"
    HOLD_ANSWER = "hold_answer"
    LAND_LATE = "land_late"
    ANSWER_STATUS = "answer_status"
    CUT_ANSWER = "cut_answer"
    LIE = "lie"
    UNKNOWN_STATUS = "unknown_status"
    PAGE_SHIFT = "page_shift"
    # what the order does afterwards
    REJECT = "reject"
    PARTIAL_THEN_CANCEL = "partial_then_cancel"
    OVERFILL = "overfill"
    FILL_CROSSES_CANCEL = "fill_crosses_cancel"
    FILL_CROSSES_REPLACE = "fill_crosses_replace"
    # frames
    DROP_FRAME = "drop_frame"
    DUPLICATE_FRAME = "duplicate_frame"
    DELAY_FRAME = "delay_frame"
    REORDER_FRAME = "reorder_frame"
    UNREADABLE_FRAME = "unreadable_frame"
    UNKNOWN_EVENT = "unknown_event"
    UNKNOWN_FRAME_STATUS = "unknown_frame_status"
    LYING_FRAME = "lying_frame"
    DISCONNECT = "disconnect"
    # connections
    REFUSE_LOGIN = "refuse_login"
    REFUSE_UPGRADE = "refuse_upgrade"


REQUEST_FAULTS: Final = frozenset(
    {
        FaultKind.LOSE_ANSWER,
        FaultKind.LOSE_REQUEST,
        FaultKind.HOLD_ANSWER,
        FaultKind.LAND_LATE,
        FaultKind.ANSWER_STATUS,
        FaultKind.CUT_ANSWER,
        FaultKind.LIE,
        FaultKind.UNKNOWN_STATUS,
        FaultKind.PAGE_SHIFT,
        FaultKind.REJECT,
        FaultKind.PARTIAL_THEN_CANCEL,
        FaultKind.OVERFILL,
        FaultKind.FILL_CROSSES_CANCEL,
        FaultKind.FILL_CROSSES_REPLACE,
    }
)
FRAME_FAULTS: Final = frozenset(
    {
        FaultKind.DROP_FRAME,
        FaultKind.DUPLICATE_FRAME,
        FaultKind.DELAY_FRAME,
        FaultKind.REORDER_FRAME,
        FaultKind.UNREADABLE_FRAME,
        FaultKind.UNKNOWN_EVENT,
        FaultKind.UNKNOWN_FRAME_STATUS,
        FaultKind.LYING_FRAME,
        FaultKind.DISCONNECT,
    }
)


class AnswerBody(StrEnum):
    """What an error answer carries."""

    JSON = "json"
    HTML = "html"
    EMPTY = "empty"
    TEXT = "text"
    """The fault's own `text`."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the script. Empty selector fields match everything."""

    kind: FaultKind
    fault_id: int = 0
    # when
    times: int = 1
    skip: int = 0
    probability: float = 1.0
    # for which request
    method: str = ""
    path: str = ""
    """Prefix of the request's path, for example /v2/orders."""
    # for which order (requests and frames)
    order: str = ""
    """Client's or venue's order id."""
    symbol: str = ""
    # for which frame
    event: str = ""
    # how
    status: int = 503
    body: AnswerBody = AnswerBody.JSON
    text: str = ""
    """answer_status with the body `text`: what it says, whatever that is."""
    is_accepted: bool = True
    """answer_status, disconnect: whether the request is processed (the frame is sent) all the same."""
    barrier: str = ""
    """hold_answer, land_late, delay_frame: released by the test; without one, `delay_ms` after now."""
    delay_ms: int = 0
    at_byte: int = 0
    fields: dict[str, str | None] = {}
    """lie, lying_frame: what to put into the echo."""
    word: str = "galloping"
    """unknown_status, unknown_event: the word nobody knows."""
    quantity: Decimal | None = None
    shift: int = 1
    """page_shift: rows the page starts too late (negative: rows repeated from the page before)."""
    code: int = 1011
    """disconnect: close code; 0 ends the connection without one."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a selector is compared with."""

    method: str = ""
    path: str = ""
    orders: tuple[str, ...] = ()
    symbol: str = ""
    event: str = ""


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """One time a fault happened."""

    at: datetime
    fault_id: int
    kind: FaultKind
    method: str
    path: str
    event: str
    orders: tuple[str, ...]


def _matches(fault: Fault, facts: Facts) -> bool:
    return (
        (not fault.method or fault.method.upper() == facts.method)
        and facts.path.startswith(fault.path)
        and (not fault.order or fault.order in facts.orders)
        and (not fault.symbol or fault.symbol == facts.symbol)
        and (not fault.event or fault.event == facts.event)
    )


class Barriers:
    """Named gates. Something waits at one until it is released; a released gate stays open."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._waiting: dict[str, list[Callable[[], None]]] = {}

    def wait(self, name: str, action: Callable[[], None]) -> None:
        """Call the action when the gate is released; at once when it is open."""
        if name in self._open:
            action()
        else:
            self._waiting.setdefault(name, []).append(action)

    def release(self, name: str) -> int:
        """Open a gate; answers how many were waiting."""
        self._open.add(name)
        waiting = self._waiting.pop(name, [])
        for action in waiting:
            action()
        return len(waiting)

    def close(self, name: str) -> None:
        """Shut a gate again."""
        self._open.discard(name)

    def waiting(self) -> dict[str, int]:
        """The gates at which something waits, and how much."""
        return {name: len(actions) for name, actions in self._waiting.items()}


class Faults:
    """The armed faults, in the order they were armed."""

    def __init__(self, rng: random.Random) -> None:
        self.barriers = Barriers()
        self.fired: deque[Fired] = deque(maxlen=MOST_FIRED)
        self._rng = rng
        self._armed: dict[int, Fault] = {}
        self._next = 0

    def arm(self, fault: Fault) -> Fault:
        """Add a line to the script; the answer carries its id. Raises ValueError when it makes no sense."""
        if fault.times < 0 or fault.skip < 0 or not 0 < fault.probability <= 1:
            raise ValueError("times and skip are at least 0, probability is above 0 and at most 1")
        if len(self._armed) >= MOST_ARMED:
            raise ValueError(f"more than {MOST_ARMED} faults are armed")
        self._next += 1
        fault = msgspec.structs.replace(fault, fault_id=self._next)
        self._armed[fault.fault_id] = fault
        return fault

    def armed(self) -> list[Fault]:
        """What may still happen, with the times left."""
        return list(self._armed.values())

    def clear(self, fault_id: int | None = None) -> int:
        """Disarm one fault or all; answers how many."""
        ids = list(self._armed) if fault_id is None else [each for each in (fault_id,) if each in self._armed]
        for each in ids:
            del self._armed[each]
        return len(ids)

    def take(self, kinds: frozenset[FaultKind], facts: Facts, now: datetime) -> dict[FaultKind, Fault]:
        """The faults that happen to this request or frame, at most one of each kind; they are used up."""
        taken: dict[FaultKind, Fault] = {}
        for fault in list(self._armed.values()):
            if fault.kind in kinds and fault.kind not in taken and _matches(fault, facts) and self._fires(fault):
                taken[fault.kind] = fault
                self._note(fault, facts, now)
        return taken

    def _fires(self, fault: Fault) -> bool:
        if fault.skip:
            self._armed[fault.fault_id] = msgspec.structs.replace(fault, skip=fault.skip - 1)
            return False
        if fault.probability < 1 and self._rng.random() >= fault.probability:
            return False
        if fault.times == 1:
            del self._armed[fault.fault_id]
        elif fault.times:
            self._armed[fault.fault_id] = msgspec.structs.replace(fault, times=fault.times - 1)
        return True

    def _note(self, fault: Fault, facts: Facts, now: datetime) -> None:
        self.fired.append(
            Fired(
                at=now,
                fault_id=fault.fault_id,
                kind=fault.kind,
                method=facts.method,
                path=facts.path,
                event=facts.event,
                orders=facts.orders,
            )
        )
