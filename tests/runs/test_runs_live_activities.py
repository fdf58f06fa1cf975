"""A Live Activity whose event comes from the data: what it needs is known only when it is rendered."""

from __future__ import annotations

from collections.abc import Callable

from support.worlds import APP, World, event, register, token_of

from scheduler.rendering.results import RenderFailure
from scheduler.runs.context import RunContext, context_of
from scheduler.runs.preparing import Preparation
from scheduler.store.audience import page
from scheduler.store.registry_changes import DeviceChange

Make = Callable[..., World]
FILES = {
    "templates": {
        "goal": 'aps: {event: "{{ event.data.phase }}", timestamp: "{{ event.time }}", content-state: {home: 1}}'
    },
    "schema": "events: {com.example.goal: {phase: {enum: [start, update]}}}\n",
}


def test_start_without_attributes_is_suppressed_and_an_update_goes(make_world: Make) -> None:
    world = make_world(files=FILES, delivery={"type": "liveactivity"})
    register(world.store, [DeviceChange(app=APP, token=token_of(1))])
    prepared = {}
    for phase in ("start", "update"):
        world.ingest(event(phase, phase=phase))
        run = world.runs()[-1]
        context = context_of(run, world.versions().campaign(run.rule, run.version), world.workspace.settings)
        assert isinstance(context, RunContext)
        with world.store.read() as tx:
            recipients = page(tx, context.audience, after=0, last=100, limit=100).recipients
        preparation = Preparation(context.campaign, run.id, context.scope, bundle_id="a.b", expiration=0)
        assert (preparation.headers.topic, preparation.headers.priority) == ("a.b.push-type.liveactivity", 10)
        requests, failures = preparation.prepare(recipients)
        prepared[phase] = [request.payload for request in requests], [report for _, report in failures]
    missing = "a Live Activity starts with `attributes-type`, and `aps` has none"
    assert prepared["start"] == ([], [RenderFailure("aps.attributes-type", missing)])
    assert prepared["update"] == ([b'{"aps":{"event":"update","timestamp":1795176000,"content-state":{"home":1}}}'], [])
