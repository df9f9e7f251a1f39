"""What any journal promises about writing: durable before told, all or nothing, gapless, in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from oms.v1 import order_pb2 as pb
from orderd.core.order import OrderState
from orderd.core.turnstiles import Recorded
from orderd.core.values import AccountId, ClientOrderId
from orderd.ports import Append, Entry, Journal, JournalError, KeyTakenError, OrderFilter
from tests.contracts.journals import ENGINES, Open, opened
from tests.storage.making import accepted, acknowledged, canceled, fill, filled, new, order, submitted_order, then


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def engine(request: pytest.FixtureRequest) -> Open:
    """Each engine in turn."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def journal(engine: Open, tmp_path: Path) -> AsyncIterator[Journal]:
    """An empty journal of that engine."""
    async with opened(engine, tmp_path) as one:
        yield one


# ------------------------------------------------------------------------------------------------ what an append is


async def test_an_empty_journal_stands_at_zero(journal: Journal) -> None:
    assert journal.head == 0
    assert len(journal.journal_id) == 36
    assert await journal.events_after(0, limit=10) == []
    assert await journal.open_orders() == []


async def test_an_append_is_durable_and_numbered_when_it_resolves(journal: Journal) -> None:
    append = submitted_order()
    (recorded,) = await journal.append([append])
    assert (recorded.first_sequence, recorded.order.sequence, recorded.replayed) == (1, 2, False)
    assert recorded.order == msgspec.structs.replace(append.order, sequence=2)
    assert journal.head == 2
    assert journal.load(append.order.order_id) == recorded.order


async def test_the_bytes_of_an_event_carry_its_sequence_and_the_order_after_it(journal: Journal) -> None:
    append = submitted_order(trace_id="trace-1")
    await journal.append([append])
    events = [pb.OrderEvent.FromString(entry.data) for entry in await journal.events_after(0, limit=10)]
    assert [(e.sequence, e.order.sequence, e.version) for e in events] == [(1, 1, 1), (2, 2, 2)]
    assert [e.order.status for e in events] == [pb.ORDER_STATUS_CREATED, pb.ORDER_STATUS_SUBMITTED]
    assert journal.order_data(append.order.order_id) == events[-1].order.SerializeToString(deterministic=True)


async def test_listeners_hear_every_commit_in_order_before_the_futures_resolve(journal: Journal) -> None:
    heard: list[Entry] = []
    journal.listen(heard.extend)
    told_first: list[bool] = []

    async def submit() -> None:
        (recorded,) = await journal.append([submitted_order()])
        told_first.append(any(entry.sequence == recorded.order.sequence for entry in heard))

    await asyncio.gather(*(submit() for _ in range(20)))
    assert told_first == [True] * 20
    assert [entry.sequence for entry in heard] == list(range(1, 41))
    assert heard == await journal.events_after(0, limit=1000)


async def test_an_entry_names_what_streams_are_filtered_by(journal: Journal) -> None:
    append = submitted_order(trace_id="t", decision_id="d", trade_id="r", strategy="s", symbol="MSFT")
    await journal.append([append])
    entry = (await journal.events_after(1, limit=1))[0]
    assert (entry.sequence, entry.account_id, entry.order_id) == (2, "paper", append.order.order_id)
    assert (entry.symbol, entry.strategy) == ("MSFT", "s")
    assert (entry.trace_id, entry.decision_id, entry.trade_id) == ("t", "d", "r")


async def test_commit_order_is_the_order_of_the_calls(journal: Journal) -> None:
    appends = [submitted_order() for _ in range(100)]
    results = await asyncio.gather(*[journal.append([append]) for append in appends])
    assert [recorded.order.sequence for (recorded,) in results] == list(range(2, 202, 2))


async def test_one_call_may_append_many_orders_and_none(journal: Journal) -> None:
    results = await journal.append([submitted_order(), submitted_order(), new(order())])
    assert [(r.first_sequence, r.order.sequence) for r in results] == [(1, 2), (3, 4), (5, 5)]
    assert await journal.append([]) == ()
    assert journal.head == 5


async def test_an_order_lives_through_many_appends(journal: Journal) -> None:
    (a,) = await journal.append([submitted_order()])
    (b,) = await journal.append([then(a.order, acknowledged("b-1"), accepted())])
    (c,) = await journal.append([then(b.order, filled(fill("f-1")))])
    (d,) = await journal.append([then(c.order, canceled())])
    assert [r.order.version for r in (a, b, c, d)] == [2, 4, 5, 6]
    assert journal.load(a.order.order_id) == d.order
    assert d.order.state is OrderState.CANCELED


