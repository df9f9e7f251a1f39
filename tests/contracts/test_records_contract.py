"""What any journal promises about the desk's records: one sequence with the orders, all or nothing, read as written."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oms.v1 import trade_service_pb2 as pb
from oms.v1.order_pb2 import EVENT_SOURCE_OPERATOR, EVENT_SOURCE_RECONCILER
from orderd.core.order import EventSource
from orderd.core.records import RecordKind
from orderd.core.values import OrderId
from orderd.ports import Append, Entry, Journal, JournalError, RecordChange, RecordFilter, RecordTakenError
from orderd.storage.errors import ConflictError
from tests.contracts.journals import ENGINES, Open, opened
from tests.contracts.test_discrepancies_contract import closed, difference
from tests.storage.desk_making import change_of, later, made, record
from tests.storage.making import START, moment, submitted_order

K = RecordKind


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def engine(request: pytest.FixtureRequest) -> Open:
    """Each engine in turn."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def journal(engine: Open, tmp_path: Path) -> AsyncIterator[Journal]:
    """An empty journal of that engine."""
    async with opened(engine, tmp_path) as one:
        yield one


async def events(journal: Journal, after: int = 0) -> list[pb.DeskEvent]:
    return [pb.DeskEvent.FromString(e.data) for e in await journal.events_after(after, limit=1000) if e.is_desk]


async def listed(journal: Journal, kind: RecordKind = K.TRADE, **where: Any) -> list[str]:  # noqa: ANN401
    page = await journal.read_records(RecordFilter(kind=kind, **where), after_key=None, limit=50)
    same = await journal.list_records(RecordFilter(kind=kind, **where), after_key=None, limit=50)
    assert [row.data for row in same.rows] == [one.body for one in page.records]
    assert [row.key for row in same.rows] == list(page.keys)
    return [one.record_id for one in page.records]


# ---------------------------------------------------------------------------------------------------- what is written


@pytest.mark.parametrize("kind", [kind for kind in K if kind is not K.DISCREPANCY])
async def test_a_record_is_read_as_it_was_written_with_its_sequence(journal: Journal, kind: RecordKind) -> None:
    await journal.append([submitted_order()])
    change = made(
        kind, strategy="s", trace_id="t", decision_id="d", trade_id="r", underlying="AAPL", expiry_date="2026-01-16"
    )
    assert await journal.record([change]) == (3,)
    found = journal.load_record(change.record.record_id)
    assert found is not None
    assert found == msgspec.structs.replace(change.record, sequence=3, body=found.body)
    assert found.body.startswith(change.record.body)
    assert journal.record_data(found.record_id) == found.body
    assert journal.find_record(kind, "paper", change.record.client_key) == found
    assert journal.find_record(kind, "other", change.record.client_key) is None
    assert await journal.open_records(kind) == [found]
    (event,) = await events(journal)
    subject = getattr(event, str(event.WhichOneof("subject")))
    assert subject.SerializeToString(deterministic=True) == found.body
    assert (event.sequence, subject.sequence) == (3, 3)


async def test_an_entry_of_the_desk_says_what_it_is_live_and_read_again(journal: Journal) -> None:
    heard: list[Entry] = []
    journal.listen(heard.extend)
    change = change_of(record(strategy="s", trace_id="t", decision_id="d", trade_id="r"), order_id="o-1")
    await journal.append([submitted_order()])
    await journal.record([change])
    assert heard == await journal.events_after(0, limit=10)
    first, _, entry = heard
    assert (first.is_desk, first.record_kind, first.record_id) == (False, None, "")
    assert (entry.is_desk, entry.record_kind, entry.record_id) == (True, K.TRADE, change.record.record_id)
    assert (entry.sequence, entry.account_id, entry.order_id, entry.symbol) == (3, "paper", "o-1", "AAPL")
    assert (entry.strategy, entry.trace_id, entry.decision_id, entry.trade_id) == ("s", "t", "d", "r")


