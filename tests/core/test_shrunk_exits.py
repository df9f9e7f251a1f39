"""A broker shrinks a protective leg while its sibling fills: it may first be seen with less than was asked for."""

from decimal import Decimal

from orderd.core.order import Order, OrderClass, OrderRole, Phase
from orderd.core.values import OrderId
from orderd.core.verdicts import Impossible
from tests.core.builders import SENT, after, created, intent, kinds, report, tell, terms

PARENT = OrderId("o-0")


def leg(order_class: OrderClass) -> Order:
    order = created(intent(order_class=order_class, role=OrderRole.STOP_LOSS), parent_order_id=PARENT, leg_number=1)
    return after(SENT, start=order)


def test_an_exit_is_bound_with_the_quantity_it_stands_at() -> None:
    order = leg(OrderClass.BRACKET)
    bound = after(report(Phase.QUEUED, "held", terms=terms(quantity=Decimal(7))), start=order)
    assert (bound.broker_order_id, bound.terms.quantity) == ("b-1", Decimal(7))


def test_a_leg_of_a_strategy_has_the_quantity_that_was_sent() -> None:
    order = leg(OrderClass.MULTILEG)
    verdict = tell(order, report(Phase.QUEUED, "held", terms=terms(quantity=Decimal(7))))
    assert isinstance(verdict, Impossible)
    assert kinds(verdict) == ["ADOPTION_MISMATCH"]


def test_an_exit_in_another_symbol_is_never_adopted() -> None:
    order = leg(OrderClass.BRACKET)
    told = report(Phase.QUEUED, "held", symbol="MSFT")
    assert isinstance(tell(order, told), Impossible)
