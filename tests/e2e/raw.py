"""Stream responses read so far only that each event's own bytes can be compared with the journal's.

On the wire a message field and a bytes field are the same thing, so a second description of the same response keeps the
events unread.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ORDER_EVENT = 0
"""What the journal's table says of an order's event; those of the desk have 1."""
_FIELD = descriptor_pb2.FieldDescriptorProto
_FIELDS = (
    ("Events", "events", 1, _FIELD.TYPE_BYTES, _FIELD.LABEL_REPEATED, None),
    ("Response", "events", 6, _FIELD.TYPE_MESSAGE, _FIELD.LABEL_OPTIONAL, ".tests.raw.Events"),
)


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="tests/raw.proto", package="tests.raw", syntax="proto3")
    for message, name, number, kind, label, type_name in _FIELDS:
        file.message_type.add(name=message).field.add(
            name=name, number=number, type=kind, label=label, type_name=type_name
        )
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_described())
_RESPONSE = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("tests.raw.Response"))


def event_bytes(response: bytes) -> list[bytes]:
    """The bytes of each event of a serialised StreamOrderEventsResponse."""
    read = _RESPONSE.FromString(response)
    return [bytes(event) for event in read.events.events]  # type: ignore[attr-defined]


def journal_bytes(database: Path, floor: int = 0) -> list[bytes]:
    """The bytes of every order's event that the journal keeps above a floor, in sequence order; none may be missing."""
    return [body for body in journal_places(database, floor) if body]


def journal_places(database: Path, floor: int = 0) -> list[bytes]:
    """The same with a place for every sequence up to the last event of an order; empty where the desk has one."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as reader:
        rows = reader.execute(
            "SELECT sequence, body, kind FROM order_events WHERE sequence > ? ORDER BY sequence", (floor,)
        ).fetchall()
    assert [row[0] for row in rows] == list(range(floor + 1, floor + len(rows) + 1)), "the sequence has a gap"
    last = max((place for place, row in enumerate(rows, 1) if row[2] == ORDER_EVENT), default=0)
    return [row[1] if row[2] == ORDER_EVENT else b"" for row in rows[:last]]
