"""Replace: one logical order, a chain of broker orders, terms that change on proof."""

import pytest

from orderd.core.events import EventType
from orderd.core.order import Order, OrderState, Phase
from orderd.core.verdicts import Impossible, Stale
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    Told,
    after,
    applied,
    cancel,
    dec,
    executed,
    fill,
    kinds,
    needs,
    replace,
    report,
    steps,
    successor,
    tell,
    terms,
)

S = OrderState
ASKED = after(ACCEPTED, replace(limit_price=dec("21"), quantity=dec("8")))
BOUND = after(successor(Phase.WORKING, "new"), start=ASKED)
ELDER = {"broker_order_id": "b-1", "client_order_id": "key-1"}


def elder(phase: Phase, status: str = "", **changes: object) -> Told:
    return report(phase, status, **(ELDER | changes))


def chain(order: Order) -> list[str]:
    return [link.broker_order_id for link in order.links]


def test_a_working_successor_proves_the_replace() -> None:
    story = steps(ASKED, successor(Phase.WORKING, "new"))
    assert [s.type for s in story] == [EventType.REPLACED]
    order = story[0].after
    assert (chain(order), order.pending_replace) == (["b-1", "b-2"], None)
    assert (order.terms.limit_price, order.terms.quantity, order.state) == (dec("21"), dec("8"), S.ACCEPTED)
    assert order.intent.terms == terms()


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.PENDING_REPLACE, Phase.UNKNOWN])
def test_a_200_is_not_yet_success(phase: Phase) -> None:
    verdict = tell(ASKED, successor(phase))
    assert isinstance(verdict, Stale)
    assert needs(verdict) == [("ORDER", "b-1")]
    assert after(successor(phase), start=ASKED) == ASKED


def test_the_elders_word_proves_it_and_its_successor_is_read() -> None:
    told = applied(tell(ASKED, elder(Phase.REPLACED, replaced_by="b-2")))
    assert (needs(told), told.order.broker_status, told.order.pending_replace is None) == (
        [("ORDER", "b-2")],
        "replaced",
        False,
    )
    order = after(successor(Phase.QUEUED, "pending_new"), start=told.order)
    assert (chain(order), order.pending_replace, order.terms.quantity) == (["b-1", "b-2"], None, 8)


def test_replaced_by_nobody_knows_whom_is_read_again() -> None:
    assert needs(tell(ASKED, elder(Phase.REPLACED))) == [("ORDER", "b-1")]


def test_an_execution_of_a_replaced_order_asks_for_its_successor_again() -> None:
    replaced = after(elder(Phase.REPLACED, replaced_by="b-2"), start=ASKED)
    assert needs(tell(replaced, executed("e-1", "2", cum="2", on="b-1"))) == [("ORDER", "b-1")]


def test_replaced_after_its_end_asks_for_nothing() -> None:
    ended = after(ACCEPTED, fill("e-1", "10"))
    assert needs(tell(ended, elder(Phase.REPLACED, replaced_by="b-2", filled_quantity="10"))) == []


def test_a_fill_on_the_new_id_before_the_ack_binds_it() -> None:
    asked = terms(limit_price=dec("21"), quantity=dec("8"))
    story = steps(ASKED, fill("e-1", "3", "21", on="b-2", client_order_id="key-r-1", replaces="b-1", terms=asked))
    assert [s.type for s in story] == [EventType.REPLACED, EventType.FILL]
    assert (story[-1].after.state, story[-1].after.filled_quantity, story[-1].after.leaves_quantity) == (
        S.PARTIALLY_FILLED,
        3,
        5,
    )


def test_fills_on_the_old_id_count_after_the_replace_too() -> None:
    order = after(executed("e-1", "3", cum="3", on="b-1"), fill("e-2", "5", "21", on="b-2"), start=BOUND)
    assert (order.state, order.filled_quantity) == (S.FILLED, 8)


def test_the_old_order_may_fill_first() -> None:
    order = after(fill("e-1", "10", on="b-1"), start=ASKED)
    assert (order.state, order.pending_replace, order.terms) == (S.FILLED, None, terms())
    late = tell(order, successor(Phase.REJECTED, "rejected", client_order_id="key-r-1"))
    assert isinstance(late, Stale)
    assert needs(late) == [("ORDER", "b-1")]


