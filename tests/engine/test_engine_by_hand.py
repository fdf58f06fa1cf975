"""What a person does on the first day, with a tenth of the devices: a file, a sale, and what came of it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import select
from support.daemons import Place, place
from support.worlds import APP, BUNDLE_ID, event, rule_text, token_of

from scheduler.domain.events import Event
from scheduler.domain.ids import apns_ids
from scheduler.domain.runs import Run
from scheduler.runs.importing import import_devices
from scheduler.runs.reports import Counts
from scheduler.store.registry import fetch_devices
from scheduler.store.tables import LEDGER

pytestmark = pytest.mark.slow
SALE = "com.example.sale"
DEVICES, DEAD = 1_000, range(50, 1_001, 50)
DIGITS = "a device token is 2 to 512 hex digits, an even number of them"
BROKEN = {
    500: (f"nowhere,{token_of(2001)},,", f"app 'nowhere' is not in clarion.yaml; there are {APP}"),
    501: (f"{APP},not hexadecimal,,", f"token 'not hexadecimal': {DIGITS}"),
    502: (f"{APP},,,", f"token '': {DIGITS}"),
    503: (f"{APP},{token_of(2002)},,Mars/Olympus", "time_zone 'Mars/Olympus' is not in the IANA database"),
    504: (f"{APP},{token_of(2003)},ann,,,,,", "there are 8 cells, and 4 columns"),
}
"""By their number in the file: lines that cannot be taken, in its middle, and why."""


def _file(folder: Path) -> Path:
    lines = ["app,token,user,time_zone"]
    lines += [f"{APP},{token_of(number)},user{number // 2},Europe/Berlin" for number in range(1, DEVICES + 1)]
    lines[499:499] = [text for text, _ in BROKEN.values()]
    path = folder / "devices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _sale(at: Place, id_: str) -> Event:
    return event(id_, type_=SALE, at=at.clock.now() - timedelta(seconds=1), title="20 % off")


def _ledger(at: Place, run: Run) -> dict[int, tuple[str, str | None]]:
    with at.world.store.read() as tx:
        rows = tx.execute(select(LEDGER).where(LEDGER.c.run == run.seq)).all()
    assert len(rows) == len({row.device for row in rows})
    return {row.device: (row.outcome, row.reason) for row in rows}


def _log(at: Place, run: Run) -> dict[int, tuple[str, str | None]]:
    """As the simulator had it: one line for each device, under the run's own ids."""
    mine = apns_ids(run.id)
    lines = {int(line["token"], 16): line for line in at.log() if line["collapse_id"] == run.id.hex}
    assert sum(line["collapse_id"] == run.id.hex for line in at.log()) == len(lines)
    assert all(line["apns_id"] == mine(device) for device, line in lines.items())
    return {
        device: ("accepted", None) if line["status"] == 200 else ("rejected", line["reason"])
        for device, line in lines.items()
    }


async def test_a_file_and_a_sale_end_in_numbers_that_agree(nursery: trio.Nursery, tmp_path: Path) -> None:
    known: list[dict[str, Any]] = [{"token": token_of(number), "topic": BUNDLE_ID} for number in range(1, DEVICES + 1)]
    for number in DEAD:
        known[number - 1]["state"] = "unregistered"
    async with place(nursery, tmp_path, {"sale": rule_text(trigger={"event": SALE})}, devices=known) as at:
        workspace = at.world.workspace
        imported = import_devices(
            at.world.store, _file(tmp_path), apps=workspace.settings.apps, schema=workspace.schema, clock=at.clock
        )
        assert (imported.created, imported.rejected) == (DEVICES, 5)
        assert imported.rejects is not None
        rejects = [json.loads(line) for line in imported.rejects.read_text().splitlines()]
        assert {line["line"]: (line["original"], line["reason"]) for line in rejects} == BROKEN

        at.world.ingest(_sale(at, "spring"))
        ended = await at.run_until_idle()
        assert (ended.exit_code, ended.progress.retired) == (0, len(DEAD))
        (spring,) = at.world.runs()
        assert at.world.report(spring).counts == Counts(
            selected=DEVICES, accepted=DEVICES - len(DEAD), rejected=len(DEAD),
            suppressed=0, expired=0, unknown=0, pending=0,
        )  # fmt: skip
        assert at.world.report(spring).reasons == {"rejected": {"Unregistered": len(DEAD)}}
        assert Counter(at.sent()) == Counter(range(1, DEVICES + 1))
        assert _ledger(at, spring) == _log(at, spring)
        with at.world.store.read() as tx:
            found = [one.device for one in fetch_devices(tx, list(range(1, DEVICES + 1)))]
        assert {one.id: one.retired_reason for one in found if not one.active} == dict.fromkeys(DEAD, "Unregistered")

        assert at.world.ingest(_sale(at, "spring")).duplicates == 1
        assert (await at.run_until_idle()).progress.outcomes == {}
        assert len(at.sent()) == DEVICES

        at.world.ingest(_sale(at, "summer"))
        await at.run_until_idle()
        summer = at.world.runs()[1]
        counts = at.world.report(summer).counts
        assert (counts.selected, counts.accepted) == (DEVICES - len(DEAD), DEVICES - len(DEAD))
        assert _ledger(at, summer) == _log(at, summer)
        assert not set(DEAD) & set(at.sent()[DEVICES:])
