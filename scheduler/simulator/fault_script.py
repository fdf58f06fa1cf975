"""A script of faults as YAML: read strictly, with the place of everything that is wrong; and printed again.

faults:
  - {request: 10, do: answer, reason: TooManyRequests}
  - {second: 2.5, connection: 1, do: goaway, reason: Shutdown}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

from h2.errors import ErrorCodes

from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error, has_errors
from scheduler.diagnostics.source import Source, Span
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, core_scalar
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.errors import OperatorError
from scheduler.simulator.faults import (
    Action,
    AnswerWith,
    ChangeSettings,
    ConnectionAction,
    CutBy,
    Fault,
    GoAway,
    Informational,
    RequestAction,
    Script,
    Stalled,
)
from scheduler.simulator.reasons import Reason

ACTIONS: Mapping[str, type[Action]] = {
    action.word: action for action in (*get_args(RequestAction), *get_args(ConnectionAction))
}
"""What can stand behind `do:`."""

_MOMENT = ("request", "times", "second", "connection")
_REASONS = frozenset(Reason)


class _Misfit(Exception):
    """A value that its key cannot have: what it must be."""


def load_script(path: Path) -> Script:
    """The script of a file. OperatorError names line and column of the first thing that is wrong."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as problem:
        raise OperatorError(
            f"the fault script cannot be read: {problem.strerror}",
            where=str(path),
            hint="give a YAML file with `faults:`; --chaos SEED makes one up",
        ) from problem
    script, findings = read_script(Source(str(path), text))
    if script is None:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        first = findings[0]
        raise OperatorError(f"{first.message}{more}", where=str(first.span), hint=first.hint)
    return script


def read_script(source: Source) -> tuple[Script | None, list[Diagnostic]]:
    """The script, or None; and all that is wrong with it."""
    file = read_yaml(source)
    findings = list(file.findings)
    if file.root is None:
        if not findings:
            findings.append(error("empty-file", "the file is empty", source.span(0), "write `faults:` and a list"))
        return None, findings
    faults = [_fault(node, findings) for node in _list_of_faults(file.root, findings)]
    if has_errors(findings):
        return None, findings
    return Script(tuple(fault for fault in faults if fault is not None)), findings


def _list_of_faults(root: Node, findings: list[Diagnostic]) -> tuple[Node, ...]:
    if not isinstance(root, MappingNode):
        findings.append(error("wrong-value", "the file must be a mapping", root.span, "write `faults:` and a list"))
        return ()
    for key, _ in root:
        if key.text != "faults":
            hint = did_you_mean(key.text, ["faults"]) or "the one key here is `faults`"
            findings.append(error("unknown-key", f"unknown key '{key.text}'", key.span, hint))
    faults = root.get("faults")
    if isinstance(faults, SequenceNode):
        return faults.items
    if faults is not None or not findings:
        span = root.span if faults is None else faults.span
        hint = "- {request: 3, do: refuse}"
        findings.append(error("wrong-value", "`faults` must be a list of faults", span, hint))
    return ()


def _fault(node: Node, findings: list[Diagnostic]) -> Fault | None:
    """A fault, or None if something is wrong with it."""
    before = len(findings)
    if not isinstance(node, MappingNode):
        findings.append(error("wrong-value", "a fault must be a mapping", node.span, "- {request: 3, do: refuse}"))
        return None
    kind = _kind(node, findings)
    if kind is None:
        return None
    own = {one.name: one.default is MISSING for one in fields(kind)}
    values: dict[str, object] = {}
    for key, value in node:
        if key.text == "do":
            continue
        if key.text not in own and key.text not in _MOMENT:
            known = [*_MOMENT, "do", *own]
            hint = did_you_mean(key.text, known) or f"`{kind.word}` takes {_listed([*_MOMENT, *own])}"
            findings.append(error("unknown-key", f"unknown key '{key.text}' of `do: {kind.word}`", key.span, hint))
            continue
        try:
            values[key.text] = _PARAMETERS[key.text](value)
        except _Misfit as misfit:
            findings.append(error("wrong-value", f"`{key.text}` {misfit}", value.span))
    for name, required in own.items():
        if required and node.get(name) is None:
            findings.append(error("missing-key", f"`{name}` of `do: {kind.word}` is missing", _head(node)))
    if len(findings) == before:
        findings.extend(_contradictions(node, kind, values))
    if len(findings) > before:
        return None
    parameters = {name: values.pop(name) for name in own if name in values}
    return Fault(action=kind(**parameters), **values)  # type: ignore[arg-type]  # each was read by the kind of its key


