"""`clarion devices`: who can be notified, in and out of the registry."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from clarion_command import Clarion, replace

TOKENS = {user: f"{number}a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9" for number, user in
          enumerate(("anna", "ben", "zoe"))}  # fmt: skip


@pytest.fixture
def registry(workspace: Path, clarion: Clarion) -> Path:
    """The workspace with its three sample devices."""
    assert clarion("devices", "import", "samples/devices.csv").code == 0
    return workspace


def test_an_import_is_summed_up_and_can_be_repeated(workspace: Path, clarion: Clarion) -> None:
    first = clarion("devices", "import", "samples/devices.csv")
    assert (first.code, first.out, first.err) == (0, "3 created, 0 updated, 0 unchanged, 0 rejected\n", "")
    again = clarion("devices", "import", "samples/devices.csv")
    assert (again.code, again.out) == (0, "0 created, 0 updated, 3 unchanged, 0 rejected\n")


def test_bad_lines_of_csv_are_kept_with_their_reasons_and_the_rest_is_imported(
    workspace: Path, clarion: Clarion
) -> None:
    good = "f" * 64
    Path("d.csv").write_text(
        f"app,token,user,locale\nshop,{good},u,de_at\nshopp,{good},u,de\nshop,xyz,u,de\nshop,{good}\n"
        f'shop,{good},u,klingonish\nshop,"{good},u,de\n'
    )
    ran = clarion("devices", "import", "d.csv")
    assert ran.code == 1
    assert ran.out == "1 created, 0 updated, 0 unchanged, 5 rejected\n"
    assert ran.err == "the rejected lines and why: d.csv.rejects.ndjson\n"
    rejects = [json.loads(line) for line in Path("d.csv.rejects.ndjson").read_text().splitlines()]
    assert [(reject["line"], reject["reason"]) for reject in rejects] == [
        (3, "app 'shopp' is not in clarion.yaml; did you mean 'shop'?"),
        (4, "token 'xyz': a device token is 2 to 512 hex digits, an even number of them"),
        (5, "there are 2 cells, and 4 columns"),
        (6, "locale 'klingonish' is not a tag of BCP 47 such as 'de-AT'"),
        (7, "a quote is not closed in this line"),
    ]
    assert rejects[2]["original"] == f"shop,{good}"


def test_bad_lines_of_ndjson_are_kept_too_and_json_is_alone_on_stdout(workspace: Path, clarion: Clarion) -> None:
    lines = ['{"app": "shop", "token": "abcd"}', '{"app": "shop", "tokn": "abcd"}', "no json", "[]"]
    Path("d.ndjson").write_text("\n".join(lines))
    ran = clarion("devices", "import", "d.ndjson", "--format", "json")
    assert ran.code == 1
    assert json.loads(ran.out) == {
        "created": 1, "updated": 0, "unchanged": 0, "rejected": 3, "rejects": "d.ndjson.rejects.ndjson",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nope.csv", "error: nope.csv: cannot read the file: No such file or directory\n"),
        (".", "error: .: cannot read the file: Is a directory\n"),
        ("rules/breaking-news.yaml", "error: rules/breaking-news.yaml:1: unknown column '# yaml-language-server: "),
    ],
)
def test_a_file_that_cannot_be_imported_is_broken_input(
    workspace: Path, clarion: Clarion, file: str, message: str
) -> None:
    ran = clarion("devices", "import", file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(message)


def test_the_list_is_a_table_whose_lines_end_with_their_text(registry: Path, clarion: Clarion) -> None:
    ran = clarion("devices", "list")
    assert (
        ran.out
        == """\
