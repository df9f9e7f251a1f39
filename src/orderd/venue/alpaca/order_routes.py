"""Routes under /v2/orders."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
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
    is_wanted = _filter(call)
    rows = [order for order in _page(call, is_nested=is_nested) if is_wanted(order)]
    rows = rows[max(call.shift, 0) :][:limit]
    return 200, [_shown(call, order, is_nested=is_nested) for order in rows]


def _page(call: Call, *, is_nested: bool) -> list[Order]:
    """What the page could hold. Flat: every leg is a row. Nested: a group is one row, there while a member matches."""
    status = call.query.get("status") or "open"
    book = call.venue.state.book
    match status:
        case "all" | "closed":
            orders = book.of_account(call.account.account_id)
        case "open":
            orders = book.open_of_account(call.account.account_id)
            if is_nested:
                orders = _parents(call, orders)
        case _:
            raise Problem(MALFORMED[0], f"invalid status: {status}", MALFORMED[1])
    orders = _between(call, orders)
    if is_nested:
        orders = [order for order in orders if not order.parent_id]
    if status == "closed":
        orders = [order for order in orders if not _is_open(call, order, is_nested=is_nested)]
    return orders if call.query.get("direction") == "asc" else orders[::-1]


def _parents(call: Call, orders: list[Order]) -> list[Order]:
    """The heads of the families these orders belong to, oldest first."""
    heads = {head.order_id: head for order in orders for head in call.venue.state.book.group(order)[:1]}
    return sorted(heads.values(), key=_sequence)


def _is_open(call: Call, order: Order, *, is_nested: bool) -> bool:
    if is_nested and order.order_class in COMPLEX:
        return any(member.is_open for member in call.venue.state.book.group(order))
    return order.is_open


def _filter(call: Call) -> Callable[[Order], bool]:
    symbols = {symbol.replace("/", "") for symbol in parse_request.names(call.query, "symbols")}
    classes = parse_request.names(call.query, "asset_class")
    side = call.query.get("side", "")
    since, until = parse_request.moment(call.query, "after"), parse_request.moment(call.query, "until")

    def is_wanted(order: Order) -> bool:
        return (
            (not symbols or order.symbol.replace("/", "") in symbols)
            and (not side or order.side == side)
            and (not classes or order.asset_class in classes)
            and (since is None or order.submitted_at > since)
            and (until is None or order.submitted_at < until)
        )

    return is_wanted


def _sequence(order: Order) -> int:
    return order.sequence


def _between(call: Call, orders: list[Order]) -> list[Order]:
    """The part of the (sorted) orders that the paging parameters leave."""
    query = call.query
    before, after = query.get("before_order_id", ""), query.get("after_order_id", "")
    if (before and after) or ((before or after) and (query.get("after") or query.get("until"))):
        message = "before_order_id, after_order_id and after/until exclude each other"
        raise Problem(MALFORMED[0], message, MALFORMED[1])
    if before:
        return orders[: bisect_left(orders, _edge(call, before), key=_sequence)]
    if after:
        return orders[bisect_right(orders, _edge(call, after), key=_sequence) :]
    return orders


def _edge(call: Call, name: str) -> int:
    """The arrival number a page starts from. A page-shift fault with a negative shift moves it back."""
    order = call.venue.own(call.account, parse_request.order_id(name))
    if order is None:
        raise _missing(name)
    back = min(call.shift, 0)
    return order.sequence + (back if call.query.get("after_order_id") else -back)
