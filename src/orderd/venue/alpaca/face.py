"""Alpaca's Trading API over one venue, as plain functions: `handle` for REST, `connect` for the stream.

No sockets and no tasks: in process a client calls these directly, on a socket `orderd.venue.server` does.
"""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec

from orderd.venue.accounts import START_CASH, Account
from orderd.venue.alpaca import aftermath, parse_request, render, rest, spoken
from orderd.venue.alpaca.call import Answer, Call
from orderd.venue.alpaca.refusals import Problem
from orderd.venue.alpaca.stream import Session
from orderd.venue.core import Venue
from orderd.venue.dialect import Lookup
from orderd.venue.exchange import Disposition, Reply, Request
from orderd.venue.faults import REQUEST_FAULTS, AnswerBody, Facts, Fault, FaultKind
from orderd.venue.ledger import Received
from orderd.venue.money import exact
from orderd.venue.orders import Event

JSON: Final = "application/json; charset=UTF-8"
DEFAULT_KEY_ID: Final = "venue-key"
DEFAULT_SECRET: Final = "venue-secret"
MOST_FRAMES: Final = 100_000
HTML: Final = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>"
Faulted = Mapping[FaultKind, Fault]
Witness = Callable[[str], bool]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the face behaves."""

    requests_per_minute: int = 200
    """Of each account; 0: no limit."""
    has_binary_frames: bool = True
    connection_limit: int = 0
    """Live stream connections; the next one gets 429 on upgrade. 0: no limit."""
    lookup: Lookup = Lookup.YES
    has_execution_ids: bool = True
    """Off: executions have no ids and no list; a frame shows them as growth of the order's total."""


class FrameSent(msgspec.Struct, frozen=True, kw_only=True):
    """One event offered to one connection, and what the fault script did to it."""

    at: datetime
    session: int
    event_id: str
    event: str
    order_id: str
    client_order_id: str
    faults: tuple[str, ...] = ()


class Key(msgspec.Struct, kw_only=True):
    """A key pair, the account it opens, and how much of its budget this minute is used."""

    secret: str
    account: Account
    minute: int = 0
    used: int = 0


