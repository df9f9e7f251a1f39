"""AccountService: the configured accounts and how well they are known."""

from datetime import UTC, datetime, timedelta
from typing import Final

from oms.v1 import account_service_pb2 as pb
from orderd.engine.api import AccountStatus, Engine
from orderd.ports import BrokerAccount
from orderd.server import naming
from orderd.server.call import Call
from orderd.wire import enums
from orderd.wire.messages import text_of
from orderd.wire.risk import TRADING_STATE
from orderd.wire.times import set_time

MAX_TEXT: Final = 512


class AccountService:
    """ListAccounts, GetAccount."""

    def __init__(self, engine: Engine) -> None:
        """Everything is asked of the engine."""
        self._engine = engine

    async def ListAccounts(self, request: pb.ListAccountsRequest, call: Call) -> bytes:
        """All accounts, without asking their brokers."""
        statuses = [await self._engine.account_status(name, fresh=False) for name in self._engine.account_ids()]
        answer = pb.ListAccountsResponse(accounts=[account_message(status) for status in statuses])
        return answer.SerializeToString()

    async def GetAccount(self, request: pb.GetAccountRequest, call: Call) -> bytes:
        """One account, with the broker's figures of now."""
        account_id = naming.account(self._engine, request.account_id)
        call.note(account_id=account_id)
        status = await self._engine.account_status(account_id, fresh=True)
        return pb.GetAccountResponse(account=account_message(status)).SerializeToString()


def account_message(status: AccountStatus) -> pb.Account:
    """An account as the wire shows it. The figures are absent unless the broker was asked and answered."""
    message = pb.Account(
        account_id=status.account_id,
        broker=status.broker,
        mode=enums.MODE.number[status.mode],
        trading_state=TRADING_STATE.number[status.trading_state],
        trading_state_reason=status.trading_state_reason[:MAX_TEXT],
        recovering=status.is_recovering,
        halted=bool(status.halt_reason),
        halt_reason=status.halt_reason[:MAX_TEXT],
        stream_health=pb.STREAM_HEALTH_CONNECTED if status.stream_connected else pb.STREAM_HEALTH_DISCONNECTED,
        figures_error=status.figures_error[:MAX_TEXT],
        open_order_count=status.open_orders,
        unknown_order_count=status.unknown_orders,
        open_discrepancy_count=status.open_discrepancies,
    )
    set_time(message.stream_changed_time, status.stream_changed_time)
    set_time(message.reconciled_time, status.reconciled_time)
    if status.reconcile_age_s is not None:
        message.reconcile_age.FromTimedelta(timedelta(seconds=max(status.reconcile_age_s, 0)))
    if status.figures is not None:
        _add_figures(message, status.figures)
    return message


def _add_figures(message: pb.Account, figures: BrokerAccount) -> None:
    # They are read for the call that shows them, never kept.
    set_time(message.figures_time, datetime.now(UTC))
    message.currency = figures.currency
    message.equity = text_of(figures.equity)
    message.last_equity = text_of(figures.last_equity)
    message.cash = text_of(figures.cash)
    message.buying_power = text_of(figures.buying_power)
