"""OrderService, the calls that change something: submit, batch, cancel, replace. And the preview, which does not.

Each is check, engine, bytes. What an order comes to is an answer; errors are for calls that recorded nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from oms.v1 import error_pb2
from oms.v1 import order_service_pb2 as pb
from orderd.core.order import Order
from orderd.engine import api
from orderd.engine.api import CancelAllAsk, Engine, ReplaceAsk, Wait
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import error_message, invalid, reason_number, refuse
from orderd.wire import splice
from orderd.wire.asks import Invalid, SubmitAsk
from orderd.wire.instruments import instrument_message
from orderd.wire.messages import complete_order_bytes, text_of
from orderd.wire.validate_changes import cancel_all_ask, cancel_ask, replace_ask, unsuited
from orderd.wire.validate_order import batch_ask, preview_ask, submit_ask

log = structlog.get_logger("orderd.server")

WAIT_S: Final = 5.0
"""The longest that a call waits for a broker's word. Seconds."""
MAX_BATCH_BYTES: Final = 3 * 1024 * 1024
"""Most clients refuse an answer over 4 MiB. Only replayed orders with large tags can come near it."""


class OrderChanges:
    """SubmitOrder, BatchSubmitOrders, CancelOrder, CancelAllOrders, ReplaceOrder, PreviewOrder."""

    def __init__(self, engine: Engine) -> None:
        """Everything is asked of the engine; nothing is kept here."""
        self._engine = engine

    async def SubmitOrder(self, request: pb.SubmitOrderRequest, call: Call) -> bytes:
        """Record the order, hand it to the submit worker, answer as asked."""
        ask = submit_ask(request, account_id=naming.implied(self._engine, request.account_id))
        return await self._submit(ask, call, _wait(request.wait, Wait.BROKER))

    async def BatchSubmitOrders(self, request: pb.BatchSubmitOrdersRequest, call: Call) -> bytes:
        """Submit each order by itself, all at once, so that one commit of the journal takes many."""
        checked = batch_ask(request)
        if isinstance(checked, Invalid):
            raise invalid(checked)
        wait = _wait(request.wait, Wait.JOURNAL)
        # The tasks begin in the order given, and each comes to its append without waiting: the journal keeps the order.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one_of_many(item, call, wait)) for item in request.requests]
        return splice.batch_response(_fitting([task.result() for task in tasks]))

    async def CancelOrder(self, request: pb.CancelOrderRequest, call: Call) -> bytes:
        """Ask for the cancel of one order."""
        ask = cancel_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        ref = naming.order_ref(self._engine, ask.order)
        call.note(order_id=ref.order_id or ref.client_order_id)
        wait = _wait(request.wait, Wait.BROKER)
        order = await self._engine.cancel(ref, reason=ask.reason, wait=wait, timeout_s=call.patience_s(WAIT_S))
        return splice.cancel_response(self._bytes(order))

    async def CancelAllOrders(self, request: pb.CancelAllOrdersRequest, call: Call) -> bytes:
        """Ask for the cancel of every matching open order of one account."""
        ask = cancel_all_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        results = await self._engine.cancel_all(
            CancelAllAsk(
                account_id=account_id,
                symbols=ask.symbols,
                include_protective=ask.include_protective,
                include_external=ask.include_external,
                reason=ask.reason,
            )
        )
        answer = pb.CancelAllOrdersResponse()
        for result in results:
            answer.results.add(order_id=result.order_id, error_reason=_cancel_reason(result))
        return answer.SerializeToString()

    async def ReplaceOrder(self, request: pb.ReplaceOrderRequest, call: Call) -> bytes:
        """Ask for new terms of one order."""
        ask = replace_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        ref = naming.order_ref(self._engine, ask.order)
        order_id = self._engine.find(ref)
        call.note(order_id=order_id)
        present = self._engine.journal.load(order_id)
        problem = None if present is None else unsuited(ask, present)
        if problem is not None:
            raise invalid(problem)
        terms = ReplaceAsk(
            request_id=ask.request_id,
            quantity=ask.quantity,
            limit_price=ask.limit_price,
            stop_price=ask.stop_price,
            trail=ask.trail,
            time_in_force=ask.time_in_force,
            expected_version=ask.expected_version,
            reason=ask.reason,
        )
        order = await self._engine.replace(ref, terms, timeout_s=call.patience_s(WAIT_S))
        return splice.replace_response(self._bytes(order))

    async def PreviewOrder(self, request: pb.PreviewOrderRequest, call: Call) -> bytes:
        """Tell what a submit would do; a malformed order is an answer here, not an error."""
        account_id = naming.implied(self._engine, request.order.account_id)
        ask = preview_ask(request, account_id=account_id)
        if isinstance(ask, Invalid):
            if not request.HasField("order"):
                raise invalid(ask)
            return _malformed_preview(ask).SerializeToString()
        naming.check_known(self._engine, (ask.intent.account_id,))
        call.note(account_id=ask.intent.account_id, trace_id=ask.intent.trace_id)
        preview = await self._engine.preview(ask.intent)
        return _preview_message(preview, ask.intent.client_order_id).SerializeToString()

    async def _submit(self, ask: SubmitAsk | Invalid, call: Call, wait: Wait) -> bytes:
        if isinstance(ask, Invalid):
            raise invalid(ask)
        intent = ask.intent
        naming.check_known(self._engine, (intent.account_id,))
        call.note(account_id=intent.account_id, client_order_id=intent.client_order_id, trace_id=intent.trace_id)
        timeout_s = call.patience_s(WAIT_S) if wait is Wait.BROKER else 0.0
        result = await self._engine.submit(intent, wait=wait, timeout_s=timeout_s)
        return splice.submit_response(self._bytes(result.order), replayed=result.replayed)

    def _bytes(self, order: Order) -> bytes:
        """The order as a message: the bytes that were committed, when the journal still has them for this version."""
        known = self._engine.journal.order_data(order.order_id)
        if known is not None and splice.is_at(known, order.sequence):
            return known
        return complete_order_bytes(order)

    async def _one_of_many(self, request: pb.SubmitOrderRequest, call: Call, wait: Wait) -> tuple[bytes, bool]:
        """One result of a batch, and whether it is an order. Whatever happens to one order happens to it alone."""
        try:
            ask = submit_ask(request, account_id=naming.implied(self._engine, request.account_id))
            return await self._submit(ask, call, wait), True
        except Exception as error:  # noqa: BLE001 - one order's defect must not take the answers of the others along
            return error_message(refuse(call.method, error)).SerializeToString(), False


