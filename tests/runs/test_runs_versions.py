"""A run keeps the version that it was born with: whatever happens to the files, the bytes are the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.driving import Driver
from support.worlds import APP, World, event, register, rule_text, set_user, settings_text, token_of

from scheduler.domain.errors import Bug
from scheduler.domain.runs import Run
from scheduler.runs.context import RunContext, context_of
from scheduler.runs.preparing import Preparation
from scheduler.runs.versions import Versions
from scheduler.store.audience import page
from scheduler.store.registry_changes import DeviceChange

Make = Callable[..., World]
FILES = {
    "templates": {
        "goal": 'aps: {alert: {title: "{{ event.data.title }} at {{ now }}", body: "{{ user.attributes.name }}"}}',
        "goal.de": 'aps: {alert: {body: "Hallo {{ user.attributes.name }}"}}',
    },
    "schema": "users: {attributes: {name: string}}\nevents: {com.example.goal: {title: string}}\n",
}
OTHER = {
    "templates": {"goal": "aps: {alert: {body: other}}", "goal.de": "aps: {alert: {body: anders}}"},
    "schema": "users: {attributes: {name: string}}\nevents: {com.example.goal: {title: string, minute: integer}}\n",
    "settings": settings_text(defaults={"locale": "fr"}),
}


def _world(make_world: Make) -> World:
    world = make_world(files=FILES, delivery={"collapse": "{{ event.data.title }}", "lane": "bulk"})
    for number, locale in ((1, "en"), (2, "de-AT")):
        register(world.store, [DeviceChange(app=APP, token=token_of(number), user="ann", locale=locale)])
    set_user(world.store, "ann", attributes={"name": "Ann Ü"})
    return world


def _requests(world: World, run: Run, versions: Versions) -> list[tuple[str, str, bytes, str | None, int]]:
    """What would be sent to everybody, as bytes."""
    campaign = versions.campaign(run.rule, run.version)
    context = context_of(run, campaign, world.workspace.settings)
    assert isinstance(context, RunContext)
    with world.store.read() as tx:
        recipients = page(tx, context.audience, after=0, last=100, limit=100).recipients
    prepared = Preparation(campaign, run.id, context.scope, bundle_id="b", expiration=7)
    requests, failures = prepared.prepare(recipients)
    assert failures == []
    return [(r.token, r.apns_id, r.payload, r.collapse_id, r.expiration) for r in requests]


def test_a_stored_version_makes_the_same_bytes_after_the_files_changed(make_world: Make) -> None:
    world = _world(make_world)
    world.advance(0.123456)
    born = world.ingest(event("a", title="1-0"), room={APP: 100})
    (run,) = world.runs()
    before = _requests(world, run, world.versions())
    assert [payload.decode() for _, _, payload, _, _ in before] == [
        '{"aps":{"alert":{"title":"1-0 at 2026-11-20 12:00:00.123000+00:00","body":"Ann Ü"}}}',
        '{"aps":{"alert":{"title":"1-0 at 2026-11-20 12:00:00.123000+00:00","body":"Hallo Ann Ü"}}}',
    ]
    assert born.runs == 1
    world.rewrite({"goal": rule_text(audience={"topics": ["x"]}, delivery={"collapse": "other"})}, **OTHER)
    assert world.workspace.campaigns["goal"].version != run.version
    assert _requests(world, run, world.versions()) == before


def test_a_run_at_birth_has_the_time_that_it_has_after_a_restart(make_world: Make) -> None:
    """Instants are kept in milliseconds: a resend renders the same."""
    world = make_world(audience={"users": ["ann"]})
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    world.advance(0.123456)
    (window,) = world.ingest(event("a"), room={APP: 100}).windows
    (stored,) = world.runs()
    assert (window.context.run.created_at, window.context.run.due) == (stored.created_at, stored.due)
    assert window.context.scope["now"] == stored.created_at


def test_what_shapes_nothing_changes_no_version(make_world: Make) -> None:
    world = make_world(files=FILES)
    version = world.workspace.campaigns["goal"].version
    world.rewrite({"goal": rule_text(), "other": rule_text()}, **FILES)
    assert world.workspace.campaigns["goal"].version == version
    for name in ("templates", "schema", "settings"):
        world.rewrite({"goal": rule_text()}, **{**FILES, name: OTHER[name]})
        assert world.workspace.campaigns["goal"].version != version


def test_a_run_that_goes_on_after_an_edit_keeps_its_audience_and_terms(make_world: Make) -> None:
    world = _world(make_world)
    world.ingest(event("a", title="1-0"))
    world.rewrite({"goal": rule_text(audience={"topics": ["nobody's"]}, delivery={"max_age": "1 s"})}, **OTHER)
    world.advance(60)
    Driver(world).finish_everything()
    assert world.report(world.runs()[0]).counts.accepted == 2


def test_a_request_knows_how_often_its_device_was_tried(make_world: Make) -> None:
    """An attempt after a 5xx goes over another link: the pool chooses it by this number."""
    world = _world(make_world)
    world.ingest(event("a", title="1-0"))
    (run,) = world.runs()
    campaign = world.versions().campaign(run.rule, run.version)
    context = context_of(run, campaign, world.workspace.settings)
    assert isinstance(context, RunContext)
    with world.store.read() as tx:
        recipients = page(tx, context.audience, after=0, last=100, limit=100).recipients
    recipients[1].attempts = 3
    prepared = Preparation(campaign, run.id, context.scope, bundle_id="b", expiration=7)
    assert [request.attempt for request in prepared.prepare(recipients)[0]] == [0, 3]


def test_a_version_that_is_not_stored_is_a_bug(make_world: Make) -> None:
    with pytest.raises(Bug, match=r"^rule version 00ff of goal is not in the store$"):
        make_world().versions().campaign("goal", "00ff")


def test_versions_are_stored_once(make_world: Make) -> None:
    world = make_world()
    world.ingest(event("a"), event("b"))
    before = world.store.rows_written()
    world.ingest(event("c"))
    assert world.store.rows_written() - before == 2  # event and run
