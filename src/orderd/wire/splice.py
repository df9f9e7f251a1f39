"""Protobuf messages put together from bytes that are already serialised.

A stored order or event is never parsed to be sent again: it is a length-delimited field of its response, so it is
copied in as it stands. `sequence` (field 100, the highest of its message) is appended the moment it is known.

Rule: the result has the bytes that protobuf itself writes for the same message (fields in ascending order, defaults
left out); the tests compare both.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.descriptor import Descriptor

from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb

_VARINT: Final = 0
_LENGTH: Final = 2
_SMALL: Final = 0x80


def varint(value: int) -> bytes:
    """Return a non-negative integer in protobuf's base-128 form."""
    if value < _SMALL:
        return value.to_bytes(1, "little")
    out = bytearray()
    while value >= _SMALL:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(message: Descriptor, field: str, wire_type: int) -> bytes:
    return varint(message.fields_by_name[field].number << 3 | wire_type)


_ORDER_SEQUENCE: Final = _tag(pb.Order.DESCRIPTOR, "sequence", _VARINT)
_EVENT_SEQUENCE: Final = _tag(pb.OrderEvent.DESCRIPTOR, "sequence", _VARINT)
_EVENT_ORDER: Final = _tag(pb.OrderEvent.DESCRIPTOR, "order", _LENGTH)

_STREAM: Final = service_pb.StreamOrderEventsResponse.DESCRIPTOR
_STREAM_SEQUENCE: Final = _tag(_STREAM, "sequence", _VARINT)
_STREAM_PREVIOUS: Final = _tag(_STREAM, "previous_sequence", _VARINT)
_STREAM_EVENTS: Final = _tag(_STREAM, "events", _LENGTH)
_STREAM_SNAPSHOT: Final = _tag(_STREAM, "snapshot", _LENGTH)
_STREAM_SNAPSHOT_END: Final = _tag(_STREAM, "snapshot_end", _LENGTH)
_STREAM_STARTED: Final = _tag(_STREAM, "started", _LENGTH)
_STREAM_HEARTBEAT: Final = _tag(_STREAM, "heartbeat", _LENGTH)
_EVENTS_EVENTS: Final = _tag(service_pb.OrderEvents.DESCRIPTOR, "events", _LENGTH)
_SNAPSHOT_ORDERS: Final = _tag(service_pb.OrderSnapshot.DESCRIPTOR, "orders", _LENGTH)
_STARTED_JOURNAL: Final = _tag(service_pb.StreamStarted.DESCRIPTOR, "journal_id", _LENGTH)
_STARTED_HEAD: Final = _tag(service_pb.StreamStarted.DESCRIPTOR, "head_sequence", _VARINT)

_GET: Final = service_pb.GetOrderResponse.DESCRIPTOR
_GET_ORDER: Final = _tag(_GET, "order", _LENGTH)
_GET_FILLS: Final = _tag(_GET, "fills", _LENGTH)
_GET_DECISION: Final = _tag(_GET, "decision", _LENGTH)
_GET_SNAPSHOT: Final = _tag(_GET, "broker_snapshot_json", _LENGTH)

_ORDERS: Final = service_pb.ListOrdersResponse.DESCRIPTOR
_ORDERS_ORDERS: Final = _tag(_ORDERS, "orders", _LENGTH)
_ORDERS_NEXT: Final = _tag(_ORDERS, "next_page_token", _LENGTH)
_ORDERS_SEQUENCE: Final = _tag(_ORDERS, "sequence", _VARINT)
_FILLS_FILLS: Final = _tag(service_pb.ListFillsResponse.DESCRIPTOR, "fills", _LENGTH)
_FILLS_NEXT: Final = _tag(service_pb.ListFillsResponse.DESCRIPTOR, "next_page_token", _LENGTH)
_STORY_EVENTS: Final = _tag(service_pb.ListOrderEventsResponse.DESCRIPTOR, "events", _LENGTH)
_STORY_NEXT: Final = _tag(service_pb.ListOrderEventsResponse.DESCRIPTOR, "next_page_token", _LENGTH)

