"""Metrics over HTTP, in the text form that Prometheus reads. Figures are taken on the event loop at each scrape."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric

from orderd.server.server import AddressError

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

SCRAPE_S = 2.0

HELP: Mapping[str, str] = {
    "orderd_journal_head": "Sequence of the last committed event.",
    "orderd_orders_open": "Orders without an end.",
    "orderd_orders_unknown": "Orders whose outcome at the broker is not known.",
    "orderd_orders_queued": "Orders written down and waiting to be sent.",
    "orderd_oldest_unknown_seconds": "Age of the oldest order whose outcome is not known, 0 without one.",
    "orderd_stream_connected": "1 while the broker's stream of updates is connected.",
    "orderd_reconcile_age_seconds": "Seconds since the last full reconciliation, -1 before the first.",
    "orderd_account_halted": "1 while the account is halted.",
}
"""Every metric there is, by name, with its meaning. All are gauges."""


class Gauges(Protocol):
    """Whoever knows the figures."""

    def gauges(self) -> Sequence[tuple[str, Mapping[str, str], float]]:
        """(name, labels, value) of every figure, as of now. Called on the event loop."""
        ...


class _Collector:
    def __init__(self, source: Gauges, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop

    async def _read(self) -> Sequence[tuple[str, Mapping[str, str], float]]:
        return self._source.gauges()

    def collect(self) -> Iterable[Metric]:
        """Called by the HTTP server's thread at each scrape."""
        rows = asyncio.run_coroutine_threadsafe(self._read(), self._loop).result(timeout=SCRAPE_S)
        families: dict[str, GaugeMetricFamily] = {}
        for name, labels, value in rows:
            family = families.get(name)
            if family is None:
                family = families[name] = GaugeMetricFamily(name, HELP[name], labels=list(labels))
            family.add_metric(list(labels.values()), value)
        return families.values()


class MetricsServer:
    """Serves `/metrics` at an address until stopped."""

    def __init__(self, source: Gauges, address: str) -> None:
        """`address`: HOST:PORT; port 0 takes a free one."""
        self._source = source
        self._address = address
        self._server: WSGIServer | None = None

    def start(self) -> str:
        """Begin to serve; returns the bound HOST:PORT. Raises AddressError when it is taken."""
        host, _, port = self._address.rpartition(":")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self._source, asyncio.get_running_loop()))
        try:
            self._server, _ = start_http_server(int(port), host.strip("[]"), registry=registry)
        except OSError as error:
            raise AddressError(f"http_address {self._address} cannot be served: {error.strerror}") from error
        return f"{host}:{self._server.server_port}"

    def stop(self) -> None:
        """End serving; a scrape under way is not waited for."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
