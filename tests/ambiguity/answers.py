"""Every way in which an answer can go wrong: the rows of the ambiguity matrix.

A row says what the fault script does, what became of the request at the broker all the same, and what the answer is to
whoever asked: a silence (known as such only at the deadline), something that says nothing, or somebody's clear word.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from orderd.venue.faults import FaultKind

AT_LAST = "at last"
"""The gate that opens when every verdict is in."""


class Did(StrEnum):
    """What became of the request at the broker."""

    ALL = "took effect"
    NOTHING = "never took effect"
    SOON = "took effect within the settle time"
    AT_LAST = "took effect after everybody had made up his mind"


class Says(StrEnum):
    """What the answer is worth to whoever asked."""

    SILENCE = "nothing, until the deadline"
    NONSENSE = "nothing that can be relied on"
    NOT_SENT = "that it was not taken in at all"


class Row(NamedTuple):
    """One way in which an answer goes wrong."""

    name: str
    fault: Mapping[str, Any]
    did: Did
    says: Says = Says.NONSENSE

    def armed(self, **selector: str) -> dict[str, Any]:
        """The line of the fault script."""
        return {**self.fault, **selector}


def _lost() -> list[Row]:
    lose, hold, late = FaultKind.LOSE_REQUEST, FaultKind.HOLD_ANSWER, FaultKind.LAND_LATE
    return [
        Row("lost before it arrived", {"kind": lose}, Did.NOTHING),
        Row("lost on the way back", {"kind": FaultKind.LOSE_ANSWER}, Did.ALL),
        Row("held past the deadline", {"kind": hold, "barrier": AT_LAST}, Did.ALL, Says.SILENCE),
        Row("silence, lands soon", {"kind": late, "status": 0, "delay_ms": 1600}, Did.SOON, Says.SILENCE),
        Row("503 at once, lands soon", {"kind": late, "status": 503, "delay_ms": 600}, Did.SOON),
        Row("silence, lands at last", {"kind": late, "status": 0, "barrier": AT_LAST}, Did.AT_LAST, Says.SILENCE),
        Row("503 at once, lands at last", {"kind": late, "status": 503, "barrier": AT_LAST}, Did.AT_LAST),
    ]


STATUSES = (
    (500, "json"),
    (502, "html"),
    (503, "json"),
    (504, "empty"),
    (429, "html"),
    (403, "json"),
    (403, "html"),
    (404, "json"),
    (404, "html"),
    (422, "json"),
    (422, "empty"),
)
"""HTTP statuses with a body that no table of refusals knows: the JSON says `internal server error occurred`."""
RATE_TEXTS = ("slow down", "Rate limit exceeded", "rate limit exceeded; try later")
"""What a 429 may say, and none of it is the sentence that Alpaca's own limit says."""


def _statuses() -> list[Row]:
    rows: list[Row] = []
    for is_accepted, did in ((True, Did.ALL), (False, Did.NOTHING)):
        taken = "taken" if is_accepted else "not taken"
        fault = {"kind": FaultKind.ANSWER_STATUS, "is_accepted": is_accepted}
        rows += [Row(f"{s} {body}, {taken}", {**fault, "status": s, "body": body}, did) for s, body in STATUSES]
        for text in RATE_TEXTS:
            said = {"status": 429, "body": "text", "text": f'{{"code":42910000,"message":"{text}"}}'}
            rows.append(Row(f"429 '{text}', {taken}", {**fault, **said}, did))
        rows.append(Row(f"429 in the broker's words, {taken}", {**fault, "status": 429}, did, Says.NOT_SENT))
    return rows


BODIES = (
    "",
    "{",
    "null",
    "[]",
    "{}",
    "42",
    '"ok"',
    '{"id":"',
    '{"id":null,"status":"new"}',
    '{"status":"new"}',
    "\x00",
)
"""What comes with a 200 and is no order."""


def _bodies() -> list[Row]:
    fault = {"kind": FaultKind.ANSWER_STATUS, "status": 200}
    rows = [Row(f"200 {text!r}", {**fault, "body": "text", "text": text}, Did.ALL) for text in BODIES]
    rows.append(Row("200 html", {**fault, "body": "html"}, Did.ALL))
    rows.append(Row("200 with an error in it", {**fault, "body": "json"}, Did.ALL))
    rows.append(Row("200 with an error in it, not taken", {**fault, "body": "json", "is_accepted": False}, Did.NOTHING))
    return rows


CUTS = (0, 1, 12, 40, 150, 300, 500, 800)
"""Bytes of the whole answer, head included, after which the connection ends."""


def cut(byte: int) -> Row:
    """The answer ends after so many bytes."""
    return Row(f"cut at byte {byte}", {"kind": FaultKind.CUT_ANSWER, "at_byte": byte}, Did.ALL)


LIES: Mapping[str, Mapping[str, str]] = {
    "another symbol": {"symbol": "AAPL"},
    "another side": {"side": "sell"},
    "another quantity": {"qty": "7777"},
    "another client id": {"client_order_id": "somebody-else"},
}
"""An echo of something that was not asked. (Who buys AAPL or sells is told another lie: see `lies`.)"""


def lies(names: Mapping[str, Mapping[str, str]] = LIES) -> list[Row]:
    """A 200 whose order is another one."""
    return [Row(name, {"kind": FaultKind.LIE, "fields": fields}, Did.ALL) for name, fields in names.items()]


WITHOUT_ECHO: tuple[Row, ...] = (*_lost(), *_statuses())
"""For a request whose yes has no body."""
CHANGES: tuple[Row, ...] = (*WITHOUT_ECHO, *_bodies(), *(cut(byte) for byte in CUTS), *lies())
"""For a request that is answered with the order."""
READS: tuple[Row, ...] = tuple(
    row for row in (*WITHOUT_ECHO, *_bodies(), *(cut(byte) for byte in CUTS)) if row.did is Did.ALL
)
"""For a request that changes nothing: what became of it does not matter."""