async def test_an_order_may_change_twice_in_one_call(journal: Journal) -> None:
    first = submitted_order()
    later = then(first.order, acknowledged("b-1"))
    results = await journal.append([first, later])
    assert [r.order.sequence for r in results] == [2, 3]
    assert journal.load(first.order.order_id) == results[-1].order
    again = [then(results[-1].order, accepted())]
    again.append(then(again[0].order, canceled()))
    results = await journal.append(again)
    assert journal.load(first.order.order_id) == results[-1].order


# ------------------------------------------------------------------------------------------------------ what is refused


async def test_a_taken_key_refuses_that_call_alone_and_costs_no_number(journal: Journal) -> None:
    first = submitted_order(client_order_id=ClientOrderId("mine"))
    await journal.append([first])
    results = await asyncio.gather(
        journal.append([submitted_order()]),
        journal.append([submitted_order(), submitted_order(client_order_id=ClientOrderId("mine"))]),
        journal.append([submitted_order()]),
        return_exceptions=True,
    )
    refused = results[1]
    assert isinstance(refused, KeyTakenError)
    assert refused.client_order_id == "mine"
    assert [_sequences(results[0]), _sequences(results[2])] == [[4], [6]]
    assert journal.head == 6
    assert [entry.sequence for entry in await journal.events_after(0, limit=100)] == [1, 2, 3, 4, 5, 6]
    assert len((await journal.list_orders(OrderFilter(), after_key=None, limit=100)).rows) == 3


def _sequences(result: tuple[Recorded, ...] | BaseException) -> list[int]:
    assert not isinstance(result, BaseException)
    return [recorded.order.sequence for recorded in result]


async def test_of_many_calls_with_one_key_the_first_wins(journal: Journal) -> None:
    appends = [submitted_order(client_order_id=ClientOrderId("same")) for _ in range(50)]
    results = await asyncio.gather(*[journal.append([append]) for append in appends], return_exceptions=True)
    assert _sequences(results[0]) == [2]
    assert all(isinstance(result, KeyTakenError) for result in results[1:])
    assert journal.find_key("paper", "same") == appends[0].order.order_id
    assert journal.head == 2


async def test_a_key_used_twice_in_one_call_refuses_the_call(journal: Journal) -> None:
    twice = [submitted_order(client_order_id=ClientOrderId("same")) for _ in range(2)]
    with pytest.raises(KeyTakenError):
        await journal.append(twice)
    assert journal.head == 0
    assert journal.find_key("paper", "same") is None


async def test_a_key_is_taken_for_its_account_only(journal: Journal) -> None:
    keys = {"client_order_id": ClientOrderId("k")}
    one = submitted_order(**keys, account_id=AccountId("a"))
    two = submitted_order(**keys, account_id=AccountId("b"))
    await journal.append([one, two])
    assert journal.find_key("a", "k") == one.order.order_id
    assert journal.find_key("b", "k") == two.order.order_id
    assert journal.find_key("c", "k") is None


async def test_orders_from_outside_have_no_key(journal: Journal) -> None:
    outside = [new(order(is_external=True, client_order_id=ClientOrderId(key))) for key in ("", "", "seen", "seen")]
    await journal.append(outside)
    assert journal.find_key("paper", "seen") is None
    assert journal.find_key("paper", "") is None
    await journal.append([submitted_order(client_order_id=ClientOrderId("seen"))])


