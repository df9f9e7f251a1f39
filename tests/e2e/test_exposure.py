"""Keys stay where they are used: with a broker that repeats them, in a crash, in a full disk's log, at every door."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import aiohttp
import grpc
import pytest
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc

from oms.v1 import account_service_pb2 as apb
from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.canary import GIVEN, KEY_ID, SECOND_KEY_ID, SECOND_SECRET, SECRET, TOKEN, shown_below, shown_in
from tests.e2e import processes
from tests.e2e.errors import reason_of
from tests.e2e.harness import House, configuration, submit_request, trading
from tests.e2e.hearing import Hearing
from tests.reach import PROVES, Reached

TWO = {"paper": {}, "other": {"key_id": SECOND_KEY_ID, "secret_key": SECOND_SECRET}}


@contextlib.asynccontextmanager
async def gossip(rest_url: str) -> AsyncIterator[str]:
    """A proxy before the venue that quotes the request's headers in what it says of orders for F, and in a header."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        quoted = json.dumps(dict(request.headers))
        if request.method == "POST" and b'"F"' in body:
            said = {"code": 40310000, "message": f"not for {quoted} today", "request": quoted}
            return web.json_response(said, status=403, headers={"x-debug": SECRET})
        if request.method == "POST" and b'"GM"' in body:
            return web.Response(text=f"<html>{quoted}</html>", status=502, content_type="text/html")
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, f"{rest_url}{request.path_qs}", data=body, headers=request.headers) as sent,
        ):
            return web.Response(body=await sent.read(), status=sent.status, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.scaled
async def test_a_broker_that_repeats_the_keys_is_not_repeated(tmp_path: Path, reached: Reached) -> None:
    """In a refusal's text, an HTML page, an answer's echo, a status nobody knows, a frame that cannot be read."""
    async with trading(tmp_path, is_started=False) as house, gossip(house.venue.rest_url) as url:
        assert SECRET in (tmp_path / GIVEN / "paper.secret_key").read_text(), "it is what the server signs in with"
        config = tmp_path / "orderd.toml"
        config.write_text(config.read_text().replace(house.venue.rest_url, url, 1))
        await house.start()
        rejected = await house.submit(symbol="F", client_order_id="rejected")
        assert "***" in rejected.status_reason.message, "the broker's text is kept, the keys are not"
        lost = await house.submit(symbol="GM", client_order_id="html")
        assert lost.status == opb.ORDER_STATUS_UNKNOWN
        await house.venue.arm("lie", fields={"source": SECRET, "subtag": KEY_ID})
        await house.submit(client_order_id="echo")
        await house.venue.arm("unknown_frame_status", word=SECRET)
        await house.venue.arm("unknown_event", word=KEY_ID)
        for number in range(3):
            await house.submit(client_order_id=f"frames-{number}")
        await house.venue.arm("unknown_status", word=SECRET)
        await house.submit(client_order_id="status")
        await house.reconcile()
        for order_id in {order.order_id for order in house.tape.orders.values()}:
            await house.orders.GetOrder(pb.GetOrderRequest(order_id=order_id, full=True))
        assert await house.terminate() == 0
        assert house.hearing.shown == []
    assert shown_below(tmp_path) == []
    reached("P14", "answers, events and errors of one server searched for keys", house.hearing.count)


async def every_door(house: House, http_address: str) -> int:
    """Ask whatever can be asked, rightly and wrongly, with a token that is no business of the log."""
    await asyncio.to_thread(_scrape, http_address)
    channel = house.channel
    stub = health_pb2_grpc.HealthStub(channel)
    await stub.Check(health_pb2.HealthCheckRequest())
    reflect = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    asked = [b"\x3a\x00", b"\x22\x13oms.v1.OrderService", b"\x22\x04none"]
    async for answer in reflect(iter(asked)):
        house.hearing.search("reflection", answer)
    count = 0
    token = (("authorization", f"Bearer {TOKEN}"),)
    services = [service for file in (pb, apb, bpb) for service in file.DESCRIPTOR.services_by_name.values()]
    for service in services:
        for method in service.methods:
            for raw in (b"", b"\xff\xff", b"\x0a\x01x"):
                call = channel.unary_stream(f"/{service.full_name}/{method.name}")(raw, metadata=token, timeout=2)
                count += 1
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                    await call.read()
                call.cancel()
    return count


def _scrape(address: str) -> None:
    for page in ("metrics", "", "debug", "?x"):
        try:
            answer = urlopen(f"http://{address}/{page}", timeout=10)
        except HTTPError as error:
            assert page != "metrics"
            answer = error
        with answer:
            assert shown_in(answer.read() + str(answer.headers).encode()) == []


@pytest.mark.scaled
async def test_every_door_and_every_command(tmp_path: Path, reached: Reached) -> None:
    settings = {"http_address": "127.0.0.1:0"}
    async with trading(tmp_path, accounts=TWO, settings=settings, is_started=False) as house:
        await house.venue.call("POST", "accounts", {"key_id": SECOND_KEY_ID, "secret": SECOND_SECRET})
        await house.start()
        await house.submit(account_id="paper", client_order_id="k")
        count = await every_door(house, house.said["http_address"])
        for line in (
            ["config", "show", "--origin", "--config", str(tmp_path / "orderd.toml")],
            ["account", "list"],
            ["account", "get", "--account", "paper"],
            ["order", "list"],
            ["order", "get", "--client-order-id", "k", "--account", "paper", "--full"],
            ["broker", "orders", "--account", "other"],
            ["account", "get", "--account", "nobody"],
            ["no-such-command", SECRET[:3]],
        ):
            for form in ("json", "table") if PROVES else ("json",):
                out = await _command([*line, "-o", form], house.address)
                assert shown_in(out) == [], line
                count += 1
        house.server.signal(signal.SIGTERM)
        await house.server.ended(20)
    assert shown_below(tmp_path) == []
    reached("P14", "calls and commands whose answers were searched for keys", count)


async def _command(arguments: list[str], address: str) -> bytes:
    environment = {**os.environ, "ORDERD_ADDRESS": address, "COLUMNS": "400"}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orderd", *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=-2
    )
    out, _ = await child.communicate()
    assert out, arguments
    return out


