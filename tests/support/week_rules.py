"""Rules of all kinds for a week of virtual time, as facts from which both the files and the laws are made."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any

START = datetime(2026, 10, 23, tzinfo=UTC)
"""A Friday. Two days later the clocks of Europe are put back, and none is put forward anywhere in this week."""
DAYS = 7
END = START + timedelta(days=DAYS)
APPS = ("scores", "shop")
CATEGORIES = {"marketing": "hold", "news": "drop", "sports": "ignore", "service": "ignore"}
"""And what each does with what falls into the quiet hours."""
QUIET = (time(22), time(8))
COMPANY = (0.02, "company-2026")
"""The workspace's holdout: share and salt."""
DEFAULT_ZONE = "Europe/Berlin"
TEAMS = tuple(f"team-{number}" for number in range(60))
TYPES = tuple(f"com.example.app.t{number}" for number in range(8))
"""Events about one user; what happened is their `kind`."""
SCORE, SALE = "com.example.score.changed", "com.example.sale.started"
EXIT = "com.example.order.placed"
"""What calls a delayed message off."""
NEVER = timedelta(days=9_999)
CANARY_WAIT = timedelta(minutes=5)
HOUR = timedelta(hours=1)
BUILT = frozenset({"caps", "delays", "guards", "zones"})
"""Words of the language that are built: caps, delays, guards, zones."""


@dataclass(frozen=True)
class Cap:
    """`most` runs a person in the last `rolling`, or on a calendar day where there is none; of some categories."""

    name: str
    most: int
    rolling: timedelta | None
    categories: tuple[str, ...]


CAPS = (
    Cap("offers-day", 1, None, ("marketing",)),
    Cap("some-hours", 2, timedelta(hours=8), ("marketing", "news", "sports")),
)


