"""`limits.fuse`: counting what rules select, and stopping the run whose next window would be too much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.planning.fuse import LEAST, MEMORY, Fuse, Usage, blown_note
from scheduler.runs.context import RunContext
from scheduler.store import selections as selection_rows
from scheduler.store.database import Transaction
from scheduler.store.instants import to_ms
from scheduler.store.selections import Minute

_WORD = "fuse: "


class FuseWatch:
    """The fuse in one write transaction: what each window selects is counted, unless it is too much.

    All contexts are under the same settings. For rules without a fuse this costs nothing; for the others a query and a
    row write for all of them together, and once a minute a second query.
    """

    def __init__(self, tx: Transaction, contexts: Iterable[RunContext], now: datetime) -> None:
        self._tx = tx
        self._minute = minute_of(now)
        self._names: dict[str, Sequence[str]] = {}
        """By rule, what it is and was called."""
        self._added: Counter[str] = Counter()
        self._past: dict[str, list[Minute]] = {}
        """By name. Read when it is needed."""
        self._span = 0
        for context in contexts:
            if context.fuse is not None:
                self._span = context.fuse.minutes
                self._names[context.run.rule] = context.campaign.names_had
        every = sorted({name for names in self._names.values() for name in names})
        self._recent = selection_rows.recent(tx, every, span=self._span, minute=self._minute) if every else {}
        self._before = {
            rule: sum(self._recent[name].devices for name in names if name in self._recent)
            for rule, names in self._names.items()
        }
        self._limits: dict[str, tuple[int | None, int | None]] = {}

    def blown(self, context: RunContext, selected: int, *, past_fuse: bool) -> str | None:
        """Why the run is to pause in place of selecting so many more; None if it may: then they are counted.
        `past_fuse`: a hand let it go on."""
        rule, fuse = context.run.rule, context.fuse
        if fuse is None or not selected:
            return None
        total = self._total(rule) + selected
        if total > LEAST and not past_fuse:
            peak, limit = self._limit(rule, fuse)
            if peak is not None and limit is not None and total > limit:
                return (
                    f"{_WORD}{blown_note(fuse, total, peak)}; the window that would bring it there was not "
                    f"opened; 'clarion runs resume {context.run.id}' lets this run go on, 'cancel' ends it"
                )
        self._added[rule] += selected
        return None

    def record(self) -> None:
        """Write what was counted, and forget what cannot be a peak any more."""
        added = {rule: count for rule, count in self._added.items() if count}
        # What is counted goes to the last minute that anybody has begun: another writer may have looked at the clock
        # after this one and been first on disk, and a clock may be set back.
        last = {rule: self._recent[rule].last for rule in added if rule in self._recent}
        turned = [rule for rule in added if last.get(rule, -1) < self._minute]
        self._read_past(turned)
        begun = [Minute(rule, self._minute, added[rule], self._total(rule), self._since(rule)) for rule in turned]
        more = [(rule, last[rule], added[rule], self._total(rule)) for rule in added.keys() - set(turned)]
        if any(one.since == self._minute for one in begun):  # seldom: a rule has no history
            selection_rows.forget_before(self._tx, self._minute - MEMORY)
        selection_rows.begin(self._tx, begun, span=self._span)
        selection_rows.add(self._tx, more, span=self._span)
        lower = {key for rule in turned for key in _never_peaks(self._past.get(rule, ()), self._minute)}
        selection_rows.forget(self._tx, lower, span=self._span)

    def _total(self, rule: str) -> int:
        return self._before[rule] + self._added[rule]

    def _limit(self, rule: str, fuse: Fuse) -> tuple[int | None, int | None]:
        """The peak of a rule, and its largest total. Whoever may need them next is looked up with it."""
        if rule not in self._limits:
            near = [one for one in self._names if one == rule or self._total(one) > LEAST // 2]
            self._read_past(near)
            for one in near:
                usage = self._usage(one)
                self._limits[one] = usage.peak, usage.limit(fuse, self._minute)
        return self._limits[rule]

    def _since(self, rule: str) -> int:
        usage = self._usage(rule)
        return self._minute if usage.since is None else usage.since

    def _usage(self, rule: str) -> Usage:
        names = self._names[rule]
        recent = [self._recent[name] for name in names if name in self._recent]
        past = [one for name in names for one in self._past.get(name, ())]
        return _usage(sum(one.devices for one in recent), [one.since for one in recent], past, self._minute)

    def _read_past(self, rules: Sequence[str]) -> None:
        names = sorted({name for rule in rules for name in self._names[rule]} - self._past.keys())
        if names:
            self._past.update((name, []) for name in names)
            for one in selection_rows.past(self._tx, names, span=self._span, minute=self._minute):
                self._past[one.rule].append(one)


def usage_of(tx: Transaction, names: Sequence[str], fuse: Fuse, now: datetime) -> Usage:
    """How a rule that is and was called so stands with its fuse."""
    minute = minute_of(now)
    recent = selection_rows.recent(tx, names, span=fuse.minutes, minute=minute).values()
    past = selection_rows.past(tx, names, span=fuse.minutes, minute=minute)
    return _usage(sum(one.devices for one in recent), [one.since for one in recent], past, minute)


@dataclass(frozen=True, slots=True)
class FuseStanding:
    """How a rule stands with its fuse: the total of the last `within`, the peak of before, and the largest total that
    does not blow it; None while there is no history. `blows`: with so many more as asked it is too much."""

    fuse: Fuse
    total: int
    peak: int | None
    limit: int | None
    blows: bool


def fuse_standing(tx: Transaction, fuse: Fuse, names: Sequence[str], selected: int, now: datetime) -> FuseStanding:
    """What the fuse of a rule that is and was called so would say to a run of so many devices now."""
    minute = minute_of(now)
    usage = usage_of(tx, names, fuse, now)
    limit = usage.limit(fuse, minute)
    return FuseStanding(fuse, usage.total, usage.peak, limit, limit is not None and usage.total + selected > limit)


def is_fuse_note(note: str | None) -> bool:
    """Whether a run is paused because of its fuse."""
    return note is not None and note.startswith(_WORD)


def minute_of(now: datetime) -> int:
    """The minute of an instant, since 1970."""
    return to_ms(now) // 60_000


def _usage(total: int, since: Sequence[int], past: Sequence[Minute], minute: int) -> Usage:
    remembered = [one for one in past if one.minute > minute - MEMORY]
    firsts = [*since, *(one.since for one in remembered)]
    return Usage(total, max((one.total for one in remembered), default=None), min(firsts, default=None))


def _never_peaks(past: Sequence[Minute], minute: int) -> list[tuple[str, int]]:
    """Of the minutes of a rule, in order, those that no peak will be taken from: too old, or no larger than a later
    one."""
    dropped, largest = [], 0
    for one in reversed(past):
        if one.minute <= minute - MEMORY or one.total <= largest:
            dropped.append((one.rule, one.minute))
        largest = max(largest, one.total)
    return dropped
