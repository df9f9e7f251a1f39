"""The error table: what is a no, what was not sent, and that everything else proves nothing."""

import json

import pytest

from orderd.brokers.alpaca import errors, stops
from orderd.brokers.alpaca.client import Response
from orderd.core.trade_steps import Refused as Sort
from orderd.core.values import Reason
from orderd.ports import NotSent, Refused, Unknown


def answer(status: int, body: bytes | dict[str, object]) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers={}, body=raw)


def said(status: int, message: str, code: int | None = 40310000) -> Response:
    return answer(status, {"message": message} if code is None else {"code": code, "message": message})


DEFINITE = [
    (403, "cannot open a short sell while a long buy order is open"),
    (403, "requested asset is not fractionable"),
    (403, "insufficient balance for USDT (requested: 10, available: 2)"),
    (403, "account is not allowed to short"),
    (403, "unable to open new notional orders while having open closing position orders"),
    (422, "potential wash trade detected. use complex orders"),
    (422, "invalid take_profit.limit_price 41.085. sub-penny increment does not fulfill minimum pricing criteria"),
    (422, "take_profit.limit_price must be <= base_price - 0.01"),
    (422, "stop_loss.stop_price must be >= base_price + 0.01"),
    (422, "stop price must be greater than current price"),
    (422, 'asset "RGC" is not tradable'),
    (422, 'asset "TXN" cannot be sold short'),
    (422, "invalid order type for crypto order"),
    (422, "fractional orders cannot be sold short"),
    (422, "fractional orders are not allowed to short"),
    (422, "fractional orders must be simple orders"),
    (422, "fractional orders must be DAY orders"),
    (422, "extended hours orders between 6:00pm and 8:00pm is not supported"),
    (401, "request is not authorized"),
]


@pytest.mark.parametrize(("status", "message"), DEFINITE)
def test_a_listed_refusal_is_definite(status: int, message: str) -> None:
    verdict = errors.judge(said(status, message), errors.SUBMIT)
    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.message, verdict.is_duplicate_id) == ("40310000", message, False)
    assert verdict.raw


PROVES_NOTHING = [
    said(403, "computer says no"),
    said(422, "something new"),
    said(400, "insufficient buying power"),
    said(500, "insufficient buying power"),
    said(200, "insufficient buying power"),
    said(422, "insufficient buying power"),
    said(403, "the insufficient buying power"),
    said(403, "client_order_id must be unique"),
    said(403, ""),
    answer(403, {"code": 40310000}),
    answer(403, {"code": 40310000, "message": None}),
    answer(403, {"code": 40310000, "message": ["insufficient buying power"]}),
    answer(403, b"<html>insufficient buying power</html>"),
    answer(403, b""),
    answer(403, b'"insufficient buying power"'),
    answer(403, b"[]"),
    answer(502, b"<html>"),
    answer(504, b""),
    answer(307, b""),
    answer(404, b"<html>"),
    said(404, "order not found for x"),
    said(429, "slow down"),
    answer(429, b"<html>rate limit exceeded</html>"),
    answer(429, b""),
    said(200, "rate limit exceeded"),
    said(503, "rate limit exceeded"),
]


@pytest.mark.parametrize("response", PROVES_NOTHING)
def test_everything_else_is_unknown(response: Response) -> None:
    verdict = errors.judge(response, errors.SUBMIT)
    assert isinstance(verdict, Unknown)
    assert verdict.code
    assert verdict.raw == response.body


def test_the_rate_limit_was_not_sent_with_or_without_its_code() -> None:
    for code in (42910000, None):
        assert isinstance(errors.judge(said(429, "rate limit exceeded", code), errors.SUBMIT), NotSent)


def test_a_taken_client_id_is_told_apart() -> None:
    verdict = errors.judge(said(422, "client_order_id must be unique", 40010001), errors.SUBMIT)
    assert isinstance(verdict, Refused)
    assert verdict.is_duplicate_id


@pytest.mark.parametrize(
    ("response", "is_absent"),
    [
        (said(404, "order not found for 7", 40410000), True),
        (said(404, "order is not found.", 40410000), True),
        (said(404, "order not found for 7", None), False),
        (said(404, "order not found for 7", 40010001), False),
        (said(404, "position does not exist", 40410000), False),
        (said(404, "the order not found", 40410000), False),
        (said(422, "order not found for 7", 40410000), False),
        (answer(404, b"<html>not found</html>"), False),
        (answer(404, b""), False),
        (answer(404, {}), False),
    ],
)
def test_only_alpacas_own_word_says_absent(response: Response, is_absent: bool) -> None:
    assert errors.is_absent(response) is is_absent


def test_a_submit_does_not_borrow_the_refusals_of_other_calls() -> None:
    for message in ('order is already in "filled" state', "unable to replace order, order is not open"):
        assert isinstance(errors.judge(said(422, message), errors.SUBMIT), Unknown)
    assert isinstance(errors.judge(said(422, "unable to replace order, order is not open"), errors.REPLACE), Refused)
    assert isinstance(errors.judge(said(403, "order parameters are not changed"), errors.REPLACE), Refused)
    assert isinstance(errors.judge(said(422, "client_order_id must be unique"), errors.CANCEL), Unknown)


def test_a_part_of_a_share_that_is_not_held_yet_may_be_stopped_in_a_moment() -> None:
    for text in ("fractional orders cannot be sold short", "insufficient qty available for order (requested: 2)"):
        assert stops.sort_refusal(Reason(code="42210000", message=text)) is Sort.FOR_NOW
    assert (
        stops.sort_refusal(Reason(code="42210000", message="fractional orders must be simple orders")) is Sort.FOR_GOOD
    )
