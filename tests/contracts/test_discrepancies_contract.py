"""Discrepancies in every journal: with the fact they are about or not at all, one open of a kind, listed by pages."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.order import EventSource
from orderd.core.values import AccountId, OrderId
from orderd.ports import Append, Discrepancy, DiscrepancyFilter, Journal, KeyTakenError
from orderd.storage.errors import ConflictError
from tests.contracts.journals import ENGINES, Open, opened
from tests.storage.making import START, submitted_order

K = DiscrepancyKind


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """An empty journal of each engine in turn."""
    engine: Open = request.param
    async with opened(engine, tmp_path) as one:
        yield one


def difference(name: str, **changes: Any) -> Discrepancy:  # noqa: ANN401
    plain = Discrepancy(
        discrepancy_id=name,
        account_id=AccountId("paper"),
        kind=K.QUANTITY_DIFFERS,
        subject="o-1",
        order_id=OrderId("o-1"),
        broker_order_id="b-1",
        symbol="AAPL",
        expected="10",
        observed="9",
        evidence="listed",
        source=EventSource.RECONCILER,
        opened_time=START,
        after_sequence=7,
    )
    return msgspec.structs.replace(plain, **changes)


def closed(record: Discrepancy, **changes: Any) -> Discrepancy:  # noqa: ANN401
    said = {
        "resolved_time": START + timedelta(hours=1),
        "resolved_by": EventSource.OPERATOR,
        "resolution": "counted by hand",
        "operator_name": "ann",
    }
    return msgspec.structs.replace(record, **(said | changes))


async def put(journal: Journal, *records: Discrepancy) -> None:
    await journal.append([Append(steps=(), discrepancies=records)])


async def listed(journal: Journal, limit: int = 50, **where: Any) -> list[str]:  # noqa: ANN401
    page = await journal.list_discrepancies(DiscrepancyFilter(**where), after_key=None, limit=limit)
    return [record.discrepancy_id for record in page.records]


async def test_one_discrepancy_of_a_kind_is_open_about_a_thing(journal: Journal) -> None:
    first = difference("x-1")
    other = difference("x-3", kind=K.OVERFILL, opened_time=START + timedelta(seconds=1))
    await put(journal, first, other, difference("x-4", account_id=AccountId("b")))
    with pytest.raises(ConflictError):
        await put(journal, difference("x-2"))
    assert list(await journal.open_discrepancies("paper")) == [first, other]
    assert await journal.discrepancy("x-2") is None
    await put(journal, closed(first))
    assert list(await journal.open_discrepancies("paper")) == [other]
    assert await journal.discrepancy("x-1") == closed(first)
    await put(journal, difference("x-5"))
    assert [record.discrepancy_id for record in await journal.open_discrepancies("paper")] == ["x-5", "x-3"]


async def test_what_is_closed_never_changes(journal: Journal) -> None:
    await put(journal, difference("x-1"))
    await put(journal, closed(difference("x-1")))
    await put(journal, closed(difference("x-1"), resolution="another reason", observed="8"))
    assert await journal.discrepancy("x-1") == closed(difference("x-1"))


async def test_opened_and_closed_in_one_breath(journal: Journal) -> None:
    first, second = difference("x-1"), difference("x-2")
    await put(journal, first, closed(first), second)
    assert list(await journal.open_discrepancies("paper")) == [second]


async def test_what_operators_have_closed(journal: Journal) -> None:
    first, second = difference("x-1"), difference("x-2", kind=K.OVERFILL)
    await put(journal, first, second)
    await put(journal, closed(first), closed(second, resolved_by=EventSource.RECONCILER))
    assert list(await journal.accepted_discrepancies("paper")) == [closed(first)]
    assert list(await journal.accepted_discrepancies("other")) == []


async def test_a_record_goes_with_its_order_or_not_at_all(journal: Journal) -> None:
    order = submitted_order()
    about = difference("x-1", subject=order.order.order_id)
    await journal.append([msgspec.structs.replace(order, discrepancies=(about,))])
    assert list(await journal.open_discrepancies("paper")) == [about]
    key = order.order.intent.client_order_id
    taken = msgspec.structs.replace(
        submitted_order(client_order_id=key), discrepancies=(difference("x-2", subject="o"),)
    )
    with pytest.raises(KeyTakenError):
        await journal.append([taken])
    assert await journal.discrepancy("x-2") is None
    fresh = submitted_order()
    twice = msgspec.structs.replace(fresh, discrepancies=(difference("x-3", subject=order.order.order_id),))
    with pytest.raises(ConflictError):
        await journal.append([twice])
    assert journal.load(fresh.order.order_id) is None, "the fact is not written without its record"


async def test_lists_by_filter_newest_first(journal: Journal) -> None:
    a = difference("a")
    b = difference("b", kind=K.OVERFILL, symbol="MSFT", opened_time=START + timedelta(seconds=1))
    c = difference("c", account_id=AccountId("other"), subject="o-2", order_id=OrderId("o-2"), opened_time=START)
    await put(journal, a, b, c)
    await put(journal, closed(b))
    assert await listed(journal) == ["b", "c", "a"]
    assert await listed(journal, account_ids=("paper",)) == ["b", "a"]
    assert await listed(journal, kinds=(K.OVERFILL, K.REVIVED)) == ["b"]
    assert await listed(journal, symbols=("AAPL",)) == ["c", "a"]
    assert await listed(journal, order_ids=("o-2",)) == ["c"]
    assert await listed(journal, open_only=True) == ["c", "a"]
    assert await listed(journal, opened_after=START) == ["b"]
    assert await listed(journal, opened_before=START + timedelta(seconds=1)) == ["c", "a"]
    assert await listed(journal, account_ids=("paper",), kinds=(K.QUANTITY_DIFFERS,), open_only=True) == ["a"]
    assert await listed(journal, order_ids=("nobody",)) == []


async def test_pages_hold_together(journal: Journal) -> None:
    await put(journal, *(difference(f"x-{n}", subject=f"o-{n}") for n in range(5)))
    told: list[str] = []
    key = None
    while True:
        page = await journal.list_discrepancies(DiscrepancyFilter(), after_key=key, limit=2)
        told += [record.discrepancy_id for record in page.records]
        if not page.has_more:
            break
        key = page.keys[-1]
    assert told == ["x-4", "x-3", "x-2", "x-1", "x-0"]
    assert page.sequence == journal.head
