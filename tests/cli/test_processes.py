"""The real thing: `orderd dev`, `serve` and `venue` as processes, and the command line against them."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from orderd import __version__
from tests.cli.processes import ran, serving, spawn

DEV = ("dev", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")


async def test_dev_serves_trades_and_stops(tmp_path: Path) -> None:
    async with serving(*DEV, cwd=tmp_path) as server:
        assert (server.ready["event"], server.ready["accounts"]) == ("ready", ["paper"])
        assert (await server.line()).startswith(f"orderd serves gRPC at {server.address}")
        hints = [await server.line() for _ in range(4)]
        assert any("event watch" in hint for hint in hints)
        at = ("--address", server.address)
        submit = ("order", "submit", "--symbol", "AAPL", "--side", "buy", "--quantity", "1")
        code, out, err = await ran(*submit, "--client-order-id", "mine-1", *at, cwd=tmp_path)
        assert code == 0, err
        order = json.loads(out)
        code, out, err = await ran(
            "event", "watch", "--order-id", order["orderId"], "--after", "0", "--until-terminal", *at, cwd=tmp_path
        )
        assert code == 0, err
        story = [json.loads(line) for line in out.splitlines()]
        assert [event["version"] for event in story] == list(range(1, len(story) + 1))
        assert story[-1]["toStatus"] == "ORDER_STATUS_FILLED"
        code, out, err = await ran(*submit, "--client-order-id", "mine-1", *at, cwd=tmp_path)
        assert (code, json.loads(out)["orderId"]) == (0, order["orderId"])
        assert "replayed" in err
        code, out, err = await ran(*submit[:-1], "2", "--client-order-id", "mine-1", *at, cwd=tmp_path)
        assert (code, out) == (8, "")
        assert "CLIENT_ORDER_ID_REUSED" in err
        server.process.send_signal(signal.SIGINT)
        assert await server.line() == "orderd has stopped; the next start goes on from its journal."
        _, err = await server.process.communicate()
        assert (server.process.returncode, err) == (0, b"")
    assert (tmp_path / "var" / "dev.db").exists()


async def test_the_version_is_told(tmp_path: Path) -> None:
    assert await ran("--version", cwd=tmp_path) == (0, f"orderd {__version__}\n", "")
    code, out, _ = await ran("version", cwd=tmp_path)
    assert (code, __version__ in out) == (0, True)


async def test_a_watch_survives_a_restart_of_the_server(tmp_path: Path, unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    dev = ("dev", "--grpc-address", address, "--http-address", "")
    submit = ("order", "submit", "--symbol", "AAPL", "--side", "buy", "--quantity", "1", "--address", address)
    async with serving(*dev, cwd=tmp_path) as server:
        assert (await ran(*submit, "--client-order-id", "k-1", cwd=tmp_path))[0] == 0
        watch = await spawn("event", "watch", "--after", "0", "--address", address, "-o", "jsonl", cwd=tmp_path)
        assert watch.stdout is not None
        seen = [json.loads(await watch.stdout.readline())]
        while seen[-1]["toStatus"] != "ORDER_STATUS_FILLED":
            seen.append(json.loads(await watch.stdout.readline()))
        assert await server.stop() == 0
    async with serving(*dev, cwd=tmp_path) as server:
        async with asyncio.timeout(20):
            while (await ran(*submit, "--client-order-id", "k-2", cwd=tmp_path))[0] == 7:
                pass  # ACCOUNT_RECOVERING
            while seen[-1]["order"]["clientOrderId"] != "k-2" or seen[-1]["toStatus"] != "ORDER_STATUS_FILLED":
                seen.append(json.loads(await watch.stdout.readline()))
        watch.send_signal(signal.SIGINT)
        _, err = await watch.communicate()
        assert watch.returncode == 130
        assert err.decode().count("reconnecting after sequence") == 1, "one line for one interruption"
        _, out, _ = await ran(
            "event", "watch", "--after", "0", "--limit", str(len(seen)), "--address", address, cwd=tmp_path
        )
        assert [json.loads(line) for line in out.splitlines()] == seen
        assert await server.stop() == 0


async def test_the_demo_bot_trades_and_leaves_with_the_server(tmp_path: Path) -> None:
    async with serving(*DEV, "--demo", cwd=tmp_path) as server:
        while not (line := await server.line()).startswith("bot: held"):
            pass
        assert "filled" in line
        _, out, _ = await ran("fill", "list", "--limit", "1", "--address", server.address, cwd=tmp_path)
        assert json.loads(out)[0]["strategy"] == "demo"
        server.process.kill()
        assert server.process.stderr is not None
        async with asyncio.timeout(20):
            await server.process.stderr.read()  # ends when the bot, which shares it, has ended too


async def test_dev_never_reads_a_real_account(tmp_path: Path) -> None:
    (tmp_path / "orderd.toml").write_text('[accounts.real]\nbroker = "alpaca"\nmode = "live"\n', encoding="utf-8")
    environment = {
        "ORDERD_CONFIG": str(tmp_path / "orderd.toml"), "ORDERD_ACCOUNTS__REAL__BROKER": "alpaca",
        "ORDERD_ACCOUNTS__PAPER__BROKER": "alpaca", "ORDERD_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/other.db",
        "ORDERD_GRPC_ADDRESS": "127.0.0.1:0", "ORDERD_HTTP_ADDRESS": "127.0.0.1:0",
    }  # fmt: skip
    async with serving("dev", cwd=tmp_path, environment=environment) as server:
        assert server.ready["accounts"] == ["paper"]
        _, out, _ = await ran("account", "list", "--address", server.address, cwd=tmp_path)
        assert [found["broker"] for found in json.loads(out)] == ["simulated"]
        assert await server.stop() == 0
    assert (tmp_path / "other.db").exists()


async def test_serve_against_a_venue(tmp_path: Path) -> None:
    async with serving("venue", "--listen", "127.0.0.1:0", "--key-id", "k", "--secret-key", "s", cwd=tmp_path) as venue:
        assert (venue.ready["event"], venue.ready["protocol"]) == ("ready", "alpaca")
        (tmp_path / "orderd.toml").write_text(
            f"""
            database_url = "sqlite+aiosqlite:///{tmp_path}/orderd.db"
            grpc_address = "127.0.0.1:0"
            http_address = ""
            [accounts.paper]
            broker = "alpaca"
            key_id = "k"
            secret_key = "s"
            rest_url = "{venue.ready["rest_url"]}"
            stream_url = "{venue.ready["stream_url"]}"
            [risk]
            max_order_quantity = "5"
            """,
            encoding="utf-8",
        )
        async with serving("serve", "--config", "orderd.toml", "--log-level", "error", cwd=tmp_path) as server:
            submit = ("order", "submit", "--symbol", "AAPL", "--side", "buy", "--address", server.address)
            async with asyncio.timeout(20):
                while (await ran(*submit, "--quantity", "1", cwd=tmp_path))[0] == 7:
                    pass  # ACCOUNT_RECOVERING
            code, out, err = await ran(*submit, "--quantity", "6", cwd=tmp_path)
            assert (code, json.loads(out)["status"]) == (4, "ORDER_STATUS_DENIED")
            assert "DENIED: " in err
            _, out, _ = await ran("account", "get", "--address", server.address, cwd=tmp_path)
            assert float(json.loads(out)["equity"]) > 0
            assert await server.stop() == 0
        assert await venue.stop() == 0


async def test_a_bad_configuration_is_told_whole(tmp_path: Path) -> None:
    (tmp_path / "orderd.toml").write_text('grpc_adress = "x"\n[accounts.a]\nbroker = "alpaca"\n', encoding="utf-8")
    code, out, err = await ran("serve", "--config", "orderd.toml", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "the configuration has 3 problems:" in err
    assert "grpc_adress (orderd.toml, line 1): unknown key; did you mean grpc_address?" in err


async def test_config_show_masks_and_tells_origins(tmp_path: Path) -> None:
    (tmp_path / "orderd.toml").write_text('[accounts.a]\nbroker = "alpaca"\nkey_id = "canary-1"\n', encoding="utf-8")
    environment = {"ORDERD_ACCOUNTS__A__SECRET_KEY": "canary-2", "ORDERD_CONFIG": "orderd.toml"}
    code, out, err = await ran("config", "show", "--origin", cwd=tmp_path, environment=environment)
    assert code == 0
    rows = {row["key"]: (row["value"], row["origin"]) for row in json.loads(out)}
    assert rows["accounts.a.key_id"] == ("********", "orderd.toml, line 3")
    assert rows["accounts.a.secret_key"] == ("********", "variable ORDERD_ACCOUNTS__A__SECRET_KEY")
    assert rows["grpc_address"] == ("127.0.0.1:50051", "default")
    assert "canary" not in out + err


async def test_a_venue_that_cannot_listen(tmp_path: Path) -> None:
    async with serving("venue", "--listen", "127.0.0.1:0", cwd=tmp_path) as venue:
        taken = venue.ready["rest_url"].removeprefix("http://")
        code, out, err = await ran("venue", "--listen", taken, cwd=tmp_path)
    assert (code, out) == (1, "")
    assert f"cannot listen at {taken}" in err


async def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    async with serving(*DEV, cwd=tmp_path) as server:
        command = (
            f"{sys.executable} -m orderd order submit --symbol AAPL --side buy --quantity 1 --address {server.address}"
        )
        script = f"{command} | true; exit ${{PIPESTATUS[0]}}"
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", script, stderr=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        _, err = await process.communicate()
        assert process.returncode == 0
        assert "Traceback" not in err.decode()
        assert await server.stop() == 0


# --- quick to start -------------------------------------------------------------------------------------

HEAVY = ("sqlalchemy", "alpaca", "aiohttp", "pandas", "orderd.server", "orderd.engine", "orderd.venue",
         "orderd.storage", "orderd.brokers", "orderd.config", "uvloop", "structlog", "prometheus_client")  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["order", "submit", "--help"], ["order", "list", "--address", "127.0.0.1:9"]],
    ids=" ".join,
)
async def test_a_client_command_imports_no_server(tmp_path: Path, arguments: list[str]) -> None:
    code = f"""
import sys
from orderd.__main__ import main
sys.argv = ["orderd", *{arguments!r}]
try:
    main()
except SystemExit:
    pass
heavy = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(repr(heavy) if heavy else 0)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()


async def test_a_client_command_starts_quickly(tmp_path: Path) -> None:
    """CPU time of the child, so that a busy machine does not count; the goal is 0.3 s on an idle one."""
    before = os.times()
    for _ in range(3):
        await ran("order", "list", "--address", "127.0.0.1:9", cwd=tmp_path)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent / 3 < 0.6
