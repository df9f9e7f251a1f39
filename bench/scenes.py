"""The things that are measured, each beside its limit, round by round in turn."""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bench.load import Run, Unary, channel, closed_loop, unary
from bench.processes import Running, started
from bench.report import Row
from bench.seeding import SYMBOLS
from oms.v1 import account_service_pb2 as apb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb

ORDERS = "/oms.v1.OrderService"
SUBMIT, BATCH, GET, LIST, STREAM = (
    f"{ORDERS}/{name}" for name in ("SubmitOrder", "BatchSubmitOrders", "GetOrder", "ListOrders", "StreamOrderEvents")
)
BATCH_OF = 100
_numbers = itertools.count(time.time_ns())


@dataclass(kw_only=True)
class Bench:
    """Both servers, the channels to them, and how much is measured."""

    limit: grpc.aio.Channel
    ours: grpc.aio.Channel
    server: Running
    rounds: int
    calls: int
    suffix: str = ""
    """What is said behind the names of the rows."""
    rows: list[Row] = field(default_factory=list)

    def echo(self, kind: str, size: int) -> str:
        """The method of the limit that answers `size` bytes."""
        return f"/bench.Echo/{kind}.{size}"


@contextlib.asynccontextmanager
async def bench(journal: Path, *, rounds: int, calls: int, arguments: Sequence[str] = ()) -> AsyncIterator[Bench]:
    """Start the limit and a server on `journal`; both are up and orderd takes submits when the block begins."""
    async with started("bench.echo") as echo, started("bench.serving", str(journal), *arguments) as server:
        ours = channel(server.address)
        await taking_submits(ours)
        yield Bench(limit=channel(echo.address), ours=ours, server=server, rounds=rounds, calls=calls)


async def taking_submits(ours: grpc.aio.Channel, within_s: float = 60) -> None:
    """Wait until the account has been reconciled."""
    status = unary(ours, "/oms.v1.AccountService/GetAccount")
    async with asyncio.timeout(within_s):
        while apb.GetAccountResponse.FromString(await status(b"")).account.recovering:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


def order(wait: "pb.SubmitWait", number: int | None = None) -> pb.SubmitOrderRequest:
    """A limit order far from the market, to be taken now or not at all: the venue ends it at once and holds none."""
    number = next(_numbers) if number is None else number
    return pb.SubmitOrderRequest(
        client_order_id=f"bench-{number}",
        trace_id=f"trace-{number}",
        strategy="bench",
        symbol=SYMBOLS[number % len(SYMBOLS)],
        side=opb.SIDE_BUY,
        quantity="10",
        type=opb.ORDER_TYPE_LIMIT,
        limit_price="1.25",
        reference_price="1.25",
        time_in_force=opb.TIME_IN_FORCE_IOC,
        wait=wait,
    )


async def rest(ours: grpc.aio.Channel, count: int) -> None:
    """Leave so many orders resting at the broker."""
    requests = [order(pb.SUBMIT_WAIT_BROKER) for _ in range(count)]
    for request in requests:
        request.time_in_force = opb.TIME_IN_FORCE_GTC
    await closed_loop(unary(ours, SUBMIT), [request.SerializeToString() for request in requests], 64)


def submits(count: int, wait: "pb.SubmitWait") -> list[bytes]:
    """Serialised submits, each with a key of its own."""
    return [order(wait).SerializeToString() for _ in range(count)]


async def settled(b: Bench) -> None:
    """Wait until the server has done what the last round left it to do, at most half a minute."""
    for _ in range(100):
        before = b.server.cpu_s
        await asyncio.sleep(0.3)
        if b.server.cpu_s - before < 0.05:  # noqa: PLR2004 - a sixth of one processor
            return


