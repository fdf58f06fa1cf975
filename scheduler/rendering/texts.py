"""Templates that are one text: `once_per`, `collapse`, `supersede`, the values of `users` and `topics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.rendering.fusing import Fused, Texts, fuse
from scheduler.rendering.leaf_texts import LeafText
from scheduler.rendering.macros import NO_MACROS, MacroFiles
from scheduler.rendering.paths import PERSONAL, dotted, look_up
from scheduler.rendering.results import Aborted, Missing, RenderFailure
from scheduler.rendering.unfused import Fuse, Unfused


def is_template(text: str) -> bool:
    """Whether a text has a template part at all; what has none is taken as it stands."""
    return "{{" in text or "{%" in text or "{#" in text


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A text with variables. `constant` is the whole text when there are none."""

    source_text: str
    constant: str | None
    label: str
    _fused: Fused | Unfused | None

    @property
    def variables(self) -> tuple[str, ...]:
        """Dotted paths that it reads."""
        return tuple(dotted(path) for path in self._fused.paths) if self._fused else ()

    @property
    def macro_paths(self) -> frozenset[str]:
        """The macro files that are a part of it."""
        return frozenset(self._fused.macro_texts) if self._fused else frozenset()

    @property
    def is_personal(self) -> bool:
        """Whether it may differ from device to device."""
        return self._fused is not None and any(path[0] in PERSONAL for path in self._fused.paths)

    def render(self, scope: Mapping[str, object]) -> str | Missing | RenderFailure:
        """The text for the names in `scope`: `{"event": …, "device": …}`, each a mapping."""
        if self._fused is None:
            assert self.constant is not None
            return self.constant
        fused = self._fused
        values: dict[str, object] = {}
        for path, name, absent in zip(fused.paths, fused.names, fused.absent, strict=True):
            value = look_up(scope, path)
            values[name] = absent if value is None else value
        match fused.render(values):
            case RenderFailure(variable=str(variable)):
                return Missing(variable)
            case Aborted(reason=reason):
                return RenderFailure(self.label, f"abort({reason!r}) belongs into a payload template")
            case RenderFailure() as failure:
                return failure
            case [text]:
                return text
            case texts:
                raise AssertionError(texts)


def compile_texts(
    texts: Mapping[str, str], macros: MacroFiles = NO_MACROS, fuse: Fuse = fuse
) -> dict[str, TextTemplate]:
    """Checked texts as templates, by their places in failures (`trigger.once_per`): all of them become one function.
    May raise Uncompilable."""
    labels = [label for label, text in texts.items() if is_template(text)]
    functions = fuse([Texts((LeafText(label, texts[label]),)) for label in labels], macros) if labels else ()
    compiled = dict(zip(labels, functions, strict=True))
    return {
        label: TextTemplate(text, None if label in compiled else text, label, compiled.get(label))
        for label, text in texts.items()
    }
