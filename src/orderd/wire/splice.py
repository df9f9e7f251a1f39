"""Protobuf messages put together from bytes that are already serialised.

A stored order or event is never parsed to be sent again: it is a length-delimited field of its response, so it is
copied in as it stands. `sequence` (field 100, the highest of its message) is appended the moment it is known.

Rule: the result has the bytes that protobuf itself writes for the same message (fields in ascending order, defaults
left out); the tests compare both.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.records import RecordKind

_VARINT: Final = 0
_LENGTH: Final = 2
_MORE: Final = 0x80
"""Marks a byte that is not the number's last."""
_NUMBERS: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_BOOL,
        FieldDescriptor.CPPTYPE_ENUM,
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
"""What `varint` writes; zigzag and fixed-width fields do not occur in these messages."""


@lru_cache(maxsize=4096)
def varint(value: int) -> bytes:
    """Return a non-negative integer in protobuf's base-128 form. Remembered: most are lengths, enums and sequences."""
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(message: Descriptor, field: str) -> bytes:
    """Return the bytes that begin a field: a number's, or those of anything with a length."""
    described = message.fields_by_name[field]
    wire_type = _VARINT if described.cpp_type in _NUMBERS else _LENGTH
    return varint(described.number << 3 | wire_type)


_ORDER_SEQUENCE: Final = tag(pb.Order.DESCRIPTOR, "sequence")
_EVENT_SEQUENCE: Final = tag(pb.OrderEvent.DESCRIPTOR, "sequence")
_EVENT_ORDER: Final = tag(pb.OrderEvent.DESCRIPTOR, "order")

_DESK: Final = desk_pb.DeskEvent.DESCRIPTOR
_DESK_SEQUENCE: Final = tag(_DESK, "sequence")
_SUBJECTS: Final = {
    RecordKind.DECISION: tag(_DESK, "decision"),
    RecordKind.TRADE: tag(_DESK, "trade"),
    RecordKind.COMPLETED_TRADE: tag(_DESK, "completed_trade"),
    RecordKind.RISK: tag(_DESK, "risk_status"),
    RecordKind.POSITION: tag(_DESK, "position"),
    RecordKind.DISCREPANCY: tag(_DESK, "discrepancy"),
}

_STREAM: Final = service_pb.StreamOrderEventsResponse.DESCRIPTOR
_STREAM_SEQUENCE: Final = tag(_STREAM, "sequence")
_STREAM_PREVIOUS: Final = tag(_STREAM, "previous_sequence")
_STREAM_EVENTS: Final = tag(_STREAM, "events")
_STREAM_SNAPSHOT: Final = tag(_STREAM, "snapshot")
_STREAM_SNAPSHOT_END: Final = tag(_STREAM, "snapshot_end")
_STREAM_STARTED: Final = tag(_STREAM, "started")
_STREAM_HEARTBEAT: Final = tag(_STREAM, "heartbeat")
_EVENTS_EVENTS: Final = tag(service_pb.OrderEvents.DESCRIPTOR, "events")
_SNAPSHOT_ORDERS: Final = tag(service_pb.OrderSnapshot.DESCRIPTOR, "orders")
_STARTED_JOURNAL: Final = tag(service_pb.StreamStarted.DESCRIPTOR, "journal_id")
_STARTED_HEAD: Final = tag(service_pb.StreamStarted.DESCRIPTOR, "head_sequence")

_GET: Final = service_pb.GetOrderResponse.DESCRIPTOR
_GET_ORDER: Final = tag(_GET, "order")
_GET_FILLS: Final = tag(_GET, "fills")
_GET_DECISION: Final = tag(_GET, "decision")
_GET_SNAPSHOT: Final = tag(_GET, "broker_snapshot_json")

