"""What is wrong with imports before anything is rendered: files, macros, arguments, and what macros read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jinja2 import nodes

from scheduler.conditions.jinja_positions import offset_of
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.macros import Import, MacroFile, MacroFiles, calls_of, imports_of
from scheduler.rendering.paths import dotted, extent, reads

_ASKED_FOR = (nodes.Import, nodes.FromImport, nodes.Include, nodes.Macro)
_THIRD_FILE = "put what both need into a third file"


def check_imports(parts: Sequence[nodes.Node], node: ScalarNode, macros: MacroFiles) -> Iterator[Diagnostic]:
    """The findings about the imports of a text, about the calls of what it imports, and about what those read that
    they do not see."""
    if not any(isinstance(part, _ASKED_FOR) for part in parts):
        return
    yield from _not_constant(parts, node)
    called: dict[str, nodes.Macro] = {}
    modules: dict[str, MacroFile] = {}
    for one in imports_of(parts):
        file = macros.get(one.file)
        if file is None:
            hint = did_you_mean(one.file, macros) or "make the file, or name another"
            yield error("unknown-macro", f"there is no templates/{one.file}", _word(node, one), hint)
            continue
        yield from _unknown_names(one, file, node)
        called.update((here, file.macros[name]) for name, here in one.names if name in file.macros)
        if one.module is not None:
            modules[one.module] = file
        if not one.with_context:
            yield from _reads_too_much(one, file, one.wanted_of(parts))
    own = {part.name: part for part in parts if isinstance(part, nodes.Macro)}
    yield from _calls_itself(own, node)
    called.update(own)
    if called or modules:
        yield from _calls(parts, node, called, modules)


def check_macro_files(files: MacroFiles) -> Iterator[Diagnostic]:
    """What is wrong with macro files whoever imports them: circles of imports, and of macros that call each other."""
    told: set[str] = set()
    for file in files.values():
        yield from check_imports(file.parsed.parts, file.node, files)
        for one in imports_of(file.parsed.parts):
            circle = _reachable(one.file, files)
            if file.name in circle and file.name not in told:
                told |= {name for name in circle if file.name in _reachable(name, files)}
                message, hint = f"'{file.name}' imports '{one.file}', and that imports it", _THIRD_FILE
                if one.file == file.name:
                    message, hint = f"'{file.name}' imports itself", "remove this: macros of one file know each other"
                yield error("macro-circle", message, _word(file.node, one), hint)


def _not_constant(parts: Sequence[nodes.Node], node: ScalarNode) -> Iterator[Diagnostic]:
    for part in parts:
        if not isinstance(part, nodes.Import | nodes.FromImport | nodes.Include):
            continue
        name = part.template
        if not isinstance(name, nodes.Const) or not isinstance(name.value, str):
            place = node.span_of(*extent(node.text, name))
            yield error("unknown-macro", "a file is named by a text in quotes", place, 'write "money.j2"')


def _unknown_names(one: Import, file: MacroFile, node: ScalarNode) -> Iterator[Diagnostic]:
    for name, _ in one.names:
        if name not in file.macros and name not in _values(file):
            hint = did_you_mean(name, file.macros) or f"its macros are {', '.join(file.macros) or 'none'}"
            yield error("unknown-macro", f"{one.file} has no macro '{name}'", _word(node, one), hint)


def _reads_too_much(one: Import, file: MacroFile, wanted: list[str]) -> Iterator[Diagnostic]:
    """What the file reads beyond its own names: it does not see what the template sees."""
    own = file.parsed.own
    how = "include it with context" if one.is_include else f'import "{one.file}" with context'
    for part in _parts(one, file, wanted):
        for path, node in reads(part):
            if path[0] not in own:
                yield error("unknown-name", f"'{dotted(path)}' is not known here: a macro sees its arguments",
                            _place(file.node, node), f"pass it as an argument, or {how}")  # fmt: skip


def _parts(one: Import, file: MacroFile, wanted: list[str]) -> Iterator[nodes.Node]:
    """The parts of a file that an import runs: an included file is run whole."""
    if one.is_include:
        yield file.parsed.tree
        return
    yield from (part for part in file.body if isinstance(part, nodes.Assign | nodes.AssignBlock))
    asked = {name: file.macros[name] for name in wanted if name in file.macros}
    for macro in [*asked.values()]:
        asked.update((name, file.macros[name]) for name in _callees(macro, file.macros))
    yield from asked.values()


def _calls_itself(macros: Mapping[str, nodes.Macro], node: ScalarNode) -> Iterator[Diagnostic]:
    for macro in macros.values():
        if macro.name in _callees(macro, macros):
            start = offset_of(macro)
            message = f"the macro '{macro.name}' calls itself"
            yield error("macro-circle", message, node.span_of(start, start + len("macro")), "use a loop")


def _calls(
    parts: Sequence[nodes.Node], node: ScalarNode, called: Mapping[str, nodes.Macro], modules: Mapping[str, MacroFile]
) -> Iterator[Diagnostic]:
    for part in parts:
        match part:
            case nodes.Call(node=nodes.Name(name=name)) if name in called:
                yield from _arguments(part, called[name], node)
            case nodes.Call(node=nodes.Getattr(node=nodes.Name(name=module), attr=name)) if module in modules:
                if name in modules[module].macros:
                    yield from _arguments(part, modules[module].macros[name], node)
            case nodes.Getattr(node=nodes.Name(name=module), attr=name) if module in modules:
                file = modules[module]
                if name not in file.macros and name not in _values(file):
                    hint = did_you_mean(name, file.macros) or f"its macros are {', '.join(file.macros) or 'none'}"
                    yield error("unknown-macro", f"{file.name} has no macro '{name}'", _place(node, part), hint)


def _arguments(call: nodes.Call, macro: nodes.Macro, node: ScalarNode) -> Iterator[Diagnostic]:
    parameters = [argument.name for argument in macro.args]
    read = {name.name for part in macro.body for name in part.find_all(nodes.Name)}
    given = {keyword.key for keyword in call.kwargs}
    required = parameters[: len(parameters) - len(macro.defaults)]
    shape = f"{macro.name}({', '.join(name if name in required else f'{name}=…' for name in parameters)})"
    if len(call.args) > len(parameters) and "varargs" not in read:
        message = f"'{macro.name}' takes {_values_in_words(len(parameters))}, and this gives {len(call.args)}"
        yield error("wrong-arguments", message, _place(node, call), f"write `{shape}`")
    for keyword in call.kwargs:
        if keyword.key not in parameters and "kwargs" not in read and keyword.key != "caller":
            hint = did_you_mean(keyword.key, parameters) or f"write `{shape}`"
            yield error("wrong-arguments", f"'{macro.name}' has no '{keyword.key}'", _place(node, call), hint)
    if call.dyn_args is not None or call.dyn_kwargs is not None:
        return
    for name in required[len(call.args) :]:
        if name not in given:
            yield error("wrong-arguments", f"'{macro.name}' needs '{name}'", _place(node, call), f"write `{shape}`")


def _values(file: MacroFile) -> set[str]:
    """What a file gives by `set`."""
    targets = (part.target for part in file.body if isinstance(part, nodes.Assign | nodes.AssignBlock))
    return {target.name for target in targets if isinstance(target, nodes.Name)}


def _reachable(file: str, files: MacroFiles) -> set[str]:
    """The files that a file imports, itself among them, directly or not."""
    reached: set[str] = set()
    waiting = [file]
    while waiting:
        name = waiting.pop()
        if name not in reached and name in files:
            reached.add(name)
            waiting.extend(one.file for one in imports_of(files[name].parsed.parts))
    return reached


def _callees(macro: nodes.Macro, macros: Mapping[str, nodes.Macro]) -> set[str]:
    """Which of these macros a macro calls, directly or not."""
    called: set[str] = set()
    waiting = list(calls_of(macro))
    while waiting:
        name = waiting.pop()
        if name in macros and name not in called:
            called.add(name)
            waiting.extend(calls_of(macros[name]))
    return called


def _word(node: ScalarNode, one: Import) -> Span:
    """The name of the file in the import."""
    return _place(node, one.node.template)


def _place(node: ScalarNode, part: nodes.Node) -> Span:
    return node.span_of(*extent(node.text, part))


def _values_in_words(count: int) -> str:
    return "no value" if count == 0 else "1 value" if count == 1 else f"{count} values"
