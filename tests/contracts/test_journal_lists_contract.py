"""What any journal promises about reading: points, pages, filters, snapshots, and the records beside the orders."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oms.v1 import order_pb2 as pb
from orderd.core.events import FillBusted, FillCorrected, Restated
from orderd.core.order import ENDED, AssetClass, EventSource, FillStatus, Order, OrderRole, OrderState, Side
from orderd.core.values import AccountId, ExecutionId, FillId
from orderd.ports import Append, FillFilter, Journal, OrderFilter, Page, RawPayload
from tests.contracts.journals import ENGINES, Open, opened
from tests.storage.making import (
    START,
    accepted,
    acknowledged,
    canceled,
    fill,
    filled,
    moment,
    new,
    order,
    submitted,
    submitted_order,
    then,
)


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def engine(request: pytest.FixtureRequest) -> Open:
    """Each engine in turn."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def journal(engine: Open, tmp_path: Path) -> AsyncIterator[Journal]:
    """An empty journal of that engine."""
    async with opened(engine, tmp_path) as one:
        yield one


# ------------------------------------------------------------------------------------------------------- point reads


async def test_what_is_not_there_is_none(journal: Journal) -> None:
    assert journal.find_key("paper", "k") is None
    assert journal.find_broker_order("paper", "b") is None
    assert journal.load("o") is None
    assert journal.order_data("o") is None
    assert list(journal.fill_data("o")) == []
    assert await journal.raw_payload("paper", ["b"]) is None
    assert await journal.raw_payload("paper", []) is None
    assert await journal.mark("m") is None


async def test_an_order_is_found_by_every_broker_id_of_its_chain(journal: Journal) -> None:
    (a,) = await journal.append([submitted_order()])
    (b,) = await journal.append([then(a.order, acknowledged("b-1"))])
    await journal.append([then(b.order, acknowledged("b-2"))])
    found = [journal.find_broker_order("paper", name) for name in ("b-1", "b-2", "b-3")]
    assert found == [a.order.order_id, a.order.order_id, None]
    assert journal.find_broker_order("other", "b-1") is None


async def test_fills_are_read_in_booking_order_and_marked_in_place(journal: Journal) -> None:
    (a,) = await journal.append([new(order(), submitted(), filled(fill("f-2")), filled(fill("f-1")))])
    corrected = FillCorrected(
        at=START,
        source=EventSource.BROKER_STREAM,
        removed=(FillId("f-2"),),
        added=(fill("f-3", "5"),),
        to_state=OrderState.PARTIALLY_FILLED,
    )
    aliased = Restated(
        at=START,
        source=EventSource.RECONCILER,
        to_state=OrderState.PARTIALLY_FILLED,
        added_alias=(FillId("f-1"), ExecutionId("activity-9")),
    )
    busted = FillBusted(
        at=START, source=EventSource.BROKER_STREAM, removed=(FillId("f-3"),), to_state=OrderState.PARTIALLY_FILLED
    )
    (b,) = await journal.append([then(a.order, corrected, aliased, busted)])
    loaded = journal.load(a.order.order_id)
    assert loaded == b.order
    assert loaded is not None
    assert [(f.fill_id, f.status) for f in loaded.fills] == [
        ("f-2", FillStatus.CORRECTED),
        ("f-1", FillStatus.LIVE),
        ("f-3", FillStatus.BUSTED),
    ]
    assert loaded.fills[1].aliases == ("x-f-1", "activity-9")
    messages = [pb.Fill.FromString(data) for data in journal.fill_data(a.order.order_id)]
    assert [(m.fill_id, m.quantity) for m in messages] == [("f-2", "4"), ("f-1", "4"), ("f-3", "5")]
    assert messages[2].status == pb.FILL_STATUS_BUSTED


async def test_recovery_reads_the_open_orders_with_their_fills(journal: Journal) -> None:
    (a, b, c) = await journal.append([submitted_order(), submitted_order(), submitted_order()])
    (a2,) = await journal.append([then(a.order, filled(fill("f-1")), filled(fill("f-2", "1")))])
    (c2,) = await journal.append([then(c.order, canceled())])
    assert c2.order.state in ENDED
    assert list(await journal.open_orders()) == [a2.order, b.order]


# ---------------------------------------------------------------------------------------------------- lists of orders

SYMBOLS = ("AAPL", "MSFT", "SPY", "AAPL260116C00150000", "SPY260220P00400000")


