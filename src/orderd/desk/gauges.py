"""The desk's figures for the metrics page: what is open without a working stop, and what may be traded at all."""

from collections.abc import Mapping, Sequence

from orderd.desk.protector import Protector
from orderd.desk.tradebook import TradeBook
from orderd.engine.account import Account
from orderd.engine.engine import OrderEngine


class Figures:
    """The engine's figures and the desk's, for one page."""

    def __init__(
        self, engine: OrderEngine, book: TradeBook, protector: Protector, accounts: Mapping[str, Account]
    ) -> None:
        """Nothing is kept."""
        self._engine = engine
        self._book = book
        self._protector = protector
        self._accounts = accounts

    def gauges(self) -> Sequence[tuple[str, Mapping[str, str], float]]:
        """(name, labels, value) of every figure, as of now."""
        rows = list(self._engine.gauges())
        for account_id, account in self._accounts.items():
            rows += [(name, {"account": account_id}, value) for name, value in self._of(account_id, account)]
        return rows

    def _of(self, account_id: str, account: Account) -> Sequence[tuple[str, float]]:
        trades = self._book.live(account_id)
        state = account.risk.state
        breaker = account.policy.limits.has_breaker and account.risk.day().trip is not None
        return (
            ("orderd_trades_open", float(len(trades))),
            ("orderd_unprotected_quantity", float(self._book.unprotected(account_id))),
            ("orderd_unprotected_seconds", max(map(self._protector.uncovered_s, trades), default=0.0)),
            ("orderd_trading_state", float(state.strictness)),
            ("orderd_circuit_breaker_tripped", float(breaker)),
        )
