"""One life of a trading process, from opening its journal to its end: the real engine and journal on a virtual clock.

It is a function of its script's seed, the files it finds and the venue it trades on, so the Nth system call is the same
one in every run. Everything a client or a subscriber was told is put on record at the venue's end of the pipe, and into
the trace, before the life goes on.
"""

import asyncio
import hashlib
import random
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from orderd.brokers.simulated import simulated_broker
from orderd.core.order import Mode
from orderd.core.values import AccountId
from orderd.engine.account import Account, Policy, Tasks
from orderd.engine.api import OrderRef, ReconcileStage, ReplaceAsk, Wait
from orderd.engine.blotter import Blotter
from orderd.engine.engine import OrderEngine
from orderd.engine.errors import EngineError
from orderd.engine.feed import JournalFeed
from orderd.engine.intake import Intake
from orderd.engine.workers import Workers
from orderd.ports import Entry, JournalError
from orderd.risk.limits import Limits
from orderd.storage import InlineRunner, OpenError, SqliteJournal, checkpoint, open_journal
from orderd.system import ExchangeCalendar, SeededIds, VirtualClock, run_virtual
from orderd.venue.exchange import Reply, Request
from orderd.venue.options import VenueOptions
from tests.crash.remote import RemoteFace
from tests.crash.shim import Shim
from tests.engine.world import ACCOUNT, intent

if TYPE_CHECKING:
    from orderd.venue.alpaca.face import AlpacaFace

ENDED, FAILED, CANNOT_OPEN, BUG = 0, 1, 2, 3
"""How a life ends: by itself, because its journal failed, because its journal did not open, by an error of its own."""
MORE_OFTEN_PAGES = 150
"""Checkpoints after so many pages instead of thousands: a short life has several."""
REST_S = 30.0


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What a life does."""

    seed: int = 1
    number: int = 1
    """Which life of its history."""
    orders: int = 10
    is_last: bool = False
    """Nothing happens to it: it brings everything to rest and closes."""
    starts: datetime


class Witnessed(RemoteFace):
    """The venue, and the record of what was said."""

    def __init__(self, pipe: Connection, clock: VirtualClock, shim: Shim) -> None:
        super().__init__(pipe, clock.now)
        self._shim = shim

    def say(self, name: str, *arguments: Any) -> None:  # noqa: ANN401
        """Into the trace and over the pipe."""
        self._shim.mark(" ".join([name, *map(str, arguments)]))
        super().say(name, *arguments)

    def tell(self, entries: Sequence[Entry]) -> None:
        """A subscriber is told of these events."""
        for entry in entries:
            self.say("told", entry.sequence, hashlib.sha256(entry.data).hexdigest()[:16])

    def handle(self, request: Request) -> Reply:
        """An order that is sent must be on record by now, whatever happens next (promise P3)."""
        if request.method == "POST" and request.path == "/v2/orders":
            self.say("sent", msgspec.json.decode(request.body)["client_order_id"])
        return super().handle(request)


class Trader:
    """The client: says every order of the script, again in every life, and changes some of them."""

    def __init__(self, engine: OrderEngine, face: Witnessed, script: Script) -> None:
        self._engine = engine
        self._face = face
        self._script = script

    async def trade(self) -> None:
        """All orders, a few at a time."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._script.orders):
                group.create_task(self._one(f"k-{number}"))
                await asyncio.sleep(0.0004 * (number % 4))

    async def _one(self, key: str) -> None:
        chance = random.Random(f"{self._script.seed} {key}")
        is_resting = chance.random() < 0.4
        fields: dict[str, Any] = {"symbol": chance.choice(("KO", "F")), "quantity": str(chance.randint(2, 9))}
        if is_resting:
            fields["limit_price"] = "5"
        wait = chance.choice((Wait.JOURNAL, Wait.BROKER))
        try:
            result = await self._engine.submit(intent(client_order_id=key, **fields), wait=wait, timeout_s=5)
        except EngineError as error:
            self._face.say("refused", key, error.kind.name, error.reason)
            return
        except JournalError:
            self._face.say("unknown", key)
            return
        order = result.order
        self._face.say("answered", key, order.order_id, order.state.name)
        if is_resting:
            await self._change(order.order_id, chance)

    async def _change(self, order_id: str, chance: random.Random) -> None:
        engine, ref = self._engine, OrderRef(order_id=order_id)
        try:
            if chance.random() < 0.5:
                ask = ReplaceAsk(request_id="r1", quantity=Decimal(11))
                await engine.replace(ref, ask, timeout_s=2)
            await engine.cancel(ref, reason="", wait=Wait.JOURNAL, timeout_s=2)
        except (EngineError, JournalError):
            return  # it is not working yet, or no more; or nothing is
        self._face.say("cancel", order_id)