def _kind(node: MappingNode, findings: list[Diagnostic]) -> type[Action] | None:
    do = node.get("do")
    if isinstance(do, ScalarNode) and do.text in ACTIONS:
        return ACTIONS[do.text]
    if do is None:
        findings.append(error("missing-key", "`do` is missing", _head(node), f"it is one of {_listed(ACTIONS)}"))
    else:
        near = did_you_mean(do.text, ACTIONS) if isinstance(do, ScalarNode) else None
        what = f"there is no action '{do.text}'" if isinstance(do, ScalarNode) else "`do` must be one word"
        findings.append(error("wrong-value", what, do.span, near or f"it is one of {_listed(ACTIONS)}"))
    return None


def _contradictions(node: MappingNode, kind: type[Action], values: Mapping[str, object]) -> list[Diagnostic]:
    """What is wrong with a fault of which every value is good in itself."""
    found: list[Diagnostic] = []

    def wrong(what: str, hint: str, at: str | None = None) -> None:
        key = node.key(at) if at else None
        found.append(error("wrong-value", what, key.span if key else _head(node), hint))

    if ("request" in values) == ("second" in values):
        both = "request" in values
        wrong(
            "a fault has one moment, `request` or `second`" + (", not both" if both else ""),
            "write two faults" if both else "add `request: 1` or `second: 0`",
            "second" if both else None,
        )
    elif "second" in values and kind in get_args(RequestAction):
        wrong(f"`do: {kind.word}` happens to a request, not at a second", "write `request: 1`", "second")
    elif "second" in values and "times" in values:
        wrong("`times` counts requests, and this fault has a `second`", "leave it out", "times")
    if kind is AnswerWith and "status" not in values and values.get("reason") not in _REASONS:
        reason = values.get("reason")
        what = "`answer` needs `status` or `reason`" if reason is None else f"'{reason}' is no reason of Apple's"
        near = did_you_mean(str(reason), _REASONS) if reason else None
        wrong(what, near or "add `status: 503`: any status goes with any reason", "reason")
    status = values.get("status")
    if isinstance(status, int) and (status < 200) != (kind is Informational):
        wrong(
            f"{status} is no status of `do: {kind.word}`",
            "below 200 is `informational`, from 200 on `answer`",
            "status",
        )
    elif status == 101:
        wrong("101 does not exist in HTTP/2", "write 100, 102 or 103", "status")
    if kind is GoAway and "reason" in values and "debug" in values:
        wrong("`reason` and `debug` are both the debug data", "leave one out", "debug")
    if kind is ChangeSettings and not any(one.name in values for one in fields(ChangeSettings)):
        wrong("`settings` changes nothing", f"add one of {_listed(one.name for one in fields(ChangeSettings))}", "do")
    return found


def _head(node: MappingNode) -> Span:
    return node.entries[0][0].span if node.entries else node.span


def _listed(words: object) -> str:
    return ", ".join(f"`{word}`" for word in words)  # type: ignore[attr-defined]


def _scalar(node: Node, must: str) -> ScalarNode:
    if not isinstance(node, ScalarNode) or node.is_null:
        raise _Misfit(must)
    return node


