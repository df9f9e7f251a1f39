"""The simulated broker: Alpaca's adapter over a venue in this process. What `orderd dev` and the simulations trade on.

`SimulatedClient` is the same seam as the network's: bytes in, bytes out, so the parser and the adapter are the real
ones. It makes no thread and no task; time is the event loop's, whichever loop that is.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from orderd.brokers.alpaca.adapter import AlpacaAdapter
from orderd.brokers.alpaca.budget import Budget, Ticket
from orderd.brokers.alpaca.client import (
    AlpacaClient,
    AnswerLost,
    Arrival,
    Connected,
    Disconnected,
    Frame,
    LateAnswer,
    NotConnected,
    Request,
    Response,
)
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.errors import is_rate_limited
from orderd.ports import Broker, Capabilities, Clock, Ids, Lane, Lookup, Refusal
from orderd.risk.limits import OppositeOrders
from orderd.venue.alpaca.face import AlpacaFace
from orderd.venue.dialect import DuplicateIds
from orderd.venue.dialect import Lookup as VenueLookup
from orderd.venue.exchange import Disposition, Reply
from orderd.venue.exchange import Request as VenueRequest

if TYPE_CHECKING:
    from orderd.venue.alpaca.stream import Session

NAME = "simulated"
SETTLE_S = 2.0
"""The venue answers at once; a request made to land late lands within this unless a test says otherwise."""
REQUESTS_PER_MINUTE = 1_000_000
"""None worth the name: the venue's own limit, when it has one, shows itself in the headers."""
_BACKOFF_LIMIT_S = 5.0
_FRAMES_WAITING = 100_000
_SOON_S = 1e-6
_REFUSALS = {
    DuplicateIds.NEVER: Refusal.NONE,
    DuplicateIds.WHILE_OPEN: Refusal.WHILE_OPEN,
    DuplicateIds.FOR_EVER: Refusal.FOR_EVER,
}
_LOOKUPS = {
    VenueLookup.YES: Lookup.YES,
    VenueLookup.LIST_ONLY: Lookup.LIST_ONLY,
    VenueLookup.NO: Lookup.NO,
}


