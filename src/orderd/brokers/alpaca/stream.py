"""The trade_updates socket: log in, listen, notice silence, come back.

alpaca-py's own stream drops what it cannot parse, loses fields, never tells of a reconnect and retries bad
credentials for ever; this one hands on every frame as it came and tells of every gap. Source: the reference's chapter
on the trade_updates WebSocket.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from orderd.brokers.alpaca.client import Arrival, Connected, Disconnected, Frame
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.fields import Json, ParseError, as_list, as_object, decode, text
from orderd.core.values import Value
from orderd.ports import Clock, Ids

_STREAM = "trade_updates"
_FRAME_LIMIT = 4 * 1024 * 1024
_HEARTBEAT = b"\x01"
"""A one-byte frame that clients take for a sign of life."""
_WRONG_KEY = "access key verification failed"


class Pace(Value, frozen=True, kw_only=True):
    """How patient the stream is, in seconds."""

    open_s: float = 10.0
    reply_s: float = 5.0
    ping_s: float = 10.0
    """Between pings, and how long a pong may take: a half-open connection is noticed within twice this."""
    backoff_s: float = 0.5
    backoff_limit_s: float = 15.0
    refused_s: float = 60.0
    """Between attempts with credentials that were refused."""
    settled_s: float = 10.0
    """A connection that lived this long was a good one: the next attempt is quick again."""


_PACE = Pace()


class _LoginError(Exception):
    """The stream cannot be used; `is_final` when the credentials were refused."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class _End(Value, frozen=True, kw_only=True):
    """Why a connection ended."""

    message: str
    is_refused: bool = False


def _quiet_logger() -> logging.Logger:
    """Return a logger outside every hierarchy: at DEBUG, websockets would log the login frame with its keys."""
    logger = logging.Logger("orderd.alpaca.stream")
    logger.disabled = True
    return logger


