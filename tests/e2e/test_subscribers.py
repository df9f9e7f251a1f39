"""A subscriber that is cut off again and again, and goes on from its sequence, has heard every byte once."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest

from oms.v1 import order_service_pb2 as pb
from tests.e2e.harness import House, trading
from tests.e2e.load import SIMULATED, ended, trade
from tests.e2e.raw import event_bytes, journal_bytes
from tests.e2e.tape import METHOD
from tests.reach import Reached


class Cut:
    """A subscriber whose connection dies after so many responses, or so many seconds."""

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._random = random.Random(seed)
        self.heard: list[bytes] = []
        self.sequence = 0
        self.lives = 0

    async def run(self, lives: int, done: asyncio.Event) -> None:
        """Live so often and as long as there is trading, then once more to the end."""
        while self.lives < lives or not done.is_set():
            self.lives += 1
            await self._live(self._random.choice((1, 2, 5, 20)), self._random.uniform(0, 0.15))
        head = len(journal_bytes(self._house.database))
        while len(self.heard) < head:
            await self._live(10_000, 1)

    async def _live(self, responses: int, seconds: float) -> None:
        async with grpc.aio.insecure_channel(self._house.address) as channel:
            stream = channel.unary_stream(METHOD, request_serializer=pb.StreamOrderEventsRequest.SerializeToString)
            call = stream(pb.StreamOrderEventsRequest(after_sequence=self.sequence))
            try:
                async with asyncio.timeout(seconds):
                    await self._listen(call, responses)
            except TimeoutError:
                call.cancel()

    async def _listen(self, call: grpc.aio.UnaryStreamCall[bytes, bytes], responses: int) -> None:
        async for data in call:
            response = pb.StreamOrderEventsResponse.FromString(data)
            assert response.previous_sequence == self.sequence or response.HasField("started")
            self.heard += event_bytes(data)
            self.sequence = response.sequence
            responses -= 1
            if not responses:
                call.cancel()
                return


async def cut_off(directory: Path, *, orders: int, lives: Sequence[int]) -> None:
    """Trade while subscribers are cut off; each has heard what the journal keeps."""
    async with trading(directory, accounts=SIMULATED) as house:
        done = asyncio.Event()
        subscribers = [Cut(house, seed) for seed in range(len(lives))]
        async with asyncio.TaskGroup() as group:
            for subscriber, times in zip(subscribers, lives, strict=True):
                group.create_task(subscriber.run(times, done))
            await trade(house, orders)
            await ended(house, orders)
            done.set()
        kept = journal_bytes(house.database)
        assert len(kept) > 4 * orders
        for subscriber, times in zip(subscribers, lives, strict=True):
            assert subscriber.lives >= times
            assert subscriber.heard == kept
        assert (await house.account("sim")).open_discrepancy_count == 0


@pytest.mark.timeout(180)
async def test_two_hundred_cuts_while_two_thousand_orders_trade(tmp_path: Path, reached: Reached) -> None:
    await cut_off(tmp_path, orders=2_000, lives=[200])
    reached("P6", "cuts at random moments, byte-identical suffix", 200)


@pytest.mark.prove
async def test_a_thousand_cuts_while_twenty_thousand_orders_trade(tmp_path: Path, reached: Reached) -> None:
    await cut_off(tmp_path, orders=20_000, lives=[1_000, 500, 100])
    reached("P6", "cuts at random moments, byte-identical suffix", 1_600)
