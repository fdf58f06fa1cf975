"""What `check` has in place of fused functions: plain texts worked out from their trees, without making code.

To make code of a template is dear, and pays where it runs for many devices; `check` renders it for a few samples.

The laws, held by tests: a text that is worked out here is the text that the fused function gives, and what is plain
becomes code. Where anything goes wrong, or a bound is near, the fused function is made after all and says how; a
payload with a text that is not plain is fused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from scheduler.rendering.builder import STEPS
from scheduler.rendering.fusing import Fused, Texts, fuse
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.macros import NO_MACROS, MacroFiles
from scheduler.rendering.paths import Path, dotted
from scheduler.rendering.plain import NotPlain, Plain, Print, Values, Work, read_plain, variable_of
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.rendering.sandbox import MAX_PIECES, MAX_TEXT, Steps, missing


@dataclass(frozen=True, slots=True)
class Unfused:
    """One variant, as `Fused` is one: over the values of `paths`; `names[i]` is the variable of `paths[i]`."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    absent: tuple[object, ...]
    _computed: Mapping[str, Work]
    _leaves: tuple[Print, ...]
    _code: _Code
    _number: int

    @property
    def macro_texts(self) -> Mapping[str, str]:
        """What uses macros is fused."""
        return {}

    def render(self, values: Values) -> list[str] | RenderFailure | Aborted:
        """The texts of the leaves. `values` has a value or `absent` for every name."""
        texts = self.worked_out(values)
        if texts is not None:
            return texts
        fused = self._code.fused[self._number]
        by_path = {path: values[name] for path, name in zip(self.paths, self.names, strict=True)}
        return fused.render({name: by_path[path] for path, name in zip(fused.paths, fused.names, strict=True)})

    def worked_out(self, values: Values) -> list[str] | None:
        """The texts of the leaves without code; None when only the code can say."""
        known = {**values, STEPS: Steps()}
        try:
            for name, work in self._computed.items():
                known[name] = work(known)
            texts = [leaf(known) for leaf in self._leaves]
        except Exception:  # whatever it is: the code raises it too, and knows where
            return None
        whole = "".join(texts)
        return None if "\0" in whole or len(whole) + len(texts) > MAX_TEXT else texts


class _Code:
    """The fused functions of a payload, made when somebody asks for them."""

    def __init__(self, variants: Sequence[Texts]) -> None:
        self._variants = variants

    @cached_property
    def fused(self) -> tuple[Fused, ...]:
        return fuse(self._variants)


def unfused(variants: Sequence[Texts], macros: MacroFiles = NO_MACROS) -> tuple[Fused | Unfused, ...]:
    """What `fuse` gives, of plain texts without code. Uncompilable as there."""
    try:
        return _Variants(variants).put_together()
    except NotPlain:
        return fuse(variants, macros)


Fuse: TypeAlias = Callable[[Sequence[Texts], MacroFiles], Sequence[Fused | Unfused]]
"""How texts become functions: `fuse` for what runs, `unfused` for what is looked at."""


class _Variants:
    def __init__(self, variants: Sequence[Texts]) -> None:
        self.variants = variants
        self.names: dict[Path, str] = {}
        self.known: dict[object, Plain] = {}
        self.pieces = 0

    def put_together(self) -> tuple[Unfused, ...]:
        code = _Code(self.variants)
        return tuple(self._variant(number, texts, code) for number, texts in enumerate(self.variants))

    def _variant(self, number: int, texts: Texts, code: _Code) -> Unfused:
        leaves = [self._plain(leaf, texts) for leaf in texts.leaves]
        asked = frozenset().union(*(parsed(leaf.text).names for leaf in texts.leaves))
        computed = {
            variable_of(name): self._plain(value, Texts(())) for name, value in texts.computed.items() if name in asked
        }
        read = frozenset().union(*(plain.paths for plain in (*leaves, *computed.values())))
        paths = tuple(path for path in self.names if path in read)
        return Unfused(
            paths=paths,
            names=tuple(self.names[path] for path in paths),
            absent=tuple(missing(dotted(path)) for path in paths),
            _computed={name: plain.value for name, plain in computed.items()},
            _leaves=tuple(plain.prints for plain in leaves),
            _code=code,
            _number=number,
        )

    def _plain(self, leaf: LeafText, texts: Texts) -> Plain:
        """A text as functions. Variants that give it the same values of `with` share them."""
        text = parsed(leaf.text)
        constants = {name: value for name, value in texts.constants.items() if name in text.names}
        computed = {name: value for name, value in texts.computed.items() if name in text.names}
        key = leaf, tuple((name, id(value)) for name, value in constants.items()), tuple(computed)
        plain = self.known.get(key)
        if plain is None:
            self.pieces += 1 + len(text.parts)
            if self.pieces > MAX_PIECES:
                raise NotPlain
            plain = self.known[key] = read_plain(leaf, self.names, constants, computed)
        return plain
