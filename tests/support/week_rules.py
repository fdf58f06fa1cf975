"""Rules of all kinds for a week of virtual time, as facts from which both the files and the laws are made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
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


def _cap(cap: Cap) -> dict[str, Any]:
    per = {"per": "1 day", "window": "calendar"} if cap.rolling is None else {"per": _duration(cap.rolling)}
    return {"name": cap.name, "max": cap.most, **per, "categories": list(cap.categories)}


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(duration: timedelta) -> str:
    return f"{int(duration.total_seconds())} s"