def _random_order(chance: random.Random, number: int) -> Append:
    symbol = chance.choice(SYMBOLS)
    is_option = len(symbol) > 6
    end = chance.choice([(), (accepted(),), (acknowledged(f"b-{number}"), accepted()), (canceled(),)])
    first = order(
        account_id=AccountId(chance.choice(["a", "b", "c"])),
        symbol=symbol,
        underlying=symbol[:-15] if is_option else "",
        asset_class=AssetClass.US_OPTION if is_option else AssetClass.US_EQUITY,
        side=chance.choice([Side.BUY, Side.SELL]),
        role=chance.choice([None, OrderRole.ENTRY, OrderRole.STOP_LOSS]),
        strategy=chance.choice(["", "momentum", "spread"]),
        trace_id=chance.choice(["", "t-1", "t-2"]),
        decision_id=chance.choice(["", "d-1"]),
        trade_id=chance.choice(["", "r-1", "r-2"]),
        is_external=chance.random() < 0.2,
        # Few distinct times, so that the order id decides, too.
        created_time=moment(chance.randrange(12)),
    )
    return new(first, submitted(), *end)


def _expiry(one: Order) -> str:
    symbol = one.intent.symbol
    return f"20{symbol[-15:-13]}-{symbol[-13:-11]}-{symbol[-11:-9]}" if len(symbol) > 6 else ""


MATCHES: dict[str, Callable[[Order, Any], bool]] = {
    "account_ids": lambda o, v: o.intent.account_id in v,
    "states": lambda o, v: o.state in v,
    "open_only": lambda o, v: o.is_open or not v,
    "symbols": lambda o, v: o.intent.symbol in v,
    "underlyings": lambda o, v: o.underlying in v,
    "expires_on_or_after": lambda o, v: _expiry(o) >= v,
    "expires_on_or_before": lambda o, v: bool(_expiry(o)) and _expiry(o) <= v,
    "asset_classes": lambda o, v: o.asset_class in v,
    "sides": lambda o, v: o.intent.side in v,
    "roles": lambda o, v: o.intent.role in v,
    "strategies": lambda o, v: o.intent.strategy in v,
    "strategy_types": lambda _o, _v: False,
    "is_external": lambda o, v: o.is_external is v,
    "trace_ids": lambda o, v: o.intent.trace_id in v,
    "decision_ids": lambda o, v: o.intent.decision_id in v,
    "trade_ids": lambda o, v: o.intent.trade_id in v,
    "created_after": lambda o, v: o.created_time > v,
    "created_before": lambda o, v: o.created_time < v,
}

VALUES: dict[str, list[Any]] = {
    "account_ids": [("a",), ("a", "c"), ("a", "a"), ("none",), (*tuple(f"n{i}" for i in range(99)), "b")],
    "states": [(OrderState.SUBMITTED,), (OrderState.CANCELED,), (OrderState.ACCEPTED, OrderState.CANCELED)],
    "open_only": [True],
    "symbols": [("AAPL",), ("SPY", "AAPL260116C00150000"), (*tuple(f"S{i}" for i in range(99)), "SPY")],
    "underlyings": [("AAPL",), ("AAPL", "SPY")],
    "expires_on_or_after": ["2026-01-16", "2026-01-17"],
    "expires_on_or_before": ["2026-01-16", "2026-12-31"],
    "asset_classes": [(AssetClass.US_OPTION,), (AssetClass.US_OPTION, AssetClass.US_EQUITY)],
    "sides": [(Side.SELL,)],
    "roles": [(OrderRole.ENTRY, OrderRole.STOP_LOSS)],
    "strategies": [("momentum",), ("momentum", "spread")],
    "strategy_types": [("vertical",)],
    "is_external": [True, False],
    "trace_ids": [("t-1",), ("t-1", "t-2"), ("t-9",)],
    "decision_ids": [("d-1",)],
    "trade_ids": [("r-1", "r-2")],
    "created_after": [moment(3)],
    "created_before": [moment(9)],
}


def test_every_filter_is_asked_about() -> None:
    assert set(MATCHES) == set(VALUES) == set(OrderFilter.__struct_fields__)


async def _filled_blotter(journal: Journal, count: int = 150) -> list[Order]:
    chance = random.Random(11)
    results = await journal.append([_random_order(chance, number) for number in range(count)])
    return [recorded.order for recorded in results]


