"""Metrics over HTTP, in the text form that Prometheus reads. Figures are taken on the event loop at each scrape."""

import asyncio
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from orderd.server.server import AddressError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

SCRAPE_S = 2.0
PATH = "/metrics"

HELP: Mapping[str, str] = {
    "orderd_journal_head": "Sequence of the last committed event.",
    "orderd_orders_open": "Orders without an end.",
    "orderd_orders_unknown": "Orders whose outcome at the broker is not known.",
    "orderd_orders_queued": "Orders written down and waiting to be sent.",
    "orderd_oldest_unknown_seconds": "Age of the oldest order whose outcome is not known, 0 without one.",
    "orderd_stream_connected": "1 while the broker's stream of updates is connected.",
    "orderd_reconcile_age_seconds": "Seconds since the last full reconciliation, -1 before the first.",
    "orderd_account_halted": "1 while the account is halted.",
    "orderd_discrepancies_open": "Differences between the broker's word and ours that are not resolved.",
    "orderd_symbols_blocked": "Symbols that take no new entries until a discrepancy is resolved.",
    "orderd_trades_open": "Trades that are not over, those that wait for their entry, too.",
    "orderd_unprotected_quantity": "Open quantity that no working stop covers, summed over trades.",
    "orderd_unprotected_seconds": "For how long a trade has been without full cover, at the most; 0 without one.",
    "orderd_trading_state": "How little may be sent: 0 ACTIVE, 1 REDUCING, 2 HALTED, 3 HALTED with frozen protection.",
    "orderd_circuit_breaker_tripped": "1 while realised losses pause entries.",
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


class _Server(ThreadingMixIn, WSGIServer):
    """A scrape that hangs holds up no other."""

    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not worth a line."""


def _pages(registry: CollectorRegistry) -> "WSGIApplication":
    """The metrics at their path, and a word about where they are at every other."""

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"orderd: the metrics are at {PATH}\n".encode()]
        encode, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        page = encode(registry)
        start("200 OK", [("Content-Type", content_type)])
        return [page]

    return answer


class MetricsServer:
    """Serves `/metrics` at an address until stopped."""

    def __init__(self, source: Gauges, address: str) -> None:
        """`address`: HOST:PORT; port 0 takes a free one."""
        self._source = source
        self._address = address
        self._server: WSGIServer | None = None

    def start(self) -> str:
        """Begin to serve; returns the bound HOST:PORT. Raises AddressError when it is taken."""
        name, _, port = self._address.rpartition(":")
        host = name.strip("[]")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self._source, asyncio.get_running_loop()))
        try:
            self._server = make_server(
                host,
                int(port),
                _pages(registry),
                server_class=_Server6 if ":" in host else _Server,
                handler_class=_Quiet,
            )
        except OSError as error:
            raise AddressError(f"http_address {self._address} cannot be served: {error.strerror}") from error
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return f"{name}:{self._server.server_port}"

    def stop(self) -> None:
        """End serving; a scrape under way is not waited for."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
