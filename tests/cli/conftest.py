"""A command line in this process, and a scripted server in a thread beside it."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest
import typer

from orderd.cli.main import app
from tests.client.fake import Fake, serving


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]
COMMAND = typer.main.get_command(app)


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A server whose answers the test writes."""
    scripted = Fake()
    loop = asyncio.new_event_loop()
    is_up, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(scripted):
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert is_up.wait(10)
    yield scripted
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `orderd` with these arguments; there is no server."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ORDERD_GRPC_ADDRESS", "127.0.0.1:9")

    def call(*arguments: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            COMMAND.main(args=list(arguments), prog_name="orderd")
        return Ran(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def run(fake: Fake, invoke: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `orderd` with these arguments against the scripted server."""
    monkeypatch.setenv("ORDERD_GRPC_ADDRESS", fake.address)
    return invoke