async def test_a_wrong_key_is_told_without_telling_it(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": TWO["other"]}, is_started=False) as house:
        await house.start(is_ready=False)
        async with asyncio.timeout(20):
            while "login refused" not in house.server.said():  # noqa: ASYNC110 - another process rings no bell
                await asyncio.sleep(0.02)
        account = await house.account()
        assert account.stream_health == apb.STREAM_HEALTH_DISCONNECTED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.orders.SubmitOrder(submit_request(client_order_id="k"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_what_the_door_takes_is_what_the_settings_say(tmp_path: Path) -> None:
    """Each limit of docs/security.md, as small as it may be set, at a real process; and after it all goes on."""
    settings = {"max_request_bytes": 65_536, "max_metadata_bytes": 4_096, "max_streams_per_connection": 2}
    patient = {"paper": {"submit_timeout_s": 30}}
    async with trading(tmp_path, accounts=patient, settings={**settings, "max_calls": 1}) as house:
        submit = house.channel.unary_unary("/oms.v1.OrderService/SubmitOrder")
        with pytest.raises(grpc.aio.AioRpcError) as too_long:
            await submit(b"x" * 65_537)
        with pytest.raises(grpc.aio.AioRpcError) as too_much:
            await submit(b"", metadata=(("x-note", "v" * 5_000),))
        stream = house.channel.unary_stream("/oms.v1.OrderService/StreamOrderEvents")
        second = stream(b"")  # the first one is the tape's
        assert await second.read() is not grpc.aio.EOF
        with pytest.raises(grpc.aio.AioRpcError) as too_many:
            await stream(b"").read()
        second.cancel()
        await house.venue.arm("drop_frame", order="k", times=0)  # nor does the stream answer the submit
        await house.venue.arm("hold_answer", method="POST", barrier="gate")
        waiting = asyncio.ensure_future(house.submit(client_order_id="k"))
        await house.venue.waiting("gate")
        with pytest.raises(grpc.aio.AioRpcError) as too_busy:
            await house.accounts.ListAccounts(apb.ListAccountsRequest())
        await house.venue.release("gate")
        assert (await waiting).order_id
        refusals = [caught.value for caught in (too_long, too_much, too_many, too_busy)]
        assert {refusal.code() for refusal in refusals} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert [reason_of(refusal) for refusal in refusals] == ["", "", "TOO_MANY_STREAMS", "TOO_MANY_CALLS"]


# ------------------------------------------------------------------------------------------------------------- crashes


async def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        async with trading(tmp_path) as house:
            assert resource.prlimit(house.server.pid, resource.RLIMIT_CORE) == (0, 0)
            house.server.signal(signal.SIGABRT)
            assert await house.server.ended(20) == -signal.SIGABRT
            await house.tape.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
async def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    config = configuration(tmp_path, {"sim": {"broker": "simulated"}}, {})
    process = processes.server(config, Path("/dev/full"), kept=tmp_path / "orderd.log")
    house = House(tmp_path, None, process, ("sim",))  # type: ignore[arg-type] # its venue is inside it
    try:
        await house.start()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.orders.SubmitOrder(submit_request(client_order_id="k", quantity="x"))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        order = await house.submit(client_order_id="k")
        assert order.order_id
        assert await house.terminate() == 0
    finally:
        await house.close()


# ------------------------------------------------------------------------------------------- the search itself can see


async def test_a_key_on_a_command_line_is_seen(tmp_path: Path) -> None:
    program = 'import time; print(\'{"event": "ready"}\', flush=True); time.sleep(600)'
    process = processes.Process(("-c", program, SECRET), tmp_path / "x" / "planted.log")
    process.log.parent.mkdir()
    await process.start()
    await process.kill()
    assert shown_below(tmp_path) == ["x/planted.proc: secret key"]
    for path in process.log.parent.iterdir():
        path.unlink()


async def test_a_key_in_an_answer_a_text_or_a_detail_is_heard() -> None:
    async def answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if request == b"answer":
            return KEY_ID.encode()
        trailers = (("x-note", TOKEN),) if request == b"trailer" else ()
        await context.abort(grpc.StatusCode.INTERNAL, SECRET if request == b"text" else "fine", trailers)
        return b""

    async def tell(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.write(SECOND_SECRET.encode())

    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(answer),
        "Many": grpc.unary_stream_rpc_method_handler(tell),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    hearing = Hearing()
    async with hearing.channel(grpc.aio.insecure_channel(f"127.0.0.1:{port}")) as channel:
        assert await channel.unary_unary("/T/One")(b"answer") == KEY_ID.encode()
        for asked in (b"text", b"trailer"):
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary("/T/One")(asked)
        assert [data async for data in channel.unary_stream("/T/Many")(b"")] == [SECOND_SECRET.encode()]
    await server.stop(0)
    assert hearing.shown == [
        "/T/One: key id",
        "/T/One, its end: secret key",
        "/T/One, its end: token",
        "/T/Many: second secret key",
    ]