class AlpacaFace:
    """The protocol. All accounts of the venue share it; a key says whose request it is."""

    def __init__(
        self,
        venue: Venue,
        *,
        clock: Callable[[], datetime],
        options: Options | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.venue = venue
        self.options = options or Options()
        self.frames: deque[FrameSent] = deque(maxlen=MOST_FRAMES)
        self.sessions: dict[int, Session] = {}
        self._clock = clock
        self._witness = witness
        self._keys: dict[str, Key] = {}
        self._connected = 0
        self._encoded = ("", b"")
        venue.subscribe(self._publish)

    # --- keys -----------------------------------------------------------------------------------------

    def add_key(self, key_id: str, secret: str, account: Account) -> None:
        """Let this key act for this account."""
        self._keys[key_id] = Key(secret=secret, account=account)

    def is_key(self, key_id: str, secret: str) -> bool:
        """Whether the pair is known."""
        key = self._keys.get(key_id)
        return key is not None and key.secret == secret

    def account_of(self, key_id: str) -> Account:
        """The account a key opens. Raises LookupError."""
        return self._keys[key_id].account

    def reset_account(self, key_id: str, cash: Decimal = START_CASH) -> Account:
        """Give the key a fresh account with a new number, as a paper reset does."""
        old = self.account_of(key_id)
        fresh = self.venue.reset_account(old, cash)
        for key in self._keys.values():
            if key.account is old:
                key.account = fresh
        return fresh

    # --- REST -----------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Reply:
        """Answer one request, at the clock's present moment."""
        self.venue.advance(self._clock())
        headers = {name.lower(): value for name, value in request.headers.items()}
        key = self._keys.get(headers.get("apca-api-key-id", ""))
        if key is None or key.secret != headers.get("apca-api-secret-key"):
            return self._unauthorized(request, headers)
        limits, is_over = self._budget(key)
        if is_over:
            self._note(request, "rate limited", 429, {}, None)
            return self._reply(429, {"code": 42910000, "message": "rate limit exceeded"}, limits)
        facts = self._facts(request, key.account)
        faults = self.venue.faults.take(REQUEST_FAULTS, facts, self.venue.now)
        return self._decide(request, key.account, limits, faults)

    def _decide(self, request: Request, account: Account, limits: Mapping[str, str], faults: Faulted) -> Reply:
        witnessed = self._ask_witness(request)
        if FaultKind.LOSE_REQUEST in faults:
            self._note(request, "lost before", 0, faults, witnessed)
            return Reply(status=0, disposition=Disposition.LOSE)
        late = faults.get(FaultKind.LAND_LATE)
        if late is not None:
            self._note(request, "late", late.status, faults, witnessed)
            land = partial(self._land, request, account, faults, witnessed)
            self.later(late, timedelta(milliseconds=late.delay_ms), land)
            reply = self._error(late, limits) if late.status else Reply(status=0)
            return msgspec.structs.replace(reply, disposition=Disposition.LATE)
        failure = faults.get(FaultKind.ANSWER_STATUS)
        if failure is not None and not failure.is_accepted:
            self._note(request, "failed before", failure.status, faults, witnessed)
            return self._error(failure, limits)
        status, said = self._land(request, account, faults, witnessed)
        return self._way_back(self._reply(status, said, limits), faults, limits)

    @exact
    def _land(self, request: Request, account: Account, faults: Faulted, witnessed: bool | None) -> Answer:  # noqa: FBT001
        """The request takes effect: answer it, and let the script play with what it started."""
        shift = faults[FaultKind.PAGE_SHIFT].shift if FaultKind.PAGE_SHIFT in faults else 0
        try:
            route, parts = rest.find(request.method, request.path)
            call = Call(
                venue=self.venue,
                account=account,
                query=request.query,
                raw_body=request.body,
                parts=parts,
                shift=shift,
            )
            status, said = spoken.answer(
                request.method,
                request.path,
                route(call),
                lookup=self.options.lookup,
                has_execution_ids=self.options.has_execution_ids,
            )
        except Problem as problem:
            status, said = problem.status, problem.body
        self._note(request, _verdict(status), status, faults, witnessed)
        if _is_success(status):
            aftermath.play(self.venue, request, said, faults)
            aftermath.distort(said, faults)
        return status, said

    def _way_back(self, reply: Reply, faults: Faulted, limits: Mapping[str, str]) -> Reply:
        failure = faults.get(FaultKind.ANSWER_STATUS)
        if failure is not None:
            reply = self._error(failure, limits)
        if FaultKind.LOSE_ANSWER in faults:
            return msgspec.structs.replace(reply, disposition=Disposition.LOSE)
        if (cut := faults.get(FaultKind.CUT_ANSWER)) is not None:
            return msgspec.structs.replace(reply, disposition=Disposition.CUT, cut_at=cut.at_byte)
        if (held := faults.get(FaultKind.HOLD_ANSWER)) is not None:
            barrier = held.barrier or f"held-{held.fault_id}-{len(self.venue.faults.fired)}"
            if not held.barrier:
                release = partial(self._release, barrier)
                self.venue.state.after(timedelta(milliseconds=held.delay_ms), release)
            return msgspec.structs.replace(reply, disposition=Disposition.HOLD, barrier=barrier)
        return reply

    def _release(self, barrier: str) -> None:
        self.venue.faults.barriers.release(barrier)

    def _error(self, fault: Fault, limits: Mapping[str, str]) -> Reply:
        match fault.body:
            case AnswerBody.EMPTY:
                return Reply(status=fault.status, headers={"Content-Type": JSON, **limits})
            case AnswerBody.HTML:
                page = HTML % (fault.status, fault.status)
                return Reply(status=fault.status, headers={"Content-Type": "text/html"}, body=page)
            case AnswerBody.TEXT:
                body = fault.text.encode()
                return Reply(status=fault.status, headers={"Content-Type": JSON, **limits}, body=body)
            case AnswerBody.JSON:
                if fault.status == 429:  # noqa: PLR2004 - the status itself
                    said: dict[str, Any] = {"code": 42910000, "message": "rate limit exceeded"}
                else:
                    said = {"code": fault.status * 100_000, "message": "internal server error occurred"}
                return self._reply(fault.status, said, limits)

    def _reply(self, status: int, said: object, limits: Mapping[str, str]) -> Reply:
        headers = {"Content-Type": JSON, **limits, "X-Request-ID": self.venue.state.new_id().replace("-", "")}
        body = b"" if said is None else msgspec.json.encode(said)
        return Reply(status=status, headers=headers, body=body)

    def _unauthorized(self, request: Request, headers: Mapping[str, str]) -> Reply:
        self._note(request, "unauthorized", 401, {}, None)
        if "apca-api-key-id" not in headers:
            return self._reply(401, {"message": "unauthorized"}, {})
        message = "access key verification failed : verification failure"
        return self._reply(401, {"code": 40110000, "message": message}, {})

    def _budget(self, key: Key) -> tuple[dict[str, str], bool]:
        """Count one request; the headers every answer carries, and whether it was one too many."""
        limit = self.options.requests_per_minute
        minute = int(self.venue.now.timestamp()) // 60
        if key.minute != minute:
            key.minute, key.used = minute, 0
        is_over = 0 < limit <= key.used
        key.used += 1
        shown = limit or 1_000_000
        headers = {
            "X-Ratelimit-Limit": str(shown),
            "X-Ratelimit-Remaining": str(max(shown - key.used, 0)),
            "X-Ratelimit-Reset": str((minute + 1) * 60),
        }
        return headers, is_over

    def _facts(self, request: Request, account: Account) -> Facts:
        """What the fault script may select by: also the order behind an id in the path."""
        orders: list[str] = [request.query.get("client_order_id", "")]
        symbol = ""
        if request.body:
            orders.append(_peek(request.body, "client_order_id"))
            symbol = _peek(request.body, "symbol")
        if request.path.startswith("/v2/orders/"):
            named = request.path.removeprefix("/v2/orders/").lower()
            order = self.venue.own(account, named)
            orders += [named, order.client_order_id] if order else [named]
            symbol = symbol or (order.symbol if order else "")
        return Facts(method=request.method, path=request.path, orders=tuple(filter(None, orders)), symbol=symbol)

    def _ask_witness(self, request: Request) -> bool | None:
        if self._witness is None or request.method != "POST" or request.path.rstrip("/") != "/v2/orders":
            return None
        return self._witness(_peek(request.body, "client_order_id"))

    def _note(
        self,
        request: Request,
        verdict: str,
        status: int,
        faults: Faulted,
        witnessed: bool | None,  # noqa: FBT001
    ) -> None:
        name = _peek(request.body, "client_order_id") or request.query.get("client_order_id", "")
        self.venue.ledger.receive(
            Received(
                sequence=0,
                at=self.venue.now,
                method=request.method,
                path=request.path,
                client_order_id=name,
                verdict=verdict,
                status=status,
                faults=tuple(kind.value for kind in faults),
                is_in_journal=witnessed,
            )
        )

    # --- the stream -----------------------------------------------------------------------------------

    def admit(self) -> Reply | None:
        """Ask before a WebSocket upgrade: the answer to refuse it with, or None."""
        self.venue.advance(self._clock())
        faults = self.venue.faults.take(frozenset({FaultKind.REFUSE_UPGRADE}), Facts(path="/stream"), self.venue.now)
        refusal = faults.get(FaultKind.REFUSE_UPGRADE)
        limit = self.options.connection_limit
        if refusal is None and (not limit or len(self.sessions) < limit):
            return None
        return self._error(refusal or Fault(kind=FaultKind.REFUSE_UPGRADE, status=429), {})

    def connect(self, send: Callable[[bytes, bool], None], close: Callable[[int], None]) -> Session:
        """A client connected. `send(data, is_binary)` and `close(code)` must not block; code 0 means: cut it."""
        self._connected += 1
        session = Session(self, self._connected, send, close)
        self.sessions[session.number] = session
        return session

    def forget(self, session: Session) -> None:
        """The session is over."""
        self.sessions.pop(session.number, None)

    def later(self, fault: Fault, delay: timedelta, action: Callable[[], object]) -> None:
        """Do something when the fault's barrier is released, or after its delay when it has none."""

        def act() -> None:
            action()

        if fault.barrier:
            self.venue.faults.barriers.wait(fault.barrier, act)
        else:
            self.venue.state.after(delay, act)

    def note_frame(self, session: Session, event: Event, faults: tuple[str, ...]) -> None:
        """Write down that an event was offered to a connection."""
        self.frames.append(
            FrameSent(
                at=self.venue.now,
                session=session.number,
                event_id=event.event_id,
                event=event.kind.value,
                order_id=event.order.order_id,
                client_order_id=event.order.client_order_id,
                faults=faults,
            )
        )

    def _publish(self, event: Event) -> None:
        for session in list(self.sessions.values()):
            key = self._keys.get(session.key_id)
            if key is not None and key.account.account_id == event.account_id:
                session.offer(event)

    def encoded(self, event: Event) -> bytes:
        """One event's bytes, made once for all connections."""
        if self._encoded[0] != event.event_id:
            self._encoded = (event.event_id, self._encode(event))
        return self._encoded[1]

    def _encode(self, event: Event) -> bytes:
        return msgspec.json.encode({"stream": "trade_updates", "data": self.event_json(event)})

    def event_json(self, event: Event) -> dict[str, Any]:
        """One event as this broker tells it."""
        shown = render.event_json(event, render.settle_date(self.venue.state.sessions, event))
        return spoken.frame(shown, has_execution_ids=self.options.has_execution_ids)


def _peek(body: bytes, name: str) -> str:
    """A string of a JSON body, "" when there is none or the body cannot be read."""
    try:
        value = parse_request.body_of(body).get(name)
    except Problem:
        return ""
    return value if isinstance(value, str) else ""


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's own bounds


def _verdict(status: int) -> str:
    return "accepted" if _is_success(status) else "refused"


def wall_clock() -> datetime:
    """The time of this machine, UTC."""
    return datetime.now(UTC)
