"""Experiments in runs: who is held out is on the ledger, everybody keeps the variant, and it all adds up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.driving import Driver
from support.worlds import APP, World, event, register, register_many, rule_text, set_user, settings_text, token_of

from scheduler.apns.request import PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Answer
from scheduler.planning.experiments import Holdout, drawn_variants, held_out
from scheduler.runs.preparing import Preparation
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import LEDGER, RUNS

Make = Callable[..., World]
TEMPLATES = {
    "short": "aps: {alert: {title: short}}",
    "long": "aps: {alert: {title: '{{ length }}', body: 'Dear {{ user.attributes.name | default(\"fan\") }}'}}",
    "picky": "aps: {alert: {title: \"{% if device.id == 1 %}{{ abort('picky') }}{% endif %}Hi\"}}",
}
VARIANTS = [
    {"name": "short", "weight": 1, "template": "short"},
    {"name": "long", "weight": 1, "template": "long", "with": {"length": "long"}},
]
HALF = {"holdout": "50%", "variants": VARIANTS, "salt": "autumn"}
BUSY = Answer(503, "ServiceUnavailable")


class Provider(Driver):
    """A daemon whose windows are rendered by the real preparation. It keeps what it was asked to send."""

    def __init__(self, world: World, **options: str) -> None:
        super().__init__(world, **options)
        self.requests: list[PushRequest] = []

    def answer(self, answer: Answer = ACCEPTED_ANSWER) -> None:
        """Answer all that can be sent in the open windows in the same way."""
        for window in [window for window in self.work.windows.values() if window.waiting]:
            context = window.run.context
            preparation = Preparation(context.campaign, context.run.id, context.scope, bundle_id="b", expiration=0)
            requests, failures = preparation.prepare(list(window.waiting.values()))
            self.requests += requests
            self.report(window, [*failures, *((request.device, answer) for request in requests)])
        self.settle()

    def accept_all(self) -> None:
        self.answer()

    @property
    def titles(self) -> dict[int, str]:
        """By device, the title that was sent last."""
        return {one.device: json.loads(one.payload)["aps"]["alert"]["title"] for one in self.requests}


def _ledger(world: World) -> dict[int, tuple[str, str | None, str | None]]:
    """Device → outcome, reason, variant."""
    with world.store.read() as tx:
        return {row.device: (row.outcome, row.reason, row.variant) for row in tx.execute(select(LEDGER))}


def _world(make_world: Make, experiment: dict[str, Any], devices: int = 40, **rule: Any) -> World:
    world = make_world(experiment=experiment, files={"templates": TEMPLATES}, **rule)
    register_many(world.store, devices)
    return world


def _expected(persons: Sequence[str]) -> list[str]:
    """What the experiment HALF has for them."""
    held = held_out(Holdout(0.5, "autumn"), persons)
    drawn = drawn_variants("autumn", {"short": 1, "long": 1}, persons)
    return ["held_out" if one else variant for one, variant in zip(held, drawn, strict=True)]


def test_each_device_gets_what_the_hash_says_and_the_ledger_says_so(make_world: Make) -> None:
    world = _world(make_world, HALF)
    world.ingest(event("a"))
    provider = Provider(world)
    provider.finish_everything(limit=7)
    expected = dict(enumerate(_expected([f"device:{number}" for number in range(1, 41)]), start=1))
    assert provider.titles == {device: said for device, said in expected.items() if said != "held_out"}
    assert _ledger(world) == {
        device: ("suppressed", "held_out", None) if said == "held_out" else ("accepted", None, said)
        for device, said in expected.items()
    }
    assert set(expected.values()) == {"short", "long", "held_out"}


def test_counts_of_variants_are_shown_and_add_up(make_world: Make) -> None:
    world = _world(make_world, HALF)
    world.ingest(event("a"))
    provider = Provider(world)
    provider.start()
    provider.answer(Answer(410, "Unregistered"))
    report = world.report(world.runs()[0])
    counted = Counter(_expected([f"device:{number}" for number in range(1, 41)]))
    nothing = {"accepted": 0, "suppressed": 0, "expired": 0, "unknown": 0}
    assert report.variants == {name: {**nothing, "rejected": counted[name]} for name in ("long", "short")}
    assert report.reasons["suppressed"] == {"held_out": counted["held_out"]}
    assert report.counts.rejected + counted["held_out"] == report.counts.selected == 40


def test_devices_of_one_user_share_holdout_and_variant(make_world: Make) -> None:
    world = make_world(experiment=HALF, files={"templates": TEMPLATES})
    users = ["ann", "ben", "cat", "dan", "eve", "flo"]
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user=users[n % 6]) for n in range(1, 25)])
    world.ingest(event("a"))
    Provider(world).finish_everything(limit=5)
    expected = dict(zip(users, _expected([f"user:{user}" for user in users]), strict=True))
    for device, (_, reason, variant) in _ledger(world).items():
        assert (reason or variant) == expected[users[device % 6]]


def test_who_is_held_out_would_have_been_sent(make_world: Make) -> None:
    """Everybody is held out here: every other reason comes before."""
    world = _world(make_world, {"holdout": "100%"}, devices=2, template="picky")
    register(world.store, [DeviceChange(app=APP, token=token_of(3), user="ann")])
    set_user(world.store, "ann", opt_outs=["sports"])
    world.ingest(event("a"))
    Provider(world).finish_everything()
    assert {device: reason for device, (_, reason, _) in _ledger(world).items()} == {
        1: "picky", 2: "held_out", 3: "opted_out"
    }  # fmt: skip


def test_retries_get_the_same_variant_and_the_same_bytes(make_world: Make) -> None:
    world = _world(make_world, HALF, delivery={"expires_after": "1 day"})
    world.ingest(event("a"))
    provider = Provider(world)
    provider.start()
    provider.answer(BUSY)
    first, provider.requests = provider.requests, []
    provider.finish_everything()
    assert first
    assert [one.payload for one in provider.requests] == [one.payload for one in first]


def test_after_a_crash_everybody_gets_what_they_had_and_nobody_held_out_counts_as_repeated(make_world: Make) -> None:
    world = _world(make_world, HALF)
    world.ingest(event("a"))
    before = Provider(world)
    before.start()  # and is gone, whether it had sent or not
    after = Provider(world, process="q")
    after.finish_everything()
    expected = _expected([f"device:{number}" for number in range(1, 41)])
    assert after.recovered.resend == 40
    assert [_ledger(world)[device][1] or after.titles[device] for device in range(1, 41)] == expected
    assert world.report(world.runs()[0]).maybe_repeated == 40 - expected.count("held_out")


def test_the_workspace_holds_out_its_share_of_every_category_that_is_not_exempt(make_world: Make) -> None:
    settings = settings_text(
        limits={"holdout": {"share": "50%", "salt": "company"}},
        categories={"sports": {}, "service": {"holdout": "exempt"}},
    )
    rules = {name: rule_text(category=name, experiment=rule) for name, rule in (("sports", {}), ("service", {}))}
    rules["both"] = rule_text(category="sports", experiment={"holdout": "50%", "salt": "autumn"})
    world = make_world(rules, files={"settings": settings})
    register_many(world.store, 40)
    world.ingest(event("a"))
    Provider(world).finish_everything()
    persons = [f"device:{number}" for number in range(1, 41)]
    company, own = held_out(Holdout(0.5, "company"), persons), held_out(Holdout(0.5, "autumn"), persons)
    reasons = {run.rule: world.report(run).reasons.get("suppressed", {}) for run in world.runs()}
    assert reasons == {
        "sports": {"held_out": sum(company)},
        "service": {},
        "both": {"held_out": sum(map(max, zip(company, own, strict=True)))},
    }


def test_a_run_keeps_the_holdout_and_the_variants_of_its_version(make_world: Make) -> None:
    settings = settings_text(limits={"holdout": {"share": "100%", "salt": "company"}})
    world = _world(make_world, {"variants": VARIANTS}, devices=3)
    world.rewrite({"goal": rule_text(experiment={"variants": VARIANTS})}, templates=TEMPLATES, settings=settings)
    world.ingest(event("a"))
    world.rewrite({"goal": rule_text()}, templates={"short": "aps: {alert: other}", "long": "aps: {alert: other}"})
    Provider(world).finish_everything()
    assert world.report(world.runs()[0]).reasons == {"suppressed": {"held_out": 3}}


def test_what_a_variant_sends_and_the_workspaces_holdout_shape_the_version(make_world: Make) -> None:
    rule = {"goal": rule_text(experiment={"variants": VARIANTS})}
    world = make_world(rule, files={"templates": TEMPLATES})
    seen = {world.workspace.campaigns["goal"].version}
    world.rewrite(rule, templates={**TEMPLATES, "picky": "aps: {alert: other}"})
    assert {world.workspace.campaigns["goal"].version} == seen
    world.rewrite(rule, templates={**TEMPLATES, "long": "aps: {alert: '{{ length }}'}"})
    seen.add(world.workspace.campaigns["goal"].version)
    limits = {"holdout": {"share": "2%", "salt": "company"}}
    world.rewrite(rule, templates=TEMPLATES, settings=settings_text(limits=limits))
    seen.add(world.workspace.campaigns["goal"].version)
    assert len(seen) == 3


def test_a_rule_without_an_experiment_draws_nothing(make_world: Make) -> None:
    world = make_world(files={"settings": settings_text(limits={"holdout": {"share": "0%", "salt": "x"}},
                                                       categories={"sports": {"holdout": "exempt"}})})  # fmt: skip
    assert world.workspace.campaigns["goal"].experiment is None


@pytest.mark.parametrize("named", [["ann"], ["ann", "ben"]])
def test_a_run_that_is_opened_at_once_draws_too(make_world: Make, named: list[str]) -> None:
    world = make_world(experiment={"holdout": "100%"}, audience={"users": named})
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    (window,) = world.ingest(event("a"), room={APP: 100}).windows
    assert [recipient.held_out for recipient in window.recipients] == [True]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_one_rule_draws_for_a_user_is_not_what_another_one_drew(tmp_path: Path, at_once: bool) -> None:
    """Two rules meet the same user in one transaction: at the event, or when both runs begin."""
    users = {"users": ["{{ event.data.user_id }}"]}
    everybody_held_out = {"holdout": "100%", "variants": [{"name": "other", "weight": 1, "template": "short"}]}
    rules = {
        "a-nobody-gets": rule_text(audience=users, experiment=everybody_held_out),
        "b-everybody-gets": rule_text(audience=users, experiment={"variants": VARIANTS[:1]}),
        "c-without": rule_text(audience=users),
    }
    world = World.make(tmp_path, rules, templates=TEMPLATES)
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    provider = Provider(world)
    provider.adopt(world.ingest(event("e1", user_id="ann"), room={APP: 10} if at_once else None).windows)
    provider.finish_everything()
    with world.store.read() as tx:
        columns = (RUNS.c.rule, LEDGER.c.outcome, LEDGER.c.variant)
        rows = tx.execute(select(*columns).join(RUNS, RUNS.c.seq == LEDGER.c.run))
        assert sorted(map(tuple, rows)) == [
            ("a-nobody-gets", "suppressed", None),
            ("b-everybody-gets", "accepted", "short"),
            ("c-without", "accepted", None),
        ]
    world.store.close()


def test_a_rule_that_was_renamed_draws_by_its_first_name(make_world: Make) -> None:
    def salt(renamed: str) -> str:
        rule = rule_text(experiment={"holdout": "50%"}).replace("{", f"{{{renamed}", 1)
        experiment = make_world({"now": rule}).workspace.campaigns["now"].experiment
        assert experiment is not None
        return experiment.salt

    assert salt("") == "now"
    assert salt('"renamed_from": ["first", "second"],') == "first"