@dataclass(frozen=True, kw_only=True)
class WeekRule:
    """One campaign: what its file says. Times of the day are on the clocks of `zone`, None is the default's."""

    name: str
    app: str
    category: str
    event: str | None = None
    kind: str | None = None
    """`when`: the event is of this kind."""
    once_per: bool = False
    """By the event's subject."""
    grows: bool = False
    """`when`: the number has grown against the previous event of the subject."""
    times: tuple[time, ...] = ()
    weekdays: frozenset[int] | None = None
    """Of a cron, from Monday = 0; None is any."""
    every: int | None = None
    """Every so many days from the date of `starts`."""
    at: datetime | None = None
    manual: bool = False
    zone: str | None = None
    grace: timedelta = HOUR
    catch_up: str = "last"
    audience: str = "user"
    """user, topics, both, where or everyone."""
    topic: str = TEAMS[0]
    personal: bool = False
    """A template that reads user and device; else one that is the same for all."""
    lane: str = "normal"
    rate: str | None = None
    expires_after: timedelta | None = None
    never_store: bool = False
    max_age: timedelta | None = None
    supersede: bool = False
    """By the event's subject."""
    on_unknown: str = "resend"
    quiet: str | None = None
    quiet_hours: tuple[time, time] | None = None
    holdout: float = 0.0
    variants: tuple[int, ...] = ()
    """Their weights."""
    ignores_caps: bool = False
    reentry: timedelta | None = None
    """Again after this time; `NEVER` is a very long one."""
    reentry_key: bool = False
    """By the event's subject."""
    per_user: str = "all"
    delay: timedelta = timedelta()
    recheck: bool = True
    unless: str | None = None
    """`match`: user or subject. The exit event is EXIT."""
    canary: float = 0.0
    """Its share; it waits for CANARY_WAIT."""
    enabled: bool = True
    starts: datetime | None = None
    ends: datetime | None = None

    @property
    def caps(self) -> list[Cap]:
        """Those that it heeds."""
        return [cap for cap in CAPS if self.category in cap.categories and not self.ignores_caps]

    @property
    def is_device_local(self) -> bool:
        return self.zone == "device"

    @property
    def is_scheduled(self) -> bool:
        return bool(self.times) or self.at is not None

    @property
    def quiet_action(self) -> str:
        """What it does with what falls into the quiet hours."""
        return self.quiet or CATEGORIES[self.category]

    @property
    def longest(self) -> timedelta | None:
        """The longest time from due to the commit of a send, by `max_age`; None: as long as Apple would keep it."""
        return self.max_age or (None if self.quiet_action == "hold" else timedelta(days=1))

    @property
    def lifetime(self) -> timedelta | None:
        """From due to the expiration; None: it has none."""
        return None if self.never_store else self.expires_after or timedelta(days=1)

    def text(self) -> str:
        """The rule's file; JSON is YAML too."""
        rule = {
            "category": self.category,
            "enabled": None if self.enabled else False,
            "starts": None if self.starts is None else _instant(self.starts),
            "ends": None if self.ends is None else _instant(self.ends),
            "trigger": self._trigger(),
            "audience": {"app": self.app, **self._audience()},
            "message": {"template": self._template()},
            "delivery": self._delivery(),
            "timing": self._timing(),
            "limits": self._limits(),
            "experiment": self._experiment(),
        }
        return json.dumps({key: value for key, value in rule.items() if value not in (None, {})}, indent=1)

    def _trigger(self) -> dict[str, Any]:
        if self.manual:
            return {"manual": True}
        if self.event is not None:
            when = [f'event.data.kind == "{self.kind}"'] if self.kind is not None else []
            if self.grows:
                when.append("event.data.number > (previous.data.number | default(0))")
            once_per = {"once_per": "{{ event.subject }}"} if self.once_per else {}
            return {"event": self.event, **({"when": " and ".join(when)} if when else {}), **once_per}
        zone = {"time_zone": self.zone} if self.zone is not None else {}
        if self.at is not None:
            return {"at": _instant(self.at), "grace": _duration(self.grace)}
        late = {"catch_up": self.catch_up, "grace": _duration(self.grace)}
        if self.every is not None:
            return {"schedule": {"every": f"{self.every} days", "time": f"{self.times[0]:%H:%M}"}, **zone, **late}
        minute = self.times[0].minute
        hours = ",".join(str(one.hour) for one in self.times)
        days = "*" if self.weekdays is None else ",".join(str((day + 1) % 7) for day in sorted(self.weekdays))
        return {"schedule": f"{minute} {hours} * * {days}", **zone, **late}

    def _audience(self) -> dict[str, Any]:
        user, team = {"users": ["{{ event.data.user_id }}"]}, {"topics": [self.topic]}
        if self.event == SCORE:
            team = {"topics": ["{{ event.data.home }}", "{{ event.data.away }}"]}
        return {
            "user": user,
            "topics": team,
            "both": user | team,
            "where": {"where": 'user.attributes.plan == "pro" and device.attributes.alerts in ["all", "goals"]'},
            "everyone": {"everyone": True},
        }[self.audience]

    def _template(self) -> str:
        return ("personal" if self.personal else "plain") + ("" if self.event is None else "-event")

    def _delivery(self) -> dict[str, Any]:
        lifetime = "never_store" if self.never_store else self.expires_after and _duration(self.expires_after)
        delivery = {
            "lane": self.lane,
            "rate": self.rate,
            "expires_after": lifetime,
            "max_age": self.max_age and _duration(self.max_age),
            "supersede": "{{ event.subject }}" if self.supersede else None,
            "on_unknown": self.on_unknown,
            "canary": self._canary(),
        }
        return {key: value for key, value in delivery.items() if value is not None}

    def _canary(self) -> dict[str, str] | None:
        if not self.canary:
            return None
        return {"share": f"{self.canary * 100:g}%", "wait": _duration(CANARY_WAIT), "max_rejects": "10%"}

    def _timing(self) -> dict[str, Any]:
        timing: dict[str, Any] = {}
        if self.quiet_hours is not None:
            start, end = self.quiet_hours
            then = {} if self.quiet is None else {"then": self.quiet}
            timing["quiet_hours"] = {"from": f"{start:%H:%M}", "to": f"{end:%H:%M}", **then}
        elif self.quiet is not None:
            timing["quiet_hours"] = self.quiet
        if self.delay:
            timing["delay"] = _duration(self.delay)
        if not self.recheck:
            timing["recheck"] = False
        if self.unless is not None:
            timing["unless"] = {"event": EXIT, "match": self.unless}
        return timing

    def _limits(self) -> dict[str, Any]:
        limits: dict[str, Any] = {"caps": "ignore"} if self.ignores_caps else {}
        if self.reentry is not None:
            key = {"key": "{{ event.subject }}"} if self.reentry_key else {}
            limits["reentry"] = "never" if self.reentry == NEVER else {"after": _duration(self.reentry), **key}
        return limits if self.per_user == "all" else {**limits, "per_user": self.per_user}

    def _experiment(self) -> dict[str, Any]:
        shares = {"holdout": f"{self.holdout * 100:g}%"} if self.holdout else {}
        variants = [
            {"name": f"v{number}", "weight": weight, "template": f"variant-{number}"}
            for number, weight in enumerate(self.variants)
        ]
        return {**shares, **({"variants": variants} if variants else {})}


