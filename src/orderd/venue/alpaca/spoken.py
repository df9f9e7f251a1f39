"""Alpaca's answers and frames as a broker gives them that can do less: see `orderd.venue.dialect`."""

from typing import Any, Final, cast

from orderd.venue.alpaca.call import Answer
from orderd.venue.dialect import Lookup

BY_CLIENT_ID: Final = "/v2/orders:by_client_order_id"
FILLS: Final = "/v2/account/activities"
EXECUTION_FIELDS: Final = ("execution_id", "price", "qty", "settle_date", "position_qty")
RESTATING: Final = frozenset({"trade_bust", "trade_correct"})
_NO_SUCH_CALL: Final[Answer] = (404, {"message": "endpoint not found."})


def answer(method: str, path: str, said: Answer, *, lookup: Lookup, has_execution_ids: bool) -> Answer:
    """What this broker answers where Alpaca answers `said`."""
    if lookup != Lookup.YES and path == BY_CLIENT_ID:
        return _NO_SUCH_CALL
    if not has_execution_ids and path.startswith(FILLS) and isinstance(said[1], list):
        rows = cast("list[dict[str, Any]]", said[1])
        return said[0], [row for row in rows if row.get("activity_type") != "FILL"]
    if lookup == Lookup.NO and method == "GET" and path.startswith("/v2/orders"):
        _hide_client_ids(said[1])
    return said


def _hide_client_ids(said: object) -> None:
    """Of every order in a list, and of its legs. Done to the answer, which is this request's own."""
    for row in cast("list[object]", said) if isinstance(said, list) else [said]:
        if isinstance(row, dict) and "client_order_id" in row:
            shown = cast("dict[str, Any]", row)
            shown["client_order_id"] = ""
            _hide_client_ids(shown.get("legs") or [])


def frame(shown: dict[str, Any], *, has_execution_ids: bool) -> dict[str, Any]:
    """The data of a trade update as this broker tells it: without executions only the order's totals move."""
    if has_execution_ids:
        return shown
    plain = {name: value for name, value in shown.items() if name not in EXECUTION_FIELDS}
    if shown["event"] in RESTATING:
        plain["event"] = "restated"
        plain.pop("previous_execution_id", None)
    return plain
