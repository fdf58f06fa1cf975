"""`clarion demo`: a goal, a sale and baskets on embedded parts, from registry to ledger, in well under a minute; and
when the weekly digest would come to whom."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import re
import shutil
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from scheduler.cli.preview import print_places
from scheduler.cli.session import InSession, Session
from scheduler.cli.simulator import KEY_ID, TEAM_ID, make_signing_key
from scheduler.cli.tables import print_table
from scheduler.diagnostics.printers import as_text
from scheduler.domain.errors import OperatorError
from scheduler.domain.events import Event
from scheduler.domain.runs import RunState
from scheduler.engine.daemon import Daemon
from scheduler.rehearsal.preview import Preview, preview
from scheduler.runs.importing import import_devices
from scheduler.runs.reports import RunReport, report_of
from scheduler.simulator.listening import Listen
from scheduler.simulator.provider_tokens import load_key
from scheduler.simulator.server import SimulatorConfig, serve
from scheduler.store import runs as run_rows
from scheduler.store.database import Store, open_store
from scheduler.store.registry_changes import UserChange
from scheduler.store.registry_users import upsert_users
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import Workspace, load

DEVICES = 5_000
DEAD_SHARE = 0.02
OPTED_OUT_SHARE = 0.03
TEAMS = ("FCB", "BVB", "SGE", "RBL", "VFB")
BASKETS, ORDERS = 60, 20
"""People who leave a basket, and those of them who order before they are reminded."""
DELAY = "3 s"
"""In place of the two hours after which the example reminds."""
NAMES = ("Anna", "Ben", "Chloé", "David", "Elif", "Fatima", "Georg", "Zoë")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Europe/London", "Australia/Adelaide", "")
"""Where the made-up devices are; one in six does not say."""
PLAYED = ("flash-sale", "goal-alert", "basket-reminder")
REFRESH = 0.1


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """One made-up device, as the import file and the simulator's device list have it."""

    app: str
    token: str
    user: str
    locale: str
    time_zone: str
    topic: str
    alerts: str
    first_name: str
    spend: int
    alive: bool


def demo(*, devices: int = DEVICES, session: InSession) -> int:
    """All of it in a minute: simulator, devices, previews, a goal, a sale and baskets, and what became of everyone.

    Runs the example campaigns of the workspace in .clarion/demo, against a simulator inside this process.

    Example: clarion demo --devices 20000

    Parameters
    ----------
    devices
        How many devices to make up.
    """
    folder = _fresh_folder(session)
    people = make_devices(devices)
    print(f"1. {devices:,} made-up devices, {sum(not one.alive for one in people)} of them dead, are imported")
    trio.run(_play, session, folder, people)
    _say_what_next(folder.relative_to(session.root))
    return 0


def make_devices(count: int) -> list[DemoDevice]:
    """Half of them fans, half of them customers; the same ones every time."""
    chance = random.Random(2026)
    return [
        DemoDevice(
            app="scores" if number % 2 else "shop",
            token=hashlib.sha256(f"demo {number}".encode()).hexdigest(),
            user=f"user-{number // 2}",
            locale=chance.choice(("en", "en-GB", "de", "de-AT")),
            time_zone=ZONES[number // 2 % len(ZONES)],
            topic=f"team:{chance.choice(TEAMS)}",
            alerts=chance.choice(("all", "all", "goals", "none")),
            first_name=chance.choice((*NAMES, "")),
            spend=chance.randrange(0, 500),
            alive=chance.random() >= DEAD_SHARE,
        )
        for number in range(count)
    ]


async def _play(session: Session, folder: Path, people: list[DemoDevice]) -> None:
    log = folder / "requests.ndjson"
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, _simulator(folder, people, log), clock=session.clock))
        workspace = _workspace(folder, port)
        with closing(open_store(workspace.settings.store_url)) as store:
            _fill(session, store, workspace, folder, people)
            sale = _event("com.example.sale.started", "/shop", "sale-1", _SALE, session)
            print("\n2. a dry run: what the sale would do, over the real registry")
            _show_preview(preview(store, workspace, workspace.campaigns["flash-sale"], sale, sale.time, samples=1))
            print("\n3. when the weekly digest comes next: for each device at nine on Monday by its own clock")
            _show_next_slot(preview(store, workspace, workspace.campaigns["weekly-digest"], None, session.clock.now()))
            print("\n4. the daemon: the sale begins, a moment later there is a goal")
            print(
                f"   {BASKETS} people leave a basket and are reminded after {DELAY}, but {ORDERS} of them order in time"
            )
            daemon = Daemon(store, workspace, session.clock, reload_workspace=lambda: None)
            async with trio.open_nursery() as running:
                await running.start(daemon.run)
                await daemon.intake.take([sale])
                await daemon.intake.take([_event("com.example.score.changed", "/scores", "game-1", _GOAL, session)])
                await daemon.intake.take(_of_customers("com.example.basket.updated", BASKETS, people, session, items=3))
                await daemon.intake.take(_of_customers("com.example.order.placed", ORDERS, people, session))
                reports = await _watch(store, daemon)
                daemon.stop()
        nursery.cancel_scope.cancel()
    print("\n5. what became of everyone")
    _show_reports(reports, log)


