"""Wrong use ends with 2 and a message: what, where, what next. Never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clarion_command import Clarion, replace

WRONG_WORDS = {
    "previw": 'error: Unknown command "previw". Did you mean "preview"?',
    "devices nope": 'error: Unknown command "nope".',
    "check --nonsense": "error: Unknown option: --nonsense\n  hint: 'clarion check --help' shows how it is used\n",
    "check --format xml": 'error: Invalid value "xml" for --format. Choose from: "text", "json", "github"\n',
    "preview": 'error: Command "preview" parameter RULE requires an argument\n'
    "  hint: 'clarion preview --help' shows how it is used\n",
    "preview x --device y": 'error: Invalid value for --device: unable to convert "y" into int\n',
    "preview x --at soon": 'error: Invalid value for --at: "soon" is no time: write it like 2026-11-30T09:00',
    "preview x --sample -1": 'error: Invalid value "-1" for --sample. Must be >= 0\n',
    "devices list --limit 0": 'error: Invalid value "0" for --limit. Must be >= 1\n',
    "runs list --limit -1": 'error: Invalid value "-1" for --limit. Must be >= 1\n',
    "simulator --port 99999": 'error: Invalid value "99999" for --port. Must be <= 65535\n',
    "keys revoke x": 'error: Invalid value for KEY: unable to convert "x" into int\n',
    "devices erase": 'error: Command "devices erase" parameter --user requires an argument\n',
    "demo --devices x": "error: Invalid value for --devices",
}


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_wrong_words_are_told_on_stderr_with_exit_code_2(workspace: Path, clarion: Clarion, words: str) -> None:
    ran = clarion(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(WRONG_WORDS[words])
    assert "--help' shows how it is used" in ran.err


NEEDING_A_WORKSPACE = (
    "check", "preview x", "devices list", "devices export", "emit e.json", "fire x", "run", "runs list", "keys list",
    "db upgrade", "demo",
)  # fmt: skip


@pytest.mark.parametrize("words", NEEDING_A_WORKSPACE)
def test_without_a_workspace_the_way_to_one_is_shown(clarion: Clarion, tmp_path: Path, words: str) -> None:
    ran = clarion(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {tmp_path}: no clarion.yaml here or in a folder above\n"
        "  hint: go to a workspace, give --workspace DIR, or make one: 'clarion init DIR'\n"
    )


def test_a_folder_that_is_no_workspace_is_named(clarion: Clarion, tmp_path: Path) -> None:
    ran = clarion("--workspace", "elsewhere", "check")
    assert ran.code == 2
    assert ran.err == "error: elsewhere: there is no clarion.yaml\n  hint: 'clarion init DIR' makes a small workspace\n"


def test_the_workspace_may_be_named_before_or_after_the_command_or_be_above(
    workspace: Path, clarion: Clarion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("--workspace", "campaigns", "check"), ("check", "--workspace=campaigns"),
                  ("devices", "--workspace", "campaigns", "list")):  # fmt: skip
        assert clarion(*words).code == 0
    monkeypatch.chdir(workspace / "rules")
    assert clarion("check").code == 0


BROKEN = "error: rules/breaking-news.yaml:4:11: clarion.yaml does not declare the category 'newz'\n" \
    "  hint: 'clarion check' shows all of it\n"  # fmt: skip


@pytest.mark.parametrize("words", ["preview breaking-news", "emit samples/article.json", "fire breaking-news", "run"])
def test_a_broken_rule_stops_what_needs_rules(workspace: Path, clarion: Clarion, words: str) -> None:
    replace(workspace / "rules/breaking-news.yaml", "category: news", "category: newz")
    ran = clarion(*words.split())
    assert (ran.code, ran.out, ran.err) == (2, "", BROKEN)


@pytest.mark.parametrize(
    "words", ["runs list", "devices list", "devices import samples/devices.csv", "keys list", "db upgrade"]
)
def test_a_broken_rule_does_not_stop_what_needs_none(workspace: Path, clarion: Clarion, words: str) -> None:
    replace(workspace / "rules/breaking-news.yaml", "category: news", "category: newz")
    assert clarion(*words.split()).code == 0


def with_workers(workspace: Path) -> None:
    """Something that is not built."""
    replace(workspace / "clarion.yaml", "store:", "workers: 2\nstore:")


def test_run_refuses_what_is_not_built(workspace: Path, clarion: Clarion) -> None:
    with_workers(workspace)
    ran = clarion("run")
    assert ran.code == 2
    assert ran.err.startswith("error: clarion.yaml:"), ran.err
    assert ": `workers` is not built yet\n" in ran.err
    assert clarion("check").code == 0
    assert clarion("check", "--strict").code == 1


@pytest.mark.parametrize("words", ["emit samples/article.json", "fire breaking-news --yes", "run --until-idle"])
def test_what_starts_a_rule_refuses_what_is_not_built(workspace: Path, clarion: Clarion, words: str) -> None:
    """A limit that nobody keeps would be a notification too many."""
    with_workers(workspace)
    ran = clarion(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: clarion.yaml:3:1: `workers` is not built yet\n"
        "  hint: 'clarion check' shows all of them; remove them to run\n"
    )
    assert clarion("runs", "list").err.startswith("no runs yet")


def test_a_preview_says_what_it_does_not_heed(workspace: Path, clarion: Clarion) -> None:
    with_workers(workspace)
    ran = clarion("preview", "breaking-news", "--event", "samples/article.json")
    assert ran.code == 0
    assert ran.err == ("clarion.yaml:3:1: `workers` is not built yet: not heeded here, and refused by 'run'\n")


def test_run_says_how_a_missing_signing_key_comes_to_be(workspace: Path, clarion: Clarion) -> None:
    ran = clarion("run", "--until-idle")
    assert ran.code == 2
    assert "the signing key cannot be read: No such file or directory" in ran.err
    assert "'clarion simulator' makes one for itself" in ran.err


def test_a_file_that_is_no_database_is_named(workspace: Path, clarion: Clarion) -> None:
    (workspace / "clarion.db").write_text("not a database, and longer than the header of one" * 100)
    ran = clarion("runs", "list")
    assert ran.code == 2
    assert ran.err == (
        f"error: {workspace}/clarion.db: cannot read the database: file is not a database\n"
        "  hint: is store.url the right file? A damaged one must be restored from a backup\n"
    )


def test_db_upgrade_makes_a_missing_database_and_knows_a_new_one(workspace: Path, clarion: Clarion) -> None:
    made = clarion("db", "upgrade")
    assert made.code == 0
    assert made.err.startswith(f"{workspace}/clarion.db has the schema ")
    assert made.err.endswith(" now\n")
    assert clarion("db", "upgrade").err.endswith(" already\n")


def test_keys_are_made_listed_and_revoked(workspace: Path, clarion: Clarion) -> None:
    made = clarion("keys", "create", "app")
    assert made.out.startswith("clarion_")
    assert made.err == "key 1 (app) may devices:write, events:write; it is not shown again\n"
    other = json.loads(clarion("keys", "create", "x", "--scope", "admin", "--format", "json").out)
    assert (other["id"], other["name"], other["scopes"]) == (2, "x", ["admin"])
    assert clarion("keys", "revoke", "1").err == "key 1 is revoked\n"
    listed = json.loads(clarion("keys", "list", "--format", "json").out)
    assert [(key["id"], key["scopes"], key["revoked_at"] is None) for key in listed] == [
        (1, ["devices:write", "events:write"], False),
        (2, ["admin"], True),
    ]
    text = clarion("keys", "list").out
    assert text.splitlines()[0].split() == ["id", "name", "scopes", "created", "revoked"]
    assert made.out.strip() not in text


def test_wrong_keys_and_scopes_are_told(workspace: Path, clarion: Clarion) -> None:
    unknown = clarion("keys", "create", "x", "--scope", "nope")
    assert (unknown.code, unknown.err) == (
        2,
        "error: 'nope' is not a scope\n  hint: scopes are devices:write, events:write, runs:read, runs:write, admin\n",
    )
    assert (
        clarion("keys", "revoke", "9").err == "error: there is no key 9 in service\n  hint: see 'clarion keys list'\n"
    )


def test_init_leaves_a_workspace_alone(workspace: Path, clarion: Clarion, tmp_path: Path) -> None:
    again = clarion("init", str(workspace))
    assert (again.code, again.err) == (
        2, f"error: {workspace}: there is a workspace already\n  hint: choose another folder\n"
    )  # fmt: skip
    (tmp_path / "file").write_text("")
    blocked = clarion("init", str(tmp_path / "file" / "x"))
    assert blocked.code == 2
    assert "cannot be written: Not a directory\n  hint: choose a folder that you may write to" in blocked.err


def test_init_keeps_files_that_are_there(clarion: Clarion, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/schema.yaml").write_text("events: {open: true}\n")
    assert clarion("init", "own").code == 0
    assert (tmp_path / "own/schema.yaml").read_text() == "events: {open: true}\n"


def test_the_simulator_says_what_is_wrong_with_its_files(workspace: Path, clarion: Clarion) -> None:
    (workspace / "file").write_text("{")
    for words, message in {
        "--key x": "error: --key 'x' is not KEYID:TEAMID:FILE\n  hint: --key ABC123DEFG:DEF123GHIJ:AuthKey.p8\n",
        "--key A:B:nope.p8": "error: nope.p8: not a readable key: ",
        "--script nope": "error: nope: the fault script cannot be read: No such file or directory\n",
        "--script file": "error: file:1:1: ",
        "--script file --chaos 1": "error: --script and --chaos are two scripts\n  hint: give one of them\n",
        "--key A:B:file:produktion": "error: --key 'A:B:file:produktion': 'produktion' is neither an environment nor a "
        "topic\n  hint: an environment is sandbox or production, a topic is made like com.example.shop\n",
        "--key A:B:file:sandbox,production": "error: --key 'A:B:file:sandbox,production' names both environments\n"
        "  hint: name one of them, or none\n",
        "--sink --chaos 0": "error: --sink reads no request: nothing can be logged, checked, judged or made to fail\n"
        "  hint: leave out --sink, or --chaos\n",
        "--sink --log x --devices nope --throttle": "error: --sink reads no request: nothing can be logged, checked, "
        "judged or made to fail\n  hint: leave out --sink, or --devices, --log, --throttle\n",
        "--client-ca file": "error: file: no authority can be read from it: ",
        "--devices nope": "error: nope: the device file cannot be read: No such file or directory\n",
        "--devices file": "error: file:1: not a device: ",
        "--ca-file file/x/ca.pem": "error: file/x/AuthKey_ABC123DEFG.p8: the simulator's signing key cannot be kept: "
        "Not a directory\n  hint: give a path that can be written: --ca-file FILE\n",
    }.items():
        ran = clarion("simulator", "--port", "0", *words.split())
        assert (ran.code, ran.out) == (2, ""), words
        assert ran.err.startswith(message)


def test_the_demo_needs_the_example_campaigns(workspace: Path, clarion: Clarion) -> None:
    ran = clarion("demo")
    assert ran.code == 2
    assert ran.err == (
        f"error: {workspace}: the demo plays the example campaigns, and rules/flash-sale.yaml is not here\n"
        "  hint: run it in Clarion's own repository\n"
    )
