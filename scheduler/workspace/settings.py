"""clarion.yaml as a value: every default in place, every path absolute, CLARION_* variables applied.

One rule for all variables: `CLARION_` and the path of the setting in capitals, with `_` for everything else:
`store.url` is CLARION_STORE_URL, `apps.scores.auth.key_file` is CLARION_APPS_SCORES_AUTH_KEY_FILE. The value is read
as if it stood in the file. Variables of apps and categories that the file does not name are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from pathlib import Path

from scheduler.diagnostics.diagnostic import Diagnostic, error, has_errors, warning
from scheduler.diagnostics.source import Source, Span
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode
from scheduler.diagnostics.yaml_reader import YamlFile
from scheduler.domain.lanes import Lane
from scheduler.domain.proxy import Proxy
from scheduler.domain.quantities import Rate
from scheduler.domain.quiet_hours import QuietAction, QuietHours
from scheduler.planning.caps import Cap
from scheduler.planning.experiments import Holdout
from scheduler.planning.fuse import Fuse
from scheduler.rules.fields import Values, root_mapping, without_echoes
from scheduler.workspace.caps import read_caps
from scheduler.workspace.settings_table import SETTINGS_TABLE, Address

_SQLITE = "sqlite:///"
_PASSWORD = re.compile(r"(?<=:)[^/@:]+(?=@)")
"""In an address. A finding shows the text of a variable, which may go to a log."""


class Environment(StrEnum):
    """Which of Apple's servers, and which kind of device tokens."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


_APPLE = {
    Environment.SANDBOX: Address("api.sandbox.push.apple.com", 443),
    Environment.PRODUCTION: Address("api.push.apple.com", 443),
}
"""Apple, "Sending notification requests to APNs"."""


@dataclass(frozen=True, slots=True)
class KeyAuth:
    """What a provider token is signed with. The file is opened by whoever signs, not here."""

    key_file: Path
    key_id: str
    team_id: str
    place: Span = field(compare=False, repr=False)
    """Where it is written."""


@dataclass(frozen=True, slots=True)
class CertificateAuth:
    """A client certificate in place of a provider token, and its private key; perhaps in the same file."""

    certificate_file: Path
    key_file: Path
    place: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app: what transport needs to reach its provider. `name` is the word that rules use."""

    name: str
    bundle_id: str
    environment: Environment
    auth: KeyAuth | CertificateAuth
    endpoint: Address
    ca_file: Path | None
    proxy: Proxy | None
    links: int
    rate: Rate | None
    lane_rates: Mapping[Lane, Rate]

    @property
    def host(self) -> str:
        return self.endpoint.host

    @property
    def port(self) -> int:
        return self.endpoint.port


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. `categories` is None when none are declared: then any word goes."""

    root: Path
    store_url: str
    apps: Mapping[str, App]
    opt_outs: Mapping[str, bool] | None
    """By declared category, whether users can opt out of it."""
    quiet_hours: QuietHours | None
    quiet_actions: Mapping[str, QuietAction]
    """By declared category, what is done with what falls into the quiet hours."""
    caps: tuple[Cap, ...]
    """In the order of the file: the first that is full is the reason."""
    caps_ignored: frozenset[str]
    """The categories that are neither limited nor counted by any."""
    holdout: Holdout | None
    """Of the whole workspace."""
    holdout_exempt: frozenset[str]
    """The categories that it does not touch."""
    listen: Address | None
    time_zone: str
    locale: str
    shutdown_grace: timedelta
    audience_max: int | None = None
    fuse: Fuse | None = None

    def honours_opt_outs(self, category: str) -> bool:
        """Whether an opt-out from a category counts. What nobody declared can be opted out of."""
        return True if self.opt_outs is None else self.opt_outs.get(category, True)

    def quiet_action(self, category: str) -> QuietAction:
        """What a category does with what falls into the quiet hours: what nobody declared is held."""
        return self.quiet_actions.get(category, QuietAction.HOLD)

    def caps_of(self, category: str) -> tuple[Cap, ...]:
        """The caps that limit and count a category."""
        return () if category in self.caps_ignored else tuple(cap for cap in self.caps if cap.counts(category))

    def holdout_of(self, category: str) -> Holdout | None:
        """The workspace's holdout, where it holds for a category."""
        return None if category in self.holdout_exempt else self.holdout

    @property
    def only_app(self) -> App | None:
        """The app of rules that name none."""
        return next(iter(self.apps.values())) if len(self.apps) == 1 else None


