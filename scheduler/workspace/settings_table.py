"""The fields of clarion.yaml: reading, overriding by CLARION_* variables, and the reference go by this table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from scheduler.diagnostics.yaml_nodes import MappingNode, Node
from scheduler.domain.locales import canonical_locale
from scheduler.domain.quantities import Rate, parse_rate
from scheduler.rules.fields import Field, Table
from scheduler.rules.kinds import (
    ANYTHING,
    BOOLEAN,
    DURATION,
    TEXT,
    Kind,
    Misfit,
    choice,
    text_of,
)

_APPLE_ID = re.compile(r"[A-Z0-9]{10}")
_BUNDLE_ID = re.compile(r"[A-Za-z0-9.-]{1,155}")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; as text HOST:PORT, with brackets around an IPv6 host."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _texts(words: str, parse: object, json_schema: dict[str, object] | None = None) -> Kind:
    def read(node: Node) -> object:
        text = text_of(node, words)
        value = parse(text) if callable(parse) else None
        if value is None:
            raise Misfit(f"must be {words}, not '{text}'", node)
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
    return Address(parts.hostname, port or 443) if parts.scheme == "https" and parts.hostname and bare else None


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


RATE = Kind(
    "a rate such as 500/s, or {max: 500/s, burst: 50}",
    _read_rate,
    {"anyOf": [{"type": "string"}, {"type": "object", "required": ["max"]}]},
)
_APPLE_KEY = _texts("an id of ten capital letters and digits", lambda text: _APPLE_ID.fullmatch(text) and text)
_BUNDLE = _texts("a bundle id such as com.example.app", lambda text: _BUNDLE_ID.fullmatch(text) and text)

_STORE = (
    Field(path="store.url", kind=Kind("a database URL", _store_url, {"type": "string"}),
          default="sqlite:///clarion.db", meaning="The database. A relative path is relative to the workspace."),
    Field(path="store.retention.events", kind=ANYTHING, built=False, off=("30 days",), meaning="How long events stay."),
    Field(path="store.retention.ledger", kind=ANYTHING, built=False, off=("400 days",), meaning="The ledger's age."),
    Field(path="workers", kind=ANYTHING, built=False, off=("0",), meaning="Extra processes that render and send."),
)  # fmt: skip
_APPS = (
    Field(path="apps.*.bundle_id", kind=_BUNDLE, default="the app's name", meaning="Apple's topic is derived from it."),
    Field(path="apps.*.provider", kind=choice(("apns",)), default="apns", meaning="Who delivers."),
    Field(path="apps.*.environment", kind=choice(("sandbox", "production")), required=True,
          meaning="Which of Apple's servers."),
    Field(path="apps.*.auth.key_file", kind=TEXT, meaning="The signing key (.p8) from Apple's developer pages."),
    Field(path="apps.*.auth.key_id", kind=_APPLE_KEY, meaning="The id of that key."),
    Field(path="apps.*.auth.team_id", kind=_APPLE_KEY, meaning="The id of the developer team."),
    Field(path="apps.*.auth.certificate_file", kind=ANYTHING, built=False, meaning="A certificate in place of a key."),
    Field(path="apps.*.endpoint", kind=_texts("an address such as https://127.0.0.1:2197", _endpoint),
          default="Apple's", meaning="Another server: the simulator, another port, a proxy."),
    Field(path="apps.*.ca_file", kind=TEXT, default="the system's", meaning="Trusted in place of the system's CAs."),
    Field(path="apps.*.links", kind=_texts("a number from 1 to 99", _links, {"type": "integer", "minimum": 1}),
          default="2", meaning="HTTP/2 connections."),
    Field(path="apps.*.rate", kind=RATE, default="no limit", meaning="Starts of the app; `burst` may start at once."),
    *(Field(path=f"apps.*.lanes.{lane}.rate", kind=RATE, default="no limit", meaning=f"Starts of the lane {lane}.")
      for lane in ("urgent", "normal", "bulk")),
)  # fmt: skip
_CATEGORIES = (
    Field(path="categories.*.opt_out", kind=BOOLEAN, default="true", meaning="Whether users can opt out of it."),
    Field(path="categories.*.quiet_hours", kind=ANYTHING, built=False, off=("ignore",), meaning="Nothing at night."),
    Field(path="categories.*.caps", kind=ANYTHING, built=False, off=("ignore",), meaning="Whether caps hold."),
    Field(path="categories.*.holdout", kind=ANYTHING, built=False, off=("exempt",), meaning="Whether it holds out."),
)
_REST = (
    Field(path="limits", kind=ANYTHING, built=False, meaning="Quiet hours, caps, holdout, fuse for all rules."),
    Field(path="testers", kind=ANYTHING, built=False, meaning="Groups for `send-test`."),
    Field(path="api.listen", kind=_texts("an address such as 127.0.0.1:8080", _address), default="nothing listens",
          meaning="Where the HTTP API listens."),
    Field(path="defaults.time_zone", kind=_texts("an IANA zone such as Europe/Berlin", _zone), default="UTC",
          meaning="The zone of what has none."),
    Field(path="defaults.locale", kind=_texts("a language tag such as de or pt-BR", canonical_locale), default="en",
          meaning="The language of base templates."),
    Field(path="reload", kind=choice(("signal",), ("auto",)), default="signal", meaning="When files are read again."),
    Field(path="shutdown_grace", kind=DURATION, default="30 s", meaning="How long SIGTERM waits for answers."),
)  # fmt: skip

SETTINGS_TABLE = Table(
    (*_STORE, *_APPS, *_CATEGORIES, *_REST),
    hints={"database": "did you mean `store: {url: …}`?", "topic": "the bundle id says it: `bundle_id`"},
)
