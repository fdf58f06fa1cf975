"""Who of a window may have it, by what each person had before: one device a user, re-entry, caps, in this order.

`contest` reads and decides, `take` writes. Both belong into the write transaction that commits the intent: what is
decided there holds, whatever other runs decide in the same moment. A preview contests and takes nothing. Windows that
are decided in one transaction are contested together, in order: each sees what those before it take.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from scheduler.domain.outcomes import Outcome, OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Recipient
from scheduler.planning.caps import Cap, CapAction, at_least_since, counted_since, room_at
from scheduler.planning.decisions import DeferUntil, decide_run
from scheduler.runs.context import Sending
from scheduler.runs.latest import latest_devices
from scheduler.runs.windows import Deferred, Window, entry_of
from scheduler.store import claims as claim_rows
from scheduler.store.claims import Claim, ClaimKind
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms

_NOT_LATEST = Outcome(OutcomeKind.SUPPRESSED, SuppressReason.NOT_LATEST)
_HAD_ALREADY = Outcome(OutcomeKind.SUPPRESSED, SuppressReason.REENTRY)
_KEPT = (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)


def contest(tx: Transaction, windows: Sequence[Window], now: datetime) -> list[Claim]:
    """Take out of the windows who may not have them; what the others take of their limits. Reads, writes nothing."""
    limited = [window for window in windows if window.recipients and window.context.limits.any]
    if not limited:
        return []
    book = _Book(tx, limited, now)
    for window in limited:
        book.decide(window)
    return book.taken


def take(tx: Transaction, claims: Sequence[Claim]) -> None:
    """Write what was taken, in the transaction that commits the intent."""
    claim_rows.take(tx, claims)


def give_back(tx: Transaction, entries: Sequence[LedgerEntry]) -> None:
    """Whoever got nothing after all has taken nothing; in the transaction that puts it on the ledger.

    Who may have been sent to keeps what it took, and who was held out its entry.
    """
    claim_rows.give_back(tx, [(entry.run, entry.device) for entry in entries if not _keeps(entry)])


def give_back_of_work(tx: Transaction, window: Window) -> None:
    """The same for work rows that were taken up and are not to be sent: also who waits again takes nothing
    meanwhile."""
    run = window.context.run.seq
    waiting = [(run, one.recipient.id) for one in window.deferred if not one.recipient.maybe_repeated]
    final = [(entry.run, entry.device) for entry in window.suppressed if not _keeps(entry)]
    claim_rows.give_back(tx, waiting + final)


def _keeps(entry: LedgerEntry) -> bool:
    return entry.maybe_repeated or entry.outcome in _KEPT or entry.reason == SuppressReason.HELD_OUT


def reason_of(cap: Cap) -> str:
    """The reason of what is over a cap."""
    return f"{SuppressReason.CAP} {cap.name}"


class _Book:
    """What the persons of some windows hold, as it is on disk and as it becomes while they are decided."""

    def __init__(self, tx: Transaction, windows: Sequence[Window], now: datetime) -> None:
        self.taken: list[Claim] = []
        self._now = from_ms(to_ms(now))
        self._at = to_ms(now)
        self._places: dict[tuple[str, str], dict[int, int]] = {}
        """By (person, cap), the runs that count or are being decided, and since when each has its place."""
        self._entries: dict[tuple[str, str, str], dict[int, int]] = {}
        """By (person, rule, key), the runs that the person had, and when their occasions were."""
        self._chosen: dict[tuple[str, int], int] = {}
        """By (person, run), the device of a user that gets it."""
        self._since: dict[tuple[Cap, tzinfo], int] = {}
        self._read_places(tx, [window for window in windows if window.context.limits.caps])
        self._read_entries(tx, [window for window in windows if window.context.limits.reentry])
        self._choose(tx, [window for window in windows if window.context.limits.one_device])

    def decide(self, window: Window) -> None:
        """Everybody of a window, in order."""
        admitted: list[Recipient] = []
        for recipient in window.recipients:
            match self._decide(window, recipient, recipient.person):
                case None:
                    admitted.append(recipient)
                case DeferUntil() as until:
                    window.deferred.append(Deferred(recipient, until))
                case outcome:
                    window.suppressed.append(entry_of(window.context, recipient, outcome))
        window.recipients = admitted

    def _decide(self, window: Window, recipient: Recipient, person: str) -> Outcome | DeferUntil | None:
        context, limits = window.context, window.context.limits
        run = context.run.seq
        chosen = self._chosen.get((person, run), recipient.id) if limits.one_device else recipient.id
        if chosen != recipient.id:
            return _NOT_LATEST
        if limits.reentry is not None and not self._may_enter(window, person):
            return _HAD_ALREADY
        zone = recipient.zone or context.campaign.zone
        for cap in limits.caps:
            if not self._has_room(cap, person, zone, run):
                own = context.sending(recipient.time_zone)
                return self._over(own, cap, person, zone)
        self._take(window, recipient, person)
        return None

    def _may_enter(self, window: Window, person: str) -> bool:
        reentry, key = window.context.limits.reentry, window.context.limits.key
        run, names = window.context.run, window.context.campaign.names_had
        assert reentry is not None
        had = [self._entries.get((person, name, key), {}) for name in names]
        if any(run.seq in one for one in had):
            return True
        return reentry.admits(run.occasion_at, (from_ms(at) for one in had for at in one.values()))

    def _has_room(self, cap: Cap, person: str, zone: tzinfo, run: int) -> bool:
        """A run that has its place has it for all devices of the person."""
        held = self._places.get((person, cap.name))
        return not held or run in held or len(held) < cap.most or len(self._counted(cap, zone, held)) < cap.most

    def _counted(self, cap: Cap, zone: tzinfo, held: dict[int, int]) -> list[int]:
        since = self._since.get((cap, zone))
        if since is None:
            since = self._since[cap, zone] = to_ms(counted_since(cap, zone, self._now))
        return sorted(at for at in held.values() if at >= since)

    def _over(self, own: Sending, cap: Cap, person: str, zone: tzinfo) -> Outcome | DeferUntil:
        """Dropped, or held until there is room; what would be over then is over at once."""
        if cap.action is CapAction.DROP:
            return Outcome(OutcomeKind.SUPPRESSED, reason_of(cap))
        counted = [from_ms(at) for at in self._counted(cap, zone, self._places[person, cap.name])]
        at = room_at(cap, zone, self._now, counted)
        return decide_run(own.terms, due=own.due, now=at) or DeferUntil(at, reason_of(cap))

    def _take(self, window: Window, recipient: Recipient, person: str) -> None:
        context, limits = window.context, window.context.limits
        run, device = context.run, recipient.id
        if limits.reentry is not None:
            # By its first name, which runs of before a rename know too.
            at, rule = to_ms(run.occasion_at), context.campaign.first_name
            self._entries.setdefault((person, rule, limits.key), {})[run.seq] = at
            self.taken.append(Claim(person, ClaimKind.REENTRY, rule, limits.key, run.seq, device, at))
        if not recipient.held_out:
            for cap in limits.caps:
                at = self._places.setdefault((person, cap.name), {}).setdefault(run.seq, self._at)
                self.taken.append(Claim(person, ClaimKind.CAP, cap.name, "", run.seq, device, at))

    def _read_places(self, tx: Transaction, windows: Sequence[Window]) -> None:
        caps = {cap for window in windows for cap in window.context.limits.caps}
        if not caps:
            return
        runs = {window.context.run.seq for window in windows}
        since = min(at_least_since(cap, self._now) for cap in caps)
        for held in claim_rows.places(tx, _persons(windows), {cap.name for cap in caps}, since=since, runs=runs):
            of_cap = self._places.setdefault((held.person, held.scope), {})
            of_cap[held.run] = min(held.at, of_cap.get(held.run, held.at))

    def _read_entries(self, tx: Transaction, windows: Sequence[Window]) -> None:
        names = {name for window in windows for name in window.context.campaign.names_had}
        for held in claim_rows.entries(tx, _persons(windows), names) if names else ():
            self._entries.setdefault((held.person, held.scope, held.bucket), {})[held.run] = held.at

    def _choose(self, tx: Transaction, windows: Sequence[Window]) -> None:
        """Which device of each user it is. The first window that meets a user says it for those that come later, so
        that whatever is seen, registered or moved meanwhile, there is one."""
        runs = {window.context.run.seq for window in windows}
        if runs:
            self._chosen = claim_rows.chosen_devices(tx, _persons(windows), runs)
        for window in windows:
            run = window.context.run.seq
            of_users = [one for one in window.recipients if one.user and (one.person, run) not in self._chosen]
            for person, device in latest_devices(tx, window, of_users).items():
                self._chosen[person, run] = device
                self.taken.append(Claim(person, ClaimKind.LATEST, "", "", run, device, self._at))


def _persons(windows: Sequence[Window]) -> list[str]:
    return list(dict.fromkeys(recipient.person for window in windows for recipient in window.recipients))
