"""What is wrong with a condition: every finding's text, its characters, and the way out."""

from __future__ import annotations

import pytest

from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, ScalarNode
from scheduler.diagnostics.yaml_reader import read_yaml

SCHEMA = Schema(
    events={"goal": Section({
        "home": FieldType(ValueType.STRING), "score": FieldType(ValueType.INTEGER),
        "scorer": FieldType(ValueType.STRING, optional=True), "at": FieldType(ValueType.INSTANT),
    })},
    users=Section({
        "plan": FieldType(ValueType.ENUM, optional=True, values=("free", "pro")),
        "spend": FieldType(ValueType.NUMBER), "vip": FieldType(ValueType.BOOLEAN),
        "maybe": FieldType(ValueType.BOOLEAN, optional=True), "birthday": FieldType(ValueType.DATE),
        "tags": FieldType(ValueType.LIST), "level": FieldType(ValueType.ENUM, values=(1, 2)),
    }),
    devices=Section({"settings": FieldType(ValueType.OBJECT)}),
    open_events=False,
)  # fmt: skip
WHERE = frozenset({"event", "device", "user", "now"})
WHEN = frozenset({"event", "previous", "now"})
INCLUDE = "to include those without it, say what they count as: "
LEAVE = "to leave them out on purpose: "


def scalar(text: str) -> ScalarNode:
    return ScalarNode(text, Source("r.yaml", text).span(0, len(text)), plain=True, places=tuple(range(len(text) + 1)))


def findings_of(text: str, names: frozenset[str] = WHERE | WHEN, schema: Schema = SCHEMA) -> list[Diagnostic]:
    condition, findings = parse_condition(scalar(text), schema, names=names, event_type="goal")
    assert (condition is None) == any(found.severity == "error" for found in findings)
    return findings


def shown(text: str, found: Diagnostic) -> tuple[str, str, str, str | None]:
    return found.code, text[found.span.start : found.span.end], found.message, found.hint


