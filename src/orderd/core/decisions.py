"""What a decision is, how far it may come, and what is to be done for it now. Pure.

Rule 1: a decision says what was decided; what became of it is told by its orders and its trade, never guessed.
Rule 2: nothing is sent twice because of one decision, and nothing at all once it is rejected or its time is over. What
stands all the same was written down first, and makes the decision EXECUTED: the journal has the last word.
Rule 3: an exit never waits for an approval.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from orderd.core import keys
from orderd.core.order import EventSource, OrderIntent, Side
from orderd.core.trade import OnEntryEnd, OnPartial, Signal
from orderd.core.values import AccountId, OrderId, Reason, Value, multiply, subtract


class DecisionKind(StrEnum):
    """What a decision is about."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"


class DecisionStatus(StrEnum):
    """The states of `oms.v1.DecisionStatus`."""

    RECORDED = "RECORDED"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXECUTED = "EXECUTED"


class DecisionEvent(StrEnum):
    """What happened to a decision; names are those of `oms.v1.DeskEventType` without its prefix."""

    DECISION_RECORDED = "DECISION_RECORDED"
    APPROVAL_REQUESTED = "APPROVAL_REQUESTED"
    DECISION_APPROVED = "DECISION_APPROVED"
    DECISION_REJECTED = "DECISION_REJECTED"
    DECISION_EXPIRED = "DECISION_EXPIRED"
    DECISION_EXECUTED = "DECISION_EXECUTED"


_S = DecisionStatus
WAITING = frozenset({_S.RECORDED, _S.PENDING_APPROVAL})
"""Nothing was sent, and something still may be."""
OVER = frozenset({_S.REJECTED, _S.EXPIRED, _S.EXECUTED})

MOVES: Mapping[DecisionEvent, tuple[frozenset[DecisionStatus], DecisionStatus]] = {
    DecisionEvent.APPROVAL_REQUESTED: (frozenset({_S.RECORDED, _S.APPROVED}), _S.PENDING_APPROVAL),
    DecisionEvent.DECISION_APPROVED: (WAITING, _S.APPROVED),
    DecisionEvent.DECISION_REJECTED: (WAITING | {_S.APPROVED}, _S.REJECTED),
    DecisionEvent.DECISION_EXPIRED: (WAITING | {_S.APPROVED}, _S.EXPIRED),
    DecisionEvent.DECISION_EXECUTED: (frozenset(_S), _S.EXECUTED),
}
"""From which states each event leads where. An approval that came to nothing in time has to be given again."""


class SendOrder(Value, frozen=True, kw_only=True, tag="order"):
    """The intent of a decision: one order."""

    order: OrderIntent


class SendOpen(Value, frozen=True, kw_only=True, tag="open"):
    """The intent of a decision: a trade with its protection. `quantity` None: to be sized when it is sent."""

    client_trade_id: str
    signal: Signal
    quantity: Decimal | None = None
    on_partial: OnPartial | None = None
    on_entry_end: OnEntryEnd = OnEntryEnd.CLOSE
    accept_unprotected: bool = False
    tags: tuple[tuple[str, str], ...] = ()


class SendClose(Value, frozen=True, kw_only=True, tag="close"):
    """The intent of a decision: the end of a trade. `quantity` None: all that is held."""

    trade_id: str
    request_id: str
    quantity: Decimal | None = None
    text: str = ""


Intent = SendOrder | SendOpen | SendClose


class Decided(Value, frozen=True, kw_only=True):
    """What the caller said. It never changes."""

    decision_id: str
    account_id: AccountId
    kind: DecisionKind
    symbol: str = ""
    side: Side | None = None
    """None for a multi-leg intent, like an empty symbol."""
    trace_id: str = ""
    strategy: str = ""
    confidence: Decimal | None = None
    signals: tuple[tuple[str, str], ...] = ()
    model: str = ""
    provider: str = ""
    rationale: str = ""
    decided_time: datetime | None = None
    expires_time: datetime | None = None
    linked_trade_id: str = ""
    intent: Intent | None = None
    sent: bytes = b""
    """The intent as the caller sent it, an `oms.v1.DecisionIntent`."""
    execute: bool = False
    price: Decimal | None = None
    """The intent's own: what an approval compares the market with."""


