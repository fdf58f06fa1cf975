"""The codes of findings, stable across versions: what `ignore` can name. Each has a page in docs/checks/.

A new code needs a line here and an example in docs/checks/examples/; `python -m scheduler.workspace.reference` makes
the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FAMILIES: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "Any file": {
        "not-utf-8": "A file that is not saved as UTF-8",
        "control-character": "A character that cannot be seen and belongs in no text",
        "too-large": "A file over 1 MB",
        "too-deep": "More levels inside of each other than can be read",
        "empty-file": "A file with nothing in it",
        "yaml-syntax": "Text that is no YAML",
        "duplicate-key": "A key that stands twice in the same place",
        "bad-key": "A key that is no plain word",
        "unquoted-template": "A template without quotes around it",
        "cut-at-comment": "A value that ends at a `#`",
        "tag": "A value that begins with `!`",
        "unused-anchor": "A word with `&` before it, which YAML takes out of the value",
        "recursive-alias": "A value that contains itself",
        "too-many-aliases": "More repetitions by `*` than can be read",
        "secret": "A secret in a file",
    },
    "Rules and settings": {
        "unknown-key": "A key that does not exist",
        "missing-key": "A key that must be there",
        "wrong-value": "A value that its key cannot have",
        "not-yet": "Part of the language, but not built yet",
        "unused-key": "A key that does nothing in this rule",
        "contradiction": "Keys that do not fit together",
        "no-audience": "A rule that does not say whom it is for",
        "constant-key": "A name without braces, which is taken as a text",
        "credentials": "A key or certificate that is not good for what is sent",
        "unknown-app": "An app that clarion.yaml does not have",
        "unknown-category": "A category that clarion.yaml does not have",
        "unknown-template": "A template that is not there",
        "unknown-event": "A type of event that schema.yaml does not have",
        "schema": "A mistake in schema.yaml",
        "unknown-check": "An `ignore` for something that cannot be ignored",
        "unused-ignore": "An `ignore` that silences nothing",
    },
    "Files and their names": {
        "wrong-name": "A file whose name does not fit",
        "unread-file": "A file that nobody reads",
        "unused-file": "A file that nobody uses",
    },
    "Conditions": {
        "empty-condition": "A condition with nothing in it",
        "condition-syntax": "A condition that cannot be read",
        "braces-in-condition": "Braces in a condition",
        "not-in-language": "Something that conditions do not have",
        "missing-hazard": "A negation that leaves people out by accident",
        "compare-with-none": "A comparison with nothing",
        "wrong-date": "A text that should be a date or a time",
        "number-too-large": "A number beyond 64 bits",
        "condition-too-long": "A condition over 2,000 characters",
        "condition-too-deep": "A condition with over 50 levels",
    },
    "Conditions and templates": {
        "unknown-name": "A name that is not known",
        "different-types": "Values of different types, compared or combined",
        "enum-value": "A word that is not among the possible ones",
        "wrong-arguments": "A function, filter or macro with the wrong values",
    },
    "Templates": {
        "template-syntax": "A template that cannot be read",
        "may-be-missing": "A value that may be missing when it is needed",
        "wrong-type": "A value of the wrong type",
        "render-error": "A template that fails with sample values",
        "shadowed-name": "A new name that has a meaning already",
        "bad-name": "A name that templates cannot read",
        "unknown-macro": "A macro, or its file, that is not there",
        "macro-circle": "Macros or files that use each other in a circle",
        "no-default-text": "No text for the default language",
        "overlay-texts": "A translation that translates nothing",
        "no-scheme": "A link that no phone can open",
        "type-mismatch": "A payload that does not fit its push type",
        "payload-too-large": "A payload that Apple would refuse",
    },
})  # fmt: skip
"""By family, each code with its meaning in a few words."""
CODES: Mapping[str, str] = MappingProxyType(
    {code: meaning for codes in FAMILIES.values() for code, meaning in codes.items()}
)
"""Every code with its meaning in a few words."""
