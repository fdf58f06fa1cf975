"""Rules for a week of virtual time, drawn by chance: what is asked of chance, and in which order, makes the week."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import time, timedelta
from random import Random
from typing import Any

from support.week_rules import APPS, BUILT, DAYS, HOUR, NEVER, SALE, SCORE, START, TEAMS, TYPES, WeekRule


def make_rules(chance: Random, count: int) -> list[WeekRule]:
    """`count` rules: of twenty, twelve about one user, two about topics, one for many, and five with a schedule."""
    return [_make(chance, number) for number in range(count)]


def _make(chance: Random, number: int) -> WeekRule:
    place = number % 20
    base = WeekRule(
        name=f"rule-{number}",
        app=APPS[chance.random() < 0.4],
        category=chance.choice(["marketing", "marketing", "news", "sports", "service"]),
        personal=chance.random() < 0.3,
        on_unknown=chance.choice(["resend", "resend", "drop"]),
    )
    if place < 12:
        made = _about_one(chance, base, number)
    elif place < 14:
        made = _about_topics(chance, base, number)
    elif place == 14:
        made = _for_many(chance, base)
    elif place < 19:
        made = _by_schedule(chance, base)
        if place == 15 and number % 40 == 15 and "zones" in BUILT:  # few: a slot takes forty windows around the world
            weekdays = frozenset(chance.sample(range(7), 2))
            made = replace(made, zone="device", times=made.times[:1], weekdays=weekdays, every=None, starts=None)
    else:
        made = _once_or_by_hand(chance, base)
    return _with_terms(chance, made)


def _about_one(chance: Random, base: WeekRule, number: int) -> WeekRule:
    type_ = TYPES[number % len(TYPES)]
    made = replace(base, event=type_, kind=f"k{number // len(TYPES) % 10}", audience="user")
    change = chance.choice(
        [
            {},
            {"once_per": True},
            {"supersede": True},
            {"audience": "both", "topic": chance.choice(TEAMS)},
            {"grows": True, "event": TYPES[0]},
            {"event": f"{type_[:-1]}*" if chance.random() < 0.2 else f"{type_}*"},
        ]
    )
    return replace(made, lane=chance.choice(["urgent", "normal", "normal", "bulk"]), **change)


def _about_topics(chance: Random, base: WeekRule, number: int) -> WeekRule:
    if number % 2:
        return replace(base, event=SCORE, audience="topics", grows=True, lane="urgent", supersede=chance.random() < 0.5)
    kind = f"k{chance.randrange(10)}"
    topic = chance.choice(TEAMS)
    return replace(base, event=SALE, kind=kind, audience="topics", topic=topic, supersede=chance.random() < 0.5)


def _for_many(chance: Random, base: WeekRule) -> WeekRule:
    rate = chance.choice([None, "3000/s", "90000/min"])
    made = replace(base, audience="where", lane="bulk", rate=rate)
    if chance.random() < 0.5:
        return replace(made, event=SALE, kind=f"k{chance.randrange(10)}", once_per=True)
    audience = chance.choice(["where", "everyone"])
    times = (time(chance.randrange(24), 30),)
    return replace(made, audience=audience, times=times, weekdays=frozenset({chance.randrange(7)}))


_SCHEDULE_ZONES = (None, "America/New_York", "Asia/Kathmandu", "Pacific/Chatham", "Europe/London")


def _by_schedule(chance: Random, base: WeekRule) -> WeekRule:
    hours = sorted(chance.sample(range(24), chance.choice([1, 1, 2])))
    minute = chance.choice([0, 15, 30, 45])
    made = replace(
        base,
        audience="topics",
        topic=chance.choice(TEAMS),
        times=tuple(time(hour, minute) for hour in hours),
        weekdays=chance.choice([None, None, frozenset(chance.sample(range(7), 3))]),
        zone=chance.choice(_SCHEDULE_ZONES),
        grace=chance.choice([timedelta(minutes=10), HOUR, 12 * HOUR]),
        catch_up=chance.choice(["skip", "last", "all"]),
    )
    if chance.random() < 0.3:
        starts = START + timedelta(days=chance.choice([0, 1, 2]))
        return replace(made, every=chance.choice([1, 2, 3]), times=made.times[:1], weekdays=None, starts=starts)
    return made


def _once_or_by_hand(chance: Random, base: WeekRule) -> WeekRule:
    made = replace(base, audience="topics", topic=chance.choice(TEAMS), rate=chance.choice([None, "100/s"]))
    if chance.random() < 0.5:
        return replace(made, manual=True)
    at = START + timedelta(minutes=15 * chance.randrange(4, DAYS * 96))
    return replace(made, at=at, grace=chance.choice([HOUR, 12 * HOUR]))


_TERMS: Sequence[Callable[[Random], dict[str, Any]]] = (
    lambda chance: {"holdout": chance.choice([0.05, 0.2, 0.5])},
    lambda chance: {"variants": tuple(chance.choice([1, 20, 50]) for _ in range(chance.choice([2, 3])))},
    lambda chance: {"holdout": 0.1, "variants": (50, 50)},
    lambda chance: {"expires_after": chance.choice([timedelta(minutes=15), 6 * HOUR])},
    lambda chance: {"never_store": True},
    lambda chance: {"max_age": chance.choice([timedelta(minutes=10), 3 * HOUR])},
    lambda chance: {"quiet": chance.choice(["hold", "drop", "ignore"])},
    lambda chance: {"quiet_hours": (time(12), time(14)), "quiet": chance.choice([None, "hold", "drop"])},
    lambda chance: {"ends": START + timedelta(hours=chance.randrange(48, 160))},
    lambda chance: {"starts": START + timedelta(hours=chance.randrange(12, 72))},
)


_NAMED = ("user", "both")


_TERMS_OF: dict[str, Sequence[Callable[[Random], dict[str, Any]]]] = {
    "caps": (
        lambda chance: {"ignores_caps": True},
        lambda chance: {"reentry": chance.choice([NEVER, 6 * HOUR, 30 * HOUR])},
        lambda chance: {"reentry": 30 * HOUR, "reentry_key": True},
        lambda chance: {"per_user": "latest"},
    ),
    "delays": (
        lambda chance: {"delay": chance.choice([HOUR / 2, 2 * HOUR, 20 * HOUR])},
        lambda chance: {"delay": 2 * HOUR, "unless": "user", "recheck": chance.random() < 0.5},
        lambda chance: {"delay": 5 * HOUR, "unless": "subject"},
    ),
    "guards": (lambda chance: {"canary": chance.choice([0.05, 0.3])},),
}


def _with_terms(chance: Random, rule: WeekRule) -> WeekRule:
    """Up to three more words, and one rule in thirty is disabled."""
    terms = [*_TERMS, *(term for word in sorted(BUILT) for term in _TERMS_OF.get(word, ()))]
    for make in chance.sample(terms, chance.choice([0, 1, 2, 3])):
        words = make(chance)
        starts_late = "starts" in words and (rule.starts is not None or rule.is_scheduled)
        never_comes = "ends" in words and (rule.every is not None or rule.at is not None or rule.weekdays is not None)
        about_events = "delay" in words or "reentry_key" in words or "unless" in words
        fits = rule.event is not None or not about_events
        cut = "canary" in words and (rule.audience in _NAMED or rule.is_device_local or bool(rule.delay))
        cut = cut or ("delay" in words and bool(rule.canary))
        if not starts_late and not never_comes and fits and not cut:
            rule = replace(rule, **words)
    has_key = rule.reentry_key and rule.reentry != NEVER  # a word may take back what another one said
    return replace(rule, reentry_key=has_key, enabled=chance.random() > 1 / 30)
