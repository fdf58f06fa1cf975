"""From what came back for a device to what is written: a ledger row, or a work row and when it may go again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from scheduler.apns.reasons import DeviceAction, RequestAction, disposition, retry_after
from scheduler.apns.results import Answer, Result, Unanswered, Unsent
from scheduler.delivery.retry_times import RESEND_PAUSE, unanswered_pause
from scheduler.domain.outcomes import ACCEPTED, Outcome, OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Recipient, WorkEntry, WorkState
from scheduler.rendering.results import Aborted, RenderFailure, TooLarge
from scheduler.rules.rule import OnUnknown
from scheduler.runs.context import RunContext
from scheduler.store.registry import Retirement


@dataclass(frozen=True, slots=True)
class BadCollapseId:
    """The rendered collapse id is not one: why."""

    problem: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """It would have been sent, and the person is in a holdout."""


HELD_OUT = HeldOut()

Report: TypeAlias = Result | RenderFailure | Aborted | TooLarge | BadCollapseId | HeldOut
"""What the sender reports of a device: an answer, its absence, or why there was nothing to send."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report means for a device of a run, and for its token."""

    entry: LedgerEntry | WorkEntry
    retirement: Retirement | None = None


def judge(
    context: RunContext,
    recipient: Recipient,
    report: Report,
    now: datetime,
    jitter: float,
    *,
    environment_proved: bool,
) -> Verdict:
    """The verdict on one report. `jitter` is in [0, 1). `environment_proved`: other devices of the app have shown that
    it sends to the environment of its tokens."""
    match report:
        case Answer(status=200):
            return Verdict(_final(context, recipient, ACCEPTED))
        case Answer():
            return _judge_refusal(context, recipient, report, now, jitter, environment_proved=environment_proved)
        case Unsent(cause):
            return _again(context, recipient, now, WorkState.UNSENT, cause, RESEND_PAUSE)
        case Unanswered(cause):
            if context.campaign.on_unknown is OnUnknown.DROP:
                return Verdict(_final(context, recipient, Outcome(OutcomeKind.UNKNOWN, cause)))
            pause = unanswered_pause(recipient.attempts if recipient.maybe_repeated else 0)
            return _again(context, recipient, now, WorkState.UNSENT, cause, pause, maybe_repeated=True)
        case RenderFailure():
            return _suppress(context, recipient, f"{SuppressReason.RENDER_ERROR} at {report.leaf}")
        case Aborted(reason):
            return _suppress(context, recipient, reason)
        case TooLarge():
            return _suppress(context, recipient, SuppressReason.TOO_LARGE)
        case BadCollapseId():
            return _suppress(context, recipient, SuppressReason.BAD_COLLAPSE)
        case HeldOut():  # never sent, also where a crash has made that unknown; and of no variant, which it did not see
            entry = LedgerEntry(context.run.seq, recipient.id, OutcomeKind.SUPPRESSED, SuppressReason.HELD_OUT, 0)
            return Verdict(entry)


def proves_environment(report: Report) -> bool:
    """Whether an answer shows that the app sends to the environment of its tokens: Apple knows this one, or knew it."""
    return isinstance(report, Answer) and report.status in (200, 410)


def _judge_refusal(
    context: RunContext,
    recipient: Recipient,
    answer: Answer,
    now: datetime,
    jitter: float,
    *,
    environment_proved: bool,
) -> Verdict:
    found = disposition(answer)
    reason = answer.reason or f"status {answer.status}"
    if found.request is RequestAction.REJECT:
        retirement = None
        retires = found.device is DeviceAction.RETIRE
        if retires or (found.device is DeviceAction.RETIRE_IF_PROVED and environment_proved):
            at = now if answer.timestamp_ms is None else datetime.fromtimestamp(answer.timestamp_ms / 1000, UTC)
            retirement = Retirement(recipient.id, reason, min(at, now))
        return Verdict(_final(context, recipient, Outcome(OutcomeKind.REJECTED, reason)), retirement)
    if found.request is RequestAction.HOLD:
        return _again(context, recipient, now, WorkState.UNSENT, reason, timedelta(0))
    end = context.sending(recipient.time_zone).expires_at
    pause = retry_after(answer, None if end is None else end - now, jitter)
    if pause is None:
        return Verdict(_final(context, recipient, Outcome(OutcomeKind.EXPIRED, reason)))
    if found.request is RequestAction.RESEND:
        return _again(context, recipient, now, WorkState.UNSENT, reason, max(pause, RESEND_PAUSE))
    return _again(context, recipient, now, WorkState.RETRY, reason, pause)


def _again(
    context: RunContext,
    recipient: Recipient,
    now: datetime,
    state: WorkState,
    reason: str,
    pause: timedelta,
    *,
    maybe_repeated: bool = False,
) -> Verdict:
    return Verdict(
        WorkEntry(
            context.run.seq,
            recipient.id,
            state,
            reason,
            now + pause,
            recipient.attempts + 1,
            recipient.maybe_repeated or maybe_repeated,
        )
    )


def _suppress(context: RunContext, recipient: Recipient, reason: str) -> Verdict:
    return Verdict(_final(context, recipient, Outcome(OutcomeKind.SUPPRESSED, reason)))


def _final(context: RunContext, recipient: Recipient, outcome: Outcome) -> LedgerEntry:
    return LedgerEntry(
        context.run.seq,
        recipient.id,
        outcome.kind,
        outcome.reason,
        recipient.attempts + 1,
        recipient.maybe_repeated,
        recipient.variant,
    )
