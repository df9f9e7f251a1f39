"""Why a call about a decision is refused: what each refusal says, and with which code."""

from datetime import datetime

from orderd.core.decisions import Decided, Decision, DecisionStatus, Refusal, differences, forbidden
from orderd.engine.account import Account
from orderd.engine.errors import EngineError, Kind


def same_content(known: Decision, said: Decided) -> None:
    """Raise ALREADY_EXISTS when the id stands for another decision."""
    differing = differences(known.said, said)
    if differing:
        raise EngineError(
            Kind.ALREADY_EXISTS,
            "DECISION_ID_REUSED",
            f"decision_id {said.decision_id} stands for a decision that differs in {', '.join(differing)}",
            metadata={"decision_id": said.decision_id, "differing_fields": ",".join(differing)},
            subject=("orderd.Decision", said.decision_id),
        )


def check_takes(account: Account) -> None:
    """An approval is for now: where nothing can be sent, none is written down."""
    if account.is_stopping:
        raise EngineError(Kind.UNAVAILABLE, "DRAINING", "the server is shutting down", retry_after_s=5)
    if not account.is_recovered and not account.halt_reason:
        text = f"account {account.account_id} has not been reconciled with its broker yet"
        meta = {"account_id": account.account_id}
        raise EngineError(Kind.UNAVAILABLE, "ACCOUNT_RECOVERING", text, metadata=meta, retry_after_s=1)


def check_waits(decision: Decision, now: datetime) -> None:
    """Raise when nothing is decided about it any more."""
    refusal = forbidden(decision, now)
    if refusal is None and decision.status is DecisionStatus.EXECUTED:
        refusal = Refusal.DECISION_ENDED
    if refusal is not None:
        raise refused(refusal, decision)


_TEXTS = {
    Refusal.APPROVAL_REQUIRED: "a person has to approve the decision first; what is approved is its own intent",
    Refusal.DECISION_EXPIRED: "the decision's time is over",
    Refusal.DECISION_ENDED: "the decision is over",
}


def refused(refusal: Refusal, decision: Decision) -> EngineError:
    """What a caller hears who names a decision that does not allow it."""
    return refused_as(refusal, f"{_TEXTS[refusal]} (it is {decision.status})", decision)


def refused_as(code: str, text: str, decision: Decision) -> EngineError:
    """FAILED_PRECONDITION about a decision."""
    return EngineError(
        Kind.FAILED_PRECONDITION,
        code,
        text,
        metadata={"decision_id": decision.said.decision_id, "status": decision.status},
        subject=("orderd.Decision", decision.said.decision_id),
    )
