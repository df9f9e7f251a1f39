"""The real engine, journal and adapter in virtual time, with the venues in the same process. Nothing here has threads.

A death stops everything at once at the place where it happens: nothing is written any more, nothing is handed to a
venue, nobody hears an answer. What was committed stays, as with kill -9.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from oms.v1 import trade_service_pb2 as trade_pb
from orderd.brokers.simulated import REQUESTS_PER_MINUTE, Driver, broker_over
from orderd.core.order import Mode, Order, OrderIntent
from orderd.core.values import AccountId
from orderd.core.verdicts import Verdict
from orderd.desk.completed import CompletedTrades
from orderd.desk.desk import Desk
from orderd.desk.position_desk import PositionDesk
from orderd.engine.account import Account, Policy, Tasks
from orderd.engine.api import OrderRef, ReconcileStage, ReplaceAsk, Wait
from orderd.engine.blotter import Blotter
from orderd.engine.engine import OrderEngine
from orderd.engine.feed import JournalFeed
from orderd.engine.intake import Intake
from orderd.engine.workers import Workers
from orderd.ports import Discrepancy, JournalError
from orderd.risk.limits import Limits
from orderd.storage.journal import SqliteJournal
from orderd.storage.opening import open_journal
from orderd.system import ExchangeCalendar, SeededIds, VirtualClock
from orderd.venue.alpaca.face import AlpacaFace
from orderd.venue.options import VenueOptions, build
from orderd.wire.asks import Invalid
from orderd.wire.validate_order import submit_ask
from tests.e2e.books import Books
from tests.e2e.harness import submit_request
from tests.e2e.raw import journal_bytes
from tests.engine.seams import Pulse, SeamClient, SeamRunner, Watcher

ACCOUNT = "paper"
OTHER = "other"
SETTLE_S = 1.0


class DeadError(Exception):
    """There is no process to ask."""


@dataclass(frozen=True)
class Bench:
    """One account, the venue it is at, and what keeps that venue's time."""

    account_id: str
    face: AlpacaFace
    driver: Driver


@dataclass
class Life:
    """One run of the engine, from a start to its end."""

    engine: OrderEngine
    all_workers: dict[str, Workers]
    journal: SqliteJournal
    desk: Desk
    positions: PositionDesk | None = None

    @property
    def workers(self) -> Workers:
        """Of the first account."""
        return self.all_workers[ACCOUNT]


