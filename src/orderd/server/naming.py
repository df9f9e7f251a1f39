"""Which account and which order a request means. Every service asks here, so that one rule holds everywhere.

Rule: an account may be left out only where exactly one is configured. An id that belongs to another account is as
unknown as one that never was.
"""

from collections.abc import Iterable

from oms.v1 import order_pb2 as pb
from orderd.engine.api import Engine, OrderRef
from orderd.engine.errors import EngineError
from orderd.server.errors import invalid, unknown_account, unknown_order
from orderd.wire.asks import ACCOUNT_REQUIRED, Invalid, OrderName, Violation


def implied(engine: Engine, given: str) -> str:
    """The account a request means, not yet checked: its own, else the only one, else empty."""
    if given:
        return given
    accounts = engine.account_ids()
    return accounts[0] if len(accounts) == 1 else ""


def check_known(engine: Engine, account_ids: Iterable[str]) -> None:
    """Raise NOT_FOUND when one of the accounts is not configured."""
    known = engine.account_ids()
    for account_id in account_ids:
        if account_id not in known:
            raise unknown_account(account_id)


def account(engine: Engine, given: str) -> str:
    """The configured account a request means. Raises INVALID_ARGUMENT or NOT_FOUND."""
    account_id = implied(engine, given)
    if not account_id:
        raise _account_required()
    check_known(engine, (account_id,))
    return account_id


def order_ref(engine: Engine, name: OrderName) -> OrderRef:
    """The order a request means, by a reference that leads to it. Raises INVALID_ARGUMENT or NOT_FOUND.

    Our id is enough by itself; the other ids are unique in their account only.
    """
    if not name.order_id:
        return OrderRef(
            client_order_id=name.client_order_id,
            broker_order_id=name.broker_order_id,
            account_id=account(engine, name.account_id),
        )
    if name.account_id:
        order_data(engine, name)
    return OrderRef(order_id=name.order_id)


def order_data(engine: Engine, name: OrderName) -> tuple[str, bytes]:
    """Our id of the order a request means, and its stored bytes. Raises INVALID_ARGUMENT or NOT_FOUND."""
    if name.account_id:
        check_known(engine, (name.account_id,))
    order_id = name.order_id or engine.find(order_ref(engine, name))
    data = engine.journal.order_data(order_id)
    if data is None or (name.account_id and pb.Order.FromString(data).account_id != name.account_id):
        raise unknown_order(order_id)
    return order_id, data


def _account_required() -> EngineError:
    rule = "is required: several accounts are configured"
    return invalid(Invalid(reason=ACCOUNT_REQUIRED, violations=(Violation(field="account_id", rule=rule),)))
