"""`clarion runs`: what was sent, to whom, and what waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from scheduler.apns.reasons import advice
from scheduler.cli.output import Format, HowMany, counted, local, one_line, print_json, remark
from scheduler.cli.session import InSession
from scheduler.cli.tables import print_details, print_table
from scheduler.domain.errors import OperatorError
from scheduler.domain.outcomes import OutcomeKind, SuppressReason
from scheduler.domain.quantities import Rate, format_rate, parse_rate
from scheduler.domain.runs import CALLED_OFF, Run, RunState
from scheduler.domain.stops import Stops
from scheduler.runs import pausing
from scheduler.runs.canary import said_of
from scheduler.runs.occasions import MissReason
from scheduler.runs.reports import CanaryReport, RunReport, report
from scheduler.runs.stopping import stops_in_force
from scheduler.store import misses as miss_rows
from scheduler.store import runs as run_rows
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store

SHORT_ID = 13
"""Characters of a run's id in a list: 48 bits, enough for `runs show`. JSON has the whole."""

_DEFERRED_BY = {"quiet_hours": "held by quiet hours", "delay": "in their delay"}
"""How a person is told why devices wait for a time."""


def list_runs(
    *,
    rule: str | None = None,
    limit: HowMany = 20,
    format: Format = Format.TEXT,
    session: InSession,
) -> int:
    """The newest runs first, and the events that rules could not judge.

    Example: clarion runs list --rule goal-alert

    Parameters
    ----------
    rule
        Only the runs of this rule.
    limit
        How many runs.
    format
        How the result is printed.
    """
    with session.store() as store, store.read() as tx:
        runs = run_rows.latest(tx, limit, rule)
        misses = [miss for miss in miss_rows.all_misses(tx) if rule is None or miss[0] == rule]
        stops = stop_rows.read(tx)
    if format is Format.JSON:
        print_json([_listed(run, stops) for run in runs])
        return 0
    if not runs and rule is not None:
        remark(f"no runs of {rule} yet")
    elif not runs:
        remark("no runs yet; 'clarion emit FILE' brings an event, 'clarion run' sends")
    else:
        print_table(
            ("run", "rule", "state", "occasion", "started", "note"),
            [
                (
                    str(run.id)[:SHORT_ID],
                    run.rule,
                    run.state,
                    one_line(run.occasion),
                    local(run.started_at),
                    f"stopped: {why}" if (why := _stopped_by(run, stops)) else run.note,
                )
                for run in runs
            ],
            texts=("occasion", "note"),
        )
    for stop in stops.told_once(session.rule_names).in_force if stops.in_force else ():
        remark(f"stopped since {local(stop.since)}: {stop}; 'clarion start {stop.option}' lets it go on")
    for name, reason, detail, count, last in misses:
        remark(f"{name}: {_missed(reason, count)}: {reason}, {detail} (last {local(last)})")
    return 0


def show(run: str, /, *, format: Format = Format.TEXT, session: InSession) -> int:
    """One run in numbers that add up: selected = accepted + rejected + suppressed + expired + unknown + pending.

    Example: clarion runs show 3f2a --format json

    Parameters
    ----------
    run
        Its id, or the first digits of it.
    format
        How the result is printed.
    """
    with session.store() as store:
        found = report(store, run)
        stops = stops_in_force(store)
    if format is Format.JSON:
        print_json(_shown(found, stops))
    else:
        _print(found, stops, session.clock.now())
    return 0


def pause_run(run: str, /, *, session: InSession) -> int:
    """Send nothing new of a run until it is resumed. What is in flight gets its outcome.

    Example: clarion runs pause 3f2a

    Parameters
    ----------
    run
        Its id, or the first digits of it.
    """
    return _move(session, pausing.pause, run)


def resume_run(run: str, /, *, session: InSession) -> int:
    """Go on with a paused run.

    Example: clarion runs resume 3f2a

    Parameters
    ----------
    run
        Its id, or the first digits of it.
    """
    return _move(session, partial(pausing.resume, apps=session.without_rules.settings.apps), run)


