"""What arrives and is not read yet: bounded for frames, never lost for late answers, and an end is an end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from orderd.brokers.alpaca.budget import Budget
from orderd.brokers.alpaca.client import Arrival, Connected, Frame, LateAnswer, Request, Response
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.network import Inbox, NetworkClient
from orderd.system import SystemClock, SystemIds

LATE = LateAnswer(
    request=Request(method="POST", path="/v2/orders"), response=Response(status=200, headers={}, body=b""), asked_ns=1
)


def client() -> NetworkClient:
    clock = SystemClock()
    return NetworkClient(
        Credential("k", "s"),
        rest_url="http://127.0.0.1:9",
        stream_url="ws://127.0.0.1:9/stream",
        clock=clock,
        ids=SystemIds(),
        budget=Budget(clock, 200),
    )


async def test_a_reader_that_is_slow_holds_the_socket_and_loses_nothing() -> None:
    inbox = Inbox()
    sent = 0

    async def socket() -> None:
        nonlocal sent
        for number in range(2000):
            await inbox.put(Frame(data=str(number).encode()))
            sent += 1

    writing = asyncio.create_task(socket())
    for _ in range(5):  # more turns of the loop than it needs
        await asyncio.sleep(0)
    assert (sent, writing.done()) == (1024, False)
    inbox.put_late(LATE)
    taken = [await inbox.take() for _ in range(2001)]
    await writing
    assert [each for each in taken if each != LATE] == [Frame(data=str(n).encode()) for n in range(2000)]
    assert taken.count(LATE) == 1


async def test_late_answers_that_nobody_reads_are_bounded() -> None:
    inbox = Inbox()
    for _ in range(5000):
        inbox.put_late(LATE)
    inbox.end()
    count = 0
    while await inbox.take() is not None:
        count += 1
    assert count == 1024
    inbox.put_late(LATE)
    assert await inbox.take() == LATE


async def test_a_stream_that_breaks_its_promise_is_heard_of() -> None:
    made = client()

    async def broken(deliver: Callable[[Arrival], Awaitable[None]]) -> None:
        await deliver(Connected())
        raise RuntimeError("a mistake of ours")

    made._stream.run = broken  # type: ignore[method-assign]
    frames = made.frames()
    assert await anext(frames) == Connected()
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        await anext(frames)
    await made.close()


async def test_a_closed_client_ends_its_frames_and_gives_no_more() -> None:
    made = client()
    frames = made.frames()
    waiting = asyncio.create_task(_drain(frames))
    await asyncio.sleep(0)
    await made.close()
    await asyncio.wait_for(waiting, 5)
    assert [each async for each in made.frames()] == []


async def _drain(frames: AsyncIterator[Arrival]) -> None:
    async for _ in frames:
        pass