async def submit(b: Bench) -> None:
    """SubmitOrder beside an echo of the same sizes."""
    call = unary(b.ours, SUBMIT)
    size = len(await call(submits(1, pb.SUBMIT_WAIT_JOURNAL)[0]))
    echo = unary(b.limit, b.echo("Unary", size))
    for wait, name in ((pb.SUBMIT_WAIT_JOURNAL, "JOURNAL"), (pb.SUBMIT_WAIT_BROKER, "BROKER")):
        for concurrency, count in ((64, b.calls), (1, b.calls // 8)):
            ours, limit = await beside(b, call, echo, wait, concurrency, count)
            if concurrency == 1:
                taken = [run.p50_s * 1e6 for run in ours], [run.p50_s * 1e6 for run in limit]
                unit, wanted = "us p50", "<= 2.0" if name == "JOURNAL" else "-"
            else:
                taken = [run.per_s for run in ours], [run.per_s for run in limit]
                unit, wanted = "orders/s", ">= 0.60" if name == "JOURNAL" else "-"
            title = f"SubmitOrder, wait {name}, {concurrency} at a time{b.suffix}"
            b.rows.append(Row(name=title, unit=unit, ours=taken[0], limit=taken[1], limit_name="echo", wanted=wanted))


async def beside(  # noqa: PLR0917 - a pair of calls and how they are made
    b: Bench, call: Unary, echo: Unary, wait: "pb.SubmitWait", concurrency: int, count: int
) -> tuple[list[Run], list[Run]]:
    """Rounds in turn: the limit, then ours."""
    ours: list[Run] = []
    limit: list[Run] = []
    for _ in range(b.rounds):
        limit.append(await closed_loop(echo, submits(count, wait), concurrency))
        ours.append(await closed_loop(call, submits(count, wait), concurrency))
        await settled(b)
    return ours, limit


async def batch(b: Bench) -> None:
    """BatchSubmitOrders of 100: orders a second beside the echo's calls a second."""
    call = unary(b.ours, BATCH)
    single = unary(b.ours, SUBMIT)
    size = len(await single(submits(1, pb.SUBMIT_WAIT_JOURNAL)[0]))
    echo = unary(b.limit, b.echo("Unary", size))
    ours, limit = [], []
    for _ in range(b.rounds):
        limit.append((await closed_loop(echo, submits(b.calls, pb.SUBMIT_WAIT_JOURNAL), 64)).per_s)
        requests = [
            pb.BatchSubmitOrdersRequest(
                requests=[order(pb.SUBMIT_WAIT_UNSPECIFIED) for _ in range(BATCH_OF)]
            ).SerializeToString()
            for _ in range(max(b.calls // BATCH_OF, 4))
        ]
        ours.append((await closed_loop(call, requests, 4)).per_s * BATCH_OF)
        await settled(b)
    name = f"BatchSubmitOrders of {BATCH_OF}"
    b.rows.append(Row(name=name, unit="orders/s", ours=ours, limit=limit, limit_name="echo calls/s", wanted=">= 2.0"))


async def get(b: Bench) -> None:
    """GetOrder of a live order beside an echo of the same sizes."""
    made = pb.SubmitOrderResponse.FromString(
        await unary(b.ours, SUBMIT)(submits(1, pb.SUBMIT_WAIT_BROKER)[0])
    ).order.order_id
    request = pb.GetOrderRequest(order_id=made).SerializeToString()
    call = unary(b.ours, GET)
    echo = unary(b.limit, b.echo("Unary", len(await call(request))))
    ours, limit = [], []
    for _ in range(b.rounds):
        limit.append((await closed_loop(echo, [request] * b.calls, 64)).per_s)
        ours.append((await closed_loop(call, [request] * b.calls, 64)).per_s)
    name = "GetOrder of a live order, 64 at a time"
    b.rows.append(Row(name=name, unit="calls/s", ours=ours, limit=limit, limit_name="echo", wanted=">= 0.85"))


# ------------------------------------------------------------------------------------------------------------- streams


async def read_events(stub: grpc.aio.Channel, after: int | None, count: int) -> float:
    """Read `count` events; returns the seconds it took."""
    request = pb.StreamOrderEventsRequest()
    if after is not None:
        request.after_sequence = after
    began = time.perf_counter()
    stream = stub.unary_stream(STREAM)(request.SerializeToString())
    seen = 0
    async for message in stream:
        seen += len(pb.StreamOrderEventsResponse.FromString(message).events.events)
        if seen >= count:
            break
    stream.cancel()
    return time.perf_counter() - began


async def read_limit(stub: grpc.aio.Channel, method: str, count: int) -> float:
    """Read `count` messages of the limit's stream; returns the seconds it took."""
    began = time.perf_counter()
    async for _ in stub.unary_stream(method)(str(count).encode()):
        pass
    return time.perf_counter() - began


async def head(b: Bench) -> int:
    """The journal's last sequence."""
    answer = await unary(b.ours, LIST)(pb.ListOrdersRequest(page_size=1).SerializeToString())
    return pb.ListOrdersResponse.FromString(answer).sequence


async def event_bytes(b: Bench) -> int:
    """The size of a typical event. An empty journal gets some: a stream of it would wait for ever."""
    if not await head(b):
        await closed_loop(unary(b.ours, SUBMIT), submits(b.calls, pb.SUBMIT_WAIT_BROKER), 64)
        await settled(b)
    stream = b.ours.unary_stream(STREAM)(pb.StreamOrderEventsRequest(after_sequence=0).SerializeToString())
    async for message in stream:
        events = pb.StreamOrderEventsResponse.FromString(message).events.events
        if events:
            stream.cancel()
            return int(statistics.mean(event.ByteSize() for event in events))
    return 0


async def catch_up(b: Bench) -> None:
    """One subscriber reads from the beginning, beside a stream of one message an event."""
    size = await event_bytes(b)
    count = min(await head(b), b.calls * 4)
    ours, limit = [], []
    for _ in range(b.rounds):
        limit.append(count / await read_limit(b.limit, b.echo("Stream", size), count))
        ours.append(count / await read_events(b.ours, 0, count))
    name = f"stream catch-up, {count:,} events"
    b.rows.append(Row(name=name, unit="events/s", ours=ours, limit=limit, limit_name="messages/s", wanted=">= 8"))


async def fan_outs(b: Bench) -> None:
    """The named numbers of subscribers."""
    for subscribers in (1, 10, 100, 1000):
        await fan_out(b, subscribers)


async def fan_out(b: Bench, subscribers: int) -> None:
    """Many live subscribers while orders are submitted: delivered events a second, to all of them together."""
    size, orders = await event_bytes(b), max(b.calls // 4, 200)
    per_stream = max(2000 // subscribers, 20)
    ours, limit = [], []
    call = unary(b.ours, BATCH)
    for _ in range(min(b.rounds, 3)):
        began = time.perf_counter()
        await asyncio.gather(*(read_limit(b.limit, b.echo("Stream", size), per_stream) for _ in range(subscribers)))
        limit.append(subscribers * per_stream / (time.perf_counter() - began))
        await settled(b)
        since = await head(b)
        readers = [asyncio.create_task(read_events(b.ours, since, orders)) for _ in range(subscribers)]
        await asyncio.sleep(0.5 + subscribers / 500)
        began = time.perf_counter()
        for _ in range(max(orders // BATCH_OF, 1)):
            requests = [order(pb.SUBMIT_WAIT_UNSPECIFIED) for _ in range(BATCH_OF)]
            await call(pb.BatchSubmitOrdersRequest(requests=requests).SerializeToString())
        await asyncio.gather(*readers)
        ours.append(subscribers * orders / (time.perf_counter() - began))
        await settled(b)
    name = f"live fan-out to {subscribers} subscribers"
    wanted = ">= 5" if subscribers == 100 else "-"  # noqa: PLR2004 - the named load
    b.rows.append(Row(name=name, unit="events/s", ours=ours, limit=limit, limit_name="messages/s", wanted=wanted))


async def quiet(b: Bench) -> None:
    """Commit to subscriber on a quiet server: how long after the submit's answer its event is heard."""
    size = await event_bytes(b)
    limit: list[float] = []
    async for message in b.limit.unary_stream(b.echo("Tick", size))(b"50"):
        limit.append((time.monotonic_ns() - int.from_bytes(message[:8], "big")) / 1e3)
    call, ours = unary(b.ours, SUBMIT), []
    stream = b.ours.unary_stream(STREAM)(pb.StreamOrderEventsRequest().SerializeToString())
    reader = aiter(stream)
    await anext(reader)
    for _ in range(20):
        asked = asyncio.ensure_future(call(submits(1, pb.SUBMIT_WAIT_JOURNAL)[0]))
        seen = ""
        while not seen:
            message = pb.StreamOrderEventsResponse.FromString(await anext(reader))
            seen = next((e.order_id for e in message.events.events if e.type == opb.ORDER_EVENT_TYPE_CREATED), "")
        told = time.perf_counter()
        await asked
        ours.append((told - time.perf_counter()) * 1e6)
        await asyncio.sleep(0.1)
    stream.cancel()
    median = statistics.median(limit)
    name = "commit to subscriber, quiet: event after the answer"
    b.rows.append(
        Row(
            name=name,
            unit="us p50",
            ours=[statistics.median(ours)],
            limit=[median],
            limit_name="stream latency",
            wanted="<= 0.5 (the answer itself takes 1)",
        )
    )


async def crowd(b: Bench) -> None:
    """1,000 subscribers: p99 of SubmitOrder at 20 a second, beside the same with one."""
    results: list[float] = []
    call = unary(b.ours, SUBMIT)
    for subscribers in (1, 1000):
        since = await head(b)
        readers = [asyncio.create_task(read_events(b.ours, since, 10**9)) for _ in range(subscribers)]
        await asyncio.sleep(1 + subscribers / 300)
        latencies: list[float] = []
        for request in submits(100, pb.SUBMIT_WAIT_JOURNAL):
            began = time.perf_counter()
            await call(request)
            latencies.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.05)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        results.append(sorted(latencies)[98])
        await settled(b)
    name = "SubmitOrder p99 at 20/s, 1,000 subscribers"
    b.rows.append(
        Row(name=name, unit="ms", ours=[results[1]], limit=[results[0]], limit_name="with one", wanted="<= 3")
    )