def read_settings(file: YamlFile, root: Path, environ: Mapping[str, str]) -> tuple[Settings | None, list[Diagnostic]]:
    """The settings of a workspace in the folder `root`. Opens no file and no connection."""
    tree, reading = root_mapping(file)
    if tree is None:
        return None, reading
    values, findings = SETTINGS_TABLE.read(_with_variables(tree, environ))
    reader = _Reader(values, root, without_echoes(reading, findings))
    settings = reader.settings()
    return (None if has_errors(reader.findings) else settings), reader.findings


class _Reader:
    def __init__(self, values: Values, root: Path, findings: list[Diagnostic]) -> None:
        self.values = values
        self.root = root
        self.findings = findings

    def settings(self) -> Settings:
        values = self.values
        names = values.names("apps")
        if not names and isinstance(values.node("apps"), MappingNode | None) and not values.is_misspelt("apps"):
            self.findings.append(error("missing-key", "no app is described", values.span("apps"),
                                       "add `apps: {NAME: {bundle_id: …, environment: …, auth: …}}`"))  # fmt: skip
        categories = values.names("categories")
        declared = values.node("categories") is not None
        caps, findings = read_caps(values.get("limits.caps", tuple, ()), categories)
        self.findings.extend(findings)
        return Settings(
            root=self.root,
            store_url=self._store_url(),
            apps={name: self._app(name) for name in names},
            opt_outs={name: values.get(f"categories.{name}.opt_out", bool, True) for name in categories}
            if declared
            else None,
            quiet_hours=self._quiet_hours(),
            quiet_actions={
                name: values.get(f"categories.{name}.quiet_hours", QuietAction, QuietAction.HOLD) for name in categories
            },
            caps=caps,
            caps_ignored=frozenset(
                name for name in categories if values.get(f"categories.{name}.caps", str, "apply") == "ignore"
            ),
            holdout=self._holdout(),
            holdout_exempt=frozenset(
                name for name in categories if values.get(f"categories.{name}.holdout", str, "apply") == "exempt"
            ),
            listen=values.optional("api.listen", Address),
            time_zone=values.get("defaults.time_zone", str, "UTC"),
            locale=values.get("defaults.locale", str, "en"),
            shutdown_grace=values.get("shutdown_grace", timedelta, timedelta(seconds=30)),
            audience_max=values.optional("limits.audience_max", int),
            fuse=self._fuse(),
        )

    def _quiet_hours(self) -> QuietHours | None:
        said = self.values.optional("limits.quiet_hours", Values)
        if said is None:
            return None
        hours = QuietHours(said.get("from", time, time()), said.get("to", time, time()))
        if hours.start == hours.end:
            self.findings.append(error("contradiction", f"the quiet hours end when they begin, at {hours.end:%H:%M}",
                                       said.span("to"), "leave `limits.quiet_hours` out for none"))  # fmt: skip
        return hours

    def _holdout(self) -> Holdout | None:
        said = self.values.optional("limits.holdout", Values)
        return None if said is None else Holdout(said.get("share", float, 0.0), said.get("salt", str, ""))

    def _fuse(self) -> Fuse | None:
        said = self.values.optional("limits.fuse", object)
        if not isinstance(said, Values):
            return None  # `ignore` is how none is said
        fuse = Fuse(said.get("times", int, 1), said.get("within", timedelta, timedelta(minutes=1)))
        if fuse.times < 1:
            self.findings.append(error("wrong-value", "`limits.fuse.times` must be 1 or more", said.span("times"),
                                       "write 10: it blows above ten times the most of the last 30 days"))  # fmt: skip
        if not timedelta(0) < fuse.within <= timedelta(days=1):
            self.findings.append(error("wrong-value", "`limits.fuse.within` must be more than nothing, at most 1 day",
                                       said.span("within"), "write 15 minutes"))  # fmt: skip
        return fuse

    def _store_url(self) -> str:
        url = self.values.get("store.url", str, "sqlite:///clarion.db")
        if url.startswith(_SQLITE):
            return _SQLITE + str(self.root / url.removeprefix(_SQLITE))
        self.findings.append(warning("not-yet", "PostgreSQL is not built yet", self.values.span("store.url"),
                                     "write sqlite:///clarion.db; `run` refuses it as it is"))  # fmt: skip
        return url

    def _app(self, name: str) -> App:
        values, at = self.values, f"apps.{name}"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            self.findings.append(error("wrong-value", f"'{name}' cannot be the name of an app", self._key(name),
                                       "use letters, digits, `.`, `-` and `_`"))  # fmt: skip
        environment = Environment(values.get(f"{at}.environment", str, "sandbox"))
        rates = {lane: values.optional(f"{at}.lanes.{lane}.rate", Rate) for lane in Lane}
        return App(
            name=name,
            bundle_id=values.get(f"{at}.bundle_id", str, name),
            environment=environment,
            auth=self._auth(at),
            endpoint=values.get(f"{at}.endpoint", Address, _APPLE[environment]),
            ca_file=self._path(f"{at}.ca_file"),
            proxy=self._proxy(f"{at}.proxy"),
            links=values.get(f"{at}.links", int, 2),
            rate=values.optional(f"{at}.rate", Rate),
            lane_rates={lane: rate for lane, rate in rates.items() if rate is not None},
        )

    def _auth(self, at: str) -> KeyAuth | CertificateAuth:
        values = self.values
        written = values.node(f"{at}.auth")
        place = values.span(f"{at}.auth")
        if written is None and not values.is_misspelt(f"{at}.auth") and isinstance(values.node(at), MappingNode):
            self.findings.append(error("missing-key", f"`{at}.auth` is missing", self._key(at.partition(".")[2]),
                                       "add `auth: {key_file: …, key_id: …, team_id: …}`"))  # fmt: skip
        certificate = self._path(f"{at}.auth.certificate_file")
        key_file = self._path(f"{at}.auth.key_file")
        if certificate is not None:
            for key in ("key_id", "team_id"):
                if values.node(f"{at}.auth.{key}") is not None:
                    message = f"`{at}.auth.{key}` belongs to a signing key, and this is a certificate"
                    hint = "leave it out, or write {key_file: …, key_id: …, team_id: …}"
                    self.findings.append(error("wrong-value", message, values.span(f"{at}.auth.{key}"), hint))
            return CertificateAuth(certificate, key_file or certificate, place)
        if isinstance(written, MappingNode) and values.node(f"{at}.auth.certificate_file") is None:
            for key in ("key_file", "key_id", "team_id"):
                if values.node(f"{at}.auth.{key}") is None and not values.is_misspelt(f"{at}.auth.{key}"):
                    self.findings.append(error("missing-key", f"`{at}.auth.{key}` is missing", place,
                                               "auth is {key_file: …, key_id: …, team_id: …}"))  # fmt: skip
        return KeyAuth(
            key_file=key_file or self.root,
            key_id=values.get(f"{at}.auth.key_id", str, ""),
            team_id=values.get(f"{at}.auth.team_id", str, ""),
            place=place,
        )

    def _proxy(self, path: str) -> Proxy | None:
        proxy = self.values.optional(path, Proxy)
        if proxy is not None and proxy.password and not self.values.span(path).source.path.startswith("$"):
            hint = f"set the whole address by {variable_of(path)}"
            place = self.values.span(path)
            self.findings.append(warning("secret", "the password of the proxy stands in the file", place, hint))
        return proxy

    def _key(self, name: str) -> Span:
        """Where the name of an app is written."""
        apps = self.values.node("apps")
        key = apps.key(name) if isinstance(apps, MappingNode) else None
        return key.span if key else self.values.span("apps")

    def _path(self, path: str) -> Path | None:
        text = self.values.optional(path, str)
        return None if text is None else self.root / text


