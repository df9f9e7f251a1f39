"""What may be said about an order, by us or by a broker: the input of `lifecycle.decide`.

A fact is a claim to be judged. What was judged and recorded is an event (events.py). Times: `at` is our wall clock when
the fact arrived, `heard_ns` our monotonic clock then, `broker_time` and `updated_ns` are the broker's.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orderd.core.order import AssetClass, EventSource, OrderState, Phase, PositionIntent, Side, Terms
from orderd.core.values import BrokerOrderId, ClientOrderId, ExecutionId, Value


class View(Value, frozen=True, kw_only=True):
    """One broker order as its broker describes it: the normalised snapshot.

    `asked_ns` is our monotonic clock when the request began, None on a stream (where `updated_ns` orders the views).
    `filled_quantity` is cumulative for this broker order id only.
    """

    broker_order_id: BrokerOrderId
    phase: Phase
    status: str
    client_order_id: str = ""
    symbol: str = ""
    asset_class: AssetClass | None = None
    side: Side | None = None
    position_intent: PositionIntent | None = None
    terms: Terms | None = None
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    updated_ns: int = 0
    asked_ns: int | None = None
    created_time: datetime | None = None
    submitted_time: datetime | None = None
    filled_time: datetime | None = None
    ended_time: datetime | None = None
    expires_time: datetime | None = None
    replaces: str = ""
    replaced_by: str = ""
    order_class: str = ""
    parent_broker_order_id: str = ""
    reason_code: str = ""
    reason_text: str = ""
    legs: tuple["View", ...] = ()
    ratio: Decimal | None = None


class Execution(Value, frozen=True, kw_only=True):
    """One execution as its broker reports it. `cum_after` is the broker's cumulative figure after it, when given."""

    broker_order_id: BrokerOrderId
    quantity: Decimal
    price: Decimal
    execution_id: ExecutionId | None = None
    cum_after: Decimal | None = None
    occurred_time: datetime | None = None
    liquidity: str = ""
    fee: Decimal | None = None


class _Fact(Value, frozen=True, kw_only=True):
    at: datetime
    source: EventSource
    heard_ns: int = 0


class Sending(_Fact, frozen=True, kw_only=True):
    """It is about to be handed to the broker (recorded before the first byte leaves)."""


class NotSent(_Fact, frozen=True, kw_only=True):
    """The attempt provably did not reach the broker (refused connection, a listed 429); it may go again."""

    code: str
    message: str = ""


class OutcomeLost(_Fact, frozen=True, kw_only=True):
    """It may or may not have reached the broker."""

    code: str
    message: str = ""


class GaveUp(_Fact, frozen=True, kw_only=True):
    """It is proven not at the broker and will not be sent: NOT_PLACED, NOT_SENT or STALE.

    `attempts`: how often it had been handed over when that was proven; None where no attempt can have come between.
    """

    code: str
    message: str = ""
    attempts: int | None = None


class Refused(_Fact, frozen=True, kw_only=True):
    """The broker definitely said no to the submit."""

    code: str
    message: str = ""


class DeniedByRisk(_Fact, frozen=True, kw_only=True):
    """Our risk gate said no before anything was sent."""

    code: str
    message: str = ""


class CancelAsked(_Fact, frozen=True, kw_only=True):
    """Somebody asked for its cancel."""

    reason: str = ""


class CancelDeclined(_Fact, frozen=True, kw_only=True):
    """The broker refused the cancel while the order lives on."""

    code: str
    message: str = ""


class ReplaceAsked(_Fact, frozen=True, kw_only=True):
    """Somebody asked for other terms. `terms` are complete (kept ones included)."""

    request_id: str
    terms: Terms
    client_order_id: ClientOrderId
    reason: str = ""


class ReplaceDeclined(_Fact, frozen=True, kw_only=True):
    """The broker refused the replace; the order lives on with its old terms.

    `request_id` names which one when that is known: a refusal of an earlier replace does not end a later one.
    """

    code: str
    message: str = ""
    request_id: str = ""


class Reported(_Fact, frozen=True, kw_only=True):
    """The broker described the order, with the execution that caused it when the message carried one.

    `may_infer`: executions were asked for (or the broker has none), so growth nobody explained is inferred.
    `legs_traded`: of a MULTILEG parent, how many whole strategies its legs' booked executions make; None: not known.
    """

    view: View
    execution: Execution | None = None
    broker_time: datetime | None = None
    may_infer: bool = False
    legs_traded: Decimal | None = None


class Executed(_Fact, frozen=True, kw_only=True):
    """The broker listed an execution, without describing the order (an activity)."""

    execution: Execution


class ExecutionBusted(_Fact, frozen=True, kw_only=True):
    """The broker undid an execution. `broker_order_id` when the message says of which broker order."""

    previous_execution_id: ExecutionId
    execution_id: str = ""
    broker_time: datetime | None = None
    broker_order_id: str = ""


class ExecutionCorrected(_Fact, frozen=True, kw_only=True):
    """The broker changed an execution's quantity or price. `broker_order_id` when the message says of which order."""

    previous_execution_id: ExecutionId
    execution_id: str
    quantity: Decimal
    price: Decimal
    broker_time: datetime | None = None
    broker_order_id: str = ""


class Verdicts(StrEnum):
    """What an operator may settle an order as."""

    NOT_PLACED = "NOT_PLACED"
    ENDED = "ENDED"
    RESEND = "RESEND"
    ADOPT = "ADOPT"
    BUSTED = "BUSTED"


class SettledByOperator(_Fact, frozen=True, kw_only=True):
    """An operator settled what evidence could not: why, what it rests on, and who says so.

    For ENDED: `state` is CANCELED, EXPIRED, REJECTED or FILLED; `filled_quantity` and `average_price` are the
    cumulative figures of the order's broker order, when they are more than what is booked.
    For ADOPT: `view` is the broker order that it is. For BUSTED: the execution that was taken back.
    """

    verdict: Verdicts
    message: str
    evidence: str = ""
    operator_name: str = ""
    state: OrderState | None = None
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    view: View | None = None
    execution_id: str = ""


Fact = (
    Sending
    | NotSent
    | OutcomeLost
    | GaveUp
    | Refused
    | DeniedByRisk
    | CancelAsked
    | CancelDeclined
    | ReplaceAsked
    | ReplaceDeclined
    | Reported
    | Executed
    | ExecutionBusted
    | ExecutionCorrected
    | SettledByOperator
)