_ORDERS: Final = service_pb.ListOrdersResponse.DESCRIPTOR
_ORDERS_ORDERS: Final = tag(_ORDERS, "orders")
_ORDERS_NEXT: Final = tag(_ORDERS, "next_page_token")
_ORDERS_SEQUENCE: Final = tag(_ORDERS, "sequence")
_FILLS_FILLS: Final = tag(service_pb.ListFillsResponse.DESCRIPTOR, "fills")
_FILLS_NEXT: Final = tag(service_pb.ListFillsResponse.DESCRIPTOR, "next_page_token")
_STORY_EVENTS: Final = tag(service_pb.ListOrderEventsResponse.DESCRIPTOR, "events")
_STORY_NEXT: Final = tag(service_pb.ListOrderEventsResponse.DESCRIPTOR, "next_page_token")
_STORY_COMPACTED: Final = tag(service_pb.ListOrderEventsResponse.DESCRIPTOR, "compacted_versions")

_SUBMIT_ORDER: Final = tag(service_pb.SubmitOrderResponse.DESCRIPTOR, "order")
_SUBMIT_REPLAYED: Final = tag(service_pb.SubmitOrderResponse.DESCRIPTOR, "replayed")
_CANCEL_ORDER: Final = tag(service_pb.CancelOrderResponse.DESCRIPTOR, "order")
_REPLACE_ORDER: Final = tag(service_pb.ReplaceOrderResponse.DESCRIPTOR, "order")
_BATCH_RESULTS: Final = tag(service_pb.BatchSubmitOrdersResponse.DESCRIPTOR, "results")
_RESULT_RESPONSE: Final = tag(service_pb.BatchSubmitResult.DESCRIPTOR, "response")
_RESULT_ERROR: Final = tag(service_pb.BatchSubmitResult.DESCRIPTOR, "error")


def number_field(tag: bytes, value: int) -> bytes:
    """Return a number as a field; a default is left out."""
    return tag + varint(value) if value else b""


def _one(tag: bytes, body: bytes) -> bytes:
    return b"".join((tag, varint(len(body)), body))


def many_fields(tag: bytes, bodies: Iterable[bytes]) -> bytes:
    """Return messages, already serialised, as a repeated field."""
    return b"".join([part for body in bodies for part in (tag, varint(len(body)), body)])


def text_field(tag: bytes, text: str) -> bytes:
    """Return text as a field; an empty one is left out."""
    return _one(tag, text.encode()) if text else b""


def with_sequence(partial: bytes, sequence: int) -> bytes:
    """Complete the bytes of an `Order`, or of a record of the desk, that were made without their sequence."""
    return partial + number_field(_ORDER_SEQUENCE, sequence)


def is_at(order: bytes, sequence: int) -> bool:
    """Whether these are the complete bytes of an `Order` with this sequence: it stands last, and is never 0."""
    return order.endswith(number_field(_ORDER_SEQUENCE, sequence)) if sequence else False


def complete_event(partial: bytes, order: bytes, sequence: int) -> bytes:
    """Complete the bytes of an `OrderEvent` with the bytes of the complete order after it, and its sequence."""
    return b"".join((partial, _EVENT_ORDER, varint(len(order)), order, number_field(_EVENT_SEQUENCE, sequence)))


def complete_desk_event(partial: bytes, kind: RecordKind, subject: bytes, sequence: int) -> bytes:
    """Complete the bytes of a `DeskEvent` with the complete bytes of what it is about, and its sequence."""
    return b"".join((partial, _SUBJECTS[kind], varint(len(subject)), subject, number_field(_DESK_SEQUENCE, sequence)))


def _streamed(sequence: int, previous_sequence: int, payload: bytes) -> bytes:
    return number_field(_STREAM_SEQUENCE, sequence) + number_field(_STREAM_PREVIOUS, previous_sequence) + payload


def events_response_bytes(events: Sequence[bytes], sequence: int, previous_sequence: int) -> bytes:
    """Return a `StreamOrderEventsResponse` with a run of stored events."""
    payload = _one(_STREAM_EVENTS, many_fields(_EVENTS_EVENTS, events))
    return _streamed(sequence, previous_sequence, payload)