class Decision(Value, frozen=True, kw_only=True):
    """A decision as of its last record."""

    record_id: str
    said: Decided
    created_time: datetime
    updated_time: datetime
    status: DecisionStatus = DecisionStatus.RECORDED
    reason: Reason | None = None
    approved_time: datetime | None = None
    """When it was approved; None again when that approval came to nothing."""
    is_approved_by_person: bool = False
    order_ids: tuple[OrderId, ...] = ()
    trade_id: str = ""
    version: int = 0
    sequence: int = 0

    @property
    def name(self) -> tuple[AccountId, str]:
        """The account and the caller's id."""
        return self.said.account_id, self.said.decision_id

    @property
    def is_over(self) -> bool:
        """Whether nothing is sent because of it any more."""
        return self.status in OVER

    @property
    def is_watched(self) -> bool:
        """Whether something has to be done for it by itself: to be sent, or to expire."""
        return self.status is _S.APPROVED or (not self.is_over and self.said.expires_time is not None)

    def is_past(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.said.expires_time is not None and now >= self.said.expires_time


class DecisionStep(Value, frozen=True, kw_only=True):
    """One event, whose word it is, and the decision after it."""

    event: DecisionEvent
    source: EventSource
    after: Decision
    order_id: OrderId | None = None
    """The order that the event tells of."""


def first(record_id: str, said: Decided, at: datetime) -> DecisionStep:
    """Return the first version of a decision."""
    after = Decision(record_id=record_id, said=said, created_time=at, updated_time=at, version=1)
    return DecisionStep(event=DecisionEvent.DECISION_RECORDED, source=EventSource.CLIENT, after=after)


def move(
    decision: Decision,
    event: DecisionEvent,
    source: EventSource,
    at: datetime,
    reason: Reason | None = None,
    **changes: object,
) -> DecisionStep:
    """Return the decision's next version. Raises ValueError for a move that its status does not allow."""
    allowed, status = MOVES[event]
    if decision.status not in allowed:
        raise ValueError(f"{event} of a decision that is {decision.status}; allowed from {', '.join(sorted(allowed))}")
    fields = {"version": decision.version + 1, "updated_time": at, "status": status, "reason": reason}
    after = msgspec.structs.replace(decision, **fields, **changes)
    return DecisionStep(event=event, source=source, after=after)


def approved(
    decision: Decision, source: EventSource, at: datetime, reason: Reason | None = None, *, by_person: bool
) -> DecisionStep:
    """Return the approval: its intent is to be sent now."""
    event = DecisionEvent.DECISION_APPROVED
    return move(decision, event, source, at, reason, approved_time=at, is_approved_by_person=by_person)


def to_be_approved(decision: Decision, at: datetime, reason: Reason) -> DecisionStep:
    """Return the wait for a person's word: at first, or again after an approval that came to nothing."""
    event = DecisionEvent.APPROVAL_REQUESTED
    return move(decision, event, EventSource.RISK, at, reason, approved_time=None, is_approved_by_person=False)


def linked(
    decision: Decision, at: datetime, *, order_id: OrderId | None = None, trade_id: str = ""
) -> DecisionStep | None:
    """Return the record of an order or a trade that stands because of it; None when it is known."""
    new_order = order_id if order_id not in decision.order_ids else None
    new_trade = trade_id if not decision.trade_id else ""
    if new_order is None and not new_trade:
        return None
    step = move(
        decision,
        DecisionEvent.DECISION_EXECUTED,
        EventSource.ENGINE,
        at,
        order_ids=decision.order_ids if new_order is None else (*decision.order_ids, new_order),
        trade_id=decision.trade_id or new_trade,
    )
    return msgspec.structs.replace(step, order_id=new_order)


# ------------------------------------------------------------------------------------------------------------ approval


def is_large(notional: Decimal | None, limit: Decimal | None) -> bool:
    """Whether something of this value needs a person's word. A value that is not known does, once a limit is set."""
    return limit is not None and (notional is None or not notional.is_finite() or notional > limit)


def is_near(then: Decimal, now: Decimal, percent: Decimal) -> bool:
    """Whether a price is within so many percent of the decision's, either way."""
    return abs(multiply(subtract(now, then), Decimal(100))) <= abs(multiply(then, percent))


class Refusal(StrEnum):
    """Why nothing may be sent that names a decision; each is an `oms.v1.ErrorReason`."""

    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    DECISION_EXPIRED = "DECISION_EXPIRED"
    DECISION_ENDED = "DECISION_ENDED"


def forbidden(decision: Decision, now: datetime) -> Refusal | None:
    """Why nothing new may stand because of it, whatever its size: it was rejected, or its time is over."""
    if decision.status is _S.REJECTED:
        return Refusal.DECISION_ENDED
    if decision.status is _S.EXPIRED or decision.is_past(now):
        return Refusal.DECISION_EXPIRED
    return None


def is_its_own(decision: Decision, intent: OrderIntent) -> bool:
    """Whether an order is what the decision itself asks for."""
    match decision.said.intent:
        case SendOrder(order=order):
            return intent.client_order_id == order.client_order_id
        case SendOpen():
            return bool(decision.trade_id) and intent.trade_id == decision.trade_id
        case _:
            return False


def unapproved(decision: Decision, *, is_large: bool) -> Refusal | None:
    """Why an entry that a caller sends by itself has to wait for a person. An approval is for its own intent only."""
    if decision.status in {_S.PENDING_APPROVAL, _S.APPROVED} or is_large:
        return Refusal.APPROVAL_REQUIRED
    return None


class Todo(StrEnum):
    """What is to be done for a decision now."""

    NOTHING = "NOTHING"
    SEND = "SEND"
    EXPIRE = "EXPIRE"
    LAPSE = "LAPSE"
    """Its approval is too old to act on."""


def todo(decision: Decision, now: datetime, *, age_s: float, send_within_s: float) -> Todo:
    """Return what is to be done now. `age_s`: seconds since its approval; an exit has no age."""
    if decision.is_over:
        return Todo.NOTHING
    if decision.is_past(now):
        return Todo.EXPIRE
    if decision.status is not _S.APPROVED:
        return Todo.NOTHING
    has_age = decision.said.kind is DecisionKind.ENTRY
    return Todo.LAPSE if has_age and age_s > send_within_s else Todo.SEND


# ------------------------------------------------------------------------------------------------------------- content

NOT_CONTENT = frozenset({"trace_id", "sent", "price", "intent"})
"""What a repeat may say differently, or what is compared in another way."""


def differences(ours: Decided, theirs: Decided) -> tuple[str, ...]:
    """Names of the fields in which two decisions with one id differ. Trace ids, tags and reasons are not content."""
    names = [name for name in Decided.__struct_fields__ if name not in NOT_CONTENT]
    found = [name for name in names if getattr(ours, name) != getattr(theirs, name)]
    return (*found, *_intent_differences(ours.intent, theirs.intent))


def _intent_differences(ours: Intent | None, theirs: Intent | None) -> tuple[str, ...]:
    match ours, theirs:
        case SendOrder(order=a), SendOrder(order=b):
            key = ("client_order_id",) if a.client_order_id != b.client_order_id else ()
            return tuple([f"intent.submit_order.{name}" for name in (*key, *keys.differences(a, b))])
        case SendOpen(), SendOpen():
            return _different("intent.open_trade", ours, theirs, leave_out="tags")
        case SendClose(), SendClose():
            return _different("intent.close_trade", ours, theirs, leave_out="text")
        case _:
            return () if ours == theirs else ("intent",)


def _different(path: str, ours: Value, theirs: Value, *, leave_out: str) -> tuple[str, ...]:
    names = [name for name in ours.__struct_fields__ if name != leave_out]
    return tuple([f"{path}.{name}" for name in names if getattr(ours, name) != getattr(theirs, name)])
