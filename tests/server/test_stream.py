"""StreamOrderEvents: positions, resuming, snapshots, filters, heartbeats. `Reader` checks the chain of sequences."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd.ports import Entry, OrderFilter, Page
from tests.server.conftest import House, OpenHouse, Reader, order_request, said
from tests.server.stand_in import filled

SECOND = Duration(seconds=1)


def sequences(reader: Reader) -> list[int]:
    """What a subscriber has got so far."""
    return [event.sequence for event in reader.events]


# --------------------------------------------------------------------------------------------------------- positions


async def test_live_from_now(house: House) -> None:
    await house.add(3)
    reader = house.stream()
    first = await reader.next("started")
    assert (first.sequence, first.started.head_sequence) == (3, 3)
    assert first.started.journal_id == house.engine.journal.journal_id
    (order,) = await house.add(1)
    live = await reader.next("events")
    assert live.sequence == 4
    (event,) = live.events.events
    assert (event.order, event.type, event.sequence) == (order, opb.ORDER_EVENT_TYPE_CREATED, 4)


async def test_from_the_beginning_and_on_into_the_present(house: House) -> None:
    await house.add(5)
    reader = house.stream(after_sequence=0)
    started = await reader.next("started")
    assert (started.sequence, started.started.head_sequence) == (0, 5)
    await reader.until(5)
    await house.add(2)
    await reader.until(7)
    assert sequences(reader) == [1, 2, 3, 4, 5, 6, 7]


async def test_resuming_anywhere_gives_the_same_bytes(house: House) -> None:
    for order in await house.add(4):
        await house.engine.work(order.order_id, f"b-{order.order_id}")
    head = house.engine.journal.head
    whole = house.stream(after_sequence=0)
    await whole.until(head)
    told = {event.sequence: event.SerializeToString(deterministic=True) for event in whole.events}
    for after in range(head):
        part = house.stream(after_sequence=after, journal_id=house.engine.journal.journal_id)
        assert (await part.next("started")).sequence == after
        events = await part.until(head - after)
        assert [event.SerializeToString(deterministic=True) for event in events] == [
            told[number] for number in range(after + 1, head + 1)
        ]
        part.call.cancel()


async def test_catching_up_takes_few_responses(house: House) -> None:
    for _ in range(3):
        await house.add(400)
    reader = house.stream(after_sequence=0)
    await reader.next("started")
    count = 0
    while len(reader.events) < 1200:
        response = await reader.next("events")
        assert len(response.events.events) <= 500
        assert response.ByteSize() < 1_100_000
        count += 1
    assert count <= 5
    assert sequences(reader) == list(range(1, 1201))


async def test_a_response_stays_below_a_mebibyte(house: House) -> None:
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    for _ in range(3):
        await house.add(100, tags=tags)
    reader = house.stream(after_sequence=0)
    await reader.next("started")
    while len(reader.events) < 300:
        assert (await reader.next("events")).ByteSize() < 1_048_576 + 20_000
    assert sequences(reader) == list(range(1, 301))


async def test_a_position_that_never_was(house: House) -> None:
    await house.add(2)
    error = await house.stream(after_sequence=3).end()
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_IN_FUTURE")
    assert error.metadata == {"head_sequence": "2"}
    await house.stream(after_sequence=2).next("started")


async def test_a_position_that_is_no_longer_kept(house: House) -> None:
    await house.add(3)
    await house.compact()
    (after,) = await house.add(1)
    error = await house.stream(after_sequence=2).end()
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_COMPACTED")
    assert error.metadata == {"oldest_sequence": "3"}
    (event,) = await house.stream(after_sequence=3).until(1)
    assert (event.sequence, event.order) == (4, after)


async def test_a_subscriber_that_is_overtaken_by_a_compaction_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is far behind when the floor rises above where it stands."""
    monkeypatch.setattr("orderd.server.subscription.MAX_EVENTS", 20)
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    for _ in range(10):
        await house.add(100, tags=tags)
    reader = house.stream(after_sequence=0)
    await reader.next("started")
    await reader.until(1)
    await house.compact()
    told = reader.told
    got: list[int] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while True:
            got += [event.sequence for event in (await reader.next()).events.events]
    assert said(caught.value).reason == "SEQUENCE_COMPACTED"
    assert got == list(range(told + 1, told + 1 + len(got))), "nothing is skipped before the end"
    assert len(got) + told < 1000


