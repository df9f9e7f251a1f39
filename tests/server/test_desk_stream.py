"""StreamDeskEvents: the desk's events and nothing else, on the sequence of the orders; the same rules as theirs."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import msgspec
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from oms.v1 import trade_service_pb2 as pb
from orderd.core.records import RecordKind
from orderd.ports import RecordChange
from orderd.server.call import Call
from orderd.server.desk_stream import DeskStreams
from orderd.server.server import GrpcServer
from tests.server.conftest import House, Said, open_house, said
from tests.storage.desk_making import later, made

SECOND = Duration(seconds=1)
SERVICE = pb.DESCRIPTOR.services_by_name["TradeService"]


class OnlyStreams(DeskStreams):
    """The service with none of its single calls."""

    def __getattr__(self, name: str) -> object:
        if name not in SERVICE.methods_by_name:
            raise AttributeError(name)

        async def absent(request: object, call: Call) -> bytes:
            raise NotImplementedError

        return absent


@pytest_asyncio.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house with one account, and the desk's stream."""
    plain = GrpcServer.start

    async def start(self: GrpcServer) -> str:
        if not any(path.startswith(f"/{SERVICE.full_name}/") for path in self._registry._handlers):
            self._registry.add(SERVICE, OnlyStreams(self._engine))
        return await plain(self)

    monkeypatch.setattr(GrpcServer, "start", start)
    async with open_house(tmp_path) as one:
        yield one


