"""`python -m bench`: every goal beside its limit, in one run. `--quick` for a look, `--full` for a million orders."""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import uvloop

from bench import core_lifecycle, report, scenes, seeding
from bench.load import channel, closed_loop, unary
from bench.processes import started
from bench.report import Row
from oms.v1 import order_service_pb2 as pb

ON = (
    "SQLite FULL",
    "one commit before the answer",
    "gate with every limit set",
    "key read",
    "every index",
    "JSON logs",
    "a broker that answers at once, unless the row says venue",
)
SCENES: dict[str, Callable[[scenes.Bench], Awaitable[None]]] = {
    "submit": scenes.submit,
    "batch": scenes.batch,
    "get": scenes.get,
    "catch_up": scenes.catch_up,
    "quiet": scenes.quiet,
    "fan_out": scenes.fan_outs,
    "crowd": scenes.crowd,
}
QUICK = ("submit", "batch", "get", "catch_up", "quiet")
HELD = 100_000
KIB = 1024


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small round of the unary calls and streams")
    parser.add_argument("--full", action="store_true", help="also a journal of a million orders")
    parser.add_argument("--only", choices=[*SCENES, "venue", "sizes", "restart", "core"], action="append")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args(given)


class Asked:
    """What is wanted of this run."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        """`folder` takes the journals."""
        self.folder = folder
        self.is_quick: bool = asked.quick
        self.only: Sequence[str] = asked.only or ()
        self.counts = [1_000, 100_000, *([1_000_000] if asked.full else [])]
        self.rounds, self.calls = (1, 400) if self.is_quick else (5, 4000)

    def wants(self, name: str) -> bool:
        """Whether this part is measured."""
        return name in self.only if self.only else not self.is_quick or name in QUICK


async def run(asked: Asked) -> list[Row]:
    """Measure what was asked for."""
    rows = await served(asked, "canned", SCENES)
    if asked.wants("venue"):
        rows += await served(asked, "venue", {"venue": scenes.submit})
    if asked.wants("sizes"):
        rows += await sizes(asked.folder, asked.counts)
    if asked.wants("restart"):
        rows += await restart(asked.folder)
    if asked.wants("core"):
        rows += core()
    return rows


async def served(
    asked: Asked, broker: str, parts: Mapping[str, Callable[[scenes.Bench], Awaitable[None]]]
) -> list[Row]:
    """The parts that need a server: with a broker that answers at once, or with the venue in its process."""
    journal = asked.folder / f"{broker}.db"
    if not asked.is_quick:
        shutil.copy(await asyncio.to_thread(seeded, asked.folder, HELD), journal)
    async with scenes.bench(journal, rounds=asked.rounds, calls=asked.calls, arguments=("--broker", broker)) as b:
        b.suffix = ", venue in the process" if broker == "venue" else ""
        for name, scene in parts.items():
            if asked.wants(name):
                sys.stderr.write(f"measuring {name}\n")
                await scene(b)
        return b.rows


def seeded(folder: Path, orders: int, *, is_open: bool = False) -> Path:
    """A journal with so many orders."""
    path = folder / f"{orders}{'-open' if is_open else ''}.db"
    if orders and not path.exists():
        seeding.seed(path, orders, is_open=is_open)
    return path


async def sizes(folder: Path, counts: Sequence[int]) -> list[Row]:
    """GetOrder, ListOrders and SubmitOrder as the journal grows, beside themselves at the smallest."""
    taken: dict[str, dict[int, float]] = {}
    for count in counts:
        path = await asyncio.to_thread(seeded, folder, count)
        used = folder / "used.db"
        shutil.copy(path, used)
        async with started("bench.serving", str(used)) as server:
            ours = channel(server.address)
            await scenes.taking_submits(ours, 120)
            for name, p50_us in (await calls_at(ours)).items():
                taken.setdefault(name, {})[count] = p50_us
        await asyncio.to_thread(remove, used)
    smallest = counts[0]
    rows = []
    for name, by_count in taken.items():
        wanted = "<= 1.5" if name == "SubmitOrder" else "<= 1.15"
        rows += [
            Row(
                name=f"{name} at {count:,} orders",
                unit="us p50",
                ours=[by_count[count]],
                limit=[by_count[smallest]],
                limit_name=f"at {smallest:,}",
                wanted=wanted,
            )
            for count in counts[1:]
        ]
    return rows


def remove(journal: Path) -> None:
    """A journal, its log and its lock."""
    for left in journal.parent.glob(f"{journal.name}*"):
        left.unlink()


async def calls_at(ours: scenes.grpc.aio.Channel) -> dict[str, float]:
    """Median microseconds of each call, one at a time."""
    listing = {
        "ListOrders, first page": pb.ListOrdersRequest(account_ids=["paper"]),
        "ListOrders, one symbol": pb.ListOrdersRequest(symbols=["AAPL"]),
        "ListOrders, open only": pb.ListOrdersRequest(open_only=True),
        "ListOrders, one strategy": pb.ListOrdersRequest(strategies=["seeded"]),
    }
    page = pb.ListOrdersResponse.FromString(
        await unary(ours, scenes.LIST)(listing["ListOrders, first page"].SerializeToString())
    )
    some = pb.GetOrderRequest(order_id=page.orders[0].order_id).SerializeToString()
    taken = {"GetOrder": (await closed_loop(unary(ours, scenes.GET), [some] * 600, 1)).p50_s * 1e6}
    for name, request in listing.items():
        run = await closed_loop(unary(ours, scenes.LIST), [request.SerializeToString()] * 200, 1)
        taken[name] = run.p50_s * 1e6
    submits = scenes.submits(600, pb.SUBMIT_WAIT_JOURNAL)
    taken["SubmitOrder"] = (await closed_loop(unary(ours, scenes.SUBMIT), submits, 1)).p50_s * 1e6
    return taken


async def restart(folder: Path) -> list[Row]:
    """Start on 10,000 open orders: how long until it serves and takes submits, and what an order holds in memory."""
    count, path = 10_000, folder / "restart.db"
    async with started("bench.exchange") as venue:
        far = ("--rest-url", venue.said["rest_url"], "--stream-url", venue.said["stream_url"])
        async with started("bench.serving", str(path), *far) as server:
            ours = channel(server.address)
            await scenes.taking_submits(ours)
            base = server.rss_bytes
            await scenes.rest(ours, count)
        began = time.perf_counter()
        async with started("bench.serving", str(path), *far) as server:
            serving_s, loaded = server.took_s, server.rss_bytes - base
            await scenes.taking_submits(channel(server.address), 120)
            settled_s = time.perf_counter() - began
            reconciled = server.rss_bytes - base
    title = "restart with 10,000 open orders"
    return [
        Row.alone(f"{title}: serving", "s", serving_s, wanted="<= 5"),
        Row.alone(f"{title}: reconciled, taking submits", "s", settled_s, wanted="<= 30"),
        Row.alone("memory an open order", "KiB", loaded / count / KIB, wanted="<= 4"),
        Row.alone("memory an open order, after reconciling", "KiB", reconciled / count / KIB, wanted="-"),
    ]


def core() -> list[Row]:
    """decide + evolve of one fill beside the library's own dispatch of a trigger."""
    order, fact = core_lifecycle.working(1), core_lifecycle.report(2)
    trigger = core_lifecycle.triggers()
    ours, limit = [], []
    for _ in range(5):
        limit.append(core_lifecycle.microseconds(trigger))
        ours.append(core_lifecycle.microseconds(lambda: core_lifecycle.decide(order, fact)))
    faster = Row(
        name="decide + evolve of one fill",
        unit="us",
        ours=ours,
        limit=limit,
        limit_name="transitions' dispatch",
        wanted="<= 5 us",
    )
    return [faster]


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; nothing is judged: a busy machine is no regression."""
    asked = arguments(given)
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="orderd-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        rows = runner.run(run(Asked(asked, Path(folder))))
    held = "no orders" if asked.quick else "100,000 orders in the journal"
    report.write(rows, (*ON, held), asked.json)
    sys.stdout.write(f"took {time.perf_counter() - began:.0f} s, medians of {len(rows)} rows\n")
    return 0 if all(statistics.median(row.ours) == statistics.median(row.ours) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