def make_rules(chance: Random, count: int) -> list[WeekRule]:
    """`count` rules: of twenty, twelve about one user, two about topics, one for many, and five with a schedule."""
    return [_make(chance, number) for number in range(count)]


def settings_text() -> str:
    """clarion.yaml: the app `shop` is bounded, and so is its lane bulk."""
    auth = {"key_file": "AuthKey.p8", "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}
    apps = {name: {"bundle_id": f"com.example.{name}", "environment": "sandbox", "auth": auth} for name in APPS}
    apps["shop"] |= {"rate": {"max": "6000/s", "burst": 600}, "lanes": {"bulk": {"rate": "2000/s"}}}
    share, salt = COMPANY
    categories = {name: {"quiet_hours": action} for name, action in CATEGORIES.items()}
    categories["service"] |= {"opt_out": False, "holdout": "exempt"}
    limits: dict[str, Any] = {
        "quiet_hours": {"from": f"{QUIET[0]:%H:%M}", "to": f"{QUIET[1]:%H:%M}"},
        "holdout": {"share": f"{share * 100:g}%", "salt": salt},
    }
    if "caps" in BUILT:
        limits["caps"] = [_cap(cap) for cap in CAPS]
    if "guards" in BUILT:
        limits["fuse"] = {"times": 10, "within": "15 minutes"}
    return json.dumps(
        {
            "store": {"url": "sqlite:///clarion.db"},
            "apps": apps,
            "categories": categories,
            "limits": limits,
            "defaults": {"time_zone": DEFAULT_ZONE, "locale": "en"},
        },
        indent=1,
    )


_NUMBER = "{{ event.data.number | default(0) }} of {{ device.id }}"
_HELLO = "{{ user.attributes.first_name | default('Hello') }}"
TEMPLATES = {
    "plain": "aps: {alert: {title: News, body: There is something new}}\n",
    "plain-event": "aps: {alert: {title: \"{{ event.data.kind | default('News') }}\", body: It happened}}\n",
    "personal": f'aps: {{alert: {{title: "{_HELLO}", body: "Number {{{{ device.id }}}}"}}}}\n',
    "personal-event": (
        f'aps: {{alert: {{title: "{_HELLO}", body: "{_NUMBER}"}}}}\n'
        "extra: \"{% if device.attributes.unread == 9 %}{{ abort('read enough') }}{% endif %}ok\"\n"
    ),
    **{f"variant-{n}": f"aps: {{alert: {{title: Variant {n}, body: You are one of many}}}}\n" for n in range(3)},
}


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


def _cap(cap: Cap) -> dict[str, Any]:
    per = {"per": "1 day", "window": "calendar"} if cap.rolling is None else {"per": _duration(cap.rolling)}
    return {"name": cap.name, "max": cap.most, **per, "categories": list(cap.categories)}


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(duration: timedelta) -> str:
    return f"{int(duration.total_seconds())} s"