def _fresh_folder(session: Session) -> Path:
    folder = session.root / ".clarion" / "demo"
    for needed in (*(f"rules/{name}.yaml" for name in (*PLAYED, "weekly-digest")), "schema.yaml"):
        if not (session.root / needed).is_file():
            raise OperatorError(f"the demo plays the example campaigns, and {needed} is not here",
                                where=str(session.root), hint="run it in Clarion's own repository")  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("clarion.yaml", "schema.yaml"):
        shutil.copyfile(session.root / name, folder / name)
    for name in ("rules", "templates"):
        shutil.copytree(session.root / name, folder / name)
    reminder = folder / "rules" / "basket-reminder.yaml"
    reminder.write_text(re.sub(r"(?m)^( *delay:) 2 hours", rf"\1 {DELAY}", reminder.read_text()))
    return folder


def _simulator(folder: Path, people: list[DemoDevice], log: Path) -> SimulatorConfig:
    ca_file = folder / ".clarion/simulator/ca.pem"
    key = load_key(make_signing_key(ca_file.parent), TEAM_ID)
    known = folder / "simulator-devices.ndjson"
    with known.open("w") as lines:
        for one in people:
            state = "valid" if one.alive else "unregistered"
            lines.write(json.dumps({"token": one.token, "topic": f"com.example.{one.app}", "state": state}) + "\n")
    return SimulatorConfig(Listen(ca_file, port=0), devices_file=known, log_file=log, keys={KEY_ID: key})


def _workspace(folder: Path, port: int) -> Workspace:
    endpoint = f"https://127.0.0.1:{port}"
    environ = {"CLARION_APPS_SCORES_ENDPOINT": endpoint, "CLARION_APPS_SHOP_ENDPOINT": endpoint}
    loaded = load(read_folder(folder), folder, {**os.environ, **environ})
    if loaded.workspace is None:
        raise OperatorError(f"the example campaigns have errors:\n{as_text(loaded.findings)}")
    return loaded.workspace


def _fill(session: Session, store: Store, workspace: Workspace, folder: Path, people: list[DemoDevice]) -> None:
    file = folder / "devices.csv"
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(
            ("app", "token", "user", "locale", "time_zone", "topics", "attributes.alerts", "user.attributes.first_name",
             "user.attributes.plan", "user.attributes.spend")
        )  # fmt: skip
        for one in people:
            plan = "pro" if one.spend > 450 else "free"
            rows.writerow(
                (one.app, one.token, one.user, one.locale, one.time_zone, one.topic, one.alerts, one.first_name, plan,
                 one.spend)
            )  # fmt: skip
    done = import_devices(store, file, apps=workspace.settings.apps, schema=workspace.schema, clock=session.clock)
    users = sorted({one.user for one in people})
    leaving = random.Random(7).sample(users, int(len(users) * OPTED_OUT_SHARE))
    for start in range(0, len(leaving), 1000):
        changes = [UserChange(id=user, opt_outs=["marketing"]) for user in leaving[start : start + 1000]]
        with store.write() as tx:
            upsert_users(tx, changes, schema=workspace.schema)
    print(f"   {done.created:,} devices imported; {len(leaving)} users opted out of marketing")


async def _watch(store: Store, daemon: Daemon) -> list[RunReport]:
    """Show the runs live until they are over, or someone ends the demo. All of them were born when the events were
    taken in."""
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        while True:
            reports = await trio.to_thread.run_sync(_reports, store)
            live.update(_table(reports), refresh=True)
            over = all(one.run.state is RunState.FINISHED for one in reports)
            if over or daemon.stopping.is_set():
                return reports
            await trio.sleep(REFRESH)


def _reports(store: Store) -> list[RunReport]:
    with store.read() as tx:
        numbers = [(rule, BASKETS if rule == "basket-reminder" else 1) for rule in PLAYED]
        return [report_of(tx, run) for rule, count in numbers for run in reversed(run_rows.latest(tx, count, rule))]


def _by_rule(reports: list[RunReport]) -> dict[str, list[RunReport]]:
    found: dict[str, list[RunReport]] = {}
    for one in reports:
        found.setdefault(one.run.rule, []).append(one)
    return found


