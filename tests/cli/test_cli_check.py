"""`clarion check`: what a marketer breaks, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clarion_command import Clarion, replace

RULE = "rules/breaking-news.yaml"
TEMPLATE = "templates/breaking-news.yaml"

BROKEN = {
    "typo-in-a-key": (RULE, "category: news", "category: news\nownr: me", """\
rules/breaking-news.yaml:5:1: error[unknown-key] unknown key 'ownr'
    ownr: me
    ^^^^
  hint: did you mean 'owner'?
"""),
    "unquoted-template": (RULE, "  expires_after", "  collapse: {{ event.subject }}\n  expires_after", """\
rules/breaking-news.yaml:17:13: error[unquoted-template] braces without quotes are a YAML mapping, not a template
      collapse: {{ event.subject }}
                ^^^^^^^^^^^^^^^^^^^
  hint: write "{{ event.subject }}"
"""),
    "unknown-attribute": (RULE, "  app: shop", '  app: shop\n  where: user.attributes.plan == "free"', """\
rules/breaking-news.yaml:11:26: error[unknown-name] unknown name 'plan' in `user.attributes`
      where: user.attributes.plan == "free"
                             ^^^^
  hint: `user.attributes` has first_name; schema.yaml declares them
"""),
    "unknown-name-in-a-template": (TEMPLATE, "event.data.title", "event.data.titles", """\
templates/breaking-news.yaml:3:27: error[unknown-name] there is no 'titles' in 'event.data'
        title: "{{ event.data.titles }}"
                              ^^^^^^
  hint: did you mean 'title'?
"""),
    "missing-template": (RULE, "template: breaking-news", "template: braking-news", """\
rules/breaking-news.yaml:14:13: error[unknown-template] there is no templates/braking-news.yaml
      template: braking-news
                ^^^^^^^^^^^^
  hint: did you mean 'breaking-news'?
"""),
    "bad-duration": (RULE, "6 hours", "6 hrs", """\
rules/breaking-news.yaml:17:18: error[wrong-value] `delivery.expires_after`: '6 hrs' is not a duration; \
write a whole number and s, min, h, day or week: '15 minutes'
      expires_after: 6 hrs
                     ^^^^^
"""),
    "wrong-enum": (RULE, "  expires_after", "  lane: fast\n  expires_after", """\
rules/breaking-news.yaml:17:9: error[wrong-value] `delivery.lane` must be urgent, normal or bulk, not 'fast'
      lane: fast
            ^^^^
"""),
    "duplicate-key": (RULE, "category: news", "category: news\ncategory: news", """\
rules/breaking-news.yaml:5:1: error[duplicate-key] 'category' is here twice; the first is in line 4
    category: news
    ^^^^^^^^
  hint: keep one of them
"""),
    "tab": (RULE, "  app: shop", "\tapp: shop", """\
rules/breaking-news.yaml:10:1: error[yaml-syntax] a tab cannot be used for indentation
    \tapp: shop
    ^
  hint: indent with spaces
"""),
    "unknown-app": (RULE, "app: shop", "app: shopp", """\
rules/breaking-news.yaml:10:8: error[unknown-app] clarion.yaml has no app 'shopp'
      app: shopp
           ^^^^^
  hint: did you mean 'shop'?
"""),
    "unknown-category": (RULE, "category: news", "category: newz", """\
rules/breaking-news.yaml:4:11: error[unknown-category] clarion.yaml does not declare the category 'newz'
    category: newz
              ^^^^
  hint: did you mean 'news'?
"""),
    "cut-at-a-comment": (RULE, "  app: shop", '  app: shop\n  where: user.id == "vip #1"', """\
rules/breaking-news.yaml:11:10: error[cut-at-comment] the value is cut at `#`, which begins a comment in YAML
      where: user.id == "vip #1"
             ^^^^^^^^^^^^^^^
  hint: write it in a block: `>-`, and on the next line, indented: user.id == "vip #1"
"""),
    "no-list": (RULE, '["section:{{ event.data.section }}"]', '"section:{{ event.data.section }}"', """\
rules/breaking-news.yaml:11:11: error[wrong-value] `audience.topics` must be a list of texts
      topics: "section:{{ event.data.section }}"
              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: put it in brackets: ["section:{{ event.data.section }}"]
"""),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_is_shown_with_its_place_and_the_way_out(workspace: Path, clarion: Clarion, mistake: str) -> None:
    path, old, new, golden = BROKEN[mistake]
    replace(workspace / path, old, new)
    ran = clarion("check")
    assert ran.out == f"{golden}\n"
    assert ran.err == "1 rule: 1 error\n"
    assert ran.code == 1


def test_what_init_makes_is_without_any_finding(workspace: Path, clarion: Clarion) -> None:
    ran = clarion("check", "--strict")
    assert (ran.code, ran.out, ran.err) == (0, "", "1 rule: nothing to complain about\n")


def test_a_warning_is_a_failure_only_with_strict(workspace: Path, clarion: Clarion) -> None:
    replace(workspace / "clarion.yaml", "store:", "workers: 2\nstore:")
    ran = clarion("check")
    assert (ran.code, ran.err) == (0, "1 rule: 1 warning\n")
    assert "warning[not-yet] `workers` is not built yet" in ran.out
    assert clarion("check", "--strict").code == 1


def test_only_what_is_read_as_a_rule_counts_as_one(workspace: Path, clarion: Clarion) -> None:
    for name in ("sale.yml", "sale.j2", "notes.json"):
        (workspace / "rules" / name).write_text("{}\n")
    assert clarion("check").err == "1 rule: 3 errors\n"


def test_all_findings_of_all_files_come_at_once_and_can_be_narrowed(workspace: Path, clarion: Clarion) -> None:
    replace(workspace / RULE, "6 hours", "6 hrs")
    replace(workspace / "clarion.yaml", "environment: sandbox", "environment: sandbx")
    assert clarion("check").err == "1 rule: 2 errors\n"
    only = clarion("check", "rules")
    assert only.err == "1 rule: 1 error\n"
    assert "clarion.yaml" not in only.out


def test_a_path_outside_the_workspace_is_wrong_use(workspace: Path, clarion: Clarion) -> None:
    ran = clarion("check", "nope.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {workspace}/nope.yaml: no file of the workspace is here\n  hint: the workspace is {workspace}\n"
    )


def test_json_and_github_are_alone_on_stdout(workspace: Path, clarion: Clarion) -> None:
    fine = clarion("check", "--format", "json")
    assert (json.loads(fine.out), fine.err) == ([], "")
    assert clarion("check", "--format", "github").out == ""
    replace(workspace / RULE, "6 hours", "6 hrs")
    broken = clarion("check", "--format", "json")
    assert (broken.code, broken.err) == (1, "")
    (finding,) = json.loads(broken.out)
    assert finding["code"] == "wrong-value"
    annotated = clarion("check", "--format", "github")
    assert annotated.code == 1
    assert annotated.out.startswith("::error file=rules/breaking-news.yaml,line=17,col=18")
