"""Alpaca's REST for an event loop: calls wait in lanes, threads of their own carry them.

Rule 1: the caller's deadline is the truth. An answer that comes after it goes to `on_late`.
Rule 2: threads are daemons that nobody waits for; beside one stuck in an overdue call the lane gets another.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable

from orderd.brokers.alpaca.budget import Budget, Ticket
from orderd.brokers.alpaca.client import AnswerLost, LateAnswer, NotConnected, Request, Response
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.errors import is_rate_limited
from orderd.brokers.alpaca.wire import Outcome, Wire
from orderd.ports import Clock, Lane

_SIZES = {"cancel": 2, "submit": 4, "read": 2}
_CREWS = {
    Lane.CANCEL: "cancel",
    Lane.EXIT: "submit",
    Lane.ENTRY: "submit",
    Lane.LOOKUP: "read",
    Lane.READ: "read",
}
_RANK = {lane: rank for rank, lane in enumerate(Lane)}
_LAST, _FIRST = len(Lane), -1
_TOO_LATE_S = 0.02
_REPLACEMENTS = 4
"""A crew never has more than this many times its threads, however many are stuck."""


class _Job:
    """One call on its way. `answered` belongs to the event loop, the claim to whoever comes first."""

    def __init__(
        self, lane: Lane, request: Request, ticket: Ticket, deadline: float, answered: "asyncio.Future[Response]"
    ) -> None:
        self.lane = lane
        self.request = request
        self.ticket = ticket
        self.deadline = deadline
        self.answered = answered
        self.asked_ns = 0
        self.is_overdue = False
        self._claimed = threading.Lock()

    def claim(self) -> bool:
        """Take it: a thread to send it, or the caller to say that nobody will. Only the first one gets it."""
        return self._claimed.acquire(blocking=False)


class _Crew:
    """The threads of a lane and what waits for them. Its methods run on the event loop."""

    def __init__(self, name: str, size: int, work: "Callable[[_Crew], None]") -> None:
        self.jobs: queue.PriorityQueue[tuple[int, int, _Job | None]] = queue.PriorityQueue()
        self._name = name
        self._size = size
        self._work = work
        self._number = 0
        self._alive = 0
        self._overdue = 0

    def take(self, job: _Job) -> None:
        """Queue it: exits before entries, lookups before reads, otherwise in order."""
        self._put(_RANK[job.lane], job)
        self._grow()

    def _put(self, rank: int, job: _Job | None) -> None:
        self._number += 1
        self.jobs.put((rank, self._number, job))

    def _grow(self) -> None:
        if self._alive - self._overdue >= self._size or self._alive >= self._size * _REPLACEMENTS:
            return
        self._alive += 1
        threading.Thread(target=self._work, args=(self,), name=f"alpaca-{self._name}", daemon=True).start()

    def left(self, job: _Job) -> None:
        """Its caller has gone while a thread is in it: that thread no longer counts."""
        job.is_overdue = True
        self._overdue += 1
        if not self.jobs.empty():
            self._grow()

    def returned(self, job: _Job) -> None:
        """Its thread is back; when it had been replaced, one of the two goes home."""
        if not job.is_overdue:
            return
        self._overdue -= 1
        if self._alive - self._overdue > self._size:
            self._alive -= 1
            self._put(_LAST, None)

    def lost(self) -> None:
        """A thread ended on its own."""
        self._alive -= 1

    def dismiss(self) -> None:
        """Send every thread home after the call it is in."""
        for _ in range(self._alive):
            self._put(_FIRST, None)


def _performed(wire: Wire, job: _Job) -> Outcome:
    try:
        job.request.check()
    except NotConnected as error:
        return error
    return wire.perform(job.request, job.deadline)


class Rest:
    """Calls of one account."""

    def __init__(
        self,
        credential: Credential,
        rest_url: str,
        *,
        clock: Clock,
        budget: Budget,
        on_late: Callable[[LateAnswer], None],
    ) -> None:
        """`on_late` is called on the event loop with every answer that came after its caller had left."""
        self._credential = credential
        self._rest_url = rest_url.rstrip("/")
        self._clock = clock
        self._budget = budget
        self._on_late = on_late
        self._crews = {name: _Crew(name, size, self._work) for name, size in _SIZES.items()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
        """Send once. Raises NotConnected or AnswerLost, within `timeout_s`."""
        if self._is_closed:
            raise NotConnected("closed")
        loop = self._loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        job: _Job | None = None
        try:
            async with asyncio.timeout_at(deadline):
                ticket = await self._budget.take(lane)
                job = _Job(lane, request, ticket, deadline, loop.create_future())
                job.asked_ns = self._clock.monotonic_ns()
                self._crews[_CREWS[lane]].take(job)
                return await job.answered
        except TimeoutError:
            if job is None or job.claim():
                raise NotConnected(f"still waiting for its turn after {timeout_s:g} s") from None
            if not job.answered.cancelled():  # answer and deadline came in the same turn of the loop
                return job.answered.result()
            self._crews[_CREWS[lane]].left(job)
            raise AnswerLost(f"no answer within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            self._abandoned(job)
            raise

    def _abandoned(self, job: _Job | None) -> None:
        """The caller was cancelled: an unsent call is never sent, a sent one is answered late."""
        if job is None or job.claim():
            return
        if job.answered.cancelled():
            self._crews[_CREWS[job.lane]].left(job)
        elif job.answered.exception() is None:
            self._late(job, job.answered.result())

    def _late(self, job: _Job, response: Response) -> None:
        self._on_late(LateAnswer(request=job.request, response=response, asked_ns=job.asked_ns))

    def _work(self, crew: _Crew) -> None:
        """Carry calls until told to go home. Runs in a thread."""
        wire = Wire(self._credential, self._rest_url)
        is_sent_home = False
        try:
            while not is_sent_home:
                _, _, job = crew.jobs.get()
                is_sent_home = job is None
                # A call that would go out at its deadline stays unclaimed: its caller then knows it was not sent.
                if job is not None and job.deadline - time.monotonic() > _TOO_LATE_S and job.claim():
                    outcome: Outcome = AnswerLost("the thread ended")
                    try:
                        outcome = _performed(wire, job)
                    finally:
                        self._post(self._returned, crew, job, outcome)
        finally:
            wire.shut()
            if not is_sent_home:
                self._post(crew.lost)

    def _post(self, tell: Callable[..., None], *values: object) -> None:
        """Tell the event loop, if there still is one."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(tell, *values)
            except RuntimeError:  # it closed just now: nobody is left to be told
                return

    def _returned(self, crew: _Crew, job: _Job, outcome: Outcome) -> None:
        crew.returned(job)
        if isinstance(outcome, Response):
            self._budget.learn(job.ticket, outcome.headers)
            if is_rate_limited(outcome):
                self._budget.exhausted()
        if not job.answered.done():
            if isinstance(outcome, Response):
                job.answered.set_result(outcome)
            else:
                job.answered.set_exception(outcome)
        elif isinstance(outcome, Response):
            self._late(job, outcome)

    def close(self) -> None:
        """Let the threads go without waiting for them."""
        self._is_closed = True
        for crew in self._crews.values():
            crew.dismiss()
