"""One device a user is one that the run selects: what it never reaches is not chosen, so that nobody is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.digests import got, ruled, utc
from support.driving import Driver
from support.globe import Globe
from support.limits import ledger, limited, waiting
from support.markdown_page import Row, read_page
from support.worlds import APP, NOW, World, event, register, settings_text, token_of

from scheduler.planning.canaries import canaries
from scheduler.runs import ranges
from scheduler.store.registry_changes import DeviceChange

SEEN = NOW - timedelta(days=1)
NIGHT = settings_text(limits={"quiet_hours": {"from": "22:00", "to": "08:00"}})
VIP: Any = {"where": "device.attributes.vip == true"}
LATEST = {"per_user": "latest"}


def put(world: World, device: int, *, seen: int = 0, **fields: Any) -> None:
    """A device of ann, seen so many hours after the others."""
    change = DeviceChange(app=APP, **{"token": token_of(device), "user": "ann", **fields})
    register(world.store, [change], now=SEEN + timedelta(hours=seen))


def vip(world: World, device: int, is_one: bool, *, seen: int = 0, **fields: Any) -> None:
    put(world, device, seen=seen, attributes={"vip": is_one}, **fields)


def made(folder: Path, *, night: bool = False, **rule: Any) -> World:
    """A rule for one device of a user."""
    return World.make(folder, {"goal": limited(LATEST, **rule)}, settings=NIGHT if night else None)


def delayed(folder: Path, timing: Any = None, **rule: Any) -> World:
    text = json.dumps({**json.loads(limited(LATEST, **rule)), "timing": {"delay": "2 hours", **(timing or {})}})
    return World.make(folder, {"goal": text})


def outcomes(world: World) -> dict[int, str]:
    return {device: became for (_, device), became in ledger(world).items()}


def shards_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "SHARD_DEVICES", 1)


@pytest.mark.parametrize("windows", [1, 1_000])
def test_who_did_not_match_when_the_event_came_is_not_the_one_when_the_delay_is_over(
    tmp_path: Path, windows: int
) -> None:
    world = delayed(tmp_path, audience=VIP)
    vip(world, 1, True)
    vip(world, 2, False, seen=1)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=windows)
    vip(world, 2, True, seen=2)
    driver.finish_everything(limit=windows)
    # With windows of one device the second was not read yet when it came to match.
    assert outcomes(world) == ({1: "accepted"} if windows > 1 else {1: "not_latest", 2: "accepted"})


def of_a_delay(folder: Path, at_first: bool, then: bool, *, recheck: bool = True, room: int = 1_000) -> dict[int, str]:
    """What becomes of device 1, which matches, and of 2, which was seen last and matches at first and then or not."""
    world = delayed(folder, {"recheck": recheck}, audience=VIP)
    vip(world, 1, True)
    vip(world, 2, at_first, seen=1)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    vip(world, 2, then, seen=2)
    world.advance(2 * 3600)
    driver.wake()
    (run,) = driver.work.runs.values()
    for _ in range(2):
        driver.take_up(run, limit=room)
    driver.finish_everything()
    return outcomes(world)


@pytest.mark.parametrize("recheck", [True, False])
@pytest.mark.parametrize("room", [1, 1_000])
def test_who_matches_no_more_when_the_delay_is_over_is_the_one_only_if_nobody_asks(
    tmp_path: Path, recheck: bool, room: int
) -> None:
    """Also where the two are taken up one after the other."""
    second = {1: "accepted", 2: "no_longer_matches"} if recheck else {1: "not_latest", 2: "accepted"}
    assert of_a_delay(tmp_path, True, False, recheck=recheck, room=room) == second


def of_a_night(folder: Path, at_first: str, then: str) -> dict[int, str]:
    """Of a message to the topic `news` that both devices would have in their morning, the first one earlier. Device 2,
    which was seen last, is in one topic at first and in another then."""
    world = made(folder, audience={"topics": ["news"]}, night=True)
    put(world, 1, topics=["news"], time_zone="Pacific/Auckland")
    put(world, 2, seen=1, topics=[at_first], time_zone="Australia/Sydney")
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    assert waiting(world).keys() == ({1, 2} if at_first == "news" else {1})
    put(world, 2, seen=2, topics=[then])
    driver.finish_everything()
    return outcomes(world)


def test_who_joins_the_topic_in_the_night_is_not_the_one_in_the_morning(tmp_path: Path) -> None:
    assert of_a_night(tmp_path, "other", "news") == {1: "accepted"}


def test_who_leaves_the_topic_in_the_night_stays_the_one(tmp_path: Path) -> None:
    """Nobody asks for topics again, so it would have been sent to all the same."""
    assert of_a_night(tmp_path, "news", "other") == {1: "not_latest", 2: "accepted"}


@pytest.mark.parametrize(("number", "became"), [(1, {2: "accepted"}), (3, {2: "not_latest", 3: "accepted"})])
def test_a_shard_reads_no_device_twice_and_some_are_still_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, became: dict[int, str]
) -> None:
    """Device 1 was read before it came to match, device 3 comes to match before it is read."""
    shards_of_one(monkeypatch)
    world = made(tmp_path, audience=VIP)
    for device in (1, 2, 3):
        vip(world, device, device == 2)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=1)
    vip(world, number, True, seen=2)
    driver.finish_everything(limit=1)
    assert outcomes(world) == became


def test_the_rest_of_a_canary_reads_again_who_did_not_match_when_the_canary_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards_of_one(monkeypatch)
    canary = {"share": "50%", "wait": "1 minute", "max_rejects": "20%"}
    world = made(tmp_path, audience=VIP, delivery={"canary": canary})
    ann = {"user": ""}
    for device in (1, 2):
        vip(world, device, device == 2)
    world.ingest(event("a"))
    (run,) = world.runs()
    names = [f"user{n}" for n in range(50)]
    drawn = zip(names, canaries(0.5, run.id, [f"user:{name}" for name in names]), strict=True)
    ann["user"] = next(name for name, is_one in drawn if is_one)
    for device in (1, 2):
        vip(world, device, device == 2, **ann)
    driver = Driver(world)
    driver.start(limit=1)
    (active,) = driver.work.runs.values()
    driver.open(active, limit=1)
    vip(world, 1, True, seen=2, **ann)
    driver.finish_everything(limit=1)
    assert outcomes(world) == {1: "accepted", 2: "not_latest"}


Make = Callable[..., Globe]


def of_a_slot(make: Make, zone: str) -> list[tuple[int, str]]:
    """Who gets a weekly digest of Monday at nine when, of two devices of ann: 3 in Berlin, and 6 in a zone, which was
    seen last. The rule was loaded at eight in Berlin."""
    globe = make("30 07:00", rules={"digest": ruled(limits=LATEST)})
    world = globe.world
    register(world.store, [DeviceChange(app=APP, token=token_of(3), user="ann")], now=world.now)
    one = DeviceChange(app=APP, token=token_of(6), user="ann", time_zone=zone)
    register(world.store, [one], now=world.now + timedelta(hours=1))
    globe.up()
    globe.run_until(utc("30 23:00"))
    return [one for one in got(globe) if one[0] in (3, 6)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zone", "received"), [("Asia/Tokyo", [(3, "30 08:00")]), ("America/New_York", [(6, "30 14:00")])]
)
def test_a_device_in_a_zone_whose_time_is_over_is_not_the_one(
    make_globe: Make, zone: str, received: list[tuple[int, str]]
) -> None:
    assert of_a_slot(make_globe, zone) == received


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 6)
@given(seed=st.integers(0, 2**32))
def test_every_user_of_a_run_gets_it_on_one_device(seed: int) -> None:
    """Whoever is seen and comes to match while it goes, whatever it waits for, in windows and shards of any size."""
    chance = Random(seed)
    life = {"max_age": "2 days", "expires_after": "2 days"}
    kinds: dict[str, Any] = {
        "now": {},
        "canary": {"delivery": life | {"canary": {"share": "40%", "wait": "1 minute", "max_rejects": "20%"}}},
        "delay": {"timing": {"delay": "2 hours"}},
        "night": {"timing": {"quiet_hours": {"from": "10:00", "to": "20:00", "then": "hold"}}},
    }
    audience = {"topics": ["news"], "where": "device.attributes.vip == true"}
    rule = {**json.loads(limited(LATEST, audience=audience, delivery=life)), **chance.choice(list(kinds.values()))}
    zones = [None, "Europe/Berlin", "America/New_York", "Asia/Tokyo"]
    users = {number: chance.choice(["ann", "ben", "eve"]) for number in range(1, 9)}

    def be_seen(device: int, **fields: Any) -> None:
        put(world, device, seen=chance.randint(1, 20), user=users[device], **fields)

    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(ranges, "SHARD_DEVICES", chance.choice([1, 2, 3, 100]))
        world = World.make(Path(folder), {"goal": json.dumps(rule)})
        for device in users:
            topics, vip = ["news"] if chance.getrandbits(1) else ["other"], bool(chance.getrandbits(1))
            be_seen(device, topics=topics, time_zone=chance.choice(zones), attributes={"vip": vip})
        world.ingest(event("a"))
        driver = Driver(world)
        for _ in range(chance.randint(0, 20)):
            limit = chance.choice([1, 2, 1_000])
            runs = list(driver.work.runs.values())
            match chance.choice(["start", "open", "take up", "settle", "joins", "matches", "seen", "time"]):
                case "start":
                    driver.start(limit=limit)
                case "open" if runs and runs[0].shard_to_read(world.now) is not None:
                    driver.open(runs[0], limit=limit)
                case "take up" if runs:
                    driver.take_up(runs[0], limit=limit)
                case "settle":
                    driver.accept_all()
                    driver.settle()
                case "joins":
                    be_seen(chance.randint(1, 8), topics=["news"])
                case "matches":
                    be_seen(chance.randint(1, 8), attributes={"vip": True})
                case "seen":
                    be_seen(chance.randint(1, 8))
                case "time":
                    world.advance(chance.choice([1, 60, 7200]))
                    driver.wake()
        driver.finish_everything(limit=chance.choice([1, 2, 1_000]))
        became = outcomes(world)
        world.store.close()
    got_it = sorted(users[device] for device, outcome in became.items() if outcome == "accepted")
    assert got_it == sorted({users[device] for device in became})
    assert set(became.values()) <= {"accepted", "not_latest"}


PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
OTHER = "the user's other device, seen last"
(SECTION,) = (one for one in read_page(PAGE.read_text("utf-8")) if one.title == "One device a user")
PLAYED: dict[str, Callable[[Path, Make], bool]] = {
    "did not match when the event came, and does when the delay is over": lambda folder, _: (
        of_a_delay(folder, False, True) != {1: "accepted"}
    ),
    "matched when the event came, and does not when the delay is over": lambda folder, _: (
        of_a_delay(folder, True, False)[1] != "accepted"
    ),
    "the same, with recheck: false": lambda folder, _: of_a_delay(folder, True, False, recheck=False)[1] != "accepted",
    "joined the topic while the first one was held for the morning": lambda folder, _: (
        of_a_night(folder, "other", "news") != {1: "accepted"}
    ),
    "left the topic while both were held for the morning": lambda folder, _: (
        of_a_night(folder, "news", "other")[2] == "accepted"
    ),
    "is in a zone whose time was over when the rule was loaded": lambda _, make: (
        of_a_slot(make, "Asia/Tokyo") != [(3, "30 08:00")]
    ),
    "is in a zone whose time is still to come": lambda _, make: of_a_slot(make, "America/New_York")[0][0] == 6,
}


@pytest.mark.slow
@pytest.mark.parametrize("row", SECTION.rows(OTHER), ids=lambda row: f"line {row.line}")
def test_the_other_device_is_the_one_where_the_page_says_so(tmp_path: Path, make_globe: Make, row: Row) -> None:
    is_the_one = PLAYED[row.cells[OTHER].replace("`", "")](tmp_path, make_globe)
    assert is_the_one is {"yes": True, "no": False}[row.cells["is it the one?"]]


def test_every_line_of_the_page_is_played() -> None:
    assert {row.cells[OTHER].replace("`", "") for row in SECTION.rows(OTHER)} == PLAYED.keys()
