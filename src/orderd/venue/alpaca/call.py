"""What a route is given, and what it gives back."""

from collections.abc import Mapping
from typing import Any

import msgspec

from orderd.venue.accounts import Account
from orderd.venue.alpaca import parse_request
from orderd.venue.alpaca.refusals import worded
from orderd.venue.core import Venue
from orderd.venue.orders import Refused

Answer = tuple[int, Any]
"""HTTP status and what its body says; None for an empty body."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated request."""

    venue: Venue
    account: Account
    query: Mapping[str, str]
    raw_body: bytes
    parts: tuple[str, ...]
    """The path segments that the route left open."""
    shift: int = 0
    """A fault: rows by which a list's page starts too late."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The request's JSON object. Raises Problem when there is none."""
        return parse_request.body_of(self.raw_body)

    def flag(self, name: str) -> bool:
        """A boolean of the query."""
        return parse_request.truth(self.query.get(name), name)


def refusal(refused: Refused) -> Answer:
    """The answer to a refused request."""
    return worded(refused)
