"""The fields of clarion.yaml: reading, overriding by CLARION_* variables, and the reference go by this table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.diagnostics.yaml_nodes import MappingNode, Node
from scheduler.domain.locales import canonical_locale
from scheduler.domain.proxy import HOST, parse_proxy
from scheduler.domain.quantities import CalendarUnits, Rate, parse_calendar_units, parse_duration, parse_rate
from scheduler.domain.quiet_hours import QuietAction
from scheduler.rules.fields import Field, Table
from scheduler.rules.kinds import (
    BOOLEAN,
    DURATION,
    NAME,
    PERCENT,
    TEXT,
    WHOLE_NUMBER,
    WORD,
    Kind,
    Misfit,
    choice,
    one_of,
    parsed,
    text_of,
)
from scheduler.rules.records import either, list_of, record
from scheduler.rules.time_kinds import TIME_OF_DAY, cities

_APPLE_ID = re.compile(r"[A-Z0-9]{10}")
_BUNDLE_ID = re.compile(r"[A-Za-z0-9.-]{1,155}")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; as text HOST:PORT, with brackets around an IPv6 host."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _texts(
    words: str, parse: object, json_schema: dict[str, object] | None = None, known: Callable[[], Iterable[str]] = tuple
) -> Kind:
    """What `parse` makes of a text, None when it cannot be that. `known` are texts that may have been meant."""

    def read(node: Node) -> object:
        text = text_of(node, words)
        value = parse(text) if callable(parse) else None
        if value is None:
            raise Misfit(f"must be {words}, not '{text}'", node, did_you_mean(text, known()))
        return value

    return Kind(words, read, json_schema or {"type": "string"})


def _address(text: str) -> Address | None:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return Address(host, int(port)) if host and re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536 else None


def _endpoint(text: str) -> Address | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    bare = parts.path in ("", "/") and not parts.query and not parts.username
    host = parts.hostname or ""
    fits = parts.scheme == "https" and HOST.fullmatch(host) and bare and port != 0
    return Address(host, port or 443) if fits else None


def _zone(text: str) -> str | None:
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        return None


def _links(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[1-9][0-9]?", text) else None


def _read_rate(node: Node) -> object:
    """`9000/s`, or `{max: 9000/s, burst: 500}`."""
    burst: int | None = None
    if isinstance(node, MappingNode):
        for key, _ in node:
            if key.text not in ("max", "burst"):
                raise Misfit(f"has no key '{key.text}'", key, "it has `max` and `burst`")
        given = node.get("burst")
        if given is not None:
            text = text_of(given, "a whole number from 1")
            if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
                raise Misfit(f"`burst` must be a whole number from 1, not '{text}'", given)
            burst = int(text)
        limit = node.get("max")
        if limit is None:
            raise Misfit("needs `max`", node, "write {max: 9000/s, burst: 500}")
        node = limit
    try:
        return Rate.of(parse_rate(text_of(node, "a rate such as 500/s")), burst)
    except ValueError as problem:
        raise Misfit(str(problem), node) from None


def _store_url(node: Node) -> object:
    text = text_of(node, "a database URL")
    if not re.match(r"(sqlite:///|postgresql(\+\w+)?://).", text):
        raise Misfit(f"'{text}' is no database Clarion knows", node, "write sqlite:///clarion.db")
    return text


def _cap_time(text: str) -> CalendarUnits | timedelta:
    try:
        return parse_calendar_units(text)
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"must be a time such as 1 day or 12 hours, not '{text}'") from None


_CAP_TIME = parsed("a time such as 1 day or 12 hours", _cap_time)
RATE = Kind(
    "a rate such as 500/s, or {max: 500/s, burst: 50}",
    _read_rate,
    {"anyOf": [{"type": "string"}, {"type": "object", "required": ["max"]}]},
)
_APPLE_KEY = _texts("an id of ten capital letters and digits", lambda text: _APPLE_ID.fullmatch(text) and text)
_BUNDLE = _texts("a bundle id such as com.example.app", lambda text: _BUNDLE_ID.fullmatch(text) and text)

_STORE = (
    Field(path="store.url", kind=Kind("a database URL", _store_url, {"type": "string"}),
          default="sqlite:///clarion.db", example="sqlite:///clarion.db",
          meaning="The database. A relative path is relative to the workspace."),
    Field(path="store.retention.events", kind=DURATION, default="30 days", example="60 days",
          built=False, off=("30 days",), meaning="How long events stay."),
    Field(path="store.retention.ledger", kind=DURATION, default="400 days", example="90 days",
          built=False, off=("400 days",), meaning="The ledger's age."),
    Field(path="workers", kind=WHOLE_NUMBER, default="0", example="2", built=False, off=("0",),
          meaning="Extra processes that render and send."),
)  # fmt: skip
_APPS = (
    Field(path="apps.*.bundle_id", kind=_BUNDLE, default="the app's name", example="com.example.shop",
          meaning="Apple's topic is derived from it."),
    Field(path="apps.*.provider", kind=choice(("apns",)), default="apns", example="apns", meaning="Who delivers."),
    Field(path="apps.*.environment", required=True,
          kind=choice(("sandbox", "production"), meant={"development": "sandbox", "dev": "sandbox", "test": "sandbox"}),
          example="production", meaning="Which of Apple's servers."),
    Field(path="apps.*.auth.key_file", kind=TEXT, example="secrets/AuthKey_ABC123DEFG.p8",
          meaning="The signing key (.p8) from Apple's developer pages."),
    Field(path="apps.*.auth.key_id", kind=_APPLE_KEY, example="ABC123DEFG", meaning="The id of that key."),
    Field(path="apps.*.auth.team_id", kind=_APPLE_KEY, example="DEF123GHIJ", meaning="The id of the developer team."),
    Field(path="apps.*.auth.certificate_file", kind=TEXT, example="secrets/push.pem",
          meaning="A push certificate (PEM) in place of key, key id and team id; `key_file` is then its private key, "
          "by default in the same file."),
    Field(path="apps.*.endpoint", kind=_texts("an address such as https://127.0.0.1:2197", _endpoint),
          default="Apple's", example="https://127.0.0.1:2197",
          meaning="Another server: the simulator, or another port."),
    Field(path="apps.*.proxy", kind=parsed("the address of a proxy such as http://proxy.example:3128", parse_proxy),
          default="none", example="http://proxy.example:3128",
          meaning="An HTTP proxy that links go through (CONNECT); a password belongs into the variable."),
    Field(path="apps.*.ca_file", kind=TEXT, default="the system's", example="secrets/ca.pem",
          meaning="Trusted in place of the system's CAs."),
    Field(path="apps.*.links", kind=_texts("a number from 1 to 99", _links, {"type": "integer", "minimum": 1}),
          default="2", example="4", meaning="HTTP/2 connections."),
    Field(path="apps.*.rate", kind=RATE, default="no limit", example="{max: 9000/s, burst: 500}",
          meaning="Starts of the app; `burst` may start at once."),
    *(Field(path=f"apps.*.lanes.{lane}.rate", kind=RATE, default="no limit", example="6000/s",
            meaning=f"Starts of the lane {lane}.")
      for lane in ("urgent", "normal", "bulk")),
)  # fmt: skip
_CATEGORIES = (
    Field(
        path="categories.*.opt_out",
        kind=BOOLEAN,
        default="true",
        example="false",
        meaning="Whether users can opt out of it.",
    ),
    Field(
        path="categories.*.quiet_hours",
        kind=one_of(QuietAction),
        default="hold",
        example="drop",
        meaning="What is done with what falls into the quiet hours.",
    ),
    Field(
        path="categories.*.caps",
        kind=choice(("apply", "ignore")),
        default="apply",
        example="ignore",
        meaning="Whether caps hold, and count it.",
    ),
    Field(
        path="categories.*.holdout",
        kind=choice(("apply", "exempt")),
        default="apply",
        example="exempt",
        meaning="Whether the workspace's holdout holds.",
    ),
)
_QUIET_HOURS = record(
    "limits.quiet_hours",
    Field(path="from", kind=TIME_OF_DAY, required=True, meaning="They begin.", example="22:00"),
    Field(path="to", kind=TIME_OF_DAY, required=True, meaning="They end; may be the next morning.", example="08:00"),
)
_CAP = record(
    "limits.caps",
    Field(path="name", kind=WORD, required=True, meaning="Shown in reasons.", example="marketing-day"),
    Field(path="max", kind=WHOLE_NUMBER, required=True, meaning="So many notifications.", example="3"),
    Field(path="per", kind=_CAP_TIME, required=True, meaning="In this time.",
          example="1 day"),
    Field(path="window", default="rolling", example="calendar",
          kind=choice(("rolling", "calendar"), meant={"sliding": "rolling", "fixed": "calendar"}),
          meaning="The last so many hours, or the calendar's day, week or month in the person's zone."),
    Field(path="categories", kind=list_of(NAME, "a list of categories"), default="all", example="[marketing]",
          meaning="What counts."),
    Field(path="then", kind=choice(("drop", "hold")), default="drop", example="hold",
          meaning="What is done with more."),
)  # fmt: skip
_HOLDOUT = record(
    "limits.holdout",
    Field(path="share", kind=PERCENT, required=True, meaning="Of all people.", example="2%"),
    Field(path="salt", kind=TEXT, required=True, meaning="Another salt holds out others.", example="company-2026"),
)
_FUSE = record(
    "limits.fuse",
    Field(path="times", kind=WHOLE_NUMBER, required=True, example="10",
          meaning="So many times the most that the rule selected within this time in its last 30 days."),
    Field(path="within", kind=DURATION, required=True, example="15 minutes",
          meaning="Counted over this time, in whole minutes; at most 1 day."),
)  # fmt: skip
_REST = (
    Field(path="limits.quiet_hours", kind=_QUIET_HOURS, example="{from: 22:00, to: 08:00}",
          meaning="Nothing is sent then, in each device's zone."),
    Field(path="limits.caps", kind=list_of(_CAP, "a list of caps"),
          example="[{name: marketing-day, max: 3, per: 1 day, window: calendar, categories: [marketing], then: drop}]",
          meaning="How many one person gets in a time."),
    Field(path="limits.holdout", kind=_HOLDOUT, example="{share: 2%, salt: company-2026}",
          meaning="A share of all people that gets nothing."),
    Field(path="limits.audience_max", kind=WHOLE_NUMBER, example="5000000",
          meaning="A run with more devices does not start; a rule may say another number."),
    Field(path="limits.fuse", kind=either(choice(("ignore",)), _FUSE), default="none",
          example="{times: 10, within: 15 minutes}",
          meaning="The run of a rule that suddenly selects far more devices than ever is paused."),
    Field(path="testers.*.users", kind=list_of(TEXT, "a list of user ids"), built=False, example="[anna, ben]",
          meaning="The users of a group for `send-test`."),
    Field(path="api.listen", kind=_texts("an address such as 127.0.0.1:8080", _address), default="nothing listens",
          example="127.0.0.1:8080", meaning="Where the HTTP API listens."),
    Field(path="defaults.time_zone", default="UTC",
          kind=_texts("an IANA zone such as Europe/Berlin", _zone, known=cities),
          example="Europe/Berlin", meaning="The zone of what has none."),
    Field(path="defaults.locale", kind=_texts("a language tag such as de or pt-BR", canonical_locale), default="en",
          example="de", meaning="The language of base templates."),
    Field(path="reload", kind=choice(("signal",), ("auto",)), default="signal", example="signal",
          meaning="When files are read again."),
    Field(path="shutdown_grace", kind=DURATION, default="30 s", example="1 min",
          meaning="How long SIGTERM waits for answers."),
)  # fmt: skip

SETTINGS_TABLE = Table(
    (*_STORE, *_APPS, *_CATEGORIES, *_REST),
    hints={"database": "did you mean `store: {url: …}`?", "topic": "the bundle id says it: `bundle_id`"},
)