def variable_of(path: str) -> str:
    """The variable that overrides a setting."""
    return "CLARION_" + re.sub(r"[^A-Z0-9]", "_", path.upper())


def _with_variables(tree: MappingNode, environ: Mapping[str, str]) -> MappingNode:
    """The tree with the values of CLARION_* variables in place of what the file says."""
    for path in _scalar_paths(tree):
        variable = variable_of(".".join(path))
        if variable in environ:
            text = environ[variable]
            shown = _PASSWORD.sub(lambda password: "*" * len(password[0]), text)
            span = Source(f"${variable}", shown).span(0, len(text))
            tree = _replaced(tree, path, ScalarNode(text, span, plain=True, places=tuple(range(len(text) + 1))))
    return tree


def _scalar_paths(tree: MappingNode) -> Iterator[tuple[str, ...]]:
    for one in SETTINGS_TABLE.fields:
        section, star, rest = one.path.partition(".*.")
        if not star:
            yield tuple(one.path.split("."))
            continue
        named = tree.get(section)
        for key, _ in named if isinstance(named, MappingNode) else ():
            yield (section, key.text, *rest.split("."))


def _replaced(tree: MappingNode, path: tuple[str, ...], value: ScalarNode) -> MappingNode:
    name, rest = path[0], path[1:]
    old = tree.get(name)
    new: Node = value
    if rest:
        new = _replaced(old if isinstance(old, MappingNode) else MappingNode((), value.span), rest, value)
    key = tree.key(name) or ScalarNode(name, value.span, plain=True, places=(0,) * (len(name) + 1))
    others = tuple(entry for entry in tree.entries if entry[0].text != name)
    return MappingNode((*others, (key, new)), tree.span)
