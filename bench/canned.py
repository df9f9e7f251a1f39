"""Brokers for measuring what orderd itself costs: the real adapter over a client that knows its answers by heart.

The simulated venue is a whole exchange and lives in the server's process; what it costs is not orderd's. `canned`
answers each POST at once with Alpaca's order object, accepted as new. `silent` never answers one.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import msgspec

from orderd.brokers.alpaca.adapter import AlpacaAdapter
from orderd.brokers.alpaca.budget import Budget
from orderd.brokers.alpaca.client import AlpacaClient, Arrival, Request, Response
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.simulated import SimulatedClient
from orderd.ports import Broker, Clock, Ids, Lane
from orderd.venue.alpaca.face import AlpacaFace

_PER_MINUTE = 1_000_000
_decode = msgspec.json.Decoder(dict[str, str | bool]).decode


class CannedClient:
    """Answers submits itself; everything else goes to a venue that never hears of them."""

    def __init__(self, venue: AlpacaClient, *, is_silent: bool) -> None:
        """`is_silent`: a submit's answer never comes."""
        self._venue = venue
        self._is_silent = is_silent
        self._count = 0

    async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
        """See `AlpacaClient.call`."""
        if request.method != "POST" or request.body is None:
            return await self._venue.call(lane, request, timeout_s=timeout_s)
        if self._is_silent:
            await asyncio.get_running_loop().create_future()
        return Response(status=200, headers={}, body=self._accepted(_decode(request.body)))

    def frames(self) -> AsyncGenerator[Arrival, None]:
        """See `AlpacaClient.frames`."""
        return self._venue.frames()

    async def close(self) -> None:
        """See `AlpacaClient.close`."""
        await self._venue.close()

    def _accepted(self, body: dict[str, str | bool]) -> bytes:
        self._count += 1
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return msgspec.json.encode(
            {
                "id": f"61e69015-8549-4bfd-9000-{self._count:012x}",
                "client_order_id": body["client_order_id"],
                "created_at": now,
                "updated_at": now,
                "submitted_at": now,
                "filled_at": None,
                "expired_at": None,
                "canceled_at": None,
                "failed_at": None,
                "replaced_at": None,
                "replaced_by": None,
                "replaces": None,
                "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
                "symbol": body["symbol"],
                "asset_class": "us_equity",
                "notional": None,
                "qty": body["qty"],
                "filled_qty": "0",
                "filled_avg_price": None,
                "order_class": "",
                "order_type": body["type"],
                "type": body["type"],
                "side": body["side"],
                "time_in_force": body["time_in_force"],
                "limit_price": body.get("limit_price"),
                "stop_price": None,
                "status": "new",
                "extended_hours": False,
                "legs": None,
                "trail_percent": None,
                "trail_price": None,
                "hwm": None,
                "source": None,
                "subtag": None,
            }
        )


def canned_broker(
    face: AlpacaFace, *, key_id: str, secret_key: str, clock: Clock, ids: Ids, is_silent: bool = False
) -> Broker:
    """Return the account behind a key of the face, but for its submits."""
    credential = Credential(key_id, secret_key)
    venue = SimulatedClient(face, credential, clock=clock, ids=ids, budget=Budget(clock, _PER_MINUTE))
    client = CannedClient(venue, is_silent=is_silent)
    return AlpacaAdapter(client, clock=clock, settle_s=2.0, requests_per_minute=_PER_MINUTE, name="simulated")
