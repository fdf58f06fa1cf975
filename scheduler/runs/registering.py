"""The registry's door: what a device or a user may be, whatever way it comes.

Attributes are checked inside the transaction, where it is known whether the device is new; everything else here.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection
from functools import cache, lru_cache

from msgspec import UNSET, UnsetType, structs

from scheduler.apns.request import check_token
from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.locales import canonical_locale
from scheduler.runs.json_reading import FieldProblem
from scheduler.store.database import Store
from scheduler.store.registry import Erasure, erase_user
from scheduler.store.registry_changes import DeviceChange, UserChange

TOPIC_SEPARATOR = "|"
"""Between the topics of a device in a CSV file, and so never inside the name of one."""
MAX_TOPICS = 1000
MAX_NAME = 256
"""Characters of a user's id, a topic's name and a category."""


def checked_device(change: DeviceChange, apps: Collection[str]) -> DeviceChange | FieldProblem:
    """The change as it is kept, or what is wrong with it.

    A token is kept in lower case, so that two spellings are one device; a locale in the case of BCP 47.
    """
    problem = (
        _app_problem(change.app, apps)
        or _token_problem("token", change.token)
        or _token_problem("replaces", change.replaces)
        or _name_problem("user", change.user)
        or _locale_problem(change.locale)
        or _time_zone_problem(change.time_zone)
        or _topics_problem(change.topics)
    )
    if problem is not None:
        return problem
    token = change.token.lower()
    locale = canonical_locale(change.locale) if isinstance(change.locale, str) else change.locale
    replaces = change.replaces.lower() if isinstance(change.replaces, str) else change.replaces
    if token == change.token and locale == change.locale and replaces == change.replaces:
        return change
    return structs.replace(change, token=token, locale=locale, replaces=replaces)


def checked_user(change: UserChange) -> UserChange | FieldProblem:
    """The change as it is kept, or what is wrong with it."""
    problem = (
        _name_problem("user", change.id)
        or _locale_problem(change.locale)
        or _time_zone_problem(change.time_zone)
        or next(filter(None, (_name_problem("opt_outs", category) for category in change.opt_outs or ())), None)
    )
    if problem is not None:
        return problem
    return structs.replace(change, locale=canonical_locale(change.locale)) if change.locale else change


def checked_address(app: str, token: str, apps: Collection[str]) -> tuple[str, str] | FieldProblem:
    """How a device is found: its app, and its token as it is kept."""
    return _app_problem(app, apps) or _token_problem("token", token) or (app, token.lower())


def erase(store: Store, user: str) -> Erasure:
    """Erase a person, however many devices there are, in transactions of bounded size."""
    devices, found = 0, False
    while True:
        with store.write() as tx:
            step = erase_user(tx, user)
        devices += step.devices
        found |= step.found
        if step.finished:
            return Erasure(devices=devices, found=found, finished=True)


@cache
def known_time_zones() -> frozenset[str]:
    """The names of the IANA time zone database."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


def _app_problem(app: str, apps: Collection[str]) -> FieldProblem | None:
    if app in apps:
        return None
    hint = did_you_mean(app, sorted(apps)) or f"there are {', '.join(sorted(apps))}"
    return FieldProblem("app", f"app {app[:40]!r} is not in clarion.yaml; {hint}")


def _token_problem(field: str, token: str | UnsetType) -> FieldProblem | None:
    if token is UNSET:
        return None
    try:
        check_token(token)
    except ValueError as problem:
        return FieldProblem(field, f"{field} {token[:20]!r}: {problem}")
    return None


def _name_problem(field: str, name: str | UnsetType | None) -> FieldProblem | None:
    if not isinstance(name, str) or (name and len(name) <= MAX_NAME and name.isprintable()):
        return None
    return FieldProblem(field, f"{field} {name[:40]!r} is not 1 to {MAX_NAME} printable characters")


def _locale_problem(locale: str | UnsetType | None) -> FieldProblem | None:
    if not isinstance(locale, str) or canonical_locale(locale) is not None:
        return None
    return FieldProblem("locale", f"locale {locale[:40]!r} is not a tag of BCP 47 such as 'de-AT'")


def _time_zone_problem(zone: str | UnsetType | None) -> FieldProblem | None:
    if not isinstance(zone, str) or zone in known_time_zones():
        return None
    hint = _zone_hint(zone) if len(zone) <= MAX_NAME else None
    return FieldProblem(
        "time_zone", f"time_zone {zone[:40]!r} is not in the IANA database" + (f"; {hint}" if hint else "")
    )


@lru_cache(maxsize=1024)
def _zone_hint(zone: str) -> str | None:
    return did_you_mean(zone, known_time_zones())


def _topics_problem(topics: list[str] | UnsetType | None) -> FieldProblem | None:
    if not isinstance(topics, list):
        return None
    if len(topics) > MAX_TOPICS:
        return FieldProblem("topics", f"topics are {len(topics)}, and {MAX_TOPICS} are the most a device can have")
    for name in topics:
        if not _is_topic(name):
            return FieldProblem(
                "topics",
                f"topics: {name[:40]!r} is not 1 to {MAX_NAME} printable characters without {TOPIC_SEPARATOR!r}"
                " and without spaces around",
            )
    return None


@lru_cache(maxsize=65_536)
def _is_topic(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip() and TOPIC_SEPARATOR not in name
