"""The console script as a process: exit codes, signals, and the story that `clarion init` tells."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clarion_command import Clarion, article, replace

pytestmark = pytest.mark.slow
SCRIPT = str(Path(sys.executable).parent / "clarion")


def ran(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *words], cwd=folder, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=60
    )


class Process:
    """A command that runs until it is told to end."""

    def __init__(self, folder: Path, *words: str, **environ: str) -> None:
        self._process = subprocess.Popen(
            [SCRIPT, *words], cwd=folder, env=os.environ | environ, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.err = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read stderr until a line matches."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.err += line
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern!r} did not come:\n{self.err}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and stdout after the signal."""
        self.send(number)
        out, err = self._process.communicate(timeout=60)
        self.err += err
        return self._process.returncode, out

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def started(folder: Path, *words: str, **environ: str) -> Iterator[Process]:
    process = Process(folder, *words, **environ)
    watchdog = threading.Timer(60, process.close)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.close()


@contextmanager
def simulated(folder: Path, *words: str) -> Iterator[tuple[Process, dict[str, str]]]:
    """A simulator on a free port, and the variable that points the app to it."""
    with started(folder, "simulator", "--port", "0", *words) as simulator:
        port = simulator.wait_for(r"^simulator: https://127\.0\.0\.1:(\d+), trusted by .*ca\.pem; Ctrl-C ends it$")[1]
        yield simulator, {"CLARION_APPS_SHOP_ENDPOINT": f"https://127.0.0.1:{port}"}


def test_the_exit_codes_are_the_documented_ones(tmp_path: Path) -> None:
    assert ran(tmp_path, "init", "w").returncode == 0
    folder = tmp_path / "w"
    assert ran(folder, "check", "--strict").returncode == 0
    (folder / "bad.csv").write_text("app,token\nshop,xyz\n")
    problems = ran(folder, "devices", "import", "bad.csv")
    assert (problems.returncode, problems.stdout) == (1, "0 created, 0 updated, 0 unchanged, 1 rejected\n")
    broken = ran(folder, "devices", "import", "nope.csv")
    assert (broken.returncode, broken.stdout) == (2, "")
    assert broken.stderr == "error: nope.csv: cannot read the file: No such file or directory\n"
    assert ran(folder, "nonsense").returncode == 2


def test_a_reader_that_goes_away_is_no_error(workspace: Path) -> None:
    process = subprocess.Popen(
        [SCRIPT, "runs", "list", "--format", "json"], cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def test_the_commands_that_init_lists_work_in_their_order(tmp_path: Path) -> None:
    listed = ran(tmp_path, "init", "campaigns").stderr.splitlines()
    assert listed[0] == "campaigns is a workspace. Next:"
    assert listed[1].split() == ["cd", "campaigns"]
    words = [line.partition("#")[0].split()[1:] for line in listed[2:]]
    folder = tmp_path / "campaigns"
    assert [command[0] for command in words] == [
        "check", "devices", "preview", "simulator", "emit", "run", "runs",
    ]  # fmt: skip
    before, after = words[:3], words[4:]
    for command in before:
        assert ran(folder, *command).returncode == 0, command
    with simulated(folder, "--log", "requests.ndjson") as (simulator, endpoint):
        printed = [ran(folder, *command, **endpoint) for command in after]
        code, summary = simulator.end()
    assert [(one.returncode, one.stderr) for one in printed] == [(0, "")] * 3
    assert printed[1].stdout == "settled: 2 accepted; 0 tokens retired\n"
    assert " breaking-news  finished  /newsroom article-1 " in printed[2].stdout
    assert code == 0
    assert summary.startswith("answer    requests\naccepted         2\nall              2\nverdict: obedient\n")
    assert len((folder / "requests.ndjson").read_text().splitlines()) == 2
    (run,) = json.loads(ran(folder, "runs", "list", "--format", "json").stdout)
    shown = ran(folder, "runs", "show", run["run"]).stdout
    assert "selected          2\naccepted          2\nrejected          0\n" in shown


def test_a_dead_token_is_shown_with_apples_reason_and_retired(workspace: Path, clarion: Clarion) -> None:
    clarion("devices", "import", "samples/devices.csv")
    clarion("emit", "samples/article.json")
    tokens = [one["token"] for one in json.loads(clarion("devices", "list", "--format", "json").out)]
    states = ("valid", "unregistered", "valid")
    (workspace / "known.ndjson").write_text(
        "".join(json.dumps({"token": t, "state": s}) + "\n" for t, s in zip(tokens, states, strict=True))
    )
    with simulated(workspace, "--devices", "known.ndjson") as (_, endpoint):
        done = ran(workspace, "run", "--until-idle", "--format", "json", **endpoint)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "ending": "idle", "detail": None, "outcomes": {"accepted": 1, "rejected": 1}, "retired": 1,
        "recovered": {"resend": 0, "dropped": 0}, "next_slot": None,
        "remaining": {"runs": 0, "paused": 0, "next_due": None, "stopped": []},
    }  # fmt: skip
    (run,) = json.loads(clarion("runs", "list", "--format", "json").out)
    shown = clarion("runs", "show", run["run"]).out
    assert shown.endswith(
        """\
outcome     devices  reason
selected          2
accepted          1
rejected          1
                  1  Unregistered
suppressed        0
expired           0
unknown           0
pending           0
"""
    )
    assert "retired: Unregistered" in clarion("devices", "list").out


