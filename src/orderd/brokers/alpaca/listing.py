"""Reading lists to their end. A list with a missing page is a BrokerError, never a shorter list.

Orders page by id, nested, never by time: `submitted_at` moves when an order is routed, so a page boundary in time can
skip or repeat (reference, requests chapter). Activities page by the id of the last row.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from orderd.brokers.alpaca import parse, words
from orderd.brokers.alpaca.client import AnswerLost, NotConnected, Query, Request, Response
from orderd.brokers.alpaca.fields import ParseError
from orderd.core.activities import Activity
from orderd.core.facts import Execution, View
from orderd.core.values import Value
from orderd.ports import BrokerError, Found

Read = Callable[[Request], Awaitable[tuple[Response, int]]]
"""Sends a read and gives the answer and when (monotonic nanoseconds) it was asked."""

_ORDERS_PAGE = 500
_ACTIVITIES_PAGE = 100
_PAGES_LIMIT = 200
"""100,000 orders or 20,000 executions: more is a fault, not a list."""
_ROUTING_SLACK = timedelta(minutes=10)
"""How far the list's own order may differ from the order of creation (submission times move)."""


class ActivityRow(Value, frozen=True, kw_only=True):
    """Where an execution stands in the list."""

    key: tuple[datetime, Decimal, str]
    execution: Execution


async def answer(read: Read, path: str, query: Query = ()) -> tuple[bytes, int]:
    """Read one page. Raises BrokerError unless it is a 200."""
    try:
        response, asked_ns = await read(Request(method="GET", path=path, query=query))
    except NotConnected as error:
        raise BrokerError(f"GET {path}: not connected: {error}") from None
    except AnswerLost as error:
        raise BrokerError(f"GET {path}: no answer: {error}") from None
    if response.status != 200:  # noqa: PLR2004
        raise BrokerError(f"GET {path}: HTTP {response.status}")
    return response.body, asked_ns


async def orders(read: Read, status: str, since: datetime | None) -> Sequence[Found]:
    """Read all orders of a status (`open`, `all`), newest first, down to `since`. Raises BrokerError."""
    found: dict[str, Found] = {}
    cursor: Query = ()
    for _ in range(_PAGES_LIMIT):
        query = (("status", status), ("limit", str(_ORDERS_PAGE)), ("nested", "true"), ("direction", "desc"))
        body, asked_ns = await answer(read, "/v2/orders", query + cursor)
        try:
            page = parse.orders(body, asked_ns=asked_ns)
        except ParseError as error:
            raise BrokerError(f"GET /v2/orders: {error}") from None
        fresh = [(view, raw) for view, raw in page if view.broker_order_id not in found]
        found |= {view.broker_order_id: Found(view=view, raw=raw) for view, raw in fresh}
        if _is_last(page, since):
            return [each for each in found.values() if since is None or _newest(each.view) >= since]
        if not fresh:
            raise BrokerError("GET /v2/orders: a page repeated itself")
        cursor = (("before_order_id", page[-1][0].broker_order_id),)
    raise BrokerError(f"GET /v2/orders: more than {_PAGES_LIMIT} pages")


def _is_last(page: Sequence[tuple[View, bytes]], since: datetime | None) -> bool:
    # Whether the limit counts legs is not documented: a page is short only when it is short either way.
    if sum(1 + len(view.legs) for view, _ in page) < _ORDERS_PAGE:
        return True
    return since is not None and all(_newest(view) < since - _ROUTING_SLACK for view, _ in page)


def _newest(view: View) -> datetime:
    """Return when it was created or routed: the successor of a replace keeps its ancestor's creation time."""
    times = [time for time in (view.created_time, view.submitted_time) if time is not None]
    return max(times, default=datetime.max.replace(tzinfo=UTC))


async def executions(read: Read, query: Query) -> Sequence[Execution]:
    """Read all FILL activities, oldest first, each id once. Raises BrokerError."""
    rows = await _activities(read, "/v2/account/activities/FILL", query)
    found = [_activity_row(row.id, row.execution) for row in rows if row.execution is not None]
    return [row.execution for row in sorted(found, key=lambda row: row.key)]


async def holdings(read: Read, query: Query) -> Sequence[Activity]:
    """Read all activities that changed a holding without an order, oldest first. Raises BrokerError."""
    types = (("activity_types", ",".join(words.HOLDING_ACTIVITIES)),)
    rows = await _activities(read, "/v2/account/activities", types + query)
    return [row.holding for row in rows if row.holding is not None]


async def _activities(read: Read, path: str, query: Query) -> Sequence[parse.Activity]:
    """Read a list to its end. The rows of one event may share their id; a page that tells nothing new is an error."""
    rows: dict[tuple[str, str, str, Decimal | None], parse.Activity] = {}
    cursor: Query = ()
    for _ in range(_PAGES_LIMIT):
        asked = (("direction", "asc"), ("page_size", str(_ACTIVITIES_PAGE)))
        body, _asked_ns = await answer(read, path, query + asked + cursor)
        try:
            page = parse.activities(body)
        except ParseError as error:
            raise BrokerError(f"GET {path}: {error}") from None
        fresh = {_name(row): row for row in page if _name(row) not in rows}
        rows |= fresh
        if len(page) < _ACTIVITIES_PAGE:
            return list(rows.values())
        if not fresh:
            raise BrokerError(f"GET {path}: a page repeated itself")
        cursor = (("page_token", page[-1].id),)
    raise BrokerError(f"GET {path}: more than {_PAGES_LIMIT} pages")


def _name(row: parse.Activity) -> tuple[str, str, str, Decimal | None]:
    return (row.id, "", "", None) if row.execution is not None else (row.id, row.type, row.symbol, row.quantity)


def _activity_row(identity: str, execution: Execution) -> ActivityRow:
    time = execution.occurred_time or datetime.max.replace(tzinfo=UTC)
    # Times are printed to the microsecond: two executions of one order in one are told apart by the running total.
    return ActivityRow(key=(time, execution.cum_after or Decimal(0), identity), execution=execution)
