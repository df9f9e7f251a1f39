"""Key ids and secrets stay where they are used: in a header and in a login frame, nowhere else."""

import asyncio
import base64
import copy
import io
import json
import logging
import pickle
import sys
import traceback
from urllib.parse import quote

import pytest

from orderd.brokers.alpaca.budget import Budget
from orderd.brokers.alpaca.client import AnswerLost, Disconnected, NotConnected
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.factory import alpaca_broker
from orderd.brokers.alpaca.network import NetworkClient
from orderd.brokers.alpaca.rest import Rest
from orderd.brokers.alpaca.stream import TradeStream
from orderd.brokers.alpaca.wire import Wire
from orderd.core.order import Mode
from orderd.ports import Lane
from orderd.system import SystemClock, SystemIds
from tests import canary
from tests.brokers.sockets import GET, KEY_ID, POST, SECRET, caller, http, peer, says

CLOSED_PORT = "http://127.0.0.1:9"


def assert_silent(text: str) -> None:
    assert text
    assert KEY_ID not in text
    assert SECRET not in text


def test_nothing_that_holds_the_keys_shows_them() -> None:
    credential = Credential(KEY_ID, SECRET)
    clock, ids = SystemClock(), SystemIds()
    budget = Budget(clock, 200)
    holders = (
        credential,
        Wire(credential, CLOSED_PORT),
        Rest(credential, CLOSED_PORT, clock=clock, budget=budget, on_late=lambda _: None),
        TradeStream(credential, "ws://127.0.0.1:9/stream", clock=clock, ids=ids),
        NetworkClient(
            credential, rest_url=CLOSED_PORT, stream_url="ws://127.0.0.1:9/s", clock=clock, ids=ids, budget=budget
        ),
        _broker(),
    )
    for holder in holders:
        assert_silent(f"{holder!r} {holder!s} {vars(holder) if not isinstance(holder, Wire | Credential) else ''}")
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written down"):
            write(credential)


def _broker(**changes: object) -> object:
    settings: dict[str, object] = {
        "key_id": KEY_ID,
        "secret_key": SECRET,
        "rest_url": CLOSED_PORT,
        "stream_url": "ws://127.0.0.1:9/stream",
        "mode": Mode.PAPER,
        "clock": SystemClock(),
        "ids": SystemIds(),
        "settle_s": 5.0,
        "requests_per_minute": 200,
    }
    return alpaca_broker(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"nonsense\r\n\r\n", http("502 x")]
)
async def test_no_exception_log_or_output_holds_them(
    answer: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    told = io.StringIO()
    async with peer(says(answer)) as server, caller(server.url) as client:
        for request in (POST, GET):
            try:
                await client.rest.call(Lane.ENTRY, request, timeout_s=2)
            except (AnswerLost, NotConnected) as error:
                traceback.print_exception(error, file=told)
    async with caller(CLOSED_PORT) as client:
        with pytest.raises(NotConnected) as refused:
            await client.rest.call(Lane.ENTRY, POST, timeout_s=2)
        traceback.print_exception(refused.value, file=told)
        # The library's exception would hold the request and its headers.
        assert refused.value.__cause__ is refused.value.__context__ is None
    assert_silent(told.getvalue() + caplog.text + "".join(capfd.readouterr()) + " ".join(sys.argv))


async def test_a_server_that_repeats_the_keys_is_not_repeated() -> None:
    credential = Credential(KEY_ID, SECRET)
    assert credential.redact(f"bad key {KEY_ID}/{SECRET}!") == "bad key ***/***!"
    arrivals: asyncio.Queue[object] = asyncio.Queue()
    stream = TradeStream(credential, f"ws://{KEY_ID}.invalid:1/stream", clock=SystemClock(), ids=SystemIds())
    running = asyncio.create_task(stream.run(arrivals.put))
    told = await asyncio.wait_for(arrivals.get(), 10)
    running.cancel()
    assert isinstance(told, Disconnected)
    assert_silent(told.message)


@pytest.mark.parametrize(
    "written",
    [
        f"{canary.KEY_ID} and {canary.SECRET}",
        json.dumps({"APCA-API-SECRET-KEY": canary.SECRET, "k": canary.KEY_ID}),
        json.dumps(canary.SECRET).replace("/", "\\/"),
        json.dumps(canary.SECRET).replace("/", "\\u002f"),
        f"/v2/orders?key={quote(canary.SECRET, safe='')}",
        f"/v2/orders?key={quote(canary.SECRET, safe='').replace('%2F', '%2f').replace('%2B', '%2b')}",
        "Authorization: Basic " + base64.b64encode(f"{canary.KEY_ID}:{canary.SECRET}".encode()).decode(),
    ],
    ids=["text", "json", "json with \\/", "json with \\u002f", "url", "url in small letters", "header"],
)
def test_keys_that_somebody_else_wrote_down_are_taken_out(written: str) -> None:
    credential = Credential(canary.KEY_ID, canary.SECRET)
    assert canary.shown_in(credential.redact(written)) == []
    assert "***" in credential.redact(written)


def test_only_keys_are_taken_out() -> None:
    credential = Credential("k", "s")
    untouched = b'{"status": "skipped", "k": "s"}'
    assert credential.redact_bytes(untouched) == untouched, "a key of one character would tear holes"
    assert Credential(canary.KEY_ID, canary.SECRET).redact("\ud800 \U0001f600") == "\ud800 \U0001f600"


@pytest.mark.parametrize(
    ("key_id", "secret"), [("", "s"), ("k", ""), ("k\n", "s"), ("k", "s\r\nX: y"), ("k", "\u00e9")]
)
def test_keys_that_cannot_be_a_header_are_refused_without_being_shown(key_id: str, secret: str) -> None:
    with pytest.raises(ValueError, match="key id and secret key are") as refused:
        Credential(key_id, secret)
    assert "X: y" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"rest_url": "https://api.alpaca.markets"},
        {"stream_url": "wss://api.alpaca.markets/stream"},
        {"rest_url": "https://API.alpaca.markets"},
        {"rest_url": "https://paper-api.alpaca.markets", "mode": Mode.LIVE},
        {"stream_url": "wss://paper-api.alpaca.markets/stream", "mode": Mode.LIVE},
        {"rest_url": "paper-api.alpaca.markets"},
        {"rest_url": "ws://127.0.0.1:1"},
        {"rest_url": ""},
        {"stream_url": "https://127.0.0.1/stream"},
        {"requests_per_minute": 0},
        {"key_id": ""},
    ],
)
def test_an_account_whose_settings_contradict_each_other_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|address|required|fewer"):
        _broker(**changes)


def test_live_and_paper_addresses_go_with_their_modes() -> None:
    _broker(rest_url="https://api.alpaca.markets", stream_url="wss://api.alpaca.markets/stream", mode=Mode.LIVE)
    paper = "paper-api.alpaca.markets"
    _broker(rest_url=f"https://{paper}", stream_url=f"wss://{paper}/stream", mode=Mode.PAPER)
