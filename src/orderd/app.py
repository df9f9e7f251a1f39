"""The composition root: the one place that knows every room, and the only supervisor.

Rule 1: start-up after SIGKILL and start-up after SIGTERM are the same code.
Rule 2: a failed journal, a dead core task or a blocked loop ends the process with its reason; the next
start recovers.
"""

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import FrameType
from typing import Any

import orjson
import structlog
import uvloop

from orderd import logs
from orderd.brokers.alpaca.factory import alpaca_broker
from orderd.brokers.simulated import simulated_broker
from orderd.config.settings import AccountSettings, BrokerName, Settings
from orderd.core.values import AccountId
from orderd.desk.completed import CompletedTrades
from orderd.desk.desk import Desk
from orderd.desk.position_desk import PositionDesk
from orderd.engine.account import Account, Policy, Tasks
from orderd.engine.blotter import Blotter
from orderd.engine.engine import OrderEngine
from orderd.engine.feed import JournalFeed
from orderd.engine.intake import Intake
from orderd.engine.reconciler import SameAccountError
from orderd.engine.retention import Retention
from orderd.engine.simulation import forget_venue
from orderd.engine.workers import Workers
from orderd.ports import Broker, Clock, Ids, JournalError
from orderd.server import Bounds, GrpcServer
from orderd.server.desk_services import DeskParts
from orderd.server.metrics import MetricsServer
from orderd.storage.errors import OpenError
from orderd.storage.journal import SqliteJournal
from orderd.storage.opening import open_journal
from orderd.system import ExchangeCalendar, SystemClock, SystemIds
from orderd.venue.options import VenueOptions, build

log = structlog.get_logger("orderd.app")

DRAIN_S = 20.0
BLOCKED_LOOP_S = 10.0
GC_THRESHOLDS = 20_000, 20, 50
"""Orders, events and their messages are let go by their last reference; looking for cycles among them is a twentieth of
what an order costs with Python's own 700, 10 and 10. Measured.
"""
EXIT_FAILED = 1
EXIT_CANNOT_START = 1


class CannotStartError(Exception):
    """The server does not start; the message says which part, why, and what would be allowed."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What a started server tells the world."""

    grpc_address: str
    http_address: str
    """Empty when HTTP is off."""
    journal_id: str
    accounts: tuple[str, ...]