async def test_records_and_orders_are_committed_in_the_order_of_the_calls(journal: Journal) -> None:
    calls: list[Any] = []
    for _ in range(20):
        calls += [journal.append([submitted_order()]), journal.record([made()])]
    results = await asyncio.gather(*calls)
    assert [result[0].order.sequence for result in results[::2]] == list(range(2, 62, 3))
    assert list(results[1::2]) == [(number,) for number in range(3, 63, 3)]
    assert journal.head == 60


async def test_a_record_lives_through_versions_also_within_one_call(journal: Journal) -> None:
    first = made()
    second, third = later(first, status="CLOSING"), later(later(first), status="CLOSED", is_open=False, trade_id="r")
    assert await journal.record([first, second]) == (1, 2)
    assert await journal.record([third]) == (3,)
    found = journal.load_record(first.record.record_id)
    assert found is not None
    assert (found.version, found.status, found.is_open, found.trade_id, found.sequence) == (3, "CLOSED", False, "r", 3)
    page = await journal.list_record_events(first.record.record_id, after_version=0, limit=2)
    assert ([row.key for row in page.rows], page.has_more) == ([(1,), (2,)], True)
    page = await journal.list_record_events(first.record.record_id, after_version=2, limit=2)
    assert ([row.key for row in page.rows], page.has_more) == ([(3,)], False)
    assert (await journal.list_events(first.record.record_id, after_version=0, limit=9)).rows == ()
    assert await journal.open_records(K.TRADE) == []


async def test_several_calls_about_one_record_in_one_commit(journal: Journal) -> None:
    first = made()
    second = later(first, status="CLOSING")
    third = later(second, status="CLOSED")
    assert await asyncio.gather(*[journal.record([one]) for one in (first, second, third)]) == [(1,), (2,), (3,)]
    found = journal.load_record(first.record.record_id)
    assert found is not None
    assert (found.version, found.status) == (3, "CLOSED")
    fourth = later(third)
    await asyncio.gather(journal.record([fourth]), journal.record([later(fourth)]))
    found = journal.load_record(first.record.record_id)
    assert found is not None
    assert found.version == 5


async def test_marks_are_set_with_the_records_or_not_at_all(journal: Journal) -> None:
    first = made()
    await journal.record([first], [("desk", "7"), ("other", "x")])
    assert (await journal.mark("desk"), await journal.mark("other")) == ("7", "x")
    assert await journal.record([], [("desk", "8")]) == ()
    assert await journal.mark("desk") == "8"
    with pytest.raises(RecordTakenError):
        await journal.record([made(client_key=first.record.client_key)], [("desk", "9")])
    assert await journal.mark("desk") == "8"
    await asyncio.gather(journal.record([made()], [("desk", "10")]), journal.set_mark("desk", "11"))
    assert await journal.mark("desk") == "11", "marks are set in the order of the calls"


# ---------------------------------------------------------------------------------------------------- what is refused


async def test_a_taken_key_fails_its_own_call_whole(journal: Journal) -> None:
    first, other = made(), made()
    await journal.record([first])
    taken = made(client_key=first.record.client_key)
    results = await asyncio.gather(
        journal.append([submitted_order()]),
        journal.record([other, taken]),
        journal.record([made()]),
        return_exceptions=True,
    )
    assert isinstance(results[1], RecordTakenError)
    assert (results[1].kind, results[1].client_key) == (K.TRADE, first.record.client_key)
    assert results[2] == (4,)
    assert journal.load_record(other.record.record_id) is None
    assert journal.head == 4


async def test_a_key_is_taken_by_kind_and_account(journal: Journal) -> None:
    key = "mine"
    await journal.record([made(client_key=key), made(K.DECISION, client_key=key), made(client_key=key, account_id="b")])
    await journal.record([made(client_key=""), made(client_key="")])
    assert journal.find_record(K.TRADE, "paper", "") is None
    with pytest.raises(RecordTakenError):
        await journal.record([made(client_key="twice"), made(client_key="twice")])
    results = await asyncio.gather(
        journal.record([made(client_key="race")]), journal.record([made(client_key="race")]), return_exceptions=True
    )
    assert [type(result) for result in results] == [tuple, RecordTakenError]