@pytest.mark.parametrize(
    ("text", "code", "place", "message", "hint"),
    [
        ("  ", "empty-condition", "  ", "the condition is empty", "leave the key out, or write `true`"),
        # names
        ("evnt.id == 'x'", "unknown-name", "evnt", "unknown name 'evnt'", "did you mean 'event'?"),
        ("zzz == 1", "unknown-name", "zzz", "unknown name 'zzz'",
         'if it is a text, put it in quotes: "zzz"; the names here are device, event, now, previous, user'),
        ("zzz.y == 1", "unknown-name", "zzz", "unknown name 'zzz'",
         "the names here are device, event, now, previous, user"),
        ("scorer == 'x'", "unknown-name", "scorer", "unknown name 'scorer'", "did you mean `event.data.scorer`?"),
        ("attributes.plan == 'pro'", "unknown-name", "attributes", "unknown name 'attributes'",
         "did you mean `user.attributes.plan`?"),
        ("user.plan == 'pro'", "unknown-name", "plan", "unknown name 'plan' in `user`",
         "did you mean `user.attributes.plan`?"),
        ("previous.home == 'x'", "unknown-name", "home", "unknown name 'home' in `previous`",
         "did you mean `previous.data.home`?"),
        ("event.id == null", "unknown-name", "null", "unknown name 'null'",
         "to ask whether a value is there: `is defined`"),
        ("event.id == undefined", "unknown-name", "undefined", "unknown name 'undefined'",
         "to ask whether a value is there: `is defined`"),
        ("user.attributes.vip == TRUE", "unknown-name", "TRUE", "unknown name 'TRUE'", "write `true`"),
        ("user.attributes.vip == FALSE", "unknown-name", "FALSE", "unknown name 'FALSE'", "write `false`"),
        ("event.data.hom == 'x'", "unknown-name", "hom", "unknown name 'hom' in `event.data`",
         "did you mean 'home'?"),
        ("event.data['hom' ] == 'x'", "unknown-name", "'hom'", "unknown name 'hom' in `event.data`",
         "did you mean 'home'?"),
        ("event.data.qqq == 'x'", "unknown-name", "qqq", "unknown name 'qqq' in `event.data`",
         "`event.data` has home, score, scorer, at; schema.yaml declares them"),
        ("event.name == 'x'", "unknown-name", "name", "unknown name 'name' in `event`",
         "`event` has id, source, type, subject, time, data"),
        ("user.qqq == 'x'", "unknown-name", "qqq", "unknown name 'qqq' in `user`",
         "`user` has id, attributes, locale, time_zone"),
        ("now.year == 2026", "unknown-name", "year", "unknown name 'year' in `now`", "`now` has no fields"),
        ("user.attributes.spend.x == 1", "unknown-name", "x",
         "unknown name 'x' in `user.attributes.spend`", "`user.attributes.spend` has no fields"),
        # not in the language
        ("event.data[0] == 1", "not-in-language", "0", "only a quoted key may stand in brackets",
         'write `event.data | first`, or ask whether the list has a value: `"…" in event.data`'),
        ("event.data[event.id] == 1", "not-in-language", "event.id", "only a quoted key may stand in brackets",
         'write `event.data["key"]`'),
        ("'a'.b == 1", "not-in-language", "'a'", "only a name can have a `.` behind it", None),
        ("event.data.score / 2 == 1", "not-in-language", "event.data.score / 2", "`/` is not part of conditions",
         "multiply the other side by it: `a > 2 * b`"),
        ("event.data.score // 2 == 1", "not-in-language", "event.data.score // 2",
         "`//` is not part of conditions", "multiply the other side by it: `a > 2 * b`"),
        ("event.data.score % 2 == 1", "not-in-language", "event.data.score % 2", "`%` is not part of conditions",
         "let the backend send the result as a field of its own"),
        ("event.data.score ** 2 == 1", "not-in-language", "event.data.score ** 2",
         "`**` is not part of conditions", "let the backend send the result as a field of its own"),
        ("true if event.data.score else false", "not-in-language", "true if event.data.score else false",
         "`if` is not part of conditions", "write it with `and` and `or`"),
        ("{'a': 1} == 1", "not-in-language", "{'a': 1}", "an object in braces is not part of conditions", None),
        ("starts('a', 'b')", "not-in-language", "starts('a', 'b')", "the function `starts` is not part of conditions",
         "did you mean 'startswith'?"),
        ("event.id.upper() == 'A'", "not-in-language", "event.id.upper()", "a call is not part of conditions",
         "write `event.id | upper`"),
        ("event.id | uppr == 'A'", "not-in-language", "event.id | uppr", "the filter `uppr` is not part of conditions",
         "did you mean 'upper'?"),
        ("event.id | zzz == 'A'", "not-in-language", "event.id | zzz", "the filter `zzz` is not part of conditions",
         "the filters are lower, upper, length, default, int, float, first, last"),
        ("event.id | default == 'A'", "wrong-arguments", "event.id | default",
         "`default` takes a value, and true to catch empty text too", 'write `default(0)`, or `default("x", true)`'),
        ("event.id | default('a', boolean=true) == 'A'", "wrong-arguments", "event.id | default('a', boolean=true)",
         "`default` takes a value, and true to catch empty text too", 'write `default(0)`, or `default("x", true)`'),
        ("event.id is none", "not-in-language", "event.id is none", "`is none` is not part of conditions",
         "write `event.id is defined`, or `event.id is not defined`"),
        ("event.id is undefined", "not-in-language", "event.id is undefined",
         "`is undefined` is not part of conditions", "write `event.id is defined`, or `event.id is not defined`"),
        ("event.id is string", "not-in-language", "event.id is string", "`is string` is not part of conditions",
         "whether a value is there is asked by `is defined` and `is not defined`"),
        ("(1 + 1) is defined", "not-in-language", "1 + 1) is defined", "`is defined` asks about a name", None),
        ("event.id[1:2] == 'a'", "not-in-language", "1:2", "only a quoted key may stand in brackets",
         'write `event.data["key"]`'),
        # types
        ("event.data.home == 5", "different-types", "event.data.home == 5", "`==` compares a string with an integer",
         "text stands in quotes: \"5\""),
        ("5 < event.data.home", "different-types", "5 < event.data.home",
         "`<` compares an integer with a string", "text stands in quotes: \"5\""),
        ("user.attributes.tags == 'x'", "different-types", "user.attributes.tags == 'x'",
         "a list cannot be compared with `==`",
         "to ask whether a list has a value: `… in …`, the list behind `in`"),
        ("event.data == 'x'", "different-types", "event.data == 'x'", "an object cannot be compared with `==`", None),
        ("true < false", "different-types", "true < false", "true and false have no order for `<`",
         "write the name alone, or `not` before it"),
        ("user.attributes.vip > event.time", "different-types", "user.attributes.vip > event.time",
         "`>` compares a boolean with an instant", None),
        ("event.data.home in [1, 'FCB']", "different-types", "1",
         "`in` compares a string with an integer",
         "text stands in quotes: \"1\""),
        ("'x' in event.data.score", "different-types", "event.data.score",
         "`in` looks into a list or a string, and this is an integer", "compare it with `==`"),
        ("1 in event.data.home", "different-types", "1", "`in` looks for an integer in a string", None),
        ("event.data.home + 1 == 2", "different-types", "event.data.home + 1",
         "`+` takes numbers, and this is a string", "text is joined by `~`"),
        ("-event.data.home == 2", "different-types", "-event.data.home",
         "`-` takes numbers, and this is a string", None),
        ("event.data.score", "different-types", "event.data.score", "this is an integer, and must be true or false",
         "compare it with something: `… == …`, or ask `… is defined`"),
        ("true and event.data.home", "different-types", "event.data.home",
         "this is a string, and must be true or false", "compare it with something: `… == …`, or ask `… is defined`"),
        ("not event.data.home", "different-types", "event.data.home", "this is a string, and must be true or false",
         "compare it with something: `… == …`, or ask `… is defined`"),
        ("user.attributes.plan == 'premium'", "enum-value", "'premium'",
         "'premium' is never equal: the values are 'free', 'pro'", None),
        ("user.attributes.plan in ['fre']", "enum-value", "'fre'", "'fre' is never equal: the values are 'free', 'pro'",
         "did you mean 'free'?"),
        ("user.attributes.plan | default('free') == 'premium'", "enum-value", "'premium'",
         "'premium' is never equal: the values are 'free', 'pro'", None),
        ("user.attributes.plan | default('none') == 'premium'", "enum-value", "'premium'",
         "'premium' is never equal: the values are 'free', 'pro', 'none'", None),
        ("3 == user.attributes.level", "enum-value", "3", "3 is never equal: the values are 1, 2", None),
        ("event.id == none", "compare-with-none", "none", "`== none` never matches: what is missing cannot be compared",
         "write `event.id is not defined`"),
        ("none != event.id", "compare-with-none", "none", "`!= none` never matches: what is missing cannot be compared",
         "write `event.id is defined`"),
        ("event.data.score == 9223372036854775808", "number-too-large", "9223372036854775808",
         "the number is too large: it needs over 64 bits",
         "an id of so many digits is a text: put it in quotes, and declare it as a `string`"),
        ("event.data.score == 1e999", "number-too-large", "1e999", "the number is too large", None),
        # what may be missing
        ("event.data.scorer != 'x'", "missing-hazard", "event.data.scorer",
         "'event.data.scorer' may be missing, and then `!=` is unknown: nobody without it matches",
         INCLUDE + "`event.data.scorer | default(…)`; " + LEAVE
         + "`event.data.scorer is defined and event.data.scorer != …`"),
        ("user.attributes.plan not in ['pro']", "missing-hazard", "user.attributes.plan",
         "'user.attributes.plan' may be missing, and then `not in` is unknown: nobody without it matches",
         INCLUDE + "`user.attributes.plan | default(…)`; " + LEAVE
         + "`user.attributes.plan is defined and user.attributes.plan not in …`"),
        ("not (user.attributes.maybe and true)", "missing-hazard", "user.attributes.maybe",
         "'user.attributes.maybe' may be missing, and then `not` is unknown: nobody without it matches",
         INCLUDE + "`user.attributes.maybe | default(…)`; " + LEAVE + "`user.attributes.maybe is defined and not …`"),
        ("event.data.score + previous.data.score != 3", "missing-hazard", "previous.data.score",
         "'previous.data.score' may be missing, and then `!=` is unknown: nobody without it matches",
         INCLUDE + "`previous.data.score | default(…)`; " + LEAVE
         + "`previous.data.score is defined and previous.data.score != …`"),
        ("device.locale != 'de'", "missing-hazard", "device.locale",
         "'device.locale' may be missing, and then `!=` is unknown: nobody without it matches",
         INCLUDE + "`device.locale | default(…)`; " + LEAVE + "`device.locale is defined and device.locale != …`"),
        # braces
        ("{{ event.data.score > 1 }}", "braces-in-condition", "{{",
         "a condition is an expression already: no `{{` in it", "write `event.data.score > 1`"),
        ("event.data.home == '{{ x }}'", "braces-in-condition", "{{",
         "a condition is an expression already: no `{{` in it", "write `event.data.home == ' x '`"),
        ("{% if true %}", "braces-in-condition", "{%", "a condition is an expression already: no `{%` in it",
         "write `if true`"),
        # syntax
        ("event.id = 'x'", "condition-syntax", "=", "unexpected '='", "compare with `==`"),
        ("event.id === 'x'", "condition-syntax", "=", "unexpected '='", "compare with `==`"),
        ("event.id => 'x'", "condition-syntax", "=>", "unexpected '=>'", "write `>=`"),
        ("event.id <> 'x'", "condition-syntax", "<>", "unexpected '<>'", "write `!=`"),
        ("event.id == 'x' && true", "condition-syntax", "&&", "unexpected '&&'", "write `and`"),
        ("event.id == 'x' || true", "condition-syntax", "||", "unexpected '||'",
         "write `or`; a single `|` is for `default`"),
        ("event.id == 'x' AND true", "condition-syntax", "AND", "unexpected 'AND'", "write `and`"),
        ("NOT user.attributes.vip", "condition-syntax", "NOT", "unexpected 'NOT'", "write `not`"),
        ("and user.attributes.vip", "condition-syntax", "and", "unexpected 'and'",
         "something must stand before `and`"),
        ("!user.attributes.vip", "condition-syntax", "!", "unexpected '!'", "write `not`"),
        ("event.id == “x”", "condition-syntax", "“", "unexpected '“'", "use straight quotes"),
        ("event.id is 'x'", "condition-syntax", "'", 'unexpected "\'"', "compare with `==`"),
        ("event.id is not 'x'", "condition-syntax", "'", 'unexpected "\'"', "compare with `!=`"),
        ("if event.id == 'x'", "condition-syntax", "event.id", "unexpected 'event.id'", "leave `if` out"),
        ("event.id == 'x' and and true", "condition-syntax", "true", "unexpected 'true'", "write `and` once"),
        ("event.id contains 'x'", "condition-syntax", "contains", "unexpected 'contains'",
         'write `"…" in event.id`'),
        ("event.id LIKE 'x%'", "condition-syntax", "LIKE", "unexpected 'LIKE'", 'write `startswith(event.id, "…")`'),
        ("event.data.score between 5 and 9", "condition-syntax", "between", "unexpected 'between'",
         "write `5 < event.data.score < 10`"),
        ("event.data.score > 50,5", "condition-syntax", ",", "unexpected ','", "write a point: `50.5`"),
        ("event.data.score > 50%", "condition-syntax", "%", "the condition ends too early", "leave `%` out"),
        ("event.data.score > 50% and true", "condition-syntax", "true", "unexpected 'true'", "leave `%` out"),
        ("event.id in 'x', 'y'", "condition-syntax", ",", "unexpected ','",
         'a list stands in brackets: `in ["a", "b"]`'),
        ("event.id in ['x' 'y']", "condition-syntax", "'x' 'y'", "two texts stand beside each other",
         "put a comma between them; what is to be one text is joined by `~`"),
        ("== 'x'", "condition-syntax", "==", "unexpected '=='", "a name must stand before `==`"),
        ("event.id ==", "condition-syntax", "=", "the condition ends too early", "something must stand behind `==`"),
        ("(event.id == 'x'", "condition-syntax", "(", "this `(` is never closed", "add `)` where it ends"),
        ("event.id in ['(x'", "condition-syntax", "[", "this `[` is never closed", "add `]` where it ends"),
        ("event.id == 'x')", "condition-syntax", ")", "unexpected ')'",
         "no bracket was opened for it: remove it, or add `(`"),
        ("event.id == 'x", "condition-syntax", "'", "this quotation mark is never closed",
         "add `'` where the text ends"),
        ("event.id == 'x' true", "condition-syntax", "true", "unexpected 'true'",
         "two conditions are joined by `and` or `or`"),
        ("event.id == 5 €", "condition-syntax", "€", "unexpected '€'", None),
    ],
)  # fmt: skip
def test_error_says_what_where_and_the_way_out(
    text: str, code: str, place: str, message: str, hint: str | None
) -> None:
    assert [shown(text, found) for found in findings_of(text)] == [(code, place, message, hint)]
    assert [found.severity for found in findings_of(text)] == ["error"]