async def test_another_journal(house: House) -> None:
    error = await house.stream(after_sequence=99, journal_id="another").end()
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOURNAL_MISMATCH")
    assert error.precondition == "JOURNAL_MISMATCH"
    assert error.metadata == {"journal_id": house.engine.journal.journal_id}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"after_sequence": -1}, ["after_sequence"]),
        ({"after_sequence": 0, "snapshot": True}, ["snapshot"]),
        ({"symbols": [""], "order_ids": ["x" * 129]}, ["order_ids[0]", "symbols[0]"]),
        ({"heartbeat_interval": Duration(seconds=-1)}, ["heartbeat_interval"]),
    ],
)
async def test_what_cannot_be_asked(house: House, fields: dict[str, object], wrong: list[str]) -> None:
    error = await house.stream(**fields).end()
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert sorted(error.fields) == wrong


async def test_an_account_that_is_not_there(house: House) -> None:
    error = await house.stream(account_ids=["paper", "nobody"]).end()
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")


# ----------------------------------------------------------------------------------------------------------- filters


async def test_filters_are_and_between_fields_or_inside_one(two_accounts: House) -> None:
    async def submit(**fields: object) -> opb.Order:
        (order,) = await two_accounts.add(1, **fields)
        return order

    first = await submit(account_id="paper", symbol="AAPL", strategy="a", trace_id="t1", decision_id="d1")
    second = await submit(account_id="other", symbol="MSFT", strategy="a", trace_id="t2", decision_id="d2")
    third = await submit(account_id="other", symbol="AAPL", strategy="b", trace_id="t3", decision_id="d3")
    for where, wanted in (
        ({"account_ids": ["other"]}, [second, third]),
        ({"symbols": ["AAPL", "MSFT"], "strategies": ["a"]}, [first, second]),
        ({"order_ids": [first.order_id, third.order_id]}, [first, third]),
        ({"trace_ids": ["t2"]}, [second]),
        ({"decision_ids": ["d1", "d3"], "account_ids": ["other"]}, [third]),
        ({"account_ids": ["paper", "other"]}, [first, second, third]),
    ):
        reader = two_accounts.stream(after_sequence=0, **where)
        events = await reader.until(len(wanted))
        assert [event.order_id for event in events] == [order.order_id for order in wanted], where
        assert reader.told == 3, "the last response says that the rest was looked at, too"
        reader.call.cancel()


async def test_a_filtered_stream_never_claims_more_than_it_sent(house: House) -> None:
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    for _ in range(3):
        await house.add(100, symbol="MSFT", tags=tags)
        await house.add(1)
    reader = house.stream(after_sequence=0, symbols=["MSFT"])
    await reader.next("started")
    while len(reader.events) < 300:
        response = await reader.next("events")
        assert response.sequence >= response.events.events[-1].sequence
        missing = [n for n in range(1, response.sequence + 1) if n % 101 and n not in sequences(reader)]
        assert missing == []


async def test_a_filtered_idle_stream_moves_on_by_heartbeats(house: House) -> None:
    reader = house.stream(symbols=["MSFT"], heartbeat_interval=SECOND)
    assert (await reader.next("started")).sequence == 0
    await house.add(3)
    beat = await reader.next("heartbeat")
    assert (beat.sequence, beat.previous_sequence) == (3, 0)
    again = await reader.next("heartbeat")
    assert (again.sequence, again.previous_sequence) == (3, 3)
    await house.add(1, symbol="MSFT")
    assert (await reader.next("events")).events.events[0].sequence == 4


async def test_a_heartbeat_comes_in_time_while_nothing_matches(house: House) -> None:
    reader = house.stream(symbols=["MSFT"], heartbeat_interval=SECOND)
    await reader.next("started")
    began = asyncio.get_running_loop().time()

    async def trickle() -> None:
        while True:
            await house.orders.SubmitOrder(order_request(wait=pb.SUBMIT_WAIT_JOURNAL))
            await asyncio.sleep(0.05)

    load = asyncio.ensure_future(trickle())
    beat = await reader.next("heartbeat")
    load.cancel()
    assert 0.9 <= asyncio.get_running_loop().time() - began <= 3
    assert beat.sequence > 0


