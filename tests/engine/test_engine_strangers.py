"""Device tokens that Apple does not know: a run of nothing else is stopped, and who is retired."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from support.daemons import Place, place
from support.worlds import APP, BUNDLE_ID, event, register_many, rule_text, token_of

from scheduler.domain.events import Event
from scheduler.domain.runs import RunState
from scheduler.engine.open_work import PROBE_DEVICES
from scheduler.runs.first_answers import FIRST
from scheduler.runs.pausing import resume

pytestmark = pytest.mark.slow
NOTE = (
    "Apple knows none of the first 20 device tokens (BadDeviceToken). The app scores sends to sandbox: are these "
    "tokens of production?"
)


def _known(*numbers: int) -> list[dict[str, Any]]:
    return [{"token": token_of(number), "topic": BUNDLE_ID} for number in numbers]


def _goal(at: Place, id_: str) -> Event:
    return event(id_, at=at.clock.now() - timedelta(seconds=1))


async def test_run_of_strangers_is_paused_while_they_are_few_and_goes_on_by_hand(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}, devices=_known(9999)) as at:
        register_many(at.world.store, 400)
        at.world.ingest(_goal(at, "a"))
        ended = await at.run_until_idle()
        (run,) = at.world.runs()
        assert (run.state, run.note, ended.remaining.runs) == (RunState.PAUSED, NOTE, 1)
        rejected = at.world.report(run).counts.rejected
        assert FIRST <= rejected <= PROBE_DEVICES
        resume(at.world.store, str(run.id), at.clock.now(), apps=[APP])
        ended = await at.run_until_idle()
        assert at.world.runs()[0].state is RunState.FINISHED
        assert (at.world.report(run).counts.rejected, ended.progress.retired) == (400, 0)


async def test_stranger_among_known_tokens_is_retired_and_stops_nothing(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}, devices=_known(*range(1, 100))) as at:
        register_many(at.world.store, 130)
        at.world.ingest(_goal(at, "a"))
        await at.run_until_idle()
        (run,) = at.world.runs()
        assert run.state is RunState.FINISHED
        counts = at.world.report(run).counts
        assert (counts.accepted, counts.rejected) == (99, 31)
        at.world.ingest(_goal(at, "b"))
        await at.run_until_idle()
        assert at.world.report(at.world.runs()[1]).counts.selected == 99