async def test_a_version_that_does_not_follow_is_a_conflict(journal: Journal) -> None:
    first = made()
    second = later(first)
    with pytest.raises(ConflictError):
        await journal.record([second])
    await journal.record([first])
    with pytest.raises(ConflictError):
        await journal.record([later(second)])
    with pytest.raises(ConflictError):
        await journal.record([change_of(msgspec.structs.replace(first.record, client_key=""))])
    results = await asyncio.gather(journal.record([second]), journal.record([second]), return_exceptions=True)
    assert [type(result) for result in results] == [tuple, ConflictError]
    assert journal.head == 2


@pytest.mark.parametrize(
    "changed",
    [{"account_id": "b"}, {"symbol": "MSFT"}, {"client_key": "k"}, {"created_time": START}, {"kind": K.POSITION}],
    ids=str,
)
async def test_what_a_record_says_for_good_never_changes(journal: Journal, changed: dict[str, Any]) -> None:
    first = made()
    await journal.record([first])
    with pytest.raises(ConflictError):
        await journal.record([later(first, **changed)])
    other = made()
    with pytest.raises(ConflictError):
        await journal.record([other, later(other, **changed)])
    assert journal.head == 1


async def test_what_is_no_change_of_a_record_is_refused_at_once(journal: Journal) -> None:
    first = made()
    good = first.record

    def refused(change: RecordChange, *more: RecordChange) -> None:
        with pytest.raises(ValueError, match=r"has an id|goes to version|event of|by an append"):
            journal.record([change, *more])

    refused(msgspec.structs.replace(first, record=msgspec.structs.replace(good, kind=K.DISCREPANCY)))
    refused(msgspec.structs.replace(first, record=msgspec.structs.replace(good, record_id="")))
    refused(msgspec.structs.replace(first, record=msgspec.structs.replace(good, account_id="")))
    refused(msgspec.structs.replace(first, record=msgspec.structs.replace(good, version=0)))
    refused(first, later(later(first)))
    refused(msgspec.structs.replace(first, event=b"\xff"))
    refused(msgspec.structs.replace(first, event=pb.DeskEvent(account_id="b").SerializeToString()))
    whole = pb.DeskEvent(account_id="paper", trade=pb.Trade(trade_id="r"))
    refused(msgspec.structs.replace(first, event=whole.SerializeToString()))
    assert journal.head == 0


async def test_after_closing_nothing_is_recorded(engine: Open, tmp_path: Path) -> None:
    async with opened(engine, tmp_path) as journal:
        await journal.record([made()])
    with pytest.raises(JournalError):
        await journal.record([made()])


async def test_what_was_recorded_is_there_after_a_restart(engine: Open, tmp_path: Path) -> None:
    first = made(account_id="of records only")
    async with opened(engine, tmp_path) as journal:
        await journal.record([first, later(first)])
    async with opened(engine, tmp_path) as journal:
        assert journal.head == 2
        assert await listed(journal) == [first.record.record_id]
        assert await journal.record([later(later(first))]) == (3,)


# ------------------------------------------------------------------------------------------------------------ lists


async def test_lists_by_filter_newest_first(journal: Journal) -> None:
    a = made(created_time=moment(1), status="OPEN", strategy="s", trace_id="t", decision_id="d", trade_id="r")
    b = made(created_time=moment(2), status="CLOSED", is_open=False, account_id="b", symbol="MSFT")
    c = made(created_time=moment(3), status="CLOSING", symbol="O", underlying="MSFT", expiry_date="2026-01-16")
    d = made(K.DECISION, created_time=moment(4), decision_id="d", trace_id="t")
    names = {change.record.record_id: name for name, change in zip("abcd", (a, b, c, d), strict=True)}
    await journal.record([a, b, c, d])

    async def found(kind: RecordKind = K.TRADE, **where: Any) -> str:  # noqa: ANN401
        return "".join([names[record_id] for record_id in await listed(journal, kind, **where)])

    assert await found() == "cba"
    assert await found(K.DECISION) == "d"
    assert await found(account_ids=("paper",)) == "ca"
    assert await found(statuses=("CLOSED", "CLOSING")) == "cb"
    assert await found(statuses=("CLOSED", "OPEN"), account_ids=("paper",)) == "a"
    assert await found(open_only=True) == "ca"
    assert await found(open_only=True, statuses=("OPEN", "CLOSED")) == "a"
    assert await found(symbols=("MSFT", "AAPL")) == "ba"
    assert await found(symbols=("MSFT", "AAPL"), account_ids=("b",)) == "b"
    assert await found(underlyings=("MSFT",)) == "c"
    assert await found(expires_on_or_before="2026-01-16") == "c"
    assert await found(expires_on_or_after="2026-01-17") == ""
    assert await found(strategies=("s",)) == await found(trace_ids=("t",)) == await found(trade_ids=("r",)) == "a"
    assert await found(decision_ids=("d",)) == "a"
    assert await found(K.DECISION, trace_ids=("t",), decision_ids=("d",)) == "d"
    assert await found(created_after=moment(1), created_before=moment(3)) == "b"
    assert await found(account_ids=("nobody",)) == await found(K.RISK) == ""


