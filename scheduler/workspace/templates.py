"""The template files of a workspace: bases, their overlays by locale, and what is wrong with their names."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, Severity, did_you_mean, error, has_errors
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.locales import canonical_locale
from scheduler.rendering.macro_checks import check_macro_files
from scheduler.rendering.macros import NO_MACROS, MacroFile, MacroFiles, imports_of, read_macro_file
from scheduler.rendering.names import Names, check_macro_file

_OVERLAY_NAMES = "name overlays NAME.LOCALE.yaml, as in sale.de-AT.yaml; a template's own name has no dot"


@dataclass(slots=True)
class TemplateFile:
    """A base template with its overlays by canonical locale. `base` is None when its file, or one that it imports,
    cannot be read."""

    base: Node | None = None
    overlays: dict[str, Node] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    """All files that it is made of."""


@dataclass(frozen=True, slots=True)
class TemplateFiles:
    """The templates by name, and what is wrong with the files whoever uses them."""

    by_name: Mapping[str, TemplateFile]
    macros: MacroFiles
    findings: tuple[Diagnostic, ...]

    def named(self, name: str) -> TemplateFile | None:
        return self.by_name.get(name)

    def hint(self, name: str) -> str | None:
        """Help for a name that is not there."""
        return did_you_mean(name, self.by_name) or "make the file, or name another"


NO_TEMPLATES = TemplateFiles({}, NO_MACROS, ())


def read_templates(sources: Mapping[str, Source]) -> TemplateFiles:
    """Every template among `sources` (path → text)."""
    found: dict[str, TemplateFile] = {}
    findings: list[Diagnostic] = []
    bases: set[str] = set()
    for path in sorted(sources):
        pure = PurePosixPath(path)
        if pure.parent != PurePosixPath("templates"):
            continue
        if pure.suffix != ".yaml":
            continue
        name, dot, tag = pure.stem.partition(".")
        locale = canonical_locale(tag)
        if dot and locale is None:
            findings.append(error("wrong-name", f"'{tag}' in '{pure.name}' is no language tag", sources[path].span(0),
                                  _OVERLAY_NAMES))  # fmt: skip
            continue
        file = read_yaml(sources[path])
        findings.extend(file.findings)
        entry = found.setdefault(name, TemplateFile())
        entry.paths.append(path)
        root = file.root
        if not isinstance(root, MappingNode):
            if root is None and not file.findings:
                findings.append(error("empty-file", "the file is empty", file.source.span(0), "fill it, or remove it"))
            elif not has_errors(file.findings):
                findings.append(error("wrong-type", "a template is a mapping with the key `aps`", file.source.span(0)))
            root = None
        elif has_errors(file.findings):
            root = None
        if not dot:
            bases.add(name)
            entry.base = root
        elif locale in entry.overlays:
            findings.append(error("wrong-name", f"there are two overlays of '{name}' for {locale}",
                                  sources[path].span(0), "keep one of them"))  # fmt: skip
        elif root is not None and locale is not None:
            aps = root.get("aps")
            if isinstance(aps, ScalarNode) and aps.is_null:
                findings.append(error("wrong-type", "an overlay cannot remove `aps`", aps.span,
                                      "leave it out: then the base's holds"))  # fmt: skip
            else:
                entry.overlays[locale] = root
    for name, entry in found.items():
        if name not in bases:
            findings.append(error("wrong-name", f"an overlay without its base: there is no templates/{name}.yaml",
                                  sources[entry.paths[0]].span(0), f"make templates/{name}.yaml"))  # fmt: skip
    macros, broken = _read_macros(sources, findings)
    for entry in found.values():
        if any(name in sources[path].text for path in entry.paths for name in broken):
            entry.base = None  # what it imports has its own finding
    return TemplateFiles({name: entry for name, entry in found.items() if name in bases}, macros, tuple(findings))


def _read_macros(sources: Mapping[str, Source], findings: list[Diagnostic]) -> tuple[MacroFiles, frozenset[str]]:
    """The macro files that can be used, and the names of those that cannot: what imports one of them is not checked,
    since nothing more would be found than that."""
    files: dict[str, MacroFile] = {}
    unread: set[str] = set()
    for path in sorted(sources):
        pure = PurePosixPath(path)
        if pure.parent != PurePosixPath("templates") or pure.suffix != ".j2":
            continue
        file, problems = read_macro_file(pure.name, sources[path])
        findings.extend(problems)
        if file is None:
            unread.add(pure.name)
        else:
            files[pure.name] = file
    broken = _with_importers(unread, files)
    readable = {name: file for name, file in files.items() if name not in broken}
    every_name = Names(Schema.undeclared(), None, frozenset())
    found = [*check_macro_files(readable)]
    for file in readable.values():
        found.extend(check_macro_file(file, every_name))
    findings.extend(found)
    wrong = {PurePosixPath(one.span.source.path).name for one in found if one.severity is Severity.ERROR}
    broken = _with_importers(broken | wrong, files)
    return {name: file for name, file in files.items() if name not in broken}, broken


def _with_importers(broken: AbstractSet[str], files: MacroFiles) -> frozenset[str]:
    """These files, and those that import one of them."""
    reached = frozenset(broken)
    while True:
        importers = {name for name, file in files.items()
                     if any(one.file in reached for one in imports_of(file.parsed.parts))}  # fmt: skip
        if importers <= reached:
            return reached
        reached |= importers