class Follower:
    """A subscriber to the desk that checks what every subscriber may rely on."""

    def __init__(self, house: House, **fields: object) -> None:
        method = f"/{SERVICE.full_name}/StreamDeskEvents"
        follow = house.channel.unary_stream(
            method,
            request_serializer=pb.StreamDeskEventsRequest.SerializeToString,
            response_deserializer=pb.StreamDeskEventsResponse.FromString,
        )
        self.call = follow(pb.StreamDeskEventsRequest(**fields), timeout=30)
        self.told = 0
        self.events: list[pb.DeskEvent] = []

    async def next(self, kind: str) -> pb.StreamDeskEventsResponse:
        """The next response, which has this payload."""
        response = await self.call.read()
        assert response is not grpc.aio.EOF, "the stream ended"
        assert response.previous_sequence == self.told, response
        assert response.WhichOneof("payload") == kind, response
        self.told = response.sequence
        self.events.extend(response.events.events)
        return response

    async def until(self, count: int) -> list[int]:
        """Read until there are so many events in all; their sequences."""
        while len(self.events) < count:
            await self.next("events")
        return [event.sequence for event in self.events]

    async def end(self) -> Said:
        """Read to the error that ends the stream."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await self.call.read() is not grpc.aio.EOF:
                pass
        return said(caught.value)


async def record(house: House, *changes: RecordChange) -> None:
    await house.engine.journal.record(changes)


async def test_live_and_from_the_beginning_in_the_same_bytes_without_the_orders(house: House) -> None:
    await house.add(2)
    first = made()
    await record(house, first)
    live = Follower(house)
    started = await live.next("started")
    assert (started.sequence, started.started.head_sequence) == (3, 3)
    assert started.started.journal_id == house.engine.journal.journal_id
    await house.add(3)
    await record(house, later(first), made(RecordKind.DECISION))
    assert await live.until(2) == [7, 8]
    assert [event.WhichOneof("subject") for event in live.events] == ["trade", "decision"]
    again = Follower(house, after_sequence=0)
    await again.next("started")
    assert await again.until(3) == [3, 7, 8]
    assert [e.SerializeToString(deterministic=True) for e in again.events[1:]] == [
        e.SerializeToString(deterministic=True) for e in live.events
    ]
    kept = await house.engine.journal.list_record_events(first.record.record_id, after_version=0, limit=9)
    assert [row.data for row in kept.rows] == [e.SerializeToString(deterministic=True) for e in again.events[:2]]
    resumed = Follower(house, after_sequence=3, journal_id=house.engine.journal.journal_id)
    await resumed.next("started")
    assert await resumed.until(2) == [7, 8]


async def test_the_orders_stream_passes_over_the_desk_and_moves_on(house: House) -> None:
    await house.add(1)
    await record(house, made(), made())
    await house.add(1)
    everything = house.stream(after_sequence=0, heartbeat_interval=SECOND)
    await everything.next("started")
    assert [event.sequence for event in await everything.until(2)] == [1, 4]
    await record(house, made())
    beat = await everything.next("heartbeat")
    assert (beat.sequence, beat.previous_sequence) == (5, 4)
    await house.add(1)
    assert [event.sequence for event in await everything.until(3)] == [1, 4, 6]
    filtered = house.stream(after_sequence=0, symbols=["AAPL"])
    await filtered.next("started")
    assert [event.sequence for event in await filtered.until(3)] == [1, 4, 6]
    second = house.stream(after_sequence=0)
    await second.next("started")
    assert [event.sequence for event in await second.until(3)] == [1, 4, 6]


async def test_an_idle_desk_stream_moves_on_by_heartbeats(house: House) -> None:
    follower = Follower(house, heartbeat_interval=SECOND)
    await follower.next("started")
    await house.add(3)
    beat = await follower.next("heartbeat")
    assert (beat.sequence, beat.previous_sequence) == (3, 0)
    await record(house, made())
    assert await follower.until(1) == [4]


async def test_filters_of_a_desk_stream(house: House) -> None:
    a = made(symbol="MSFT", strategy="s", trace_id="t", decision_id="d", trade_id="r")
    closing = pb.DeskEvent.FromString(a.event)
    closing.type = pb.DESK_EVENT_TYPE_TRADE_CLOSED
    b = made()
    b = msgspec.structs.replace(b, event=b.event + pb.DeskEvent(type=closing.type).SerializeToString())
    await record(house, a, b)
    for where, wanted in (
        ({"symbols": ["MSFT"]}, [1]),
        ({"strategies": ["s"], "trace_ids": ["t"], "decision_ids": ["d"], "trade_ids": ["r"]}, [1]),
        ({"types": [pb.DESK_EVENT_TYPE_TRADE_CLOSED]}, [2]),
        ({"types": [pb.DESK_EVENT_TYPE_TRADE_CLOSED, pb.DESK_EVENT_TYPE_TRADE_CREATED]}, [1, 2]),
        ({"account_ids": ["paper"]}, [1, 2]),
    ):
        follower = Follower(house, after_sequence=0, **where)
        await follower.next("started")
        assert await follower.until(len(wanted)) == wanted, where
        assert follower.told == 2, "the last response says that the rest was looked at, too"
        follower.call.cancel()


async def test_positions_that_cannot_be_followed(house: House) -> None:
    await house.add(1)
    await record(house, made())
    future = await Follower(house, after_sequence=3).end()
    assert (future.code, future.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_IN_FUTURE")
    other = await Follower(house, after_sequence=0, journal_id="another").end()
    assert (other.code, other.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOURNAL_MISMATCH")
    await house.compact()
    gone = await Follower(house, after_sequence=0).end()
    assert (gone.code, gone.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_COMPACTED")
    nobody = await Follower(house, account_ids=["nobody"]).end()
    assert (nobody.code, nobody.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    wrong = await Follower(house, types=[99], after_sequence=-1).end()
    assert (wrong.reason, sorted(wrong.fields)) == ("INVALID_FIELDS", ["after_sequence", "types[0]"])


async def test_a_long_history_of_both_is_told_in_few_responses(house: House) -> None:
    for _ in range(3):
        await house.add(300)
        await record(house, *(made() for _ in range(300)))
    follower = Follower(house, after_sequence=0)
    await follower.next("started")
    count = 0
    while len(follower.events) < 900:
        await follower.next("events")
        count += 1
    assert count <= 6
    wanted = [n for n in range(1, 1801) if (n - 1) % 600 >= 300]
    assert [event.sequence for event in follower.events] == wanted
    orders = house.stream(after_sequence=0)
    await orders.next("started")
    told = [event.sequence for event in await orders.until(900)]
    assert told == [n for n in range(1, 1801) if n not in set(wanted)]


async def test_subscribers_of_both_kinds_share_nothing_but_the_journal(house: House) -> None:
    """Unfiltered ones at the same positions get what is theirs."""
    followers = [Follower(house, after_sequence=0) for _ in range(5)]
    readers = [house.stream(after_sequence=0) for _ in range(5)]
    for each in (*followers, *readers):
        await each.next("started")
    for _ in range(10):
        await house.add(3)
        await record(house, made(), made())
    desk = [n for n in range(1, 51) if (n - 1) % 5 >= 3]
    for follower in followers:
        assert await follower.until(20) == desk
    for reader in readers:
        assert [event.sequence for event in await reader.until(30)] == [n for n in range(1, 51) if n not in desk]
