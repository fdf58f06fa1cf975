"""A week in the life of a workspace, made from a seed: rules, devices, events, hands, and a daemon with downtimes.

The same seed is the same week, whoever lives through it: nothing here reads a clock or the order of a set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TypeAlias

from scheduler.domain.events import Event
from scheduler.store.registry_changes import DeviceChange, UserChange
from support.week_drawing import make_rules
from support.week_rules import APPS, END, EXIT, SALE, SCORE, START, TEAMS, TYPES, WeekRule
from support.worlds import token_of

ZONES = (
    "Europe/Berlin", "Europe/Berlin", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles",
    "America/Sao_Paulo", "America/St_Johns", "Africa/Casablanca", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo",
    "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Kiritimati",
    "Pacific/Pago_Pago", None, None,
)  # fmt: skip
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    rules: int
    devices: int
    events: int

    @property
    def kinds(self) -> int:
        """Kinds of events about users; rules ask for ten of them."""
        return 40 if self.events < 10_000 else 100


FULL = Size(rules=200, devices=10_000, events=100_000)
SMALL = Size(rules=60, devices=400, events=3_000)


@dataclass(frozen=True)
class Arrive:
    """Events come in over HTTP; those that come while the daemon is down are given again when it is up."""

    events: Sequence[Event]


@dataclass(frozen=True)
class Emit:
    """Another process writes events into the store, whether the daemon is up or not."""

    events: Sequence[Event]


@dataclass(frozen=True)
class Fire:
    """Somebody starts a manual rule by hand."""

    rule: str
    key: str


@dataclass(frozen=True)
class Down:
    """The daemon ends."""


@dataclass(frozen=True)
class Up:
    """A daemon starts."""


@dataclass(frozen=True)
class Restart:
    """The daemon ends, and another starts in the same moment."""


@dataclass(frozen=True)
class Switch:
    """The kill switch for a category: stopped, or started again."""

    category: str
    is_stopped: bool


@dataclass(frozen=True)
class OptOut:
    """A user opts out of a category."""

    user: str
    category: str


@dataclass(frozen=True)
class Move:
    """A device tells another time zone."""

    device: DeviceChange


Happening: TypeAlias = Arrive | Emit | Fire | Down | Up | Restart | Switch | OptOut | Move


@dataclass(frozen=True)
class Week:
    """All of it: `happenings` in the order of time."""

    seed: int
    size: Size
    rules: Sequence[WeekRule]
    devices: Sequence[DeviceChange]
    users: Sequence[UserChange]
    happenings: Sequence[tuple[datetime, Happening]]

    def with_restarts(self, instants: Iterable[datetime]) -> Week:
        """The same week with a daemon that also ends, and starts again at once, at these instants."""
        more = [(at, Restart()) for at in instants]
        happenings = sorted([*self.happenings, *more], key=lambda one: one[0])
        return Week(self.seed, self.size, self.rules, self.devices, self.users, happenings)


def make_week(seed: int, size: Size) -> Week:
    """The week of a seed."""
    chance = Random(seed)
    rules = make_rules(chance, size.rules)
    devices = [_device(chance, number, size) for number in range(1, size.devices + 1)]
    users = [_user(chance, number) for number in range(_users(size))]
    downs = _downtimes(chance)
    happenings: list[tuple[datetime, Happening]] = []
    happenings += _events(chance, size, downs)
    happenings += _hands(chance, rules, devices, users)
    for down, up in downs:
        happenings += [(down, Down()), (up, Up())]
    return Week(seed, size, rules, devices, users, sorted(happenings, key=lambda one: one[0]))


def _users(size: Size) -> int:
    return size.devices * 7 // 10


def _device(chance: Random, number: int, size: Size) -> DeviceChange:
    users = _users(size)
    user: int | None = number - 1 if number <= users else chance.randrange(users)
    if chance.random() < 0.04:
        user = None
    return DeviceChange(
        app=APPS[chance.random() < 0.4],
        token=token_of(number),
        user=None if user is None else f"u{user}",
        locale=chance.choice(["en", "de", None]),
        time_zone=chance.choice(ZONES),
        topics=sorted(chance.sample(TEAMS, chance.choice([0, 1, 1, 2]))),
        attributes={"alerts": chance.choice(["all", "goals", "none"]), "unread": chance.randrange(10)},
    )


def _user(chance: Random, number: int) -> UserChange:
    return UserChange(
        id=f"u{number}",
        attributes={"first_name": f"Name {number % 50}", "plan": chance.choice(["free", "free", "free", "pro"])},
        opt_outs=chance.choice([["marketing"], ["sports", "service"], *([[]] * 18)]),
        time_zone=chance.choice([*ZONES, *([None] * 60)]),
    )


def _downtimes(chance: Random) -> list[tuple[datetime, datetime]]:
    """Three of them, of minutes to hours; one over the change of the clocks."""
    first = START + timedelta(minutes=chance.randrange(300, 1_200))
    third = START + timedelta(minutes=chance.randrange(5_000, 9_000))
    changed = START + timedelta(days=2, minutes=chance.randrange(30))
    lengths = (timedelta(minutes=20), timedelta(hours=2), timedelta(hours=chance.choice([5, 13])))
    return [(down, down + length) for down, length in zip((first, changed, third), lengths, strict=True)]


def _events(
    chance: Random, size: Size, downs: Sequence[tuple[datetime, datetime]]
) -> list[tuple[datetime, Arrive | Emit]]:
    """Events in bursts, as backends send them: some late, some twice, some from before the week."""
    week_s = int((END - START).total_seconds())
    numbers: dict[str, int] = defaultdict(int)
    arrivals: list[tuple[datetime, Arrive | Emit]] = []
    made = 0
    before: list[Event] = []
    bursts = sorted(START + chance.randrange(1, week_s) * _SECOND for _ in range(max(30, size.events // 400)))
    for number, at in enumerate(bursts):
        count = (size.events - made) // (len(bursts) - number)
        count = min(size.events - made, chance.randrange(count // 2, count * 3 // 2 + 2))
        happened = at - chance.choice([0, 0, 0, 1, 30, 600]) * _SECOND
        burst = [_event(chance, size, made + one, happened, numbers) for one in range(count)]
        made += count
        if before and chance.random() < 0.1:
            burst += chance.sample(before, min(5, len(before)))
        before = burst
        is_down = any(down <= at < up for down, up in downs)
        by_another = chance.random() < (0.5 if is_down else 0.03)
        arrivals.append((at, Emit(burst) if by_another else Arrive(burst)))
    return arrivals


def _event(chance: Random, size: Size, number: int, happened: datetime, numbers: dict[str, int]) -> Event:
    lateness = 0 if chance.random() < 0.98 else chance.randrange(200_000)
    lot = chance.random()
    user = f"u{int(_users(size) * chance.random() ** 3)}"
    kind = f"k{chance.randrange(size.kinds)}"
    sales, scores = max(0.001, 30 / size.events), max(0.0015, 60 / size.events)
    if lot < sales:
        type_, subject, data = SALE, f"sale-{chance.randrange(30)}", {"kind": f"k{chance.randrange(15)}"}
    elif lot < sales + scores:
        home, away = chance.sample(TEAMS, 2)
        type_, subject, data = SCORE, f"game-{chance.randrange(40)}", {"home": home, "away": away, "kind": kind}
    elif lot > 0.97:
        type_, subject, data = EXIT, f"{user}-{chance.randrange(3)}", {"user_id": user}
    else:
        type_, subject, data = chance.choice(TYPES), f"{user}-{chance.randrange(3)}", {"user_id": user, "kind": kind}
        if chance.random() < 0.01:
            del data[chance.choice(["user_id", "kind"])]
    numbers[subject] += chance.choice([1, 1, 0])
    return Event(
        id=f"e{number}",
        source="week",
        type=type_,
        subject=subject if chance.random() < 0.99 else None,
        time=happened - lateness * _SECOND,
        data={**data, "number": numbers[subject]},
    )


def _hands(
    chance: Random, rules: Sequence[WeekRule], devices: Sequence[DeviceChange], users: Sequence[UserChange]
) -> list[tuple[datetime, Happening]]:
    """What people do: fire rules, opt out, travel, and stop a category for an hour."""
    found: list[tuple[datetime, Happening]] = []

    def some_time() -> datetime:
        return START + timedelta(minutes=chance.randrange(60, 10_000), seconds=chance.randrange(60))

    for rule in rules:
        if rule.manual:
            found += [(some_time(), Fire(rule.name, f"key-{chance.randrange(3)}")) for _ in range(4)]
    for user in chance.sample(users, len(users) // 100):
        found.append((some_time(), OptOut(user.id, chance.choice(["marketing", "news", "sports"]))))
    for device in chance.sample(devices, len(devices) // 100):
        changed = DeviceChange(app=device.app, token=device.token, time_zone=chance.choice(ZONES))
        found.append((some_time(), Move(changed)))
    for category in ("marketing", "sports"):
        at = some_time()
        found += [(at, Switch(category, True)), (at + timedelta(hours=1), Switch(category, False))]
    return found
