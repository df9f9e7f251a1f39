"""The client: the same few lines for the limit and for orderd, so that what it costs is on both sides.

Requests are serialised before the clock starts and answers are kept as bytes: a round measures the server and the wire.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import grpc

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    # A channel of its own for each: two channels to one address would share a connection otherwise.
    ("grpc.use_local_subchannel_pool", 1),
)
TIMEOUT_S = 120.0

Unary = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One round of one thing: how long it took, and each call's own time. Seconds."""

    took_s: float
    calls: int
    latencies: Sequence[float]
    answers: Sequence[bytes] = field(repr=False)

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return self.calls / self.took_s

    @property
    def p50_s(self) -> float:
        """Median time of a call."""
        return median(self.latencies)

    @property
    def p99_s(self) -> float:
        """The time that one call in a hundred exceeds."""
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)]


def channel(address: str) -> grpc.aio.Channel:
    """Connect to a server of the bench."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)


def unary(of: grpc.aio.Channel, method: str) -> Unary:
    """Return the call of a method, bytes in and bytes out."""
    call = of.unary_unary(method)

    async def ask(request: bytes) -> bytes:
        return await call(request, timeout=TIMEOUT_S)

    return ask


async def closed_loop(call: Unary, requests: Sequence[bytes], concurrency: int) -> Run:
    """Send all requests, `concurrency` at a time, each sender waiting for its answer before it takes the next."""
    queue = iter(requests)
    latencies: list[float] = []
    answers: list[bytes] = []

    async def sender() -> None:
        for request in queue:
            asked = time.perf_counter()
            answer = await call(request)
            latencies.append(time.perf_counter() - asked)
            answers.append(answer)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in itertools.repeat(None, concurrency):
            group.create_task(sender())
    return Run(took_s=time.perf_counter() - began, calls=len(requests), latencies=latencies, answers=answers)
