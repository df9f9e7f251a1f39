"""What must be true of every journal at every moment, also one whose process was killed: checked from its tables."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from oms.v1 import order_pb2 as pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.order import Fill, Order
from orderd.storage.doctor import Verdict, examine
from orderd.wire.messages import fill_bytes, order_bytes
from orderd.wire.splice import with_sequence


class Contents(msgspec.Struct, frozen=True):
    """What the checks left over for a test to compare: head, and each event's (order id, version)."""

    head: int
    events: dict[int, tuple[str, int]]


def sound(path: Path) -> None:
    """`orderd doctor` finds nothing, a server running or not."""
    failed = [one for one in examine(path, min_free_bytes=0) if one.verdict is Verdict.FAIL]
    assert not failed, failed


def check(path: Path, *, is_lived: bool = True) -> Contents:
    """Read a journal that no server has open, and hold it to its invariants.

    `is_lived`: its orders went through a life; made-up ones have sums that no fills explain.
    """
    if is_lived:
        sound(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        ((head, floor),) = connection.execute("SELECT head_sequence, floor_sequence FROM journal_meta").fetchall()
        events = connection.execute(
            "SELECT sequence, order_id, version, body, kind FROM order_events ORDER BY sequence"
        ).fetchall()
        above = [row[0] for row in events if row[0] > floor]
        assert above == list(range(floor + 1, head + 1)), "sequences have a gap, or the head row is wrong"
        last: dict[str, pb.OrderEvent] = {}
        for sequence, order_id, version, body, _ in (row for row in events if row[4] == 0):
            event = pb.OrderEvent.FromString(body)
            assert (event.sequence, event.order.sequence, event.order_id) == (sequence, sequence, order_id)
            assert version == event.version == event.order.version
            is_story_cut = order_id not in last and version > 1
            if is_story_cut:
                assert sequence > floor > 0, "an order's events go together or stay together"
            else:
                assert version == (last[order_id].version if order_id in last else 0) + 1, "versions have a gap"
            last[order_id] = event
        _check_chain(connection)
        _check_orders(connection, last, floor)
        _check_desk(connection, [row for row in events if row[4] != 0])
    return Contents(head, {row[0]: (row[1], row[2]) for row in events})


def _check_chain(connection: sqlite3.Connection) -> None:
    """Each commit's hash is that of its events and of the hash before it; the head row has the last one."""
    ((head_hash, floor, previous),) = connection.execute(
        "SELECT head_hash, floor_sequence, floor_hash FROM journal_meta"
    ).fetchall()
    text = previous
    for body, commit_hash in connection.execute(
        "SELECT body, commit_hash FROM order_events WHERE sequence > ? ORDER BY sequence", (floor,)
    ):
        text += len(body).to_bytes(4, "little") + body
        if commit_hash is not None:
            assert hashlib.sha256(text).digest() == commit_hash
            text = previous = commit_hash
    assert text == previous, "the last events have no hash"
    assert previous == head_hash


def _check_orders(connection: sqlite3.Connection, last: dict[str, pb.OrderEvent], floor: int) -> None:
    """Each row is the fold of its last event: the columns, the message and the core value all say the same."""
    rows = connection.execute("SELECT order_id, status, version, sequence, body, state FROM orders").fetchall()
    assert set(last) <= {row[0] for row in rows}
    for order_id, status, version, sequence, body, state in rows:
        if order_id in last:
            event = last[order_id]
            assert body == event.order.SerializeToString(deterministic=True)
            assert (version, sequence) == (event.version, event.sequence)
        else:
            assert sequence <= floor, "an order without events was over before the floor"
        fills = connection.execute(
            "SELECT body, state FROM fills WHERE order_id = ? ORDER BY fill_number", (order_id,)
        ).fetchall()
        booked = tuple(msgspec.msgpack.decode(row[1], type=Fill) for row in fills)
        order = msgspec.structs.replace(msgspec.msgpack.decode(state, type=Order), fills=booked)
        assert order.state.value == status
        assert with_sequence(order_bytes(order), sequence) == body
        assert [fill_bytes(order, one) for one in booked] == [row[0] for row in fills]


def _check_desk(connection: sqlite3.Connection, events: list[tuple[int, str, int, bytes, int]]) -> None:
    """Each record is the subject of its last event; none of its events is missing, however old."""
    told: dict[str, list[tuple[int, bytes]]] = {}
    for sequence, record_id, version, body, kind in events:
        event = desk_pb.DeskEvent.FromString(body)
        assert (event.sequence, kind) == (sequence, 1)
        subject = getattr(event, str(event.WhichOneof("subject")))
        if event.HasField("discrepancy"):
            assert subject.discrepancy_id == record_id
            continue
        assert subject.sequence == sequence
        story = told.setdefault(record_id, [])
        story.append((sequence, subject.SerializeToString(deterministic=True)))
        assert version == len(story), "versions of a record have a gap"
    rows = connection.execute("SELECT record_id, version, sequence, body FROM desk_records").fetchall()
    assert {row[0] for row in rows} == set(told)
    for record_id, version, sequence, body in rows:
        assert (version, (sequence, body)) == (len(told[record_id]), told[record_id][-1])
    ids = {row[0] for row in connection.execute("SELECT discrepancy_id FROM discrepancies")}
    assert {row[1] for row in events} <= ids | set(told)
