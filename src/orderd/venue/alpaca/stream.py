"""The trade_updates stream: one session a connection (reference, section 8). No replay, no backlog."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec

from orderd.venue.faults import FRAME_FAULTS, Facts, Fault, FaultKind
from orderd.venue.orders import Event

if TYPE_CHECKING:
    from orderd.venue.alpaca.face import AlpacaFace

DEPRECATED = (
    "this authentication format is being deprecated. Please use the format: "
    '{"action": "auth", "key": "x", "secret": "x"}'
)
UNREADABLE = b'{"stream":"trade_updates","data":{"event":"fill","order":{"id":'
STREAMS = ("trade_updates",)


class Session:
    """One connection. Made by `AlpacaFace.connect`; told of frames with `receive`, of its end with `closed`."""

    def __init__(
        self,
        face: "AlpacaFace",
        number: int,
        send: Callable[[bytes, bool], None],
        close: Callable[[int], None],
    ) -> None:
        self.number = number
        self.key_id = ""
        self.streams: tuple[str, ...] = ()
        self.frames_sent = 0
        self.is_over = False
        self._face = face
        self._send = send
        self._close = close
        self._kept_back: list[bytes] = []

    # --- from the client ------------------------------------------------------------------------------

    def receive(self, data: bytes | str) -> None:
        """Take one frame."""
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._answer({"stream": "error", "data": {"error": "message could not be read"}})
            return
        self._take(cast("Mapping[str, Any]", message))

    def closed(self) -> None:
        """The connection is gone."""
        self.is_over = True
        self._face.forget(self)

    def _take(self, message: Mapping[str, Any]) -> None:
        data = message.get("data")
        body: Mapping[str, Any] = cast("Mapping[str, Any]", data) if isinstance(data, dict) else {}
        match message.get("action"):
            case "authenticate":
                self._login(body.get("key_id"), body.get("secret_key"), notice=DEPRECATED)
            case "auth":
                self._login(message.get("key"), message.get("secret"), notice="")
            case "listen":
                self._listen(body.get("streams"))
            case other:
                self._answer({"stream": "error", "data": {"error": f"unknown action {other}"}})

    def _login(self, key_id: object, secret: object, *, notice: str) -> None:
        refusal = self._face.venue.faults.take(frozenset({FaultKind.REFUSE_LOGIN}), Facts(), self._face.venue.now)
        is_known = isinstance(key_id, str) and isinstance(secret, str) and self._face.is_key(key_id, secret)
        said: dict[str, Any] = {"action": "authenticate"}
        if refusal or not is_known:
            said |= {"message": "access key verification failed", "status": "unauthorized"}
        else:
            self.key_id = str(key_id)
            said |= {"message": notice} if notice else {}
            said["status"] = "authorized"
        self._answer({"stream": "authorization", "data": said})

    def _listen(self, wanted: object) -> None:
        if not self.key_id:
            said = {"status": "unauthorized", "action": "listen"}
            self._answer({"stream": "authorization", "data": said})
            return
        names = cast("list[object]", wanted) if isinstance(wanted, list) else []
        self.streams = tuple(name for name in STREAMS if name in names)
        self._answer({"stream": "listening", "data": {"streams": list(self.streams)}})

    # --- to the client --------------------------------------------------------------------------------

    def offer(self, event: Event) -> None:
        """Send one event, unless the client does not listen or the fault script has other plans."""
        if self.is_over or "trade_updates" not in self.streams:
            return
        facts = Facts(
            orders=(event.order.order_id, event.order.client_order_id),
            symbol=event.order.symbol,
            event=event.kind.value,
        )
        faults = self._face.venue.faults.take(FRAME_FAULTS, facts, self._face.venue.now)
        self._face.note_frame(self, event, tuple(kind.value for kind in faults))
        self._treat(self._encoded(event, faults), faults)

    def _encoded(self, event: Event, faults: Mapping[FaultKind, Fault]) -> bytes:
        if FaultKind.UNREADABLE_FRAME in faults:
            return UNREADABLE
        if not faults:
            return self._face.encoded(event)
        shown = self._face.event_json(event)
        if FaultKind.UNKNOWN_EVENT in faults:
            shown["event"] = faults[FaultKind.UNKNOWN_EVENT].word
        if FaultKind.LYING_FRAME in faults:
            shown["order"] |= faults[FaultKind.LYING_FRAME].fields
        if FaultKind.UNKNOWN_FRAME_STATUS in faults:
            shown["order"]["status"] = faults[FaultKind.UNKNOWN_FRAME_STATUS].word
        return msgspec.json.encode({"stream": "trade_updates", "data": shown})

    def _treat(self, data: bytes, faults: Mapping[FaultKind, Fault]) -> None:
        cut = faults.get(FaultKind.DISCONNECT)
        if cut is not None and not cut.is_accepted:
            self.kick(cut.code)
            return
        if FaultKind.REORDER_FRAME in faults:
            self._kept_back.append(data)
        elif (late := faults.get(FaultKind.DELAY_FRAME)) is not None:
            self._face.later(late, timedelta(milliseconds=late.delay_ms), lambda: self._data(data))
        elif FaultKind.DROP_FRAME not in faults:
            self._data(data)
            if FaultKind.DUPLICATE_FRAME in faults:
                self._data(data)
        if cut is not None:
            self.kick(cut.code)

    def _data(self, data: bytes) -> None:
        self._raw(data, is_binary=self._face.options.has_binary_frames)
        kept, self._kept_back = self._kept_back, []
        for each in kept:
            self._raw(each, is_binary=self._face.options.has_binary_frames)

    def _answer(self, message: dict[str, Any]) -> None:
        self._raw(msgspec.json.encode(message), is_binary=self._face.options.has_binary_frames)

    def _raw(self, data: bytes, *, is_binary: bool) -> None:
        if not self.is_over:
            self.frames_sent += 1
            self._send(data, is_binary)

    def kick(self, code: int) -> None:
        """End the connection with this close code; 0: without any."""
        if not self.is_over:
            self.is_over = True
            self._face.forget(self)
            self._close(code)