async def test_an_append_that_follows_an_old_version_is_refused_alone(journal: Journal) -> None:
    (a,) = await journal.append([submitted_order()])
    await journal.append([then(a.order, acknowledged("b-1"))])
    late = then(a.order, accepted())
    results = await asyncio.gather(journal.append([late]), journal.append([submitted_order()]), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert not isinstance(results[0], KeyTakenError | JournalError)
    assert _sequences(results[1]) == [5]
    loaded = journal.load(a.order.order_id)
    assert loaded is not None
    assert (loaded.version, journal.head) == (3, 5)


async def test_an_append_to_an_order_that_is_not_there_is_refused(journal: Journal) -> None:
    stranger = submitted_order().order
    results = await asyncio.gather(journal.append([then(stranger, accepted())]), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert (journal.head, journal.order_data(stranger.order_id)) == (0, None)


@pytest.mark.parametrize("wrong", ["gap", "two orders", "late start"])
async def test_steps_that_are_not_one_orders_next_versions_are_refused_at_once(journal: Journal, wrong: str) -> None:
    a, b = submitted_order(), submitted_order()
    appends = {
        "gap": Append(steps=(a.steps[0], then(a.order, accepted()).steps[0])),
        "two orders": Append(steps=(a.steps[0], b.steps[1])),
        "late start": Append(steps=(msgspec.structs.replace(a.steps[1], before=None),)),
    }
    with pytest.raises(ValueError, match="version"):
        await journal.append([appends[wrong]])
    assert journal.head == 0


# --------------------------------------------------------------------------------------------- many callers, some gone


async def test_numbers_have_no_gap_when_callers_leave_and_keys_collide(journal: Journal) -> None:
    chance = random.Random(7)
    done: list[int] = []

    async def caller(number: int) -> None:
        for turn in range(10):
            key = ClientOrderId(f"k-{chance.randrange(30)}" if turn % 5 == 0 else f"c-{number}-{turn}")
            try:
                (recorded,) = await journal.append([submitted_order(client_order_id=key)])
            except KeyTakenError:
                continue
            done.append(recorded.order.sequence)

    tasks = [asyncio.create_task(caller(number)) for number in range(64)]
    for task in chance.sample(tasks, 20):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await journal.append([submitted_order()])
    entries = await journal.events_after(0, limit=10_000)
    assert [entry.sequence for entry in entries] == list(range(1, journal.head + 1))
    assert set(done) <= {entry.sequence for entry in entries}
    assert len(done) == len(set(done)) >= 44 * 8


async def test_a_caller_that_leaves_does_not_undo_what_it_asked(journal: Journal) -> None:
    append = submitted_order()
    task = asyncio.ensure_future(journal.append([append]))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await journal.append([submitted_order()])
    assert journal.load(append.order.order_id) is not None
    assert journal.head == 4


# -------------------------------------------------------------------------------------------------- the right to send


async def test_only_a_durable_submitted_order_may_be_staged(journal: Journal) -> None:
    (recorded,) = await journal.append([submitted_order()])
    assert journal.stage(recorded).order == recorded.order
    legs = await journal.append([submitted_order(), submitted_order()])
    assert journal.stage(recorded, legs).legs == tuple(leg.order for leg in legs)
    (waiting,) = await journal.append([new(order())])
    with pytest.raises(ValueError, match="SUBMITTED"):
        journal.stage(waiting)
    with pytest.raises(ValueError, match="SUBMITTED"):
        journal.stage(recorded, [waiting])


async def test_what_was_not_recorded_here_cannot_be_staged(journal: Journal, engine: Open, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with opened(engine, elsewhere) as other:
        results = await other.append([submitted_order(), submitted_order()])
    await journal.append([submitted_order()])
    with pytest.raises(ValueError, match="not in this journal"):
        journal.stage(results[1])


# ----------------------------------------------------------------------------------------------------- opening again


async def test_a_journal_opened_again_goes_on_where_it_stood(engine: Open, tmp_path: Path) -> None:
    async with opened(engine, tmp_path) as journal:
        name = journal.journal_id
        (first,) = await journal.append([submitted_order(heard_ns=77)])
        (second,) = await journal.append([then(first.order, acknowledged("b-9"))])
    async with opened(engine, tmp_path) as journal:
        assert (journal.journal_id, journal.head) == (name, 3)
        loaded = journal.load(first.order.order_id)
        # The monotonic clock of another process means nothing in this one.
        assert loaded == msgspec.structs.replace(second.order, heard_ns=0)
        assert list(await journal.open_orders()) == [loaded]
        (third,) = await journal.append([submitted_order(heard_ns=78)])
        assert third.order.sequence == 5
        assert journal.load(third.order.order_id) == third.order
    with pytest.raises(JournalError, match="closed"):
        await journal.append([submitted_order()])


async def test_what_waits_when_it_closes_is_written(engine: Open, tmp_path: Path) -> None:
    async with opened(engine, tmp_path) as journal:
        waiting: Sequence[asyncio.Future[tuple[Recorded, ...]]] = [
            asyncio.ensure_future(journal.append([submitted_order()])) for _ in range(300)
        ]
    assert [recorded.order.sequence for (recorded,) in await asyncio.gather(*waiting)] == list(range(2, 602, 2))
    await journal.close()  # closing twice is closing once


async def test_there_is_room_to_grow(journal: Journal) -> None:
    assert journal.free_bytes() > 0
