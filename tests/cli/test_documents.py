"""README and quickstart do what they say, against `orderd dev`."""

import asyncio
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from oms.v1 import account_service_pb2, order_service_pb2, order_service_pb2_grpc
from orderd.client import Client
from orderd.config import load
from tests.cli.documents import PAGES, ROOT, blocks, lines
from tests.cli.processes import ran, serving
from tests.cli.test_processes import DEV

ENDLESS = (["event", "watch"], ["dev"], ["serve"], ["venue"])


@pytest.mark.parametrize("page", PAGES)
async def test_every_line_does_what_it_says(page: str, tmp_path: Path) -> None:
    async with serving(*DEV, cwd=tmp_path) as server:
        environment = {"ORDERD_GRPC_ADDRESS": server.address}
        submit = ("order", "submit", "--symbol", "AAPL", "--side", "buy", "--quantity", "1")
        some = [await ran(*submit, cwd=tmp_path, environment=environment) for _ in range(3)]
        first = json.loads(some[0][1])["orderId"]
        typed = [line[1:] for line in lines(page, ".venv/bin/orderd") if line[0].endswith("orderd")]
        assert typed
        for arguments in typed:
            known = [first if argument == "$id" else argument for argument in arguments]
            if "--config" in known or known[0] in {"dev", "serve", "venue"}:
                continue
            limit = ["--limit", "1", "--after", "0"] if known == ["event", "watch"] else []
            code, out, err = await ran(*known, *limit, cwd=tmp_path, environment=environment)
            assert code == 0, (known, out, err)
        assert await server.stop() == 0


async def test_the_quickstart_replays(tmp_path: Path) -> None:
    twice = [line[1:] for line in lines("docs/quickstart.md", "first-limit") if line[2:3] == ["submit"]]
    assert len(twice) == 2
    async with serving(*DEV, cwd=tmp_path) as server:
        at = ("--address", server.address)
        first, second = [await ran(*arguments, *at, cwd=tmp_path) for arguments in twice]
        assert json.loads(first[1])["orderId"] == json.loads(second[1])["orderId"]
        assert "replayed" in second[2]
        assert await server.stop() == 0


@pytest.mark.parametrize("page", PAGES)
async def test_every_grpcurl_line_is_a_call(page: str, tmp_path: Path) -> None:
    """grpcurl itself may be missing here: its arguments are sent as it would send them."""
    async with serving(*DEV, cwd=tmp_path) as server, grpc.aio.insecure_channel(server.address) as channel:
        for line in lines(page, "grpcurl"):
            assert line[:2] == ["grpcurl", "-plaintext"]
            assert "127.0.0.1:50051" in line
            if line[-1] == "list":
                continue
            service, _, method = line[-1].partition("/")
            modules: tuple[Any, ...] = (order_service_pb2, account_service_pb2)
            module = next(
                m for m in modules if service in {s.full_name for s in m.DESCRIPTOR.services_by_name.values()}
            )
            request = getattr(module, f"{method}Request")()
            json_format.Parse(line[line.index("-d") + 1] if "-d" in line else "{}", request)
            if method.startswith("Stream"):
                stub = order_service_pb2_grpc.OrderServiceStub(channel)
                assert (await stub.StreamOrderEvents(request, timeout=10).read()).HasField("started")
            else:
                call = channel.unary_unary(
                    f"/{line[-1]}",
                    request_serializer=type(request).SerializeToString,
                    response_deserializer=getattr(module, f"{method}Response").FromString,
                )
                async with asyncio.timeout(20):
                    while True:
                        try:
                            await call(request, timeout=10)
                            break
                        except grpc.aio.AioRpcError as error:
                            assert error.code() is grpc.StatusCode.UNAVAILABLE  # ACCOUNT_RECOVERING
        assert await server.stop() == 0


