"""What is written is what is read: any core order, after any event, exactly; and records of other versions are read."""

import asyncio
import itertools
import random
import shutil
import tempfile
import typing
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderd.core.events import Event, Step
from orderd.core.evolve import evolve
from orderd.core.order import Fill, FillStatus, LegIntent, Order, OrderIntent
from orderd.core.values import FillId
from orderd.ports import Append
from orderd.storage import InlineRunner, SqliteJournal, open_journal
from orderd.storage.points import order_of
from orderd.system import SystemClock, SystemIds
from tests.storage import values
from tests.storage.integrity import check
from tests.storage.making import START, created, fill, filled, new, order, submitted

_numbers = itertools.count(1)
_SMALL = st.builds(lambda n: Decimal(n).scaleb(-9), st.integers(0, 10**21))


@pytest.fixture(scope="module")
def empty_journal() -> Iterator[Path]:
    """A journal made once and copied for each example."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"

        async def make() -> None:
            await (await _open(path)).close()

        asyncio.run(make())
        yield path


async def _open(path: Path) -> SqliteJournal:
    runner = InlineRunner(lambda: 0.0)
    return await open_journal(f"sqlite:///{path}", clock=SystemClock(), ids=SystemIds(), runner=runner)


def _fresh(one: Order) -> Order:
    """Ids are what the journal holds unique, so they are made so; everything else stays as it came."""
    number = next(_numbers)
    intent = msgspec.structs.replace(one.intent, client_order_id=f"k-{number}")
    fills = tuple(
        msgspec.structs.replace(f, fill_id=FillId(f"f-{number}-{place}")) for place, f in enumerate(one.fills)
    )
    return msgspec.structs.replace(one, order_id=f"o-{number}", intent=intent, fills=fills, version=0)


_legs = st.lists(values.of(LegIntent, ratio=st.integers(1, 9).map(Decimal)), max_size=2).map(tuple)
_intent = values.of(OrderIntent, legs=_legs)
_orders = values.of(Order, intent=_intent, filled_quantity=_SMALL, sequence=st.just(0)).map(_fresh)
_events = st.one_of([values.of(kind) for kind in typing.get_args(Event)])


@settings(max_examples=60)
@given(orders=st.lists(_orders, min_size=1, max_size=4))
def test_any_order_is_read_back_exactly(empty_journal: Path, orders: list[Order]) -> None:
    async def live(path: Path) -> None:
        journal = await _open(path)
        appends = [new(one) for one in orders]
        results = await journal.append(appends)
        for append, recorded in zip(appends, results, strict=True):
            expected = msgspec.structs.replace(append.order, sequence=recorded.order.sequence)
            assert journal.load(expected.order_id) == expected
            assert recorded.order == expected
        await journal.close()

    _in_a_copy(empty_journal, live)


@settings(max_examples=60)
@given(events=st.lists(_events, min_size=1, max_size=6), chance=st.randoms(use_true_random=False))
def test_after_any_events_the_journal_holds_what_was_folded(
    empty_journal: Path, events: list[Event], chance: random.Random
) -> None:
    async def live(path: Path) -> None:
        journal = await _open(path)
        number = next(_numbers)
        first = order()
        booked = [fill(f"g-{number}-{place}") for place in range(3)]
        (recorded,) = await journal.append([new(first, submitted(), *(filled(one) for one in booked))])
        current = recorded.order
        for place, event in enumerate(events):
            named = _naming(event, current, f"n-{number}-{place}", chance)
            append = Append(steps=(_step(current, named),))
            (recorded,) = await journal.append([append])
            current = recorded.order
            assert journal.load(current.order_id) == current
        await journal.close()

    _in_a_copy(empty_journal, live)


def _step(before: Order, event: Event) -> Step:
    return Step(event=event, before=before.state, after=evolve(before, event))


def _naming(event: Event, current: Order, prefix: str, chance: random.Random) -> Event:
    """Let the event speak of fills that are there, and let those it adds have ids of their own."""
    known = [one.fill_id for one in current.fills]
    changes: dict[str, Any] = {}
    if hasattr(event, "removed"):
        changes["removed"] = tuple(chance.sample(known, chance.randrange(len(known) + 1)))
    if getattr(event, "added_alias", None):
        changes["added_alias"] = (chance.choice(known), "activity-1")
    if isinstance(getattr(event, "fill", None), Fill):
        changes["fill"] = _own(event.fill, f"{prefix}-0")  # type: ignore[union-attr]
    if hasattr(event, "added"):
        changes["added"] = tuple(_own(one, f"{prefix}-{place}") for place, one in enumerate(event.added, start=1))
    return msgspec.structs.replace(event, **changes)


def _own(one: Fill, name: str) -> Fill:
    return msgspec.structs.replace(one, fill_id=FillId(name), quantity=abs(one.quantity), status=FillStatus.LIVE)


def _in_a_copy(empty: Path, live: Callable[[Path], Coroutine[Any, Any, None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orderd.db"
        shutil.copy(empty, path)
        asyncio.run(live(path))
        check(path, is_lived=False)


@pytest.mark.parametrize(
    "digits", ["0", "-0", "0.10", "1E+3", "1e-9", "0.000000001", "123456789012345678901234567890.12345678"]
)
def test_decimals_keep_every_digit(digits: str) -> None:
    one = order(filled_value=Decimal(digits))
    state = msgspec.msgpack.encode(one)
    again = order_of(state, 0, (), opened_at=0)
    assert again == one
    assert str(again.filled_value) == str(Decimal(digits))


def test_a_record_of_another_version_is_read_with_defaults_for_what_it_lacks() -> None:
    one = order(strategy="momentum")
    fields: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(one))
    assert "pending_cancel" not in fields, "defaults are left out, so that a field may be added later"
    fields["a_field_of_tomorrow"] = {"deep": [1, 2]}
    assert order_of(msgspec.msgpack.encode(fields), 0, (), opened_at=0) == one


def test_times_are_of_this_process_only_when_this_process_wrote_them() -> None:
    state = msgspec.msgpack.encode(order(heard_ns=5))
    assert order_of(state, 10, (), opened_at=10).heard_ns == 0
    assert order_of(state, 11, (), opened_at=10).heard_ns == 5
    assert order_of(state, 11, (), opened_at=10).updated_time.utcoffset() == START.utcoffset()
    assert created().at == START
