"""The traps of a real wire: what is proven not sent, what may have arrived, and that nothing is sent twice."""

import asyncio
import socket
import threading
import time

import msgspec
import pytest

from orderd.brokers.alpaca.client import AnswerLost, NotConnected, Request, Response
from orderd.ports import Lane
from tests.brokers.sockets import GET, KEY_ID, POST, SECRET, Asked, caller, http, never, peer, says

STATUSES = [
    "200 OK",
    "204 No Content",
    "403 Forbidden",
    "422 Unprocessable Entity",
    "429 Too Many",
    "504 Gateway Timeout",
]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("body", [b'{"code":1,"message":"x"}', b"<html>bad</html>", b""])
async def test_an_answer_comes_back_whole_whatever_it_is(status: str, body: bytes) -> None:
    said = http(
        status, b"" if status.startswith("204") else body, "X-Ratelimit-Limit: 200\r\nContent-Type: text/html\r\n"
    )
    async with peer(says(said)) as server, caller(server.url) as client:
        answer = await client.rest.call(Lane.ENTRY, POST, timeout_s=5)
        assert answer.status == int(status[:3])
        assert answer.body == (b"" if status.startswith("204") else body)
        assert answer.headers["x-ratelimit-limit"] == "200"
        assert len(server.asked) == 1  # the SDK would have sent 429 and 504 four times


async def test_the_request_is_ours_to_the_byte() -> None:
    async with peer(says(http())) as server, caller(server.url) as client:
        await client.rest.call(Lane.ENTRY, POST, timeout_s=5)
        await client.rest.call(Lane.LOOKUP, GET, timeout_s=5)
        await client.rest.call(Lane.CANCEL, Request(method="DELETE", path="/v2/orders/7"), timeout_s=5)
        post, get, delete = server.asked
        assert (post.line, post.body) == ("POST /v2/orders HTTP/1.1", POST.body)
        assert post.headers["content-type"] == "application/json"
        assert (post.headers["apca-api-key-id"], post.headers["apca-api-secret-key"]) == (KEY_ID, SECRET)
        assert get.line == "GET /v2/orders:by_client_order_id?client_order_id=a+b%2Fc HTTP/1.1"
        assert delete.line == "DELETE /v2/orders/7 HTTP/1.1"


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with peer(says(http("307 Temporary Redirect", b"", "Location: /v2/elsewhere\r\n"))) as server:
        async with caller(server.url) as client:
            assert (await client.rest.call(Lane.ENTRY, POST, timeout_s=5)).status == 307
        assert len(server.asked) == 1


async def test_a_refused_connection_was_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with caller(url) as client:
            with pytest.raises(NotConnected, match="NewConnectionError"):
                await client.rest.call(Lane.ENTRY, POST, timeout_s=5)


async def test_an_unknown_host_was_not_sent() -> None:
    async with caller("http://no-such-host.invalid") as client:
        with pytest.raises(NotConnected):
            await client.rest.call(Lane.ENTRY, POST, timeout_s=10)


async def test_a_host_that_takes_no_connection_was_not_sent() -> None:
    """The backlog is full: the handshake never ends, and the connect timeout comes before the deadline."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            async with caller(f"http://127.0.0.1:{port}") as client:
                with pytest.raises(NotConnected, match="ConnectTimeout"):
                    await client.rest.call(Lane.ENTRY, POST, timeout_s=1.5)
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"nonsense\r\n\r\n",
    ],
)
async def test_an_answer_cut_or_broken_is_lost(data: bytes) -> None:
    async with peer(says(data)) as server, caller(server.url) as client:
        with pytest.raises(AnswerLost):
            await client.rest.call(Lane.ENTRY, POST, timeout_s=5)
        assert len(server.asked) == 1


async def test_silence_is_lost_at_the_deadline() -> None:
    async with peer(never) as server, caller(server.url) as client:
        began = time.monotonic()
        with pytest.raises(AnswerLost, match="no answer"):
            await client.rest.call(Lane.ENTRY, POST, timeout_s=0.3)
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("where", ["headers", "body"])
async def test_a_slow_drip_is_lost_at_the_deadline(where: str) -> None:
    whole = http(body=b"x" * 200)
    start = 0 if where == "headers" else len(whole) - 200

    async def drip(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole[:start])
        for byte in whole[start:]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with peer(drip) as server, caller(server.url) as client:
        began = time.monotonic()
        with pytest.raises(AnswerLost):
            await client.rest.call(Lane.ENTRY, POST, timeout_s=0.3)
        assert time.monotonic() - began < 1


async def test_a_late_answer_is_handed_on() -> None:
    gate = asyncio.Event()

    async def held(_: Asked, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(http(body=b'{"id":"late"}'))

    async with peer(held) as server, caller(server.url) as client:
        with pytest.raises(AnswerLost):
            await client.rest.call(Lane.ENTRY, POST, timeout_s=0.2)
        gate.set()
        late = await asyncio.wait_for(client.late.get(), 5)
        assert (late.request, late.response.body) == (POST, b'{"id":"late"}')
        assert 0 < late.asked_ns <= time.monotonic_ns()


async def test_a_cancelled_caller_still_has_its_answer_handed_on() -> None:
    gate = asyncio.Event()

    async def held(_: Asked, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(http(body=b"{}"))

    async with peer(held) as server, caller(server.url) as client:
        call = asyncio.create_task(client.rest.call(Lane.ENTRY, POST, timeout_s=5))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        gate.set()
        assert (await asyncio.wait_for(client.late.get(), 5)).request == POST


async def test_hanging_posts_hold_up_neither_cancels_nor_the_next_order() -> None:
    """Four submits hang: cancels have their own threads, and once the four are overdue the lane gets new ones."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if b"hang" in asked.body:
            await never(asked, writer)
        writer.write(http("204 No Content", b""))

    hang = Request(method="POST", path="/v2/orders", body=b'{"hang":1}')
    async with peer(script) as server, caller(server.url) as client:
        hanging = [asyncio.create_task(client.rest.call(Lane.ENTRY, hang, timeout_s=0.5)) for _ in range(4)]
        delete = Request(method="DELETE", path="/v2/orders/1")
        assert (await client.rest.call(Lane.CANCEL, delete, timeout_s=2)).status == 204
        assert {type(each) for each in await asyncio.gather(*hanging, return_exceptions=True)} == {AnswerLost}
        assert (await client.rest.call(Lane.EXIT, POST, timeout_s=2)).status == 204


