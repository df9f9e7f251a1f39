"""The table of routes: which path is answered by which function."""

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from orderd.venue.alpaca import account_routes, market_routes, order_routes
from orderd.venue.alpaca.call import Answer, Call
from orderd.venue.alpaca.refusals import Problem

Route = Callable[[Call], Answer]

ROUTES: Final[dict[str, dict[str, Route]]] = {
    "account": {"GET": account_routes.account},
    "account/configurations": {"GET": account_routes.configuration, "PATCH": account_routes.configure},
    "account/activities": {"GET": account_routes.activities},
    "account/activities/*": {"GET": account_routes.activities},
    "account/portfolio/history": {"GET": account_routes.history},
    "orders": {"GET": order_routes.listed, "POST": order_routes.submit, "DELETE": order_routes.cancel_all},
    "orders:by_client_order_id": {"GET": order_routes.get_by_client_id},
    "orders/*": {"GET": order_routes.get, "PATCH": order_routes.replace, "DELETE": order_routes.cancel},
    "positions": {"GET": account_routes.positions, "DELETE": account_routes.close_all},
    "positions/*": {"GET": account_routes.position, "DELETE": account_routes.close_position},
    "positions/*/*": {"GET": account_routes.position, "DELETE": account_routes.close_position},
    "clock": {"GET": market_routes.clock},
    "calendar": {"GET": market_routes.calendar},
    "assets": {"GET": market_routes.assets},
    "assets/*": {"GET": market_routes.asset},
    "assets/*/*": {"GET": market_routes.asset},
    "options/contracts": {"GET": market_routes.contracts},
    "options/contracts/*": {"GET": market_routes.contract},
}


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The function for a path below the host, and the segments it left open. Raises Problem 404 or 405."""
    segments = [unquote(part) for part in path.split("/") if part]
    if not segments or segments[0] != "v2":
        raise Problem(404, "endpoint not found.")
    segments = segments[1:]
    for pattern, methods in ROUTES.items():
        parts = pattern.split("/")
        if len(parts) == len(segments) and all(a in ("*", b) for a, b in zip(parts, segments, strict=True)):
            if method not in methods:
                raise Problem(405, "method not allowed.")
            return methods[method], tuple(b for a, b in zip(parts, segments, strict=True) if a == "*")
    raise Problem(404, "endpoint not found.")
