"""The brokers the contract is held against, each beside the venue that plays its part."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal

from orderd.brokers.alpaca.factory import alpaca_broker
from orderd.brokers.simulated import Driver, simulated_broker
from orderd.core.order import Mode
from orderd.ports import Broker, BrokerReport, Clock, StreamUp, Update
from orderd.system import SystemClock, SystemIds
from orderd.venue.alpaca.face import AlpacaFace, Options
from orderd.venue.core import Venue
from orderd.venue.faults import Fault
from orderd.venue.server import VenueServer, serve
from orderd.venue.state import Settings

KEY_ID, SECRET = "contract-key", "contract-secret"
SETTLE_S = 1.0
KINDS = ("simulated", "sockets")


@dataclass
class Desk:
    """A broker, its venue, and everything the stream has said."""

    broker: Broker
    face: AlpacaFace
    clock: Clock
    server: VenueServer | None
    said: list[Update] = field(default_factory=list[Update])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def venue(self) -> Venue:
        """The other side's truth."""
        return self.face.venue

    def pump(self) -> None:
        """Let the venue notice what the test did to it."""
        if self.server is not None:
            self.server.pump()
        else:
            Driver(self.face, self.clock).wake()

    def arm(self, fault: Fault) -> Fault:
        """Add a line to the fault script."""
        return self.venue.faults.arm(fault)

    async def listen(self) -> None:
        """Keep what the stream says."""
        async for update in self.broker.updates():
            self.said.append(update)
            self._changed.set()

    async def heard(self, *events: str, client_order_id: str = "") -> list[BrokerReport]:
        """Wait until the reports (of one order) have these events, in this order, and give them back."""

        def found() -> list[BrokerReport]:
            reports = [each for each in self.said if isinstance(each, BrokerReport)]
            if client_order_id:
                reports = [each for each in reports if each.view and each.view.client_order_id == client_order_id]
            return [each for each in reports if each.event in events]

        await self.until(lambda: [each.event for each in found()][: len(events)] == list(events))
        return found()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(15):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def new_face(clock: Clock, options: Options | None = None) -> AlpacaFace:
    """A venue with one account, a fixed market in a few symbols, and whole fills."""
    settings = Settings(partial_rate=Decimal(0))
    venue = Venue(rng=random.Random(7), now=clock.now(), settings=settings)
    face = AlpacaFace(venue, clock=clock.now, options=options or Options(requests_per_minute=0))
    face.add_key(KEY_ID, SECRET, venue.open_account(cash=Decimal(1_000_000)))
    venue.set_quote("AAPL", Decimal("99.99"), Decimal("100.01"))
    venue.set_quote("BTC/USD", Decimal("59990"), Decimal("60010"))
    return face


@contextlib.asynccontextmanager
async def open_desk(
    kind: str, options: Options | None = None, requests_per_minute: int = 10_000, *, is_listening: bool = True
) -> AsyncIterator[Desk]:
    """A desk that listens already, unless told not to."""
    clock, ids = SystemClock(), SystemIds()
    face = new_face(clock, options)
    server = await serve(face, clock=clock.now) if kind == "sockets" else None
    if server is None:
        broker = simulated_broker(
            face,
            key_id=KEY_ID,
            secret_key=SECRET,
            clock=clock,
            ids=ids,
            settle_s=SETTLE_S,
            requests_per_minute=requests_per_minute,
        )
    else:
        broker = alpaca_broker(
            key_id=KEY_ID,
            secret_key=SECRET,
            rest_url=server.rest_url,
            stream_url=server.stream_url,
            mode=Mode.PAPER,
            clock=clock,
            ids=ids,
            settle_s=SETTLE_S,
            requests_per_minute=requests_per_minute,
        )
    desk = Desk(broker=broker, face=face, clock=clock, server=server)
    listening = asyncio.create_task(desk.listen() if is_listening else asyncio.sleep(0))
    try:
        if is_listening:
            await desk.until(lambda: any(isinstance(each, StreamUp) for each in desk.said))
        yield desk
    finally:
        await broker.close()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        if server is not None:
            await server.close()
