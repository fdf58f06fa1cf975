"""`clarion emit`, `preview` and `fire`: what starts a rule, and what it would do."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clarion_command import Clarion, article, replace

from scheduler.store.database import open_store
from scheduler.store.registry import Retirement, retire

MANUAL = """\
category: news
trigger: {manual: true}
audience: {app: shop, everyone: true}
message: {template: hello}
delivery: {rate: 1/s}
"""


@pytest.fixture
def registry(workspace: Path, clarion: Clarion) -> Path:
    """The starter workspace with its devices and a manual rule."""
    (workspace / "rules/hello.yaml").write_text(MANUAL)
    (workspace / "templates/hello.yaml").write_text("aps: {alert: Hello}\n")
    clarion("devices", "import", "samples/devices.csv")
    return workspace


def ndjson(*events: object) -> bytes:
    return "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events).encode()


@pytest.mark.parametrize(
    ("sent", "out", "err"),
    [
        (ndjson(article()), "1 event stored; 1 run begins\n", ""),
        (json.dumps(article(), indent=2).encode(), "1 event stored; 1 run begins\n", ""),
        (json.dumps([article("a"), article("b")]).encode(), "2 events stored; 2 runs begin\n", ""),
        (ndjson(article("a"), "", article("b")), "2 events stored; 2 runs begin\n", ""),
        (ndjson(article(), article()), "1 event stored, 1 known already; 1 run begins\n", ""),
        (b"", "0 events stored; 0 runs begin\n", ""),
        (b"[]", "0 events stored; 0 runs begin\n", ""),
    ],
    ids=["one", "one over several lines", "list", "lines", "twice", "nothing", "empty list"],
)
def test_events_come_as_one_as_a_list_and_as_lines(
    registry: Path, clarion: Clarion, sent: bytes, out: str, err: str
) -> None:
    ran = clarion("emit", "-", stdin=sent)
    assert (ran.code, ran.out, ran.err) == (0, out, err)


def test_good_events_are_stored_whatever_the_others_are_like(registry: Path, clarion: Clarion) -> None:
    wrong_type = {**article("b"), "type": "com.example.article.withdrawn"}
    old = {**article("c"), "time": "2020-01-01T00:00:00Z"}
    Path("e.ndjson").write_bytes(ndjson(article("a"), wrong_type, old, "no json", {"id": "d"}))
    ran = clarion("emit", "e.ndjson")
    assert ran.code == 1
    assert ran.out == "1 event stored, 4 refused; 1 run begins\n"
    refused = ran.err.splitlines()
    assert refused[0].startswith("e.ndjson:2: type: events of type 'com.example.article.withdrawn' are not declared")
    assert refused[1] == "e.ndjson:3: time is more than 30 days ago: such events are not taken"
    assert refused[2].startswith("e.ndjson:4: not JSON: ")
    assert refused[3] == "e.ndjson:5: source is missing"


def test_a_refused_event_of_a_list_is_named_by_its_place(registry: Path, clarion: Clarion) -> None:
    sent = json.dumps([article(), {"id": "x"}]).encode()
    ran = clarion("emit", "-", "--format", "json", stdin=sent)
    assert ran.code == 1
    assert json.loads(ran.out) == {"accepted": 1, "duplicates": 0, "refused": 1, "runs": 1}
    assert ran.err == "standard input, event 2: source is missing\n"


@pytest.mark.parametrize("sent", [b"x", b'{"id":', b'{\n"id": 1,', b"\xff\xfe", b'[{"id": 1},'])
def test_a_file_that_is_no_json_is_broken_input(registry: Path, clarion: Clarion, sent: bytes) -> None:
    ran = clarion("emit", "-", stdin=sent)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: standard input: not JSON: ")
    assert ran.err.endswith("  hint: one CloudEvent, an array, or one a line\n")


@pytest.mark.parametrize(("file", "what"), [("nope.json", "No such file or directory"), ("samples", "Is a directory")])
@pytest.mark.parametrize("command", ["emit", "preview breaking-news --event", "fire hello --event"])
def test_a_file_of_events_that_cannot_be_read_is_named(
    registry: Path, clarion: Clarion, command: str, file: str, what: str
) -> None:
    ran = clarion(*command.split(), file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {file}: cannot be read: {what}\n  hint: give a file with events, or - for the standard input\n"
    )


PREVIEW = """\
breaking-news (version VERSION), occasion /newsroom article-1
               devices  reason
