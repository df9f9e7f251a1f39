"""The first time a broker's order and ours meet: what is adopted, what is revived, what is never ours."""

import msgspec
import pytest

from orderd.core.events import EventType
from orderd.core.facts import GaveUp, Refused
from orderd.core.lifecycle import imported
from orderd.core.order import AssetClass, EventSource, Order, OrderState, Phase, Side
from orderd.core.verdicts import Apply, Impossible, Stale
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    SENT,
    Told,
    after,
    applied,
    by_notional,
    cancel,
    created,
    dec,
    executed,
    fill,
    kinds,
    needs,
    report,
    steps,
    successor,
    tell,
    terms,
    when,
)
from tests.core.test_own_facts import denied, gave_up, lost, refused
from tests.core.test_resolve import settle

S = OrderState


@pytest.mark.parametrize("start", [after(), after(lost())], ids=["submitted", "unknown"])
def test_a_yes_gives_it_the_brokers_id(start: Order) -> None:
    order = after(QUEUED, start=start)
    assert (order.state, order.broker_order_id, order.reason) == (S.SUBMITTED, "b-1", None)


@pytest.mark.parametrize(
    "difference",
    [
        {"symbol": "MSFT"},
        {"side": Side.SELL},
        {"asset_class": AssetClass.CRYPTO},
        {"terms": terms(quantity=dec("11"))},
        {"terms": terms(quantity=None, notional=dec("200"))},
        {"client_order_id": "key-2"},
    ],
)
def test_another_order_is_never_adopted(difference: dict[str, object]) -> None:
    order = after(lost())
    start = by_notional("100") if "notional" in str(difference.get("terms")) and "200" in str(difference) else order
    verdict = tell(start, report(Phase.WORKING, "new", **difference))
    assert isinstance(verdict, Impossible)
    assert kinds(verdict) == ["ADOPTION_MISMATCH"]
    assert "is not this one" in verdict.explanation


def test_what_the_broker_does_not_print_does_not_differ() -> None:
    told = report(Phase.WORKING, "new", symbol="", side=None, asset_class=None, client_order_id="", terms=None)
    assert after(told).state is S.ACCEPTED


def test_other_type_and_price_are_adopted_and_restated() -> None:
    story = steps(after(lost()), report(Phase.WORKING, "new", terms=terms(limit_price=dec("20.01"))))
    assert [s.type for s in story] == [EventType.ACKNOWLEDGED, EventType.RESTATED, EventType.ACCEPTED]
    assert story[-1].after.terms.limit_price == dec("20.01")


def test_legs_and_imported_orders_have_their_own_client_ids() -> None:
    for known in ({"parent_order_id": "o-0"}, {"is_external": True}):
        order = after(SENT, start=created(**known))
        assert after(report(Phase.WORKING, "new", client_order_id="theirs"), start=order).state is S.ACCEPTED


def test_an_order_of_a_restored_backup_is_found_alive() -> None:
    story = steps(created(), ACCEPTED)
    assert [s.type for s in story] == [EventType.OUTCOME_UNKNOWN, EventType.ACKNOWLEDGED, EventType.ACCEPTED]


def test_what_was_denied_is_never_the_brokers() -> None:
    verdict = tell(after(denied(), start=created()), ACCEPTED)
    assert isinstance(verdict, Impossible)
    assert kinds(verdict) == ["ADOPTION_MISMATCH"]


@pytest.mark.parametrize(
    ("told", "state"), [(ACCEPTED, S.ACCEPTED), (QUEUED, S.SUBMITTED), (fill("e-1", "4"), S.PARTIALLY_FILLED)]
)
@pytest.mark.parametrize("end", [gave_up("NOT_PLACED"), refused()])
def test_what_we_took_for_absent_or_refused_is_revived_by_a_live_report(
    end: Told, told: Told, state: OrderState
) -> None:
    ended = after(lost(), end)
    verdict = applied(tell(ended, told))
    assert (verdict.order.state, verdict.order.closed_time) == (state, None)
    assert "REVIVED" in kinds(verdict)


