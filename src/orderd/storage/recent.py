"""The bytes of what was committed lately, by order id: a read of a live order asks no table.

A commit puts the orders it changed here before anybody hears of it, so an answer from here is never older than what its
caller has been told. What is not here (any more) is in the tables.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

KEPT_BYTES: Final = 32 * 1024 * 1024
OVERHEAD_BYTES: Final = 400
"""What Python adds to the bytes of one order: the keys, the entry, the objects themselves."""

Fill = tuple[str, bytes]
"""The fill's id and its bytes."""


class Changed(msgspec.Struct, frozen=True, gc=False):
    """An order after one append: its bytes, and those of the fills that the append added or changed."""

    order_id: str
    body: bytes
    is_new: bool
    fills: tuple[Fill, ...]


class _Kept:
    __slots__ = ("body", "fills", "size")

    def __init__(self, body: bytes, fills: dict[str, bytes] | None) -> None:
        self.body = body
        self.fills = fills
        self.size = OVERHEAD_BYTES + len(body)
        if fills:
            self.size += sum(len(fill) + OVERHEAD_BYTES for fill in fills.values())


class Recent:
    """Keeps the orders that changed last, up to a number of bytes."""

    def __init__(self, *, most_bytes: int = KEPT_BYTES) -> None:
        """Start empty: what earlier processes wrote is read from the tables."""
        self._kept: dict[str, _Kept] = {}
        """The longest unchanged first."""
        self._left = most_bytes

    def take(self, changes: Iterable[Changed]) -> None:
        """Take over what a commit did, in its order."""
        for change in changes:
            known = self._kept.pop(change.order_id, None)
            if known is not None:
                self._left += known.size
            kept = _Kept(change.body, _fills(change, known))
            self._kept[change.order_id] = kept
            self._left -= kept.size
        while self._left < 0:
            self._left += self._kept.pop(next(iter(self._kept))).size

    def order(self, order_id: str) -> bytes | None:
        """The order's bytes; None when the tables must be asked."""
        kept = self._kept.get(order_id)
        return None if kept is None else kept.body

    def fills(self, order_id: str) -> list[bytes] | None:
        """The bytes of all its fills, in booking order; None when the tables must be asked."""
        kept = self._kept.get(order_id)
        return None if kept is None or kept.fills is None else list(kept.fills.values())


def _fills(change: Changed, known: _Kept | None) -> dict[str, bytes] | None:
    """All fills of the order, None when those of before are not known. A changed one keeps its place in the book."""
    before = {} if change.is_new else known.fills if known is not None else None
    if before is None or not change.fills:
        return before
    return before | dict(change.fills)
