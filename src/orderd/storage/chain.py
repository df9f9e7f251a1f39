"""The chain of commits: one hash for each, over the bytes of its events and the hash of the commit before it.

It stands beside the last event of its commit, and the newest one in the head row too. Whoever changes, removes or adds
an event afterwards (a disk, a copy gone wrong, a person with an SQL shell) breaks every hash from there on.

Rule 1: how a hash is made never changes: the journals of every release are verified by it.
Rule 2: a journal may begin later than its first event (retention): then the chain begins behind the floor, which is a
commit's end and its hash.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from orderd.storage import statements

GENESIS: Final = hashlib.sha256(b"orderd journal").digest()
"""What comes before the first commit."""
PAGE_EVENTS: Final = 500
"""Read in one statement, and so in one short read transaction: a long one would keep the log from being moved."""
LENGTH_BYTES: Final = 4


class Position(msgspec.Struct, frozen=True):
    """The end of a commit: its last sequence, and its hash."""

    sequence: int
    digest: bytes


class Meta(msgspec.Struct, frozen=True):
    """The head row."""

    journal_id: str
    head: Position
    floor: Position
    """The chain begins behind it; 0 and GENESIS for a journal that is whole."""
    verified_sequence: int
    """Up to here a start has verified; a commit's end, or 0."""


class ChainError(Exception):
    """The events of a commit are not those that were written."""

    def __init__(self, first: int, last: int, why: str) -> None:
        """Name the events that are in doubt, first to last."""
        events = f"event {first}" if first == last else f"events {first} to {last}"
        super().__init__(f"{events}: {why}")
        self.first = first
        self.last = last


def digest_of(previous: bytes, events: Iterable[bytes]) -> bytes:
    """Return the hash of a commit: SHA-256 over the hash before it, then each event's length and bytes.

    One event at a time: hashlib lets go of the interpreter lock for long texts, and the writer's thread would have to
    wait for the loop to get it back.
    """
    link = hashlib.sha256(previous)
    for event in events:
        link.update(len(event).to_bytes(LENGTH_BYTES, "little") + event)
    return link.digest()


def read_meta(connection: sqlite3.Connection) -> Meta | None:
    """Return the head row, None for a journal that has not begun."""
    row = connection.execute(statements.META).fetchone()
    if row is None:
        return None
    journal_id, head, head_hash, floor, floor_hash, verified = row
    return Meta(journal_id, Position(head, head_hash), Position(floor, floor_hash), verified)


def verified_position(connection: sqlite3.Connection, meta: Meta) -> Position:
    """Return where verifying goes on: the mark of the last start, or the floor when that is gone."""
    row = connection.execute(statements.COMMIT_HASH, (meta.verified_sequence,)).fetchone()
    if row is None or row[0] is None or meta.verified_sequence <= meta.floor.sequence:
        return meta.floor
    return Position(meta.verified_sequence, row[0])


def verify(
    connection: sqlite3.Connection, meta: Meta, start: Position, *, is_over: Callable[[], bool] = lambda: False
) -> Position:
    """Hash every commit after `start` up to the head that `meta` names; return how far it got.

    Short of the head only when `is_over` said so, which is asked once a page; what it returns is a commit's end.
    Raises ChainError. Events that retention removes meanwhile are passed over.
    """
    walk = _Walk(start)
    while walk.last < meta.head.sequence and not is_over():
        rows = connection.execute(statements.CHAIN_PAGE, (walk.last, meta.head.sequence, PAGE_EVENTS)).fetchall()
        for sequence, body, commit_hash in rows or [(meta.head.sequence + 1, b"", None)]:
            if sequence != walk.last + 1:
                walk = _behind_the_floor(connection, walk, sequence)
                break
            walk.take(sequence, body, commit_hash)
    if walk.last == meta.head.sequence:
        walk.end_at(meta.head)
    return walk.at


def _behind_the_floor(connection: sqlite3.Connection, walk: "_Walk", found: int) -> "_Walk":
    """Begin again behind the floor, when retention has raised it meanwhile. Otherwise raise ChainError.

    Below the floor there may be gaps: the events of orders that are still open are kept.
    """
    floor = _floor(connection)
    if floor.sequence <= walk.last:
        raise ChainError(walk.last + 1, found - 1, "missing")
    return _Walk(floor)


class _Walk:
    """Goes from event to event and holds each commit to its hash."""

    def __init__(self, start: Position) -> None:
        self.at = start
        self.last = start.sequence
        self._events: list[bytes] = []

    def take(self, sequence: int, body: bytes, commit_hash: bytes | None) -> None:
        self.last = sequence
        self._events.append(body)
        if commit_hash is None:
            return
        if digest_of(self.at.digest, self._events) != commit_hash:
            raise ChainError(self.at.sequence + 1, sequence, "not what was committed: their hash differs")
        self.at = Position(sequence, commit_hash)
        self._events.clear()

    def end_at(self, head: Position) -> None:
        """The last commit is the head's."""
        if self.at.sequence != head.sequence:
            raise ChainError(self.at.sequence + 1, self.last, "without the hash of their commit")
        if self.at.digest != head.digest:
            raise ChainError(head.sequence, head.sequence, "the head row has another hash than the last commit")


def _floor(connection: sqlite3.Connection) -> Position:
    meta = read_meta(connection)
    return Position(0, GENESIS) if meta is None else meta.floor