def _sum(reports: list[RunReport], outcome: str) -> int:
    return sum(getattr(one.counts, outcome) for one in reports)


def _table(reports: list[RunReport]) -> Table:
    columns = ("selected", "accepted", "rejected", "suppressed", "pending")
    table = Table("rule", "lane", "over", *columns, box=None)
    for rule, runs in _by_rule(reports).items():
        over = sum(one.run.state is RunState.FINISHED for one in runs)
        numbers = (f"{_sum(runs, outcome):,}" for outcome in columns)
        table.add_row(rule, runs[0].run.lane, f"{over} of {len(runs)}", *numbers)
    return table


def _show_preview(shown: Preview) -> None:
    print(f"   selected {shown.selected:,}, would be sent {shown.would_send:,}, suppressed {shown.suppressed:,} "
           f"({', '.join(f'{reason}: {count}' for reason, count in shown.reasons.items())}); "
           f"payloads of {shown.smallest} to {shown.largest} bytes")  # fmt: skip
    for sample in shown.samples:
        print(f"   for example, to device {sample.device} ({sample.locale}): {sample.payload.decode()}")


def _show_next_slot(shown: Preview) -> None:
    """Nobody waits for Monday here; the plan is the daemon's own."""
    print(f"   {shown.slots[0].slot.wall:%A %Y-%m-%d %H:%M} where the device is, by the clock of this machine:")
    print_places(shown)


def _show_reports(reports: list[RunReport], log: Path) -> None:
    columns = ("rule", "runs", "selected", "accepted", "retired", "suppressed", "time", "rate")
    rows, unsent = [], list[str]()
    for rule, runs in _by_rule(reports).items():
        started = min((one.run.started_at for one in runs if one.run.started_at), default=None)
        finished = max((one.run.finished_at for one in runs if one.run.finished_at), default=None)
        seconds = (finished - started).total_seconds() if started and finished else 0.0
        sent = _sum(runs, "accepted") + _sum(runs, "rejected")
        rate = f"{sent / seconds:,.0f}/s" if seconds and len(runs) == 1 else ""
        why = Counter[str]()
        for one in runs:
            why.update(one.reasons.get("suppressed", {}))
        counts = [_sum(runs, outcome) for outcome in ("selected", "accepted")]
        retired = sum(one.reasons.get("rejected", {}).get("Unregistered", 0) for one in runs)
        if why:
            unsent.append(f"{rule}: {', '.join(f'{count} {reason}' for reason, count in why.most_common())}")
        rows.append((rule, len(runs), *counts, retired, why.total(), f"{seconds:.2f} s", rate))
    print_table(columns, rows, right=columns[1:])
    print("Suppressed, because:", *unsent, sep="\n   ")
    with log.open() as lines:
        print(f"The simulator logged {sum(1 for _ in lines):,} requests: {log}")


def _of_customers(type_: str, count: int, people: list[DemoDevice], session: Session, **data: str | int) -> list[Event]:
    """One event for each of the first so many customers."""
    customers = list(dict.fromkeys(one.user for one in people if one.app == "shop"))[:count]
    return [
        _event(type_, "/shop", f"basket-{number}", {"user_id": user, "basket_id": f"basket-{number}", **data}, session)
        for number, user in enumerate(customers, start=1)
    ]


def _event(type_: str, source: str, subject: str, data: dict[str, str | int], session: Session) -> Event:
    now = session.clock.now()
    return Event(id=f"{type_}-{subject}", source=source, type=type_, subject=subject, time=now, data=data)


def _say_what_next(folder: Path) -> None:
    clarion = "clarion" if shutil.which("clarion") else ".venv/bin/clarion"
    at = f"{clarion} --workspace {folder}"
    print(
        f"\nIt is all still there. Try next:\n"
        f"  {at} runs list\n"
        "      every run; 'runs show ID' adds up its devices\n"
        f"  {at} devices list --limit 5\n"
        "      some are retired now: the next sale skips them\n"
        f"  {at} preview goal-alert\n"
        "      the same dry run, for the goal\n"
        f"  {clarion} check\n"
        "      finds what is wrong: edit a rule in rules/ first, and break it\n"
        f"  {clarion} init campaigns\n"
        "      a workspace of your own"
    )


_GOAL: dict[str, str | int] = {
    "home": "FCB", "away": "BVB", "home_score": 1, "away_score": 0, "scorer": "Harry Kane", "minute": 12,
}  # fmt: skip
_SALE: dict[str, str | int] = {
    "sale_id": "winter", "name": "Winter sale", "discount": 30, "ends_at": "2027-01-31T23:59:59Z",
}  # fmt: skip