# ---------------------------------------------------------------------------------------------------------- snapshot


async def test_a_snapshot_and_then_everything_after_it(house: House) -> None:
    orders = await house.add(3)
    await house.engine.work(orders[0].order_id, "b-0")
    await house.engine.take(orders[0].order_id, filled("b-0", "10", "10", "e-1"))
    reader = house.stream(snapshot=True)
    started = await reader.next("started")
    head = house.engine.journal.head
    assert (started.sequence, started.started.head_sequence) == (0, head)
    page = await reader.next("snapshot")
    assert page.sequence == 0
    assert {order.order_id for order in page.snapshot.orders} == {order.order_id for order in orders[1:]}
    end = await reader.next("snapshot_end")
    assert end.sequence == head
    await house.add(1)
    assert (await reader.next("events")).events.events[0].sequence == head + 1


async def test_an_empty_snapshot(house: House) -> None:
    reader = house.stream(snapshot=True)
    await reader.next("started")
    assert (await reader.next("snapshot_end")).sequence == 0


async def test_a_snapshot_narrowed_by_filters(two_accounts: House) -> None:
    (mine,) = await two_accounts.add(1, account_id="paper", strategy="a")
    (other,) = await two_accounts.add(1, account_id="other", strategy="a")
    await two_accounts.add(1, account_id="paper", strategy="b")
    for where, wanted in (
        ({"strategies": ["a"]}, {mine.order_id, other.order_id}),
        ({"strategies": ["a"], "account_ids": ["other"]}, {other.order_id}),
        ({"order_ids": [mine.order_id, other.order_id], "account_ids": ["paper"]}, {mine.order_id}),
    ):
        reader = two_accounts.stream(snapshot=True, **where)
        await reader.next("started")
        page = await reader.next("snapshot")
        assert {order.order_id for order in page.snapshot.orders} == wanted
        reader.call.cancel()


async def test_a_snapshot_under_load_has_no_seam(house: House) -> None:
    """What the snapshot shows and what follows make up every order, each exactly once as created."""

    async def load() -> list[str]:
        ids: list[str] = []
        for _ in range(20):
            ids += [order.order_id for order in await house.add(20)]
        return ids

    first = [order.order_id for order in await house.add(1)]
    loading = asyncio.ensure_future(load())
    seen: list[list[str]] = []
    for _ in range(5):
        reader = house.stream(snapshot=True)
        ids: list[str] = []
        while (response := await reader.next()).WhichOneof("payload") != "snapshot_end":
            ids += [order.order_id for order in response.snapshot.orders]
        as_of = response.sequence
        assert len(ids) == as_of, "every event so far created one order"
        await reader.until(401 - as_of)
        assert sequences(reader) == list(range(as_of + 1, 402))
        seen.append(ids + [event.order_id for event in reader.events])
        reader.call.cancel()
    ids = first + await loading
    assert all(sorted(one) == sorted(ids) for one in seen)


