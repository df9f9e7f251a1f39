"""What may differ between the broker's word and ours: what each difference stops meanwhile, and what settles it.

Rule 1: declared once, as data; the engine and the wire read this table.
Rule 2: a difference is settled by evidence where there can be any, and by an operator's word only where there is none.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from orderd.core.order import EventSource, Order
from orderd.core.values import AccountId, OrderId, Value


class DiscrepancyKind(StrEnum):
    """Names are those of `oms.v1.DiscrepancyKind` without its prefix; what each means stands there."""

    ADOPTION_MISMATCH = "ADOPTION_MISMATCH"
    SECOND_BROKER_ORDER = "SECOND_BROKER_ORDER"
    MASS_DISAPPEARANCE = "MASS_DISAPPEARANCE"
    ACCOUNT_CHANGED = "ACCOUNT_CHANGED"
    STATE_DIFFERS = "STATE_DIFFERS"
    QUANTITY_DIFFERS = "QUANTITY_DIFFERS"
    AVERAGE_DIFFERS = "AVERAGE_DIFFERS"
    CANCEL_UNPROVEN = "CANCEL_UNPROVEN"
    REPLACE_UNPROVEN = "REPLACE_UNPROVEN"
    ORDER_VANISHED = "ORDER_VANISHED"
    OVERFILL = "OVERFILL"
    EXECUTION_OVERLAPS = "EXECUTION_OVERLAPS"
    EXECUTION_CHANGED = "EXECUTION_CHANGED"
    EXECUTIONS_MISSING = "EXECUTIONS_MISSING"
    PRICE_MISSING = "PRICE_MISSING"
    FILLED_SHORT = "FILLED_SHORT"
    REVIVED = "REVIVED"
    ENDED_BUT_LIVE = "ENDED_BUT_LIVE"
    OUTCOME_UNPROVEN = "OUTCOME_UNPROVEN"
    POSITION_DIFFERS = "POSITION_DIFFERS"


class Effect(StrEnum):
    """What a difference stops while it is open."""

    NONE = "NONE"
    SYMBOL_BLOCKED = "SYMBOL_BLOCKED"
    ACCOUNT_HALTED = "ACCOUNT_HALTED"


class Settling(StrEnum):
    """What settles a difference."""

    RESUME = "RESUME"
    """Only an operator who lets the account go on."""
    WORD = "WORD"
    """It happened and cannot be undone: an operator has taken note."""
    RECORD = "RECORD"
    """The order's own record, as soon as it says so (`is_settled`)."""
    COMPARISON = "COMPARISON"
    """The order's record, or the broker's view of it when it is read again (`standing.stands`)."""
    POSITION = "POSITION"
    """The broker's position and the quantity by fills, when both are the same again; or an operator, who books what
    differs as an adjustment."""


class Rule(Value, frozen=True, kw_only=True):
    """One row of the table."""

    effect: Effect
    settling: Settling


def _rule(effect: Effect, settling: Settling) -> Rule:
    return Rule(effect=effect, settling=settling)


_HALTS = _rule(Effect.ACCOUNT_HALTED, Settling.RESUME)
_BLOCKS = _rule(Effect.SYMBOL_BLOCKED, Settling.COMPARISON)

RULES: Mapping[DiscrepancyKind, Rule] = MappingProxyType(
    {
        DiscrepancyKind.ADOPTION_MISMATCH: _HALTS,
        DiscrepancyKind.SECOND_BROKER_ORDER: _HALTS,
        DiscrepancyKind.MASS_DISAPPEARANCE: _HALTS,
        DiscrepancyKind.ACCOUNT_CHANGED: _HALTS,
        # The quantity at stake is not known: nothing is added to it.
        DiscrepancyKind.QUANTITY_DIFFERS: _BLOCKS,
        DiscrepancyKind.ORDER_VANISHED: _BLOCKS,
        DiscrepancyKind.EXECUTION_OVERLAPS: _BLOCKS,
        DiscrepancyKind.EXECUTION_CHANGED: _BLOCKS,
        DiscrepancyKind.EXECUTIONS_MISSING: _BLOCKS,
        DiscrepancyKind.PRICE_MISSING: _BLOCKS,
        DiscrepancyKind.FILLED_SHORT: _BLOCKS,
        DiscrepancyKind.ENDED_BUT_LIVE: _BLOCKS,
        DiscrepancyKind.OVERFILL: _rule(Effect.SYMBOL_BLOCKED, Settling.WORD),
        DiscrepancyKind.REVIVED: _rule(Effect.SYMBOL_BLOCKED, Settling.WORD),
        DiscrepancyKind.OUTCOME_UNPROVEN: _rule(Effect.SYMBOL_BLOCKED, Settling.RECORD),
        DiscrepancyKind.POSITION_DIFFERS: _rule(Effect.SYMBOL_BLOCKED, Settling.POSITION),
        # What is at stake is known, or counted as live all the same.
        DiscrepancyKind.STATE_DIFFERS: _rule(Effect.NONE, Settling.COMPARISON),
        DiscrepancyKind.AVERAGE_DIFFERS: _rule(Effect.NONE, Settling.COMPARISON),
        DiscrepancyKind.CANCEL_UNPROVEN: _rule(Effect.NONE, Settling.RECORD),
        DiscrepancyKind.REPLACE_UNPROVEN: _rule(Effect.NONE, Settling.RECORD),
    }
)


class Discrepancy(Value, frozen=True, kw_only=True):
    """A difference between the broker's word and ours that nothing has explained yet."""

    discrepancy_id: str
    account_id: AccountId
    kind: DiscrepancyKind
    subject: str
    """The order id, the symbol of a position, or the account id when it is about all of it.

    One open record per (account, kind, subject).
    """
    order_id: OrderId = OrderId("")
    broker_order_id: str = ""
    symbol: str = ""
    expected: str
    observed: str
    evidence: str = ""
    source: EventSource | None = None
    """Whose word brought it up; None in records of the first release."""
    opened_time: datetime
    after_sequence: int = 0
    """The journal's head when it was found."""
    resolved_time: datetime | None = None
    resolved_by: EventSource | None = None
    resolution: str = ""
    operator_name: str = ""


def is_settled(kind: DiscrepancyKind, order: Order) -> str:
    """What in the order's own record settles such a difference, in words; empty when nothing does."""
    match kind:
        case DiscrepancyKind.CANCEL_UNPROVEN if not order.pending_cancel:
            return f"the order is {order.state}, no cancel is pending"
        case DiscrepancyKind.REPLACE_UNPROVEN if order.pending_replace is None:
            return f"the order is {order.state}, no replace is pending"
        case DiscrepancyKind.ORDER_VANISHED if not order.is_open:
            return f"the order is {order.state}"
        case DiscrepancyKind.OUTCOME_UNPROVEN if order.links or not order.is_open:
            return f"the order is {order.state}" + (f", as {order.broker_order_id}" if order.links else "")
        case DiscrepancyKind.OVERFILL if not order.is_overfilled:
            return f"{order.filled_quantity} are executed, no more than ordered"
        case _:
            return ""
