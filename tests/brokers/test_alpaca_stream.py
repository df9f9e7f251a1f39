"""The traps of a real stream: logins, silence, rubbish, closes; every gap is told, no frame is lost."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Request as Upgrade
from websockets.asyncio.server import Response as UpgradeAnswer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from orderd.brokers.alpaca.client import Arrival, Connected, Disconnected, Frame
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.stream import Pace, TradeStream
from orderd.system import SystemClock, SystemIds
from tests.brokers.reference import sample

KEY_ID, SECRET = "CANARY-KEY-ID", "CANARY-SECRET-KEY"
QUICK = Pace(open_s=2, reply_s=0.3, ping_s=0.2, backoff_s=0.01, backoff_limit_s=0.05, refused_s=0.05, settled_s=10)
AUTHORIZED = '{"stream":"authorization","data":{"action":"authenticate","status":"authorized"}}'
LISTENING = '{"stream":"listening","data":{"streams":["trade_updates"]}}'
REFUSED = (
    '{"stream":"authorization","data":{"action":"authenticate","status":"unauthorized",'
    '"message":"access key verification failed"}}'
)
Script = Callable[["Alpaca", ServerConnection], Awaitable[None]]


@dataclass
class Alpaca:
    """The server: what it heard, connection by connection."""

    heard: list[list[dict[str, object]]] = field(default_factory=list[list[dict[str, object]]])
    refuse_upgrade: int = 0

    async def hear(self, socket: ServerConnection) -> dict[str, object]:
        message: dict[str, object] = json.loads(await socket.recv())
        self.heard[-1].append(message)
        return message

    async def greet(self, socket: ServerConnection) -> None:
        """The whole handshake."""
        await self.hear(socket)
        await socket.send(AUTHORIZED)
        await self.hear(socket)
        await socket.send(LISTENING)


@dataclass
class Heard:
    """What the stream delivered."""

    arrivals: "asyncio.Queue[Arrival]"

    async def next(self) -> Arrival:
        return await asyncio.wait_for(self.arrivals.get(), 5)


@contextlib.asynccontextmanager
async def stream(script: Script, pace: Pace = QUICK) -> AsyncIterator[tuple[Alpaca, Heard]]:
    """A server with this script for each connection, and the real stream against it."""
    alpaca = Alpaca()

    async def handle(socket: ServerConnection) -> None:
        alpaca.heard.append([])
        with contextlib.suppress(ConnectionClosed):
            await script(alpaca, socket)
            await socket.wait_closed()

    def upgrade(_: ServerConnection, __: Upgrade) -> UpgradeAnswer | None:
        status, alpaca.refuse_upgrade = alpaca.refuse_upgrade, 0
        return _.respond(HTTPStatus(status), "no") if status else None

    arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
    async with serve(handle, "127.0.0.1", 0, process_request=upgrade, close_timeout=0.1, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        made = TradeStream(
            Credential(KEY_ID, SECRET), f"ws://127.0.0.1:{port}/stream", clock=SystemClock(), ids=SystemIds(), pace=pace
        )
        running = asyncio.create_task(made.run(arrivals.put))
        try:
            yield alpaca, Heard(arrivals)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_it_logs_in_listens_and_hands_on_text_and_binary_alike() -> None:
    fill = sample("ws_2026_5_fill.json")

    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.greet(socket)
        await socket.send(fill)
        await socket.send(fill.decode())
        await socket.send(b"\x01")
        await socket.send(b"\xff\xfe not json")

    async with stream(script) as (alpaca, heard):
        assert await heard.next() == Connected()
        assert [await heard.next() for _ in range(3)] == [
            Frame(data=fill),
            Frame(data=fill),
            Frame(data=b"\xff\xfe not json"),
        ]
        assert alpaca.heard == [
            [
                {"action": "auth", "key": KEY_ID, "secret": SECRET},
                {"action": "listen", "data": {"streams": ["trade_updates"]}},
            ]
        ]


async def test_a_server_that_knows_only_the_old_login_gets_it() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        while (await alpaca.hear(socket))["action"] != "authenticate":
            pass
        await socket.send(sample("ws_2026_1_authorization_legacy.json"))
        await alpaca.hear(socket)
        await socket.send(sample("ws_2026_2_listening.json"))
        if len(alpaca.heard) == 1:
            await socket.close()

    async with stream(script) as (alpaca, heard):
        assert await heard.next() == Connected()
        assert isinstance(await heard.next(), Disconnected)
        assert await heard.next() == Connected()
        first, second = alpaca.heard
        assert [each["action"] for each in first] == ["auth", "authenticate", "listen"]
        assert [each["action"] for each in second] == ["authenticate", "listen"]  # what worked is remembered
        assert first[1:] == [
            {"action": "authenticate", "data": {"key_id": KEY_ID, "secret_key": SECRET}},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ]


async def test_a_server_that_hangs_up_on_the_new_login_gets_the_old_one_next() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        if (await alpaca.hear(socket))["action"] == "auth":
            await socket.close(1008)
            return
        await socket.send(AUTHORIZED)
        await alpaca.hear(socket)
        await socket.send(LISTENING)

    async with stream(script) as (_, heard):
        assert isinstance(await heard.next(), Disconnected)
        assert await heard.next() == Connected()


async def test_an_update_that_overtakes_the_word_that_it_listens_is_not_lost() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.hear(socket)
        await socket.send(AUTHORIZED)
        await alpaca.hear(socket)
        await socket.send('{"stream":"trade_updates","data":{"event":"new"}}')
        await socket.send(LISTENING)

    async with stream(script) as (_, heard):
        assert await heard.next() == Connected()
        assert await heard.next() == Frame(data=b'{"stream":"trade_updates","data":{"event":"new"}}')


async def test_refused_credentials_are_told_and_tried_again_slowly() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.hear(socket)
        await socket.send(REFUSED)

    async with stream(script, Pace(reply_s=0.3, refused_s=30)) as (alpaca, heard):
        assert await heard.next() == Disconnected(message="login refused: access key verification failed")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await heard.arrivals.get()
        assert len(alpaca.heard) == 1
        assert len(alpaca.heard[0]) == 1  # the key is wrong in either form: one attempt is enough


async def test_refused_credentials_that_become_good_are_noticed() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        if len(alpaca.heard) == 1:
            await alpaca.hear(socket)
            await socket.send(REFUSED)
        else:
            await alpaca.greet(socket)

    async with stream(script) as (_, heard):
        assert isinstance(await heard.next(), Disconnected)
        assert await heard.next() == Connected()


async def test_listening_that_is_refused_is_not_connected() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.hear(socket)
        await socket.send(AUTHORIZED)
        await alpaca.hear(socket)
        await socket.send(sample("ws_unauthorized_listen_before_auth.json"))

    async with stream(script) as (_, heard):
        assert await heard.next() == Disconnected(message="listen refused: unauthorized")


@pytest.mark.parametrize(
    "reply", ["", '{"stream":"listening","data":{"streams":[]}}', '{"stream":"listening","data":{}}']
)
async def test_listening_that_is_never_confirmed_is_not_connected(reply: str) -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.hear(socket)
        await socket.send(AUTHORIZED)
        await alpaca.hear(socket)
        if reply:
            await socket.send(reply)

    async with stream(script) as (_, heard):
        assert isinstance(await heard.next(), Disconnected)


async def test_a_login_that_is_never_answered_is_not_connected() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.hear(socket)

    async with stream(script) as (alpaca, heard):
        assert await heard.next() == Disconnected(message="login refused: no answer")
        assert isinstance(await heard.next(), Disconnected)
        assert len(alpaca.heard) >= 2


async def test_a_half_open_connection_is_noticed() -> None:
    """The other end stops reading and answering, pings too, without a word: told within two ping times."""

    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.greet(socket)
        if len(alpaca.heard) == 1:
            socket.transport.pause_reading()

    async with stream(script) as (_, heard):
        assert await heard.next() == Connected()
        async with asyncio.timeout(2):
            assert isinstance(await heard.next(), Disconnected)
        assert await heard.next() == Connected()


def test_silence_is_noticed_within_thirty_seconds() -> None:
    assert 2 * Pace().ping_s <= 30


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 4000])
async def test_every_close_is_told_and_followed_by_a_new_connection(code: int) -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.greet(socket)
        if len(alpaca.heard) == 1:
            await socket.close(code, f"because {KEY_ID} {SECRET}")

    async with stream(script) as (_, heard):
        assert await heard.next() == Connected()
        ended = await heard.next()
        assert ended == Disconnected(message=f"the connection was closed: {code} because *** ***")
        assert await heard.next() == Connected()


async def test_a_connection_that_breaks_off_is_told() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.greet(socket)
        if len(alpaca.heard) == 1:
            socket.transport.abort()

    async with stream(script) as (_, heard):
        assert await heard.next() == Connected()
        assert await heard.next() == Disconnected(message="the connection was lost")
        assert await heard.next() == Connected()


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503])
async def test_a_refused_upgrade_is_told_with_its_status(status: int) -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.greet(socket)
        if len(alpaca.heard) == 1:
            alpaca.refuse_upgrade = status
            await socket.close()

    async with stream(script) as (_, heard):
        assert await heard.next() == Connected()
        await heard.next()
        refused = await heard.next()
        assert isinstance(refused, Disconnected)
        assert f"HTTP {status}" in refused.message
        assert await heard.next() == Connected()


async def test_a_frame_beyond_the_limit_ends_the_connection_and_nothing_else() -> None:
    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        await alpaca.greet(socket)
        if len(alpaca.heard) == 1:
            await socket.send(b"x" * (4 * 1024 * 1024 + 1))

    async with stream(script) as (_, heard):
        assert await heard.next() == Connected()
        assert isinstance(await heard.next(), Disconnected)
        assert await heard.next() == Connected()


async def test_nobody_there_is_told_and_tried_again() -> None:
    arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
    made = TradeStream(
        Credential(KEY_ID, SECRET), "ws://127.0.0.1:9/stream", clock=SystemClock(), ids=SystemIds(), pace=QUICK
    )
    running = asyncio.create_task(made.run(arrivals.put))
    for _ in range(3):
        ended = await asyncio.wait_for(arrivals.get(), 5)
        assert isinstance(ended, Disconnected)
        assert "cannot connect" in ended.message
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_no_log_line_holds_the_keys_even_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def script(alpaca: Alpaca, socket: ServerConnection) -> None:
        socket.logger = logging.Logger("the server is not under test")
        await alpaca.greet(socket)

    async with stream(script) as (_, heard):
        await heard.next()
    client_lines = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert not [line for line in client_lines if KEY_ID in line or SECRET in line]


class FixedIds:
    """Jitter that is what the test says."""

    def __init__(self, jitter: float) -> None:
        self._jitter = jitter

    def new(self) -> str:
        return "id"

    def jitter(self) -> float:
        return self._jitter


@pytest.mark.parametrize(("failures", "limit"), [(0, 0.5), (1, 1), (3, 4), (5, 15), (16, 15), (5000, 15)])
def test_the_backoff_doubles_to_a_limit_and_is_jittered_over_all_of_it(failures: int, limit: float) -> None:
    def pause(jitter: float, *, is_refused: bool = False) -> float:
        made = TradeStream(Credential("k", "s"), "ws://x/stream", clock=SystemClock(), ids=FixedIds(jitter))
        return made._pause_s(failures, is_refused=is_refused)

    assert pause(0.0) == 0
    assert pause(0.5) == limit / 2
    assert pause(0.999) < limit
    assert pause(0.0, is_refused=True) == 30
