"""The metrics page tells the figures of the moment, over real HTTP."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence

import pytest

from orderd.server.metrics import HELP, MetricsServer
from orderd.server.server import AddressError


class Figures:
    """A source whose figures a test sets."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Mapping[str, str], float]] = []

    def gauges(self) -> Sequence[tuple[str, Mapping[str, str], float]]:
        return self.rows


def scraped(address: str, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
        return str(answer.read().decode())


async def test_each_scrape_tells_the_figures_of_the_moment() -> None:
    figures = Figures()
    server = MetricsServer(figures, "127.0.0.1:0")
    address = server.start()
    try:
        for value in (3.0, 4.0):
            figures.rows = [("orderd_orders_open", {"account": name}, value) for name in ("one", "two")]
            text = await asyncio.to_thread(scraped, address)
            assert f'orderd_orders_open{{account="one"}} {value}' in text
            assert f'orderd_orders_open{{account="two"}} {value}' in text
            assert HELP["orderd_orders_open"] in text
    finally:
        server.stop()


@pytest.mark.parametrize("path", ["/", "/metrics/", "/favicon.ico", "/%6detrics2"])
async def test_only_the_metrics_are_served(path: str) -> None:
    server = MetricsServer(Figures(), "127.0.0.1:0")
    address = server.start()
    try:
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            await asyncio.to_thread(scraped, address, path)
        with refused.value as answer:
            assert b"the metrics are at /metrics" in answer.read()
    finally:
        server.stop()


async def test_the_metrics_are_served_on_ipv6() -> None:
    server = MetricsServer(Figures(), "[::1]:0")
    address = server.start()
    try:
        assert address.startswith("[::1]:")
        assert await asyncio.to_thread(scraped, address) is not None
    finally:
        server.stop()


async def test_a_taken_address_is_said() -> None:
    first = MetricsServer(Figures(), "127.0.0.1:0")
    address = first.start()
    try:
        with pytest.raises(AddressError, match=f"http_address {address} cannot be served"):
            MetricsServer(Figures(), address).start()
    finally:
        first.stop()
