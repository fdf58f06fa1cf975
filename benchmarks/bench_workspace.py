"""A workspace for benchmarks: one app at the sink, personalised rules, and as many devices as are asked for."""

from __future__ import annotations

import os
from pathlib import Path

from sink_process import Sink, WallClock
from sqlalchemy import insert

from scheduler.cli.simulator import KEY_ID, TEAM_ID, make_signing_key
from scheduler.store.database import Store, open_store
from scheduler.store.tables import DEVICES, USERS
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import Workspace, load

_SETTINGS = """\
store: {{url: "sqlite:///clarion.db"}}
apps:
  bench:
    bundle_id: com.example.bench
    environment: sandbox
    auth: {{key_file: {key_file}, key_id: {key_id}, team_id: {team_id}}}
    endpoint: https://127.0.0.1:{port}
    ca_file: {ca_file}
limits: {{caps: [{{name: offers-day, max: 3, per: 1 day, window: calendar, categories: [offers]}}]}}
"""
_SCHEMA = """\
users: {attributes: {first_name: "string?", plan: {enum: [free, pro]}}}
devices: {attributes: {unread: integer}}
events:
  com.example.sale: {name: string}
  com.example.offer: {name: string}
  com.example.order: {user_id: string, number: integer}
"""
_SALE = """\
category: marketing
trigger: {event: com.example.sale}
audience:
  app: bench
  where: user.attributes.plan == "free"
message: {template: personal}
"""
_OFFER = _SALE.replace("marketing", "offers").replace("com.example.sale", "com.example.offer")
"""The same under a cap."""
_ORDER = """\
category: service
trigger: {event: com.example.order}
audience: {app: bench, users: ["{{ event.data.user_id }}"]}
message: {template: order}
"""
_PERSONAL = """\
aps:
  alert:
    title: "{{ event.data.name }} is on"
    body: "{{ user.attributes.first_name | default('Hello') }}, this is your message number {{ device.id }}. Enjoy it!"
  sound: default
  badge: "{{ device.attributes.unread + 1 }}"
link: "app://sale/{{ device.id }}"
"""
_ORDER_TEMPLATE = """\
aps:
  alert:
    title: "Order {{ event.data.number }}"
    body: "{{ user.attributes.first_name | default('Hello') }}, it is on its way."
  sound: default
"""


def make_workspace(folder: Path, sink: Sink) -> None:
    """Write the files of the workspace."""
    key_file = make_signing_key(folder)
    settings = _SETTINGS.format(
        key_file=key_file, key_id=KEY_ID, team_id=TEAM_ID, port=sink.port, ca_file=sink.ca_file.resolve()
    )
    files = {
        "clarion.yaml": settings,
        "schema.yaml": _SCHEMA,
        "rules/sale.yaml": _SALE,
        "rules/offer.yaml": _OFFER,
        "rules/order.yaml": _ORDER,
        "templates/personal.yaml": _PERSONAL,
        "templates/order.yaml": _ORDER_TEMPLATE,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def load_workspace(folder: Path) -> Workspace:
    """The workspace of a folder that `make_workspace` wrote."""
    loaded = load(read_folder(folder), folder, os.environ)
    assert loaded.workspace is not None, loaded.findings
    return loaded.workspace


def fill(store: Store, count: int) -> None:
    """Put `count` devices of as many users into an empty registry."""
    now = int(WallClock().now().timestamp() * 1000)
    for start in range(0, count, 10_000):
        numbers = range(start, min(start + 10_000, count))
        with store.write() as tx:
            tx.execute(
                insert(USERS),
                [
                    {"id": f"user-{n}", "attributes": f'{{"first_name":"Name {n}","plan":"free"}}', "opt_outs": "[]"}
                    for n in numbers
                ],
            )
            tx.execute(
                insert(DEVICES),
                [
                    {
                        "app": "bench",
                        "token": f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4,
                        "user": f"user-{n}",
                        "locale": "en",
                        "attributes": f'{{"unread":{n % 7}}}',
                        "active": True,
                        "registered_at": now,
                        "last_seen_at": now,
                    }
                    for n in numbers
                ],
            )


def fresh_store(folder: Path) -> Store:
    """The workspace's store, empty."""
    return open_store(f"sqlite:///{folder / 'clarion.db'}")
