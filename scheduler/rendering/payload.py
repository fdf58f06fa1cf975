"""A payload template with its overlays: checked with positions, compiled once per chain of locales.

The constant part of a payload is bytes; the leaves with Jinja are one fused function; each of its texts becomes JSON
of the type that its place wants and fills a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jinja2 import nodes

from scheduler.diagnostics.diagnostic import Diagnostic, error, has_errors
from scheduler.diagnostics.yaml_nodes import Node
from scheduler.domain.push_types import PushType
from scheduler.rendering.fusing import Fused, Texts, Uncompilable, fuse
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.macros import MacroFiles
from scheduler.rendering.names import Names, check_text, compile_finding
from scheduler.rendering.overlays import chain, fallbacks, overlay
from scheduler.rendering.paths import PERSONAL, Path, dotted, look_up
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.rendering.skeleton import ENCODE, Part, chunks
from scheduler.rendering.tree import Leaf, read_tree
from scheduler.rendering.unfused import Fuse, Unfused
from scheduler.rendering.with_values import Constant, WithValues

MAX_KNOWN_LOCALES = 10_000
_OMITTED_JSON = '""'


@dataclass(frozen=True, slots=True)
class Variant:
    """The payload of one chain of locales. `personal` are the paths that differ from device to device."""

    chain: tuple[str, ...]
    fused: Fused | Unfused | None
    fixed: tuple[tuple[str, Path, object], ...]
    personal: tuple[tuple[str, Path, object], ...]
    """(variable, path, what stands for missing)."""
    _leaves: tuple[_CompiledLeaf, ...]
    _tree: Part
    _chunks: tuple[bytes, ...]
    _omittable: bool

    def render(self, values: dict[str, object]) -> bytes | RenderFailure | Aborted:
        """The payload as JSON in UTF-8, for the values of the fused function's variables."""
        if self.fused is None:
            return self._chunks[0]
        parts = self.fused.render(values)
        if not isinstance(parts, list):
            return parts
        leaves, around = self._leaves, self._chunks
        if self._omittable:
            omitted = frozenset(n for n, (leaf, part) in enumerate(zip(leaves, parts, strict=True)) if leaf.omits(part))
            if omitted:
                around = chunks(self._tree, omitted)
                leaves = tuple(leaf for n, leaf in enumerate(leaves) if n not in omitted)
                parts = [part for n, part in enumerate(parts) if n not in omitted]
        pieces = [around[0]]
        for leaf, part, after in zip(leaves, parts, around[1:], strict=True):
            try:
                pieces.append(leaf.to_json(part))
            except UnicodeEncodeError:
                return RenderFailure(leaf.text.label, "the text contains half of a surrogate pair")
            except ValueError:
                return RenderFailure(leaf.text.label, f"must be {leaf.wanted}, not {_short(part)}")
            pieces.append(after)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _CompiledLeaf:
    text: LeafText
    wanted: str
    to_json: Callable[[str], bytes]
    omittable: bool

    def omits(self, part: str) -> bool:
        return self.omittable and (not part or (self.text.as_json and part == _OMITTED_JSON))


