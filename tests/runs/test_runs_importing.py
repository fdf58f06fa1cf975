from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.domain.clock import VirtualClock
from scheduler.domain.errors import OperatorError
from scheduler.runs.csv_cells import read_cell, write_cell
from scheduler.runs.exporting import ExportFormat, export_devices
from scheduler.runs.importing import Imported, Progress, import_devices
from scheduler.store.database import Store, open_store
from scheduler.store.registry import Found, Retirement, find_device, retire, stream_devices

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
APPS = ("scores", "shop")
SCHEMA = Schema(
    users=Section(
        {"first_name": FieldType(ValueType.STRING, optional=True), "spend": FieldType(ValueType.NUMBER, optional=True)}
    ),
    devices=Section(
        {
            "alerts": FieldType(ValueType.ENUM, optional=True, values=("all", "goals", 7)),
            "unread": FieldType(ValueType.INTEGER, optional=True),
            "code": FieldType(ValueType.STRING, optional=True),
            "vip": FieldType(ValueType.BOOLEAN, optional=True),
            "tags": FieldType(ValueType.LIST, optional=True),
        }
    ),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}")
    yield store
    store.close()


def run(store: Store, file: Path, schema: Schema = SCHEMA, now: datetime = NOW) -> Imported:
    return import_devices(store, file, apps=APPS, schema=schema, clock=VirtualClock(now))