@pytest.mark.parametrize(
    "text",
    [
        "event.data.scorer | default('') != 'x'",
        "event.data.scorer is defined and event.data.scorer != 'x'",
        "event.data.scorer != 'x' and event.data['scorer'] is defined",
        "event.data.scorer is not defined or event.data.scorer != 'x'",
        "not (event.data.scorer is defined and event.data.scorer == 'x')",
        "not (event.data.scorer is not defined)",
        "event.data.scorer == 'x'",
        "user.attributes.plan not in ['free'] and user.attributes.plan is defined",
        "previous is defined and previous.data.score != event.data.score",
        "event.subject != 'x'",
        "user.attributes.spend != 3",
        "not user.attributes.vip",
        "event.data.score + 1 > (previous.data.score | default(0)) + 1.5",
        "event.time < now",
        "event.data.scorer | default(5) == 5",
        "device.attributes.settings.dark | default(false)",
        "user.attributes.level == 2",
        "user.attributes.plan | default('none') == 'none'",
        "user.attributes.plan | default(event.id) == 'premium'",
        "'x' in user.attributes.tags",
        "user.attributes.birthday is defined",
    ],
)
def test_good_condition_has_no_finding(text: str) -> None:
    assert findings_of(text) == []


def test_hazard_of_an_undeclared_name_is_a_warning() -> None:
    text = "user.attributes.x != 1"
    condition, findings = parse_condition(scalar(text), Schema.undeclared(), names=WHERE)
    assert condition is not None
    assert [(found.severity, found.code) for found in findings] == [("warning", "missing-hazard")]