def started_response_bytes(journal_id: str, head_sequence: int, sequence: int, previous_sequence: int = 0) -> bytes:
    """Return the first `StreamOrderEventsResponse` of a stream."""
    body = text_field(_STARTED_JOURNAL, journal_id) + number_field(_STARTED_HEAD, head_sequence)
    return _streamed(sequence, previous_sequence, _one(_STREAM_STARTED, body))


def snapshot_response_bytes(orders: Sequence[bytes], previous_sequence: int = 0) -> bytes:
    """Return one page of a snapshot; its sequence is 0, because a part of a snapshot is nothing to resume from."""
    return _streamed(0, previous_sequence, _one(_STREAM_SNAPSHOT, many_fields(_SNAPSHOT_ORDERS, orders)))


def snapshot_end_response_bytes(sequence: int, previous_sequence: int = 0) -> bytes:
    """Return the end of a snapshot, as of `sequence`."""
    return _streamed(sequence, previous_sequence, _one(_STREAM_SNAPSHOT_END, b""))


def heartbeat_response_bytes(sequence: int, previous_sequence: int) -> bytes:
    """Return a sign of life that moves the position on."""
    return _streamed(sequence, previous_sequence, _one(_STREAM_HEARTBEAT, b""))


def get_order_response(
    order: bytes, fills: Sequence[bytes], *, decision: bytes | None = None, broker_snapshot_json: str = ""
) -> bytes:
    """Return a `GetOrderResponse` from stored bytes."""
    parts = [_one(_GET_ORDER, order), many_fields(_GET_FILLS, fills)]
    if decision is not None:
        parts.append(_one(_GET_DECISION, decision))
    parts.append(text_field(_GET_SNAPSHOT, broker_snapshot_json))
    return b"".join(parts)


def list_orders_response(orders: Sequence[bytes], next_page_token: str, sequence: int) -> bytes:
    """Return a `ListOrdersResponse` from stored bytes."""
    return (
        many_fields(_ORDERS_ORDERS, orders)
        + text_field(_ORDERS_NEXT, next_page_token)
        + number_field(_ORDERS_SEQUENCE, sequence)
    )


def list_fills_response(fills: Sequence[bytes], next_page_token: str) -> bytes:
    """Return a `ListFillsResponse` from stored bytes."""
    return many_fields(_FILLS_FILLS, fills) + text_field(_FILLS_NEXT, next_page_token)


def list_order_events_response(events: Sequence[bytes], next_page_token: str, compacted: int = 0) -> bytes:
    """Return a `ListOrderEventsResponse` from stored bytes; `compacted` events before them are no longer kept."""
    body = many_fields(_STORY_EVENTS, events) + text_field(_STORY_NEXT, next_page_token)
    return body + number_field(_STORY_COMPACTED, compacted)


def submit_response(order: bytes, *, replayed: bool) -> bytes:
    """Return a `SubmitOrderResponse` from the order's complete bytes."""
    return _one(_SUBMIT_ORDER, order) + number_field(_SUBMIT_REPLAYED, int(replayed))


def cancel_response(order: bytes) -> bytes:
    """Return a `CancelOrderResponse` from the order's complete bytes."""
    return _one(_CANCEL_ORDER, order)


def replace_response(order: bytes) -> bytes:
    """Return a `ReplaceOrderResponse` from the order's complete bytes."""
    return _one(_REPLACE_ORDER, order)


def batch_result(response: bytes) -> bytes:
    """Return a `BatchSubmitResult` from the bytes of a `SubmitOrderResponse`."""
    return _one(_RESULT_RESPONSE, response)


def batch_error(error: bytes) -> bytes:
    """Return a `BatchSubmitResult` from the bytes of an `Error`."""
    return _one(_RESULT_ERROR, error)


def batch_response(results: Sequence[bytes]) -> bytes:
    """Return a `BatchSubmitOrdersResponse` from the bytes of its results."""
    return many_fields(_BATCH_RESULTS, results)