@dataclass(frozen=True, slots=True)
class PayloadTemplate:
    """All variants of one payload. `paths` are the variables that any of them reads."""

    paths: tuple[Path, ...]
    locales: tuple[str, ...]
    """Canonical tags that overlays or localised values know; the base is not among them."""
    _variants: Mapping[tuple[str, ...], Variant]
    _by_locale: dict[str | None, Variant] = field(default_factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """Dotted paths of the variables, as `event.data.home`."""
        return tuple(dotted(path) for path in self.paths)

    @property
    def macro_paths(self) -> frozenset[str]:
        """The macro files that are a part of it."""
        return frozenset(path for one in self._variants.values() if one.fused for path in one.fused.macro_texts)

    @property
    def is_personal(self) -> bool:
        """Whether devices of one locale may get different payloads."""
        return any(variant.personal for variant in self._variants.values())

    def variant(self, locale: str | None) -> Variant:
        """The variant that devices of a locale get; every string is a locale, most of them the base."""
        found = self._by_locale.get(locale)
        if found is None:
            found = self._variants[chain(locale, self.locales)]
            if len(self._by_locale) >= MAX_KNOWN_LOCALES:
                self._by_locale.clear()
            self._by_locale[locale] = found
        return found

    def render(self, locale: str | None, scope: Mapping[str, object]) -> bytes | RenderFailure | Aborted:
        """One payload for the names in `scope`: `{"event": …, "user": …, "device": …, "now": …}`."""
        variant = self.variant(locale)
        values: dict[str, object] = {}
        for name, path, absent in (*variant.fixed, *variant.personal):
            value = look_up(scope, path)
            values[name] = absent if value is None else value
        return variant.render(values)


def compile_payload(
    base: Node,
    overlays: Mapping[str, Node],
    with_values: WithValues,
    names: Names,
    default_locale: str,
    push_type: PushType = PushType.ALERT,
    fuse: Fuse = fuse,
) -> tuple[PayloadTemplate | None, list[Diagnostic]]:
    """The template of a rule, or what is wrong with it. `overlays` by canonical locale; `names` without `with`'s."""
    inside = replace(names, with_types=with_values.types)
    findings: list[Diagnostic] = []
    locales = tuple(sorted({*overlays, *with_values.locales}))
    chains = dict.fromkeys([(), *(chain(locale, locales) for locale in locales)])
    trees: dict[tuple[str, ...], tuple[Part, tuple[Leaf, ...]]] = {}
    checked: set[int] = set()
    for steps in chains:
        laid = tuple(step for step in steps if step in overlays)
        if laid in trees:
            continue
        merged = base
        for step in reversed(laid):
            merged = overlay(merged, overlays[step])
        tree, leaves, problems = read_tree(merged, push_type)
        findings.extend(problems)
        for leaf in leaves:
            if id(leaf.node) not in checked:  # variants share most of their leaves
                checked.add(id(leaf.node))
                findings.extend(check_text(leaf.node, inside, keeps_type=leaf.type is None))
        trees[laid] = tree, leaves
    findings = list(dict.fromkeys(findings))
    if has_errors(findings) or has_errors(with_values.findings):
        return None, findings
    base_chain = fallbacks(default_locale)
    compiled_leaves = {leaf: _leaf(leaf) for _, leaves in trees.values() for leaf in leaves}
    specs: dict[object, _Spec] = {}
    spec_of: dict[tuple[str, ...], object] = {}
    for steps in chains:
        laid = tuple(step for step in steps if step in overlays)
        chosen = with_values.chosen([*steps, *base_chain])
        key = spec_of[steps] = laid, tuple(id(value) for value in chosen.values())
        if key not in specs:
            tree, leaves = trees[laid]
            specs[key] = _Spec(steps, tree, tuple(compiled_leaves[leaf] for leaf in leaves), chosen)
    try:
        compiled = dict(zip(specs, _compile(list(specs.values()), names.macros, fuse), strict=True))
    except Uncompilable as problem:
        found = [compile_finding(leaf.node, names.macros) for _, leaves in trees.values() for leaf in leaves]
        causes = dict.fromkeys(one for one in found if one is not None)
        return None, [*findings, *(causes or [error("template-syntax", str(problem), base.span)])]
    variants = {steps: compiled[key] for steps, key in spec_of.items()}
    read = {path for one in compiled.values() for _, path, _ in (*one.fixed, *one.personal)}
    return PayloadTemplate(tuple(sorted(read, key=dotted)), locales, variants), findings


@dataclass(frozen=True, slots=True)
class _Spec:
    """What a variant is made of: its chain of locales, its tree with the leaves, and the values of `with`."""

    steps: tuple[str, ...]
    tree: Part
    leaves: tuple[_CompiledLeaf, ...]
    chosen: Mapping[str, Constant | LeafText]

    def texts(self) -> Texts:
        constants = {name: value.value for name, value in self.chosen.items() if isinstance(value, Constant)}
        computed = {name: value for name, value in self.chosen.items() if isinstance(value, LeafText)}
        return Texts(tuple(leaf.text for leaf in self.leaves), constants, computed)


def _compile(specs: Sequence[_Spec], macros: MacroFiles, fuse: Fuse) -> Iterator[Variant]:
    """The variants, all of one function."""
    functions = fuse([spec.texts() for spec in specs], macros)
    for spec, fused in zip(specs, functions, strict=True):
        variables = list(zip(fused.names, fused.paths, fused.absent, strict=True))
        yield Variant(
            chain=spec.steps,
            fused=fused if spec.leaves else None,
            fixed=tuple(variable for variable in variables if variable[1][0] not in PERSONAL),
            personal=tuple(variable for variable in variables if variable[1][0] in PERSONAL),
            _leaves=spec.leaves,
            _tree=spec.tree,
            _chunks=chunks(spec.tree),
            _omittable=any(leaf.omittable for leaf in spec.leaves),
        )


def _leaf(leaf: Leaf) -> _CompiledLeaf:
    text = parsed(leaf.node.text)
    keeps_type = leaf.type is None and text.expression is not None
    omittable = any(isinstance(part, nodes.Filter) and part.name == "omit" for part in text.parts)
    leaf_text = LeafText(leaf.path, leaf.node.text, as_json=keeps_type)
    if leaf.type is not None:
        return _CompiledLeaf(leaf_text, leaf.type.wanted, leaf.type.to_json, omittable)
    return _CompiledLeaf(leaf_text, "a value", str.encode if keeps_type else ENCODE, omittable)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
