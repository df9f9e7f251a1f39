"""What was judged true and is recorded: the output of `lifecycle.decide`, the input of `lifecycle.evolve`.

Each event becomes one `oms.v1.OrderEvent`; `EventType` names are those of the wire without their prefix.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orderd.core.order import (
    BrokerLink,
    EventSource,
    Fill,
    FillStatus,
    Order,
    OrderState,
    PendingBust,
    PendingReplace,
    Terms,
)
from orderd.core.values import ExecutionId, FillId, Reason, Value


class EventType(StrEnum):
    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    ACCEPTED = "ACCEPTED"
    FILL = "FILL"
    FILL_CORRECTED = "FILL_CORRECTED"
    FILL_BUSTED = "FILL_BUSTED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    CANCEL_REFUSED = "CANCEL_REFUSED"
    CANCELED = "CANCELED"
    REPLACE_REQUESTED = "REPLACE_REQUESTED"
    REPLACED = "REPLACED"
    REPLACE_REFUSED = "REPLACE_REFUSED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    SUBMIT_FAILED = "SUBMIT_FAILED"
    RESTATED = "RESTATED"
    IMPORTED = "IMPORTED"
    RESOLVED = "RESOLVED"


class _Event(Value, frozen=True, kw_only=True):
    """`link`: the chain's link as the broker's word leaves it (added when new, replaced when known)."""

    at: datetime
    source: EventSource
    heard_ns: int = 0
    broker_time: datetime | None = None
    reason: Reason | None = None
    link: BrokerLink | None = None


class Created(_Event, frozen=True, kw_only=True):
    """The order was accepted by risk and written down."""


class Submitted(_Event, frozen=True, kw_only=True):
    """It was handed to the broker, or is about to be in the same breath."""


class Acknowledged(_Event, frozen=True, kw_only=True):
    """The broker said yes and gave it an id."""

    expires_time: datetime | None = None


class Accepted(_Event, frozen=True, kw_only=True):
    """It works at the broker."""


class Filled(_Event, frozen=True, kw_only=True):
    """An execution was booked. `fill` is None for a MULTILEG parent, whose totals are the broker's word."""

    fill: Fill | None
    to_state: OrderState
    filled_quantity: Decimal | None = None
    """For a MULTILEG parent only: the cumulative quantity in strategies."""
    filled_value: Decimal | None = None
    """For a MULTILEG parent only: filled quantity * net price."""


class FillCorrected(_Event, frozen=True, kw_only=True):
    """Fills were restated: `removed` no longer count (with the status that says why), `added` do as each one says.

    `misplaced`: those that a list told before the correction which made them, counted still or not. The interval that
    they seemed to cover was another one's, and so were the names they were given there.
    """

    removed: tuple[FillId, ...]
    added: tuple[Fill, ...]
    misplaced: tuple[FillId, ...] = ()
    removed_status: FillStatus = FillStatus.CORRECTED
    to_state: OrderState


class FillBusted(_Event, frozen=True, kw_only=True):
    """The broker undid executions; they stay in the record, marked. `added`: those of `removed` told only now."""

    removed: tuple[FillId, ...]
    added: tuple[Fill, ...] = ()
    to_state: OrderState


class CancelRequested(_Event, frozen=True, kw_only=True):
    """Its cancel was asked for (by a client, or by somebody at the broker)."""


class CancelRefused(_Event, frozen=True, kw_only=True):
    """The broker refused the cancel; it lives on."""


class Canceled(_Event, frozen=True, kw_only=True):
    """It ended without (further) executions."""


class ReplaceRequested(_Event, frozen=True, kw_only=True):
    """Other terms were asked for."""

    pending: PendingReplace


class Replaced(_Event, frozen=True, kw_only=True):
    """The broker proved the successor: the chain has a new working id and the terms are in force."""

    terms: Terms
    to_state: OrderState


class ReplaceRefused(_Event, frozen=True, kw_only=True):
    """The replace failed; the old terms stand."""


class Rejected(_Event, frozen=True, kw_only=True):
    """The broker said no."""


class Denied(_Event, frozen=True, kw_only=True):
    """Our risk gate said no; nothing was sent."""


class Expired(_Event, frozen=True, kw_only=True):
    """Its time in force ran out."""


class OutcomeUnknown(_Event, frozen=True, kw_only=True):
    """Sent, outcome not known; being looked up."""


class SubmitFailed(_Event, frozen=True, kw_only=True):
    """Proven not at the broker, and given up."""


class Restated(_Event, frozen=True, kw_only=True):
    """Something changed that is no step of the lifecycle: the broker's word, its terms, a flag, a revival."""

    to_state: OrderState
    terms: Terms | None = None
    pending_cancel: bool | None = None
    pending_bust: PendingBust | None = None
    added_alias: tuple[FillId, ExecutionId] | None = None
    """Another id the broker uses for a booked execution."""


class Imported(_Event, frozen=True, kw_only=True):
    """An order that was not submitted through orderd was written down as the broker describes it."""

    to_state: OrderState


class Resolved(_Event, frozen=True, kw_only=True):
    """An operator settled it."""

    to_state: OrderState


Event = (
    Created
    | Submitted
    | Acknowledged
    | Accepted
    | Filled
    | FillCorrected
    | FillBusted
    | CancelRequested
    | CancelRefused
    | Canceled
    | ReplaceRequested
    | Replaced
    | ReplaceRefused
    | Rejected
    | Denied
    | Expired
    | OutcomeUnknown
    | SubmitFailed
    | Restated
    | Imported
    | Resolved
)

TYPE_OF: dict[type[_Event], EventType] = {
    Created: EventType.CREATED,
    Submitted: EventType.SUBMITTED,
    Acknowledged: EventType.ACKNOWLEDGED,
    Accepted: EventType.ACCEPTED,
    Filled: EventType.FILL,
    FillCorrected: EventType.FILL_CORRECTED,
    FillBusted: EventType.FILL_BUSTED,
    CancelRequested: EventType.CANCEL_REQUESTED,
    CancelRefused: EventType.CANCEL_REFUSED,
    Canceled: EventType.CANCELED,
    ReplaceRequested: EventType.REPLACE_REQUESTED,
    Replaced: EventType.REPLACED,
    ReplaceRefused: EventType.REPLACE_REFUSED,
    Rejected: EventType.REJECTED,
    Denied: EventType.DENIED,
    Expired: EventType.EXPIRED,
    OutcomeUnknown: EventType.OUTCOME_UNKNOWN,
    SubmitFailed: EventType.SUBMIT_FAILED,
    Restated: EventType.RESTATED,
    Imported: EventType.IMPORTED,
    Resolved: EventType.RESOLVED,
}


class Step(Value, frozen=True, kw_only=True):
    """One event and what it made of the order: the unit that is appended to the journal."""

    event: Event
    before: OrderState | None
    """None for the order's first event."""
    after: Order

    @property
    def type(self) -> EventType:
        """The event's type on the wire."""
        return TYPE_OF[type(self.event)]