async def test_what_is_committed_while_a_snapshot_is_sent_follows_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the read of the snapshot and the position it goes on from, somebody always trades."""
    await house.add(2)
    plain = house.engine.journal.snapshot

    async def trading(where: OrderFilter, *, limit: int) -> Page:
        page = await plain(where, limit=limit)
        await house.add(3)
        return page

    monkeypatch.setattr(house.engine.journal, "snapshot", trading)
    reader = house.stream(snapshot=True)
    assert (await reader.next("started")).sequence == 0
    assert len((await reader.next("snapshot")).snapshot.orders) == 2
    assert (await reader.next("snapshot_end")).sequence == 2
    await reader.until(3)
    assert sequences(reader) == [3, 4, 5]


async def test_a_snapshot_that_is_too_large(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderd.server.stream.MAX_SNAPSHOT_ORDERS", 2)
    await house.add(3)
    error = await house.stream(snapshot=True).end()
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SNAPSHOT_TOO_LARGE")
    assert error.retry_s is not None
    await house.add(1, symbol="MSFT")
    reader = house.stream(snapshot=True, symbols=["MSFT"])
    await reader.next("started")
    assert len((await reader.next("snapshot")).snapshot.orders) == 1


# ------------------------------------------------------------------------------------------------------- many, and slow


async def test_a_hundred_subscribers_get_everything(house: House) -> None:
    await house.add(10)
    readers = [house.stream(after_sequence=number % 11) for number in range(100)]
    for reader in readers:
        await reader.next("started")
    assert house.server.streams == 100
    for _ in range(5):
        await house.add(10)
    for number, reader in enumerate(readers):
        await reader.until(60 - number % 11)
        assert sequences(reader) == list(range(number % 11 + 1, 61))
    for reader in readers:
        reader.call.cancel()
    await house.streams_left(0)


async def test_the_number_of_streams_is_bounded(serve: OpenHouse) -> None:
    async with serve(max_streams=2, max_streams_per_connection=2) as house:
        held = [house.stream(), house.stream()]
        for reader in held:
            await reader.next("started")
        error = await house.stream().end()
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        assert error.retry_s == 5
        held[0].call.cancel()
        await house.streams_left(1)
        await house.stream().next("started")


async def test_a_reader_that_stands_still_is_cut_off_and_delays_nobody(serve: OpenHouse) -> None:
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    async with serve(write_timeout_s=2) as house:
        still, moving = house.stream(after_sequence=0), house.stream(after_sequence=0)
        await still.next("started")
        reading = asyncio.ensure_future(moving.until(1000))
        for _ in range(10):
            await house.add(100, tags=tags)
        await reading
        await house.streams_left(1)
        got: list[int] = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while True:
                got += [event.sequence for event in (await still.next()).events.events]
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert got == list(range(1, len(got) + 1)), "what did arrive has no hole"
        resumed = house.stream(after_sequence=still.told)
        await resumed.until(1000 - still.told)


async def test_a_slow_readers_error_names_where_it_stood(serve: OpenHouse) -> None:
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    async with serve(write_timeout_s=0.5) as house:
        still = house.stream(after_sequence=0)
        await still.next("started")
        for _ in range(10):
            await house.add(100, tags=tags)
        await house.streams_left(0)
        error = await still.end()
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STREAM_TOO_SLOW")
        assert 0 < int(error.metadata["last_sequence"]) < 1000
        assert error.retry_s is not None


async def test_a_reader_that_stands_still_is_no_defect(
    serve: OpenHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its status waits behind what it does not read, and the call's task ends: nothing of that is worth a trace."""
    monkeypatch.setattr("orderd.server.edge.ABORT_TIMEOUT_S", 0.1)
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    async with serve(write_timeout_s=0.3) as house:
        still = house.stream(after_sequence=0)
        await still.next("started")
        for _ in range(10):
            await house.add(100, tags=tags)
        await house.streams_left(0)
        await asyncio.sleep(0.5)  # five times what its status may wait
        assert [record for record in caplog.records if record.name.startswith("grpc")] == []
        assert (await still.end()).reason == "STREAM_TOO_SLOW"


async def test_what_is_read_ahead_of_a_reader_is_bounded_in_bytes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of five hundred large events is ten times what goes into one response."""
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    for _ in range(10):
        await house.add(100, tags=tags)
    pages: list[int] = []
    plain = house.engine.feed.read

    async def read(after: int, limit: int) -> Sequence[Entry]:
        entries = await plain(after, limit)
        pages.append(sum(len(entry.data) for entry in entries))
        return entries

    monkeypatch.setattr(house.engine.feed, "read", read)
    reader = house.stream(after_sequence=0)
    await reader.until(1_000)
    assert sequences(reader) == list(range(1, 1_001))
    assert pages[0] > 4 * 1_048_576, "the first one does not know yet"
    assert sum(pages[1:]) < 2.5 * sum(len(entry.data) for entry in await plain(0, 1_000))
    assert max(pages[1:]) < 2.5 * 1_048_576


async def test_a_subscriber_that_leaves_is_forgotten(house: House, caplog: pytest.LogCaptureFixture) -> None:
    readers = [house.stream() for _ in range(10)]
    for reader in readers:
        await reader.next("started")
    await house.channel.close()
    await house.streams_left(0)
    assert [record for record in caplog.records if record.name.startswith("grpc")] == []
