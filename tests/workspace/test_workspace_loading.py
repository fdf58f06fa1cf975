"""Folders to workspaces, campaigns by type of event, versions that compile again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.domain.errors import OperatorError
from scheduler.domain.push_types import PushType
from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.texts import TextTemplate
from scheduler.rules.rule import Collapse
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.checking import check
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import LoadResult, Workspace, load, workspace_of
from scheduler.workspace.reference import APNS_PATH, REFERENCE_PATH, apns_page, json_schemas, reference
from scheduler.workspace.versions import SETTINGS_PATH, campaign_from_sources

REPOSITORY = Path(__file__).parents[2]
FILES = {
    "clarion.yaml": """\
apps: {shop: {environment: sandbox, auth: {key_file: k, key_id: ABC123DEFG, team_id: DEF123GHIJ}}}
""",
    "rules/sale.yaml": """\
category: news
trigger: {event: com.example.sale, once_per: "{{ event.id }}"}
audience: {topics: ["{{ event.data.topic }}"]}
message: {template: sale, with: {hello: {en: Hello, de: Hallo}}}
delivery: {collapse: "{{ device.id }}"}
""",
    "templates/sale.yaml": 'aps: {alert: {title: "{{ hello }} {{ event.data.name }}"}}\n',
    "templates/sale.de.yaml": "aps: {alert: {body: Ja}}\n",
    "templates/other.yaml": "aps: {alert: A}\n",
}

UNBUILT = "delivery: {canary: {share: 1%, wait: 5 minutes, max_rejects: 2%}}\n"


def loaded(files: dict[str, str], **environ: str) -> LoadResult:
    return load({path: Source(path, text) for path, text in files.items()}, Path("/w"), environ)


def workspace(files: dict[str, str]) -> Workspace:
    result = loaded(files)
    assert result.workspace is not None, as_text(result.findings)
    return result.workspace


def sale(files: dict[str, str]) -> Campaign:
    return workspace(files).campaigns["sale"]


def test_the_example_workspace_has_no_errors_and_no_warnings() -> None:
    findings = check(read_folder(REPOSITORY), REPOSITORY, {})
    assert [f"{one.severity} {one.code} {one.span}" for one in findings] == []


def test_the_examples_run_as_they_say() -> None:
    result = load(read_folder(REPOSITORY), REPOSITORY, {})
    assert result.workspace is not None
    goal, offer = result.workspace.campaigns["goal-alert"], result.workspace.campaigns["flash-sale"]
    assert (goal.uses_previous, goal.uses_user, offer.uses_previous, offer.uses_user) == (True, True, False, True)
    assert isinstance(goal.collapse, TextTemplate)
    assert goal.supersede is goal.collapse
    assert (offer.collapse, offer.supersede, offer.push_type) == (Collapse.DERIVED, None, PushType.ALERT)
    game = {"home": "FCB", "away": "BVB", "home_score": 2, "away_score": 1, "minute": 61, "scorer": "Kane"}
    scope = {"event": {"subject": "g1", "data": game}, "user": None, "device": {"attributes": {"unread": 4}}}
    assert (
        goal.payload.render("de-AT", scope)
        == (
            '{"aps":{"alert":{"title":"Tor! FCB 2–1 BVB","body":"Hey, Kane in Minute 61."},"sound":"default","badge":5,'
            '"thread-id":"g1"},"link":"app://games/g1"}'
        ).encode()
    )


def test_generated_files_are_fresh() -> None:
    for path, made in ((REFERENCE_PATH, reference), (APNS_PATH, apns_page)):
        page = (REPOSITORY / path).read_text("utf-8")
        assert page == made(page), "run: python -m scheduler.workspace.reference"
    for path, text in json_schemas().items():
        assert (REPOSITORY / path).read_text("utf-8") == text, "run: python -m scheduler.workspace.reference"


def test_campaigns_are_found_by_exact_type_and_by_prefix() -> None:
    rule = FILES["rules/sale.yaml"]
    names = workspace(
        {
            **FILES,
            "rules/a/all.yaml": rule.replace("com.example.sale", "com.example.*"),
            "rules/other.yaml": rule.replace("com.example.sale", "com.example.other"),
            "rules/off.yaml": rule + "enabled: false\n",
            "rules/by-hand.yaml": rule.replace('event: com.example.sale, once_per: "{{ event.id }}"', "manual: true"),
        }
    )
    assert set(names.campaigns) == {"sale", "all", "other", "off", "by-hand"}
    for event_type, found in {
        "com.example.sale": ["sale", "all"],
        "com.example.other": ["other", "all"],
        "com.example.new": ["all"],
        "org.example": [],
    }.items():
        campaigns = names.campaigns_for(event_type)
        assert [one.name for one in campaigns] == found
        assert all(one.listens_to(event_type) for one in campaigns)


WORDS = st.text("ab.", max_size=4)


@given(st.lists(st.tuples(WORDS, st.booleans()), max_size=12), WORDS)
def test_each_campaign_is_found_once_if_it_listens_and_not_else(listened: list[tuple[str, bool]], type_: str) -> None:
    (sale,) = workspace(FILES).campaigns.values()
    campaigns = {}
    for number, (words, is_prefix) in enumerate(listened):
        event = words + "*" if is_prefix else words + "x"
        campaigns[f"r{number}"] = replace(sale, name=f"r{number}", event=event)
    many = workspace_of(workspace(FILES).settings, workspace(FILES).schema, campaigns, {})
    for event_type in (type_, type_ + "x"):
        expected = sorted(name for name, one in campaigns.items() if one.listens_to(event_type))
        assert sorted(one.name for one in many.campaigns_for(event_type)) == expected


def test_a_set_with_an_error_is_not_loaded_and_a_warning_does_not_stop_it() -> None:
    broken = loaded({**FILES, "rules/broken.yaml": "category: news\n"})
    assert broken.workspace is None
    unbuilt = loaded({**FILES, "clarion.yaml": "workers: 2\n" + FILES["clarion.yaml"]})
    assert unbuilt.workspace is not None
    assert [one.message for one in unbuilt.not_built] == ["`workers` is not built yet"]


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("rules/sale.yaml", lambda text: text + "# x\n"),
        ("templates/sale.yaml", lambda text: text.replace("hello", "hello|upper")),
        ("templates/sale.de.yaml", lambda text: text.replace("Ja", "Nein")),
        ("schema.yaml", lambda _: "events: {open: true}\nusers: {open: true}\ndevices: {open: true}\n"),
        ("clarion.yaml", lambda text: text + "defaults: {locale: de}\n"),
    ],
)
def test_whatever_shapes_the_sends_makes_another_version(path: str, changed: object) -> None:
    assert callable(changed)
    files = {**FILES, path: changed(FILES.get(path, ""))}
    assert sale(files).version != sale(FILES).version


@pytest.mark.parametrize("path", ["templates/other.yaml", "rules/another.yaml", "clarion.yaml"])
def test_what_does_not_shape_the_sends_keeps_the_version(path: str) -> None:
    more = {"templates/other.yaml": "aps: {alert: B}\n", "rules/another.yaml": FILES["rules/sale.yaml"],
            "clarion.yaml": FILES["clarion.yaml"] + "api: {listen: 127.0.0.1:1}\n"}  # fmt: skip
    assert sale({**FILES, path: more[path]}).version == sale(FILES).version


def test_a_stored_version_compiles_again_to_the_same_bytes() -> None:
    first = sale({**FILES, "clarion.yaml": FILES["clarion.yaml"] + "defaults: {locale: de}\n"})
    again = campaign_from_sources("sale", first.sources)
    scope = {"event": {"data": {"name": "N"}}}
    for locale in (None, "de", "en"):
        assert again.payload.render(locale, scope) == first.payload.render(locale, scope)
    kept = (
        "version",
        "app",
        "category",
        "event",
        "lane",
        "priority",
        "max_age",
        "expires_after",
        "sources",
        "everyone",
    )
    assert [getattr(again, name) for name in kept] == [getattr(first, name) for name in kept]
    assert set(first.sources) == {"rules/sale.yaml", "templates/sale.yaml", "templates/sale.de.yaml", SETTINGS_PATH}


def test_macro_files_that_a_rule_uses_are_part_of_its_version() -> None:
    files = {
        **FILES,
        "templates/sale.yaml": """aps: {alert: "{% from 'a.j2' import f %}{{ f(1) }}"}\n""",
        "templates/a.j2": "{% import 'b.j2' as b %}{% macro f(x) %}{{ b.g(x) }}{% endmacro %}",
        "templates/b.j2": "{% macro g(x) %}<{{ x }}>{% endmacro %}",
        "templates/c.j2": "{% macro h() %}{% endmacro %}",
    }
    del files["templates/sale.de.yaml"]
    first = sale(files)
    assert first.payload.render(None, {}) == b'{"aps":{"alert":"<1>"}}'
    assert {path for path in first.sources if path.endswith(".j2")} == {"templates/a.j2", "templates/b.j2"}
    assert campaign_from_sources("sale", first.sources).payload.render(None, {}) == b'{"aps":{"alert":"<1>"}}'
    assert sale({**files, "templates/b.j2": files["templates/b.j2"] + " "}).version != first.version
    assert sale({**files, "templates/c.j2": files["templates/c.j2"] + " "}).version == first.version


def test_a_stored_version_that_no_longer_compiles_says_so() -> None:
    sources = {**sale(FILES).sources, "rules/sale.yaml": "category: news\n"}
    with pytest.raises(OperatorError, match="the stored version of rule 'sale' can no longer be compiled"):
        campaign_from_sources("sale", sources)


def test_personal_collapse_is_no_default_for_supersede() -> None:
    assert sale(FILES).supersede is None
    assert "not-yet" not in {one.code for one in loaded(FILES).findings}


def test_folder_is_read_with_its_rules_and_without_rule_tests(tmp_path: Path) -> None:
    for path, text in {**FILES, "rules/tests/sale.test.yaml": "x", "rules/deep/er.yaml": "y", "notes.md": "z"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    (tmp_path / "schema.yaml").write_bytes(b"\xef\xbb\xbfusers: {open: true}\n")
    sources = read_folder(tmp_path)
    assert set(sources) == {*FILES, "rules/deep/er.yaml", "schema.yaml"}
    assert sources["schema.yaml"].text.startswith("users")


def test_bytes_that_are_not_utf_8_are_an_error_at_their_place(tmp_path: Path) -> None:
    (tmp_path / "clarion.yaml").write_bytes(FILES["clarion.yaml"].encode() + b"# gr\xfcn\n")
    findings = check(read_folder(tmp_path), tmp_path, {})
    assert [(str(one.span), one.message) for one in findings] == [("clarion.yaml:2:5", "byte 0xfc is not UTF-8")]


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("rules/deep/sale.yaml", FILES["rules/sale.yaml"],
         "there are two rules called 'sale'; the other is rules/deep/sale.yaml"),
        ("templates/sale.german.yaml", "aps: {}", "'german' in 'sale.german.yaml' is no language tag"),
        ("templates/sale.DE.yaml", "aps: {alert: {title: A}}", "there are two overlays of 'sale' for de"),
        ("templates/lost.de.yaml", "aps: {alert: A}", "an overlay without its base: there is no templates/lost.yaml"),
        ("templates/list.yaml", "[]", "a template is a mapping with the key `aps`"),
        ("templates/tabs.yaml", "aps:\n\talert: A\n", "a tab cannot be used for indentation"),
    ],
)  # fmt: skip
def test_wrong_files_are_errors(path: str, text: str, said: str) -> None:
    findings = [one for one in loaded({**FILES, path: text}).findings if one.severity == "error"]
    assert [one.message for one in findings] == [said]


def test_an_overlay_without_texts_is_a_warning() -> None:
    result = loaded({**FILES, "templates/sale.de.yaml": "aps: {sound: default}\n"})
    assert [f"{one.severity} {one.span} {one.message}" for one in result.findings if one.code == "overlay-texts"] == [
        "warning templates/sale.de.yaml:1:1 the overlay for de replaces none of title, subtitle and body"
    ]


def test_check_of_plain_templates_makes_no_code_and_loading_makes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_code(*_: object, **__: object) -> NoReturn:
        raise AssertionError("code is made")

    monkeypatch.setattr(ENVIRONMENT, "compile", no_code)
    sources = {path: Source(path, text) for path, text in FILES.items()}
    assert {finding.code for finding in check(sources, Path("/w"), {})} == {"may-be-missing", "unused-file"}
    with pytest.raises(AssertionError, match="code is made"):
        load(sources, Path("/w"), {})


def test_paths_narrow_what_check_says() -> None:
    sources = {
        path: Source(path, text)
        for path, text in {**FILES, "rules/bad.yaml": "x: 1", "schema.yaml": "x: 1\nevents: {open: true}\n"}.items()
    }
    root = Path("/w")
    assert {one.span.source.path for one in check(sources, root, {}, [Path("rules")])} == {"rules/bad.yaml"}
    assert {one.span.source.path for one in check(sources, root, {}, [root / "schema.yaml"])} == {"schema.yaml"}
    with pytest.raises(OperatorError, match="no file of the workspace is here"):
        check(sources, root, {}, [Path("nowhere")])


def test_campaigns_are_values_that_nobody_changes() -> None:
    campaign = sale(FILES)
    with pytest.raises(AttributeError):
        campaign.name = "x"  # type: ignore[misc]
    assert replace(campaign, name="x").name == "x"


@pytest.mark.parametrize("path", ["schema.yaml", "templates/sale.yaml", "clarion.yaml", "rules/sale.yaml"])
def test_a_file_that_cannot_be_read_is_one_error_and_no_more(path: str) -> None:
    result = loaded({**FILES, path: "a: [\n"})
    assert result.workspace is None
    assert [(one.code, one.span.source.path) for one in result.findings if one.severity != "note"] == [
        ("yaml-syntax", path)
    ]
