"""A marketer's look at a delay: preview and runs show say what waits, until when, and who is called off."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clarion_command import Clarion

ORDER = {"source": "/shop", "type": "com.example.order", "id": "o1"}


@pytest.fixture
def waiting(workspace: Path, clarion: Clarion) -> Path:
    """The starter's workspace, whose rule waits two hours and is called off by an order."""
    with (workspace / "rules/breaking-news.yaml").open("a") as file:
        file.write("timing: {delay: 2 hours, unless: {event: com.example.order, since: 1 hour before}}\n")
    with (workspace / "schema.yaml").open("a") as file:
        file.write("  com.example.order: {user_id: string}\n")
    assert clarion("check", "--strict").err == "1 rule: nothing to complain about\n"
    assert clarion("devices", "import", "samples/devices.csv").code == 0
    return workspace


def order(folder: Path, user: str) -> str:
    (folder / "order.json").write_text(json.dumps(ORDER | {"id": user, "data": {"user_id": user}}))
    return "order.json"


def users(clarion: Clarion) -> list[str]:
    return [one["user"] for one in json.loads(clarion("devices", "list", "--format", "json").out) if one["user"]]


def test_preview_says_until_when_it_waits_and_who_is_called_off(waiting: Path, clarion: Clarion) -> None:
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the command's own clock is the machine's
    before = json.loads(clarion("preview", "breaking-news", "--event", "samples/article.json", "--format", "json").out)
    assert now + timedelta(hours=1.9) < datetime.fromisoformat(before["due"]) < now + timedelta(hours=2.1)
    assert clarion("emit", order(waiting, users(clarion)[0])).code == 0
    ran = clarion("preview", "breaking-news", "--event", "samples/article.json")
    assert re.search(r"(?m)^due: \S+ \S+, when its delay is over; until then more may be called off$", ran.out)
    after = json.loads(clarion("preview", "breaking-news", "--event", "samples/article.json", "--format", "json").out)
    assert after["counts"]["would_send"] == before["counts"]["would_send"] - 1
    assert after["reasons"] == {"exit_event": 1}


def test_runs_show_says_what_holds_the_devices_that_wait(waiting: Path, clarion: Clarion) -> None:
    rule = waiting / "rules/breaking-news.yaml"
    rule.write_text(rule.read_text().replace('topics: ["section:{{ event.data.section }}"]', "users: [anna]"))
    assert clarion("emit", "samples/article.json").out == "1 event stored; 1 run begins\n"
    (run,) = json.loads(clarion("runs", "list", "--format", "json").out)
    assert run["state"] == "waiting"  # whoever takes the event in settles who waits
    found = json.loads(clarion("runs", "show", run["run"], "--format", "json").out)
    assert (found["counts"]["selected"], found["counts"]["pending"], found["deferred"]) == (1, 1, {"delay": 1})
    said = clarion("runs", "show", run["run"]).out
    due = datetime.fromisoformat(found["next_due"])
    assert re.search(rf"(?m)^pending +1  the next is due {due:%Y-%m-%d %H:%M:%S}\n +1  in their delay$", said)
    assert f"state     waiting until {due:%Y-%m-%d %H:%M:%S}\n" in said
