"""Where a simulated process meets what is outside: the disk, the venue, the stream. It may die at each of them."""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orderd.brokers.alpaca.budget import Budget
from orderd.brokers.alpaca.client import Request, Response
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.simulated import SimulatedClient
from orderd.ports import Lane
from orderd.storage.runner import Delivery, InlineRunner, Write
from orderd.storage.writer import Call, Written
from orderd.venue.exchange import Request as VenueRequest
from orderd.venue.options import VenueOptions

if TYPE_CHECKING:
    from tests.engine.world import Bench, World

BEFORE_COMMIT, AFTER_COMMIT, FRAME = "before commit", "after commit", "frame"
CALLS = ("POST", "PATCH", "DELETE", "GET")
PLACES = (BEFORE_COMMIT, AFTER_COMMIT, FRAME, *(f"{when} {method}" for when in ("before", "after") for method in CALLS))
"""Where a process may die."""


@dataclass
class Pulse:
    """Whether one process lives; everything that reaches out of it asks first."""

    is_dead: bool = False
    has_failed: bool = False
    """Its journal has, so it is about to end."""


class Watcher:
    """Who looks on from outside: at every commit before anybody hears of it, at every request before it lands."""

    def committed(self) -> None:
        """Something may have been committed."""

    def sending(self, account_id: str, request: Request) -> None:
        """A request is about to reach a venue."""

    def heard(self, data: bytes) -> None:
        """A frame has reached the process."""


class SeamRunner(InlineRunner):
    """Commits late, never, or without telling."""

    def __init__(self, world: "World", pulse: Pulse) -> None:
        super().__init__(world.commit_delay_s)
        self._world = world
        self._pulse = pulse

    def start(self, write: Write, delivery: Delivery) -> None:
        """Put the seam between the writer and whom it tells."""
        super().start(lambda batch: self._commit(write, batch), _Told(self._world, self._pulse, delivery))

    def put(self, call: Call) -> None:
        """Nothing is taken any more after a death."""
        if not self._pulse.is_dead:
            super().put(call)

    def kill(self) -> None:
        """What waits is lost, as with the process."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = []

    def _flush(self) -> None:
        if not self._world.dies(BEFORE_COMMIT, self._pulse):
            super()._flush()

    def _commit(self, write: Write, batch: Sequence[Call]) -> Written:
        failure = self._world.failing_commit
        self._world.failing_commit = ""
        if failure == "lost":
            raise sqlite3.OperationalError("disk I/O error")
        written = write(batch)
        self._world.watcher.committed()
        if failure:
            raise sqlite3.OperationalError("disk I/O error")
        return written


class _Told:
    """The way back from the writer."""

    def __init__(self, world: "World", pulse: Pulse, delivery: Delivery) -> None:
        self._world = world
        self._pulse = pulse
        self._delivery = delivery

    def committed(self, written: Written) -> None:
        if not self._world.dies(AFTER_COMMIT, self._pulse):
            self._delivery.committed(written)

    def failed(self, error: Exception) -> None:
        self._delivery.failed(error)


class SeamClient(SimulatedClient):
    """Asks, before it hands anything to the venue, whether there still is a process."""

    def __init__(self, world: "World", bench: "Bench", pulse: Pulse) -> None:
        options = VenueOptions()
        super().__init__(
            bench.face,
            Credential(options.key_id, options.secret),
            clock=world.venue_clock,
            ids=world.ids,
            budget=Budget(world.clock, world.requests_per_minute),
        )
        self._world = world
        self._account_id = bench.account_id
        self._pulse = pulse

    async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
        """See `AlpacaClient.call`."""
        response = await super().call(lane, request, timeout_s=timeout_s)
        self._reach(f"after {request.method}")
        return response

    def _addressed(self, request: Request) -> VenueRequest:
        self._reach(f"before {request.method}")
        self._world.watcher.sending(self._account_id, request)
        return super()._addressed(request)

    def _reach(self, place: str) -> None:
        if self._world.dies(place, self._pulse):
            raise asyncio.CancelledError

    def _take(self, data: bytes) -> None:
        if not self._world.dies(FRAME, self._pulse):
            self._world.watcher.heard(data)
            super()._take(data)
