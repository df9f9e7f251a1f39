"""Moments on the wire: as a Timestamp message, and as the bytes of a field.

The bytes of a field are remembered: the same few moments stand in an order and in its events again and again.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from orderd.wire import splice

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S: Final = 86_400


def set_time(field: Timestamp, value: datetime | None) -> None:
    """Write an aware datetime into a timestamp field in place, exact to the microsecond; None leaves it absent."""
    if value is None:
        return
    since = value - _EPOCH
    field.seconds = since.days * _DAY_S + since.seconds
    field.nanos = since.microseconds * 1000
    # A message whose numbers are all zero stays absent unless it is marked: 1970 itself is a time, too.
    field.SetInParent()


def read_time(field: Timestamp) -> datetime:
    """Read a timestamp field as an aware datetime, exact to the microsecond; an absent one reads as 1970."""
    return _EPOCH + timedelta(seconds=field.seconds, microseconds=field.nanos // 1000)


def time_field(tag: bytes, value: datetime | None) -> bytes:
    """Return an aware datetime as a field, exact to the microsecond; None is left out."""
    return b"" if value is None else tag + _moment(value)


@lru_cache(maxsize=1024)
def _moment(value: datetime) -> bytes:
    """A Timestamp with its length before it. The epoch itself is an empty one, which is not an absent one."""
    since = value - _EPOCH
    moment = Timestamp(seconds=since.days * _DAY_S + since.seconds, nanos=since.microseconds * 1000)
    body = moment.SerializeToString()
    return splice.varint(len(body)) + body