async def test_pages_of_records_hold_together(journal: Journal) -> None:
    await journal.record([made(created_time=moment(number // 2)) for number in range(7)])
    told: list[str] = []
    key = None
    while True:
        page = await journal.read_records(RecordFilter(kind=K.TRADE), after_key=key, limit=2)
        told += [one.record_id for one in page.records]
        if not page.has_more:
            break
        key = page.keys[-1]
    assert told == await listed(journal)
    assert len(told) == 7
    assert page.sequence == journal.head


# ---------------------------------------------------------------------------------------------------- discrepancies


async def test_a_discrepancy_is_told_in_the_commit_that_opens_or_closes_it(journal: Journal) -> None:
    heard: list[Entry] = []
    journal.listen(heard.extend)
    append = msgspec.structs.replace(
        submitted_order(
            order_id=OrderId("o-1"), strategy="s", trace_id="t", decision_id="d", trade_id="r", symbol="AAPL"
        ),
        discrepancies=(difference("x-1"),),
    )
    await journal.append([append])
    (opening,) = await events(journal)
    assert (opening.sequence, opening.type) == (3, pb.DESK_EVENT_TYPE_DISCREPANCY_OPENED)
    assert (opening.strategy, opening.trace_id, opening.decision_id, opening.trade_id) == ("s", "t", "d", "r")
    assert (opening.order_id, opening.symbol, opening.recorded_time.ToDatetime()) == (
        "o-1",
        "AAPL",
        START.replace(tzinfo=None),
    )
    assert opening.discrepancy.expected == "10"
    await journal.append([Append(steps=(), discrepancies=(closed(difference("x-1")),))])
    closing = (await events(journal, 3))[0]
    assert (closing.sequence, closing.type) == (4, pb.DESK_EVENT_TYPE_DISCREPANCY_RESOLVED)
    assert (closing.discrepancy.resolution, closing.discrepancy.operator_name) == ("counted by hand", "ann")
    assert closing.recorded_time.ToDatetime() == (START + timedelta(hours=1)).replace(tzinfo=None)
    assert (opening.source, closing.source) == (EVENT_SOURCE_RECONCILER, EVENT_SOURCE_OPERATOR)
    assert [(entry.record_kind, entry.record_id) for entry in heard[2:]] == [(K.DISCREPANCY, "x-1")] * 2
    assert heard == await journal.events_after(0, limit=10)
    story = await journal.list_record_events("x-1", after_version=0, limit=9)
    assert [row.key for row in story.rows] == [(1,), (2,)]


async def test_a_discrepancy_that_changes_nothing_tells_nothing(journal: Journal) -> None:
    first = difference("x-1")
    await journal.append([Append(steps=(), discrepancies=(first,))])
    await journal.append([Append(steps=(), discrepancies=(first,))])
    assert journal.head == 1
    await journal.append([Append(steps=(), discrepancies=(closed(first), closed(first)))])
    await journal.append([Append(steps=(), discrepancies=(closed(first, resolved_by=EventSource.RECONCILER),))])
    assert journal.head == 2
    second = difference("x-2")
    await asyncio.gather(
        journal.append([Append(steps=(), discrepancies=(second,))]),
        journal.append([Append(steps=(), discrepancies=(closed(second),))]),
    )
    assert journal.head == 4
