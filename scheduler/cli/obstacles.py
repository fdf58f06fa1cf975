"""What `clarion preview` and `clarion fire` say of a run that would not simply go to all whom it selects."""

from __future__ import annotations

from scheduler.cli.output import counted, local
from scheduler.domain.quantities import format_duration
from scheduler.rehearsal.preview import Preview
from scheduler.runs.audience_max import would_be_paused
from scheduler.runs.fuse import FuseStanding
from scheduler.workspace.campaign import Campaign


def said_of_obstacles(shown: Preview, campaign: Campaign) -> list[str]:
    """What keeps the run back, each with what to do about it."""
    found, said = shown.obstacles, []
    if found.is_disabled:
        said.append("disabled: nothing starts this rule until its file says `enabled: true`")
    said += [
        f"stopped since {local(stop.since)}: {stop}; the run waits until 'clarion start {stop.option}'"
        for stop in found.stops
    ]
    if found.superseded_by is not None:
        said.append(
            f"superseded: run {found.superseded_by} is newer, with the same key (`delivery.supersede`): "
            "this one would begin superseded, and send nothing"
        )
    if found.audience_max is not None:
        matching = shown.selected + shown.gone_by
        matching = matching if matching > found.audience_max else 0  # of one device, say, nobody has counted the others
        said.append(would_be_paused(found.audience_max, matching, by_the_rule=campaign.audience_max is not None))
    return said


def said_of_canaries(canaries: int, held: int) -> str:
    """How many go first, and how many of them nobody waits for.

    >>> said_of_canaries(11, 0), said_of_canaries(11, 4)
    ('11 devices, before all others', '11 devices, before all others; 4 of them are held, and hold nobody up')
    >>> said_of_canaries(11, 11)
    '11 devices, all held: they hold nobody up, so this run has no test'
    """
    devices = counted(canaries, "device")
    if not held:
        return f"{devices}, before all others"
    if held == canaries:
        return f"{devices}, all held: they hold nobody up, so this run has no test"
    return f"{devices}, before all others; {held:,} of them are held, and hold nobody up"


def said_of_fuse(found: FuseStanding) -> str:
    """Where the fuse of a rule stands, and whether a run now would blow it."""
    within = format_duration(found.fuse.within)
    had = f"{counted(found.total, 'device')} in the last {within}"
    if found.limit is None:
        return f"{had}; the rule has no history of three days yet, so nothing blows it"
    then = "this run would blow it and be paused" if found.blows else "this run would not blow it"
    return f"{had}, at most {found.peak} in {within} before; it blows above {found.limit}: {then}"