def _whole(lowest: int, highest: int) -> Callable[[Node], object]:
    def read(node: Node) -> int:
        bounds = f"must be a whole number from {lowest} to {highest}"
        text = _scalar(node, bounds).text
        value = core_scalar(text)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise _Misfit(f"{bounds}, not '{text}'")
        return value

    return read


def _seconds(node: Node) -> float:
    must = "must be a number of seconds, from 0 to 86400"
    text = _scalar(node, must).text
    value = core_scalar(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400 or math.isnan(value):
        raise _Misfit(f"{must}, not '{text}'")
    return float(value)


def _text(node: Node) -> str:
    return _scalar(node, "must be a text").text


def _word_of(kind: type[Stalled] | type[CutBy]) -> Callable[[Node], object]:
    def read(node: Node) -> object:
        must = f"must be {' or '.join(f'`{word}`' for word in kind)}"
        text = _scalar(node, must).text
        if text not in list(kind):
            raise _Misfit(f"{must}, not '{text}'")
        return kind(text)

    return read


def _error_code(node: Node) -> int:
    must = "must be the name of an HTTP/2 error code, or its number"
    text = _scalar(node, must).text
    if text in ErrorCodes.__members__:
        return ErrorCodes[text]
    if not text.isdecimal() or int(text[:11]) > _LARGEST:
        raise _Misfit(f"{must}, not '{text}'; {did_you_mean(text, ErrorCodes.__members__) or 'CANCEL, or 8'}")
    return int(text)


def _connection(node: Node) -> object:
    if isinstance(node, ScalarNode) and node.text == "each":
        return "each"
    try:
        return _whole(1, _LARGEST)(node)
    except _Misfit as misfit:
        raise _Misfit(f"{misfit}".replace("must be", "must be `each` or", 1)) from None


_LARGEST = 2**32 - 1
_WINDOW = 2**31 - 1
_PARAMETERS: Mapping[str, Callable[[Node], object]] = {
    "request": _whole(1, _LARGEST),
    "times": _whole(1, _LARGEST),
    "second": _seconds,
    "connection": _connection,
    "seconds": _seconds,
    "status": _whole(100, 599),
    "reason": _text,
    "debug": _text,
    "timestamp": _whole(0, 2**53),
    "limit": _whole(0, _LARGEST),
    "unprocessed": _whole(0, _LARGEST),
    "error": _error_code,
    "what": _word_of(Stalled),
    "how": _word_of(CutBy),
    "header_table_size": _whole(0, 65536),
    "initial_window_size": _whole(0, _WINDOW),
    "max_frame_size": _whole(16384, 2**24 - 1),
    "max_header_list_size": _whole(0, _LARGEST),
}
"""What each key of a fault can be. A key means the same under every action."""


def script_text(script: Script) -> str:
    """The script as a file that reads back as the same script."""
    if not script.faults:
        return "faults: []\n"
    return "faults:\n" + "".join(f"  - {{{', '.join(_entries(fault))}}}\n" for fault in script.faults)


def _entries(fault: Fault) -> list[str]:
    moment = [f"{name}: {_shown(getattr(fault, name))}" for name in _MOMENT if getattr(fault, name) is not None]
    if fault.times == 1:
        moment = [entry for entry in moment if entry != "times: 1"]
    kept = ((one.name, getattr(fault.action, one.name), one.default) for one in fields(fault.action))
    written = [f"{name}: {_shown(value, name)}" for name, value, default in kept if value != default]
    return [*moment, f"do: {fault.action.word}", *written]


def _shown(value: object, name: str = "") -> str:
    if name == "error" and isinstance(value, int) and value in list(ErrorCodes):
        return ErrorCodes(value).name
    if name in ("reason", "debug"):
        return "'" + str(value).replace("'", "''") + "'" if not str(value).isalpha() else str(value)
    return repr(int(value) if value == int(value) else value) if isinstance(value, float) else str(value)