async def live(face: Witnessed, clock: VirtualClock, folder: Path, script: Script) -> int:
    """Live it; how it ended."""
    failure: asyncio.Future[JournalError] = asyncio.get_running_loop().create_future()
    ids = SeededIds(script.seed * 1000 + script.number, clock.now)
    url = f"sqlite+aiosqlite:///{folder}/orderd.db"
    runner = InlineRunner(lambda: 0.0005)
    try:
        journal = await open_journal(url, clock=clock, ids=ids, runner=runner, on_failure=failure.set_result)
    except OpenError as error:
        face.say("refuses", str(error))
        return CANNOT_OPEN
    work = asyncio.ensure_future(_serve(journal, face, (clock, ids), script))
    await asyncio.wait({work, failure}, return_when=asyncio.FIRST_COMPLETED)
    if not failure.done():
        work.result()
        return await _closed(journal, face)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    face.say("failed", str(failure.result()))
    await journal.close()
    return FAILED


async def _closed(journal: SqliteJournal, face: Witnessed) -> int:
    try:
        await journal.close()
    except JournalError as error:
        face.say("failed", str(error))
        return FAILED
    return ENDED


async def _serve(
    journal: SqliteJournal, face: Witnessed, around: tuple[VirtualClock, SeededIds], script: Script
) -> None:
    """The engine as app.py builds it, with one account, until its client has said everything."""
    # What is there is served at once, so it must last from here on.
    face.say("opened", journal.head)
    face.tell(await journal.events_after(0, limit=100_000))
    journal.listen(face.tell)
    blotter, feed = Blotter(journal), JournalFeed(journal)
    intake = Intake(journal, blotter)
    for order in await journal.open_orders():
        blotter.load(order)
    try:
        async with asyncio.TaskGroup() as group:
            account = _account(journal, face, around, (blotter, intake, group))
            workers = Workers(account, min_free_bytes=0)
            intake.follow_up(workers.aftermath)
            blotter.watch(workers.watch)
            engine = OrderEngine(journal, blotter, feed, [workers])
            await workers.start()
            await account.recovered.wait()
            face.say("recovered")
            await Trader(engine, face, script).trade()
            if script.is_last:
                await _rest(engine, journal)
            await account.broker.close()
            raise _DoneError  # noqa: TRY301 - it ends the group, and whatever still runs in it
    except* _DoneError:
        face.say("through")


def _account(
    journal: SqliteJournal,
    face: Witnessed,
    around: tuple[VirtualClock, SeededIds],
    parts: tuple[Blotter, Intake, asyncio.TaskGroup],
) -> Account:
    (clock, ids), (blotter, intake, group) = around, parts
    options = VenueOptions()
    broker = simulated_broker(
        cast("AlpacaFace", face), key_id=options.key_id, secret_key=options.secret, clock=clock, ids=ids, settle_s=1
    )
    return Account(
        account_id=AccountId(ACCOUNT),
        broker=broker,
        policy=Policy(mode=Mode.PAPER, limits=Limits(), reconcile_interval_s=3600, submit_timeout_s=1, settle_s=1),
        journal=journal,
        blotter=blotter,
        intake=intake,
        clock=clock,
        ids=ids,
        tasks=Tasks(group),
        calendar=ExchangeCalendar(clock.now, is_threaded=False),
    )


class _DoneError(Exception):
    """The life is over: whatever still runs is of no use to anyone."""


async def _rest(engine: OrderEngine, journal: SqliteJournal) -> None:
    """Cancel what is open, let the venue finish, compare once more."""
    await asyncio.sleep(REST_S)
    for order in await journal.open_orders():
        try:
            await engine.cancel(OrderRef(order_id=order.order_id), reason="", wait=Wait.BROKER, timeout_s=5)
        except EngineError:
            continue  # it ended meanwhile
    await asyncio.sleep(REST_S)
    stage = ReconcileStage.STARTED
    async for progress in engine.reconcile(ACCOUNT):
        stage = progress.stage
    assert stage is ReconcileStage.DONE


def run(pipe: Connection, folder: Path, script: Script, shim: Shim) -> int:
    """The whole life, in this process. The shim watches already."""
    checkpoint.WORTHWHILE_PAGES = MORE_OFTEN_PAGES  # type: ignore[misc]
    clock = VirtualClock(script.starts)
    face = Witnessed(pipe, clock, shim)

    async def body() -> int:
        return await live(face, clock, folder, script)

    return run_virtual(body)
