"""Orders and requests for the tests of this room: one full example of each, and strategies that make any."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.core.events import Created, FillBusted, FillCorrected, Filled, Step
from orderd.core.order import (
    AssetClass,
    BrokerLink,
    EventSource,
    Fill,
    FillStatus,
    LegIntent,
    Mode,
    Order,
    OrderClass,
    OrderIntent,
    OrderRole,
    OrderState,
    OrderType,
    PendingReplace,
    PositionIntent,
    Side,
    StopLoss,
    Terms,
    TimeInForce,
)
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, ExecutionId, FillId, OrderId, Reason
from orderd.wire.asks import Invalid, SubmitAsk
from orderd.wire.validate_order import submit_ask

NOON = datetime(2025, 1, 17, 12, 0, 0, 123456, tzinfo=UTC)


def request(**changes: Any) -> service_pb.SubmitOrderRequest:  # noqa: ANN401 - any field of the message
    """A limit order that is in order, with changes; None takes a field away."""
    given: dict[str, Any] = {
        "client_order_id": "bot-1",
        "symbol": "AAPL",
        "side": pb.SIDE_BUY,
        "quantity": "10",
        "type": pb.ORDER_TYPE_LIMIT,
        "time_in_force": pb.TIME_IN_FORCE_DAY,
        "limit_price": "150.25",
    }
    given |= changes
    return service_pb.SubmitOrderRequest(**{name: value for name, value in given.items() if value is not None})


def multileg(**changes: Any) -> service_pb.SubmitOrderRequest:  # noqa: ANN401 - any field of the message
    """A vertical spread that is in order, with changes."""
    legs = [
        pb.Leg(symbol="AAPL250117C00150000", ratio=1, side=pb.SIDE_BUY, position_intent=pb.POSITION_INTENT_BUY_TO_OPEN),
        pb.Leg(symbol="AAPL250117C00155000", ratio=1, side=pb.SIDE_SELL),
    ]
    given: dict[str, Any] = {
        "symbol": None,
        "side": None,
        "order_class": pb.ORDER_CLASS_MULTILEG,
        "limit_price": "-1.25",
        "legs": legs,
    }
    return request(**(given | changes))


def intent(**changes: Any) -> OrderIntent:  # noqa: ANN401 - any field of the value
    """An intent of a limit order, with changes."""
    terms = Terms(
        type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=Decimal(10), limit_price=Decimal("150.250")
    )
    plain = OrderIntent(
        account_id=AccountId("paper"),
        client_order_id=ClientOrderId("bot-1"),
        symbol="AAPL",
        side=Side.BUY,
        terms=terms,
        trace_id="trace-1",
    )
    return msgspec.structs.replace(plain, **changes)


def order(**changes: Any) -> Order:  # noqa: ANN401 - any field of the value
    """A new order, with changes."""
    asked = changes.get("intent", intent())
    plain = Order(
        order_id=OrderId("01940000-0000-7000-8000-000000000001"),
        intent=asked,
        terms=asked.terms,
        state=OrderState.CREATED,
        broker="alpaca",
        mode=Mode.PAPER,
        asset_class=AssetClass.US_EQUITY,
        created_time=NOON,
        updated_time=NOON,
        version=1,
        sequence=7,
    )
    return msgspec.structs.replace(plain, **changes)


def fill(**changes: Any) -> Fill:  # noqa: ANN401 - any field of the value
    """A live fill of 4 at 150.20, with changes."""
    plain = Fill(
        fill_id=FillId("f-1"),
        broker_order_id=BrokerOrderId("b-1"),
        cum_after=Decimal(4),
        quantity=Decimal("4.00"),
        price=Decimal("150.20"),
        status=FillStatus.LIVE,
        source=EventSource.BROKER_STREAM,
        occurred_time=NOON - timedelta(seconds=1),
        recorded_time=NOON,
        aliases=(ExecutionId("e-1"), ExecutionId("activity-1")),
        liquidity="added",
        fee=Decimal("0.010"),
    )
    return msgspec.structs.replace(plain, **changes)


def full_intent() -> OrderIntent:
    """An intent in which every optional field has a value."""
    return intent(
        symbol="AAPL250117C00150000",
        order_class=OrderClass.BRACKET,
        position_intent=PositionIntent.BUY_TO_OPEN,
        take_profit=Decimal("160.00"),
        stop_loss=StopLoss(stop_price=Decimal(140), limit_price=Decimal("139.5")),
        legs=(
            LegIntent(symbol="A", ratio=Decimal(1), side=Side.BUY, position_intent=PositionIntent.BUY_TO_OPEN),
            LegIntent(symbol="B", ratio=Decimal(2), side=Side.SELL),
        ),
        decision_id="decision-1",
        trade_id="trade-1",
        decided_time=NOON - timedelta(minutes=1),
        valid_until_time=NOON + timedelta(minutes=1),
        reference_price=Decimal("150.00"),
        strategy="orb",
        role=OrderRole.ENTRY,
        tags=(("a", "1"), ("b", "2"), ("c", "3")),
    )


def full_order() -> Order:
    """An order in which every field that the wire shows has a value."""
    terms = Terms(
        type=OrderType.TRAILING_STOP,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(10),
        notional=Decimal("1000.10"),
        limit_price=Decimal(150),
        stop_price=Decimal(149),
        trail_price=Decimal("1.50"),
        trail_percent=Decimal("2.0"),
        extended_hours=True,
    )
    asked_terms = msgspec.structs.replace(terms, quantity=Decimal(12), trail_price=None)
    return order(
        intent=full_intent(),
        terms=terms,
        state=OrderState.PARTIALLY_FILLED,
        mode=Mode.LIVE,
        asset_class=AssetClass.US_OPTION,
        reason=Reason(code="NOTE", message="why", origin="BROKER_REPLY"),
        links=(BrokerLink(broker_order_id=BrokerOrderId("b-0")), BrokerLink(broker_order_id=BrokerOrderId("b-1"))),
        broker_status="partially_filled",
        fills=(fill(),),
        filled_quantity=Decimal("4.00"),
        filled_value=Decimal("600.80"),
        is_overfilled=True,
        pending_cancel=True,
        pending_replace=PendingReplace(
            request_id="r-1",
            number=1,
            client_order_id=ClientOrderId("r-x"),
            terms=asked_terms,
            asked_time=NOON,
        ),
        submitted_time=NOON + timedelta(seconds=1),
        accepted_time=NOON + timedelta(seconds=2),
        closed_time=NOON + timedelta(seconds=3),
        expires_time=NOON + timedelta(days=1),
        is_external=True,
        broker_client_reference="somebody",
        parent_order_id=OrderId("parent-1"),
        leg_number=2,
        leg_order_ids=(OrderId("leg-1"), OrderId("leg-2")),
        underlying="AAPL",
        multiplier=Decimal(100),
        version=5,
        sequence=300,
    )


def created(of: Order) -> Step:
    """The first event of an order."""
    return Step(event=Created(at=of.updated_time, source=EventSource.CLIENT), before=None, after=of)


def filled(of: Order, booked: Fill | None) -> Step:
    """A fill event of an order."""
    event = Filled(
        at=NOON,
        source=EventSource.BROKER_STREAM,
        broker_time=NOON - timedelta(seconds=1),
        fill=booked,
        to_state=of.state,
        reason=Reason(code="late", origin="elsewhere"),
    )
    return Step(event=event, before=OrderState.ACCEPTED, after=of)


def corrected(of: Order, *, removed: Fill, added: Fill) -> Step:
    """A correction of a fill."""
    event = FillCorrected(
        at=NOON, source=EventSource.RECONCILER, removed=(removed.fill_id,), added=(added,), to_state=of.state
    )
    return Step(event=event, before=of.state, after=of)


def busted(of: Order, *removed: Fill) -> Step:
    """A bust of fills."""
    event = FillBusted(
        at=NOON, source=EventSource.BROKER_STREAM, removed=tuple(each.fill_id for each in removed), to_state=of.state
    )
    return Step(event=event, before=of.state, after=of)


decimals = st.decimals(
    min_value=Decimal("1e-9"), max_value=Decimal("1e12"), allow_nan=False, allow_infinity=False, places=9
)
"""The range that promises.md names: 1e-9 to 1e12."""

times = st.datetimes(
    min_value=datetime.fromisoformat("1900-01-01"),
    max_value=datetime.fromisoformat("2200-01-01"),
    timezones=st.just(UTC),
)
texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)


OPTIONAL = (
    "reason", "links", "broker_status", "is_overfilled", "pending_cancel", "pending_replace", "submitted_time",
    "accepted_time", "closed_time", "expires_time", "is_external", "broker_client_reference", "parent_order_id",
    "leg_number", "leg_order_ids", "underlying", "asset_class", "mode",
)  # fmt: skip
OPTIONAL_INTENT = (
    "symbol", "order_class", "position_intent", "take_profit", "stop_loss", "legs", "decision_id", "trade_id",
    "decided_time", "valid_until_time", "reference_price", "role",
)  # fmt: skip


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Any order: every optional part there or not, independently."""
    whole = full_order()
    kept = {name: getattr(whole, name) for name in OPTIONAL if draw(st.booleans())}
    kept_intent = {name: getattr(whole.intent, name) for name in OPTIONAL_INTENT if draw(st.booleans())}
    terms = Terms(
        type=draw(st.sampled_from(OrderType)),
        time_in_force=draw(st.sampled_from(TimeInForce)),
        quantity=draw(st.none() | decimals),
        notional=draw(st.none() | decimals),
        limit_price=draw(st.none() | decimals.map(lambda value: -value)),
        stop_price=draw(st.none() | decimals),
        extended_hours=draw(st.booleans()),
    )
    tags = draw(st.dictionaries(texts, texts, max_size=8))
    asked = intent(terms=terms, tags=tuple(sorted(tags.items())), strategy=draw(texts), **kept_intent)
    quantity = draw(st.just(Decimal(0)) | decimals)
    return order(
        intent=asked,
        terms=terms,
        state=draw(st.sampled_from(OrderState)),
        filled_quantity=quantity,
        filled_value=quantity * 3,
        created_time=draw(times),
        updated_time=draw(times),
        version=draw(st.integers(1, 2**31 - 1)),
        sequence=draw(st.integers(0, 2**63 - 1)),
        **kept,
    )


def taken(asked: service_pb.SubmitOrderRequest) -> OrderIntent:
    """The intent of a request that must pass."""
    ask = submit_ask(asked, account_id="paper")
    assert isinstance(ask, SubmitAsk), ask
    return ask.intent


def refused(asked: service_pb.SubmitOrderRequest, account_id: str = "paper") -> Invalid:
    """What is wrong with a request that must not pass."""
    ask = submit_ask(asked, account_id=account_id)
    assert isinstance(ask, Invalid), ask
    assert ask.violations
    assert all(violation.field and violation.rule for violation in ask.violations)
    return ask


def fields_of(answer: object) -> list[str]:
    """The fields that a refusal names, in its order."""
    assert isinstance(answer, Invalid), answer
    return [violation.field for violation in answer.violations]
