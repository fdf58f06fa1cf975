"""Fields that are written wrong, or that contradict each other: what is said about them."""

from __future__ import annotations

import pytest

from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rules.compiler import compile_rule
from scheduler.rules.rule import Rule

EVENT_RULE = """\
category: sports
trigger: {event: goal}
audience: {everyone: true}
message: {template: goal}
"""
SLOT_RULE = EVENT_RULE.replace("event: goal", 'schedule: "0 9 * * mon"')
SCHEMA = Schema(events={"goal": Section({"n": FieldType(ValueType.INTEGER)}),
                        "order": Section({"total": FieldType(ValueType.NUMBER),
                                          "user_id": FieldType(ValueType.STRING)})}, open_events=False)  # fmt: skip


def read(text: str) -> tuple[Rule | None, list[tuple[str, str, str, str | None]]]:
    rule, findings = compile_rule(read_yaml(Source("rules/goal.yaml", text)), "goal", SCHEMA)
    said = [
        (one.code, text[one.span.start : one.span.end], one.message, one.hint)
        for one in findings
        if one.code != "not-yet"
    ]
    return rule, said


@pytest.mark.parametrize(
    ("text", "code", "place", "message", "hint"),
    [
        (EVENT_RULE + "starts: tomorrow\n", "wrong-value", "tomorrow",
         "`starts`: 'tomorrow' is no date or time; write 2026-11-27, 2026-11-27 09:00 or 2026-11-27T09:00:00Z", None),
        (EVENT_RULE + "ends: 2026-02-30\n", "wrong-value", "2026-02-30",
         "`ends`: '2026-02-30' does not exist in the calendar", None),
        (EVENT_RULE + "starts: 2026-12-01\nends: 2026-11-01\n", "contradiction", "2026-11-01",
         "the rule ends before it starts", "exchange `starts` and `ends`"),
        (SLOT_RULE.replace("0 9 * * mon", "0 25 * * mon"), "wrong-value", "25",
         "`trigger.schedule`: 25 is no hour: those are 0 to 23", None),
        (SLOT_RULE.replace('"0 9 * * mon"', "{every: 2 days, time: 09:00}"), "contradiction",
         "{every: 2 days, time: 09:00}", "`every` counts from `starts`, and that is missing",
         "add `starts: 2026-11-27` at the top"),
        (SLOT_RULE.replace('"0 9 * * mon"', "{every: 2 hours, time: 09:00}"), "wrong-value", "2 hours",
         "`trigger.schedule.every`: '2 hours' is no number of days, weeks or months; write '2 days'", None),
        (SLOT_RULE.replace('"0 9 * * mon"', "{every: 2 days}"), "missing-key", "{",
         "`trigger.schedule.time` is missing", "add `time: …`, a time of the day such as 22:00"),
        (EVENT_RULE.replace("event: goal", "at: 2026-11-27"), "wrong-value", "2026-11-27",
         "`trigger.at`: '2026-11-27' has no time of the day; write '2026-11-27 09:00'", None),
        (SLOT_RULE.replace('mon"', 'mon", time_zone: Europe/Berln'), "wrong-value", "Europe/Berln",
         "`trigger.time_zone` must be an IANA zone such as Europe/Berlin, or device, not 'Europe/Berln'",
         "did you mean 'Europe/Berlin'?"),
        (EVENT_RULE.replace("goal}", "goal, grace: 2 hours}", 1), "contradiction", "2 hours",
         "`trigger.grace` is about a schedule or a time, and this rule has none", "leave it out"),
        (EVENT_RULE.replace("goal}", 'goal, schedule: "0 9 * * *"}', 1), "contradiction", '"0 9 * * *"',
         "a rule starts by `event` or by `schedule`, not by both", "write two rules"),
        (SLOT_RULE + "timing: {delay: 2 hours}\n", "contradiction", "2 hours",
         "`timing.delay` counts from an event, and no event starts this rule",
         "leave it out, or add `trigger.event`"),
        (EVENT_RULE + "timing: {delay: 2 hours, unless: {event: goal}}\n", "unknown-name", "goal",
         "events of 'goal' have no `user_id`, by which they would be found",
         "declare `user_id: string` for them in schema.yaml, or write `match: subject`"),
        (EVENT_RULE + "timing: {delay: 2 hours, unless: {event: ordr}}\n", "unknown-event", "ordr",
         "schema.yaml does not declare 'ordr'", "did you mean 'order'?"),
        (EVENT_RULE + "timing: {delay: 2 hours, unless: {event: order, where: exit.data.totl > 1}}\n", "unknown-name",
         "totl", "unknown name 'totl' in `exit.data`", "did you mean 'total'?"),
        (EVENT_RULE + "timing: {delay: 2 hours, unless: {event: order, match: usr}}\n", "wrong-value", "usr",
         "`timing.unless.match` must be user or subject, not 'usr'", "did you mean 'user'?"),
        (EVENT_RULE + "timing: {delay: 2 hours, unless: {event: order, since: 1 hour}}\n", "wrong-value", "1 hour",
         "`timing.unless.since` must be such as 1 hour before, not '1 hour'", None),
        (EVENT_RULE + "timing: {quiet_hours: {from: 25:00}}\n", "wrong-value", "25:00",
         "`timing.quiet_hours.from` must be a time of the day such as 22:00, not '25:00'", None),
        (EVENT_RULE + "timing: {quiet_hours: [hold]}\n", "wrong-value", "[hold]",
         "`timing.quiet_hours` must be hold, drop or ignore, or a mapping with from, to, then, not a list", None),
        (EVENT_RULE + "limits: {reentry: {key: x}}\n", "missing-key", "{",
         "`limits.reentry.after` is missing", "add `after: …`, a duration such as 15 minutes"),
        (EVENT_RULE + "limits: {fuse: off}\n", "wrong-value", "off", "`limits.fuse` must be ignore, not 'off'",
         "write ignore"),
        (EVENT_RULE + "experiment: {holdout: 5}\n", "wrong-value", "5",
         "`experiment.holdout` must be a share such as 5% or 0.5%, not '5'; write 5%", None),
        (EVENT_RULE + "experiment: {holdout: 0.05}\n", "wrong-value", "0.05",
         "`experiment.holdout` must be a share such as 5% or 0.5%, not '0.05'; write 5%, or 0.05% if that is what you "
         "mean", None),
        (EVENT_RULE + "experiment: {holdout: 101%}\n", "wrong-value", "101%",
         "`experiment.holdout` must be a share such as 5% or 0.5%, not '101%'", None),
        (EVENT_RULE + "experiment: {variants: [{name: a, weight: 1}, {name: a, weight: 1}]}\n", "contradiction", "a",
         "there are two variants called 'a'", "rename one"),
        (EVENT_RULE + "experiment: {variants: [{name: a, weight: 0}]}\n", "contradiction", "[{name: a, weight: 0}]",
         "no variant has any weight", "give each a weight such as 50"),
        (EVENT_RULE + "experiment: {variants: {name: a, weight: 0}}\n", "wrong-value", "{name: a, weight: 0}",
         "`experiment.variants` must be a list of variants",
         "write [{name: …, weight: …}], or begin each with `- `"),
        (EVENT_RULE + "delivery: {canary: {share: 1%, wait: 5 minutes}}\n", "missing-key", "{",
         "`delivery.canary.max_rejects` is missing", "add `max_rejects: …`, a share such as 5%"),
        (EVENT_RULE + "ignore: [{check: overlay-texts}]\n", "missing-key", "{",
         "`ignore.because` is missing", "add `because: …`, a text"),
        (EVENT_RULE + "ignore: [overlay-texts]\n", "wrong-value", "overlay-texts",
         "`ignore`: each of them must be a mapping with check, because", "write {check: …, because: …}"),
        (EVENT_RULE + "Delivery: {lane: bulk}\n", "unknown-key", "Delivery", "unknown key 'Delivery'",
         "did you mean 'delivery'?"),
        (EVENT_RULE + "delivery: {expires-after: 1 day}\n", "unknown-key", "expires-after",
         "unknown key 'expires-after' in `delivery`", "did you mean 'expires_after'?"),
        (EVENT_RULE + "delivery:\n", "wrong-value", "delivery", "`delivery` has nothing in it",
         "indent its keys below it, or leave it out"),
        (EVENT_RULE + "limits: [1]\n", "wrong-value", "[1]", "`limits` must be a mapping",
         "its keys are `reentry`, `caps`, `audience_max`, `fuse`, `per_user`"),
        (EVENT_RULE.replace("{everyone: true}", "{topics: winners}"), "wrong-value", "winners",
         "`audience.topics` must be a list of texts", "put it in brackets: [winners]"),
        (EVENT_RULE.replace("{everyone: true}", "{topics: '{{ event.id }}, x'}"), "wrong-value",
         "'{{ event.id }}, x'", "`audience.topics` must be a list of texts",
         "put it in brackets: ['{{ event.id }}, x']"),
        (EVENT_RULE.replace("{everyone: true}", "\n  topics: a, b"), "wrong-value", "a, b",
         "`audience.topics` must be a list of texts", "put it in brackets, [ ], or begin each with `- `"),
        (EVENT_RULE.replace("{everyone: true}", "{user: [anna]}"), "unknown-key", "user",
         "unknown key 'user' in `audience`", "did you mean 'users'?"),
        (EVENT_RULE.replace("{everyone: true}", "{segment: x}"), "unknown-key", "segment",
         "unknown key 'segment' in `audience`",
         "it is reserved for a later version; write its condition in `audience.where`"),
        (EVENT_RULE.replace("{everyone: true}", "{everyone: true, owner: me}"), "unknown-key", "owner",
         "unknown key 'owner' in `audience`", "`owner` stands at the top of the file"),
        (EVENT_RULE.replace("{event: goal}", "goal"), "wrong-value", "goal", "`trigger` must be a mapping",
         "its keys are `event`, `when`, `once_per`, `manual`, `schedule`, `at`, `time_zone`, `grace`, `catch_up`"),
        (EVENT_RULE.replace("{event: goal}", "{event: go*al}"), "wrong-value", "go*al",
         "`trigger.event` must be a type of event such as com.example.order.placed or com.example.*, not 'go*al'",
         "write go*"),
        (EVENT_RULE.replace("{template: goal}", "{template: templates/goal.yaml}"), "wrong-value",
         "templates/goal.yaml", "`message.template` must be a name of letters, digits, `-` and `_`, not "
         "'templates/goal.yaml'", "write goal"),
        (EVENT_RULE.replace("{template: goal}", "{template: goal, with: Goal}"), "wrong-value", "Goal",
         "`message.with` must be a mapping", "write a name, a colon and a value: {headline: Goal!}"),
        (EVENT_RULE + "renamed_from: [Old_Goal]\n", "wrong-value", "Old_Goal",
         "`renamed_from`: each of them must be a word of lower-case letters, digits and `-`, not 'Old_Goal'",
         "write old-goal"),
        (EVENT_RULE + "limits: {reentry: 7 days}\n", "wrong-value", "7 days",
         "`limits.reentry` must be always or never, not '7 days'", "write {after: 7 days}"),
        (EVENT_RULE + "limits: {reentry: once}\n", "wrong-value", "once",
         "`limits.reentry` must be always or never, not 'once'", "write never"),
        (EVENT_RULE + "limits: {reentry: sometimes}\n", "wrong-value", "sometimes",
         "`limits.reentry` must be always or never, not 'sometimes'", "or say more: {after: …}"),
        (EVENT_RULE + "delivery: {lane: high}\n", "wrong-value", "high",
         "`delivery.lane` must be urgent, normal or bulk, not 'high'", "write urgent"),
        (EVENT_RULE + "timing: {unless: com.example.order.placed}\n", "wrong-value", "com.example.order.placed",
         "`timing.unless` must be a mapping with event, match, where, since",
         "write {event: com.example.order.placed}"),
        (EVENT_RULE.replace("{event: goal}", '{schedule: "0 9 * * mon", time_zone: local}'), "wrong-value", "local",
         "`trigger.time_zone` must be an IANA zone such as Europe/Berlin, or device, not 'local'", "write device"),
        (EVENT_RULE + "delivery: {type: back}\n", "wrong-value", "back",
         "`delivery.type` must be alert, background, liveactivity, voip, complication, fileprovider, mdm, location, "
         "pushtotalk, widgets or controls, not 'back'", "write background"),
        (EVENT_RULE.replace("goal}", "goal, once_per: event.subject}", 1), "constant-key", "event.subject",
         "'event.subject' is taken as this text, not as a name", 'for its value write "{{ event.subject }}"'),
        (EVENT_RULE.replace("goal}", "goal, once_per: 'event.subject:event.data.n'}", 1), "constant-key",
         "'event.subject:event.data.n'", "'event.subject:event.data.n' is taken as this text, not as names",
         'for their values write "{{ event.subject }}:{{ event.data.n }}"'),
        (EVENT_RULE + "delivery: {collapse: game-event.subject}\n", "constant-key", "game-event.subject",
         "'game-event.subject' is taken as this text, not as names",
         'for their values write "game-{{ event.subject }}"'),
        (EVENT_RULE + "name: goal\n", "unknown-key", "name", "unknown key 'name'",
         "a rule is called like its file: rules/NAME.yaml"),
        (SLOT_RULE.replace("everyone: true", 'where: event.data.n > 1'), "unknown-name", "event",
         "`event` cannot be used here",
         "only a rule that an event starts has one; the names here are device, now, slot, today, user"),
    ],
)  # fmt: skip
def test_mistake_says_what_where_and_the_way_out(
    text: str, code: str, place: str, message: str, hint: str | None
) -> None:
    rule, said = read(text)
    assert said == [(code, place, message, hint)]
    assert rule is None