def csv_file(tmp_path: Path, *lines: str, name: str = "devices.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return file


def rejects(result: Imported) -> list[tuple[int, str]]:
    assert result.rejects is not None
    rows = [json.loads(line) for line in result.rejects.read_text().splitlines()]
    assert len(rows) == result.rejected
    return [(row["line"], row["reason"]) for row in rows]


def find(store: Store, token: str) -> Found:
    with store.read() as tx:
        found = find_device(tx, "scores", token)
    assert found is not None
    return found


def test_a_csv_row_becomes_a_device_typed_by_the_schema(store: Store, tmp_path: Path) -> None:
    file = csv_file(
        tmp_path,
        "\ufeffapp,token,user,locale,time_zone,topics,attributes.alerts,attributes.unread,attributes.code,"
        "attributes.vip,attributes.tags,user.attributes.first_name,user.attributes.spend\r",
        'scores,AABB,anna,de_at,Europe/Vienna,team:A | team:B,goals,3,0042,true,"[1,""x""]","Zoë, ""Z""",2\r',
        "",
        "scores,ccdd,,,,,7,,,,,,",
    )
    assert run(store, file) == Imported(created=2, updated=0, unchanged=0, rejected=0, rejects=None)
    found = find(store, "aabb")
    assert (found.device.user, found.device.locale, found.device.time_zone) == ("anna", "de-AT", "Europe/Vienna")
    assert found.device.topics == ("team:A", "team:B")
    assert found.device.attributes == {"alerts": "goals", "unread": 3, "code": "0042", "vip": True, "tags": [1, "x"]}
    assert found.user is not None
    assert found.user.attributes == {"first_name": 'Zoë, "Z"', "spend": 2}
    assert find(store, "ccdd").device.attributes == {"alerts": 7}


def test_without_a_schema_cells_are_yaml_core_quoted_or_not(store: Store, tmp_path: Path) -> None:
    file = csv_file(
        tmp_path,
        "app,token,attributes.a,attributes.b,attributes.c,attributes.d,attributes.e",
        'scores,aa,12,"12",no,true,1.5',
    )
    run(store, file, Schema.undeclared())
    assert find(store, "aa").device.attributes == {"a": 12, "b": 12, "c": "no", "d": True, "e": 1.5}


def test_empty_leaves_and_the_null_cell_removes(store: Store, tmp_path: Path) -> None:
    header = "app,token,user,locale,topics,attributes.unread,attributes.code"
    run(store, csv_file(tmp_path, header, "scores,aa,anna,de,x|y,1,k"))
    again = run(store, csv_file(tmp_path, header, "scores,aa,,,,,"))
    assert (again.unchanged, again.updated) == (1, 0)
    again = run(store, csv_file(tmp_path, header, "scores,aa,,\\null,\\null,\\null,"))
    assert again.updated == 1
    device = find(store, "aa").device
    assert (device.user, device.locale, device.topics, device.attributes) == ("anna", None, (), {"code": "k"})


def test_every_bad_line_is_rejected_with_its_reason_and_the_rest_is_imported(store: Store, tmp_path: Path) -> None:
    file = csv_file(
        tmp_path,
        "app,token,user,locale,time_zone,topics,attributes.unread,user.attributes.spend",
        "scores,aa,,,,,,",
        "scoers,bb,,,,,,",
        "scores,xyz,,,,,,",
        "scores,,,,,,,",
        "scores,cc,,german,,,,",
        "scores,cc,,,Europe/Wien,,,",
        "scores,cc,,,,a||b,,",
        "scores,cc,,,,,many,",
        "scores,cc,,,,,,1",
        'scores,"cc,,,,,,',
        "scores,cc,,",
        "scores,cc,a\0b,,,,,",
        "scores,cc,\udcff,,,,,",
        'scores,"cc"x,,,,,,',
        "scores,dd,,,,,,",
    )
    result = run(store, file)
    assert (result.created, result.rejected) == (2, 13)
    assert result.rejects == tmp_path / "devices.csv.rejects.ndjson"
    assert rejects(result) == [
        (3, "app 'scoers' is not in clarion.yaml; did you mean 'scores'?"),
        (4, "token 'xyz': a device token is 2 to 512 hex digits, an even number of them"),
        (5, "token '': a device token is 2 to 512 hex digits, an even number of them"),
        (6, "locale 'german' is not a tag of BCP 47 such as 'de-AT'"),
        (7, "time_zone 'Europe/Wien' is not in the IANA database; did you mean 'Europe/Vienna'?"),
        (8, "topics: '' is not 1 to 256 printable characters without '|' and without spaces around"),
        (9, "attributes.unread is 'many', not an integer"),
        (10, "user_attributes need a user, and the device has none: give 'user'"),
        (11, "a quote is not closed in this line"),
        (12, "there are 4 cells, and 8 columns"),
        (13, "user 'a\\x00b' is not 1 to 256 printable characters"),
        (14, "the line is not UTF-8"),
        (15, "',' expected after '\"'"),
    ]


def test_an_ndjson_line_has_the_same_fields_and_may_replace_a_token(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "devices.ndjson"
    lines: list[object] = [
        {"app": "scores", "token": "AA", "user": "anna", "topics": ["x"], "attributes": {"unread": 1}},
        {"app": "scores", "token": "bb", "replaces": "aA", "user_attributes": {"first_name": "Zoë"}},
        {"app": "scores", "token": "cc", "colour": "red"},
        {"app": "scores", "token": "cc", "topics": "x"},
        {"app": "scores", "token": "cc", "topics": ["x", 1]},
        {"token": "cc"},
        {"app": "scores", "token": "cc", "attributes": {"unread": 2**63}},
        {"app": "scores", "token": "cc", "replaces": "q"},
        [],
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n{\n")
    result = run(store, file)
    assert (result.created, result.updated) == (1, 1)
    assert rejects(result) == [
        (
            3,
            "colour is not a field; known are user, locale, time_zone, topics, attributes, user_attributes, "
            "replaces, app, token",
        ),
        (4, "topics must be a list or null, not a string"),
        (5, "topics[1] must be a string, not an integer"),
        (6, "app is missing"),
        (7, "attributes.unread is 9223372036854775808, beyond 64 bits"),
        (8, "replaces 'q': a device token is 2 to 512 hex digits, an even number of them"),
        (9, "this must be an object, not a list"),
        (10, "not JSON: it ends too early"),
    ]
    found = find(store, "bb")
    assert (found.device.id, found.device.topics, found.device.attributes) == (1, ("x",), {"unread": 1})
    assert found.user is not None
    assert found.user.attributes == {"first_name": "Zoë"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "a column has no name"),
        (b"app;token\n", "unknown column 'app;token'\n  hint: columns are separated by commas"),
        (b"app,tokn\n", "unknown column 'tokn'\n  hint: did you mean 'token'?"),
        (b"app,token,token\n", "the column 'token' is there twice"),
        (b"app,user\n", "the column 'token' is missing"),
        (b"app,token,attributes.\n", "unknown column 'attributes.'"),
        (b'"app,token\n', "the first line is no header: a quote is not closed in this line"),
    ],
)
def test_a_file_without_a_right_header_is_refused_as_a_whole(
    store: Store, tmp_path: Path, content: bytes, text: str
) -> None:
    file = tmp_path / "devices.csv"
    file.write_bytes(content)
    with pytest.raises(OperatorError) as refused:
        run(store, file)
    assert str(refused.value).startswith(f"{file}:1: {text}")


def test_a_file_that_is_not_there_is_the_operators_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot read the file: No such file or directory"):
        run(store, tmp_path / "none.csv")


def test_the_form_is_guessed_where_the_ending_does_not_say(store: Store, tmp_path: Path) -> None:
    assert run(store, csv_file(tmp_path, "app,token", "scores,aa", name="devices.txt")).created == 1
    assert run(store, csv_file(tmp_path, '{"app":"scores","token":"bb"}', name="devices")).created == 1


def test_an_overlong_line_costs_itself_only(store: Store, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "app,token", "scores," + "a" * 2_500_000, "scores,bb")
    result = run(store, file)
    assert (result.created, rejects(result)) == (1, [(2, "the line is longer than 1000000 bytes")])


def test_rejects_of_an_earlier_import_do_not_stay(store: Store, tmp_path: Path) -> None:
    result = run(store, csv_file(tmp_path, "app,token", "scores,x"))
    assert result.rejects is not None
    run(store, csv_file(tmp_path, "app,token", "scores,aa"))
    assert not result.rejects.exists()


def test_an_import_neither_revives_nor_registers(store: Store, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "app,token,locale", "scores,aa,de")
    run(store, file)
    with store.write() as tx:
        retired = retire(tx, [Retirement(1, "Unregistered", NOW - timedelta(days=400))])
    assert retired == 1, "nobody knows when an imported token registered: Apple's word counts, however old it is"
    result = run(store, csv_file(tmp_path, "app,token,locale", "scores,aa,en"), now=NOW + timedelta(days=1))
    device = find(store, "aa").device
    assert (result.updated, device.active, device.registered_at, device.locale) == (1, False, None, "en")


def test_progress_reaches_the_end_of_the_file(store: Store, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "app,token", *(f"scores,{number:04x}" for number in range(2500)))
    seen: list[Progress] = []
    import_devices(store, file, apps=APPS, schema=SCHEMA, clock=VirtualClock(NOW), progress=seen.append)
    size = file.stat().st_size
    assert [step.rows for step in seen] == [1000, 2000, 2500]
    assert seen[-1] == Progress(2500, size, size)
    assert [step.bytes for step in seen] == sorted(step.bytes for step in seen)


class _SlowDisk(VirtualClock):
    """Every transaction takes 0.2 s by this clock."""

    def monotonic(self) -> float:
        self.advance(0.2)
        return super().monotonic()


def test_transactions_shrink_until_they_are_short_enough(store: Store, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "app,token", *(f"scores,{number:04x}" for number in range(2000)))
    rows = [0]
    import_devices(
        store, file, apps=APPS, schema=SCHEMA, clock=_SlowDisk(NOW), progress=lambda step: rows.append(step.rows)
    )
    assert [after - before for before, after in pairwise(rows)][:4] == [1000, 250, 100, 100]


def test_an_export_is_imported_as_it_was(store: Store, tmp_path: Path) -> None:
    file = csv_file(
        tmp_path,
        "app,token,user,locale,time_zone,topics,attributes.alerts,attributes.unread,attributes.tags,"
        "user.attributes.first_name,user.attributes.spend",
        'scores,aa,anna,de,Europe/Vienna,x|y,7,3,[],"a, ""b""",1.0',
        "shop,aa,anna,,,,,,,,",
        "shop,bb,,,,,,,,,",
        "shop,cc,,,,,,,,,",
    )
    run(store, file)
    with store.write() as tx:
        retire(tx, [Retirement(4, "Unregistered", NOW + timedelta(hours=1))])
    for form in ExportFormat:
        out = io.BytesIO()
        assert export_devices(store, out, form=form, schema=SCHEMA) == 3
        copy = tmp_path / f"copy.{form}"
        copy.write_bytes(out.getvalue())
        other = open_store(f"sqlite:///{tmp_path / form}.db")
        assert run(other, copy).created == 3
        with store.read() as before, other.read() as after:
            assert list(stream_devices(before, active_only=True)) == list(stream_devices(after))
        other.close()


def test_csv_says_no_to_a_value_that_would_come_back_as_another_one(store: Store, tmp_path: Path) -> None:
    file = csv_file(tmp_path, '{"app":"scores","token":"aa","attributes":{"zip":"0042"}}', name="devices.ndjson")
    run(store, file, Schema.undeclared())
    with pytest.raises(OperatorError) as refused:
        export_devices(store, io.BytesIO(), form=ExportFormat.CSV, schema=Schema.undeclared())
    assert str(refused.value) == (
        "device 1: 'zip' is '0042', which a CSV cell cannot hold\n"
        "  hint: export with --format ndjson, or declare the attribute's type in schema.yaml"
    )


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["no", "1_0", "0x1f", "", "\\null", "~", "a\nb", "12", "1e3", "[1]"]),
    st.lists(st.integers(), max_size=3),
)
_kinds = st.sampled_from([FieldType(kind) for kind in ValueType if kind is not ValueType.ENUM])


@given(value=_values, kind=_kinds)
def test_a_cell_that_is_written_reads_as_the_same_value(value: Any, kind: FieldType) -> None:
    cell = write_cell(value, kind)
    if cell is not None:
        back = read_cell(cell, kind)
        assert (type(back), back) == (type(value), value)


@pytest.mark.slow
@given(content=st.binary(max_size=80), header=st.booleans(), suffix=st.sampled_from([".csv", ".ndjson", ""]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_can_break_an_import(store: Store, tmp_path: Path, content: bytes, header: bool, suffix: str) -> None:
    file = tmp_path / f"fuzz{suffix}"
    file.write_bytes((b"app,token,user,topics,attributes.a\n" if header else b"") + content)
    with contextlib.suppress(OperatorError):
        result = run(store, file)
        assert (result.rejects is not None) == (result.rejected > 0)
        assert (result.rejects is not None and result.rejects.exists()) == (result.rejected > 0)
