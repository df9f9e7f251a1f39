"""StreamOrderEvents of a real process: readers that stand still, a thousand at once, snapshots, positions."""

import asyncio
import contextlib
import hashlib
import random
import signal
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd.ports import Append
from orderd.storage import open_journal
from orderd.system import SystemClock, SystemIds
from tests.e2e import processes
from tests.e2e.errors import details, metadata_of
from tests.e2e.harness import House, database_of, trading
from tests.e2e.load import ENDS, SIMULATED, ended, trade
from tests.e2e.processes import rss
from tests.e2e.raw import event_bytes, journal_places
from tests.e2e.tape import METHOD
from tests.reach import PROVES, Reached, patience, scaled
from tests.storage.making import acknowledged, canceled, new, order, submitted

MIB = 1024 * 1024
PATIENCE_S = 30 if PROVES else 3
"""How long a reader may stand still: what the server is built with, or less, so that the test is short."""
IMPATIENT = """
import sys
from orderd import app
from orderd.config import load
from orderd.server.server import GrpcServer
GrpcServer.__init__.__kwdefaults__["write_timeout_s"] = float(sys.argv[2])
sys.exit(app.run(load(sys.argv[1], environment={})))
"""
FOLLOW = """
import sys, grpc
from oms.v1 import order_service_pb2 as pb, order_service_pb2_grpc as rpc
stub = rpc.OrderServiceStub(grpc.insecure_channel(sys.argv[1]))
for response in stub.StreamOrderEvents(pb.StreamOrderEventsRequest()):
    print(response.WhichOneof("payload"), flush=True)
"""
HEAVY = {f"key-{n}": "v" * 250 for n in range(30)}
QUIET = {"log_level": "info", "max_streams": 3_000}


async def write(directory: Path, orders: int, *, days_ago: int = 0, tags: dict[str, str] | None = None) -> None:
    """Orders of four events each that are over, in the journal of a house that has not started yet."""
    url = f"sqlite+aiosqlite:///{database_of(directory)}"
    journal = await open_journal(url, clock=SystemClock(), ids=SystemIds())
    at = datetime.now(UTC) - timedelta(days=days_ago)
    for first in range(0, orders, 100):
        appends = [
            new(order(account_id="sim", tags=tags or {}), submitted(), acknowledged(f"old-{days_ago}-{n}"), canceled())
            for n in range(first, min(first + 100, orders))
        ]
        await journal.append([_recorded(append, at) for append in appends])
    await journal.close()


def _recorded(append: Append, at: datetime) -> Append:
    replace = msgspec.structs.replace
    return replace(append, steps=tuple(replace(step, event=replace(step.event, at=at)) for step in append.steps))


