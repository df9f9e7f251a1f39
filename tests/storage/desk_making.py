"""Records of the desk for the journal's tests: short ways to the changes a desk would make."""

import itertools
from datetime import datetime
from typing import Any

import msgspec
from google.protobuf.message import Message

from oms.v1 import order_pb2, position_service_pb2, risk_service_pb2
from oms.v1 import trade_service_pb2 as pb
from orderd.core.records import RecordKind
from orderd.ports import Record, RecordChange
from orderd.wire.times import set_time
from tests.storage.making import START, moment

_numbers = itertools.count(1)


def message_of(record: Record) -> Message:
    """The record's message, without its sequence."""
    said: dict[str, Any] = {"account_id": record.account_id}
    match record.kind:
        case RecordKind.DECISION:
            return order_pb2.Decision(decision_id=record.client_key, version=record.version, **said)
        case RecordKind.TRADE:
            return pb.Trade(trade_id=record.record_id, version=record.version, **said)
        case RecordKind.COMPLETED_TRADE:
            return pb.CompletedTrade(completed_trade_id=record.record_id, version=record.version, **said)
        case RecordKind.RISK:
            return risk_service_pb2.RiskStatus(**said)
        case _:
            return position_service_pb2.Position(symbol=record.symbol, **said)


def change_of(record: Record, *, at: datetime = START, order_id: str = "") -> RecordChange:
    """The change that makes the record this: its message and its event say what its columns say."""
    event = pb.DeskEvent(
        type=pb.DESK_EVENT_TYPE_TRADE_CREATED,
        account_id=record.account_id,
        symbol=record.symbol,
        strategy=record.strategy,
        trace_id=record.trace_id,
        decision_id=record.decision_id,
        trade_id=record.trade_id,
        order_id=order_id,
    )
    set_time(event.recorded_time, at)
    body = message_of(record).SerializeToString(deterministic=True)
    return RecordChange(
        record=msgspec.structs.replace(record, body=body), event=event.SerializeToString(deterministic=True)
    )


def record(kind: RecordKind = RecordKind.TRADE, **changes: Any) -> Record:  # noqa: ANN401 - any field of the record
    """A new record that differs from the usual one in these fields."""
    number = next(_numbers)
    plain = Record(
        record_id=f"record-{number:08d}",
        kind=kind,
        account_id="paper",
        client_key=f"desk-key-{number}",
        status="OPEN",
        is_open=True,
        symbol="AAPL",
        created_time=moment(number),
        version=1,
        body=b"",
        state=b"own",
    )
    return msgspec.structs.replace(plain, **changes)


def made(kind: RecordKind = RecordKind.TRADE, **changes: Any) -> RecordChange:  # noqa: ANN401 - see record
    """The change that makes a new record."""
    return change_of(record(kind, **changes))


def later(change: RecordChange, **changes: Any) -> RecordChange:  # noqa: ANN401 - see record
    """The change that takes a record on to its next version."""
    return change_of(msgspec.structs.replace(change.record, version=change.record.version + 1, **changes))