async def _all_pages(journal: Journal, where: OrderFilter, limit: int) -> list[str]:
    names: list[str] = []
    key: tuple[int | str, ...] | None = None
    while True:
        page = await journal.list_orders(where, after_key=key, limit=limit)
        assert len(page.rows) <= limit
        names += [str(row.key[-1]) for row in page.rows]
        if not page.has_more:
            return names
        key = page.rows[-1].key


async def test_every_filter_alone_and_in_pairs_answers_what_a_look_at_each_order_would(journal: Journal) -> None:
    orders = await _filled_blotter(journal)
    chance = random.Random(5)
    combinations: list[dict[str, Any]] = [{}]
    combinations += [{name: value} for name, values in VALUES.items() for value in values]
    for _ in range(120):
        names = chance.sample(sorted(VALUES), chance.choice([2, 2, 3, 4]))
        combinations.append({name: chance.choice(VALUES[name]) for name in names})
    for wanted in combinations:
        matching = [o for o in orders if all(MATCHES[name](o, value) for name, value in wanted.items())]
        expected = [o.order_id for o in sorted(matching, key=lambda o: (o.created_time, o.order_id), reverse=True)]
        where = OrderFilter(**wanted)
        assert await _all_pages(journal, where, chance.choice([3, 10, 1000])) == expected, wanted
        snapshot = await journal.snapshot(where, limit=1000)
        assert [row.key[-1] for row in snapshot.rows] == expected, wanted


async def test_a_page_holds_the_stored_bytes_and_the_head_it_was_read_at(journal: Journal) -> None:
    orders = await _filled_blotter(journal, 5)
    page = await journal.list_orders(OrderFilter(), after_key=None, limit=3)
    assert (len(page.rows), page.has_more, page.sequence) == (3, True, journal.head)
    for row in page.rows:
        assert row.data == journal.order_data(str(row.key[-1]))
    last = await journal.list_orders(OrderFilter(), after_key=page.rows[-1].key, limit=3)
    assert (len(last.rows), last.has_more) == (2, False)
    assert len(orders) == 5


async def test_a_walk_through_the_pages_keeps_its_place_while_orders_come_in(journal: Journal) -> None:
    orders = await _filled_blotter(journal)
    expected = {o.order_id for o in orders}
    seen: list[str] = []
    key: tuple[int | str, ...] | None = None
    while True:
        page, _ = await asyncio.gather(
            journal.list_orders(OrderFilter(), after_key=key, limit=7),
            journal.append([submitted_order(), submitted_order()]),
        )
        seen += [str(row.key[-1]) for row in page.rows]
        if not page.has_more:
            break
        key = page.rows[-1].key
    assert len(seen) == len(set(seen))
    assert expected <= set(seen)


async def test_a_snapshot_is_of_one_moment_and_says_when_it_is_too_big(journal: Journal) -> None:
    await _filled_blotter(journal, 30)

    async def snapshots() -> list[Page]:
        return [await journal.snapshot(OrderFilter(open_only=True), limit=10_000) for _ in range(10)]

    taken, _ = await asyncio.gather(
        snapshots(), asyncio.gather(*[journal.append([submitted_order()]) for _ in range(50)])
    )
    for page in taken:
        for row in page.rows:
            assert pb.Order.FromString(row.data).sequence <= page.sequence
    assert (await journal.snapshot(OrderFilter(), limit=79)).has_more
    assert not (await journal.snapshot(OrderFilter(), limit=80)).has_more


async def test_an_order_moves_from_one_state_to_the_next_in_the_lists(journal: Journal) -> None:
    (a,) = await journal.append([submitted_order()])
    assert await _all_pages(journal, OrderFilter(open_only=True), 10) == [a.order.order_id]
    await journal.append([then(a.order, canceled())])
    assert await _all_pages(journal, OrderFilter(open_only=True), 10) == []
    assert await _all_pages(journal, OrderFilter(states=(OrderState.CANCELED,)), 10) == [a.order.order_id]


# ----------------------------------------------------------------------------------------------------- other lists


async def test_events_are_read_by_order_and_by_sequence_with_the_same_bytes(journal: Journal) -> None:
    (a, _) = await journal.append([submitted_order(), submitted_order()])
    await journal.append([then(a.order, acknowledged("b-1"), accepted(), canceled())])
    story = await journal.list_events(a.order.order_id, after_version=0, limit=3)
    rest = await journal.list_events(a.order.order_id, after_version=3, limit=3)
    assert [row.key for row in (*story.rows, *rest.rows)] == [(1,), (2,), (3,), (4,), (5,)]
    assert (story.has_more, rest.has_more, rest.sequence) == (True, False, 7)
    by_sequence = {entry.data for entry in await journal.events_after(0, limit=100)}
    assert {row.data for row in (*story.rows, *rest.rows)} <= by_sequence
    assert [entry.sequence for entry in await journal.events_after(2, limit=3)] == [3, 4, 5]
    assert await journal.events_after(7, limit=3) == []


