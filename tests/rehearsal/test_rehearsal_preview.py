"""A preview is the run that has not happened: what it counts is what a run then does on the same registry."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.driving import Driver
from support.worlds import APP, BUNDLE_ID, NOW, World, event, register, rule_text, set_user, token_of

from scheduler.apns.results import ACCEPTED_ANSWER
from scheduler.domain.errors import OperatorError
from scheduler.rehearsal.preview import Preview, latest_event, preview
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.preparing import Preparation
from scheduler.runs.reports import RunReport
from scheduler.store.registry_changes import DeviceChange

TEMPLATE = """\
aps:
  alert:
    title: "{{ event.data.team }}"
    body: "{% if device.attributes.muted is defined %}{{ abort('muted') }}{% endif %}{{ user.attributes.first_name }}"
"""
RULES = {
    "everyone": rule_text(template="named"),
    "where": rule_text(template="named", audience={"where": "device.attributes.level >= 2 or user.id == 'anna'"}),
    "topics": rule_text(template="named", audience={"topics": ["team:{{ event.data.team }}"]}),
    "users": rule_text(template="named", audience={"users": ["{{ event.data.user }}"],
                                                   "where": "device.attributes.level is defined"}),
    "experiment": rule_text(template="named", experiment={
        "holdout": "30%", "variants": [{"name": "a", "weight": 1}, {"name": "b", "weight": 2, "template": "goal"}]}),
    "manual": rule_text(trigger={"manual": True}, delivery={"rate": "2/s"}),
    "once": rule_text(trigger={"event": "com.example.other", "when": "event.data.on",
                               "once_per": "{{ event.data.key }}"},
                      audience={"topics": ["{{ event.data.topic }}"]}),
}  # fmt: skip
USERS = ("anna", "ben", "zoe")


@dataclass(frozen=True)
class Person:
    """One made-up device."""

    user: str | None
    topics: frozenset[str]
    level: int | None
    muted: bool


PEOPLE = st.lists(
    st.builds(
        Person,
        st.none() | st.sampled_from(USERS),
        st.frozensets(st.sampled_from(["team:a", "team:b"])),
        st.none() | st.integers(0, 4),
        st.booleans(),
    ),
    max_size=12,
)
NAMED = st.frozensets(st.sampled_from(USERS))


def world(folder: Path, people: list[Person], named: frozenset[str], opted_out: frozenset[str]) -> World:
    made = World.make(folder, RULES, templates={"named": TEMPLATE})
    register(
        made.store,
        [
            DeviceChange(
                app=APP,
                token=token_of(number),
                user=person.user,
                topics=sorted(person.topics),
                attributes={"level": person.level, "muted": True if person.muted else None},
            )
            for number, person in enumerate(people, 1)
        ],
    )
    for user in USERS:
        set_user(
            made.store,
            user,
            attributes={"first_name": user.title() if user in named else None},
            opt_outs=["sports"] if user in opted_out else [],
        )
    return made


class AcceptingProvider(Driver):
    """A daemon whose windows are rendered by the real preparation; its provider accepts whatever is sent."""

    def accept_all(self) -> None:
        for window in [window for window in self.work.windows.values() if window.waiting]:
            context = window.run.context
            preparation = Preparation(
                context.campaign, context.run.id, context.scope, bundle_id=BUNDLE_ID, expiration=0
            )
            requests, failures = preparation.prepare(list(window.waiting.values()))
            self.report(window, [*failures, *((request.device, ACCEPTED_ANSWER) for request in requests)])


def counts(shown: Preview) -> tuple[int, int, int, int]:
    return shown.selected, shown.would_send, shown.suppressed, shown.expired


def agree(shown: Preview, report: RunReport) -> None:
    """The law."""
    done = report.counts
    assert counts(shown) == (done.selected, done.accepted + done.rejected, done.suppressed, done.expired)
    assert shown.selected == shown.would_send + shown.suppressed + shown.expired
    assert (done.unknown, done.pending) == (0, 0)
    reasons: Counter[str] = Counter()
    for outcome in ("suppressed", "expired"):
        reasons.update(report.reasons.get(outcome, {}))
    assert shown.reasons == reasons
    sent = {name: done["accepted"] for name, done in report.variants.items() if done["accepted"]}
    assert shown.variants == sent


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 2)
@given(people=PEOPLE, named=NAMED, opted_out=NAMED, late=st.booleans())
def test_what_a_preview_counts_is_what_the_run_then_does(
    people: list[Person], named: frozenset[str], opted_out: frozenset[str], late: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), people, named, opted_out)
        goal = event("g1", team="a", user="anna")
        if late:
            made.clock.advance(timedelta(days=2).total_seconds())  # older than max_age
        rules = [made.workspace.campaigns[name] for name in ("everyone", "where", "topics", "users", "experiment")]
        shown = {rule.name: preview(made.store, made.workspace, rule, goal, made.now, samples=100) for rule in rules}
        made.ingest(goal)
        AcceptingProvider(made).finish_everything(limit=5)
        for run in made.runs():
            agree(shown[run.rule], made.report(run))
            assert shown[run.rule].occasion == run.occasion
            assert len(shown[run.rule].samples) == shown[run.rule].would_send
        assert len(made.runs()) == len(rules)
        made.store.close()


def test_reasons_are_counted_by_their_words(tmp_path: Path) -> None:
    people = [
        Person("anna", frozenset(), None, muted=False),
        Person("ben", frozenset(), None, muted=False),
        Person("zoe", frozenset(), None, muted=False),
        Person(None, frozenset(), None, muted=False),
        Person("anna", frozenset(), None, muted=True),
    ]
    made = world(tmp_path, people, frozenset({"anna", "ben"}), frozenset({"ben"}))
    shown = preview(made.store, made.workspace, made.workspace.campaigns["everyone"], event("g", team="a"), made.now)
    assert counts(shown) == (5, 1, 4, 0)
    assert shown.reasons == {"opted_out": 1, "render_error at aps.alert.body": 2, "muted": 1}
    (sample,) = shown.samples
    assert (sample.device, sample.user, sample.token) == (1, "anna", token_of(1))
    assert sample.payload == b'{"aps":{"alert":{"title":"a","body":"Anna"}}}'
    assert (shown.smallest, shown.largest, shown.limit) == (len(sample.payload), len(sample.payload), 4096)


@pytest.fixture
def small(tmp_path: Path) -> World:
    """Five devices of nobody."""
    return world(tmp_path, [Person(None, frozenset(), 1, muted=False)] * 5, frozenset(), frozenset())


def test_a_preview_writes_nothing(small: World) -> None:
    before = small.store.rows_written()
    preview(small.store, small.workspace, small.workspace.campaigns["everyone"], event("g", team="a"), small.now)
    assert small.runs() == []
    assert small.store.rows_written() == before


def test_a_preview_of_a_firing_counts_and_knows_the_shortest_time(small: World) -> None:
    rule = small.workspace.campaigns["manual"]
    shown = preview(small.store, small.workspace, rule, None, small.now, key="k")
    assert counts(shown) == (5, 5, 0, 0)
    assert shown.seconds == 2.0  # one at once, four at 2/s
    occasion = fired_occasion(rule, "k", None, small.workspace.settings, small.now)
    assert shown.occasion == occasion.key == "k"
    fire(small.store, rule, occasion, None, small.now)
    AcceptingProvider(small).finish_everything()
    (run,) = small.runs()
    agree(shown, small.report(run))
    again = preview(small.store, small.workspace, rule, None, small.now, key="k")
    assert again.note is not None
    assert again.note.startswith("this occasion was had already")
    assert preview(small.store, small.workspace, rule, None, small.now).note is None


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ({"on": False, "key": "k", "topic": "t"}, "'when' is false for this event: it would start nothing"),
        ({"key": "k", "topic": "t"}, "when_unknown: event.data.on is missing: it would start nothing"),
        ({"on": True, "topic": "t"}, "key_missing: event.data.key is missing: it would start nothing"),
        ({"on": True, "key": "k"}, "audience_missing"),
    ],
)
def test_a_preview_says_why_nothing_would_start(small: World, data: dict[str, object], note: str) -> None:
    sent = event("o", type_="com.example.other", **data)
    shown = preview(small.store, small.workspace, small.workspace.campaigns["once"], sent, small.now)
    assert shown.note is not None
    assert shown.note.startswith(note)
    assert counts(shown) == (0, 0, 0, 0)


def test_one_device_is_previewed_alone(small: World) -> None:
    rule = small.workspace.campaigns["manual"]
    for device, selected in ((3, 1), (6, 0), (0, 0)):
        shown = preview(small.store, small.workspace, rule, None, small.now, device=device)
        assert shown.selected == selected
        assert [sample.device for sample in shown.samples] == [device] * selected


def test_progress_goes_up_to_the_highest_device(small: World) -> None:
    seen: list[int] = []
    rule = small.workspace.campaigns["manual"]
    preview(small.store, small.workspace, rule, None, small.now, on_progress=seen.append)
    assert seen == [5]


def test_the_newest_stored_event_stands_for_one_that_is_not_given(small: World) -> None:
    rule = small.workspace.campaigns["everyone"]
    assert latest_event(small.store, rule) is None
    with pytest.raises(OperatorError) as raised:
        preview(small.store, small.workspace, rule, None, small.now)
    assert str(raised.value) == (
        "rule everyone listens to com.example.goal, and no such event is stored\n  hint: give one: --event FILE"
    )
    older, newer = event("a", at=NOW - timedelta(hours=1), team="a"), event("b", team="b")
    small.ingest(newer, older)
    assert latest_event(small.store, rule) == newer
    assert latest_event(small.store, small.workspace.campaigns["manual"]) is None


def test_a_preview_of_a_schedule_is_of_its_next_slot_and_shows_five(tmp_path: Path) -> None:
    digest = {"digest": 'aps: {alert: {title: "{{ today }}"}}'}
    rule = rule_text(trigger={"schedule": "0 9 * * mon"}, template="digest")
    over = rule_text(trigger={"at": "2026-11-20 11:59"}, template="digest")
    world = World.make(tmp_path, {"digest": rule, "over": over}, templates=digest)
    register(world.store, [DeviceChange(app=APP, token=token_of(1))])
    campaign = world.workspace.campaigns["digest"]
    shown = preview(world.store, world.workspace, campaign, None, NOW)
    assert [one.slot.key for one in shown.slots] == [
        f"{day}T09:00" for day in ("2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14", "2026-12-21")
    ]
    assert (shown.occasion, shown.would_send) == ("2026-11-23T09:00", 1)
    assert shown.samples[0].payload == b'{"aps":{"alert":{"title":"2026-11-23"}}}'
    later = preview(world.store, world.workspace, campaign, None, shown.slots[1].slot.at)
    assert later.occasion == "2026-11-30T09:00"
    none = preview(world.store, world.workspace, world.workspace.campaigns["over"], None, NOW)
    assert (none.occasion, none.note) == (None, "its schedule names no time any more: it would start nothing")
    with pytest.raises(OperatorError, match="rule digest starts by its schedule, and no event starts it"):
        preview(world.store, world.workspace, campaign, event("a"), NOW)
    world.store.close()