_SUBMIT_ORDER: Final = _tag(service_pb.SubmitOrderResponse.DESCRIPTOR, "order", _LENGTH)
_SUBMIT_REPLAYED: Final = _tag(service_pb.SubmitOrderResponse.DESCRIPTOR, "replayed", _VARINT)
_CANCEL_ORDER: Final = _tag(service_pb.CancelOrderResponse.DESCRIPTOR, "order", _LENGTH)
_REPLACE_ORDER: Final = _tag(service_pb.ReplaceOrderResponse.DESCRIPTOR, "order", _LENGTH)
_BATCH_RESULTS: Final = _tag(service_pb.BatchSubmitOrdersResponse.DESCRIPTOR, "results", _LENGTH)
_RESULT_RESPONSE: Final = _tag(service_pb.BatchSubmitResult.DESCRIPTOR, "response", _LENGTH)
_RESULT_ERROR: Final = _tag(service_pb.BatchSubmitResult.DESCRIPTOR, "error", _LENGTH)


def _number(tag: bytes, value: int) -> bytes:
    return tag + varint(value) if value else b""


def _one(tag: bytes, body: bytes) -> bytes:
    return b"".join((tag, varint(len(body)), body))


def _many(tag: bytes, bodies: Iterable[bytes]) -> bytes:
    return b"".join([part for body in bodies for part in (tag, varint(len(body)), body)])


def _text(tag: bytes, text: str) -> bytes:
    return _one(tag, text.encode()) if text else b""


def with_sequence(partial: bytes, sequence: int) -> bytes:
    """Complete the bytes of an `Order` that were made without their sequence."""
    return partial + _number(_ORDER_SEQUENCE, sequence)


def complete_event(partial: bytes, order: bytes, sequence: int) -> bytes:
    """Complete the bytes of an `OrderEvent` with the bytes of the complete order after it, and its sequence."""
    return b"".join((partial, _EVENT_ORDER, varint(len(order)), order, _number(_EVENT_SEQUENCE, sequence)))


def _streamed(sequence: int, previous_sequence: int, payload: bytes) -> bytes:
    return _number(_STREAM_SEQUENCE, sequence) + _number(_STREAM_PREVIOUS, previous_sequence) + payload


def events_response_bytes(events: Sequence[bytes], sequence: int, previous_sequence: int) -> bytes:
    """Return a `StreamOrderEventsResponse` with a run of stored events."""
    payload = _one(_STREAM_EVENTS, _many(_EVENTS_EVENTS, events))
    return _streamed(sequence, previous_sequence, payload)


def started_response_bytes(journal_id: str, head_sequence: int, sequence: int, previous_sequence: int = 0) -> bytes:
    """Return the first `StreamOrderEventsResponse` of a stream."""
    body = _text(_STARTED_JOURNAL, journal_id) + _number(_STARTED_HEAD, head_sequence)
    return _streamed(sequence, previous_sequence, _one(_STREAM_STARTED, body))


def snapshot_response_bytes(orders: Sequence[bytes], previous_sequence: int = 0) -> bytes:
    """Return one page of a snapshot; its sequence is 0, because a part of a snapshot is nothing to resume from."""
    return _streamed(0, previous_sequence, _one(_STREAM_SNAPSHOT, _many(_SNAPSHOT_ORDERS, orders)))


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
    parts = [_one(_GET_ORDER, order), _many(_GET_FILLS, fills)]
    if decision is not None:
        parts.append(_one(_GET_DECISION, decision))
    parts.append(_text(_GET_SNAPSHOT, broker_snapshot_json))
    return b"".join(parts)


def list_orders_response(orders: Sequence[bytes], next_page_token: str, sequence: int) -> bytes:
    """Return a `ListOrdersResponse` from stored bytes."""
    return _many(_ORDERS_ORDERS, orders) + _text(_ORDERS_NEXT, next_page_token) + _number(_ORDERS_SEQUENCE, sequence)


def list_fills_response(fills: Sequence[bytes], next_page_token: str) -> bytes:
    """Return a `ListFillsResponse` from stored bytes."""
    return _many(_FILLS_FILLS, fills) + _text(_FILLS_NEXT, next_page_token)


def list_order_events_response(events: Sequence[bytes], next_page_token: str) -> bytes:
    """Return a `ListOrderEventsResponse` from stored bytes."""
    return _many(_STORY_EVENTS, events) + _text(_STORY_NEXT, next_page_token)


def submit_response(order: bytes, *, replayed: bool) -> bytes:
    """Return a `SubmitOrderResponse` from the order's complete bytes."""
    return _one(_SUBMIT_ORDER, order) + _number(_SUBMIT_REPLAYED, int(replayed))


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
    return _many(_BATCH_RESULTS, results)
