"""Routes under /v2/orders."""

from typing import Any

from orderd.venue.alpaca import parse_request, render
from orderd.venue.alpaca.call import Answer, Call, refusal
from orderd.venue.alpaca.refusals import MALFORMED, NOT_FOUND, Problem
from orderd.venue.money import exact
from orderd.venue.orders import COMPLEX, Order, OrderClass, Refused

DEFAULT_PAGE, MOST_ON_PAGE = 50, 500


def _family(call: Call, order: Order) -> render.Json:
    return render.family_json(order, call.venue.state.book.legs(order))


def _missing(name: str) -> Problem:
    return Problem(NOT_FOUND[0], f"order not found for {name}", NOT_FOUND[1])


def _own(call: Call) -> Order:
    order_id = parse_request.order_id(call.parts[0])
    order = call.venue.own(call.account, order_id)
    if order is None:
        raise _missing(order_id)
    return order


def submit(call: Call) -> Answer:
    """POST /orders: 200 with the order, its legs inside."""
    order = call.venue.submit(call.account, parse_request.new_order(call.body))
    return refusal(order) if isinstance(order, Refused) else (200, _family(call, order))


@exact
def get(call: Call) -> Answer:
    """GET /orders/{id}."""
    return 200, _shown(call, _own(call), is_nested=call.flag("nested"))


@exact
def get_by_client_id(call: Call) -> Answer:
    """GET /orders:by_client_order_id: the order that was submitted with that id, not its successor."""
    name = call.query.get("client_order_id", "")
    order = call.venue.state.book.by_client_id(call.account.account_id, name)
    if order is None:
        raise _missing(name)
    return 200, _shown(call, order, is_nested=call.flag("nested"))


def _shown(call: Call, order: Order, *, is_nested: bool) -> render.Json:
    if is_nested or order.order_class is OrderClass.MLEG:
        return _family(call, order)
    return render.order_json(order)


def replace(call: Call) -> Answer:
    """PATCH /orders/{id}: 200 with the new order."""
    order_id = parse_request.order_id(call.parts[0])
    order = call.venue.replace(call.account, order_id, parse_request.change(call.body))
    return refusal(order) if isinstance(order, Refused) else (200, _family(call, order))


def cancel(call: Call) -> Answer:
    """DELETE /orders/{id}: 204, which only says that the request was taken."""
    order = call.venue.cancel(call.account, parse_request.order_id(call.parts[0]))
    return refusal(order) if isinstance(order, Refused) else (204, None)


def cancel_all(call: Call) -> Answer:
    """DELETE /orders: 207 with one entry an open order, `[]` when there is none.

    The entry of a leg is named by the leg's id and carries its parent (recorded).
    """
    return 207, cancel_entries(call)


@exact
def cancel_entries(call: Call) -> list[Any]:
    """Cancel every open order; one entry each, a group once."""
    book = call.venue.state.book
    entries: list[Any] = []
    seen: set[str] = set()
    for order in book.open_of_account(call.account.account_id):
        family = book.group(order)[0].order_id
        if family in seen or order.type is None:
            continue
        seen.add(family)
        answer = call.venue.cancel(call.account, order.order_id)
        if isinstance(answer, Refused):
            status, body = refusal(answer)
        else:
            status, body = 200, _family(call, book.must(family))
        entries.append({"id": order.order_id, "status": status, "body": body})
    return entries


# --- the list -----------------------------------------------------------------------------------------


@exact
def listed(call: Call) -> Answer:
    """GET /orders: newest first, pages by order id or by (moving) submission time."""
    is_nested = call.flag("nested")
    limit = parse_request.whole(call.query, "limit", DEFAULT_PAGE, MOST_ON_PAGE)
    rows = [order for order in _candidates(call, is_nested=is_nested) if _is_wanted(call, order)]
    rows = _page(call, rows)
    rows = rows[max(call.shift, 0) :][:limit]
    return 200, [_shown(call, order, is_nested=is_nested) for order in rows]


def _candidates(call: Call, *, is_nested: bool) -> list[Order]:
    """Flat: every leg is a row. Nested: a group is one row, there while any of its members matches."""
    status = call.query.get("status") or "open"
    if status not in {"open", "closed", "all"}:
        raise Problem(MALFORMED[0], f"invalid status: {status}", MALFORMED[1])
    book = call.venue.state.book
    orders = book.of_account(call.account.account_id)
    if is_nested:
        orders = [order for order in orders if not order.parent_id]
    if status == "all":
        return orders
    wants_open = status == "open"
    return [order for order in orders if _is_open(call, order, is_nested=is_nested) is wants_open]


def _is_open(call: Call, order: Order, *, is_nested: bool) -> bool:
    if is_nested and order.order_class in COMPLEX:
        return any(member.is_open for member in call.venue.state.book.group(order))
    return order.is_open


def _is_wanted(call: Call, order: Order) -> bool:
    symbols = {symbol.replace("/", "") for symbol in parse_request.names(call.query, "symbols")}
    classes = parse_request.names(call.query, "asset_class")
    side = call.query.get("side", "")
    return (
        (not symbols or order.symbol.replace("/", "") in symbols)
        and (not side or order.side == side)
        and (not classes or order.asset_class in classes)
    )


def _page(call: Call, rows: list[Order]) -> list[Order]:
    before, after = call.query.get("before_order_id", ""), call.query.get("after_order_id", "")
    since, until = parse_request.moment(call.query, "after"), parse_request.moment(call.query, "until")
    if (before and after) or ((before or after) and (since or until)):
        raise Problem(MALFORMED[0], "before_order_id, after_order_id and after/until exclude each other", MALFORMED[1])
    if since is not None:
        rows = [order for order in rows if order.submitted_at > since]
    if until is not None:
        rows = [order for order in rows if order.submitted_at < until]
    if before:
        edge = _edge(call, before)
        rows = [order for order in rows if order.sequence < edge]
    if after:
        edge = _edge(call, after)
        rows = [order for order in rows if order.sequence > edge]
    return rows if call.query.get("direction") == "asc" else rows[::-1]


def _edge(call: Call, name: str) -> int:
    """The arrival number a page starts from. A page-shift fault with a negative shift moves it back."""
    order = call.venue.own(call.account, parse_request.order_id(name))
    if order is None:
        raise _missing(name)
    back = min(call.shift, 0)
    return order.sequence + (back if "after_order_id" in call.query else -back)
