"""Responses put together from stored bytes equal those that protobuf builds itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import error_pb2
from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from oms.v1 import position_service_pb2 as position_pb
from oms.v1 import risk_service_pb2 as risk_pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.records import RecordKind
from orderd.wire import desk_events, messages, splice
from tests.wire import samples

sequences = st.integers(0, 2**63 - 1)
small_orders = st.builds(pb.Order, order_id=samples.texts, sequence=sequences)
small_events = st.builds(pb.OrderEvent, order_id=samples.texts, order=small_orders, sequence=sequences)
small_fills = st.builds(pb.Fill, fill_id=samples.texts, quantity=samples.texts)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_protobufs(value: int) -> None:
    # Field 1 of StreamStarted's neighbour is a plain number: its bytes are the tag and the varint.
    if value < 2**63:
        message = service_pb.StreamOrderEventsResponse(sequence=value)
        assert message.SerializeToString() == (b"\x08" + splice.varint(value) if value else b"")
    assert len(splice.varint(value)) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize(("message", "last"), [(pb.Order, "sequence"), (pb.OrderEvent, "sequence")])
def test_what_is_appended_is_the_highest_field(message: type[pb.Order | pb.OrderEvent], last: str) -> None:
    fields = message.DESCRIPTOR.fields
    assert max(fields, key=lambda field: field.number).name == last


@given(st.lists(small_events, max_size=5), sequences, sequences)
def test_events(events: list[pb.OrderEvent], sequence: int, previous: int) -> None:
    expected = service_pb.StreamOrderEventsResponse(
        sequence=sequence, previous_sequence=previous, events=service_pb.OrderEvents(events=events)
    )
    parts = [event.SerializeToString() for event in events]
    assert splice.events_response_bytes(parts, sequence, previous) == expected.SerializeToString()


@given(st.lists(small_orders, max_size=5), sequences)
def test_a_snapshot(orders: list[pb.Order], sequence: int) -> None:
    page = service_pb.StreamOrderEventsResponse(
        previous_sequence=sequence, snapshot=service_pb.OrderSnapshot(orders=orders)
    )
    parts = [order.SerializeToString() for order in orders]
    assert splice.snapshot_response_bytes(parts, sequence) == page.SerializeToString()
    end = service_pb.StreamOrderEventsResponse(sequence=sequence, snapshot_end=service_pb.OrderSnapshotEnd())
    assert splice.snapshot_end_response_bytes(sequence) == end.SerializeToString()


@given(samples.texts, sequences, sequences, sequences)
def test_start_and_heartbeat(journal_id: str, head: int, sequence: int, previous: int) -> None:
    started = service_pb.StreamOrderEventsResponse(
        sequence=sequence,
        previous_sequence=previous,
        started=service_pb.StreamStarted(journal_id=journal_id, head_sequence=head),
    )
    assert splice.started_response_bytes(journal_id, head, sequence, previous) == started.SerializeToString()
    alive = service_pb.StreamOrderEventsResponse(
        sequence=sequence, previous_sequence=previous, heartbeat=service_pb.Heartbeat()
    )
    assert splice.heartbeat_response_bytes(sequence, previous) == alive.SerializeToString()


@given(small_orders, st.lists(small_fills, max_size=3), st.none() | samples.texts, samples.texts)
def test_one_order(order: pb.Order, fills: list[pb.Fill], decision_id: str | None, snapshot: str) -> None:
    decision = None if decision_id is None else pb.Decision(decision_id=decision_id)
    expected = service_pb.GetOrderResponse(order=order, fills=fills, decision=decision, broker_snapshot_json=snapshot)
    spliced = splice.get_order_response(
        order.SerializeToString(),
        [fill.SerializeToString() for fill in fills],
        decision=None if decision is None else decision.SerializeToString(),
        broker_snapshot_json=snapshot,
    )
    assert spliced == expected.SerializeToString()


@given(st.lists(small_orders, max_size=5), samples.texts, sequences)
def test_lists_of_orders(orders: list[pb.Order], token: str, sequence: int) -> None:
    expected = service_pb.ListOrdersResponse(orders=orders, next_page_token=token, sequence=sequence)
    parts = [order.SerializeToString() for order in orders]
    assert splice.list_orders_response(parts, token, sequence) == expected.SerializeToString()


@given(st.lists(small_fills, max_size=5), st.lists(small_events, max_size=5), samples.texts)
def test_lists_of_fills_and_events(fills: list[pb.Fill], events: list[pb.OrderEvent], token: str) -> None:
    expected_fills = service_pb.ListFillsResponse(fills=fills, next_page_token=token)
    spliced = splice.list_fills_response([fill.SerializeToString() for fill in fills], token)
    assert spliced == expected_fills.SerializeToString()
    gone = len(token)
    expected_events = service_pb.ListOrderEventsResponse(events=events, next_page_token=token, compacted_versions=gone)
    spliced = splice.list_order_events_response([event.SerializeToString() for event in events], token, gone)
    assert spliced == expected_events.SerializeToString()


@given(small_orders, st.booleans())
def test_answers_with_one_order(order: pb.Order, replayed: bool) -> None:
    stored = order.SerializeToString()
    submitted = service_pb.SubmitOrderResponse(order=order, replayed=replayed)
    assert splice.submit_response(stored, replayed=replayed) == submitted.SerializeToString()
    assert splice.cancel_response(stored) == service_pb.CancelOrderResponse(order=order).SerializeToString()
    assert splice.replace_response(stored) == service_pb.ReplaceOrderResponse(order=order).SerializeToString()


@given(st.lists(small_orders | st.builds(error_pb2.Error, message=samples.texts), max_size=5))
def test_a_batch(outcomes: list[pb.Order | error_pb2.Error]) -> None:
    expected = service_pb.BatchSubmitOrdersResponse()
    results: list[bytes] = []
    for outcome in outcomes:
        if isinstance(outcome, error_pb2.Error):
            expected.results.add(error=outcome)
            results.append(splice.batch_error(outcome.SerializeToString()))
        else:
            expected.results.add(response=service_pb.SubmitOrderResponse(order=outcome, replayed=True))
            response = splice.submit_response(outcome.SerializeToString(), replayed=True)
            results.append(splice.batch_result(response))
    assert splice.batch_response(results) == expected.SerializeToString()


def test_a_stored_event_travels_unchanged() -> None:
    order = samples.full_order()
    stored = messages.event_bytes(samples.created(order), 300, messages.complete_order_bytes(order))
    response = service_pb.StreamOrderEventsResponse.FromString(splice.events_response_bytes([stored] * 3, 300, 10))
    assert [event.SerializeToString(deterministic=True) for event in response.events.events] == [stored] * 3


def test_both_streams_have_the_same_fields_in_the_same_places() -> None:
    """So that one code makes the responses of both."""
    orders, desk = service_pb.StreamOrderEventsResponse.DESCRIPTOR, desk_pb.StreamDeskEventsResponse.DESCRIPTOR
    for name in ("sequence", "previous_sequence", "started", "events", "heartbeat"):
        assert splice.tag(orders, name) == splice.tag(desk, name)
    assert splice.tag(service_pb.OrderEvents.DESCRIPTOR, "events") == splice.tag(
        desk_pb.DeskEvents.DESCRIPTOR, "events"
    )
    for name in ("started", "heartbeat"):
        assert orders.fields_by_name[name].message_type is desk.fields_by_name[name].message_type


@pytest.mark.parametrize("kind", RecordKind)
def test_a_desk_event_is_what_protobuf_writes(kind: RecordKind) -> None:
    subjects = {
        RecordKind.DECISION: pb.Decision(decision_id="d"),
        RecordKind.TRADE: desk_pb.Trade(trade_id="r", version=3),
        RecordKind.COMPLETED_TRADE: desk_pb.CompletedTrade(pnl="-1.5"),
        RecordKind.RISK: risk_pb.RiskStatus(account_id="paper"),
        RecordKind.POSITION: position_pb.Position(symbol="AAPL"),
        RecordKind.DISCREPANCY: broker_pb.Discrepancy(discrepancy_id="x"),
    }
    subject = subjects[kind]
    partial = desk_pb.DeskEvent(type=desk_pb.DESK_EVENT_TYPE_TRADE_CLOSED, account_id="paper", trade_id="r")
    body = subject.SerializeToString(deterministic=True)
    if kind is not RecordKind.DISCREPANCY:
        body = splice.with_sequence(body, 300)
        setattr(subject, "sequence", 300)  # noqa: B010 - the messages have no type in common that says so
    made = splice.complete_desk_event(partial.SerializeToString(deterministic=True), kind, body, 300)
    expected = desk_pb.DeskEvent(sequence=300)
    expected.MergeFrom(partial)
    field = {RecordKind.RISK: "risk_status"}.get(kind, kind.lower())
    getattr(expected, field).CopyFrom(subject)
    assert made == expected.SerializeToString(deterministic=True)
    said = desk_events.said_by(made)
    assert (said.kind, said.account_id, said.trade_id) == (kind, "paper", "r")
    assert desk_events.event_type(made) == desk_pb.DESK_EVENT_TYPE_TRADE_CLOSED
