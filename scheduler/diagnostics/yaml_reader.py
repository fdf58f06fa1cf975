"""Reading a YAML file that somebody else wrote: strictly, with positions, and without trusting it.

Refused with a position: what is not UTF-8, control characters, more than 1 MB, more than 50,000 values or 100 levels
of nesting, more than 1,000 aliases or aliases that stand for too much, tags, duplicate keys, keys that are no scalars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_builder import TreeBuilder, Unbounded
from scheduler.diagnostics.yaml_nodes import Node
from scheduler.diagnostics.yaml_structure import Failure
from scheduler.diagnostics.yaml_traps import explained

MAX_BYTES = 1_000_000

_UNDECODED = re.compile("[\ud800-\udfff]")
"""`surrogateescape` makes one of these of a byte that is not UTF-8; in no other way can they be in a file."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
"""What YAML 1.2.2, section 5.1 refuses, and what YAML 1.1 takes for the end of a line but no editor does."""
_NAMES = {"\0": "a NUL character", "\u2028": "a line separator (U+2028)", "\u2029": "a paragraph separator (U+2029)"}
_OTHER_ENCODINGS = (
    ("\udcff\udcfe\0\0|\0\0\udcfe\udcff", "utf-32"),
    ("\udcff\udcfe|\udcfe\udcff", "utf-16"),
    ("[^\0]\0[^\0]\0", "utf-16-le"),
    ("\0[^\0]\0[^\0]", "utf-16-be"),
)
"""How a file begins that is in another encoding: with its byte-order mark, or with letters of two bytes."""
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What was read: the tree (None when there is none) and everything that is wrong with it."""

    source: Source
    root: Node | None
    findings: tuple[Diagnostic, ...]


def readable(source: Source) -> tuple[Source, Diagnostic | None]:
    """A text that was decoded with `surrogateescape` as one that can be shown, and a finding if it was not UTF-8.

    A byte-order mark at its beginning is left out: it is no part of the text, and no column counts it.
    """
    if source.text.startswith(_BYTE_ORDER_MARK):
        source = Source(source.path, source.text.lstrip(_BYTE_ORDER_MARK))
    if "\0" not in source.text and not _UNDECODED.search(source.text):
        return source, None
    encoding = next((name for head, name in _OTHER_ENCODINGS if re.match(head, source.text)), None)
    if encoding is not None:
        content = source.text.encode("utf-8", "surrogateescape")
        shown = Source(source.path, content.decode(encoding, "replace").lstrip(_BYTE_ORDER_MARK))
        message = f"the file is {encoding[:6].upper()}, not UTF-8"
        return shown, error("not-utf-8", message, shown.span(0), "save the file as UTF-8")
    undecoded = _UNDECODED.search(source.text)
    if undecoded is None:
        return source, None
    shown = Source(source.path, _UNDECODED.sub("\ufffd", source.text))
    message = f"byte 0x{ord(undecoded[0]) & 0xFF:02x} is not UTF-8"
    return shown, error("not-utf-8", message, shown.span(undecoded.start()), "save the file as UTF-8")


def read_yaml(source: Source) -> YamlFile:
    """The one document of a file as nodes. Every problem that can be seen at once is reported at once."""
    source, undecoded = readable(source)
    refused = undecoded or _refusal(source)
    if refused is not None:
        return YamlFile(source, None, (refused,))
    loader = yaml.CSafeLoader(source.text)
    builder = TreeBuilder(source, loader)
    try:
        root = builder.document()
    except yaml.MarkedYAMLError as problem:
        found = explained(_failure(source, problem, builder.bracket), builder.findings)
        # The builder may have seen a part of what is now known whole: `{{ x }}` of `{{ x }}-{{ y }}`.
        before = (one for one in builder.findings if not found.span.start <= one.span.start <= found.span.end)
        return YamlFile(source, None, (*before, found))
    except Unbounded as problem:
        return YamlFile(source, None, (*builder.findings, problem.finding))
    finally:
        loader.dispose()
    return YamlFile(source, root, tuple(builder.findings))


def _refusal(source: Source) -> Diagnostic | None:
    if len(source.text.encode()) > MAX_BYTES:
        return error("too-large", "the file is over 1 MB", source.span(0), "split it into several files")
    control = _CONTROL.search(source.text)
    if control is not None:
        name = _NAMES.get(control[0], f"a control character (U+{ord(control[0]):04X})")
        return error("control-character", f"the file contains {name}", source.span(control.start()), "remove it")
    return None


def _failure(source: Source, problem: yaml.MarkedYAMLError, bracket: int | None) -> Failure:
    mark = problem.problem_mark or problem.context_mark
    offset = min(mark.index, len(source.text)) if mark else 0
    opened = min(problem.context_mark.index, len(source.text)) if problem.context_mark else None
    return Failure(source, problem.problem or "", problem.context or "", offset, opened, bracket)
