"""The table of differences, and what settles each of them."""

import msgspec
import pytest

from orderd.core.discrepancies import RULES, DiscrepancyKind, Effect, Settling, is_settled
from orderd.core.facts import View
from orderd.core.order import Order, Phase
from orderd.core.standing import stands
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    after,
    cancel,
    created,
    dec,
    executed,
    fill,
    number_of,
    replace,
    report,
    seen,
)
from tests.core.test_chains import BOUND
from tests.core.test_own_facts import gave_up, lost

K = DiscrepancyKind
FOUR = after(ACCEPTED, fill("e-1", "4"))


def view_of(order: Order, phase: Phase = Phase.WORKING, **changes: object) -> View:
    """The broker's view, later than anything it said before, and agreeing with the order unless told otherwise."""
    said = {"filled_quantity": order.filled_quantity, "average_price": order.average_fill_price} | {
        name: dec(value) if isinstance(value, str) and value[:1].isdigit() else value for name, value in changes.items()
    }
    return msgspec.structs.replace(seen(order, number_of(order) + 100, phase), **said)


def test_every_kind_has_its_rule() -> None:
    assert set(RULES) == set(K)
    halting = {kind for kind, rule in RULES.items() if rule.effect is Effect.ACCOUNT_HALTED}
    assert halting == {kind for kind, rule in RULES.items() if rule.settling is Settling.RESUME}


def test_what_leaves_the_quantity_open_blocks_the_symbol() -> None:
    blocking = {kind for kind, rule in RULES.items() if rule.effect is Effect.SYMBOL_BLOCKED}
    assert {K.QUANTITY_DIFFERS, K.OVERFILL, K.ORDER_VANISHED, K.REVIVED, K.ENDED_BUT_LIVE} < blocking
    assert not blocking & {K.AVERAGE_DIFFERS, K.CANCEL_UNPROVEN, K.REPLACE_UNPROVEN, K.STATE_DIFFERS}


@pytest.mark.parametrize(
    ("kind", "open_on", "settled_on"),
    [
        (K.CANCEL_UNPROVEN, after(ACCEPTED, cancel()), after(ACCEPTED, cancel(), CANCELED)),
        (K.REPLACE_UNPROVEN, after(ACCEPTED, replace(limit_price=dec("22"))), BOUND),
        (K.ORDER_VANISHED, after(ACCEPTED), after(ACCEPTED, CANCELED)),
        (K.OUTCOME_UNPROVEN, after(lost()), after(lost(), ACCEPTED)),
        (K.OUTCOME_UNPROVEN, after(lost()), after(lost(), gave_up())),
        (K.OVERFILL, after(ACCEPTED, fill("e-1", "12")), after(ACCEPTED, fill("e-1", "10"))),
    ],
)
def test_the_record_itself_settles(kind: DiscrepancyKind, open_on: Order, settled_on: Order) -> None:
    assert is_settled(kind, open_on) == ""
    assert is_settled(kind, settled_on) != ""


def test_the_rest_is_not_settled_by_the_record() -> None:
    ended = after(ACCEPTED, fill("e-1", "10"))
    rest = set(K) - {K.CANCEL_UNPROVEN, K.REPLACE_UNPROVEN, K.ORDER_VANISHED, K.OVERFILL, K.OUTCOME_UNPROVEN}
    assert {is_settled(kind, ended) for kind in rest} == {""}


WHOLE = after(executed("e-1", "1", cum="1", on="b-1"), executed("e-2", "3", cum="4", on="b-2"), start=BOUND)
"""A successor that counts from its elder's total on."""
EXECUTIONS_DUE = after(ACCEPTED, report(Phase.CANCELED, filled_quantity=dec("4"), average_price=dec("20")))


@pytest.mark.parametrize(
    ("kind", "order", "view", "answer"),
    [
        (K.STATE_DIFFERS, FOUR, view_of(FOUR), False),
        (K.STATE_DIFFERS, FOUR, view_of(FOUR, Phase.CANCELED), True),
        (K.QUANTITY_DIFFERS, FOUR, view_of(FOUR), False),
        (K.QUANTITY_DIFFERS, FOUR, view_of(FOUR, filled_quantity="3"), True),
        (K.AVERAGE_DIFFERS, FOUR, view_of(FOUR), False),
        (K.AVERAGE_DIFFERS, FOUR, view_of(FOUR, average_price="19"), True),
        (K.EXECUTION_OVERLAPS, FOUR, view_of(FOUR), False),
        (K.EXECUTION_OVERLAPS, EXECUTIONS_DUE, view_of(EXECUTIONS_DUE, Phase.CANCELED, filled_quantity="4"), True),
        (K.EXECUTION_CHANGED, FOUR, view_of(FOUR, average_price="19"), True),
        (K.EXECUTION_CHANGED, BOUND, view_of(BOUND, broker_order_id="b-2"), None),
        (K.EXECUTIONS_MISSING, EXECUTIONS_DUE, view_of(EXECUTIONS_DUE, Phase.CANCELED, filled_quantity="4"), True),
        (K.EXECUTIONS_MISSING, EXECUTIONS_DUE, view_of(EXECUTIONS_DUE, Phase.CANCELED), False),
        (K.EXECUTIONS_MISSING, WHOLE, view_of(WHOLE, Phase.CANCELED, filled_quantity="4"), False),
        (K.EXECUTIONS_MISSING, WHOLE, view_of(WHOLE, Phase.CANCELED, filled_quantity="5"), True),
        (K.PRICE_MISSING, FOUR, view_of(FOUR), False),
        (K.FILLED_SHORT, FOUR, view_of(FOUR, Phase.FILLED), True),
        (K.FILLED_SHORT, FOUR, view_of(FOUR), False),
        (K.FILLED_SHORT, after(CANCELED, start=FOUR), view_of(FOUR, Phase.FILLED), False),
        (K.ENDED_BUT_LIVE, after(ACCEPTED, CANCELED), view_of(after(ACCEPTED)), True),
        (K.ENDED_BUT_LIVE, after(ACCEPTED, CANCELED), view_of(after(ACCEPTED), Phase.CANCELED), False),
        (K.ENDED_BUT_LIVE, FOUR, view_of(FOUR), False),
        (K.ORDER_VANISHED, FOUR, view_of(FOUR), False),
        (K.REVIVED, FOUR, view_of(FOUR), None),
    ],
)
def test_a_new_view_says_whether_a_difference_stands(
    kind: DiscrepancyKind, order: Order, view: View, answer: bool | None
) -> None:
    assert stands(kind, order, view) is answer


def test_a_view_that_says_nothing_about_now_proves_nothing() -> None:
    assert stands(K.QUANTITY_DIFFERS, FOUR, view_of(FOUR, updated_ns=1)) is None, "older than the last word"
    assert stands(K.QUANTITY_DIFFERS, BOUND, view_of(BOUND, broker_order_id="b-1")) is None, "of an elder of the chain"
    assert stands(K.QUANTITY_DIFFERS, created(), view_of(created())) is None, "of an order that is not bound"