async def test_a_call_that_never_left_the_queue_was_not_sent() -> None:
    async with peer(never) as server, caller(server.url) as client:
        hanging = [asyncio.create_task(client.rest.call(Lane.ENTRY, POST, timeout_s=30)) for _ in range(4)]
        while len(server.asked) < 4:
            server.arrived.clear()
            await server.arrived.wait()
        with pytest.raises(NotConnected, match="waiting for its turn"):
            await client.rest.call(Lane.ENTRY, POST, timeout_s=0.2)
        withdrawn = asyncio.create_task(client.rest.call(Lane.ENTRY, POST, timeout_s=30))
        await asyncio.sleep(0)
        for task in (withdrawn, *hanging):
            task.cancel()
        await asyncio.gather(withdrawn, *hanging, return_exceptions=True)
        assert len(server.asked) == 4


async def test_exits_overtake_entries_that_wait() -> None:
    """Four entries hold the four threads; the first one to come back takes the exit, though an entry waits longer."""
    gate, fifth = asyncio.Event(), asyncio.Event()

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.body == b"first":
            await gate.wait()
        elif asked.body == b"exit":
            fifth.set()
        if asked.body in {b"exit", b"other"}:
            await never(asked, writer)
        writer.write(http())

    def call(lane: Lane, name: str) -> "asyncio.Task[Response]":
        request = Request(method="POST", path="/v2/orders", body=name.encode())
        return asyncio.create_task(client.rest.call(lane, request, timeout_s=10))

    async with peer(script) as server, caller(server.url) as client:
        calls = [call(Lane.ENTRY, "first"), *(call(Lane.ENTRY, "other") for _ in range(3))]
        while len(server.asked) < 4:
            server.arrived.clear()
            await server.arrived.wait()
        entry = call(Lane.ENTRY, "entry")
        await asyncio.sleep(0)
        calls.append(call(Lane.EXIT, "exit"))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.wait_for(fifth.wait(), 5)
        assert [asked.body for asked in server.asked[4:]] == [b"exit"]
        for task in (entry, *calls):  # the entry first: a thread that is replaced would send it
            task.cancel()
        await asyncio.gather(entry, *calls, return_exceptions=True)


async def test_a_closed_client_sends_nothing_and_its_threads_go_home() -> None:
    async with peer(says(http())) as server, caller(server.url) as client:
        await client.rest.call(Lane.ENTRY, POST, timeout_s=5)
        mine = [thread for thread in threading.enumerate() if thread.name.startswith("alpaca-")]
        assert mine
        assert all(thread.daemon for thread in mine)
        client.rest.close()
        with pytest.raises(NotConnected):
            await client.rest.call(Lane.ENTRY, POST, timeout_s=5)
        for thread in mine:
            await asyncio.to_thread(thread.join, 5)
        assert not any(thread.is_alive() for thread in mine)


async def test_neither_the_environment_nor_a_netrc_changes_who_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with peer(says(http())) as server, caller(server.url) as client:
        assert (await client.rest.call(Lane.ENTRY, POST, timeout_s=5)).status == 200


async def test_what_may_not_leave_any_more_when_its_turn_comes_was_not_sent() -> None:
    async with peer(never) as server, caller(server.url) as client:
        refused = msgspec.structs.replace(POST, may_leave=lambda: False)
        with pytest.raises(NotConnected, match="may not leave"):
            await client.rest.call(Lane.ENTRY, refused, timeout_s=5)
        assert not server.asked
