"""One page of a list: where it begins, how much goes into it, and the token of the page after it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from orderd.ports import Page, Row
from orderd.server.errors import invalid
from orderd.wire import page_token
from orderd.wire.asks import Invalid

MAX_PAGE_BYTES: Final = 1024 * 1024
"""A page ends before it grows beyond this, whatever its page_size."""

Entry = TypeVar("Entry")


class Place:
    """Where the page that a request asks for begins. A token of another list, filter or journal is INVALID_ARGUMENT."""

    def __init__(self, request: page_token.Listing, journal_id: str) -> None:
        """Read the request's page_token; without one it is the first page."""
        position = page_token.read(request, journal_id=journal_id)
        if isinstance(position, Invalid):
            raise invalid(position)
        self._request = request
        self._journal_id = journal_id
        self._position = position

    @property
    def is_first(self) -> bool:
        """Whether no page came before."""
        return self._position is None

    @property
    def after_key(self) -> page_token.Key | None:
        """The key of the last entry of the page before; None on the first page."""
        return None if self._position is None else self._position.key

    def sequence(self, head: int) -> int:
        """The head that the list was begun at; `head` when it begins now."""
        return head if self._position is None else self._position.sequence

    def token_after(self, key: page_token.Key, sequence: int = 0) -> str:
        """The token of the page that begins after `key`."""
        return page_token.issue(self._request, journal_id=self._journal_id, key=key, sequence=sequence)

    def cut(self, page: Page, sequence: int = 0) -> tuple[Sequence[Row], str]:
        """The rows that fit into one answer, and the token of the page after them; empty when it is the last one."""
        rows = fitting(page.rows, lambda row: len(row.data))
        is_last = len(rows) == len(page.rows) and not page.has_more
        return rows, "" if is_last else self.token_after(rows[-1].key, sequence)


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