device  app   token          user  locale  zone              topics                         state
1       shop  0a1b2c3d…e8f9  anna  en      Europe/Berlin     section:sports section:travel  active
2       shop  1a1b2c3d…e8f9  ben   en      America/New_York  section:sports                 active
3       shop  2a1b2c3d…e8f9  zoe   de      Europe/Berlin     section:travel                 active
"""
    )
    assert ran.err == "3 devices, 3 active; 3 users, 2 topics\n"


def test_the_list_is_narrowed_and_bounded(registry: Path, clarion: Clarion) -> None:
    def numbers(*words: str) -> list[int]:
        return [one["device"] for one in json.loads(clarion("devices", "list", "--format", "json", *words).out)]

    assert numbers() == [1, 2, 3]
    assert numbers("--topic", "section:travel") == [1, 3]
    assert numbers("--user", "ben") == [2]
    assert numbers("--user", "ben", "--topic", "section:travel") == []
    assert numbers("--app", "shop", "--limit", "2") == [1, 2]
    assert clarion("devices", "list", "--limit", "2").err.startswith("2 of 3 devices, 3 active")


@pytest.mark.parametrize("words", ["devices list --app shp", "devices show 1 --app shp"])
def test_an_app_that_is_not_there_is_told(registry: Path, clarion: Clarion, words: str) -> None:
    ran = clarion(*words.split())
    assert (ran.code, ran.out, ran.err) == (
        2, "", "error: clarion.yaml has no app 'shp'\n  hint: did you mean 'shop'?\n"
    )  # fmt: skip


def test_a_device_is_shown_by_number_and_by_token(registry: Path, clarion: Clarion) -> None:
    shown = clarion("devices", "show", "1")
    assert shown.code == 0
    lines = dict(line.split("  ", 1) for line in shown.out.splitlines())
    assert {name: value.strip() for name, value in lines.items() if name != "last seen at"} == {
        "device": "1",
        "app": "shop",
        "token": TOKENS["anna"],
        "user": "anna",
        "locale": "en",
        "time zone": "Europe/Berlin",
        "topics": "section:sports section:travel",
        "attributes": "-",
        "active": "yes",
        "retired reason": "-",
        "registered at": "-",
        "user's attributes": '{"first_name":"Anna"}',
        "user's opt outs": "-",
        "user's locale": "-",
        "user's time zone": "-",
    }
    assert clarion("devices", "show", TOKENS["anna"].upper()).out == shown.out
    as_json = json.loads(clarion("devices", "show", "1", "--format", "json").out)
    assert as_json["topics"] == ["section:sports", "section:travel"]
    assert as_json["last_seen_at"].endswith("Z")
    assert as_json["user_details"]["attributes"] == {"first_name": "Anna"}


def test_a_device_that_is_not_there_is_told(registry: Path, clarion: Clarion) -> None:
    ran = clarion("devices", "show", "99")
    assert (ran.code, ran.err) == (
        2, "error: there is no device 99\n  hint: 'clarion devices list' shows numbers and tokens\n"
    )  # fmt: skip


@pytest.mark.parametrize("name", ["all.csv", "all.ndjson"])
def test_what_is_exported_can_be_imported(registry: Path, clarion: Clarion, name: str) -> None:
    written = clarion("devices", "export", name)
    assert (written.code, written.out, written.err) == (0, "", "3 devices written\n")
    assert clarion("devices", "import", name).out == "0 created, 0 updated, 3 unchanged, 0 rejected\n"


def test_an_export_goes_to_stdout_in_the_format_that_is_asked_for(registry: Path, clarion: Clarion) -> None:
    lines = clarion("devices", "export").out.splitlines()
    assert [json.loads(line)["token"] for line in lines] == list(TOKENS.values())
    rows = list(csv.DictReader(clarion("devices", "export", "--format", "csv").out.splitlines()))
    assert [row["user"] for row in rows] == list(TOKENS)


def test_an_export_that_cannot_be_written_is_told(registry: Path, clarion: Clarion) -> None:
    ran = clarion("devices", "export", "nowhere/all.csv")
    assert (ran.code, ran.err) == (2, "error: nowhere/all.csv: cannot be written: No such file or directory\n")


def test_erasure_takes_the_user_and_the_devices_and_asks_first(registry: Path, clarion: Clarion) -> None:
    asked = clarion("devices", "erase", "--user", "anna")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == "error: nobody is there to confirm\n  hint: give --yes in scripts\n"
    done = clarion("devices", "erase", "--user", "anna", "--yes")
    assert (done.code, done.err) == (0, "user anna and 1 device erased\n")
    gone = clarion("devices", "erase", "--user", "anna", "--yes")
    assert (gone.code, gone.err) == (
        2, "error: nothing is known of a user 'anna'\n  hint: 'clarion devices list' shows users\n"
    )  # fmt: skip
    assert clarion("devices", "list").err.startswith("2 devices, 2 active; 2 users")


def test_devices_of_an_app_that_the_settings_do_not_know_are_told(workspace: Path, clarion: Clarion) -> None:
    clarion("devices", "import", "samples/devices.csv")
    assert "no app" not in clarion("devices", "list").err
    replace(workspace / "clarion.yaml", "  shop:\n", "  store:\n")
    ran = clarion("devices", "list")
    assert ran.code == 0
    assert ran.err.endswith("\nclarion.yaml has no app 'shop': its devices get nothing\n")