class TradeStream:
    """The stream of one account."""

    def __init__(self, credential: Credential, stream_url: str, *, clock: Clock, ids: Ids, pace: Pace = _PACE) -> None:
        """`stream_url` includes `/stream`."""
        self._credential = credential
        self._url = stream_url
        self._clock = clock
        self._ids = ids
        self._pace = pace
        self._is_legacy = False
        """Which login form goes first: the one that worked last."""

    async def run(self, deliver: Callable[[Arrival], Awaitable[None]]) -> None:
        """Connect and hand on what arrives, again and again, until cancelled."""
        failures = 0
        while True:
            began = self._clock.monotonic_ns()
            end = await self._connection(deliver)
            await deliver(Disconnected(message=self._credential.redact(end.message)))
            has_settled = self._clock.monotonic_ns() - began >= self._pace.settled_s * 1e9
            failures = 0 if has_settled else failures + 1
            await self._clock.sleep(self._pause_s(failures, is_refused=end.is_refused))

    def _pause_s(self, failures: int, *, is_refused: bool) -> float:
        """Full jitter: anything up to the doubling limit, so that clients do not come back together."""
        if is_refused:
            return self._pace.refused_s * (0.5 + self._ids.jitter())
        doubled = self._pace.backoff_s * 2.0 ** min(failures, 16)
        return min(doubled, self._pace.backoff_limit_s) * self._ids.jitter()

    async def _connection(self, deliver: Callable[[Arrival], Awaitable[None]]) -> _End:
        try:
            async with connect(
                self._url,
                open_timeout=self._pace.open_s,
                ping_interval=self._pace.ping_s,
                ping_timeout=self._pace.ping_s,
                close_timeout=1.0,
                max_size=_FRAME_LIMIT,
                compression=None,
                proxy=None,
                logger=_quiet_logger(),
            ) as socket:
                await self._talk(socket, deliver)
        except _LoginError as error:
            return _End(message=str(error), is_refused=error.is_final)
        except InvalidStatus as error:
            return _refused_upgrade(error.response.status_code)
        except ConnectionClosed as error:
            return _End(message=_closed(error))
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            return _End(message=f"cannot connect: {type(error).__name__}")
        return _End(message="the connection ended")

    async def _talk(self, socket: ClientConnection, deliver: Callable[[Arrival], Awaitable[None]]) -> None:
        await self._log_in(socket)
        early = await self._listen(socket)
        await deliver(Connected())
        for data in early:
            await deliver(self._frame(data))
        while True:
            data = bytes(await socket.recv(decode=False))
            if data != _HEARTBEAT:
                await deliver(self._frame(data))

    def _frame(self, data: bytes) -> Frame:
        """What arrived, without the keys if it repeats them."""
        return Frame(data=self._credential.redact_bytes(data))

    async def _log_in(self, socket: ClientConnection) -> None:
        """Try the login form that worked last, then the other one. Raises _LoginError."""
        message = ""
        for is_legacy in (self._is_legacy, not self._is_legacy):
            await socket.send(self._login(is_legacy=is_legacy))
            try:
                reply = await self._reply(socket)
            except ConnectionClosed:
                # It may have hung up on a form it does not know: the next connection begins with the other one.
                self._is_legacy = not is_legacy
                raise
            status, message = text(reply, "status"), text(reply, "message") or text(reply, "status")
            if status == "authorized":
                self._is_legacy = is_legacy
                return
            if _WRONG_KEY in message:
                break
        raise _LoginError(f"login refused: {message or 'no answer'}", is_final=bool(message))

    def _login(self, *, is_legacy: bool) -> str:
        key, secret = self._credential.key_id, self._credential.secret_key
        frame: Json = {"action": "auth", "key": key, "secret": secret}
        if is_legacy:
            frame = {"action": "authenticate", "data": {"key_id": key, "secret_key": secret}}
        return msgspec.json.encode(frame).decode()

    async def _reply(self, socket: ClientConnection) -> Json:
        """Wait for the answer to a login; an empty object when none comes in time."""
        try:
            async with asyncio.timeout(self._pace.reply_s):
                while True:
                    stream, data = _envelope(bytes(await socket.recv(decode=False)))
                    if stream == "authorization":
                        return data
        except TimeoutError:
            return {}

    async def _listen(self, socket: ClientConnection) -> list[bytes]:
        """Ask for the stream and wait for the word that it is on; updates that overtake it are given back."""
        await socket.send(msgspec.json.encode({"action": "listen", "data": {"streams": [_STREAM]}}).decode())
        early: list[bytes] = []
        try:
            async with asyncio.timeout(self._pace.reply_s):
                while True:
                    raw = bytes(await socket.recv(decode=False))
                    stream, data = _envelope(raw)
                    if stream == "listening" and _STREAM in as_list(data.get("streams"), "streams"):
                        return early
                    if stream == "authorization":
                        raise _LoginError(f"listen refused: {text(data, 'message') or text(data, 'status')}")
                    if raw != _HEARTBEAT:
                        early.append(raw)
        except TimeoutError:
            raise _LoginError("listen was not answered") from None
        except ParseError as error:
            raise _LoginError(f"listen was answered with something else: {error}") from None


def _envelope(raw: bytes) -> tuple[str, Json]:
    """Read a message of the handshake; what cannot be read is of no stream."""
    try:
        message = as_object(decode(raw), "message")
        return text(message, "stream"), as_object(message.get("data"), "data")
    except ParseError:
        return "", {}


def _refused_upgrade(status: int) -> _End:
    if status in {401, 403}:
        return _End(message=f"the upgrade was refused: HTTP {status}", is_refused=True)
    if status == 429:  # noqa: PLR2004
        # One live connection for each account is reported; the excess gets this.
        return _End(message="the upgrade was refused: HTTP 429, another connection may be open")
    return _End(message=f"the upgrade was refused: HTTP {status}")


def _closed(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "the connection was lost"
    reason = f" {error.rcvd.reason[:100]}" if error.rcvd.reason else ""
    return f"the connection was closed: {error.rcvd.code}{reason}"
