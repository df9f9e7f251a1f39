"""The records of what differs, read back: the lists over them. They are few, so a list walks them by time."""

import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Integer, Text, bindparam, func, literal_column, select, tuple_

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.order import EventSource
from orderd.core.values import AccountId, OrderId
from orderd.ports import Discrepancy, DiscrepancyFilter
from orderd.storage.prepare import EPOCH, microseconds
from orderd.storage.queries import HEAD, Condition, Key, Query, Values, compiled
from orderd.storage.schema import discrepancies

_COLUMNS: Final = tuple([column.name for column in discrepancies.columns])
_TABLE: Final = discrepancies.c


def record_of(cells: tuple[Any, ...]) -> Discrepancy:
    """The record of a row."""
    said = dict(zip(_COLUMNS, cells, strict=True))
    return Discrepancy(
        discrepancy_id=said["discrepancy_id"],
        account_id=AccountId(said["account_id"]),
        kind=DiscrepancyKind(said["kind"]),
        subject=said["subject"],
        order_id=OrderId(said["order_id"]),
        broker_order_id=said["broker_order_id"],
        symbol=said["symbol"],
        expected=said["expected"],
        observed=said["observed"],
        evidence=said["evidence"],
        source=EventSource(said["source"]) if said["source"] else None,
        opened_time=_time(said["opened_us"]),
        after_sequence=said["after_sequence"],
        resolved_time=None if said["resolved_us"] is None else _time(said["resolved_us"]),
        resolved_by=EventSource(said["resolved_by"]) if said["resolved_by"] else None,
        resolution=said["resolution"],
        operator_name=said["operator_name"],
    )


def _time(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def key_of(record: Discrepancy) -> Key:
    """Where the record stands in a list."""
    return (microseconds(record.opened_time), record.discrepancy_id)


# ------------------------------------------------------------------------------------------------------------ the texts


def _given(name: str, kind: type[Text] | type[Integer]) -> Any:  # noqa: ANN401 - a parameter is an expression of its type
    return bindparam(name, type_=kind())


def page(where: DiscrepancyFilter, after_key: Key | None, limit: int) -> tuple[Query, Values]:
    """Newest first by (opened time, id): head, then the record's columns; at most `limit` rows."""
    listed = {
        "account_id": where.account_ids,
        "kind": where.kinds,
        "symbol": where.symbols,
        "order_id": where.order_ids,
    }
    values: Values = {name: json.dumps(list(wanted)) for name, wanted in listed.items() if wanted}
    if where.opened_after is not None:
        values["opened_after"] = microseconds(where.opened_after)
    if where.opened_before is not None:
        values["opened_before"] = microseconds(where.opened_before)
    if after_key is not None:
        values["after_key"], values["after_id"] = after_key
    return _page(frozenset(values), is_open_only=where.open_only), {"limit": limit, **values}


@lru_cache(maxsize=256)
def _page(given: frozenset[str], *, is_open_only: bool) -> Query:
    ranges: dict[str, Condition] = {
        "opened_after": _TABLE.opened_us > _given("opened_after", Integer),
        "opened_before": _TABLE.opened_us < _given("opened_before", Integer),
        "after_key": tuple_(_TABLE.opened_us, _TABLE.discrepancy_id)
        < tuple_(_given("after_key", Integer), _given("after_id", Text)),
    }
    checked = [condition for name, condition in ranges.items() if name in given]
    for name in ("account_id", "kind", "symbol", "order_id"):
        if name in given:
            values = func.json_each(_given(name, Text)).table_valued("value")
            checked.append(_TABLE[name].in_(select(values.c.value)))
    if is_open_only:
        checked.append(_TABLE.resolved_us.is_(None))
    newest = select(HEAD, *_TABLE).where(*checked).order_by(_TABLE.opened_us.desc(), _TABLE.discrepancy_id.desc())
    return compiled(newest.limit(_given("limit", Integer)).offset(literal_column("0", Integer)))


ONE: Final = compiled(select(discrepancies).where(_TABLE.discrepancy_id == _given("discrepancy_id", Text)))
OPEN: Final = compiled(
    select(discrepancies)
    .where(_TABLE.account_id == _given("account_id", Text), _TABLE.resolved_us.is_(None))
    .order_by(_TABLE.opened_us, _TABLE.discrepancy_id)
)
ACCEPTED: Final = compiled(
    select(discrepancies).where(
        _TABLE.account_id == _given("account_id", Text),
        _TABLE.resolved_by == literal_column(f"'{EventSource.OPERATOR.value}'", Text),
    )
)
"""What an operator has closed."""
