"""Ten times more than the broker takes, at a real process: what it costs, what it says, and who is served first."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from oms.v1 import order_service_pb2 as pb
from tests.e2e.audit import audit
from tests.e2e.errors import details
from tests.e2e.harness import House, submit_request, trading
from tests.e2e.processes import rss
from tests.reach import PROVES, Reached

MIB = 1024 * 1024
SECONDS = 600 if PROVES else 8
LIMIT = 200
"""Requests a minute, as Alpaca counts them."""
SYMBOLS = ("KO", "F", "OCGN", "AMD", "SPY", "QQQ")
CALLERS = 32


@dataclass
class Burst:
    """Callers that submit as fast as they are answered."""

    house: House
    until: float
    taken: int = 0
    refused: Counter[tuple[grpc.StatusCode, str, bool]] = field(default_factory=Counter)
    """By code, reason, and whether it said when to come again."""

    async def run(self, caller: int) -> None:
        """One of them."""
        number = 0
        while time.monotonic() < self.until:
            number += 1
            request = submit_request(
                client_order_id=f"b-{caller}-{number}",
                symbol=random.choice(SYMBOLS),
                limit_price="0.5",
                wait=pb.SUBMIT_WAIT_JOURNAL,
            )
            try:
                await self.house.orders.SubmitOrder(request)
                self.taken += 1
            except grpc.aio.AioRpcError as error:
                reason, retry_s = details(error)
                self.refused[error.code(), reason, retry_s > 0] += 1
                await asyncio.sleep(0.01)


@dataclass
class Watched:
    """The most that the server took of what is bounded, in bytes."""

    house: House
    memory: int = 0
    log: int = 0

    async def run(self, until: float) -> None:
        """Look again and again."""
        log = self.house.database.with_name(self.house.database.name + "-wal")
        while time.monotonic() < until:
            self.memory = max(self.memory, rss(self.house.server.pid))
            self.log = max(self.log, log.stat().st_size)
            await asyncio.sleep(0.2)


async def cancels(house: House, order_ids: list[str], until: float) -> list[float]:
    """Cancel one after the other in the middle of it; seconds until each has come to its end."""
    took: list[float] = []
    pause_s = (until - time.monotonic()) / (len(order_ids) + 1)
    for order_id in order_ids:
        await asyncio.sleep(pause_s)
        began = time.monotonic()
        await house.cancel(order_id, wait=pb.SUBMIT_WAIT_JOURNAL)
        await house.until(order_id, "CANCELED", within_s=30)
        took.append(time.monotonic() - began)
    return took


@pytest.mark.scaled
@pytest.mark.timeout(SECONDS + 300)
async def test_a_burst_costs_little_and_cancels_pass_it(tmp_path: Path, reached: Reached) -> None:
    account = {"queue_limit": 300, "requests_per_minute": LIMIT, "submit_timeout_s": 10, "reconcile_interval_s": 30}
    venue, settings = {"requests_per_minute": LIMIT}, {"log_level": "info"}
    async with trading(tmp_path, venue=venue, accounts={"paper": account}, settings=settings) as house:
        count = SECONDS // 2
        resting = [
            (await house.submit(client_order_id=f"r-{n}", limit_price="0.5")).order_id for n in range(min(count, 60))
        ]
        before = rss(house.server.pid)
        until = time.monotonic() + SECONDS
        burst, watched = Burst(house, until), Watched(house)
        async with asyncio.TaskGroup() as group:
            for caller in range(CALLERS):
                group.create_task(burst.run(caller))
            group.create_task(watched.run(until))
            canceling = group.create_task(cancels(house, resting, until))
        assert set(burst.refused) == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", True)}
        assert burst.refused.total() + burst.taken > 10 * LIMIT / 60 * SECONDS
        assert watched.memory - before < 100 * MIB
        assert watched.log < 64 * MIB
        assert max(canceling.result()) < 10, "past everything that is queued"
        statuses = Counter(row["status"] for row in (await house.venue.ledger())["received"])
        assert 429 not in statuses, "a broker's limit is never run into"
        await audit(house)
        reached("P13", "submits in a burst at a real process: 100 MiB and 64 MiB of log at most", burst.refused.total())
        reached("P10", "cancels that passed the burst at a real process", len(resting))
