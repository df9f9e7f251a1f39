"""Whatever a truthful broker's reports go through on their way, the record ends where the broker's books do."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orderd.core.events import Step
from orderd.core.evolve import evolve
from orderd.core.facts import Fact, Reported
from orderd.core.lifecycle import decide
from orderd.core.order import ENDED, Order, OrderState, Phase
from orderd.core.settle import missing
from orderd.core.table import NEXT
from orderd.core.verdicts import Apply, NeedKind
from tests.core.broker_model import Model, agrees
from tests.core.builders import SENT, after, created, intent, replace

ZERO = Decimal(0)
EDGES = {(source, dest) for (source, _), dest in NEXT.items()}


class Recorder:
    """What the engine does around `decide`: takes facts, answers needs by reading the model, in bounded rounds."""

    def __init__(self, model: Model, order: Order, *, renames: bool) -> None:
        self.model = model
        self.order = order
        self.renames = renames
        self.story: list[Step] = []
        self.number = 0

    def take(self, fact: Fact) -> None:
        """Take a fact, then do the reads that it asks for and those that these ask for: never one twice at a time."""
        wanted = self._take(fact)
        for _ in range(20):
            if not wanted:
                return
            need = next(iter(wanted))
            del wanted[need]
            for raised in self._answer(*need):
                if raised != need:
                    wanted[raised] = None
        raise AssertionError(f"the reads never settle it: {wanted}")

    def look(self) -> None:
        """What the reconciler does sooner or later: read the order once more."""
        for book in self.model.books:
            at = self.model.now + timedelta(seconds=self.number)
            for fact in self.model.read(book.broker_order_id, at, self.number + 1, may_infer=True):
                self.take(fact)

    def list_executions(self) -> None:
        """What the reconciler does sooner or later: list the executions again."""
        for book in self.model.books:
            for fact in self.model.listed(book.broker_order_id, self.model.now, self.number, renamed=self.renames):
                self.take(fact)

    def _take(self, fact: Fact) -> dict[tuple[NeedKind, str], None]:
        self.number += 1
        fact = msgspec.structs.replace(fact, heard_ns=self.number)
        wanted: dict[tuple[NeedKind, str], None] = {}
        if isinstance(fact, Reported):
            wanted |= self._elders(fact)
        verdict = decide(self.order, fact)
        if isinstance(verdict, Apply):
            for step in verdict.steps:
                self._check(step)
            self.order = verdict.order
        return wanted | {(need.kind, need.broker_order_id): None for need in verdict.needs}

    def _elders(self, fact: Reported) -> dict[tuple[NeedKind, str], None]:
        """A successor's report that overtook its elders' is matched by reading them first."""
        known = {link.broker_order_id for link in self.order.links}
        if fact.view.broker_order_id in known or not fact.view.replaces or fact.view.replaces in known:
            return {}
        return self._answer(NeedKind.ORDER, fact.view.replaces)

    def _answer(self, kind: NeedKind, broker_order_id: str) -> dict[tuple[NeedKind, str], None]:
        at = self.model.now + timedelta(seconds=self.number)
        wanted: dict[tuple[NeedKind, str], None] = {}
        if kind is NeedKind.EXECUTIONS:
            for fact in self.model.listed(broker_order_id, at, self.number, renamed=self.renames):
                wanted |= self._take(fact)
            link = self.order.link(broker_order_id)
            if link is None or not missing(self.order, link):
                return wanted
        for fact in self.model.read(broker_order_id, at, self.number + 1, may_infer=kind is NeedKind.EXECUTIONS):
            wanted |= self._take(fact)
        return wanted

    def _check(self, step: Step) -> None:
        """The invariants of every single step."""
        before, order = self.order if not self.story else self.story[-1].after, step.after
        self.story.append(step)
        assert evolve(before, step.event) == order
        assert order.version == before.version + 1
        assert before.state is step.before
        assert order.state is before.state or (before.state, order.state) in EDGES
        counted = [f for f in order.fills if f.is_counted]
        assert order.filled_quantity == sum((f.quantity for f in counted), ZERO)
        assert order.filled_value == sum((f.quantity * f.price for f in counted), ZERO)
        assert order.is_open is (order.state not in ENDED)
        assert (order.closed_time is None) is order.is_open
        leaves = max(order.terms.quantity - order.filled_quantity, ZERO) if order.is_open else ZERO
        assert order.leaves_quantity == leaves
        if not order.is_busted:
            assert (order.state is OrderState.FILLED) is (order.filled_quantity >= order.terms.quantity)
        assert {f.fill_id for f in before.fills} <= {f.fill_id for f in order.fills}
        assert len({f.fill_id for f in order.fills}) == len(order.fills)


OPERATIONS: dict[str, st.SearchStrategy[Callable[[Model], None]]] = {
    "work": st.just(Model.work),
    "fill": st.builds(lambda q, p: lambda m: m.fill(q, p), st.integers(1, 6), st.integers(1900, 2100)),
    "expire": st.just(lambda m: m.end(Phase.EXPIRED)),
    "cancel": st.just(lambda m: m.end(Phase.CANCELED)),
    "reject": st.just(lambda m: m.end(Phase.REJECTED)),
    "pending_cancel": st.just(Model.pending_cancel),
    "decline_cancel": st.just(Model.decline_cancel),
    "accept_replace": st.just(Model.accept_replace),
    "decline_replace": st.just(Model.decline_replace),
    "replace_by_person": st.builds(lambda q: lambda m: m.replace_by_person(q), st.integers(5, 30)),
    "late_fill": st.just(Model.late_fill_on_elder),
    "bust": st.builds(lambda i, r: lambda m: m.bust(i, resumes=r), st.integers(0, 5), st.booleans()),
    "correct": st.builds(
        lambda i, q, p: lambda m: m.correct(i, q, p), st.integers(0, 5), st.integers(1, 6), st.integers(1900, 2100)
    ),
}
SIMPLE = ("work", "fill", "fill", "fill", "expire", "cancel", "reject", "pending_cancel", "decline_cancel")
CHAINS = (*SIMPLE, "accept_replace", "decline_replace", "replace_by_person", "late_fill")
BUSTS = ("fill", "fill", "fill", "work", "bust", "bust", "correct", "cancel")


def histories(names: Sequence[str]) -> st.SearchStrategy[list[Callable[[Model], None]]]:
    return st.lists(st.sampled_from(names).flatmap(OPERATIONS.__getitem__), min_size=1, max_size=12)


def acknowledged(model: Model, *, renames: bool) -> Recorder:
    """The record and the books after the acknowledgement."""
    order = after(SENT, start=created(intent(terms=model.book.terms)))
    recorder = Recorder(model, order, renames=renames)
    recorder.take(model.ack)
    return recorder


def ask_replace(recorder: Recorder, quantity: int) -> None:
    """A replace asked right after the acknowledgement; the broker takes or refuses it later."""
    recorder.take(replace("r-1", quantity=Decimal(quantity))(recorder.order, 1))
    recorder.model.pending = recorder.order.pending_replace


def happen(model: Model, history: list[Callable[[Model], None]]) -> None:
    for operation in history:
        operation(model)
    if model.pending is not None:
        model.decline_replace()


def deliver(data: st.DataObject, recorder: Recorder, *, repeats: bool = True) -> None:
    """Every message once, in any order, some again."""
    messages = list(recorder.model.messages)
    if repeats and messages:
        messages += data.draw(st.lists(st.sampled_from(messages), max_size=5), label="told again")
    for fact in data.draw(st.permutations(messages), label="order of arrival"):
        recorder.take(fact)
    recorder.look()


def substance(order: Order) -> Order:
    """The order without what a late word may leave until the next read: the word itself, its time and its reason."""
    links = tuple(msgspec.structs.replace(link, updated_ns=0, status="", reported_average=None) for link in order.links)
    return msgspec.structs.replace(
        order, links=links, broker_status="", reason=None, version=0, heard_ns=0, updated_time=order.created_time
    )


def again_changes_nothing(recorder: Recorder) -> None:
    before = recorder.order
    for fact in recorder.model.messages:
        recorder.take(fact)
    recorder.look()
    assert substance(recorder.order) == substance(before)


@given(data=st.data(), history=histories(SIMPLE), renames=st.booleans())
def test_reports_in_any_order_end_where_the_books_do(
    data: st.DataObject, history: list[Callable[[Model], None]], renames: bool
) -> None:
    model = Model(10)
    recorder = acknowledged(model, renames=renames)
    happen(model, history)
    deliver(data, recorder)
    agrees(recorder.order, model, by_name=not renames)
    again_changes_nothing(recorder)


@settings(max_examples=200)
@given(data=st.data(), history=histories(CHAINS), quantity=st.integers(5, 20), carries_over=st.booleans())
def test_replace_chains_in_any_order_end_where_the_books_do(
    data: st.DataObject, history: list[Callable[[Model], None]], quantity: int, carries_over: bool
) -> None:
    model = Model(10, carries_over=carries_over)
    recorder = acknowledged(model, renames=False)
    ask_replace(recorder, quantity)
    happen(model, history)
    deliver(data, recorder)
    agrees(recorder.order, model)
    assert recorder.order.pending_replace is None
    again_changes_nothing(recorder)


@settings(max_examples=200)
@given(
    data=st.data(),
    before=histories(("fill", "fill", "work")),
    undoing=st.one_of(OPERATIONS["bust"], OPERATIONS["correct"]),
    later=histories(("fill", "fill", "work", "cancel")),
)
def test_a_bust_or_correction_in_any_order_counts_right(
    data: st.DataObject,
    before: list[Callable[[Model], None]],
    undoing: Callable[[Model], None],
    later: list[Callable[[Model], None]],
) -> None:
    """Which of two executions stands, when a bust made the broker count one interval twice, only order can tell."""
    model = Model(10)
    recorder = acknowledged(model, renames=False)
    happen(model, [*before, undoing, *later])
    deliver(data, recorder)
    assert (recorder.order.filled_quantity, recorder.order.is_open) == (model.filled, model.is_open)


@given(data=st.data(), history=histories(BUSTS), renames=st.booleans())
def test_busts_and_corrections_in_order_end_where_the_books_do(
    data: st.DataObject, history: list[Callable[[Model], None]], renames: bool
) -> None:
    """Told again or not, and listed again, perhaps by other ids than the stream used."""
    model = Model(10)
    recorder = acknowledged(model, renames=renames)
    for operation in history:
        told = len(model.messages)
        operation(model)
        for fact in model.messages[told:]:
            recorder.take(fact)
        if model.messages:
            for old in data.draw(st.lists(st.sampled_from(model.messages), max_size=2), label="told again"):
                recorder.take(old)
        recorder.list_executions()
    recorder.look()
    agrees(recorder.order, model)
    again_changes_nothing(recorder)


AMEND = st.builds(lambda i, p: lambda m: m.correct(i, 99, p), st.integers(0, 5), st.integers(1900, 2100))
"""A correction of the price only: the broker's count goes on."""


@settings(max_examples=100)
@given(
    data=st.data(),
    history=st.lists(
        st.one_of(OPERATIONS["fill"], OPERATIONS["fill"], AMEND, AMEND, OPERATIONS["cancel"]), min_size=2, max_size=9
    ),
)
def test_corrected_executions_count_once_whatever_a_list_shows_ahead_of_the_stream(
    data: st.DataObject, history: list[Callable[[Model], None]]
) -> None:
    """Corrections of corrections too, told in any order, with lists in between."""
    model = Model(10, lists_what_became=True)
    recorder = acknowledged(model, renames=False)
    happen(model, history)
    for fact in data.draw(st.permutations(model.messages), label="order of arrival"):
        recorder.take(fact)
        if data.draw(st.booleans(), label="lists are read"):
            recorder.list_executions()
    recorder.look()
    agrees(recorder.order, model)
    for fact in model.messages:
        recorder.take(fact)
    recorder.list_executions()
    agrees(recorder.order, model)
