"""docs/rules.md does what it says: its files pass `check`, its conditions and templates give what is written there.

A block whose first line is a comment with a path is that file, `in PATH` sections of it; it is laid over the files of
the page's first campaign, together with the other blocks under its heading. A path that comes again begins a new
example. A `text` block is what `check` prints of the example so far, a `json LOCALE` block what its rule sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.markdown_page import Block, Row, Section, links_of, read_page, without_links

from scheduler.conditions.calls import FILTERS, FUNCTIONS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.schema_file import read_schema
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, Severity
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rendering.names import Names
from scheduler.rendering.payload import compile_payload
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.rendering.with_values import NO_VALUES
from scheduler.rules.compiler import WHEN_ROOTS, WHERE_ROOTS
from scheduler.rules.reference import contents
from scheduler.workspace.campaign import MESSAGE_ROOTS
from scheduler.workspace.checking import check
from scheduler.workspace.loading import load
from scheduler.workspace.reference import REFERENCE_PATH

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / REFERENCE_PATH).read_text("utf-8")
PAGE = read_page(TEXT)
FILE = re.compile(r"(?:#|\{#) (in )?([\w.*/-]+\.(?:yaml|j2))(?: #\})?\n")
VALUES = "# the values of the examples\n"
FIRST = "A first campaign"
ERROR = re.compile(r"error ([a-z-]+)")
INSTANTS = {("event", "time"), ("previous", "time"), ("device", "last_seen_at")}


@dataclass(slots=True)
class Example:
    """Files by path, and what is to come of them: what `check` prints, and by locale what is sent."""

    line: int
    files: dict[str, str] = field(default_factory=dict)
    findings: str | None = None
    payloads: dict[str, object] = field(default_factory=dict)

    def workspace(self) -> Mapping[str, Source]:
        return {path: Source(path, text) for path, text in {**CAMPAIGN, **self.files}.items()}


def examples_of(section: Section) -> Iterator[Example]:
    example = Example(0)
    for block in section.blocks:
        named = FILE.match(block.text)
        word, _, locale = block.info.partition(" ")
        if named:
            path = named[2]
            if path in example.files or not example.line:
                yield from [example] * bool(example.line)
                example = Example(block.line)
            rest = block.text[named.end() :]
            example.files[path] = laid_into(CAMPAIGN[path], rest) if named[1] else rest
        elif word == "text":
            example.findings = block.text
        elif word == "json":
            example.payloads[locale] = json.loads(block.text)
    yield from [example] * bool(example.line)


def laid_into(whole: str, part: str) -> str:
    """A file with other sections in place of its own, the new ones behind."""
    new = dict(sections_of(part))
    kept = "".join(text if name not in new else new.pop(name) for name, text in sections_of(whole))
    return kept + "".join(new.values())


def sections_of(text: str) -> Iterator[tuple[str, str]]:
    for one in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE):
        yield one.partition(":")[0], one


def section(title: str) -> Section:
    (only,) = [one for one in PAGE if one.title == title]
    return only


def rows(chapter: str, *heads: str) -> list[Row]:
    return [row for one in PAGE if one.chapter == chapter for row in one.rows(*heads)]


def node_of(text: str) -> Node:
    root = read_yaml(Source("page.yaml", text)).root
    assert root is not None
    return root


def scalar(text: str) -> ScalarNode:
    return ScalarNode(text, Source("page", text).span(0, len(text)), plain=False, places=range(len(text) + 1))


def schema_of(text: str) -> Schema:
    schema, findings = read_schema(node_of(text))
    assert not findings
    return schema


CAMPAIGN = {found[2]: block.text[found.end() :] for block in section(FIRST).blocks if (found := FILE.match(block.text))}
SCHEMA = schema_of(CAMPAIGN["schema.yaml"])
SAMPLE: Any = next(core_value(node_of(one.text)) for one in section(FIRST).blocks if one.text.startswith(VALUES))
EVENT_TYPE = SAMPLE["event"]["type"]
SCOPE: dict[str, Any] = {
    name: {key: datetime.fromisoformat(one) if (name, key) in INSTANTS else one for key, one in value.items()}
    if isinstance(value, dict) else datetime.fromisoformat(value)
    for name, value in SAMPLE.items()
}  # fmt: skip
SCOPE |= {"zone": ZoneInfo("Europe/Berlin"), "today": SCOPE["now"].date().isoformat()}
EXAMPLES = [example for one in PAGE for example in examples_of(one)]
CONDITIONS = rows("Conditions", "condition", "gives")
TEMPLATES = rows("Templates", "template", "gives")


def by_line(one: Row | Example | Block) -> str:
    return f"line {one.line}"


def test_contents_are_the_headings_outside_of_blocks() -> None:
    page = "## A.b\n### C, d\n```\n## none\n```\n### E\n## F\n"
    assert contents(page) == "- **[A.b](#ab)**: [C, d](#c-d) · [E](#e)\n- **[F](#f)**\n"


def test_every_block_is_one_that_is_executed() -> None:
    for block in (block for one in PAGE for block in one.blocks):
        is_known = block.info == "" or block.info.split(" ")[0] in ("json", "text")
        assert is_known or FILE.match(block.text) or block.text.startswith(VALUES), f"line {block.line}"


def test_every_link_leads_somewhere() -> None:
    anchors = re.findall(r"\(#([^)]+)\)", contents(TEXT))
    for target in links_of(TEXT):
        path, _, anchor = target.partition("#")
        if not target.startswith("https://"):
            assert anchor in anchors if not path else (REPOSITORY / "docs" / path).is_file(), target


def test_values_of_the_examples_are_what_the_schema_declares() -> None:
    assert SCHEMA.check_event(EVENT_TYPE, SAMPLE["event"]["data"]) == []
    assert SCHEMA.check_event(EVENT_TYPE, SAMPLE["previous"]["data"]) == []
    assert SCHEMA.check_user_attributes(SAMPLE["user"]["attributes"], new=True) == []
    assert SCHEMA.check_device_attributes(SAMPLE["device"]["attributes"], new=True) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=by_line)
def test_files_of_an_example_have_the_findings_that_the_page_shows(example: Example) -> None:
    findings = check(example.workspace(), Path(), {})
    if example.findings is not None:
        assert as_text(findings) == example.findings.rstrip("\n")
    else:
        assert as_text(one for one in findings if one.code != "not-yet") == ""


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.payloads], ids=by_line)
def test_rule_of_an_example_sends_the_payload_that_the_page_shows(example: Example) -> None:
    workspace = load(example.workspace(), Path(), {}).workspace
    assert workspace is not None
    own = [Path(path).stem for path in example.files if path.startswith("rules/")]
    template = workspace.campaigns[own[0] if own else "goal-alert"].payload
    for locale, payload in example.payloads.items():
        rendered = template.render(locale or None, SCOPE)
        assert isinstance(rendered, bytes), rendered
        assert json.loads(rendered) == payload


def findings_and_value(text: str) -> tuple[list[Diagnostic], bool | None]:
    roots = WHEN_ROOTS | WHERE_ROOTS
    condition, findings = parse_condition(scalar(text), SCHEMA, names=roots, event_type=EVENT_TYPE)
    return findings, None if condition is None else condition.evaluate(SCOPE)


@pytest.mark.parametrize("row", CONDITIONS, ids=by_line)
def test_condition_gives_what_the_page_says(row: Row) -> None:
    text, gives = row.code("condition"), without_links(row.cells["gives"])
    refused = ERROR.fullmatch(gives)
    truths = {"true": True, "false": False, "unknown": None}
    findings, value = findings_and_value(text if refused or gives in truths else f"({text}) == {gives}")
    assert [(one.severity, one.code) for one in findings] == ([(Severity.ERROR, refused[1])] if refused else [])
    if not refused:
        assert value is truths.get(gives, True)


def test_every_filter_and_function_of_conditions_is_on_the_page() -> None:
    names = [code for row in section("Filters and functions").rows("condition") for code in row.codes("")]
    shown = {re.split(r"\W", name)[0] for name in names}
    assert shown == {*FILTERS, *FUNCTIONS}


@pytest.mark.parametrize("row", TEMPLATES, ids=by_line)
def test_template_gives_what_the_page_says(row: Row) -> None:
    text, gives = row.code("template"), without_links(row.cells["gives"])
    root = MappingNode((*entries("aps: {alert: Hi}"), (scalar("key"), scalar(text))), scalar(text).span)
    names = Names(SCHEMA, EVENT_TYPE, MESSAGE_ROOTS)
    payload, findings = compile_payload(root, {}, NO_VALUES, names, "en")
    refused = ERROR.fullmatch(gives)
    assert [(one.severity, one.code) for one in findings] == ([(Severity.ERROR, refused[1])] if refused else [])
    match payload.render(None, SCOPE) if payload else None:
        case bytes() as rendered:
            content = json.loads(rendered)
            assert content.get("key") == (None if gives == "no key" else json.loads(row.code("gives")))
        case Aborted(reason):
            assert gives == f"suppressed: {reason}"
        case RenderFailure(_, message):
            assert gives == f"fails: {message}"


def entries(text: str) -> tuple[tuple[ScalarNode, Node], ...]:
    root = node_of(text)
    assert isinstance(root, MappingNode)
    return root.entries


@pytest.mark.parametrize("row", section("YAML").rows("YAML", "is"), ids=by_line)
def test_yaml_is_the_value_that_the_page_says(row: Row) -> None:
    read = [core_value(node_of(f"key: {written}")) for written in row.codes("YAML")]
    assert read == [{"key": json.loads(value)} for value in row.codes("is")]
