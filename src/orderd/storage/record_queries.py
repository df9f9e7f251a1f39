"""The lists of the desk's records, as SQL: one kind each, newest first, walked as those of the orders (queries.py)."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import Integer, Text, literal_column, select, tuple_

from orderd.ports import RecordFilter
from orderd.storage.prepare import microseconds
from orderd.storage.queries import (
    HEAD,
    MAX_BRANCHES,
    NOBODY,
    Condition,
    Key,
    Query,
    Shape,
    Values,
    branch_of,
    compiled,
    first_rows,
    is_among,
    merged,
    numbered,
    parameter,
)
from orderd.storage.records import COLUMNS
from orderd.storage.schema import desk_records

_TABLE: Final = desk_records.c
_EMPTY = literal_column("''", Text)
_KIND: Final = _TABLE.kind == parameter("kind", Text)
_IS_OPEN: Final = _TABLE.is_open == literal_column("1", Integer)
_WHOLE: Final = tuple([_TABLE[name] for name in COLUMNS])
WALKED: Final = frozenset({"trace_id", "decision_id", "trade_id", "symbol", "strategy"})
"""Each has an index of its own, of the records that have one."""


def records_page(
    where: RecordFilter, accounts: Sequence[str], after_key: Key | None, limit: int, *, is_whole: bool = False
) -> tuple[Query, Values]:
    """Newest first by (created time, record id): head, created_us, record_id, body; at most `limit` rows.

    `is_whole`: head and all columns of the record instead. `accounts` are all there are: a list of everything is
    walked account by account.
    """
    asked: dict[str, Sequence[str]] = {
        "trace_id": where.trace_ids,
        "decision_id": where.decision_ids,
        "trade_id": where.trade_ids,
        "symbol": where.symbols,
        "strategy": where.strategies,
        "status": where.statuses,
        "account_id": where.account_ids,
        "underlying": where.underlyings,
    }
    equal = {name: list(dict.fromkeys(values)) for name, values in asked.items() if values}
    driving, branches = _branches(equal, accounts, is_open=where.open_only)
    ranges = _ranges(where)
    if after_key is not None:
        ranges["after_key"], ranges["after_id"] = after_key
    checked: Values = {name: json.dumps(values) for name, values in equal.items() if name not in driving}
    shape = Shape(driving, len(branches), tuple(checked), (*ranges, *(["is_open"] if where.open_only else [])))
    values: Values = {"kind": where.kind.value, "limit": limit, **numbered(driving, branches), **checked, **ranges}
    return _text(shape, is_whole=is_whole), values


def _branches(
    equal: Mapping[str, list[str]], accounts: Sequence[str], *, is_open: bool
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Choose the index that is walked: the columns it settles beside the kind, and their values for each branch."""
    for name, values in equal.items():
        if name in WALKED and len(values) <= MAX_BRANCHES:
            return (name,), [(value,) for value in values]
    if is_open:  # few for ever
        return (), [()]
    asked = dict.fromkeys(equal.get("account_id", accounts))
    wanted = [account for account in accounts if account in asked] or [NOBODY]
    by_status: list[tuple[str, ...]] = [(status, account) for status in equal.get("status", ()) for account in wanted]
    if by_status and len(by_status) <= MAX_BRANCHES:
        return ("status", "account_id"), by_status
    return ("account_id",), [(account,) for account in wanted]


def _ranges(where: RecordFilter) -> Values:
    ranges: Values = {}
    if where.expires_on_or_after:
        ranges["expires_from"] = where.expires_on_or_after
    if where.expires_on_or_before:
        ranges["expires_to"] = where.expires_on_or_before
    if where.created_after is not None:
        ranges["created_after"] = microseconds(where.created_after)
    if where.created_before is not None:
        ranges["created_before"] = microseconds(where.created_before)
    return ranges


_RANGES: Final[dict[str, Condition]] = {
    "expires_from": _TABLE.expiry_date >= parameter("expires_from", Text),
    # What never expires has no date, and no date is not an early one.
    "expires_to": (_TABLE.expiry_date <= parameter("expires_to", Text)) & (_TABLE.expiry_date != _EMPTY),
    "created_after": _TABLE.created_us > parameter("created_after", Integer),
    "created_before": _TABLE.created_us < parameter("created_before", Integer),
    "after_key": tuple_(_TABLE.created_us, _TABLE.record_id)
    < tuple_(parameter("after_key", Integer), parameter("after_id", Text)),
    "is_open": _IS_OPEN,
}


@lru_cache(maxsize=1024)
def _text(shape: Shape, *, is_whole: bool) -> Query:
    checked = [_KIND, *(_RANGES[name] for name in shape.ranges if name in _RANGES)]
    checked += [is_among(_TABLE[name]) for name in shape.looked_at]
    # A partial index holds only rows that have one: SQLite must be told that an empty one is not asked for.
    checked += [_TABLE[name] != _EMPTY for name in shape.driving if name in WALKED]
    newest = (
        select(_TABLE.record_number, _TABLE.created_us, _TABLE.record_id)
        .where(*checked)
        .order_by(_TABLE.created_us.desc(), _TABLE.record_id.desc())
    )
    branches = [first_rows(newest.where(*branch_of(_TABLE, shape.driving, number))) for number in range(shape.branches)]
    page = merged(branches, ("created_us", "record_id"), newest_first=True)
    columns = _WHOLE if is_whole else (_TABLE.created_us, _TABLE.record_id, _TABLE.body)
    return compiled(
        select(HEAD, *columns)
        .join_from(page, desk_records, _TABLE.record_number == page.c.record_number)
        .order_by(page.c.created_us.desc(), page.c.record_id.desc())
    )


OPEN_RECORDS: Final = compiled(select(*_WHOLE).where(_KIND, _IS_OPEN).order_by(_TABLE.record_number))
"""Every record of a kind that is not over, in the order in which they were first written."""
