"""`clarion preview`: a dry run over the real registry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter, Token
from cyclopts.validators import Number

from scheduler.cli.emit import EventFile, read_one_event
from scheduler.cli.obstacles import said_of_canaries, said_of_fuse, said_of_obstacles
from scheduler.cli.output import Format, local, one_line, print_json, remark
from scheduler.cli.runs import SHORT_ID
from scheduler.cli.session import InSession
from scheduler.cli.tables import print_table, progress_bar
from scheduler.rehearsal.not_selected import why_not_selected
from scheduler.rehearsal.preview import Preview, Sample, latest_event, preview
from scheduler.store.audience import highest_device

_NAMES_SHOWN = 3


def _instant(_type: object, tokens: Sequence[Token]) -> datetime:
    try:
        return datetime.fromisoformat(tokens[0].value)
    except ValueError:
        raise ValueError(
            f'"{tokens[0].value}" is no time: write it like 2026-11-30T09:00 (this machine\'s zone), '
            "2026-11-30T09:00Z or 2026-11-30T09:00+01:00"
        ) from None


def preview_rule(
    rule: str,
    /,
    *,
    event: EventFile | None = None,
    at: Annotated[datetime | None, Parameter(converter=_instant)] = None,
    device: int | None = None,
    sample: Annotated[int, Parameter(validator=Number(gte=0))] = 3,
    format: Format = Format.TEXT,
    session: InSession,
) -> int:
    """What a rule would do now, or at its next slot: how many, why not the others, and payloads as they would be sent.
    Sends nothing. Of a schedule the next five slots are shown, from `--at` on.

    Example: clarion preview flash-sale --event sale.json

    Parameters
    ----------
    rule
        Its name.
    event
        A file with the event, or - for the standard input. Without it: the newest stored one that the rule listens to.
    at
        As if it were this instant, such as 2026-11-20T18:30 (without an offset: this machine's zone).
    device
        Only this device, by its number.
    sample
        How many payloads are shown.
    format
        How the result is printed.
    """
    campaign = session.campaign(rule)
    for finding in session.loaded.not_built:
        remark(f"{finding.span}: {finding.message}: not heeded here, and refused by 'run'")
    now = session.clock.now() if at is None else at.astimezone(UTC)
    with session.store() as store:
        given = latest_event(store, campaign) if event is None else read_one_event(event, session, now)
        with store.read() as tx:
            last = highest_device(tx)
        with progress_bar(f"preview {rule}", last) as show_progress:
            shown = preview(
                store, session.workspace, campaign, given, now, device=device, samples=sample,
                on_progress=lambda done: show_progress(done, last),
            )  # fmt: skip
        if device is not None and shown.occasion is not None and not shown.selected:
            with store.read() as tx:
                why = why_not_selected(tx, campaign, device, gone_by=shown.gone_by > 0)
            shown.note = why if shown.note is None else f"{shown.note}; {why}"
        notes = [*([shown.note] if shown.note else []), *said_of_obstacles(shown, campaign)]
    if format is Format.JSON:
        print_json(_object(shown, "; ".join(notes) or None))
    else:
        for note in notes:
            remark(note)
        _print(shown)
    return 0


def _object(shown: Preview, note: str | None) -> dict[str, Any]:
    return {
        "rule": shown.rule,
        "version": shown.version,
        "occasion": shown.occasion,
        "due": shown.due,
        "note": note,
        "kept_back_by": shown.obstacles.words,
        "superseded_by": shown.obstacles.superseded_by,
        "counts": {
            "selected": shown.selected,
            "would_send": shown.would_send,
            "kept_back": shown.kept_back,
            "held": shown.held,
            "suppressed": shown.suppressed,
            "expired": shown.expired,
        },
        "reasons": dict(shown.reasons),
        "held_until": [{"until": until, "devices": count} for until, count in sorted(shown.held_until.items())],
        "held_for": dict(shown.held_for),
        "earlier": [{"limit": one.limit, "rule": one.rule, "run": one.run, "at": one.at} for one in shown.earlier],
        "variants": dict(sorted(shown.variants.items())),
        "sizes": {"smallest": shown.smallest, "largest": shown.largest, "limit": shown.limit},
        "seconds_at_least": shown.seconds,
        "next_slots": [{"key": one.slot.key, "at": one.slot.at, "last_at": one.last_at} for one in shown.slots],
        "zones": [
            {"at": at, "devices": place.devices, "zones": sorted(name or "" for name in place.zones)}
            for at, place in shown.places.items()
        ],
        "gone_by": shown.gone_by,
        "canaries": shown.canaries,
        "canaries_held": shown.canaries_held,
        "fuse": None
        if shown.fuse is None
        else {"total": shown.fuse.total, "peak": shown.fuse.peak, "limit": shown.fuse.limit, "blows": shown.fuse.blows},
        "samples": [
            {
                "device": sample.device,
                "user": sample.user,
                "locale": sample.locale,
                "variant": sample.variant,
                "size": len(sample.payload),
                "payload": msgspec.Raw(sample.payload),
            }
            for sample in shown.samples
        ],
    }


def _print(shown: Preview) -> None:
    if shown.occasion is None:
        return
    print(f"{shown.rule} (version {shown.version}), occasion {one_line(shown.occasion)}")
    if shown.due is not None:
        print(f"due: {local(shown.due)}, when its delay is over; until then more may be called off")
    for coming in shown.slots:
        slot, last_at = coming.slot, coming.last_at
        until = f" to {local(last_at)}" if last_at > slot.at else ""
        print(f"slot: {slot.wall:%a %Y-%m-%d %H:%M} there, {local(slot.at)}{until} here")
    print_table(
        ("", "devices", "reason"),
        [
            ("selected", shown.selected, None),
            ("would be sent", shown.would_send, None),
            *([("kept back", shown.kept_back, ", ".join(shown.obstacles.words))] if shown.kept_back else []),
            *([("held", shown.held, None)] if shown.held else []),
            *(("", count, reason) for reason, count in shown.held_for.most_common()),
            *(("", count, f"until {local(until)}") for until, count in sorted(shown.held_until.items())),
            *(("", count, f"variant {name}") for name, count in sorted(shown.variants.items())),
            ("suppressed", shown.suppressed, None),
            ("expired", shown.expired, None),
            *(("", count, reason) for reason, count in shown.reasons.most_common()),
        ],
        right=("devices",),
        texts=("reason",),
    )
    print_places(shown)
    for limit in dict.fromkeys(one.limit for one in shown.earlier):
        print(f"{limit}: this person has had")
        for one in shown.earlier:
            if one.limit == limit:
                print(f"  {local(one.at)}  {one.rule}  run {str(one.run)[:SHORT_ID]}")
    if shown.smallest is not None:
        print(f"payloads: {shown.smallest} to {shown.largest} bytes of {shown.limit}")
    if shown.seconds:
        print(f"duration: {timedelta(seconds=round(shown.seconds))} at least, by the rates")
    if shown.canaries is not None:
        print(f"canary: {said_of_canaries(shown.canaries, shown.canaries_held)}")
    if shown.fuse is not None:
        print(f"fuse: {said_of_fuse(shown.fuse)}")
    for sample in shown.samples:
        _print_sample(sample)


def print_places(shown: Preview) -> None:
    """Where a slot at each device's own time comes when, and to how many."""
    if shown.places:
        print_table(
            ("it comes, here", "devices", "zones"),
            [(local(at), place.devices, _names(place.zones)) for at, place in shown.places.items()],
            right=("devices",),
            texts=("zones",),
        )
    if shown.gone_by:
        print(f"to {shown.gone_by:,} more devices this slot has come already, by their clocks")


def _names(zones: Collection[str | None]) -> str:
    named = sorted(name for name in zones if name)
    words = [*named[:_NAMES_SHOWN], *(["no zone of their own"] if len(named) < len(zones) else [])]
    more = len(named) - _NAMES_SHOWN
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")


def _print_sample(sample: Sample) -> None:
    whose = f", user {sample.user}" if sample.user else ""
    locale = f", {sample.locale}" if sample.locale else ""
    variant = f", variant {sample.variant}" if sample.variant else ""
    print(f"\ndevice {sample.device}{whose}{locale}{variant}: {len(sample.payload)} bytes")
    print(msgspec.json.format(sample.payload, indent=2).decode())
