"""On a terminal: tables, and questions before something is sent."""

import asyncio
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from oms.v1 import trade_service_pb2 as trades_pb
from tests.client.fake import Fake, account, order, submitted, trade


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: ours and the command's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


async def typed(
    terminal: tuple[int, int], fake: Fake, keys: bytes, *arguments: str, cwd: Path, columns: int = 200
) -> tuple[int, str]:
    """Run `orderd` on the terminal and press these keys when it asks; exit code and everything it showed."""
    ours, theirs = terminal
    environment = {**os.environ, "ORDERD_GRPC_ADDRESS": fake.address, "TERM": "xterm", "COLUMNS": str(columns)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ON_ITS_TERMINAL, *arguments, cwd=cwd, env=environment, stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    typist = None
    async with asyncio.timeout(30):
        while part := await asyncio.to_thread(read, ours):
            shown += part
            if b"[y/N]: " in shown and typist is None:
                typist = asyncio.create_task(type_until_heard(ours, keys))
        if typist is not None:
            typist.cancel()
        return await process.wait(), shown.decode()


async def type_until_heard(end: int, keys: bytes) -> None:
    """What is typed while the command still turns to its terminal can get lost, as for any quick typist."""
    while True:
        os.write(end, keys)
        await asyncio.sleep(0.5)


def read(end: int) -> bytes:
    """What is there to read; nothing when the other end is closed."""
    try:
        return os.read(end, 65_536)
    except OSError:
        return b""


ON_ITS_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from orderd.__main__ import main
sys.argv[0] = "orderd"
main()
"""
BUY = ("order", "submit", "--symbol", "AAPL", "--side", "buy", "--quantity", "1")


@pytest.fixture(autouse=True)
def _answers(fake: Fake) -> None:
    live = account("real", mode=order_pb2.MODE_LIVE)
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse(accounts=[live]))
    fake.answer("SubmitOrder", submitted)
    fake.answer("ListOrders", pb.ListOrdersResponse(orders=[order(2), order(1)]))
    fake.answer("CancelAllOrders", pb.CancelAllOrdersResponse())


async def test_a_table_is_what_people_get(terminal: tuple[int, int], fake: Fake, tmp_path: Path) -> None:
    code, shown = await typed(terminal, fake, b"", "order", "list", cwd=tmp_path)
    assert code == 0
    assert "orderId" in shown
    assert "{" not in shown


async def test_ids_stay_whole_on_a_narrow_terminal(terminal: tuple[int, int], fake: Fake, tmp_path: Path) -> None:
    code, shown = await typed(terminal, fake, b"", "order", "list", cwd=tmp_path, columns=40)
    assert code == 0
    for number in (1, 2):
        assert order(number).order_id in shown


@pytest.mark.parametrize(("keys", "code", "sent"), [(b"y\n", 0, 1), (b"n\n", 1, 0), (b"\n", 1, 0), (b"\x03", 130, 0)])
async def test_real_money_is_asked_for(
    terminal: tuple[int, int], fake: Fake, tmp_path: Path, keys: bytes, code: int, sent: int
) -> None:
    ended, shown = await typed(terminal, fake, keys, *BUY, cwd=tmp_path)
    assert (ended, len(fake.asked["SubmitOrder"])) == (code, sent), shown
    assert "LIVE: account real" in shown
    assert sent or "nothing was sent" in shown


async def test_yes_is_said_beforehand(terminal: tuple[int, int], fake: Fake, tmp_path: Path) -> None:
    code, shown = await typed(terminal, fake, b"", *BUY, "--yes", cwd=tmp_path)
    assert (code, len(fake.asked["SubmitOrder"])) == (0, 1)
    assert "LIVE: account real" in shown
    assert "Send it?" not in shown


@pytest.mark.parametrize(("keys", "code", "sent"), [(b"y\n", 0, 1), (b"n\n", 1, 0)])
async def test_cancel_all_is_asked_for(
    terminal: tuple[int, int], fake: Fake, tmp_path: Path, keys: bytes, code: int, sent: int
) -> None:
    ended, shown = await typed(terminal, fake, keys, "order", "cancel-all", cwd=tmp_path)
    assert (ended, len(fake.asked["CancelAllOrders"])) == (code, sent), shown


@pytest.mark.parametrize(("keys", "code", "sent"), [(b"y\n", 0, 1), (b"n\n", 1, 0)])
async def test_a_trade_with_real_money_is_asked_for(
    terminal: tuple[int, int], fake: Fake, tmp_path: Path, keys: bytes, code: int, sent: int
) -> None:
    signal = ("--symbol", "AAPL", "--side", "buy", "--entry-price", "100", "--stop-loss-price", "95")
    fake.answer("OpenTrade", trades_pb.OpenTradeResponse(trade=trade()))
    ended, shown = await typed(terminal, fake, keys, "trade", "open", *signal, cwd=tmp_path)
    assert (ended, len(fake.asked["OpenTrade"])) == (code, sent), shown
    assert "LIVE: account real" in shown
    assert "stop 95" in shown
