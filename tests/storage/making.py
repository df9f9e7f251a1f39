"""Orders for the journal's tests: short ways to the appends an engine would make."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from orderd.core.events import Accepted, Acknowledged, Canceled, Created, Event, Filled, Step, Submitted
from orderd.core.evolve import evolve
from orderd.core.order import (
    AssetClass,
    BrokerLink,
    EventSource,
    Fill,
    FillStatus,
    Mode,
    Order,
    OrderIntent,
    OrderState,
    OrderType,
    Side,
    Terms,
    TimeInForce,
)
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, ExecutionId, FillId, OrderId
from orderd.ports import Append

START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
_numbers = itertools.count(1)


def moment(number: int) -> datetime:
    """A time of its own for each number, one millisecond apart."""
    return START + timedelta(milliseconds=number)


def order(**changes: Any) -> Order:  # noqa: ANN401 - a test's own words for any field of the order or of its intent
    """A new order that differs from the usual one in these fields of Order or OrderIntent."""
    number = next(_numbers)
    terms = Terms(
        type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=Decimal(10), limit_price=Decimal("187.23")
    )
    intent = OrderIntent(
        account_id=AccountId("paper"),
        client_order_id=ClientOrderId(f"key-{number}"),
        symbol="AAPL",
        side=Side.BUY,
        terms=terms,
    )
    intent_fields = set(OrderIntent.__struct_fields__) - {"terms"}
    of_intent = {name: value for name, value in changes.items() if name in intent_fields}
    of_order = {name: value for name, value in changes.items() if name not in intent_fields}
    plain = Order(
        order_id=OrderId(f"order-{number:08d}"),
        intent=msgspec.structs.replace(intent, **of_intent),
        terms=terms,
        state=OrderState.CREATED,
        broker="simulated",
        mode=Mode.PAPER,
        asset_class=AssetClass.US_EQUITY,
        created_time=moment(number),
        updated_time=moment(number),
    )
    return msgspec.structs.replace(plain, **of_order)


def then(before: Order, *events: Event) -> Append:
    """The append of these events to an order that has events already."""
    return Append(steps=_steps(before, events, is_new=False))


def new(first: Order, *events: Event) -> Append:
    """The append of a new order: CREATED and what follows it."""
    return Append(steps=_steps(first, (created(), *events), is_new=True))


def submitted_order(**changes: Any) -> Append:  # noqa: ANN401 - see order
    """CREATED and SUBMITTED in one append, as the engine makes it."""
    return new(order(**changes), submitted())


def _steps(before: Order, events: tuple[Event, ...], *, is_new: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    for event in events:
        after = evolve(before, event)
        steps.append(Step(event=event, before=None if is_new and not steps else before.state, after=after))
        before = after
    return tuple(steps)


def created() -> Created:
    """The first event."""
    return Created(at=START, source=EventSource.CLIENT)


def submitted() -> Submitted:
    """Handed over."""
    return Submitted(at=START, source=EventSource.ENGINE)


def acknowledged(broker_order_id: str) -> Acknowledged:
    """The broker gave it an id."""
    link = BrokerLink(broker_order_id=BrokerOrderId(broker_order_id), status="pending_new")
    return Acknowledged(at=START, source=EventSource.BROKER_REPLY, link=link)


def accepted() -> Accepted:
    """It works."""
    return Accepted(at=START, source=EventSource.BROKER_STREAM)


def canceled() -> Canceled:
    """It ended."""
    return Canceled(at=START, source=EventSource.BROKER_STREAM)


def fill(fill_id: str, quantity: str = "4", price: str = "187.2", *, recorded: datetime = START) -> Fill:
    """One execution."""
    return Fill(
        fill_id=FillId(fill_id),
        broker_order_id=BrokerOrderId("b-1"),
        cum_after=Decimal(quantity),
        quantity=Decimal(quantity),
        price=Decimal(price),
        status=FillStatus.LIVE,
        source=EventSource.BROKER_STREAM,
        occurred_time=None,
        recorded_time=recorded,
        aliases=(ExecutionId(f"x-{fill_id}"),),
    )


def filled(booked: Fill, to_state: OrderState = OrderState.PARTIALLY_FILLED) -> Filled:
    """The event that books it."""
    return Filled(at=START, source=EventSource.BROKER_STREAM, fill=booked, to_state=to_state)