def test_the_daemon_takes_events_reloads_and_drains(workspace: Path, clarion: Clarion) -> None:
    clarion("devices", "import", "samples/devices.csv")
    with simulated(workspace) as (_, endpoint):
        quiet = endpoint | {"CLARION_API_LISTEN": "127.0.0.1:0"}
        with started(workspace, "run", "--verbose", **quiet) as daemon:
            daemon.wait_for(r"listens at http://127\.0\.0\.1:\d+; Ctrl-C ends it when what is in flight is answered")
            second = ran(workspace, "run", "--until-idle", **endpoint)
            assert second.returncode == 2
            assert "another daemon works on this database" in second.stderr
            sent = subprocess.run([SCRIPT, "emit", "-"], cwd=workspace, input=json.dumps(article()), text=True,
                                  capture_output=True, check=True, timeout=60)  # fmt: skip
            assert sent.stdout == "1 event stored; 1 run begins\n"
            while json.loads(clarion("runs", "list", "--format", "json").out)[0]["state"] != "finished":
                pass
            replace(workspace / "rules/breaking-news.yaml", "6 hours", "6 hrs")
            daemon.send(signal.SIGHUP)
            daemon.wait_for("reload.refused")
            assert "error[wrong-value] `delivery.expires_after`: '6 hrs' is not a duration" in daemon.err
            replace(workspace / "rules/breaking-news.yaml", "6 hrs", "5 hours")
            daemon.send(signal.SIGHUP)
            daemon.wait_for("reloaded rules=1")
            assert daemon.end() == (0, "settled: 2 accepted; 0 tokens retired\n")
            assert "draining signal=SIGTERM" in daemon.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_simulator_ends_with_a_summary(workspace: Path, number: signal.Signals) -> None:
    with simulated(workspace, "--sink") as (simulator, _):
        assert simulator.end(number) == (0, "answer    requests\naccepted         0\nall              0\n")


def test_the_simulator_prints_the_script_of_chance_and_writes_its_verdict(workspace: Path) -> None:
    words = ("--chaos", "17", "--verdict", "verdict.json", "--certificate", "com.example.shop", "--strict")
    with simulated(workspace, *words) as (simulator, _):
        code, summary = simulator.end()
    assert code == 0
    assert "\nverdict: obedient\n" in summary
    assert "# --chaos 17 is this script:\nfaults:\n  - {" in simulator.err
    assert json.loads((workspace / "verdict.json").read_text())["obedient"] is True
    assert "BEGIN CERTIFICATE" in (workspace / ".clarion/simulator/com.example.shop.pem").read_text()


def test_a_port_that_is_taken_is_told(workspace: Path) -> None:
    with simulated(workspace) as (_, endpoint):
        port = endpoint["CLARION_APPS_SHOP_ENDPOINT"].rpartition(":")[2]
        second = ran(workspace, "simulator", "--port", port)
        assert (second.returncode, second.stdout) == (2, "")
        assert second.stderr == (
            f"error: 127.0.0.1:{port}: the port is taken\n  hint: give another port; 0 takes any free one\n"
        )
        daemon = ran(workspace, "run", CLARION_API_LISTEN=f"127.0.0.1:{port}", **endpoint)
        assert (daemon.returncode, daemon.stdout) == (2, "")
        assert daemon.stderr == (
            f"error: api.listen: the API cannot listen on 127.0.0.1:{port}: the port is taken\n"
            "  hint: is another 'clarion run' there? End it, or choose another port\n"
        )