@dataclass
class World:
    """Venues that live on, and an engine that may die and be started again."""

    directory: Path
    seed: int
    venue_options: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    account_ids: tuple[str, ...] = (ACCOUNT,)
    slowest_commit_s: float = 0.003
    requests_per_minute: int = REQUESTS_PER_MINUTE
    """What the broker is configured to allow."""
    has_desk: bool = False
    """Whether somebody looks after trades."""

    def __post_init__(self) -> None:
        """Nothing runs before `start`."""
        self.random = random.Random(self.seed)
        self.clock = VirtualClock()
        """Ours: a test may make it jump. The venues have their own."""
        self.venue_clock = VirtualClock()
        self.benches = {
            account_id: self._bench(account_id, number) for number, account_id in enumerate(self.account_ids)
        }
        self.face = self.benches[ACCOUNT].face
        self.ids = SeededIds(self.seed, self.clock.now)
        self.watcher = Watcher()
        self.life: Life | None = None
        self.places: Counter[str] = Counter()
        """Where processes died."""
        self.failing_commit = ""
        """What becomes of the next commit: `lost` or `kept`; both are told as a failure. Empty: it is done."""
        self._armed: tuple[str, int] = ("", 0)
        self._pulse = Pulse()
        self._runner: SeamRunner | None = None
        self._clients: list[SeamClient] = []
        self._task: asyncio.Task[None] | None = None

    def _bench(self, account_id: str, number: int) -> Bench:
        options: dict[str, Any] = {"seed": self.seed * 7 + number, "quotes": "fixed", "partial_rate": 0}
        chosen = {**options, "requests_per_minute": 0, **self.venue_options}
        carries_fills = chosen.pop("carries_fills", True)
        face, _ = build(VenueOptions(**chosen), self.venue_clock.now)
        face.venue.change_settings(carries_fills=carries_fills)
        return Bench(account_id, face, Driver(face, self.venue_clock))

    # -------------------------------------------------------------------------------------------------- start and end

    async def start(self, *, is_ready: bool = True) -> bool:
        """Start the engine; wait until it takes submits. False when it died over it."""
        started: asyncio.Future[Life] = asyncio.get_running_loop().create_future()
        self._pulse = Pulse()
        self._task = task = asyncio.create_task(self._live(started, self._pulse))
        await asyncio.wait([started, task], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            self.life = started.result()
            if is_ready:
                recovered = asyncio.ensure_future(self.life.workers.account.recovered.wait())
                await asyncio.wait([recovered, task], return_when=asyncio.FIRST_COMPLETED)
                recovered.cancel()
        return not self.is_dead

    async def _live(self, started: "asyncio.Future[Life]", pulse: Pulse) -> None:
        runner = self._runner = SeamRunner(self, pulse)
        self._clients = []
        journal = await open_journal(
            self.url, clock=self.clock, ids=self.ids, runner=runner, on_failure=lambda _: self._failed(pulse)
        )
        try:
            blotter, feed = Blotter(journal), JournalFeed(journal)
            intake = Intake(journal, blotter)
            for order in await journal.open_orders():
                blotter.load(order)
            async with asyncio.TaskGroup() as group:
                workers = self._workers(journal, blotter, intake, Tasks(group), pulse)
                engine = OrderEngine(journal, blotter, feed, list(workers.values()))
                desk = Desk(journal, blotter, engine, workers)
                completed = CompletedTrades(journal, feed, now=self.clock.now)
                positions = PositionDesk(journal, feed, workers) if self.has_desk else None
                if positions is not None:
                    await completed.open()
                    await desk.open()
                    await positions.open()
                    desk.follow(positions.book)
                for of_account in workers.values():
                    await of_account.start()
                if positions is not None:
                    desk.start()
                    group.create_task(completed.run(), name="completed trades")
                    group.create_task(positions.run(), name="positions")
                life = Life(engine=engine, all_workers=workers, journal=journal, desk=desk, positions=positions)
                started.set_result(life)
                await asyncio.Event().wait()
        except* JournalError as errors:
            if not pulse.has_failed:
                raise errors from None
        finally:
            await journal.close()

    def _failed(self, pulse: Pulse) -> None:
        """A process whose journal has failed ends, as soon as it gets to it."""
        pulse.has_failed = True
        self.places["failed commit"] += 1
        asyncio.get_running_loop().call_later(self.random.choice((0.0, 0.001, 0.5)), self._die, pulse)

    def _workers(
        self, journal: SqliteJournal, blotter: Blotter, intake: Intake, tasks: Tasks, pulse: Pulse
    ) -> dict[str, Workers]:
        chosen: dict[str, Any] = {
            "limits": Limits(),
            "reconcile_interval_s": 5,
            "submit_timeout_s": 1,
            "settle_s": SETTLE_S,
        }
        numbers: dict[str, str] = {}
        workers: dict[str, Workers] = {}
        for bench in self.benches.values():
            client = SeamClient(self, bench, pulse)
            self._clients.append(client)
            account = Account(
                account_id=AccountId(bench.account_id),
                broker=broker_over(
                    client,
                    bench.face,
                    clock=self.clock,
                    settle_s=SETTLE_S,
                    requests_per_minute=self.requests_per_minute,
                ),
                policy=Policy(mode=Mode.PAPER, **{**chosen, **self.policy}),
                journal=journal,
                blotter=blotter,
                intake=intake,
                clock=self.clock,
                ids=self.ids,
                tasks=tasks,
                calendar=ExchangeCalendar(self.clock.now, is_threaded=False),
                numbers=numbers,
            )
            workers[bench.account_id] = Workers(account, min_free_bytes=0)

        def of(order: Order) -> Workers:
            return workers[order.intent.account_id]

        def follow_up(order: Order, verdict: Verdict) -> None:
            of(order).aftermath(order, verdict)

        intake.follow_up(follow_up)
        intake.keep_books(lambda order, findings: of(order).discrepancies.beside(order, findings))
        blotter.watch(lambda order: of(order).watch(order))
        return workers

    @property
    def url(self) -> str:
        return f"sqlite+aiosqlite:///{self.database}"

    @property
    def database(self) -> Path:
        return self.directory / "orderd.db"

    def commit_delay_s(self) -> float:
        """How long the disk takes."""
        return self.random.uniform(0.0001, self.slowest_commit_s)

    # ---------------------------------------------------------------------------------------------------------- death

    def arm(self, place: str, number: int) -> None:
        """Die when this place is reached that many times from now."""
        self._armed = (place, number)

    def dies(self, place: str, pulse: Pulse) -> bool:
        """Whether there is no process any more at this place, or it dies here."""
        armed, number = self._armed
        if not pulse.is_dead and place == armed:
            self._armed = (armed, number - 1) if number > 1 else ("", 0)
            if number <= 1:
                self.places[place] += 1
                if self.life is None or not self.life.workers.account.is_recovered:
                    self.places["in recovery"] += 1
                self._die(pulse)
        return pulse.is_dead

    def _die(self, pulse: Pulse) -> None:
        """kill -9: in the middle of whatever this process is doing."""
        if pulse.is_dead:
            return
        pulse.is_dead = True
        if pulse is self._pulse and self._task is not None:
            if self._runner is not None:
                self._runner.kill()
            self._task.cancel()

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended, or is about to."""
        return self._task is None or self._task.done() or self._pulse.is_dead

    @property
    def has_failed(self) -> bool:
        """Whether the journal of the process has."""
        return self._pulse.has_failed

    @property
    def death(self) -> "asyncio.Task[None]":
        """Done when the process has ended."""
        assert self._task is not None, "not started"
        return self._task

    @property
    def alive(self) -> Life:
        """The life that is running. Raises DeadError when there is none, and what ended it when that was no death."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()
        if self.life is None or self.is_dead:
            raise DeadError
        return self.life

    async def kill(self) -> None:
        """kill -9 between two turns of the loop."""
        self._die(self._pulse)
        await self.bury()

    async def bury(self) -> None:
        """Let go of what a dead process held. Raises what ended it when that was no death."""
        task = self._task
        if task is None:
            return
        for client in self._clients:
            await client.close()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.life, self._task, self._armed, self.failing_commit = None, None, ("", 0), ""

    async def restart(self) -> None:
        """Kill and start again."""
        await self.kill()
        await self.start()

    # -------------------------------------------------------------------------------------------------------- trading

    async def live_on(self) -> None:
        """Twenty seconds, over the deaths that were armed; none of them is waited for after that."""
        for _ in range(10):
            await self._rise()
            await asyncio.sleep(2)
        self.arm("nowhere", 1)
        await self._rise()

    async def _rise(self) -> None:
        if self.is_dead:
            await self.bury()
            await self.start()

    async def submit(
        self,
        *,
        wait: Wait = Wait.JOURNAL,
        account_id: str = ACCOUNT,
        **fields: Any,  # noqa: ANN401
    ) -> tuple[str, bool]:
        """SubmitOrder: buy one KO at market, changed as told. Order id, and whether it was a repeat."""
        result = await self.alive.engine.submit(intent(account_id=account_id, **fields), wait=wait, timeout_s=5)
        return result.order.order_id, result.replayed

    async def cancel(self, order_id: str, *, wait: Wait = Wait.JOURNAL) -> None:
        """CancelOrder."""
        await self.alive.engine.cancel(OrderRef(order_id=order_id), reason="", wait=wait, timeout_s=5)

    async def replace(self, order_id: str, ask: ReplaceAsk) -> None:
        """ReplaceOrder."""
        await self.alive.engine.replace(OrderRef(order_id=order_id), ask, timeout_s=5)

    async def reconcile(self, account_id: str = ACCOUNT) -> bool:
        """Compare with the venue now; whether it came to its end."""
        stage = ReconcileStage.STARTED
        async for progress in self.alive.engine.reconcile(account_id):
            stage = progress.stage
        return stage is ReconcileStage.DONE

    def pump(self) -> None:
        """Let the venues notice what was done to them."""
        for bench in self.benches.values():
            bench.driver.wake()

    # ------------------------------------------------------------------------------------------------------ comparing

    def orders(self) -> list[opb.Order]:
        """Every order, read from the file."""
        return [opb.Order.FromString(body) for (body,) in self._rows("SELECT body FROM orders ORDER BY order_number")]

    def fills(self, order_id: str) -> list[opb.Fill]:
        """The fills of an order, read from the file."""
        question = f"SELECT body FROM fills WHERE order_id = '{order_id}' ORDER BY fill_number"
        return [opb.Fill.FromString(body) for (body,) in self._rows(question)]

    def _rows(self, question: str) -> Iterator[tuple[bytes]]:
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as reader:
            yield from reader.execute(question).fetchall()

    def events(self) -> list[opb.OrderEvent]:
        """Every event, oldest first."""
        return [opb.OrderEvent.FromString(body) for body in journal_bytes(self.database)]

    def desk_events(self) -> list[trade_pb.DeskEvent]:
        """Every event of the desk, oldest first, without its subject's sequence."""
        rows = self._rows("SELECT body FROM order_events WHERE kind = 1 ORDER BY sequence")
        return [trade_pb.DeskEvent.FromString(body) for (body,) in rows]

    def books(self) -> Books:
        """The venues' ledgers."""
        rows: dict[str, list[Any]] = {"received": [], "orders": [], "executions": []}
        for bench in self.benches.values():
            ledger = bench.face.venue.ledger
            rows["orders"] += [msgspec.to_builtins(row) for row in ledger.orders.values()]
            rows["executions"] += [msgspec.to_builtins(row) for row in ledger.executions.values()]
        return Books(rows)

    def disagreements(self) -> dict[str, list[str]]:
        """What orderd and the venues say differently, by order."""
        books = self.books()
        found = {
            order.order_id: list(books.disagreements(order, self.fills(order.order_id))) for order in self.orders()
        }
        return {order_id: differences for order_id, differences in found.items() if differences}

    async def discrepancies(self) -> list[Discrepancy]:
        """Open records of every account."""
        journal = self.alive.journal
        return [record for account_id in self.account_ids for record in await journal.open_discrepancies(account_id)]


def intent(account_id: str = ACCOUNT, **fields: Any) -> OrderIntent:  # noqa: ANN401 - any field of the request
    """The intent of a request to buy one KO at market, changed as told."""
    request: pb.SubmitOrderRequest = submit_request(**fields)
    ask = submit_ask(request, account_id=account_id)
    assert not isinstance(ask, Invalid), ask
    return ask.intent
