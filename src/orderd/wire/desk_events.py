"""Events of the desk: what the journal itself says of a discrepancy, and what any of them says of itself."""

from datetime import datetime
from typing import Final

import msgspec

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2 as pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.discrepancies import RULES, Discrepancy
from orderd.core.order import Order
from orderd.core.records import RecordKind
from orderd.wire import enums
from orderd.wire.times import read_time, set_time

_KINDS: Final = {
    "decision": RecordKind.DECISION,
    "trade": RecordKind.TRADE,
    "completed_trade": RecordKind.COMPLETED_TRADE,
    "risk_status": RecordKind.RISK,
    "position": RecordKind.POSITION,
    "discrepancy": RecordKind.DISCREPANCY,
}


class Said(msgspec.Struct, frozen=True, gc=False):
    """What an event of the desk says for those who filter by it. `kind` is None before its subject is known."""

    kind: RecordKind | None
    account_id: str
    order_id: str
    symbol: str
    strategy: str
    trace_id: str
    decision_id: str
    trade_id: str


def said_by(event: bytes) -> Said:
    """Read an event of the desk, complete or not. Raises DecodeError for what is none."""
    message = desk_pb.DeskEvent.FromString(event)
    subject = message.WhichOneof("subject")
    return Said(
        _KINDS[subject] if subject else None,
        message.account_id,
        message.order_id,
        message.symbol,
        message.strategy,
        message.trace_id,
        message.decision_id,
        message.trade_id,
    )


def event_type(event: bytes) -> int:
    """The `DeskEventType` of an event of the desk."""
    return desk_pb.DeskEvent.FromString(event).type


def recorded_time(event: bytes) -> datetime:
    """When an event of the desk was recorded, from its stored bytes."""
    return read_time(desk_pb.DeskEvent.FromString(event).recorded_time)


def discrepancy_message(record: Discrepancy) -> broker_pb.Discrepancy:
    """A discrepancy as the wire shows it."""
    message = broker_pb.Discrepancy(
        discrepancy_id=record.discrepancy_id,
        account_id=record.account_id,
        kind=enums.DISCREPANCY_KIND.number[record.kind],
        effect=enums.DISCREPANCY_EFFECT.number[RULES[record.kind].effect],
        order_id=record.order_id,
        broker_order_id=record.broker_order_id,
        symbol=record.symbol,
        expected=record.expected,
        observed=record.observed,
        evidence=record.evidence,
        source=enums.ORIGIN.get(record.source or "", pb.EVENT_SOURCE_UNSPECIFIED),
        after_sequence=record.after_sequence,
        resolved_by=enums.ORIGIN.get(record.resolved_by or "", pb.EVENT_SOURCE_UNSPECIFIED),
        resolution=record.resolution,
        operator_name=record.operator_name,
    )
    set_time(message.opened_time, record.opened_time)
    set_time(message.resolved_time, record.resolved_time)
    return message


def discrepancy_bytes(record: Discrepancy) -> bytes:
    """The bytes of a discrepancy as its events carry it."""
    return discrepancy_message(record).SerializeToString(deterministic=True)


def partial_discrepancy_event(record: Discrepancy, order: Order | None) -> bytes:
    """The event of a discrepancy that is opened or closed, but for its subject and sequence.

    `order`: the one it is about, when it is at hand; the event then names what that order belongs to.
    """
    is_open = record.resolved_time is None
    source = record.source if is_open else record.resolved_by
    message = desk_pb.DeskEvent(
        type=desk_pb.DESK_EVENT_TYPE_DISCREPANCY_OPENED if is_open else desk_pb.DESK_EVENT_TYPE_DISCREPANCY_RESOLVED,
        account_id=record.account_id,
        symbol=record.symbol,
        order_id=record.order_id,
        source=enums.ORIGIN.get(source or "", pb.EVENT_SOURCE_UNSPECIFIED),
    )
    if order is not None and order.order_id == record.order_id:
        intent = order.intent
        message.strategy = intent.strategy
        message.trace_id, message.decision_id, message.trade_id = intent.trace_id, intent.decision_id, intent.trade_id
    set_time(message.recorded_time, record.opened_time if is_open else record.resolved_time)
    return message.SerializeToString(deterministic=True)
