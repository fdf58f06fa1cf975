"""What must be true after any week. Everything is worked out anew here, from the facts of the rules and the rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from functools import cache, lru_cache
from hashlib import sha256
from itertools import pairwise
from math import log
from zoneinfo import ZoneInfo

from scheduler.domain.ids import apns_ids
from support.week_records import Outcome, People, Records, StoredEvent, StoredRun
from support.week_rules import (
    BUILT,
    CANARY_WAIT,
    CAPS,
    COMPANY,
    END,
    EXIT,
    HOUR,
    QUIET,
    SCORE,
    Cap,
    WeekRule,
)
from support.week_slot_laws import check_local_slots, check_slots, due_of, is_on, may_be_missed

_NAMED = ("user", "both")


def check_laws(people: People, records: Records, taken: Mapping[str, int], *, has_crashed: bool = False) -> None:
    """All of them. `taken` is what the provider accepted, by apns-id."""
    check_sums(records)
    check_nothing_is_stuck(people, records)
    check_each_once(records, taken, has_crashed=has_crashed)
    check_occasions(records)
    check_slots(people, records)
    check_audiences(people, records)
    check_times(people, records)
    check_local_slots(people, records)
    check_quiet_hours(people, records)
    check_consent(people, records)
    check_experiments(people, records)
    check_superseding(records)
    check_caps(people, records)
    check_reentry(people, records)
    check_one_device_a_user(people, records)
    check_exits(people, records)
    check_canaries(people, records)


def check_sums(records: Records) -> None:
    """selected = accepted + rejected + suppressed + expired + unknown + pending; nothing is open between instants."""
    for run in records.runs:
        assert run.selected == len(run.outcomes) + len(run.waiting), run
        assert not run.waiting or run.state != "finished", run
        assert not {one.device for one in run.outcomes}.intersection(run.waiting), run


def check_nothing_is_stuck(people: People, records: Records) -> None:
    """At the end nothing is left undone that is due, but for what is paused or stopped."""
    for run in records.runs:
        is_stopped = any(down <= END < up for down, up in people.stops[run.rule.category])
        if run.state not in ("paused", "finished", "superseded", "cancelled") and not is_stopped:
            assert run.waiting or run.waits_until is not None, run
            assert min((*run.waiting.values(), run.waits_until or END + HOUR)) > END, run


def check_each_once(records: Records, taken: Mapping[str, int], *, has_crashed: bool) -> None:
    """An occasion has one run, and what is accepted was taken by the provider: once, if nothing crashed."""
    occasions = Counter((run.rule.name, run.occasion) for run in records.runs)
    assert max(occasions.values(), default=1) == 1, occasions.most_common(1)
    left = dict(taken)
    for run in records.runs:
        apns_id = apns_ids(run.id)
        for one in run.outcomes:
            times = left.pop(apns_id(one.device), 0)
            assert times >= one.is_accepted, (run, one)
            assert times <= 1 or one.maybe_repeated, (run, one)
            assert has_crashed or times == one.is_accepted, (run, one)
    assert has_crashed or not left, left


def check_occasions(records: Records) -> None:
    """Each rule about events has a run for each key of an event that counts, and none else."""
    expected: dict[str, set[str]] = defaultdict(set)
    had: dict[str, set[str]] = defaultdict(set)
    rules = {run.rule.name: run.rule for run in records.runs if run.rule.event is not None and not run.rule.grows}
    by_type: dict[str, list[WeekRule]] = defaultdict(list)
    for rule in rules.values():
        assert rule.event is not None
        for type_ in {event.type for event in records.events}:
            if type_ == rule.event or (rule.event.endswith("*") and type_.startswith(rule.event[:-1])):
                by_type[type_].append(rule)
    for event in records.events:
        for rule in by_type[event.type]:
            is_in_force = is_on(rule, event.counts_at) and rule.enabled
            wants_subject = rule.once_per or rule.supersede or rule.reentry_key
            if is_in_force and rule.kind in (None, event.data.get("kind")) and (event.subject or not wants_subject):
                key = event.subject if rule.once_per else f"{event.source}\n{event.id}"
                assert key is not None
                expected[rule.name].add(key)
    for run in records.runs:
        if run.rule.name in rules:
            had[run.rule.name].add(run.occasion)
            assert run.event is not None
            assert run.occasion_at == run.event.counts_at
            assert run.due == run.occasion_at + run.rule.delay
    assert had == expected


def check_audiences(people: People, records: Records) -> None:
    """A run selects the devices that match its audience, but for those that were retired, and no others."""
    of_topic: dict[tuple[str, str], set[int]] = defaultdict(set)
    of_user: dict[tuple[str, str], set[int]] = defaultdict(set)
    for number, device in people.devices.items():
        for topic in device.topics or ():
            of_topic[device.app, topic].add(number)
        if device.user:
            of_user[device.app, device.user].add(number)
    for run in records.runs:
        meant = _meant(run, people, of_topic, of_user)
        selected = {one.device for one in run.outcomes}.union(run.waiting)
        assert selected <= meant, run
        if run.state == "finished":
            assert all(may_be_missed(run, one, people) for one in meant - selected - records.retired), run


def _meant(
    run: StoredRun,
    people: People,
    of_topic: Mapping[tuple[str, str], set[int]],
    of_user: Mapping[tuple[str, str], set[int]],
) -> set[int]:
    rule, data = run.rule, {} if run.event is None else run.event.data
    topics = (data.get("home"), data.get("away")) if rule.event == SCORE else (rule.topic,)
    fans = {device for topic in topics for device in of_topic.get((rule.app, topic or ""), ())}
    whose = of_user.get((rule.app, data.get("user_id", "")), set())
    match rule.audience:
        case "user":
            return whose
        case "topics":
            return fans
        case "both":
            return fans & whose
        case "everyone":
            return {number for number, device in people.devices.items() if device.app == rule.app}
    return {number for number in people.devices if _is_wanted(number, rule, people)}


def _is_wanted(number: int, rule: WeekRule, people: People) -> bool:
    device, user = people.devices[number], people.user_of(number)
    if device.app != rule.app or user is None or not isinstance(device.attributes, dict):
        return False
    attributes = people.users[user].attributes
    is_pro = isinstance(attributes, dict) and attributes["plan"] == "pro"
    return is_pro and device.attributes["alerts"] in ("all", "goals")


def check_times(people: People, records: Records) -> None:
    """Nothing is accepted after the end of its rule, its max_age, or its expiration."""
    for run, one in _accepted(records):
        rule, due = run.rule, due_of(run, one, people)
        assert one.at >= due, (run, one)
        assert rule.ends is None or one.at <= rule.ends, (run, one)
        assert rule.longest is None or one.at - due <= rule.longest, (run, one)
        assert rule.lifetime is None or one.at < due + rule.lifetime, (run, one)


def check_quiet_hours(people: People, records: Records) -> None:
    """Of a rule that holds or drops, nothing is accepted while the clock at the device shows quiet hours."""
    clock = lru_cache(maxsize=None)(lambda at, zone: at.astimezone(ZoneInfo(zone)).time())
    for run, one in _accepted(records):
        if run.rule.quiet_action != "ignore":
            start, end = run.rule.quiet_hours or QUIET
            shown = clock(one.at, people.zone(one.device, one.at))
            assert not _is_between(start, shown, end), (run, one, shown)
    for run in records.runs:
        for one in run.outcomes:
            assert one.reason != "quiet_hours" or run.rule.quiet_action == "drop", (run, one)


def check_consent(people: People, records: Records) -> None:
    """Nothing is accepted after an opt-out from its category, or while that is stopped, or nobody is up."""
    for run, one in _accepted(records):
        category = run.rule.category
        assert category == "service" or not people.has_opted_out(one.device, category, one.at), (run, one)
        for down, up in [*people.stops[category], *people.downs]:
            assert not down < one.at < up, (run, one)


def check_experiments(people: People, records: Records) -> None:
    """Who is held out, and who gets which variant, is as the documented hash says."""
    for run in records.runs:
        rule = run.rule
        holdouts = [(rule.holdout, rule.name)] if rule.holdout else []
        if rule.category != "service":
            holdouts.append(COMPANY)
        for one in run.outcomes:
            person = people.person(one.device)
            is_held_out = any(_number(f"holdout/{salt}/{person}") / 2**32 < share for share, salt in holdouts)
            assert not (is_held_out and one.is_accepted), (run, one)
            assert one.reason != "held_out" or is_held_out, (run, one)
            if one.is_accepted or one.variant is not None:
                assert one.variant == _variant(rule, person), (run, one)


def check_superseding(records: Records) -> None:
    """Nothing of a run is accepted after a newer one with its key was born."""
    by_key: dict[tuple[str, str], list[StoredRun]] = defaultdict(list)
    for run in records.runs:
        if run.supersede is not None:
            by_key[run.rule.name, run.supersede].append(run)
    for rivals in by_key.values():
        rivals.sort(key=lambda run: (run.occasion_at, run.seq))
        for number, run in enumerate(rivals[:-1]):
            stopped_at = min(newer.created_at for newer in rivals[number + 1 :])
            last = max((one.at for one in run.outcomes if one.is_accepted), default=stopped_at)
            assert last <= stopped_at, run


def check_caps(people: People, records: Records) -> None:
    """Nobody has more runs in the time of a cap than it says, and who was sent to holds a place."""
    places: dict[tuple[str, str], dict[int, datetime]] = defaultdict(dict)
    whose: dict[str, int] = {}
    for run in records.runs:
        mine = {(claim.scope, claim.device) for claim in run.claims if claim.kind == "cap"}
        for claim in run.claims if mine else ():
            if claim.kind == "cap":
                taken = places[claim.scope, claim.person]
                taken[run.seq] = min(claim.at, taken.get(run.seq, claim.at))
                whose[claim.person] = claim.device
        for one in run.outcomes:
            if one.is_accepted:
                assert mine >= {(cap.name, one.device) for cap in run.rule.caps if "caps" in BUILT}, (run, one)
    for cap in CAPS:
        for (scope, person), taken in places.items():
            zone = people.zone_of_person(whose[person], records.retired)
            if scope == cap.name and (zone is not None or cap.rolling is not None):
                assert _most_at_once(cap, sorted(taken.values()), zone) <= cap.most, (cap, person, taken)


def _most_at_once(cap: Cap, times: list[datetime], zone: str | None) -> int:
    if cap.rolling is None:
        assert zone is not None
        return max(Counter(at.astimezone(ZoneInfo(zone)).date() for at in times).values())
    return max(sum(at - cap.rolling < before <= at for before in times) for at in times)


def check_reentry(people: People, records: Records) -> None:
    """Between two occasions at which a person has a rule lies the time of its re-entry."""
    had: dict[tuple[str, str, str | None], set[tuple[datetime, int]]] = defaultdict(set)
    for run in records.runs:
        if run.rule.reentry is not None:
            key = None if not run.rule.reentry_key or run.event is None else run.event.subject
            for one in run.outcomes:
                if one.is_accepted or one.reason == "held_out":
                    had[run.rule.name, people.person(one.device), key].add((run.occasion_at, run.seq))
    after = {run.rule.name: run.rule.reentry for run in records.runs}
    for (name, *_), occasions in had.items():
        shortest = after[name]
        assert shortest is not None
        for (first, _), (second, _) in pairwise(sorted(occasions)):
            assert second - first >= shortest, (name, first, second)


def check_one_device_a_user(people: People, records: Records) -> None:
    """Of a rule for the latest device, a user has it on one."""
    for run in records.runs:
        if run.rule.per_user == "latest":
            sent = Counter(people.person(one.device) for one in run.outcomes if one.is_accepted)
            assert max(sent.values(), default=1) == 1, run


def check_exits(people: People, records: Records) -> None:
    """Nothing is accepted after an event that calls it off; what is called off has such an event."""
    by_user: dict[str, list[StoredEvent]] = defaultdict(list)
    by_subject: dict[str, list[StoredEvent]] = defaultdict(list)
    for event in records.events:
        if event.type == EXIT:
            by_user[event.data["user_id"]].append(event)
            if event.subject is not None:
                by_subject[event.subject].append(event)
    for run in records.runs:
        if run.rule.unless is None or run.event is None:
            continue
        since = run.event.counts_at
        for one in run.outcomes:
            user = people.user_of(one.device)
            exits = by_subject[run.event.subject or ""] if run.rule.unless == "subject" else by_user[user or ""]
            after = [event for event in exits if event.counts_at >= since]
            if one.is_accepted:
                assert not any(event.counts_at <= one.at and event.arrived_at < one.at for event in after), (run, one)
            if one.reason == "exit_event":
                assert any(event.arrived_at <= one.at for event in after), (run, one)


def check_canaries(people: People, records: Records) -> None:
    """Who is no canary by the documented hash waits after those who are were decided. Canaries that are held then hold
    nobody up, and one that is accepted meanwhile makes nobody wait longer."""
    for run in records.runs:
        if run.rule.canary:
            sent: dict[bool, list[datetime]] = {True: [], False: []}
            for one in run.outcomes:
                drawn = _number(f"canary/{run.id}/{people.person(one.device)}") / 2**32 < run.rule.canary
                if one.is_accepted and not one.maybe_repeated:
                    sent[drawn].append(one.at)
            if sent[True] and sent[False]:
                assert run.started_at is not None
                assert min(sent[False]) >= run.started_at + CANARY_WAIT, run


def _accepted(records: Records) -> Iterator[tuple[StoredRun, Outcome]]:
    return ((run, one) for run in records.runs for one in run.outcomes if one.is_accepted)


def _is_between(start: time, shown: time, end: time) -> bool:
    return start <= shown < end if start < end else shown >= start or shown < end


@cache
def _number(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")


def _variant(rule: WeekRule, person: str) -> str | None:
    def score(name: str) -> float:
        return log((_number(f"variant/{name}/{rule.name}/{person}") + 0.5) / 2**32) / weights[name]

    weights = {f"v{number}": weight for number, weight in enumerate(rule.variants)}
    return max(sorted(weights), key=score) if weights else None
