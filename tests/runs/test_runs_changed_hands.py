"""A rule that names its users sends to nobody else, also where a device changes hands while its message waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.driving import Driver
from support.limits import capped, claims, ledger, limited
from support.worlds import APP, World, event, register, set_user, settings_text, token_of

from scheduler.apns.results import Answer
from scheduler.domain.runs import RunState
from scheduler.store.registry_changes import DeviceChange

NAMED: Any = {"users": ["{{ event.data.user }}"]}
BUY = "com.example.buy"
LIFE = {"expires_after": "2 days", "max_age": "2 days"}


def made(folder: Path, *, settings: str | None = None, timing: Any = None, **rule: Any) -> World:
    """The devices 1 and 2 are ann's."""
    rule.setdefault("audience", NAMED)
    whole = {
        **json.loads(limited(rule.pop("limits", None), delivery=LIFE, **rule)),
        **({"timing": timing} if timing else {}),
    }
    world = World.make(folder, {"goal": json.dumps(whole)}, settings=settings)
    for device in (1, 2):
        log_in(world, device, "ann")
    return world


def log_in(world: World, device: int, user: str | None) -> None:
    register(world.store, [DeviceChange(app=APP, token=token_of(device), user=user)], now=world.now)


def waits_for_its_delay(folder: Path, **rule: Any) -> tuple[World, Driver]:
    world = made(folder, timing={"delay": "2 hours", **rule.pop("timing", {})}, **rule)
    world.ingest(event("a", user="ann"))
    return world, Driver(world)


def waits_for_the_morning(folder: Path) -> tuple[World, Driver]:
    world = made(folder, settings=settings_text(limits={"quiet_hours": {"from": "10:00", "to": "20:00"}}))
    world.ingest(event("a", user="ann"))
    driver = Driver(world)
    driver.start()
    return world, driver


def waits_for_a_retry(folder: Path) -> tuple[World, Driver]:
    world = made(folder)
    world.ingest(event("a", user="ann"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(device, Answer(500, "InternalServerError")) for device in (1, 2)])
    driver.settle()
    return world, driver


def outcomes(world: World) -> list[str]:
    return list(ledger(world).values())


@pytest.mark.parametrize("waits", [waits_for_its_delay, waits_for_the_morning, waits_for_a_retry])
@pytest.mark.parametrize("user", ["ben", None])
def test_who_logs_in_while_a_message_waits_does_not_get_the_other_users(
    tmp_path: Path, waits: Any, user: str | None
) -> None:
    world, driver = waits(tmp_path)
    log_in(world, 1, user)
    driver.finish_everything()
    assert outcomes(world) == ["user_changed", "accepted"]
    (run,) = world.runs()
    counts = world.report(run).counts
    assert (run.state, counts.selected, counts.accepted, counts.suppressed) == (RunState.FINISHED, 2, 1, 1)


def test_a_crash_and_a_resend_send_to_nobody_else_either(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a", user="ann"))
    driver = Driver(world)
    driver.start()
    log_in(world, 1, "ben")
    Driver(world, process="next").finish_everything()
    assert "accepted" not in {became for (_, device), became in ledger(world).items() if device == 1}
    assert ledger(world)["goal 1", 2] == "accepted"


def test_who_logs_out_and_in_again_gets_it(tmp_path: Path) -> None:
    world, driver = waits_for_its_delay(tmp_path)
    log_in(world, 1, "ben")
    log_in(world, 1, "ann")
    driver.finish_everything()
    assert outcomes(world) == ["accepted", "accepted"]


def test_a_device_that_goes_from_one_named_user_to_another_gets_it(tmp_path: Path) -> None:
    world, driver = waits_for_its_delay(tmp_path, audience={"users": ["ann", "ben"]})
    log_in(world, 1, "ben")
    driver.finish_everything()
    assert outcomes(world) == ["accepted", "accepted"]


def test_the_change_of_hands_is_the_reason_whatever_the_new_user_says(tmp_path: Path) -> None:
    world, driver = waits_for_its_delay(tmp_path, timing={"unless": {"event": BUY}})
    set_user(world.store, "ben", opt_outs=["sports"])
    log_in(world, 1, "ben")
    world.ingest(event("b", type_=BUY, at=world.now, user_id="ben"))
    driver.finish_everything()
    assert outcomes(world) == ["user_changed", "accepted"]


@pytest.mark.parametrize(("user", "became"), [("ann", ["accepted", "exit_event"]), ("ben", ["exit_event", "accepted"])])
def test_for_an_audience_without_users_the_device_stays_selected_and_the_user_of_then_counts(
    tmp_path: Path, user: str, became: list[str]
) -> None:
    world, driver = waits_for_its_delay(tmp_path, audience={"everyone": True}, timing={"unless": {"event": BUY}})
    driver.start()
    log_in(world, 1, "ben")
    world.ingest(event("b", type_=BUY, at=world.now, user_id=user))
    driver.finish_everything()
    assert outcomes(world) == became


def test_what_a_device_held_of_a_cap_is_given_back_when_it_changes_hands(tmp_path: Path) -> None:
    world = made(tmp_path, settings=capped({}))
    world.ingest(event("a", user="ann"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(device, Answer(500, "InternalServerError")) for device in (1, 2)])
    driver.settle()
    log_in(world, 1, "ben")
    log_in(world, 2, None)
    driver.finish_everything()
    assert outcomes(world) == ["user_changed", "user_changed"]
    assert claims(world) == set()
