"""The device file: what it may hold, and how it says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.domain.errors import OperatorError
from scheduler.simulator.devices import Device, DeviceState, Environment, load_devices, parse_devices


def test_a_line_is_a_device() -> None:
    devices = parse_devices(
        [
            b'{"token": "AA01"}\n',
            b"\n",
            b'{"token": "bb", "topic": "x", "state": "unregistered", "timestamp": 5, "environment": "sandbox"}',
        ],
        "devices.ndjson",
    )
    assert devices == {
        "aa01": Device("AA01"),
        "bb": Device("bb", "x", DeviceState.UNREGISTERED, 5, Environment.SANDBOX),
    }


HINT = (
    '\n  hint: a line is {"token": "<hex>", "topic": "com.example.app", "state": "valid", "unregistered" or "expired", '
    '"timestamp": <ms>}; only `token` is needed'
)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"aa,shop", "not a device: JSON is malformed: invalid character (byte 0)"),
        (b"{}", "not a device: Object missing required field `token`"),
        (b'{"token": "xyz"}', "not a device: token 'xyz' is not hexadecimal"),
        (b'{"token": "aa", "topics": "x"}', "not a device: Object contains unknown field `topics`"),
        (b'{"token": "aa", "state": "dead"}', "not a device: Invalid enum value 'dead' - at `$.state`"),
        (b'{"token": "aa", "timestamp": 5}', "not a device: `timestamp` goes with state unregistered or expired only"),
        (b'{"token": "aa", "topic": "\xff"}', None),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: bytes, text: str | None) -> None:
    with pytest.raises(OperatorError) as error:
        parse_devices([b'{"token": "bb"}', line], "devices.ndjson")
    assert str(error.value).startswith("devices.ndjson:2: not a device: ")
    assert str(error.value).endswith(HINT)
    if text is not None:
        assert str(error.value) == f"devices.ndjson:2: {text}{HINT}"


def test_a_token_stands_in_the_file_once() -> None:
    with pytest.raises(OperatorError) as error:
        parse_devices([b'{"token": "aa"}', b'{"token": "AA"}'], "devices.ndjson")
    assert str(error.value) == (
        "devices.ndjson:2: token AA is in the file a second time\n"
        "  hint: a token belongs to one app: keep one of the lines"
    )


def test_a_missing_file_is_an_operator_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as error:
        load_devices(tmp_path / "none.ndjson")
    assert str(error.value) == (
        f"{tmp_path / 'none.ndjson'}: the device file cannot be read: No such file or directory\n"
        "  hint: give a file with one JSON object a line, or leave it out: then every well-formed token is valid"
    )
