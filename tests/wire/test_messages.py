"""Core values on the wire: every field arrives, and bytes put together equal the message built whole."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from oms.v1 import order_pb2 as pb
from orderd.core.events import TYPE_OF
from orderd.core.order import AssetClass, BrokerLink, EventSource, FillStatus, Order, OrderState, Terms
from orderd.core.values import BrokerOrderId, FillId, Reason, canonical
from orderd.wire import enums, messages, splice, times
from tests.wire import samples


def test_every_field_of_an_order_arrives() -> None:
    message = messages.order_message(samples.full_order())
    absent = {field.name for field in pb.Order.DESCRIPTOR.fields} - {field.name for field, _ in message.ListFields()}
    # Groups are folded by the desk and are not part of the core order.
    assert absent == {"group_id", "strategy_type"}


def test_values_of_an_order_arrive_as_they_are() -> None:
    order = samples.full_order()
    message = messages.order_message(order)
    assert (message.quantity, message.notional, message.trail_price) == ("10", "1000.1", "1.5")
    assert (message.filled_quantity, message.leaves_quantity, message.average_fill_price) == ("4", "6", "150.2")
    assert (message.broker_order_id, list(message.broker_order_ids)) == ("b-1", ["b-0", "b-1"])
    assert (message.status, message.mode) == (pb.ORDER_STATUS_PARTIALLY_FILLED, pb.MODE_LIVE)
    assert message.status_reason == pb.StatusReason(code="NOTE", message="why", source=pb.EVENT_SOURCE_BROKER_REPLY)
    assert message.option == pb.OptionContract(expiry_date="2025-01-17", strike="150", right=pb.OPTION_RIGHT_CALL)
    assert [(leg.symbol, leg.ratio, leg.order_id) for leg in message.legs] == [("A", 1, "leg-1"), ("B", 2, "leg-2")]
    assert dict(message.tags) == {"a": "1", "b": "2", "c": "3"}
    assert message.pending_replace_terms.trail == "2"
    assert message.take_profit.limit_price == "160"
    assert message.stop_loss == pb.StopLoss(stop_price="140", limit_price="139.5")
    assert message.created_time.ToDatetime(UTC) == order.created_time
    assert (message.version, message.sequence) == (5, 300)


def test_what_an_order_does_not_have_is_absent() -> None:
    message = messages.order_message(samples.order())
    for name in (
        "submitted_time",
        "closed_time",
        "take_profit",
        "stop_loss",
        "option",
        "status_reason",
        "decided_time",
    ):
        assert not message.HasField(name)
    assert (message.notional, message.average_fill_price, message.broker_order_id) == ("", "", "")
    assert (message.filled_quantity, message.leaves_quantity) == ("0", "10")


def test_leaves_of_an_open_notional_order_are_unknown() -> None:
    terms = msgspec.structs.replace(samples.order().terms, quantity=None, notional=Decimal(100))
    open_order = samples.order(terms=terms)
    assert messages.order_message(open_order).leaves_quantity == ""
    ended = msgspec.structs.replace(open_order, state=OrderState.FILLED)
    assert messages.order_message(ended).leaves_quantity == "0"


def test_an_option_symbol_nobody_can_read_has_no_contract() -> None:
    odd = samples.order(intent=samples.intent(symbol="AAPL1 odd"), asset_class=AssetClass.US_OPTION)
    assert not messages.order_message(odd).HasField("option")


@given(samples.orders())
def test_order_bytes_with_their_sequence_are_the_message(order: Order) -> None:
    whole = messages.order_message(order).SerializeToString(deterministic=True)
    assert splice.with_sequence(messages.order_bytes(order), order.sequence) == whole
    assert messages.complete_order_bytes(order) == whole


@given(samples.orders())
def test_event_bytes_copy_the_order_and_are_the_message(order: Order) -> None:
    step = samples.filled(order, samples.fill())
    whole = messages.event_message(step, order.sequence)
    stored = messages.complete_order_bytes(order)
    spliced = messages.event_bytes(step, order.sequence, stored)
    assert spliced == whole.SerializeToString(deterministic=True)
    read = pb.OrderEvent.FromString(spliced)
    assert read.order.SerializeToString(deterministic=True) == stored
    assert read.sequence == read.order.sequence == order.sequence


def test_the_bytes_of_an_order_with_everything_are_the_message() -> None:
    order = samples.full_order()
    whole = messages.order_message(order).SerializeToString(deterministic=True)
    assert messages.complete_order_bytes(order) == whole


def test_the_bytes_of_an_event_with_everything_are_the_message() -> None:
    old, new = samples.fill(), samples.fill(fill_id=FillId("f-2"), quantity=Decimal(7))
    order = msgspec.structs.replace(samples.full_order(), fills=(old, new))
    step = samples.corrected(order, removed=old, added=new)
    reason = Reason(code="why", message="because", origin=EventSource.BROKER_STREAM)
    event = msgspec.structs.replace(step.event, broker_time=samples.NOON, reason=reason)
    step = msgspec.structs.replace(step, event=event)
    whole = messages.event_message(step, 7)
    assert whole.other_fills
    assert whole.HasField("broker_time")
    stored = splice.with_sequence(messages.order_bytes(step.after), 7)
    assert messages.event_bytes(step, 7, stored) == whole.SerializeToString(deterministic=True)


@given(st.lists(samples.orders(), max_size=3))
def test_orders_one_after_the_other_have_the_bytes_of_each(orders: list[Order]) -> None:
    story = [state for order in orders for state in (order, msgspec.structs.replace(order, broker_status="moved"))]
    for order in story:
        whole = messages.order_message(msgspec.structs.replace(order, sequence=0))
        assert messages.order_bytes(order) == whole.SerializeToString(deterministic=True)


def test_what_changes_between_two_steps_is_written_again() -> None:
    order = samples.full_order()
    for changes in (
        {"links": (*order.links, BrokerLink(broker_order_id=BrokerOrderId("b-new")))},
        {"terms": msgspec.structs.replace(order.terms, limit_price=Decimal("9.75"))},
        {"expires_time": None},
        {"broker_client_reference": "another"},
    ):
        before, after = messages.order_bytes(order), msgspec.structs.replace(order, **changes)
        assert messages.order_bytes(after) != before
        whole = messages.order_message(msgspec.structs.replace(after, sequence=0))
        assert messages.order_bytes(after) == whole.SerializeToString(deterministic=True)


@given(samples.orders())
def test_the_same_order_gives_the_same_bytes(order: Order) -> None:
    backwards = tuple(reversed(order.intent.tags))
    again = msgspec.structs.replace(order, intent=msgspec.structs.replace(order.intent, tags=backwards))
    assert messages.order_bytes(again) == messages.order_bytes(order)


@given(samples.decimals, samples.decimals)
def test_decimals_are_exact_and_canonical(quantity: Decimal, price: Decimal) -> None:
    fill = samples.fill(quantity=quantity, price=-price)
    message = pb.Fill.FromString(messages.fill_bytes(samples.order(), fill))
    assert (Decimal(message.quantity), Decimal(message.price)) == (quantity, -price)
    for text in (message.quantity, message.price):
        assert "e" not in text.lower()
        assert canonical(Decimal(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1e-18"), "0.000000000000000001"),
        (Decimal("1E+12"), "1000000000000"),
        (Decimal("100"), "100"),
        (Decimal("1.500"), "1.5"),
        (Decimal("-0.0"), "0"),
        (None, ""),
    ],
)
def test_the_wire_form_of_a_decimal(value: Decimal | None, text: str) -> None:
    assert messages.text_of(value) == text


@given(samples.times)
def test_times_are_exact_to_the_microsecond(moment: datetime) -> None:
    field = pb.Order().created_time
    times.set_time(field, moment)
    assert field.ToDatetime(UTC) == moment
    assert field == _reference(moment)


@given(st.datetimes(timezones=st.just(UTC)))
@example(datetime(1970, 1, 1, tzinfo=UTC))
@example(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
def test_a_time_as_bytes_is_protobufs(moment: datetime) -> None:
    order = pb.Order()
    times.set_time(order.created_time, moment)
    tag = splice.tag(pb.Order.DESCRIPTOR, "created_time")
    assert times.time_field(tag, moment) == order.SerializeToString()
    assert times.time_field(tag, None) == b""


def test_the_epoch_is_a_time_and_not_absent() -> None:
    order = pb.Order()
    times.set_time(order.created_time, datetime(1970, 1, 1, tzinfo=UTC))
    assert order.HasField("created_time")
    times.set_time(order.updated_time, None)
    assert not order.HasField("updated_time")


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    field = pb.Order().created_time
    times.set_time(field, samples.NOON.astimezone(timezone(timedelta(hours=-5))))
    assert field == _reference(samples.NOON)


def test_a_fill_event_carries_its_fill() -> None:
    order = samples.full_order()
    message = messages.event_message(samples.filled(order, samples.fill()), 300)
    assert (message.type, message.from_status) == (pb.ORDER_EVENT_TYPE_FILL, pb.ORDER_STATUS_ACCEPTED)
    assert message.to_status == pb.ORDER_STATUS_PARTIALLY_FILLED
    assert (message.fill.execution_id, message.fill.fee, message.fill.trade_id) == ("e-1", "0.01", "trade-1")
    assert message.fill.status == pb.FILL_STATUS_LIVE
    assert (message.version, message.trace_id) == (5, "trace-1")
    # A reason whose origin is no event source keeps its words.
    assert message.reason == pb.StatusReason(code="late")
    assert message.broker_time.ToDatetime(UTC) == samples.NOON - timedelta(seconds=1)


def test_every_field_of_a_fill_arrives() -> None:
    message = messages.fill_message(samples.full_order(), samples.fill())
    assert {field.name for field, _ in message.ListFields()} == {field.name for field in pb.Fill.DESCRIPTOR.fields}


def test_a_multileg_parent_fills_without_a_fill() -> None:
    message = messages.event_message(samples.filled(samples.order(), None), 7)
    assert not message.HasField("fill")


def test_a_correction_carries_the_new_fill_and_names_the_old() -> None:
    old = samples.fill(status=FillStatus.CORRECTED)
    new = samples.fill(fill_id=FillId("f-2"), quantity=Decimal(3))
    order = samples.order(fills=(old, new))
    message = messages.event_message(samples.corrected(order, removed=old, added=new), 7)
    assert (message.fill.fill_id, message.fill.quantity) == ("f-2", "3")
    assert [(fill.fill_id, fill.status) for fill in message.other_fills] == [("f-1", pb.FILL_STATUS_CORRECTED)]


def test_a_bust_carries_the_fills_taken_back() -> None:
    first = samples.fill(status=FillStatus.BUSTED)
    second = samples.fill(fill_id=FillId("f-2"), status=FillStatus.BUSTED)
    kept = samples.fill(fill_id=FillId("f-3"))
    order = samples.order(fills=(first, second, kept))
    message = messages.event_message(samples.busted(order, first, second), 7)
    assert (message.fill.fill_id, message.fill.status) == ("f-1", pb.FILL_STATUS_BUSTED)
    assert [fill.fill_id for fill in message.other_fills] == ["f-2"]


def test_the_first_event_has_no_state_before() -> None:
    message = messages.event_message(samples.created(samples.order()), 7)
    assert (message.type, message.from_status) == (pb.ORDER_EVENT_TYPE_CREATED, pb.ORDER_STATUS_UNSPECIFIED)
    assert not message.HasField("broker_time")


@pytest.mark.parametrize("pair", [value for value in vars(enums).values() if isinstance(value, enums.Words)])
def test_every_number_of_the_wire_has_a_word_and_back(pair: enums.Words[enums.Word, int]) -> None:
    for word, number in pair.number.items():
        assert number > 0
        assert pair.word[number] is word
    assert len(pair.word) == len(pair.number)


@pytest.mark.parametrize(
    ("pair", "wire"),
    [
        (enums.STATUS, pb.OrderStatus),
        (enums.EVENT_TYPE, pb.OrderEventType),
        (enums.SOURCE, pb.EventSource),
        (enums.TYPE, pb.OrderType),
        (enums.TIME_IN_FORCE, pb.TimeInForce),
        (enums.ASSET_CLASS, pb.AssetClass),
        (enums.FILL_STATUS, pb.FillStatus),
    ],
)
def test_the_wire_knows_no_word_that_the_core_lacks(pair: enums.Words[enums.Word, int], wire: object) -> None:
    assert sorted(pair.word) == sorted(number for number in wire.values() if number)  # type: ignore[attr-defined]


def test_every_event_has_a_type_on_the_wire() -> None:
    assert set(TYPE_OF.values()) == set(enums.EVENT_TYPE.number)


@given(st.none() | samples.decimals, st.none() | samples.decimals)
def test_a_pending_trail_is_the_one_the_order_has(price: Decimal | None, percent: Decimal | None) -> None:
    whole = samples.full_order()
    assert whole.pending_replace is not None
    terms: Terms = msgspec.structs.replace(whole.terms, trail_price=price, trail_percent=percent)
    pending = msgspec.structs.replace(whole.pending_replace, terms=terms)
    message = messages.order_message(msgspec.structs.replace(whole, pending_replace=pending))
    assert message.pending_replace_terms.trail == messages.text_of(price if price is not None else percent)


def _reference(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
