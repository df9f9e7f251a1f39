"""A venue that outlives the process that trades on it: the venue's face on one end of a pipe, the venue on the other.

Every call is answered before the caller goes on, so nothing happens at the same time and a run is a function of its
seed. What the venue sends meanwhile (frames, ends of connections) comes with the answer.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from orderd.system import EPOCH
from orderd.venue.alpaca.face import AlpacaFace, Options
from orderd.venue.exchange import Reply, Request
from orderd.venue.options import VenueOptions, build
from orderd.venue.orders import Status
from orderd.venue.state import Settings

if TYPE_CHECKING:
    from orderd.venue.alpaca.stream import Session

Hears = Callable[[str, tuple[Any, ...]], None]


class Host:
    """The venue's end. It also hears what the other process has to say for the record."""

    def __init__(self, options: Mapping[str, Any], hears: Hears) -> None:
        """A venue with fixed quotes; `hears` is told of everything said."""
        self.now = EPOCH
        chosen = {"quotes": "fixed", "requests_per_minute": 0, **options}
        self.face: AlpacaFace = build(VenueOptions(**chosen), lambda: self.now)[0]
        self._hears = hears
        self._sessions: dict[int, Session] = {}
        self._out: list[tuple[int, str, Any]] = []
        self._connections = 0

    def serve(self, pipe: Connection) -> None:
        """Answer until the other process is gone; its connections end with it."""
        while True:
            try:
                now, name, arguments = pipe.recv()
            except (EOFError, ConnectionResetError):
                break
            self.now = max(self.now, now)
            if name == "say":  # wants no answer, and is heard even when the speaker is killed at once
                self._hears(arguments[0], arguments[1:])
                continue
            value = getattr(self, f"_{name}")(*arguments)
            out, self._out = self._out, []
            try:
                pipe.send((value, out))
            except (BrokenPipeError, ConnectionResetError):
                break
        pipe.close()
        for session in list(self._sessions.values()):
            session.closed()
        self._sessions.clear()
        self._out.clear()

    def ledger(self) -> Any:  # noqa: ANN401 - the venue's own type
        """What the venue has in its books."""
        return self.face.venue.ledger

    def _handle(self, request: Request) -> Reply:
        return self.face.handle(request)

    def _admit(self) -> Reply | None:
        return self.face.admit()

    def _connect(self) -> int:
        self._connections += 1
        number = self._connections
        self._sessions[number] = self.face.connect(
            lambda data, _: self._out.append((number, "frame", data)),
            lambda code: self._out.append((number, "end", code)),
        )
        return number

    def _receive(self, number: int, data: bytes) -> None:
        self._sessions[number].receive(data)

    def _kick(self, number: int, code: int) -> None:
        self._sessions[number].kick(code)

    def _closed(self, number: int) -> None:
        session = self._sessions.pop(number, None)
        if session is not None:
            session.closed()

    def _advance(self) -> datetime | None:
        self.face.venue.advance(self.now)
        return self.face.venue.next_due()

    def _end(self, order_id: str) -> None:
        self.face.venue.end(order_id, Status.CANCELED)


class RemoteSession:
    """One stream connection, seen from the trading process."""

    def __init__(self, face: "RemoteFace", number: int) -> None:
        self._face = face
        self.number = number

    def receive(self, data: bytes) -> None:
        self._face.ask("receive", self.number, data)

    def kick(self, code: int) -> None:
        self._face.ask("kick", self.number, code)

    def closed(self) -> None:
        self._face.forget(self.number)
        self._face.ask("closed", self.number)


class RemoteFace:
    """As much of `AlpacaFace` as the simulated client uses."""

    def __init__(self, pipe: Connection, now: Callable[[], datetime]) -> None:
        self._pipe = pipe
        self._now = now
        self._hears: dict[int, tuple[Callable[[bytes, bool], None], Callable[[int], None]]] = {}
        self._due: datetime | None = None
        self.options = Options()
        """What the host's venue can do, too: both are made with the defaults."""
        state = SimpleNamespace(settings=Settings())
        self.venue = SimpleNamespace(advance=self._advance, next_due=lambda: self._due, state=state)

    def ask(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - whatever that call answers
        """Call the venue; then let the connections hear what it sent meanwhile."""
        self._pipe.send((self._now(), name, arguments))
        value, out = self._pipe.recv()
        for number, what, content in out:
            send, close = self._hears.get(number, (lambda *_: None, lambda *_: None))
            if what == "frame":
                send(content, False)
            else:
                self.forget(number)
                close(content)
        return value

    def say(self, name: str, *arguments: Any) -> None:  # noqa: ANN401
        """Put something on record where no kill reaches it."""
        self._pipe.send((self._now(), "say", (name, *arguments)))

    def handle(self, request: Request) -> Reply:
        return self.ask("handle", request)  # type: ignore[no-any-return]

    def admit(self) -> Reply | None:
        return self.ask("admit")  # type: ignore[no-any-return]

    def connect(self, send: Callable[[bytes, bool], None], close: Callable[[int], None]) -> RemoteSession:
        number: int = self.ask("connect")
        self._hears[number] = (send, close)
        return RemoteSession(self, number)

    def forget(self, number: int) -> None:
        self._hears.pop(number, None)

    def _advance(self, _now: datetime) -> None:
        self._due = self.ask("advance")