def cancel_run(run: str, /, *, session: InSession) -> int:
    """End a run: what waits is suppressed with the reason `cancelled`.

    Example: clarion runs cancel 3f2a

    Parameters
    ----------
    run
        Its id, or the first digits of it.
    """
    return _move(session, pausing.cancel, run)


def rate_run(run: str, rate: str, /, *, session: InSession) -> int:
    """Send a run faster or slower from now on, also while a daemon sends it. App and lane bound it as before.

    Example: clarion runs rate 3f2a 500/s

    Parameters
    ----------
    run
        Its id, or the first digits of it.
    rate
        Starts per second or minute, in place of the rule's: N/s or N/min.
    """
    try:
        wanted = Rate.of(parse_rate(rate))
    except ValueError as problem:
        raise OperatorError(str(problem), hint="for example: clarion runs rate 3f2a 500/s") from problem
    with session.store() as store:
        changed = pausing.set_rate(store, run, wanted)
    remark(f"run {changed.id} of {changed.rule} sends at most {format_rate(wanted.per_second)}")
    return 0


def _missed(reason: str, count: int) -> str:
    match reason:
        case MissReason.ZONES_MISSED:
            return f"{counted(count, 'slot')} not run in some zones"
        case MissReason.SLOT_MISSED:
            return f"{counted(count, 'slot')} without a run"
        case _:
            return f"{counted(count, 'event')} without a run"


def _move(session: InSession, move: Callable[[Store, str, datetime], Run], run: str) -> int:
    with session.store() as store:
        moved = move(store, run, session.clock.now())
    remark(f"run {moved.id} of {moved.rule} is {moved.state}")
    return 0


def _stopped_by(run: Run, stops: Stops) -> str | None:
    """What the kill switch holds a run by, if it is not over."""
    held = () if run.finished_at is not None else stops.holding(run.rule, run.category)
    return ", ".join(map(str, held)) or None


def _until(run: Run, now: datetime) -> str:
    """When a waiting run goes on: the next device is due then, or the next zone of its slot."""
    return f" until {local(run.waits_until)}" if run.waits_until is not None and run.waits_until > now else ""


def _waits_for(run: Run, stops: Stops) -> str | None:
    """The commands without which a run that is not over does not go on, whatever the time."""
    resume = [f"'clarion runs resume {str(run.id)[:SHORT_ID]}'"] if run.state is RunState.PAUSED else []
    commands = [*resume, *(f"'clarion start {stop.option}'" for stop in stops.holding(run.rule, run.category))]
    return " and ".join(filter(None, (", ".join(commands[:-1]), *commands[-1:]))) or None


def _to_come(what: str, does: str, at: datetime | None, waits_for: str | None, now: datetime) -> str:
    """What happens next: at a time that is still to come, at once, or when a hand lets it."""
    is_ahead = at is not None and at > now
    if waits_for is not None:
        return f"{what} waits for {waits_for}" + (f", and {does} {local(at)} at the earliest" if is_ahead else "")
    return f"{what} {does} {local(at)}" if is_ahead else f"{what} is due now"


def _rate_by_hand(run: Run) -> str | None:
    return None if run.rate is None else format_rate(run.rate.per_second)


def _listed(run: Run, stops: Stops) -> dict[str, Any]:
    return {
        "run": run.id,
        "rule": run.rule,
        "state": run.state,
        "occasion": run.occasion,
        "version": run.version,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "note": run.note,
        "stopped": _stopped_by(run, stops),
    }


