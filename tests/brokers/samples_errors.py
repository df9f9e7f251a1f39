"""What each error body of the samples means as the answer to a call."""

import json

from orderd.brokers.alpaca import errors
from orderd.brokers.alpaca.client import Response
from orderd.ports import NotSent, Refused, Unknown
from tests.brokers.sample_checks import CHECKS, Check, checks

_FORBIDDEN, _MALFORMED, _UNPROCESSABLE = "40310000", "40010001", "42210000"
_SHORT_OF = "insufficient qty available for order (requested: 1.057436865, available: 0.557436865)"
_COVERED = "insufficient underlying qty available for covered call (required: 200, available: 0)"
_PENNY = "invalid limit_price 41.085. sub-penny increment does not fulfill minimum pricing criteria"
_NOBODY = "order not found for b0b6dd9d-8b9b-48a9-ba46-b9d54906e415"

REFUSALS: dict[str, tuple[int, errors.Table, type, str, str]] = {
    "error_2026_403_insufficient_qty.json": (403, errors.SUBMIT, Refused, _FORBIDDEN, _SHORT_OF),
    "error_2026_403_not_fractionable.json": (
        403, errors.SUBMIT, Refused, _FORBIDDEN, 'asset "OCGN" is not fractionable',
    ),
    "error_2026_422_duplicate_client_order_id.json": (
        422, errors.SUBMIT, Refused, _MALFORMED, "client_order_id must be unique",
    ),
    "error_401_access_key.json": (
        401, errors.SUBMIT, Refused, "40110000", "access key verification failed : verification failure",
    ),
    "error_401_unauthorized_no_code.json": (401, errors.SUBMIT, Refused, "HTTP_401", "unauthorized"),
    "error_403_alpaca_py_225.json": (403, errors.SUBMIT, Refused, _FORBIDDEN, "insufficient buying power"),
    "error_403_covered_call_qty.json": (403, errors.SUBMIT, Refused, _FORBIDDEN, _COVERED),
    "error_403_crypto_min_cost.json": (
        403, errors.SUBMIT, Refused, _FORBIDDEN, "cost basis must be >= minimal amount of order 10",
    ),
    "error_403_forbidden_no_code.json": (403, errors.SUBMIT, Refused, "HTTP_403", "forbidden."),
    "error_403_insufficient_buying_power.json": (403, errors.SUBMIT, Refused, _FORBIDDEN, "insufficient buying power"),
    "error_403_opposite_side.json": (
        403, errors.SUBMIT, Refused, _FORBIDDEN, "cannot open a long buy while a short sell order is open",
    ),
    "error_403_wash_trade.json": (
        403, errors.SUBMIT, Refused, _FORBIDDEN, "potential wash trade detected. use complex orders",
    ),
    "error_404_asset.json": (404, errors.SUBMIT, Unknown, "40410000", "asset not found for FFFFF"),
    "error_404_client_order_id_not_found.json": (404, errors.CANCEL, Refused, "40410000", _NOBODY),
    "error_404_order_not_found.json": (404, errors.CANCEL, Refused, "40410000", _NOBODY),
    "error_404_position.json": (404, errors.SUBMIT, Unknown, "40410000", "position does not exist"),
    "error_422_activity_type.json": (422, errors.SUBMIT, Unknown, _MALFORMED, "invalid activity type: FFFFF"),
    "error_422_asset_not_found.json": (422, errors.SUBMIT, Refused, _MALFORMED, 'could not find asset "FACEBOOK"'),
    "error_422_cancel_filled.json": (422, errors.CANCEL, Refused, _UNPROCESSABLE, 'order is already in "filled" state'),
    "error_422_malformed_order_id.json": (422, errors.CANCEL, Refused, _MALFORMED, "order_id is missing"),
    "error_422_replace_not_sent_yet.json": (
        422, errors.REPLACE, Refused, _MALFORMED, "unable to replace order, order isn't sent to exchange yet",
    ),
    "error_422_stop_price.json": (
        422, errors.SUBMIT, Refused, _UNPROCESSABLE, "stop price must be less than current price",
    ),
    "error_422_sub_penny.json": (422, errors.SUBMIT, Refused, _UNPROCESSABLE, _PENNY),
    "error_429_rate_limit.json": (429, errors.SUBMIT, NotSent, "42910000", "rate limit exceeded"),
}  # fmt: skip


def _refusal(name: str) -> Check:
    def check(body: bytes) -> None:
        status, table, kind, code, message = REFUSALS[name]
        verdict = errors.judge(Response(status=status, headers={}, body=body), table)
        assert (type(verdict), verdict.code, verdict.message) == (kind, code, message)
        if isinstance(verdict, Refused):
            assert verdict.is_duplicate_id is ("must be unique" in message)

    return check


CHECKS.update({name: _refusal(name) for name in REFUSALS})


@checks("error_exercise_examples.json")
def _exercise(body: bytes) -> None:
    """No order is behind these: as an answer to a submit they would prove nothing, but for the symbol."""
    found: dict[str, type] = {}
    for status, cases in json.loads(body).items():
        for said in cases.values():
            response = Response(status=int(status), headers={}, body=json.dumps(said).encode())
            found[said["message"]] = type(errors.judge(response, errors.SUBMIT))
    assert found == {
        "no available position for the specified contract": Unknown,
        "cannot exercise short position": Unknown,
        "invalid symbol": Refused,
    }
