"""The codes of findings, stable across versions: what `ignore` can name, each with a page in docs/checks/."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CODES: Mapping[str, str] = MappingProxyType(
    {
        # Any YAML file
        "not-utf-8": "The file is not UTF-8",
        "control-character": "A character that no text has",
        "too-large": "The file is over 1 MB",
        "too-deep": "More levels than can be read",
        "too-many-aliases": "Aliases stand for too much",
        "yaml-syntax": "YAML cannot read this",
        "tag": "A tag in YAML",
        "bad-key": "A key that is no word",
        "duplicate-key": "A key that is there twice",
        "recursive-alias": "An alias that contains itself",
        "unused-anchor": "A name that YAML takes out of a value",
        "unquoted-template": "A template without quotes",
        "cut-at-comment": "A value that is cut at `#`",
        "empty-file": "A file with nothing in it",
        # Fields of rules and settings
        "unknown-key": "A key that does not exist",
        "missing-key": "A key that must be there",
        "wrong-value": "A value that its field cannot have",
        "not-yet": "Part of the language, but not built yet",
        "unused-key": "A key that does nothing here",
        "contradiction": "Keys that make no sense together",
        "no-audience": "A rule that does not say whom it is for",
        "constant-key": "A name that is taken as a text",
        "wrong-name": "A file whose name does not fit",
        "unknown-app": "An app that the settings do not have",
        "unknown-category": "A category that the settings do not declare",
        "unknown-template": "A template that is not there",
        "unknown-event": "A type of event that is not declared",
        "schema": "A mistake in schema.yaml",
        # Conditions
        "empty-condition": "A condition with nothing in it",
        "condition-too-long": "A condition over 2,000 characters",
        "condition-too-deep": "A condition over 50 levels",
        "condition-syntax": "A condition that is no expression",
        "braces-in-condition": "Braces in a condition",
        "not-in-language": "Something that conditions do not have",
        "unknown-name": "A name that is not known",
        "wrong-arguments": "A function with the wrong values",
        "different-types": "Types that do not go together",
        "enum-value": "A value that an enum does not have",
        "wrong-date": "A text that is no date",
        "compare-with-none": "A comparison with nothing",
        "missing-hazard": "A negation that leaves people out by accident",
        "number-too-large": "A number beyond 64 bits",
        # Templates
        "template-syntax": "A template that Jinja cannot read",
        "may-be-missing": "A value that may be missing",
        "shadowed-name": "A name that has a meaning already",
        "bad-name": "A name that templates cannot read",
        "no-default-text": "No text for the default locale",
        "unknown-macro": "A macro or a file that is not there",
        "macro-circle": "Macros that call each other in a circle",
        "wrong-type": "A value of the wrong type",
        "render-error": "A template that fails with sample values",
        "payload-too-large": "A payload that Apple would refuse",
        "type-mismatch": "A payload that does not fit its push type",
        "overlay-texts": "An overlay that translates nothing",
        # The workspace as a whole
        "no-scheme": "A link that no phone opens",
        "secret": "A secret in a file",
        "unused-file": "A file that nobody uses",
        "unread-file": "A file that nobody reads",
        "unknown-check": "An `ignore` that names no check",
        "unused-ignore": "An `ignore` that silences nothing",
    }
)
"""By code, its meaning in a few words."""