def _shown(found: RunReport, stops: Stops) -> dict[str, Any]:
    run = found.run
    return {
        "run": run.id,
        "rule": run.rule,
        "version": run.version,
        "occasion": run.occasion,
        "state": run.state,
        "counts": found.counts,
        "maybe_repeated": found.maybe_repeated,
        "reasons": found.reasons,
        "deferred": found.deferred,
        "next_due": found.next_due,
        "variants": found.variants,
        "canary": _canary_object(found.canary),
        "note": run.note,
        "stopped": _stopped_by(run, stops),
        "rate": _rate_by_hand(run),
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def _print(found: RunReport, stops: Stops, now: datetime) -> None:
    run, counts, waits_for = found.run, found.counts, _waits_for(found.run, stops)
    print_details(
        {
            "run": run.id,
            "rule": f"{run.rule} (version {run.version})",
            "occasion": one_line(run.occasion),
            "state": f"{run.state}{_until(run, now)}{f': {run.note}' if run.note else ''}",
            **_if_there("stopped", _stopped_by(run, stops)),
            **_if_there("rate", _rate_by_hand(run)),
            **_if_there("canary", _canary(found, waits_for, now)),
            "started": run.started_at,
            "finished": run.finished_at,
        }
    )
    print()
    print_table(
        ("outcome", "devices", "reason"),
        [
            ("selected", counts.selected, None),
            *_outcome("accepted", counts.accepted, found),
            *_outcome("rejected", counts.rejected, found),
            *_outcome("suppressed", counts.suppressed, found),
            *_outcome("expired", counts.expired, found),
            *_outcome("unknown", counts.unknown, found),
            (
                "pending",
                counts.pending,
                found.next_due and _to_come("the next", "is due", found.next_due, waits_for, now),
            ),
            *(("", count, _deferred_by(reason)) for reason, count in found.deferred.items()),
        ],
        right=("devices",),
        texts=("reason",),
    )
    if found.variants:
        print()
        print_table(
            ("variant", *OutcomeKind),
            [(name, *(counted.get(kind, 0) for kind in OutcomeKind)) for name, counted in found.variants.items()],
            right=tuple(OutcomeKind),
        )
    for reason in found.reasons.get("rejected", {}):
        hint = advice(reason)
        if hint is not None:
            remark(f"{reason}: {hint}")
    if found.maybe_repeated:
        remark(f"{counted(found.maybe_repeated, 'device')} may have been sent to more than once (same apns-id)")


def _canary(found: RunReport, waits_for: str | None, now: datetime) -> str | None:
    canary, run = found.canary, found.run
    if canary is None:
        return None
    devices = counted(canary.selected, "device")
    if canary.counts is None:
        return f"{devices}; the rest was let follow"
    rest = ""
    if run.state in CALLED_OFF:
        rest = "; the rest gets nothing"
    elif canary.rest_at is not None or waits_for is not None:
        rest = f"; {_to_come('the rest', 'begins', canary.rest_at, waits_for, now)}"
    held = sum(found.deferred.values())
    said = said_of(canary.counts) if canary.counts.answered or not held else "none has an answer"
    return f"{devices}, {said}{f', {held:,} held, who hold nobody up' if held else ''}{rest}"


def _canary_object(found: CanaryReport | None) -> dict[str, Any] | None:
    if found is None:
        return None
    counts = None if found.counts is None else {"accepted": found.counts.accepted, "rejected": found.counts.rejected}
    return {"selected": found.selected, "counts": counts, "rest_at": found.rest_at, "passed": found.passed}


def _deferred_by(reason: str) -> str:
    is_cap = reason.startswith(SuppressReason.CAP)
    return _DEFERRED_BY.get(reason, f"held by {reason}" if is_cap else f"deferred: {reason}")


def _if_there(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _outcome(outcome: str, count: int, found: RunReport) -> list[tuple[str, int, str | None]]:
    reasons = found.reasons.get(outcome, {})
    if not reasons:
        return [(outcome, count, None)]
    rows: list[tuple[str, int, str | None]] = [(outcome, count, None)]
    rows += [("", number, reason) for reason, number in sorted(reasons.items(), key=lambda pair: -pair[1])]
    return rows