def _wait(number: int, default: Wait) -> Wait:
    """What the caller waits for; the number is known to be in order."""
    match number:
        case pb.SUBMIT_WAIT_BROKER:
            return Wait.BROKER
        case pb.SUBMIT_WAIT_JOURNAL:
            return Wait.JOURNAL
        case _:
            return default


def _fitting(outcomes: Sequence[tuple[bytes, bool]]) -> list[bytes]:
    """The results of a batch. Tags stay behind where the answer would grow beyond what clients take."""
    is_too_much = sum(len(body) for body, _ in outcomes) > MAX_BATCH_BYTES
    results: list[bytes] = []
    for body, is_order in outcomes:
        if not is_order:
            results.append(splice.batch_error(body))
        else:
            results.append(splice.batch_result(_without_tags(body) if is_too_much else body))
    return results


def _without_tags(response: bytes) -> bytes:
    message = pb.SubmitOrderResponse.FromString(response)
    message.order.ClearField("tags")
    return message.SerializeToString()


def _cancel_reason(result: api.CancelResult) -> error_pb2.ErrorReason.ValueType:
    number = reason_number(result.error_reason)
    if result.error_reason and not number:
        # The other orders' cancels stand, and their caller must hear of them.
        log.error("undocumented_reason", order_id=result.order_id, reason=result.error_reason)
        return error_pb2.ERROR_REASON_INTERNAL
    return number


def _malformed_preview(problem: Invalid) -> pb.PreviewOrderResponse:
    answer = pb.PreviewOrderResponse(valid=False)
    for violation in problem.violations:
        answer.field_violations.add(field=violation.field, description=violation.rule)
    return answer


def _preview_message(preview: api.Preview, client_order_id: str) -> pb.PreviewOrderResponse:
    answer = pb.PreviewOrderResponse(
        valid=preview.valid,
        risk_verdict=pb.RiskVerdict(allowed=preview.denial is None),
        estimated_cost=text_of(preview.estimated_cost),
        broker_request=preview.broker_request.decode(errors="replace"),
        client_order_id=client_order_id,
    )
    if preview.denial is not None:
        answer.risk_verdict.code = preview.denial.code
        answer.risk_verdict.message = preview.denial.message
    if preview.asset is not None:
        answer.instrument.CopyFrom(instrument_message(preview.asset))
    if preview.complaint:
        answer.field_violations.add(field="order", description=preview.complaint)
    return answer
