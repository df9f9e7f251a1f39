"""Decisions as `oms.v1` messages: the record's body and the event of a step."""

from typing import Final

from oms.v1 import order_pb2 as pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.decisions import Decision, DecisionEvent, DecisionKind, DecisionStatus, DecisionStep
from orderd.wire import enums
from orderd.wire.enums import Words
from orderd.wire.messages import reason_message, text_of
from orderd.wire.times import set_time

KIND: Final = Words(DecisionKind, pb.DecisionKind.Value, "DECISION_KIND_")
STATUS: Final = Words(DecisionStatus, pb.DecisionStatus.Value, "DECISION_STATUS_")
EVENT: Final = Words(DecisionEvent, desk_pb.DeskEventType.Value, "DESK_EVENT_TYPE_")


def decision_message(decision: Decision) -> pb.Decision:
    """Return a decision as a message, without its sequence."""
    said = decision.said
    message = pb.Decision(
        decision_id=said.decision_id,
        account_id=said.account_id,
        trace_id=said.trace_id,
        strategy=said.strategy,
        symbol=said.symbol,
        side=pb.SIDE_UNSPECIFIED if said.side is None else enums.SIDE.number[said.side],
        kind=KIND.number[said.kind],
        confidence=text_of(said.confidence),
        signals=dict(said.signals),
        model=said.model,
        provider=said.provider,
        rationale=said.rationale,
        linked_trade_id=said.linked_trade_id,
        price=text_of(said.price),
        status=STATUS.number[decision.status],
        order_ids=decision.order_ids,
        trade_id=decision.trade_id,
        has_intent=said.intent is not None,
        version=decision.version,
    )
    if decision.reason is not None:
        message.status_reason.CopyFrom(reason_message(decision.reason))
    set_time(message.decided_time, said.decided_time)
    set_time(message.expires_time, said.expires_time)
    set_time(message.created_time, decision.created_time)
    set_time(message.updated_time, decision.updated_time)
    return message


def decision_event_bytes(step: DecisionStep) -> bytes:
    """Return the bytes of the event of a step, without the decision and its sequence."""
    decision, said = step.after, step.after.said
    event = desk_pb.DeskEvent(
        type=EVENT.number[step.event],
        account_id=said.account_id,
        symbol=said.symbol,
        strategy=said.strategy,
        trace_id=said.trace_id,
        decision_id=said.decision_id,
        trade_id=decision.trade_id or said.linked_trade_id,
        order_id=step.order_id or "",
        source=enums.SOURCE.number[step.source],
    )
    if decision.reason is not None:
        event.reason.CopyFrom(reason_message(decision.reason))
    set_time(event.recorded_time, decision.updated_time)
    return event.SerializeToString(deterministic=True)