def test_vouching_ends_with_its_and() -> None:
    text = "(event.data.scorer is defined and event.data.scorer != 'x') or event.data.scorer != 'y'"
    (found,) = findings_of(text)
    assert (found.code, found.span.start) == ("missing-hazard", text.rindex("event.data.scorer"))


def test_earlier_event_does_not_vouch_for_an_optional_field() -> None:
    assert [found.code for found in findings_of("previous is defined and previous.data.scorer != 'x'")] == [
        "missing-hazard"
    ]


def test_name_that_stands_elsewhere_cannot_be_used_here() -> None:
    text = "device.id == 1"
    assert [shown(text, found) for found in findings_of(text, WHEN)] == [
        (
            "unknown-name",
            "device",
            "`device` cannot be used here",
            "use it in `audience.where`; the names here are event, now, previous",
        )
    ]


def test_all_problems_are_told_at_once_in_the_order_of_the_text() -> None:
    text = "evnt.id == 1 and event.data.home > 2 and user.attributes.plan != 'x' or not foo"
    assert [found.code for found in findings_of(text)] == [
        "unknown-name", "different-types", "enum-value", "unknown-name"
    ]  # fmt: skip


def test_limits_are_two_thousand_characters_and_fifty_levels() -> None:
    fits = "true or " * 249 + "true    "
    assert len(fits) == 2000
    assert findings_of(fits) == []
    (long,) = findings_of(fits + " ")
    assert (long.code, long.message, long.span.start) == (
        "condition-too-long", "the condition has 2,001 characters; 2,000 is the most", 2000
    )  # fmt: skip
    deep = "(" * 51 + "true" + ")" * 51
    (found,) = findings_of(deep)
    assert shown(deep, found) == (
        "condition-too-deep", "(", "the condition is nested over 50 levels", "split it, or use `in` with a list"
    )  # fmt: skip
    assert found.span.start == 50
    assert findings_of("not " * 49 + "true") == []
    assert [found.code for found in findings_of("not " * 50 + "true")] == ["condition-too-deep"]
    assert [found.code for found in findings_of("1" + " + 1" * 400 + " > 2")] == ["condition-too-deep"]
    assert [found.code for found in findings_of("((" * 900)] == ["condition-too-deep"]


def test_fifty_levels_of_brackets_are_fine() -> None:
    assert findings_of("(" * 50 + "true" + ")" * 50) == []


@pytest.mark.parametrize(
    ("yaml", "line", "column"),
    [
        ("where: evnt.id == 1", 1, 8),
        ('where: "\\"a\\" == evnt.id"', 1, 18),
        ("where: >-\n  event.id == 'a'\n  and evnt.id == 'b'\n", 3, 7),
        ("where: |\n  event.id == 'a'\n  and\n    evnt.id == 'b'\n", 4, 5),
    ],
)
def test_finding_points_into_the_file(yaml: str, line: int, column: int) -> None:
    root = read_yaml(Source("rules/r.yaml", yaml)).root
    assert isinstance(root, MappingNode)
    node = root.get("where")
    assert isinstance(node, ScalarNode)
    _, (found,) = parse_condition(node, SCHEMA, names=WHERE, event_type="goal")
    assert (found.span.line, found.span.column) == (line, column)
    assert found.span.source.text[found.span.start : found.span.end] == "evnt"
