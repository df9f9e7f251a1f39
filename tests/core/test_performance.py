"""The realised series and the statistics over it, in figures that can be checked by hand."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orderd.core.performance import Drawdown, Result, performance
from tests.core.builders import when

CENTS = st.decimals(-1000, 1000, places=2)


def results(*pnls: str | None, strategy: str = "") -> list[Result]:
    return [
        Result(
            result_id=f"ct-{strategy}{n}",
            strategy=strategy,
            at=when(n),
            pnl=None if pnl is None else Decimal(pnl),
            fees=Decimal("0.10"),
            duration=timedelta(seconds=n),
        )
        for n, pnl in enumerate(pnls)
    ]


def test_nothing_traded_has_no_averages_and_no_series() -> None:
    nothing = performance([])
    assert (nothing.points, nothing.strategies) == ((), ())
    summary = nothing.summary
    assert (summary.count, summary.wins, summary.losses, summary.total, summary.fees) == (0, 0, 0, 0, 0)
    for figure in (
        summary.win_rate,
        summary.profit_factor,
        summary.expectancy,
        summary.average_win,
        summary.average_loss,
        summary.best,
        summary.worst,
        summary.average_duration,
    ):
        assert figure is None
    assert summary.drawdown == Drawdown()


def test_one_winning_trade_has_no_profit_factor() -> None:
    summary = performance(results("12.50")).summary
    assert (summary.count, summary.wins, summary.losses) == (1, 1, 0)
    assert (summary.win_rate, summary.expectancy, summary.average_win) == (1, Decimal("12.5"), Decimal("12.5"))
    assert (summary.profit_factor, summary.average_loss) == (None, None)
    assert (summary.best, summary.worst) == (Decimal("12.5"), Decimal("12.5"))
    assert summary.drawdown == Drawdown()


def test_a_result_of_zero_is_a_loss_of_nothing() -> None:
    summary = performance(results("0")).summary
    assert (summary.wins, summary.losses, summary.win_rate, summary.average_loss) == (0, 1, 0, 0)
    assert summary.profit_factor is None


def test_a_first_loss_is_a_fall_from_zero_which_is_a_fraction_of_nothing() -> None:
    summary = performance(results("-40")).summary
    assert summary.drawdown == Drawdown(money=Decimal(40), fraction=None)
    assert (summary.profit_factor, summary.average_loss, summary.gross_loss) == (0, 40, 40)


def test_the_usual_figures() -> None:
    worked = performance(results("100", "-50", "30", "-60", "80"))
    assert [point.cumulative for point in worked.points] == [100, 50, 80, 20, 100]
    summary = worked.summary
    assert (summary.total, summary.gross_profit, summary.gross_loss) == (100, 210, 110)
    assert (summary.win_rate, summary.expectancy) == (Decimal("0.6"), 20)
    assert summary.profit_factor == Decimal("1.909090909090909091")
    assert (summary.average_win, summary.average_loss, summary.best, summary.worst) == (70, 55, 100, -60)
    assert summary.drawdown == Drawdown(money=Decimal(80), fraction=Decimal("0.8"))
    assert (summary.fees, summary.average_duration) == (Decimal("0.50"), timedelta(seconds=2))


def test_each_strategy_has_its_own_figures_in_the_order_of_names() -> None:
    worked = performance(
        results("10", "-5", strategy="momentum") + results("7", strategy="") + results("1", strategy="a")
    )
    assert [(each.strategy, each.total) for each in worked.strategies] == [("", 7), ("a", 1), ("momentum", 5)]
    assert worked.summary.total == 13


def test_a_trade_of_unknown_value_is_counted_apart() -> None:
    worked = performance(results("10", None, "-4"))
    assert (worked.summary.count, worked.summary.unvalued, worked.summary.total) == (2, 1, 6)
    assert [point.result_id for point in worked.points] == ["ct-0", "ct-2"]
    assert worked.summary.fees == Decimal("0.20")


@given(st.lists(CENTS, max_size=30), st.randoms(use_true_random=False))
def test_figures_agree_with_each_other_in_whatever_order_the_trades_come(pnls: list[Decimal], random: object) -> None:
    told = results(*(str(pnl) for pnl in pnls))
    shuffled = list(told)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    worked = performance(shuffled)
    assert worked == performance(told)
    summary = worked.summary
    assert summary.total == sum(pnls) == summary.gross_profit - summary.gross_loss
    assert summary.wins + summary.losses == summary.count == len(pnls)
    cumulative = [Decimal(0)] + [point.cumulative for point in worked.points]
    deepest = max(max(cumulative[: n + 1]) - value for n, value in enumerate(cumulative))
    assert summary.drawdown.money == deepest