def test_a_rejected_successor_is_a_refused_replace_and_the_old_id_is_read() -> None:
    verdict = applied(tell(ASKED, successor(Phase.REJECTED, "rejected", reason_text="too late")))
    assert [s.type for s in verdict.steps] == [EventType.REPLACE_REFUSED]
    assert (verdict.order.state, verdict.order.pending_replace, chain(verdict.order)) == (S.ACCEPTED, None, ["b-1"])
    assert needs(verdict) == [("ORDER", "b-1")]


def test_a_rejected_successor_of_an_elder_that_is_gone_is_the_end() -> None:
    order = after(elder(Phase.REPLACED, replaced_by="b-2"), successor(Phase.REJECTED, "rejected"), start=ASKED)
    assert (order.state, chain(order)) == (S.REJECTED, ["b-1", "b-2"])


@pytest.mark.parametrize("phase", [Phase.CANCELED, Phase.EXPIRED, Phase.REPLACED, Phase.FILLED])
def test_a_terminal_word_about_an_elder_id_ends_nothing(phase: Phase) -> None:
    verdict = tell(BOUND, elder(phase))
    assert isinstance(verdict, Stale)
    assert after(elder(phase), start=BOUND).state is S.ACCEPTED


def test_a_terminal_word_about_the_working_id_ends_the_order() -> None:
    assert after(CANCELED, start=BOUND).state is S.CANCELED


def test_a_replace_to_what_is_filled_meanwhile_fills_it() -> None:
    filled = after(fill("e-1", "8", on="b-1"), start=ASKED)
    assert filled.state is S.PARTIALLY_FILLED
    order = after(successor(Phase.WORKING, "new"), start=filled)
    assert (order.state, order.terms.quantity) == (S.FILLED, 8)


# ------------------------------------------------------------------------------------------------ replaced by others


def test_a_person_replaced_it_the_successor_is_read_and_bound_with_its_own_terms() -> None:
    working = after(ACCEPTED)
    told = applied(tell(working, elder(Phase.REPLACED, replaced_by="b-2")))
    assert needs(told) == [("ORDER", "b-2")]
    theirs = successor(Phase.WORKING, "new", is_asked=False, terms=terms(quantity=dec("30")))
    story = steps(told.order, theirs)
    assert [s.type for s in story] == [EventType.RESTATED, EventType.ACCEPTED][: len(story)]
    order = story[-1].after
    assert (chain(order), order.terms.quantity, order.state) == (["b-1", "b-2"], 30, S.ACCEPTED)
    assert story[0].event.reason is not None
    assert story[0].event.reason.code == "REPLACED_AT_BROKER"


def test_a_successor_that_says_nothing_of_its_terms_keeps_ours() -> None:
    order = after(ACCEPTED, successor(Phase.WORKING, "new", is_asked=False, terms=None))
    assert (chain(order), order.terms) == (["b-1", "b-2"], terms())


def test_a_successor_that_only_a_message_tells_is_read_before_it_is_bound() -> None:
    """Its terms are nobody's here, and its client id may be a lie: a message cannot be asked again."""
    for order in (after(ACCEPTED), after(ACCEPTED, replace(quantity=dec("12")))):
        verdict = tell(order, successor(Phase.WORKING, "new", is_asked=False, asked_ns=None))
        assert isinstance(verdict, Stale)
        assert needs(verdict) == [("ORDER", "b-2")]


def test_a_persons_replace_is_not_taken_for_ours() -> None:
    theirs = successor(Phase.WORKING, "new", is_asked=False, terms=terms(quantity=dec("30")))
    order = after(elder(Phase.REPLACED, replaced_by="b-2"), theirs, start=ASKED)
    assert (order.terms.quantity, order.pending_replace is not None) == (30, True)


def test_a_broker_without_client_ids_is_believed_to_have_done_what_we_asked() -> None:
    order = after(successor(Phase.WORKING, "new", client_order_id=""), start=ASKED)
    assert (order.terms.quantity, order.pending_replace) == (8, None)


def test_filled_at_the_old_quantity_it_lives_on_in_a_larger_successor() -> None:
    """The elder's last fills overtook the word of its replacement."""
    filled = after(ACCEPTED, fill("e-1", "10"))
    theirs = successor(Phase.WORKING, "new", is_asked=False, terms=terms(quantity=dec("11")))
    verdict = applied(tell(filled, theirs))
    assert (verdict.order.state, verdict.order.leaves_quantity, kinds(verdict)) == (S.PARTIALLY_FILLED, 1, [])
    assert after(successor(Phase.WORKING, "new", is_asked=False), start=filled).state is S.FILLED


