"""An edit of a schedule, also to another zone or to each device's own time, gives nobody a second send on one date."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.digests import TEMPLATES, ZONES, digest_settings, make_digest_globe, ruled, utc

DEFAULT = "Europe/Berlin"
AT_NINE = {"schedule": "0 9 * * *"}
FIXED = ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland"]
CHANGES = [
    ("device", DEFAULT, "0 9 * * *", "0 1 * * *"),
    ("device", "Pacific/Auckland", "0 9 * * *", "0 22 * * *"),
    (DEFAULT, "device", "0 20 * * *", "0 9 * * *"),
    ("Pacific/Auckland", "device", "0 9 * * *", "0 23 * * *"),
]


def _lived(folder: Path, before: dict[str, str], after: dict[str, str], edited: str) -> dict[int, list[str]]:
    """By device, the dates in its own zone on which it got something."""
    globe = make_digest_globe(folder, "24 12:00", rules={"digest": ruled(before)})
    globe.up()
    globe.run_until(utc(edited))
    globe.world.rewrite({"digest": ruled(after)}, settings=digest_settings(), templates=TEMPLATES)
    globe.reload()
    globe.run_until(utc(edited) + timedelta(days=4))
    dates: dict[int, list[str]] = {}
    for device, _, at in globe.got:
        zone = ZoneInfo(ZONES[device - 1] or DEFAULT)
        dates.setdefault(device, []).append(f"{at.astimezone(zone):%d}")
    globe.world.store.close()
    return dates


@pytest.mark.parametrize(("old", "new", "was", "is_"), CHANGES)
@pytest.mark.parametrize("edited", ["26 10:30", "26 19:10"])
@pytest.mark.slow
def test_no_device_gets_two_on_one_of_its_dates(
    tmp_path: Path, old: str, new: str, was: str, is_: str, edited: str
) -> None:
    dates = _lived(tmp_path, {"schedule": was, "time_zone": old}, {"schedule": is_, "time_zone": new}, edited)
    assert dates.keys() == set(range(1, len(ZONES) + 1))
    for device, had in dates.items():
        assert max(Counter(had).values()) == 1, (device, had)
        assert len(had) >= 4, "and it goes on"


@pytest.mark.parametrize(("old", "new"), [(old, new) for old in FIXED for new in FIXED if old != new])
@pytest.mark.parametrize("is_", ["0 6 * * *", "0 13 * * *", "0 23 * * *"])
def test_from_one_zone_to_another_neither_zone_has_two_on_one_date(
    tmp_path: Path, old: str, new: str, is_: str
) -> None:
    globe = make_digest_globe(
        tmp_path, "24 12:00", rules={"digest": ruled({"schedule": "0 20 * * *", "time_zone": old})}
    )
    globe.up()
    globe.run_until(utc("26 16:00"))
    edit = ruled({"schedule": is_, "time_zone": new})
    globe.world.rewrite({"digest": edit}, settings=digest_settings(), templates=TEMPLATES)
    globe.reload()
    globe.run_until(utc("30 16:00"))
    had = [at for device, _, at in globe.got if device == 1]
    for zone in (old, new):
        dates = [f"{at.astimezone(ZoneInfo(zone)):%d}" for at in had]
        before = sum(at <= utc("26 16:00") for at in had)
        assert dates[before] not in dates[:before], (zone, dates)
    globe.world.store.close()
