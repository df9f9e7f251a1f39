"""docs/walkthrough.md, typed line by line into one shell: every command does what the page says comes back."""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "walkthrough.md"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "--- the next block ---"
LONGEST_S = 150


def steps() -> list[tuple[str, str]]:
    """Each block of commands, and what the page says that it prints."""
    found: list[tuple[str, str]] = []
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def script(ports: dict[str, int]) -> str:
    """All of it as one script, at ports that nobody else has; each block says when it begins."""
    whole = "".join(f"echo '{MARK}'\n{commands}" for commands, _ in steps())
    for written, port in ports.items():
        assert f":{written}" in whole
        whole = whole.replace(f":{written}", f":{port}")
    return f"set -u\n{whole}"


def put_on_path(directory: Path) -> None:
    """`.venv/bin/orderd`, as the page finds it."""
    program = directory / ".venv" / "bin" / "orderd"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m orderd "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def logs(directory: Path) -> str:
    """What a failing walk shows: the end of what each program said on stderr."""
    return "".join(path.read_text(encoding="utf-8")[-2000:] for path in sorted(directory.rglob("*.log")))


@pytest.mark.timeout(LONGEST_S + 30)
async def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    missing = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"NOT WALKED: this machine has no {', '.join(missing)}")
    put_on_path(tmp_path)
    ports = {"9001": free_port(), "50051": free_port()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERD_")}
    environment["ORDERD_GRPC_ADDRESS"] = f"127.0.0.1:{ports['50051']}"
    (tmp_path / "walk.sh").write_text(script(ports), encoding="utf-8")
    shell = await asyncio.create_subprocess_exec(
        "bash", "walk.sh", cwd=tmp_path, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_S):
            out, err = await shell.communicate()
    finally:
        if shell.returncode is None:
            os.killpg(shell.pid, signal.SIGKILL)
    printed = out.decode().split(f"{MARK}\n")[1:]
    told = [expected for _, expected in steps()]
    assert printed == told, err.decode() + logs(tmp_path)
    assert shell.returncode == 0
