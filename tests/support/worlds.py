"""A workspace on disk, with its store, its registry and its events: everything real, and as small as a test likes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scheduler.conditions.types import Schema
from scheduler.domain.clock import Clock, VirtualClock
from scheduler.domain.events import Event
from scheduler.domain.runs import Run, RunState
from scheduler.runs.ingest import Ingested, ingest
from scheduler.runs.reports import RunReport, report
from scheduler.runs.versions import Versions
from scheduler.store import misses as miss_rows
from scheduler.store import runs as run_rows
from scheduler.store.database import Store, open_store
from scheduler.store.registry_changes import Applied, DeviceChange, UserChange
from scheduler.store.registry_users import upsert_users
from scheduler.store.registry_writing import upsert_devices
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import Workspace, load

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
APP = "scores"
BUNDLE_ID = "com.example.scores"
KEY_ID, TEAM_ID = "ABC123DEFG", "DEF123GHIJ"
GOAL = "com.example.goal"

TEMPLATE = """\
aps: {alert: {title: "{{ event.data.title | default('Goal') }}", body: "device {{ device.id }}"}}
"""


@cache
def signing_key() -> bytes:
    """A key as Apple gives them out; one is enough for all tests."""
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def empty_database() -> Path:
    """A migrated database without rows: copied, so that Alembic runs once."""
    path = Path(tempfile.mkdtemp(prefix="clarion-empty-")) / "clarion.db"
    open_store(f"sqlite:///{path}").close()
    return path


def new_store(path: Path) -> Store:
    """An empty store that never waits for the disk. Stores made so share the namespace of run ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_database(), path)
    return open_store(f"sqlite:///{path}", is_scratch=True)


def rule_text(
    *,
    trigger: Mapping[str, Any] | None = None,
    audience: Mapping[str, Any] | None = None,
    delivery: Mapping[str, Any] | None = None,
    category: str = "sports",
    template: str = "goal",
    experiment: Mapping[str, Any] | None = None,
) -> str:
    """A rule file; JSON is YAML too. Without more it sends every goal to everyone."""
    rule = {
        "category": category,
        "trigger": trigger or {"event": GOAL},
        "audience": audience or {"everyone": True},
        "message": {"template": template},
        "delivery": delivery or {},
        "experiment": experiment or {},
    }
    return json.dumps({key: value for key, value in rule.items() if value}, indent=1)


def settings_text(*, port: int = 2197, app: Mapping[str, Any] | None = None, **settings: Any) -> str:
    """clarion.yaml with the app `scores` at a simulator. `app` adds keys to it: rate, links, lanes."""
    scores = {
        "bundle_id": BUNDLE_ID,
        "environment": "sandbox",
        "auth": {"key_file": "AuthKey.p8", "key_id": KEY_ID, "team_id": TEAM_ID},
        "endpoint": f"https://127.0.0.1:{port}",
        "ca_file": "ca.pem",
        "links": 1,
        **(app or {}),
    }
    return json.dumps({"store": {"url": "sqlite:///clarion.db"}, "apps": {APP: scores}, **settings}, indent=1)


def write_workspace(
    folder: Path,
    rules: Mapping[str, str],
    *,
    settings: str | None = None,
    templates: Mapping[str, str] | None = None,
    schema: str | None = None,
) -> None:
    """Write the files of a workspace. `rules` and `templates` go by name."""
    files = {"clarion.yaml": settings or settings_text()}
    files.update((f"rules/{name}.yaml", text) for name, text in rules.items())
    files.update((f"templates/{name}.yaml", text) for name, text in {"goal": TEMPLATE, **(templates or {})}.items())
    if schema is not None:
        files["schema.yaml"] = schema
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    key = folder / "AuthKey.p8"
    key.touch(mode=0o600)
    key.write_bytes(signing_key())


def load_workspace(folder: Path) -> Workspace:
    """The workspace of a folder; what is wrong with it fails the test."""
    loaded = load(read_folder(folder), folder, {})
    assert loaded.workspace is not None, loaded.findings
    assert not loaded.not_built, loaded.not_built
    return loaded.workspace


def token_of(number: int) -> str:
    """The device token of the device that is registered as the `number`-th."""
    return f"{number:064x}"


def register(store: Store, changes: Iterable[DeviceChange], *, now: datetime = NOW - timedelta(days=1)) -> None:
    """Register devices; what is refused fails the test."""
    with store.write() as tx:
        verdicts = upsert_devices(tx, list(changes), now=now, schema=Schema.undeclared(), registering=True)
    assert all(isinstance(verdict, Applied) for verdict in verdicts), verdicts


def register_many(store: Store, count: int, **fields: Any) -> None:
    """`count` devices of nobody, numbered from 1 in an empty registry."""
    register(store, (DeviceChange(app=APP, token=token_of(number), **fields) for number in range(1, count + 1)))


def set_user(store: Store, user: str, **fields: Any) -> None:
    """Change a user."""
    with store.write() as tx:
        assert isinstance(upsert_users(tx, [UserChange(id=user, **fields)], schema=Schema.undeclared())[0], Applied)


def event(id_: str, *, subject: str | None = None, at: datetime = NOW, type_: str = GOAL, **data: Any) -> Event:
    """An event of the source `test`."""
    return Event(id=id_, source="test", type=type_, subject=subject, time=at, data=data)


@dataclass(eq=False, repr=False)
class World:
    """A workspace, its store and a clock: one that only the test moves, unless it gives another."""

    folder: Path
    workspace: Workspace
    store: Store
    clock: Clock = field(default_factory=lambda: VirtualClock(NOW))

    @classmethod
    def make(cls, folder: Path, rules: Mapping[str, str], **files: Any) -> World:
        """Write a workspace and open its store, empty."""
        write_workspace(folder, rules, **files)
        return cls(folder, load_workspace(folder), new_store(folder / "clarion.db"))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        assert isinstance(self.clock, VirtualClock)
        self.clock.advance(seconds)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def versions(self) -> Versions:
        """As a daemon that starts now has them."""
        return Versions(self.store, self.workspace.campaigns.values())

    def ingest(self, *events: Event, room: Mapping[str, int] | None = None) -> Ingested:
        """Take events in, as one batch."""
        return ingest(self.store, self.workspace, self.store.namespace(), events, self.now, room=room)

    def runs(self, state: RunState | None = None) -> list[Run]:
        """All runs in the order of their birth, or those in a state."""
        with self.store.read() as tx:
            runs = run_rows.latest(tx, 10_000)[::-1]
        return [run for run in runs if state is None or run.state is state]

    def report(self, run: Run) -> RunReport:
        """What `runs show` says."""
        return report(self.store, run.id.hex)

    def misses(self) -> list[tuple[str, str, str, int]]:
        """(rule, reason, detail, count) of what could not be judged."""
        with self.store.read() as tx:
            return [(rule, reason, detail, count) for rule, reason, detail, count, _ in miss_rows.all_misses(tx)]

    def rewrite(self, rules: Mapping[str, str], **files: Any) -> None:
        """Other files in the same folder, loaded."""
        write_workspace(self.folder, rules, **files)
        self.workspace = load_workspace(self.folder)


def ids(recipients: Sequence[Any]) -> list[int]:
    """The device numbers of recipients."""
    return [recipient.id for recipient in recipients]
