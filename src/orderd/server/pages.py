"""How much goes into one page of a list: as many entries as were asked for, and no more bytes than these."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

MAX_PAGE_BYTES: Final = 1024 * 1024
"""A page ends before it grows beyond this, whatever its page_size."""

Entry = TypeVar("Entry")


def fitting(entries: Iterable[Entry], size_of: Callable[[Entry], int]) -> list[Entry]:
    """The first entries, as many as fit into a page; at least one when there is one. No more are made than that."""
    fit: list[Entry] = []
    size = 0
    for entry in entries:
        size += size_of(entry)
        if fit and size > MAX_PAGE_BYTES:
            break
        fit.append(entry)
    return fit
