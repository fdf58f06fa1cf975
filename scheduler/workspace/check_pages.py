"""The pages of docs/checks/, one for each code: what it means, a wrong and a right file, and what `check` prints.

The examples are files that are laid over a small sound workspace. What a page quotes was said by `check` itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from scheduler.diagnostics.diagnostic import Diagnostic, Severity
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.checking import check
from scheduler.workspace.checks.ignoring import NEVER_IGNORED
from scheduler.workspace.codes import CODES, FAMILIES

_MADE = "<!-- made by: python -m scheduler.workspace.reference -->"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f]")
_LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".j2": "jinja"}
_INDEX = """\
# What `clarion check` says

Every finding has a code, in brackets behind its weight: `rules/goal-alert.yaml:4:3: error[unknown-key] …`. Each code
has a page with an example of the mistake, what `check` prints about it, and the same file without the mistake.
The examples belong to [this small workspace](workspace/).

- An **error** stops the whole workspace from being loaded. It must be mended.
- A **warning** is most likely a mistake. `clarion check --strict` fails with one.
- A **note** is worth knowing, and never counts.

Who has seen a warning or a note and accepts it says so in the rule:

```yaml
ignore:
  - check: overlay-texts
    because: the picture says it all
```

That holds for the rule's own file, and for the files of a template that no other rule uses. Errors cannot be ignored,
nor can what is not built yet, nor files that no rule uses."""


class Repeated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `…` stands for in the files of an example that would be too long to be shown."""

    text: str
    times: int


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files by path, with the mistake and without. `encoding` is what an editor saved the wrong ones in."""

    wrong: Mapping[str, str]
    right: Mapping[str, str]
    title: str = "Example"
    encoding: str = "utf-8"
    repeated: Repeated | None = None

    def laid_over(self, sound: Mapping[str, Source], files: Mapping[str, str]) -> dict[str, Source]:
        """A sound workspace with the wrong or the right files of this example, as they would be read from a disk."""
        laid = dict(sound)
        for path, text in files.items():
            whole = text.replace("…", self.repeated.text * self.repeated.times) if self.repeated else text
            encoding = self.encoding if files is self.wrong else "utf-8"
            laid[path] = Source(path, whole.encode(encoding).decode("utf-8", "surrogateescape"))
        return laid


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a check is there and what to do, in words, and its examples."""

    why: str
    examples: tuple[Example, ...]


def read_checks(texts: Iterable[str]) -> Mapping[str, Check]:
    """By code, what the files of docs/checks/examples/ say. ValueError when one is not what it should be."""
    checks: dict[str, Check] = {}
    for text in texts:
        checks |= msgspec.yaml.decode(text, type=dict[str, Check])
    return checks


def findings_of(workspace: Mapping[str, Source]) -> list[Diagnostic]:
    """What `check` finds, with no CLARION_* variables set."""
    return check(workspace, Path(), {})


def page(code: str, one: Check, sound: Mapping[str, Source]) -> str:
    """The page of a code. Its examples are checked, over a sound workspace, to see what `check` prints."""
    examples: list[str] = []
    severities: set[Severity] = set()
    for example in one.examples:
        findings = findings_of(example.laid_over(sound, example.wrong))
        severities |= {finding.severity for finding in findings if finding.code == code}
        examples += [f"## {example.title}", *_parts(example, findings)]
    weight = " or ".join(severity for severity in Severity if severity in severities)
    head = [_MADE, f"# {code}", f"{CODES[code]}: **{weight}**.", one.why.strip()]
    return "\n\n".join([*head, *examples, *_way_to_ignore(code, severities), "[All checks](README.md)"]) + "\n"


def index() -> str:
    """The list of all pages, by family."""
    parts = [_MADE, _INDEX]
    for family, codes in FAMILIES.items():
        rows = [f"| [{code}]({code}.md) | {meaning} |" for code, meaning in codes.items()]
        parts += [f"## {family}", "\n".join(["| code | meaning |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _parts(example: Example, findings: Iterable[Diagnostic]) -> Iterator[str]:
    yield "Wrong:"
    yield from map(_file, example.wrong.items())
    if example.repeated:
        yield f"`…` stands for {example.repeated.times:,} times `{example.repeated.text.strip()}`."
    if example.encoding != "utf-8":
        yield f"The file is saved as {example.encoding.capitalize()}."
    yield "`clarion check` says:"
    yield _fenced("text", as_text(findings))
    yield "Right:" if example.right else "Right: without this file."
    yield from map(_file, example.right.items())


def _way_to_ignore(code: str, severities: set[Severity]) -> Iterator[str]:
    if severities - {Severity.ERROR} and code not in NEVER_IGNORED:
        yield (
            f"A rule that is right all the same says so: `ignore: [{{check: {code}, because: …}}]`. See [All checks]"
            "(README.md) for what that holds for."
        )


def _file(entry: tuple[str, str]) -> str:
    path, text = entry
    return f"`{path}`\n{_fenced(_LANGUAGES.get(PurePosixPath(path).suffix, 'text'), text)}"


def _fenced(language: str, text: str) -> str:
    """A block of code. A control character is shown as a picture of it."""
    shown = _CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])), text).strip("\n")
    return f"```{language}\n{shown}\n```"