class Subscriber:
    """One subscriber on a connection of its own, which keeps what it hears as bytes."""

    def __init__(self, channel: grpc.aio.Channel, **fields: object) -> None:
        stream = channel.unary_stream(METHOD, request_serializer=pb.StreamOrderEventsRequest.SerializeToString)
        self.call = stream(pb.StreamOrderEventsRequest(**fields))
        self.after = int(fields.get("after_sequence", 0))  # type: ignore[call-overload]
        self.told = 0
        self.count = 0
        self.hashed = hashlib.sha256()

    async def read(self) -> pb.StreamOrderEventsResponse:
        """The next response. Raises AioRpcError at its end."""
        data = await self.call.read()
        assert data is not grpc.aio.EOF, "a stream never just ends"
        response = pb.StreamOrderEventsResponse.FromString(data)
        assert response.previous_sequence == self.told or response.HasField("started")
        self.told = response.sequence
        for event in event_bytes(data):
            self.hashed.update(event)
            self.count += 1
        return response

    async def until(self, sequence: int) -> None:
        """Read until everything up to there has been heard."""
        while self.told < sequence:
            await self.read()

    async def refusal(self) -> grpc.aio.AioRpcError:
        """Read to the error that ends it."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            while True:
                await self.read()
        return error.value

    def agrees(self, kept: Sequence[bytes], floor: int = 0) -> bool:
        """Whether it heard, byte for byte, what the journal keeps after where it began, up to where it is."""
        part = [body for body in kept[self.after - floor : self.told - floor] if body]
        return self.count == len(part) and self.hashed.digest() == hashlib.sha256(b"".join(part)).digest()


@asynccontextmanager
async def connected(house: House, count: int = 1) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Connections that share nothing."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(house.address, options=options) for _ in range(count)]
    try:
        yield channels
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


async def submits_s(house: House, name: str, count: int = 20) -> float:
    """The median time of a submit, in seconds, one after the other: the best of four rounds, whatever else goes on."""
    medians: list[float] = []
    for turn in range(4):
        times: list[float] = []
        for number in range(count):
            began = time.monotonic()
            await house.submit(client_order_id=f"{name}-{turn}-{number}", symbol="F", wait=pb.SUBMIT_WAIT_JOURNAL)
            times.append(time.monotonic() - began)
        medians.append(statistics.median(times))
    return min(medians)


# ------------------------------------------------------------------------------------------------- slow and stalled


@asynccontextmanager
async def impatient(directory: Path) -> AsyncIterator[House]:
    """A house whose readers may stand still for `PATIENCE_S`."""
    async with trading(directory, accounts=SIMULATED, is_started=False) as house:
        arguments = ("-c", IMPATIENT, str(directory / "orderd.toml"), str(PATIENCE_S))
        house.server = processes.Process(arguments, directory / "orderd.log")
        await house.start()
        yield house


@pytest.mark.scaled
@pytest.mark.timeout(patience(900))
async def test_readers_that_stand_still_cost_little_delay_nobody_and_are_cut_off(
    tmp_path: Path, reached: Reached
) -> None:
    stalled = scaled(100)
    await write(tmp_path, 300, tags=HEAVY)
    async with impatient(tmp_path) as house, connected(house, stalled + 2) as (live, slow, *channels):
        reader = Subscriber(live, after_sequence=0)
        await reader.until(1_200)
        alone_s, before = await submits_s(house, "alone"), rss(house.server.pid)
        still = [Subscriber(channel, after_sequence=0) for channel in channels]
        await asyncio.gather(*(one.read() for one in still))
        async with asyncio.TaskGroup() as group:
            most = group.create_task(most_memory_until_cut(house, stalled))
            group.create_task(read_slowly(Subscriber(slow, after_sequence=0), 2 * PATIENCE_S))
            beside_s = await submits_s(house, "beside")
        assert (most.result() - before) / (stalled + 1) <= 8 * MIB
        assert beside_s <= 5 * alone_s + 0.05
        await reader.until(1_200 + 2 * 160)
        errors = await asyncio.gather(*(one.refusal() for one in still))
        kept = journal_places(house.database)
        for one, error in zip(still, errors, strict=True):
            assert (error.code(), details(error)[0]) == (grpc.StatusCode.UNAVAILABLE, "STREAM_TOO_SLOW")
            assert details(error)[1] > 0, "it says when to come again"
            assert 0 < int(metadata_of(error)["last_sequence"]) <= one.told < 1_200
            assert one.agrees(kept)
        again = Subscriber(live, after_sequence=still[0].told)
        await again.until(reader.told)
        assert again.agrees(kept)
        assert reader.agrees(kept)
        reached("P13", "readers that stood still, at 8 MiB each at most, cut off and resumed", stalled)


async def most_memory_until_cut(house: House, readers: int) -> int:
    """The most memory the server had, in bytes, until it has cut so many readers off."""
    most = 0
    async with asyncio.timeout(PATIENCE_S + 60):
        while house.server.said().count("STREAM_TOO_SLOW") < readers:
            most = max(most, rss(house.server.pid))
            await asyncio.sleep(0.1)
    return most


async def read_slowly(reader: Subscriber, seconds: float) -> None:
    """A response now and then: slow is not standing still."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await reader.read()
        await asyncio.sleep(PATIENCE_S / 5)
    reader.call.cancel()


@pytest.mark.prove
async def test_subscribers_that_are_frozen_are_noticed(tmp_path: Path, reached: Reached) -> None:
    """SIGSTOP: their kernels still take bytes. The pings of the real server's own keepalive find out, in 30 s."""
    async with trading(tmp_path, accounts=SIMULATED) as house:
        frozen = [await following(house) for _ in range(10)]
        try:
            assert await asyncio.to_thread(connections, house) >= 10
            for client in frozen:
                client.send_signal(signal.SIGSTOP)
            await trade(house, 200)
            async with asyncio.timeout(90):
                while connections(house) > 1:  # noqa: ASYNC110 - the system rings no bell
                    await asyncio.sleep(0.5)
        finally:
            for client in frozen:
                client.kill()
                await client.communicate()
        reached("P13", "frozen subscribers that were noticed by their silence", len(frozen))