async def test_the_metrics_are_where_the_readme_says(tmp_path: Path) -> None:
    (line,) = lines("README.md", "curl -s")
    assert line[-1] == "http://127.0.0.1:8051/metrics"
    async with serving(*DEV, cwd=tmp_path) as server:
        host, _, port = server.ready["http_address"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.0 200")
        assert await server.stop() == 0


async def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = blocks("README.md", "python")
    body = code.replace("...  #", "break  #")
    async with serving(*DEV, cwd=tmp_path) as server:
        imports = "".join(line for line in body.splitlines(keepends=True) if line.startswith("from "))
        rest = body.replace(imports, "").replace("127.0.0.1:50051", server.address)
        program = f"{imports}async def main():\n" + "".join(f"    {line}\n" for line in rest.splitlines())
        namespace: dict[str, Any] = {}
        exec(program, namespace)
        await namespace["main"]()
        assert await server.stop() == 0


@pytest.mark.parametrize("page", PAGES)
def test_the_configurations_are_understood(page: str, tmp_path: Path) -> None:
    for text in blocks(page, "toml"):
        (tmp_path / "orderd.toml").write_text(text, encoding="utf-8")
        for secret in re.findall(r'_file = "(.*?)"', text):
            (tmp_path / secret).parent.mkdir(exist_ok=True)
            (tmp_path / secret).write_text("x", encoding="utf-8")
        here = Path.cwd()
        os.chdir(tmp_path)
        try:
            assert list(load("orderd.toml", environment={}).accounts) == ["paper"]
        finally:
            os.chdir(here)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert targets
    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []


def test_make_run_is_what_the_readme_says() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^run:.*\n\t@exec \$\(BIN\)/orderd dev --demo$", recipe, flags=re.MULTILINE)
    assert any(shlex.join(line[1:]) == "dev --demo" for line in lines("README.md", "orderd dev"))


# --- the examples ---------------------------------------------------------------------------------------


async def example(name: str, *arguments: str, address: str, cwd: Path) -> asyncio.subprocess.Process:
    """Start one."""
    return await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples" / "python" / name), *arguments, cwd=cwd,
        env={**os.environ, "ORDERD_GRPC_ADDRESS": address}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_submit_and_follow(tmp_path: Path) -> None:
    async with serving(*DEV, cwd=tmp_path) as server:
        for _ in range(2):  # the same key twice is one order
            process = await example("submit_and_follow.py", "AAPL", "1", "key-1", address=server.address, cwd=tmp_path)
            out, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            assert "-> ORDER_STATUS_FILLED 1 at " in out.decode()
        _, listed, _ = await ran("order", "list", "--address", server.address, cwd=tmp_path)
        assert len(json.loads(listed)) == 1
        assert await server.stop() == 0


async def sequences(address: str, last: int) -> list[int]:
    """Of every event of orders up to there; the desk's events stand between them."""
    found: list[int] = []
    async with Client(address) as client:
        async for event in client.follow(after_sequence=0):
            found.append(event.sequence)
            if event.sequence >= last:
                break
    return found


async def test_resume_stream(tmp_path: Path) -> None:
    async with serving(*DEV, cwd=tmp_path) as server:
        at = ("--address", server.address)
        submit = ("order", "submit", "--symbol", "AAPL", "--side", "buy", "--quantity", "1", *at)
        seen: list[int] = []
        for _ in range(2):
            code, out, _ = await ran(*submit, cwd=tmp_path)
            assert code == 0
            order_id = json.loads(out)["orderId"]
            process = await example("resume_stream.py", "position.json", address=server.address, cwd=tmp_path)
            assert process.stdout is not None
            async with Client(server.address) as client:
                request = order_service_pb2.StreamOrderEventsRequest(order_ids=[order_id])
                async for event in client.follow(request, after_sequence=0):
                    last = event.sequence
                    if event.order.HasField("closed_time"):
                        break
            async with asyncio.timeout(20):
                while not seen or seen[-1] < last:
                    seen.append(int((await process.stdout.readline()).split()[0]))
            process.kill()
            await process.communicate()
            recorded = await sequences(server.address, last)
        # Twice only what was printed and not stored yet when it was killed: at most the last of the first run.
        assert sorted(set(seen)) == recorded
        assert seen == sorted(seen)
        assert len(seen) <= len(recorded) + 1
        assert await server.stop() == 0


async def test_the_trading_bot_goes_on_after_a_kill(tmp_path: Path) -> None:
    line = ("trade_bot.py", "AAPL", "190", "--key", "bot-1")
    async with serving(*DEV, cwd=tmp_path) as server:
        process = await example(*line, "--hold-s", "60", address=server.address, cwd=tmp_path)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b" PROTECTED " not in await process.stdout.readline():
                pass
        process.kill()
        await process.communicate()
        for again in ("found again", "found again"):
            process = await example(*line, "--hold-s", "0", address=server.address, cwd=tmp_path)
            async with asyncio.timeout(30):
                out, err = await process.communicate()
            assert process.returncode == 0, err.decode() + out.decode()
            assert again in out.decode()
            assert re.search(r"bought at \S+, sold at \S+ \(REQUESTED\): -?\d", out.decode())
            assert re.search(r"decision bot-1: Entry filled.*, trade closed, P&L ", out.decode())
        _, listed, _ = await ran("order", "list", "--address", server.address, cwd=tmp_path)
        filled = {
            order["role"]: order["filledQuantity"] for order in json.loads(listed) if order["filledQuantity"] != "0"
        }
        # As much as was bought (the venue fills in parts at times) was sold, once.
        assert len(json.loads(listed)) == 3
        assert set(filled) == {"ORDER_ROLE_ENTRY", "ORDER_ROLE_EXIT"}
        assert len(set(filled.values())) == 1
        assert await server.stop() == 0