def test_it_may_have_ended_there_as_well() -> None:
    verdict = applied(tell(after(lost(), gave_up()), CANCELED))
    assert (verdict.order.state, kinds(verdict)) == (S.CANCELED, ["REVIVED"])


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (after(refused()), report(Phase.REJECTED, "rejected")),
        (after(cancel(), start=created()), CANCELED),
    ],
)
def test_the_same_end_at_the_broker_is_no_contradiction(start: Order, told: Told) -> None:
    verdict = applied(tell(start, told))
    assert (verdict.order.state, kinds(verdict), verdict.order.broker_order_id) == (start.state, [], "b-1")


def test_a_cancel_that_was_answered_without_the_broker_is_still_wanted() -> None:
    order = after(ACCEPTED, start=after(cancel(), start=created()))
    assert (order.state, order.pending_cancel, order.cancel_asked_by) == (S.ACCEPTED, True, EventSource.ENGINE)


def test_an_execution_before_any_view_asks_for_the_order() -> None:
    assert needs(tell(after(), executed("e-1", "4", cum="4", on="b-1"))) == [("ORDER", "b-1")]


def test_an_operators_end_gives_way_to_a_living_order() -> None:
    order = after(ACCEPTED, settle(S.CANCELED))
    verdict = applied(tell(order, ACCEPTED))
    assert (verdict.order.state, kinds(verdict), verdict.order.pending_cancel) == (S.ACCEPTED, ["REVIVED"], False)


@pytest.mark.parametrize("state", [S.CANCELED, S.EXPIRED])
def test_an_operators_end_gives_way_to_a_fill(state: OrderState) -> None:
    order = after(ACCEPTED, settle(state))
    verdict = applied(tell(order, fill("e-1", "4")))
    assert (verdict.order.state, kinds(verdict)) == (S.PARTIALLY_FILLED, ["REVIVED"])
    full = applied(tell(order, fill("e-1", "10")))
    assert (full.order.state, kinds(full)) == (S.FILLED, ["REVIVED"])


def test_an_operators_end_gives_way_to_a_successor() -> None:
    order = after(ACCEPTED, settle(S.CANCELED))
    verdict = applied(tell(order, successor(Phase.WORKING, "new", is_asked=False)))
    assert (verdict.order.state, kinds(verdict)) == (S.ACCEPTED, ["REVIVED"])


def test_a_replaced_import_lives_on_in_its_successor() -> None:
    found = msgspec.structs.replace(after(ACCEPTED), state=S.REPLACED, is_external=True)
    order = imported(found, source=EventSource.IMPORT).after
    verdict = applied(tell(order, successor(Phase.WORKING, "new", is_asked=False)))
    assert (verdict.order.state, kinds(verdict)) == (S.ACCEPTED, [])


def test_a_brokers_own_end_stays_beside_a_successor() -> None:
    verdict = tell(after(ACCEPTED, EXPIRED), successor(Phase.WORKING, "new", is_asked=False))
    assert isinstance(verdict, Apply)
    assert (verdict.order.state, kinds(verdict)) == (S.EXPIRED, ["ENDED_BUT_LIVE"])


def test_a_late_refusal_or_giving_up_of_ours_has_a_time() -> None:
    order = after(lambda o, n: GaveUp(at=when(7), source=EventSource.ENGINE, code="STALE"))
    assert order.closed_time == when(7)
    order = after(lambda o, n: Refused(at=when(8), source=EventSource.BROKER_REPLY, code="no"))
    assert order.closed_time == when(8)


def test_a_chain_begins_with_its_eldest() -> None:
    """A leg that was replaced before its parent named it: only its successor is named."""
    verdict = tell(after(lost()), successor(Phase.WORKING, "new"))
    assert (isinstance(verdict, Stale), needs(verdict)) == (True, [("ORDER", "b-1")])
