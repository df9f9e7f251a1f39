"""The venue's control interface, as a test uses it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
Row = dict[str, Any]


class VenueControl:
    """What a test may see of a venue process and do to it."""

    def __init__(self, http: aiohttp.ClientSession, control_url: str, rest_url: str) -> None:
        self._http = http
        self._url = control_url
        self.rest_url = rest_url
        self.made_by_hand: set[str] = set()
        """Client ids of the orders that were placed beside orderd."""

    async def call(self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        """One control request."""
        async with self._http.request(method, f"{self._url}/{path}", json=body, params=query) as answer:
            assert answer.status == 200, (method, path, answer.status, await answer.text())
            return await answer.json()

    async def by_hand(self, key_id: str, secret: str, **fields: object) -> Row:
        """An order that somebody places at the broker, beside orderd: buy one KO at market, changed as told."""
        asked = {"symbol": "KO", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"} | fields
        body = {name: value for name, value in asked.items() if value is not None}
        headers = {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}
        async with self._http.post(f"{self.rest_url}/v2/orders", json=body, headers=headers) as answer:
            assert answer.status == 200, (answer.status, await answer.text())
            row: Row = await answer.json()
            self.made_by_hand.add(row["client_order_id"])
            return row

    # ------------------------------------------------------------------------------------------------------ the script

    async def arm(self, kind: str, **fields: object) -> int:
        """Add a line to the fault script; its id."""
        fault: Row = await self.call("POST", "faults", {"kind": kind, **fields})
        return int(fault["fault_id"])

    async def calm(self) -> None:
        """Disarm everything."""
        await self.call("DELETE", "faults")

    async def release(self, barrier: str) -> None:
        """Open a gate."""
        await self.call("POST", f"barriers/{barrier}/release")

    async def waiting(self, barrier: str) -> None:
        """Wait until something stands at a gate."""
        await self.until(lambda: self.call("GET", "barriers"), lambda gates: barrier in gates)

    async def fired(self, kind: str) -> list[Row]:
        """Each time a fault of this kind happened."""
        return [row for row in await self.call("GET", "faults/fired") if row["kind"] == kind]

    # ------------------------------------------------------------------------------------------------------ the market

    async def settings(self, **changes: object) -> None:
        """Change how it behaves from now on."""
        await self.call("POST", "settings", changes)

    async def quote(self, symbol: str, bid: str, ask: str) -> None:
        """Set a market."""
        await self.call("POST", "quotes", {"symbol": symbol, "bid": bid, "ask": ask})

    async def fill(self, name: str, quantity: str | None = None, price: str | None = None) -> Row:
        """Trade an order (by its client's or venue's id) now; all of it at the touch unless told otherwise."""
        given = {"quantity": quantity, "price": price}
        body = {key: value for key, value in given.items() if value is not None}
        row: Row = await self.call("POST", f"orders/{name}/fill", body)
        return row

    async def replace_by_person(self, name: str, **change: str) -> Row:
        """Replace an order as somebody at the broker's own screen would."""
        row: Row = await self.call("POST", f"orders/{name}/replace", change)
        return row

    async def mark(self, name: str, status: str, event: str) -> Row:
        """Give an order a status that nothing at the venue leads to, and tell it."""
        row: Row = await self.call("POST", f"orders/{name}/mark", {"status": status, "event": event})
        return row

    async def end(self, name: str, status: str = "canceled") -> Row:
        """End an order unasked."""
        row: Row = await self.call("POST", f"orders/{name}/end", {"status": status})
        return row

    # ---------------------------------------------------------------------------------------------------- what it knows

    async def orders(self, client_order_id: str = "") -> list[Row]:
        """Every order it ever took, or those with this client id."""
        rows: list[Row] = await self.call("GET", "orders", query={"client_order_id": client_order_id})
        return rows

    async def order(self, name: str) -> Row:
        """One order, by its client's or venue's id."""
        row: Row = await self.call("GET", f"orders/{name}")
        return row

    async def ledger(self) -> Row:
        """Everything: received, orders, executions."""
        row: Row = await self.call("GET", "ledger")
        return row

    async def posts(self, client_order_id: str = "") -> list[Row]:
        """The submits it received."""
        rows: list[Row] = await self.call(
            "GET", "received", query={"client_order_id": client_order_id, "method": "POST"}
        )
        return [row for row in rows if row["path"].rstrip("/") == "/v2/orders"]

    async def received(self, method: str, path_prefix: str = "/v2/orders") -> list[Row]:
        """The requests of a kind it received."""
        rows: list[Row] = await self.call("GET", "received", query={"method": method})
        return [row for row in rows if row["path"].startswith(path_prefix)]

    async def until(self, ask: Callable[[], Awaitable[T]], is_true: Callable[[T], bool], within_s: float = 15) -> T:
        """Ask until the answer is right: the venue is another process and rings no bell."""
        async with asyncio.timeout(within_s):
            while True:
                answer = await ask()
                if is_true(answer):
                    return answer
                await asyncio.sleep(0.01)