async def following(house: House) -> asyncio.subprocess.Process:
    """A subscriber that is a process, once it has been told where it begins."""
    pipe = asyncio.subprocess.PIPE
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", FOLLOW, house.address, stdout=pipe)
    assert client.stdout is not None
    assert await client.stdout.readline() == b"started\n"
    return client


def connections(house: House) -> int:
    """How many connections to the server's port are open, as the system sees it."""
    port = f":{int(house.address.rpartition(':')[2]):04X}"
    tables = [Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:] for name in ("tcp", "tcp6")]
    columns = [line.split() for table in tables for line in table]
    return sum(local.endswith(port) and state == "01" for _, local, _, state, *_ in columns)


# --------------------------------------------------------------------------------------------------------- a thousand


@pytest.mark.scaled
@pytest.mark.timeout(patience(900))
async def test_a_thousand_subscribers_hear_everything_and_nobody_waits_for_them(
    tmp_path: Path, reached: Reached
) -> None:
    """Half of them from the beginning, half in the middle of it, from positions of their own."""
    count, orders = scaled(1_000), 200 if PROVES else 100
    chance = random.Random(7)
    async with trading(tmp_path, accounts=SIMULATED, settings=QUIET) as house, connected(house, 20) as channels:
        begun = [Subscriber(channels[n % 20], after_sequence=0) for n in range(count // 2)]
        await asyncio.gather(*(one.read() for one in begun))
        await trade(house, orders)
        heard = len(house.tape.events)
        joined = [
            Subscriber(channels[n % 20], after_sequence=chance.randint(0, heard)) for n in range(count - count // 2)
        ]
        everybody = [*begun, *joined]
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(listen(one)) for one in everybody]
            await trade(house, orders, first=orders)
            await ended(house, 2 * orders)
            among_s = await submits_s(house, "among", 5)
            kept = journal_places(house.database)
            await heard_by_all(everybody, len(kept))
            for task in listening:
                task.cancel()
        kept = journal_places(house.database)
        assert all(one.agrees(kept) for one in everybody)
        assert among_s < 2, "a submit among them all, in seconds"
        reached("P6", "subscribers at once, byte-identical", count)


async def listen(reader: Subscriber) -> None:
    """Read on and on."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await reader.read()


async def heard_by_all(readers: Sequence[Subscriber], sequence: int) -> None:
    """Wait until each has heard so much."""
    async with asyncio.timeout(120):
        while any(one.told < sequence for one in readers):  # noqa: ASYNC110 - they are many
            await asyncio.sleep(0.05)


# ----------------------------------------------------------------------------------------------------------- snapshots


class Joiner:
    """One that takes a snapshot and folds what follows into it."""

    def __init__(self) -> None:
        self.orders: dict[str, opb.Order] = {}
        self.as_of = -1
        self.shown: dict[str, opb.Order] = {}
        """The snapshot itself."""

    async def join(self, channel: grpc.aio.Channel) -> Subscriber:
        """Take the snapshot."""
        reader = Subscriber(channel, snapshot=True, heartbeat_interval=Duration(seconds=1))
        while self.as_of < 0:
            response = await reader.read()
            self.shown.update({each.order_id: each for each in response.snapshot.orders})
            if response.HasField("snapshot_end"):
                self.as_of = response.sequence
        self.orders = dict(self.shown)
        return reader

    async def follow(self, reader: Subscriber, head: asyncio.Future[int]) -> None:
        """Fold every event up to the head, which is known once there is no more trading."""
        while not head.done() or reader.told < head.result():
            response = await reader.read()
            for event in response.events.events:
                assert event.sequence > self.as_of
                self.orders[event.order_id] = event.order


@pytest.mark.scaled
@pytest.mark.timeout(patience(900))
async def test_a_snapshot_and_what_follows_is_the_fold_of_all_events(tmp_path: Path, reached: Reached) -> None:
    joins, orders = scaled(200), 1_000 if PROVES else 200
    chance = random.Random(11)
    head: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with trading(tmp_path, accounts=SIMULATED, settings=QUIET) as house, connected(house, 4) as channels:
        joiners = [Joiner() for _ in range(joins)]
        async with asyncio.TaskGroup() as group:
            trading_on = group.create_task(trade(house, orders, resting=True))
            for number, joiner in enumerate(joiners):
                await asyncio.sleep(chance.uniform(0, 0.05))
                group.create_task(joiner.follow(await joiner.join(channels[number % 4]), head))
            await trading_on
            await at_rest(house, orders)
            head.set_result(len(journal_places(house.database)))
        events = [opb.OrderEvent.FromString(data) for data in journal_places(house.database)]
        assert len(events) == head.result()
        everything = fold(events)
        for joiner in joiners:
            then = fold(events[: joiner.as_of])
            assert joiner.shown == {name: each for name, each in then.items() if each.status not in ENDS}
            later = {event.order_id for event in events[joiner.as_of :] if event.order_id}
            assert joiner.orders == {name: everything[name] for name in later | set(joiner.shown)}
        assert len({joiner.as_of for joiner in joiners}) > 1
        reached("P6", "snapshots under load that join with what follows", joins)


async def at_rest(house: House, orders: int) -> None:
    """Wait until every tenth order rests and every other one has come to its end."""

    def is_quiet() -> bool:
        states = Counter(each.status for each in house.tape.orders.values())
        return (
            states[opb.ORDER_STATUS_ACCEPTED] == orders // 10 and sum(states[end] for end in ENDS) == orders * 9 // 10
        )

    await house.tape.until(is_quiet, within_s=120)


def fold(events: Sequence[opb.OrderEvent]) -> dict[str, opb.Order]:
    """Each order after its last event; where the desk has its place there is none."""
    return {event.order_id: event.order for event in events if event.order_id}


# ----------------------------------------------------------------------------------------------------------- positions


@pytest.mark.timeout(patience(180))
async def test_a_journal_whose_old_events_are_let_go_while_it_serves(tmp_path: Path) -> None:
    """Below what is kept, in the future, in another journal: each says what it is. Above it every byte is the same."""
    await write(tmp_path, 500, days_ago=30)
    await write(tmp_path, 100)
    before = journal_places(database_of(tmp_path))
    settings = QUIET | {"retention": {"keep_events_days": 7}}
    async with trading(tmp_path, accounts=SIMULATED, settings=settings, is_started=False) as house:
        house.tape.sequence = 2_000
        await house.start()
        async with connected(house) as (channel,):
            await trade(house, 100)
            await ended(house, 200)
            await gone(house, 400)
            error = await Subscriber(channel, after_sequence=1_999).refusal()
            assert (error.code(), details(error)[0]) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_COMPACTED")
            assert metadata_of(error) == {"oldest_sequence": "2000"}
            error = await Subscriber(channel, after_sequence=99_999).refusal()
            assert (error.code(), details(error)[0]) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_IN_FUTURE")
            error = await Subscriber(channel, after_sequence=0, journal_id="another").refusal()
            assert (error.code(), details(error)[0]) == (grpc.StatusCode.FAILED_PRECONDITION, "JOURNAL_MISMATCH")
            kept = journal_places(house.database, floor=2_000)
            assert kept[:400] == before[2_000:]
            reader = Subscriber(channel, after_sequence=2_000)
            await reader.until(2_000 + len(kept))
            assert reader.agrees(kept, floor=2_000)
            snapshot = Joiner()
            await snapshot.join(channel)
            assert snapshot.as_of >= 2_400
        listed = await house.orders.ListOrders(pb.ListOrdersRequest(page_size=1_000))
        oldest = listed.orders[-1]
        story = await house.orders.ListOrderEvents(pb.ListOrderEventsRequest(order_id=oldest.order_id))
        assert (story.compacted_versions, len(story.events)) == (4, 0)


async def gone(house: House, left: int) -> None:
    """Wait until so few of the old events are left as are to stay."""
    async with asyncio.timeout(120):
        while kept_below(house.database, 2_400) > left:  # noqa: ASYNC110 - the server rings no bell for it
            await asyncio.sleep(0.05)


def kept_below(database: Path, sequence: int) -> int:
    """How many events the table holds up to there."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as reader:
        return int(reader.execute("SELECT count(*) FROM order_events WHERE sequence <= ?", (sequence,)).fetchone()[0])