class Driver:
    """Keeps a venue's time beside the loop's: wakes it when something is due. Any number may drive one venue."""

    def __init__(self, face: AlpacaFace, clock: Clock) -> None:
        """Nothing moves before the first `wake`."""
        self._face = face
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Do what is due and set the alarm for what comes next. Called after anything that may change the agenda."""
        self.stop()
        venue = self._face.venue
        venue.advance(self._clock.now())
        due = venue.next_due()
        if due is not None:
            wait_s = (due - self._clock.now()) / timedelta(seconds=1)
            self._timer = asyncio.get_running_loop().call_later(max(wait_s, _SOON_S), self.wake)

    def stop(self) -> None:
        """Let time stand still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class SimulatedClient:
    """`AlpacaClient` served by the venue as a function."""

    def __init__(self, face: AlpacaFace, credential: Credential, *, clock: Clock, ids: Ids, budget: Budget) -> None:
        """One key of the face."""
        self._face = face
        self._credential = credential
        self._clock = clock
        self._ids = ids
        self._budget = budget
        self._driver = Driver(face, clock)
        self._arrivals: asyncio.Queue[Arrival | None] = asyncio.Queue()
        self._session: Session | None = None
        self._hear: Callable[[bytes], None] = self._take
        self._is_closed = False

    # ------------------------------------------------------------------------------------------------------------ REST

    async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
        """Hand it to the venue once. Raises NotConnected or AnswerLost, within `timeout_s`."""
        if self._is_closed:
            raise NotConnected("closed")
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                ticket = await self._budget.take(lane)
        except TimeoutError:
            raise NotConnected(f"still waiting for its turn after {timeout_s:g} s") from None
        request.check()
        asked_ns = self._clock.monotonic_ns()
        reply = self._face.handle(self._addressed(request))
        self._driver.wake()
        response = await self._way_back(request, reply, deadline, asked_ns)
        self._learn(ticket, response)
        return response

    def _addressed(self, request: Request) -> VenueRequest:
        return VenueRequest(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers={
                "APCA-API-KEY-ID": self._credential.key_id,
                "APCA-API-SECRET-KEY": self._credential.secret_key,
                "Content-Type": "application/json",
            },
            body=request.body or b"",
        )

    async def _way_back(self, request: Request, reply: Reply, deadline: float, asked_ns: int) -> Response:
        """Let the answer arrive, or not, as the venue's fault script has it."""
        match reply.disposition:
            case Disposition.DELIVER:
                return _response(reply)
            case Disposition.LOSE:
                raise AnswerLost("the connection ended without an answer")
            case Disposition.CUT:
                if reply.cut_at >= len(reply.wire()):
                    return _response(reply)
                raise AnswerLost(f"the answer was cut at byte {reply.cut_at}")
            case Disposition.LATE:
                if reply.status:
                    return _response(reply)
                return await self._held("", request, reply, deadline, asked_ns)
            case Disposition.HOLD:
                return await self._held(reply.barrier, request, reply, deadline, asked_ns)

    async def _held(self, barrier: str, request: Request, reply: Reply, deadline: float, asked_ns: int) -> Response:
        """Wait for the barrier; after the deadline the answer still arrives, late. Without a barrier it never does."""
        released: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def release() -> None:
            if released.done():
                self._arrivals.put_nowait(LateAnswer(request=request, response=_response(reply), asked_ns=asked_ns))
            else:
                released.set_result(None)

        if barrier:
            self._face.venue.faults.barriers.wait(barrier, release)
        try:
            async with asyncio.timeout_at(deadline):
                await released
        except TimeoutError:
            raise AnswerLost("no answer within the deadline") from None
        return _response(reply)

    def _learn(self, ticket: Ticket, response: Response) -> None:
        self._budget.learn(ticket, response.headers)
        if is_rate_limited(response):
            self._budget.exhausted()

    # ---------------------------------------------------------------------------------------------------------- stream

    async def frames(self) -> AsyncGenerator[Arrival, None]:
        """Connect to the venue's stream, again after each end, until closed."""
        failures = 0
        self._forget()
        try:
            while not self._is_closed:
                self._connect()
                while (arrival := await self._arrivals.get()) is not None:
                    failures = 0 if isinstance(arrival, Frame) else failures
                    yield arrival
                    if isinstance(arrival, Disconnected):
                        break
                if not self._is_closed:
                    failures += 1
                    await self._clock.sleep(min(2.0**failures / 10, _BACKOFF_LIMIT_S) * self._ids.jitter())
        finally:
            self._hang_up()

    def _forget(self) -> None:
        """Drop what an earlier reader left unread: for the new one it lies before its first `Connected`."""
        while not self._arrivals.empty():
            self._arrivals.get_nowait()

    def _connect(self) -> None:
        refusal = self._face.admit()
        self._driver.wake()
        if refusal is not None:
            self._arrivals.put_nowait(Disconnected(message=f"the upgrade was refused: HTTP {refusal.status}"))
            return
        replies: list[bytes] = []
        self._hear = replies.append
        self._session = self._face.connect(lambda data, _: self._hear(data), self._ended)
        login = {"action": "auth", "key": self._credential.key_id, "secret": self._credential.secret_key}
        for message in (login, {"action": "listen", "data": {"streams": ["trade_updates"]}}):
            self._session.receive(msgspec.json.encode(message))
        if any(b'"unauthorized"' in reply for reply in replies):
            self._hang_up()
            self._arrivals.put_nowait(Disconnected(message="login refused"))
        else:
            self._hear = self._take
            self._arrivals.put_nowait(Connected())

    def _take(self, data: bytes) -> None:
        """Keep a frame for the reader; one that never reads is cut off, as a slow one would be."""
        if self._arrivals.qsize() < _FRAMES_WAITING:
            self._arrivals.put_nowait(Frame(data=data))
        elif self._session is not None:
            self._session.kick(1008)

    def _ended(self, code: int) -> None:
        """The venue ended the connection."""
        self._session = None
        message = f"the connection was closed: {code}" if code else "the connection was lost"
        self._arrivals.put_nowait(Disconnected(message=message))

    def _hang_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.closed()

    async def close(self) -> None:
        """End the stream and let the venue's time stand still, as far as this client drove it."""
        self._is_closed = True
        self._hang_up()
        self._driver.stop()
        self._arrivals.put_nowait(None)  # the reader may be waiting


def _response(reply: Reply) -> Response:
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return Response(status=reply.status, headers=headers, body=reply.body)


def simulated_broker(
    face: AlpacaFace,
    *,
    key_id: str,
    secret_key: str,
    clock: Clock,
    ids: Ids,
    settle_s: float = SETTLE_S,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
) -> Broker:
    """Return the account behind a key of the face, in this process and on this event loop."""
    client = SimulatedClient(
        face,
        Credential(key_id, secret_key),
        clock=clock,
        ids=ids,
        budget=Budget(clock, requests_per_minute),
    )
    return broker_over(client, face, clock=clock, settle_s=settle_s, requests_per_minute=requests_per_minute)


def broker_over(
    client: AlpacaClient, face: AlpacaFace, *, clock: Clock, settle_s: float, requests_per_minute: int
) -> Broker:
    """Return the adapter over a client of this face, which may do less than Alpaca."""
    return AlpacaAdapter(
        client,
        clock=clock,
        settle_s=settle_s,
        requests_per_minute=requests_per_minute,
        name=NAME,
        altered=partial(_as_the_venue, face),
    )


def _as_the_venue(face: AlpacaFace, can: Capabilities) -> Capabilities:
    """What this venue can be asked and tells, when it was told to do less than Alpaca."""
    settings = face.venue.state.settings
    return msgspec.structs.replace(
        can,
        duplicate_refusal=_REFUSALS[settings.duplicate_ids],
        opposite_orders=can.opposite_orders if settings.refuses_wash_trades else OppositeOrders.ALLOWED,
        lookup=_LOOKUPS[face.options.lookup],
        has_execution_ids=face.options.has_execution_ids,
    )
