"""The real engine, journal and adapter in virtual time, with the venue in the same process. Nothing here has threads.

A kill drops whatever was not committed and cancels every task, between two commits as a real one would.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd.brokers.simulated import REQUESTS_PER_MINUTE, Driver, simulated_broker
from orderd.core.order import Mode, OrderIntent
from orderd.core.values import AccountId
from orderd.engine.account import Account, Policy, Tasks
from orderd.engine.api import OrderRef, ReconcileStage, ReplaceAsk, Wait
from orderd.engine.blotter import Blotter
from orderd.engine.engine import OrderEngine
from orderd.engine.feed import JournalFeed
from orderd.engine.intake import Intake
from orderd.engine.workers import Workers
from orderd.ports import Discrepancy
from orderd.risk.limits import Limits
from orderd.storage.journal import SqliteJournal
from orderd.storage.opening import open_journal
from orderd.storage.runner import InlineRunner
from orderd.storage.writer import Call
from orderd.system import SeededIds, VirtualClock
from orderd.venue.options import VenueOptions, build
from orderd.wire.asks import Invalid
from orderd.wire.validate_order import submit_ask
from tests.e2e.books import Books
from tests.e2e.harness import submit_request
from tests.e2e.raw import journal_bytes

ACCOUNT = "paper"
SETTLE_S = 1.0


class KillableRunner(InlineRunner):
    """Writes nothing any more once it was killed: what waited is lost, as with the process."""

    def __init__(self, delay_s: Callable[[], float]) -> None:
        super().__init__(delay_s)
        self.is_dead = False

    def put(self, call: Call) -> None:
        if not self.is_dead:
            super().put(call)

    def kill(self) -> None:
        self.is_dead = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = []


@dataclass
class Life:
    """One run of the engine, from a start to its end."""

    engine: OrderEngine
    workers: Workers
    journal: SqliteJournal
    runner: KillableRunner


@dataclass
class World:
    """A venue that lives on, and an engine that may be killed and started again."""

    directory: Path
    seed: int
    venue_options: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    requests_per_minute: int = REQUESTS_PER_MINUTE
    """What the broker is configured to allow."""

    def __post_init__(self) -> None:
        """Nothing runs before `start`."""
        self.random = random.Random(self.seed)
        self.clock = VirtualClock()
        options: dict[str, Any] = {"seed": self.seed, "quotes": "fixed", "partial_rate": 0, "requests_per_minute": 0}
        self.face, _ = build(VenueOptions(**{**options, **self.venue_options}), self.clock.now)
        self.driver = Driver(self.face, self.clock)
        self.ids = SeededIds(self.seed, self.clock.now)
        self.life: Life | None = None
        self._task: asyncio.Task[None] | None = None
        self.kills = 0

    # -------------------------------------------------------------------------------------------------- start and end

    async def start(self, *, is_ready: bool = True) -> None:
        """Start the engine; wait until it takes submits."""
        started: asyncio.Future[Life] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(started))
        await asyncio.wait([started, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            self._task.result()
        self.life = started.result()
        if is_ready:
            await self.life.workers.account.recovered.wait()

    async def _live(self, started: "asyncio.Future[Life]") -> None:
        runner = KillableRunner(lambda: self.random.uniform(0.0001, 0.003))
        journal = await open_journal(self.url, clock=self.clock, ids=self.ids, runner=runner)
        try:
            blotter, feed = Blotter(journal), JournalFeed(journal)
            intake = Intake(journal, blotter)
            for order in await journal.open_orders():
                blotter.load(order)
            async with asyncio.TaskGroup() as group:
                workers = self._workers(journal, blotter, intake, Tasks(group))
                intake.follow_up(workers.aftermath)
                intake.keep_books(workers.discrepancies.beside)
                blotter.watch(workers.watch)
                engine = OrderEngine(journal, blotter, feed, [workers])
                await workers.start()
                started.set_result(Life(engine=engine, workers=workers, journal=journal, runner=runner))
                await asyncio.Event().wait()
        finally:
            await journal.close()

    def _workers(self, journal: SqliteJournal, blotter: Blotter, intake: Intake, tasks: Tasks) -> Workers:
        options = VenueOptions()
        broker = simulated_broker(
            self.face,
            key_id=options.key_id,
            secret_key=options.secret,
            clock=self.clock,
            ids=self.ids,
            settle_s=SETTLE_S,
            requests_per_minute=self.requests_per_minute,
        )
        chosen: dict[str, Any] = {"reconcile_interval_s": 5, "submit_timeout_s": 1, "settle_s": SETTLE_S}
        account = Account(
            account_id=AccountId(ACCOUNT),
            broker=broker,
            policy=Policy(mode=Mode.PAPER, limits=Limits(), **{**chosen, **self.policy}),
            journal=journal,
            blotter=blotter,
            intake=intake,
            clock=self.clock,
            ids=self.ids,
            tasks=tasks,
        )
        return Workers(account, min_free_bytes=0)

    @property
    def url(self) -> str:
        return f"sqlite+aiosqlite:///{self.database}"

    @property
    def database(self) -> Path:
        return self.directory / "orderd.db"

    @property
    def alive(self) -> Life:
        """The life that is running. Raises what ended it, when something did."""
        assert self.life is not None, "not started"
        if self._task is not None and self._task.done():
            self._task.result()
        return self.life

    async def kill(self) -> None:
        """kill -9."""
        life, task = self.alive, self._task
        assert task is not None
        life.runner.kill()
        await life.workers.account.broker.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.life, self._task = None, None
        self.kills += 1

    async def restart(self) -> None:
        """Kill and start again."""
        await self.kill()
        await self.start()

    # -------------------------------------------------------------------------------------------------------- trading

    async def submit(self, *, wait: Wait = Wait.JOURNAL, **fields: Any) -> tuple[str, bool]:  # noqa: ANN401
        """SubmitOrder: buy one KO at market, changed as told. Order id, and whether it was a repeat."""
        result = await self.alive.engine.submit(intent(**fields), wait=wait, timeout_s=5)
        return result.order.order_id, result.replayed

    async def cancel(self, order_id: str, *, wait: Wait = Wait.JOURNAL) -> None:
        """CancelOrder."""
        await self.alive.engine.cancel(OrderRef(order_id=order_id), reason="", wait=wait, timeout_s=5)

    async def replace(self, order_id: str, ask: ReplaceAsk) -> None:
        """ReplaceOrder."""
        await self.alive.engine.replace(OrderRef(order_id=order_id), ask, timeout_s=5)

    async def reconcile(self) -> bool:
        """Compare with the venue now; whether it came to its end."""
        stage = ReconcileStage.STARTED
        async for progress in self.alive.engine.reconcile(ACCOUNT):
            stage = progress.stage
        return stage is ReconcileStage.DONE

    def pump(self) -> None:
        """Let the venue notice what was done to it."""
        self.driver.wake()

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

    def books(self) -> Books:
        """The venue's ledger."""
        ledger = self.face.venue.ledger
        rows = {
            "received": [msgspec.to_builtins(row) for row in ledger.received],
            "orders": [msgspec.to_builtins(row) for row in ledger.orders.values()],
            "executions": [msgspec.to_builtins(row) for row in ledger.executions.values()],
        }
        return Books(rows)

    def disagreements(self) -> dict[str, list[str]]:
        """What orderd and the venue say differently, by order."""
        books = self.books()
        found = {
            order.order_id: list(books.disagreements(order, self.fills(order.order_id))) for order in self.orders()
        }
        return {order_id: differences for order_id, differences in found.items() if differences}

    async def discrepancies(self) -> list[Discrepancy]:
        """Open records."""
        return list(await self.alive.journal.open_discrepancies(ACCOUNT))


def intent(**fields: Any) -> OrderIntent:  # noqa: ANN401 - any field of the request
    """The intent of a request to buy one KO at market, changed as told."""
    request: pb.SubmitOrderRequest = submit_request(**fields)
    ask = submit_ask(request, account_id=ACCOUNT)
    assert not isinstance(ask, Invalid), ask
    return ask.intent
