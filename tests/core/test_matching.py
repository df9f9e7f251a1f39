"""Whose order is it?"""

import msgspec
import pytest

from orderd.core.facts import View
from orderd.core.matching import Index, is_withheld, leg_of, match
from orderd.core.order import Order, OrderClass, OrderRole, OrderType, Phase, Side
from orderd.core.values import BrokerOrderId, ClientOrderId, OrderId
from tests.core.builders import ACCEPTED, after, created, intent, multileg, replace, seen, terms
from tests.core.test_chains import BOUND


def view(**changes: object) -> View:
    stranger = seen(created(), 1, Phase.WORKING, client_order_id="")
    return msgspec.structs.replace(stranger, **({"broker_order_id": BrokerOrderId("b-9")} | changes))


def known_as(order_id: str, key: str = "", **changes: object) -> Order:
    return created(
        intent(client_order_id=ClientOrderId(key or f"key-{order_id}")), order_id=OrderId(order_id), **changes
    )


def test_by_any_broker_id_of_the_chain() -> None:
    index = Index([BOUND])
    assert match(view(broker_order_id="b-1"), index) is BOUND
    assert match(view(broker_order_id="b-2"), index) is BOUND
    assert match(view(broker_order_id="b-3", replaces="b-2"), index) is BOUND
    assert match(view(broker_order_id="b-3"), index) is None


def test_then_by_client_id_also_by_the_one_a_replace_carries() -> None:
    unplaced, asked = known_as("o-1"), after(ACCEPTED, replace(limit_price=terms().limit_price + 1))
    index = Index([unplaced, asked])
    assert match(view(client_order_id="key-o-1"), index) is unplaced
    assert match(view(client_order_id="key-r-1"), index) is asked
    assert match(view(client_order_id="key-o-2"), index) is None


def test_a_broker_id_outweighs_a_client_id() -> None:
    other = known_as("o-2")
    index = Index([after(ACCEPTED), other])
    assert match(view(broker_order_id="b-1", client_order_id="key-o-2"), index) is not other


def test_imported_references_name_nothing() -> None:
    index = Index([known_as("o-1", is_external=True, broker_client_reference="theirs")])
    assert match(view(client_order_id="theirs"), index) is None
    assert match(view(client_order_id="key-o-1"), index) is None


def test_then_as_a_leg_of_a_known_parent() -> None:
    parent = after(ACCEPTED)
    leg = known_as("o-2", parent_order_id=parent.order_id)
    index = Index([parent, leg])
    assert match(view(), index, parent=parent) is leg
    assert match(view(parent_broker_order_id="b-1"), index) is leg
    assert match(view(parent_broker_order_id="b-7"), index) is None
    assert match(view(symbol="MSFT"), index, parent=parent) is None
    assert match(view(client_order_id="key-o-2"), index) is None


def test_legs_are_told_apart_by_symbol_side_and_order() -> None:
    buy, sell = (
        known_as("o-2", leg_number=1),
        created(intent(side=Side.SELL), order_id=OrderId("o-3"), leg_number=2),
    )
    second = known_as("o-4", leg_number=3)
    legs = [second, sell, buy]
    assert leg_of(view(side=Side.SELL), legs) is sell
    assert leg_of(view(), legs) is buy
    placed = msgspec.structs.replace(buy, links=after(ACCEPTED).links)
    assert leg_of(view(), [second, placed]) is second


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        (OrderType.LIMIT, OrderRole.TAKE_PROFIT),
        (OrderType.STOP, OrderRole.STOP_LOSS),
        (OrderType.STOP_LIMIT, OrderRole.STOP_LOSS),
        (OrderType.TRAILING_STOP, OrderRole.STOP_LOSS),
        (OrderType.MARKET, OrderRole.EXIT),
    ],
)
def test_a_brackets_legs_are_told_apart_by_what_they_do(kind: OrderType, role: OrderRole) -> None:
    roles = (OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS, OrderRole.EXIT)
    legs = [created(intent(role=each), order_id=OrderId(each), leg_number=number) for number, each in enumerate(roles)]
    found = leg_of(view(terms=terms(type=kind)), legs)
    assert found is not None
    assert found.order_id == role


def test_a_leg_whose_terms_are_not_told_is_the_next_one() -> None:
    legs = [created(intent(role=OrderRole.STOP_LOSS), leg_number=1)]
    assert leg_of(view(terms=None), legs) is legs[0]


def test_what_may_be_a_leg_of_an_unanswered_order_is_not_external_yet() -> None:
    unanswered = Index([multileg()])
    assert is_withheld(view(symbol="AAPL260116C00200000"), unanswered)
    assert not is_withheld(view(symbol="AAPL260116C00230000"), unanswered)
    assert not is_withheld(view(symbol=""), unanswered)
    assert not is_withheld(view(symbol="AAPL260116C00200000"), Index([after(ACCEPTED, start=multileg())]))
    assert not is_withheld(view(), Index([after()]))
    assert is_withheld(view(), Index([created(intent(order_class=OrderClass.BRACKET))]))
