"""A reload that cannot be done: the daemon says so and goes on with the rules that it has."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import trio
from support.daemons import place, until
from support.worlds import APP, event, register_many, rule_text

from scheduler.domain.errors import OperatorError
from scheduler.engine.daemon import Daemon
from scheduler.workspace.loading import Workspace

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (
            OperatorError("cannot be read: No such file or directory", where="rules/goal.yaml", hint="look"),
            "reload.refused the rules of before stay in force: "
            "rules/goal.yaml: cannot be read: No such file or directory",
        ),
        (
            FileNotFoundError(2, "No such file or directory"),
            "reload.refused the rules of before stay in force: FileNotFoundError: [Errno 2] No such file or directory",
        ),
    ],
    ids=["operator", "any other"],
)
async def test_a_reload_that_fails_keeps_the_rules_and_the_daemon(
    nursery: trio.Nursery, tmp_path: Path, caplog: pytest.LogCaptureFixture, problem: Exception, says: str
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        register_many(at.world.store, 3)

        def reload() -> Workspace | None:
            raise problem

        daemon = Daemon(at.world.store, at.world.workspace, at.clock, reload_workspace=reload)
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "reload.refused" in caplog.text)
            await until(lambda: daemon.sender.pool_of(APP).connected > 0)
            await daemon.intake.take([event("a", at=at.clock.now())])
            await until(lambda: at.statistics.accepted == 3)
            daemon.stop()
        (refused,) = [record for record in caplog.records if record.name == "clarion.engine"]
        assert (refused.levelname, refused.getMessage()) == ("ERROR", says)
        assert refused.exc_info is None