selected             2
would be sent        2
suppressed           0
expired              0
payloads: 121 to 122 bytes of 4096

device 1, user anna, en: 121 bytes
{
  "aps": {
    "alert": {
      "title": "Late winner in the derby",
      "body": "Anna, there is something new in sports."
    },
    "sound": "default"
  }
}
"""


def test_a_preview_counts_and_shows_payloads(registry: Path, clarion: Clarion) -> None:
    ran = clarion("preview", "breaking-news", "--event", "samples/article.json", "--sample", "1")
    assert (ran.code, ran.err) == (0, "")
    assert re.sub(r"version [0-9a-f]{32}", "version VERSION", ran.out) == PREVIEW


def test_a_preview_as_json_is_alone_on_stdout_and_writes_nothing(registry: Path, clarion: Clarion) -> None:
    sent = ndjson(article())
    shown = json.loads(clarion("preview", "breaking-news", "--event", "-", "--format", "json", stdin=sent).out)
    assert shown["counts"] == {"selected": 2, "would_send": 2, "kept_back": 0, "held": 0, "suppressed": 0, "expired": 0}
    assert (shown["rule"], shown["occasion"], shown["note"]) == ("breaking-news", "/newsroom\na1", None)
    assert shown["sizes"]["limit"] == 4096
    sample = shown["samples"][0]
    assert (sample["device"], sample["user"], sample["locale"]) == (1, "anna", "en")
    assert sample["payload"]["aps"]["alert"]["title"] == "Late winner"
    assert sample["size"] == len(json.dumps(sample["payload"], separators=(",", ":")))
    assert clarion("runs", "list").err.startswith("no runs yet")
    assert clarion("emit", "-", stdin=sent).out == "1 event stored; 1 run begins\n"


def test_a_preview_without_a_file_takes_the_newest_stored_event(registry: Path, clarion: Clarion) -> None:
    ran = clarion("preview", "breaking-news")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: rule breaking-news listens to com.example.article.published, and no such event is stored\n"
        "  hint: give one: --event FILE\n"
    )
    clarion("emit", "-", stdin=ndjson(article("first")))
    ran = clarion("preview", "breaking-news", "--sample", "0")
    assert ran.code == 0
    assert ran.err == (
        "this occasion was had already and would notify nobody again; these are the counts of a new one\n"
    )
    assert "occasion /newsroom first\n" in ran.out


def test_a_preview_of_one_device_says_if_it_is_not_selected(registry: Path, clarion: Clarion) -> None:
    words = ("preview", "breaking-news", "--event", "samples/article.json", "--device")
    assert "device 2, user ben, en: 122 bytes" in clarion(*words, "2").out
    other = clarion(*words, "3")
    assert other.code == 0
    assert other.err == (
        "device 3 is not selected: it does not match the rule's audience; "
        "'clarion devices show 3' has its user, topics and attributes\n"
    )
    assert clarion(*words, "99").err == "there is no device 99: 'clarion devices list' shows numbers and tokens\n"
    with closing(open_store("sqlite:///clarion.db")) as store, store.write() as tx:
        retire(tx, [Retirement(2, "Unregistered", datetime(2100, 1, 1, tzinfo=UTC))])
    assert clarion(*words, "2").err == (
        "device 2 is not selected: it is retired (Unregistered) until its app registers again\n"
    )


def test_a_preview_of_one_device_says_if_it_is_another_apps(registry: Path, clarion: Clarion) -> None:
    replace(
        registry / "clarion.yaml",
        "\ncategories:",
        "\n  news: {environment: sandbox, auth: {key_file: "
        ".clarion/simulator/AuthKey_ABC123DEFG.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}\ncategories:",
    )
    replace(registry / "rules/breaking-news.yaml", "app: shop", "app: news")
    ran = clarion("preview", "breaking-news", "--event", "samples/article.json", "--device", "2")
    assert ran.err == "device 2 is not selected: it is of the app 'shop', and the rule is for 'news'\n"


def test_a_preview_refuses_an_event_of_a_type_that_does_not_start_the_rule(registry: Path, clarion: Clarion) -> None:
    replace(registry / "schema.yaml", "events:", "events:\n  com.example.basket.updated: {items: integer}")
    basket = {**article(), "type": "com.example.basket.updated", "data": {"items": 3}}
    ran = clarion("preview", "breaking-news", "--event", "-", stdin=ndjson(basket))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: rule breaking-news listens to com.example.article.published, "
        "and this event is a com.example.basket.updated\n"
        "  hint: it would start nothing: give an event of the type that `trigger.event` names\n"
    )


def test_a_time_that_is_none_is_told_with_how_one_is_written(registry: Path, clarion: Clarion) -> None:
    ran = clarion("preview", "breaking-news", "--at", "tomorrow")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        'error: Invalid value for --at: "tomorrow" is no time: write it like 2026-11-30T09:00 (this machine\'s zone), '
        "2026-11-30T09:00Z or 2026-11-30T09:00+01:00\n  hint: 'clarion preview --help' shows how it is used\n"
    )


def test_a_preview_stands_at_the_instant_that_is_asked_for(registry: Path, clarion: Clarion) -> None:
    words = ("preview", "breaking-news", "--event", "-", "--at", "2100-01-01T12:00", "--format", "json")
    at_once = json.loads(clarion(*words, stdin=ndjson(article())).out)
    assert at_once["counts"]["would_send"] == 2, "an event that does not say its time comes at that instant"
    shown = json.loads(clarion(*words, stdin=ndjson({**article(), "time": "2099-12-31T10:00:00Z"})).out)
    assert shown["counts"]["would_send"] == 0
    assert shown["counts"]["selected"] == sum(shown["reasons"].values()) == 2


def test_a_rule_that_is_not_there_is_told_with_the_nearest(registry: Path, clarion: Clarion) -> None:
    for words in ("preview breking-news", "fire breking-news"):
        ran = clarion(*words.split())
        assert (ran.code, ran.err) == (
            2, "error: there is no rule 'breking-news'\n  hint: did you mean 'breaking-news'?\n"
        )  # fmt: skip
    assert clarion("preview", "x").err.endswith("hint: the rules are breaking-news, hello\n")


def test_a_file_with_several_events_is_too_much_for_a_preview(registry: Path, clarion: Clarion) -> None:
    ran = clarion("preview", "breaking-news", "--event", "-", stdin=ndjson(article("a"), article("b")))
    assert ran.code == 2
    assert ran.err.startswith("error: -: it holds 2 events, and one is needed\n  hint: ")
    bad = clarion("preview", "breaking-news", "--event", "-", stdin=b'{"id": "a"}')
    assert (bad.code, bad.err) == (2, "error: -:1: source is missing\n")


def test_firing_says_how_many_and_asks(registry: Path, clarion: Clarion) -> None:
    asked = clarion("fire", "hello", "--key", "k")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == (
        "hello (k) reaches 3 of 3 selected devices, in 0:00:02 at least\n"
        "error: nobody is there to confirm\n  hint: give --yes in scripts\n"
    )
    assert clarion("runs", "list").out == ""
    fired = clarion("fire", "hello", "--key", "k", "--yes")
    assert fired.code == 0
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", fired.out)
    again = clarion("fire", "hello", "--key", "k", "--yes")
    assert (again.code, again.out) == (2, "")
    assert again.err.endswith("error: hello was fired with the key k before\n  hint: give another: --key KEY\n")


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "key is empty"),
        (" ", "key is empty"),
        ("k" * 1025, "key has more than 1024 characters"),
        ("a\udcff", "key contains half of a surrogate pair"),  # a byte that is not UTF-8
    ],
)
def test_a_key_that_names_no_occasion_is_refused(registry: Path, clarion: Clarion, key: str, problem: str) -> None:
    ran = clarion("fire", "hello", "--key", key, "--yes")
    hint = "name the occasion, for example --key 2026-11; without --key it is the event's id, else today's date"
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: --key: {problem}\n  hint: {hint}\n")
    assert clarion("runs", "list").out == ""


def test_only_manual_and_enabled_rules_are_fired(registry: Path, clarion: Clarion) -> None:
    ran = clarion("fire", "breaking-news", "--yes")
    assert (ran.code, ran.err) == (
        2,
        "error: rule breaking-news is not manual\n  hint: write `trigger: {manual: true}`, or emit its event\n",
    )
    replace(registry / "rules/hello.yaml", "category: news", "category: news\nenabled: false")
    ran = clarion("fire", "hello", "--yes")
    assert (ran.code, ran.err) == (
        2, "error: rule hello is not enabled\n  hint: write `enabled: true` in its file\n"
    )  # fmt: skip
