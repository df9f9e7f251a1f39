"""Where an Alpaca account becomes a `Broker`."""

from urllib.parse import urlsplit

from orderd.brokers.alpaca.adapter import AlpacaAdapter
from orderd.brokers.alpaca.budget import Budget
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.network import NetworkClient
from orderd.core.order import Mode
from orderd.ports import Broker, Clock, Ids

PAPER_HOST = "paper-api.alpaca.markets"
LIVE_HOST = "api.alpaca.markets"
_MODES = {PAPER_HOST: Mode.PAPER, LIVE_HOST: Mode.LIVE}
"""Another host is somebody's own (a simulated venue), which the configuration's word decides."""


def alpaca_broker(  # noqa: PLR0913 - each is a setting of its own
    *,
    key_id: str,
    secret_key: str,
    rest_url: str,
    stream_url: str,
    mode: Mode,
    clock: Clock,
    ids: Ids,
    settle_s: float,
    requests_per_minute: int,
) -> Broker:
    """Return the account behind these keys. Raises ValueError for an address that contradicts the mode."""
    for name, url, schemes in (
        ("rest_url", rest_url, {"https", "http"}),
        ("stream_url", stream_url, {"wss", "ws"}),
    ):
        _check(name, url, schemes, mode)
    client = NetworkClient(
        Credential(key_id, secret_key),
        rest_url=rest_url,
        stream_url=stream_url,
        clock=clock,
        ids=ids,
        budget=Budget(clock, requests_per_minute),
    )
    return AlpacaAdapter(client, clock=clock, settle_s=settle_s, requests_per_minute=requests_per_minute)


def _check(name: str, url: str, schemes: set[str], mode: Mode) -> None:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"{name} must begin with {' or '.join(sorted(schemes))} and name a host")
    if _MODES.get(parts.hostname, mode) is not mode:
        raise ValueError(
            f"{name} is Alpaca's {_MODES[parts.hostname].value} address, the account's mode is {mode.value}"
        )
