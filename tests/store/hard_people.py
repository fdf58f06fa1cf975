"""Devices and users whose values are hard to read for one database or the other: each alone, and mixed by chance."""

from __future__ import annotations

from random import Random
from typing import Any

from random_conditions import HARD_NUMBERS, HARD_STRINGS, KEYS
from support.registries import add_devices, add_topics, add_users

from scheduler.store.database import Transaction

APP = "hard"
NOON_MS = 1_795_435_200_000
TOPIC_NAMES = ["team:FCB", "vip", "a", "é"]
# Sums of tenths have the long fractions that a reader of decimals gets wrong first.
NUMBERS = [*HARD_NUMBERS, *(number / 10 * 3 for number in range(1, 40)), *(1 / number for number in range(3, 40))]
LISTS: list[object] = [[], ["a"], ["A", "é"], ["a", None], ["b", 1], ["b", "c"], [["a"]], [1, 2.5], [{"a": "a"}], [""]]
VALUES: list[object] = [*HARD_STRINGS, *NUMBERS, *LISTS, True, False, None, {}, {"b": 1}, {"a": "a", "0": [1]}]
LOCALES = [None, "", "de", "de-AT", "de_CH", "a", "-x", "İ-é", "Europe/Berlin"]
INSTANTS = [None, 0, NOON_MS - 1, NOON_MS, NOON_MS + 1, NOON_MS - 86_400_000, NOON_MS + 86_400_000, -62_135_596_800_000]

FIRST = 1000
"""The number of the first hard device: tests have those before it, and all names of users that are not `hard …`."""

_SINGLE = [{"attributes": {"a": value}} for value in VALUES]


def settle(tx: Transaction) -> None:
    """The hard people, in an app of their own. Device FIRST + n has VALUES[n] as its attribute `a`, and no other."""
    chance = Random(1)

    def attributes() -> dict[str, Any]:
        return {key: chance.choice(VALUES) for key in chance.sample(list(dict.fromkeys(KEYS)), 5)}

    users: list[dict[str, Any]] = [
        {"id": f"hard {number}", "locale": chance.choice(LOCALES), "time_zone": chance.choice(LOCALES),
         "attributes": {} if number == 0 else attributes()}
        for number in range(12)
    ]  # fmt: skip
    owners = [None, "", "nobody", *(user["id"] for user in users)]
    devices: list[dict[str, Any]] = [
        {"user": chance.choice(owners), "locale": chance.choice(LOCALES), "time_zone": chance.choice(LOCALES),
         "registered_at": chance.choice(INSTANTS), "last_seen_at": chance.choice(INSTANTS) or 0,
         "topics": chance.sample(range(FIRST, FIRST + len(TOPIC_NAMES)), chance.randrange(4)),
         "attributes": attributes()}
        for _ in range(200)
    ]  # fmt: skip
    add_topics(tx, TOPIC_NAMES, app=APP, first=FIRST)
    add_users(tx, users)
    add_devices(tx, [{"id": number, **one} for number, one in enumerate([*_SINGLE, *devices], FIRST)], app=APP)