@pytest.mark.parametrize(
    "text",
    [
        EVENT_RULE + "starts: 2026-11-27\nends: 2026-11-27\n",
        EVENT_RULE + "starts: 2026-11-27 09:00\nends: 2026-11-30\nrenamed_from: [old-goal]\n",
        SLOT_RULE.replace('"0 9 * * mon"', "{every: 2 days, time: 9:00}") + "starts: 2026-11-27\n",
        SLOT_RULE.replace('mon"', 'mon", time_zone: device, grace: 2 hours, catch_up: all'),
        SLOT_RULE.replace("everyone: true", "where: slot > now and today == '2026-11-27'"),
        EVENT_RULE.replace("event: goal", "at: 2026-11-27 09:00, grace: 2 hours"),
        EVENT_RULE + "timing: {delay: 2 hours, unless: [{event: order, where: exit.data.total > event.data.n}], "
        "recheck: false, quiet_hours: {from: 22:00, to: 8:00, then: hold}}\n",
        EVENT_RULE + "limits: {reentry: {after: 3 days, key: '{{ event.data.n }}'}, caps: ignore, audience_max: 5, "
        "fuse: ignore, per_user: latest}\n",
        EVENT_RULE + "experiment: {holdout: 5%, salt: x, variants: [{name: a, weight: 50, template: b}, "
        "{name: b, weight: 50, with: {x: 1}}]}\n",
        EVENT_RULE + "delivery: {canary: {share: 0.5%, wait: 5 minutes, max_rejects: 2%}}\n",
    ],
)
def test_language_of_later_parts_is_read_already(text: str) -> None:
    rule, said = read(text)
    assert said == []
    assert rule is not None


@pytest.mark.parametrize("constant", ["news-event.identity", "section:user.news", "my.event.id", "event.id.x-1", "now"])
def test_text_that_holds_no_name_is_a_text(constant: str) -> None:
    _, said = read(EVENT_RULE + f"delivery: {{collapse: '{constant}'}}\n")
    assert said == []


def test_variants_that_send_something_else_are_messages_of_the_rule() -> None:
    variants = "[{name: a, weight: 50, template: b}, {name: b, weight: 50}]"
    rule, _ = read(EVENT_RULE + f"experiment: {{variants: {variants}}}\n")
    assert rule is not None
    assert [message.template for message in rule.messages] == [rule.message.template, "b"]
    assert [(one.name, one.weight, one.message.template) for one in rule.experiment.variants] == [
        ("a", 50, "b"), ("b", 50, rule.message.template)
    ]  # fmt: skip


def test_ignored_checks_are_kept_with_their_place() -> None:
    rule, _ = read(EVENT_RULE + "ignore: [{check: overlay-texts, because: pictures}]\n")
    assert rule is not None
    assert [(one.check, one.span.line) for one in rule.ignored] == [("overlay-texts", 5)]