class Halt:
    """Why the server is to end: a signal, or a failure."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.asked = asyncio.Event()
        self.failure: BaseException | None = None
        self._signals = 0

    def fail(self, failure: BaseException) -> None:
        """End with this reason."""
        if self.failure is None:
            self.failure = failure
        self.asked.set()

    def on_signal(self, number: int, _frame: FrameType | None = None) -> None:
        """Drain on the first signal, leave at once on the second: recovery is the same code."""
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + number)
        self.asked.set()


def run(settings: Settings, *, on_ready: Callable[[Ready], None] | None = None) -> int:
    """Serve until a signal or a failure; returns the exit code."""
    logs.configure(settings.log_level)
    # A core dump would hold the keys; no signal and no crash leaves one.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(serve(settings, on_ready=on_ready or print_ready))
        except CannotStartError as error:
            sys.stderr.write(f"orderd cannot start: {error}\n")
            return EXIT_CANNOT_START


def print_ready(ready: Ready) -> None:
    """One JSON line on stdout when the server serves."""
    line = {
        "event": "ready",
        "grpc_address": ready.grpc_address,
        "http_address": ready.http_address,
        "journal_id": ready.journal_id,
        "accounts": list(ready.accounts),
    }
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    sys.stdout.flush()


async def serve(
    settings: Settings, *, on_ready: Callable[[Ready], None] = print_ready, halt: Halt | None = None
) -> int:
    """Open the journal, recover locally, serve, and drain at the end. Raises CannotStartError."""
    ends = halt or Halt()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ends.on_signal, number)
    loop.set_exception_handler(lambda _, context: _unhandled(context, ends))
    watchdog = Watchdog()
    clock, ids = SystemClock(), SystemIds()
    journal = await _open(settings, clock, ids, ends)
    refused: BaseExceptionGroup[CannotStartError] | None = None
    try:
        await _serve_on(journal, settings, clock, ids, ends, on_ready)
    except* _Done:
        pass
    except* CannotStartError as errors:
        refused = errors
    except* (JournalError, SameAccountError) as errors:
        ends.fail(errors.exceptions[0])
    finally:
        watchdog.stop()
        await _close(journal, ends)
    if refused is not None:
        raise CannotStartError("; ".join(str(error) for error in refused.exceptions))
    if ends.failure is not None:
        log.critical("server_failed", reason=repr(ends.failure))
        sys.stderr.write(f"orderd ended: {ends.failure}\n")
        return EXIT_FAILED
    log.info("server_stopped")
    return 0


def _unhandled(context: dict[str, Any], ends: Halt) -> None:
    """A failed callback is a broken promise of our own code and ends the process; what a library left is told."""
    error = context.get("exception")
    if isinstance(error, Exception) and "handle" in context:
        ends.fail(error)
    else:
        log.error("unhandled", message=str(context.get("message")), reason=repr(error))


async def _open(settings: Settings, clock: Clock, ids: Ids, ends: Halt) -> SqliteJournal:
    try:
        return await open_journal(settings.database_url, clock=clock, ids=ids, on_failure=ends.fail)
    except OpenError as error:
        raise CannotStartError(str(error)) from error


async def _close(journal: SqliteJournal, ends: Halt) -> None:
    """Close the journal. A disk that fails now loses nothing, and the operator must hear of it all the same."""
    try:
        async with asyncio.timeout(DRAIN_S):
            await journal.close()
    except TimeoutError as error:
        log.warning("journal_close_failed", reason=repr(error))
    except JournalError as error:
        ends.fail(error)


async def _serve_on(  # noqa: PLR0917 - the parts of a server
    journal: SqliteJournal, settings: Settings, clock: Clock, ids: Ids, ends: Halt, on_ready: Callable[[Ready], None]
) -> None:
    blotter = Blotter(journal)
    feed = JournalFeed(journal)
    intake = Intake(journal, blotter)
    for order in await journal.open_orders():
        blotter.load(order)
    completed = CompletedTrades(journal, feed, now=clock.now)
    await completed.open()
    async with asyncio.TaskGroup() as group:
        house = _House(journal, blotter, intake, clock, ids, Tasks(group))
        workers = [house.workers(account_id, settings) for account_id in settings.accounts]
        house.connect(workers)
        engine = OrderEngine(journal, blotter, feed, workers)
        desk = Desk(journal, blotter, engine, {str(w.account.account_id): w for w in workers})
        await desk.open()
        positions = PositionDesk(journal, feed, {str(w.account.account_id): w for w in workers})
        await positions.open()
        desk.follow(positions.book)
        parts = DeskParts(
            trades=desk.trades, completed=completed, decisions=desk.decisions, positions=positions, risk=desk.risk
        )
        server = GrpcServer(engine, address=settings.grpc_address, bounds=_bounds(settings), desk=parts)
        metrics = MetricsServer(desk.figures, settings.http_address) if settings.http_address else None
        try:
            address, http_address = await _start(server, metrics)
            for of_account in workers:
                if settings.accounts[of_account.account.account_id].broker is BrokerName.SIMULATED:
                    await forget_venue(of_account.account)
                await of_account.start()
            group.create_task(completed.run(), name="completed trades")
            group.create_task(positions.run(), name="positions")
            desk.start()
            house.let_go(settings.retention.keep_events_days)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            on_ready(
                Ready(
                    grpc_address=address,
                    http_address=http_address,
                    journal_id=journal.journal_id,
                    accounts=tuple(settings.accounts),
                )
            )
            await ends.asked.wait()
            if ends.failure is None:  # what cannot be recorded any more is not waited for
                await _drain(engine, server, workers)
        finally:
            await _to_its_end(server.stop())
            if metrics is not None:
                metrics.stop()
        raise _Done  # ends the group: whatever still runs is of no use to anyone


def _bounds(settings: Settings) -> Bounds:
    """How much the door takes at once."""
    return Bounds(
        max_streams=settings.max_streams,
        max_streams_per_connection=settings.max_streams_per_connection,
        max_calls=settings.max_calls,
        max_request_bytes=settings.max_request_bytes,
        max_answer_bytes=settings.max_answer_bytes,
        max_metadata_bytes=settings.max_metadata_bytes,
    )


async def _to_its_end(ending: Coroutine[Any, Any, None]) -> None:
    """Do all of it, even when a task of the group fails meanwhile.

    That cancels us, and a half-stopped server cuts off callers who were about to hear why.
    """
    task = asyncio.ensure_future(ending)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as cancelled:
            cut = cancelled
    task.result()
    if cut is not None:
        raise cut


class _Done(Exception):
    """The server has drained."""


async def _start(server: GrpcServer, metrics: MetricsServer | None) -> tuple[str, str]:
    try:
        return await server.start(), metrics.start() if metrics is not None else ""
    except OSError as error:
        raise CannotStartError(str(error)) from error


async def _drain(engine: OrderEngine, server: GrpcServer, workers: list[Workers]) -> None:
    """Stop in the order that loses nothing; whatever is not done in time is what recovery is for."""
    log.info("draining")
    try:
        async with asyncio.timeout(DRAIN_S):
            server.refuse_submits()
            await engine.drain()
            await server.stop()
            engine.stop()
            for of_account in workers:
                await of_account.account.broker.close()
    except TimeoutError:
        log.warning("drain_incomplete")


class _House:
    """What every account shares, and how an account is built from its settings."""

    def __init__(  # noqa: PLR0917 - the shared parts
        self, journal: SqliteJournal, blotter: Blotter, intake: Intake, clock: Clock, ids: Ids, tasks: Tasks
    ) -> None:
        self._journal = journal
        self._blotter = blotter
        self._intake = intake
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._calendar = ExchangeCalendar(clock.now)
        self._numbers: dict[str, str] = {}

    def workers(self, account_id: str, settings: Settings) -> Workers:
        """One account's workers, not running yet."""
        chosen = settings.accounts[account_id]
        account = Account(
            account_id=AccountId(account_id),
            broker=self._broker(account_id, chosen),
            policy=Policy(
                mode=chosen.mode,
                limits=settings.limits(account_id),
                reconcile_interval_s=chosen.reconcile_interval_s,
                submit_timeout_s=chosen.submit_timeout_s,
                settle_s=chosen.settle_s,
                send_within_s=chosen.send_within_s,
                parallel_submits=chosen.parallel_submits,
                queue_limit=chosen.queue_limit,
            ),
            journal=self._journal,
            blotter=self._blotter,
            intake=self._intake,
            clock=self._clock,
            ids=self._ids,
            tasks=self._tasks,
            calendar=self._calendar,
            numbers=self._numbers,
        )
        return Workers(account, min_free_bytes=settings.min_free_bytes)

    def _broker(self, account_id: str, chosen: AccountSettings) -> Broker:
        if chosen.broker is BrokerName.SIMULATED:
            # A new seed at every start: a venue born again must not give out the order ids of an earlier life.
            options = VenueOptions(seed=int(self._ids.new().replace("-", ""), 16), requests_per_minute=0)
            face, _ = build(options)
            return simulated_broker(
                face, key_id=options.key_id, secret_key=options.secret, clock=self._clock, ids=self._ids
            )
        if chosen.key_id is None or chosen.secret_key is None:
            raise CannotStartError(f"accounts.{account_id} needs key_id and secret_key")
        try:
            return alpaca_broker(
                key_id=chosen.key_id.get_secret_value(),
                secret_key=chosen.secret_key.get_secret_value(),
                rest_url=chosen.rest_url,
                stream_url=chosen.stream_url,
                mode=chosen.mode,
                clock=self._clock,
                ids=self._ids,
                settle_s=chosen.settle_s,
                requests_per_minute=chosen.requests_per_minute,
            )
        except ValueError as error:
            raise CannotStartError(f"accounts.{account_id}: {error}") from error

    def let_go(self, keep_days: int | None) -> None:
        """Let old events go from now on, when the operator has said so."""
        if keep_days is not None:
            self._tasks.start(Retention(self._journal, self._clock, keep_days=keep_days).run(), "retention")

    def connect(self, workers: list[Workers]) -> None:
        """Let each account's workers hear of their own orders."""
        by_account = {str(w.account.account_id): w for w in workers}
        self._intake.follow_up(lambda order, verdict: by_account[order.intent.account_id].aftermath(order, verdict))
        self._intake.keep_books(
            lambda order, found: by_account[order.intent.account_id].discrepancies.beside(order, found)
        )
        self._blotter.watch(lambda order: by_account[order.intent.account_id].watch(order))


class Watchdog:
    """Ends the process when its event loop has been blocked for 10 s: a hung server is worse than a restarted one."""

    def __init__(self) -> None:
        """Start watching the running loop."""
        self._loop = asyncio.get_running_loop()
        self._beat = time.monotonic()
        self._stopped = threading.Event()
        self._timer = self._loop.call_later(1, self._tick)
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
        self._timer.cancel()

    def _tick(self) -> None:
        self._beat = time.monotonic()
        self._timer = self._loop.call_later(1, self._tick)

    def _watch(self) -> None:
        while not self._stopped.wait(1):
            silent_s = time.monotonic() - self._beat
            if silent_s > BLOCKED_LOOP_S:
                sys.stderr.write(f"orderd ended: its event loop was blocked for {silent_s:.0f} s\n")
                sys.stderr.flush()
                os._exit(EXIT_FAILED)
