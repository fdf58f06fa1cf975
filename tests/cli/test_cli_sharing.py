"""Rules that several processes look at: the same is found, in the same order, whoever found it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.cli.sharing import shared_out
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.checking import check
from scheduler.workspace.rule_loading import LoadedRule, RuleLoader

SETTINGS = """\
apps: {shop: {environment: sandbox, auth: {key_file: k.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}}
"""
RULE = """\
category: news
trigger: {event: com.example.sale}
audience: {topics: ["t"]}
message: {template: TEMPLATE}
"""
WRONG = {
    "rules/r7.yaml": RULE.replace("category", "catgory"),
    "rules/r8.yaml": RULE.replace("TEMPLATE", "own") + "ignore: [{check: overlay-texts, because: fine}]\n",
    "rules/r9.yaml": RULE + "ignore: [{check: no-scheme, because: nothing is}]\n",
    "rules/r33.yaml": RULE.replace("news", "\udcfcber"),
    "rules/deep/r34.yaml": RULE,
}


def files(count: int) -> dict[str, Source]:
    """Rules that share a template with a note, and some with mistakes."""
    texts = {f"rules/r{n}.yaml": RULE for n in range(count)} | {
        "clarion.yaml": SETTINGS,
        "templates/sale.yaml": 'aps: {alert: "{{ event.data.name }}"}\nlink: home\n',
        "templates/own.yaml": "aps: {alert: A}\n",
        "templates/own.de.yaml": "aps: {sound: default}\n",
    } | WRONG  # fmt: skip
    return {path: Source(path, text.replace("TEMPLATE", "sale")) for path, text in texts.items()}


@pytest.mark.slow
@pytest.mark.parametrize("processors", [2, 3, 4])
def test_several_processes_find_what_one_finds(processors: int) -> None:
    sources = files(200)
    alone = check(sources, Path("/w"), {})
    shared = check(sources, Path("/w"), {}, share=shared_out(processors))
    assert as_text(shared) == as_text(alone)
    assert {"unknown-key", "wrong-name", "not-utf-8", "may-be-missing"} <= {one.code for one in alone}
    assert "overlay-texts" not in {one.code for one in alone}


def test_few_rules_are_not_shared() -> None:
    loaded: list[str] = []

    class Loader(RuleLoader):
        def load(self, path: str) -> LoadedRule:
            loaded.append(path)
            return LoadedRule(path, ())

    loader = Loader.__new__(Loader)
    shared_out(8)(loader, ["a"] * 79)
    assert len(loaded) == 79


def test_failure_in_a_copy_is_one_of_the_whole(capfd: pytest.CaptureFixture[str]) -> None:
    class Loader(RuleLoader):
        def load(self, path: str) -> LoadedRule:
            if path == "bad":
                raise ValueError("what went wrong")
            return LoadedRule(path, ())

    loader = Loader.__new__(Loader)
    loader.sources = {}
    with pytest.raises(ChildProcessError, match="a process that checked rules has failed"):
        shared_out(2)(loader, ["good", "bad"] * 40)
    assert "ValueError: what went wrong" in capfd.readouterr().err