async def test_fills_are_listed_in_booking_order_by_every_filter(journal: Journal) -> None:
    chance = random.Random(3)
    expected: list[tuple[str, str, str, str, int]] = []
    for number in range(60):
        account, symbol = chance.choice(["a", "b"]), chance.choice(["AAPL", "SPY"])
        trade = chance.choice(["", "r-1"])
        named = {"decision_id": f"d-{symbol}", "trace_id": f"t-{account}"}
        one = order(account_id=AccountId(account), symbol=symbol, trade_id=trade, **named)
        at = chance.randrange(100)
        await journal.append([new(one, submitted(), filled(fill(f"f-{number}", recorded=moment(at))))])
        expected.append((account, symbol, trade, one.order_id, at))
    wanted: list[tuple[dict[str, Any], Callable[[tuple[str, str, str, str, int]], bool]]] = [
        ({}, lambda _: True),
        ({"account_ids": ("a",)}, lambda f: f[0] == "a"),
        ({"account_ids": ("a", "b", "none")}, lambda _: True),
        ({"symbols": ("SPY",), "account_ids": ("b",)}, lambda f: f[:2] == ("b", "SPY")),
        ({"trade_ids": ("r-1",)}, lambda f: f[2] == "r-1"),
        ({"order_id": expected[7][3]}, lambda f: f[3] == expected[7][3]),
        ({"after": moment(20), "before": moment(70)}, lambda f: 20 < f[4] < 70),
        ({"symbols": (*tuple(f"S{i}" for i in range(99)), "SPY")}, lambda f: f[1] == "SPY"),
        ({"account_ids": ("none",)}, lambda _: False),
        ({"decision_ids": ("d-SPY",)}, lambda f: f[1] == "SPY"),
        ({"trace_ids": ("t-a", "t-none")}, lambda f: f[0] == "a"),
        ({"decision_ids": ("d-SPY",), "trace_ids": ("t-b",)}, lambda f: f[:2] == ("b", "SPY")),
        ({"trace_ids": ("t-a",), "trade_ids": ("r-1",)}, lambda f: (f[0], f[2]) == ("a", "r-1")),
        ({"decision_ids": ("d-SPY",), "after": moment(20)}, lambda f: f[1] == "SPY" and f[4] > 20),
        ({"decision_ids": ("none",)}, lambda _: False),
    ]
    for filters, matches in wanted:
        found: list[str] = []
        key: tuple[int | str, ...] | None = None
        while True:
            page = await journal.list_fills(FillFilter(**filters), after_key=key, limit=7)
            found += [pb.Fill.FromString(row.data).fill_id for row in page.rows]
            if not page.has_more:
                break
            key = page.rows[-1].key
        assert found == [f"f-{n}" for n, one in enumerate(expected) if matches(one)], filters


async def test_the_brokers_own_bytes_are_kept_with_the_change_they_caused(journal: Journal) -> None:
    def raw(broker_order_id: str, body: bytes, *, is_quarantined: bool = False) -> RawPayload:
        return RawPayload(
            account_id=AccountId("paper"),
            broker_order_id=broker_order_id,
            kind="update",
            body=body,
            recorded_time=START,
            is_quarantined=is_quarantined,
        )

    append = msgspec.structs.replace(submitted_order(), raw=(raw("b-1", b"one"), raw("b-2", b"two")))
    await journal.append([append])
    alone = Append(steps=(), raw=(raw("b-1", b"\x00\xff three", is_quarantined=True),))
    assert await journal.append([alone]) == ()
    assert await journal.raw_payload("paper", ["b-1", "b-2"]) == b"\x00\xff three"
    assert await journal.raw_payload("paper", ["b-2"]) == b"two"
    assert await journal.raw_payload("other", ["b-2"]) is None
    assert journal.head == 2


async def test_marks_are_set_and_replaced(journal: Journal) -> None:
    await journal.set_mark("reconciled/paper", "1")
    await journal.set_mark("reconciled/paper", "2")
    await journal.set_mark("number/paper", "PA1")
    assert await journal.mark("reconciled/paper") == "2"
    assert await journal.mark("number/paper") == "PA1"