def test_an_order_that_follows_nothing_is_never_bound() -> None:
    verdict = tell(BOUND, report(Phase.WORKING, "new", broker_order_id="b-7", replaces="b-6"))
    assert isinstance(verdict, Impossible)
    assert "follows none" in verdict.explanation
    assert kinds(verdict) == ["SECOND_BROKER_ORDER"]


def test_who_follows_a_successor_that_is_not_proven_yet_is_no_second_order() -> None:
    """Two replaces by a person, and the broker's words about both elders could not be read."""
    working = after(ACCEPTED)
    second = successor(Phase.UNKNOWN, "galloping", is_asked=False)
    third = report(
        Phase.WORKING, "new", broker_order_id="b-3", replaces="b-2", client_order_id="theirs", asked_ns=10**7
    )
    for told, wanted in ((second, "b-1"), (third, "b-2")):
        verdict = tell(working, told)
        assert isinstance(verdict, Stale)
        assert (needs(verdict), kinds(verdict)) == ([("ORDER", wanted)], [])
    order = after(elder(Phase.REPLACED, replaced_by="b-2"), second, third, start=working)
    assert (chain(order), order.state) == (["b-1", "b-2", "b-3"], S.ACCEPTED)


def test_a_chain_of_three() -> None:
    again = after(replace("r-2", limit_price=dec("22")), start=BOUND)
    third = report(
        Phase.WORKING,
        "new",
        broker_order_id="b-3",
        replaces="b-2",
        client_order_id="key-r-2",
        terms=again.pending_replace.terms if again.pending_replace else None,
    )
    order = after(third, start=again)
    assert (chain(order), order.terms.limit_price, len(order.replace_requests)) == (["b-1", "b-2", "b-3"], 22, 2)
    late = after(executed("e-1", "1", cum="1", on="b-1"), executed("e-2", "2", cum="2", on="b-2"), start=order)
    assert late.filled_quantity == 3


# ------------------------------------------------------------------------- whether a successor counts from zero or not


def partly() -> Order:
    """Three on the old id, then replaced to a total of eight."""
    filled = after(fill("e-1", "3", on="b-1"), start=ASKED)
    return after(successor(Phase.WORKING, "new"), start=filled)


@pytest.mark.parametrize(("figure", "cum"), [("5", "5"), ("8", "8")], ids=["from zero", "from the chain's total"])
def test_both_ways_of_counting_are_understood(figure: str, cum: str) -> None:
    order = after(fill("e-2", "5", "21", cum=cum, on="b-2", filled_quantity=figure), start=partly())
    assert (order.state, order.filled_quantity) == (S.FILLED, 8)


def test_a_figure_that_is_the_chains_total_asks_for_nothing_while_it_lives() -> None:
    assert needs(tell(partly(), report(Phase.WORKING, "new", filled_quantity="3", average_price="20"))) == []


def test_but_an_end_with_it_waits_until_executions_were_asked_for() -> None:
    told = applied(tell(partly(), report(Phase.CANCELED, filled_quantity="3", average_price="20")))
    assert (told.order.state, needs(told)) == (S.PARTIALLY_FILLED, [("EXECUTIONS", "b-2")])
    order = after(report(Phase.CANCELED, filled_quantity="3", average_price="20", may_infer=True), start=told.order)
    assert (order.state, order.filled_quantity) == (S.CANCELED, 3)


def test_nothing_is_inferred_across_a_chain() -> None:
    verdict = tell(partly(), report(Phase.CANCELED, filled_quantity="2", average_price="21", may_infer=True))
    assert kinds(verdict) == ["EXECUTIONS_MISSING"]
    order = applied(verdict).order
    assert (order.state, order.filled_quantity) == (S.CANCELED, 3)
    late = after(executed("e-2", "2", "21", cum="2", on="b-2"), start=order)
    assert (late.state, late.filled_quantity) == (S.CANCELED, 5)


def test_a_cancel_during_a_replace_is_remembered_for_the_surviving_id() -> None:
    order = after(cancel(), successor(Phase.WORKING, "new"), start=ASKED)
    assert (order.pending_cancel, order.broker_order_id) == (True, "b-2")
