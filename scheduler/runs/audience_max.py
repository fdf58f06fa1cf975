"""`limits.audience_max`: a run with a larger audience does not start. It is no cut: none of them is sent to."""

from __future__ import annotations

from scheduler.runs.context import RunContext
from scheduler.runs.windows import MAX_WINDOW, matching
from scheduler.store import audience as audiences
from scheduler.store.database import Transaction

_WORD = "audience_max: "


def exceeds_audience_max(tx: Transaction, context: RunContext, *, last: int) -> bool:
    """Whether more devices up to `last` match than a run may start with. Counts no further than it must: not at all
    where there are no more devices, in SQL where that settles it, and else page by page until there are too many."""
    most = context.audience_max
    if most is None or last <= most:
        return False
    if audiences.count_up_to(tx, context.audience, last=last, limit=most + 1) <= most:
        return False
    if audiences.counts_exactly(tx, context.audience):
        return True
    found, after = 0, 0
    while found <= most and after < last:
        page = audiences.page(tx, context.audience, after=after, last=last, limit=MAX_WINDOW)
        found, after = found + len(matching(context, page.recipients)), page.end
    return found > most


def audience_max_note(context: RunContext) -> str:
    """Why the run is paused, and how it goes on."""
    return (
        f"{_WORD}more than {context.audience_max} devices match, so it did not start; "
        f"'clarion runs resume {context.run.id}' starts it, 'cancel' ends it"
    )


def would_be_paused(most: int, matching: int, *, by_the_rule: bool) -> str:
    """What a preview says of a run with more devices than it may start with. `matching`: as many match; 0: nobody has
    counted them all."""
    counted = f"{matching:,} devices match, more than {most:,}" if matching else f"more than {most:,} devices match"
    where = "the rule" if by_the_rule else "clarion.yaml"
    return (
        f"{_WORD}{counted}: the run would be paused in place of starting; 'clarion runs resume' would start it then, "
        f"or raise `limits.audience_max` of {where} before"
    )


def is_audience_max_note(note: str | None) -> bool:
    """Whether a run is paused because of its audience."""
    return note is not None and note.startswith(_WORD)
