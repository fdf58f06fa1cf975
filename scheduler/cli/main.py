"""`clarion`: which command is meant, and how its end becomes an exit code.

0 is fine (warnings too, unless --strict), 1 is problems found, 2 is wrong use or broken input.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from scheduler.cli.session import Session
from scheduler.domain.errors import OperatorError

WRONG_USE = 2


def _wrong_use(error: CycloptsError) -> str:
    command = " ".join(("clarion", *(error.command_chain or ())))
    return f"error: {str(error).rstrip('. ')}\n  hint: '{command} --help' shows how it is used"


def _version() -> str:
    from importlib.metadata import version  # 70 ms that nobody else needs

    return f"clarion {version('clarion')}"


app = App(
    name="clarion",
    help="Push campaigns from YAML rules: checked, previewed, and sent to Apple's push service.\n\n"
    "Begin with: clarion init campaigns",
    version=_version,
    version_flags=["--version"],
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    error_formatter=_wrong_use,
)

_COMMANDS = {
    "init": ("init:init", "Make a small workspace that passes `check --strict`."),
    "check": ("check:check", "Find everything that is wrong with the rules: where, and the way out."),
    "preview": ("preview:preview_rule", "What a rule would do now: who, why not, and payloads. Sends nothing."),
    "devices import": ("devices:import_file", "Import devices from CSV or NDJSON."),
    "devices list": ("devices:list_devices", "List devices."),
    "devices show": ("devices:show", "One device with everything that is known of it."),
    "devices export": ("devices:export", "Write all devices to a file that can be imported again."),
    "devices erase": ("devices:erase", "Erase a user and all devices of the user."),
    "emit": ("emit:emit", "Bring events from a file."),
    "fire": ("emit:fire_rule", "Start a manual rule."),
    "run": ("run:run", "The daemon: takes events in and sends what they start."),
    "runs list": ("runs:list_runs", "The newest runs first."),
    "runs show": ("runs:show", "One run in numbers that add up."),
    "runs pause": ("runs:pause_run", "Send nothing new of a run until it is resumed."),
    "runs resume": ("runs:resume_run", "Go on with a paused run."),
    "runs cancel": ("runs:cancel_run", "End a run."),
    "runs rate": ("runs:rate_run", "Send a run faster or slower."),
    "stop": ("stopping:stop_sending", "The kill switch: send nothing more of a rule, a category, or at all."),
    "start": ("stopping:start_sending", "Undo `stop`: go on where it was stopped."),
    "simulator": ("simulator:simulator", "An APNs look-alike to try campaigns against."),
    "keys create": ("keys:create", "Make an API key; it is shown once."),
    "keys list": ("keys:list_keys", "List API keys."),
    "keys revoke": ("keys:revoke", "Revoke an API key."),
    "db upgrade": ("database:upgrade", "Bring the database to this Clarion's schema."),
    "demo": ("demo:demo", "All of it in a minute on embedded parts."),
}
"""Where each command lives, imported when it is called, and its line in `--help`."""

_GROUPS = {
    "devices": App(name="devices", help="Who can be notified: import, list, show, export, erase."),
    "runs": App(name="runs", help="What was sent, to whom, and what waits: list, show, pause, resume, cancel, rate."),
    "keys": App(name="keys", help="API keys of app backends: create, list, revoke."),
    "db": App(name="db", help="The database: upgrade."),
}

for _name, (_target, _help) in _COMMANDS.items():
    _group, _, _word = _name.rpartition(" ")
    (_GROUPS[_group] if _group else app).command(f"scheduler.cli.{_target}", name=_word, help=_help)
for _app in _GROUPS.values():
    app.command(_app)


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    workspace: Annotated[
        Path | None, Parameter(help="The folder with clarion.yaml. Without it: the nearest above.")
    ] = None,
) -> int:
    """Run a command. Global options may stand before or after it."""
    if not tokens or (len(tokens) == 1 and tokens[0] in _GROUPS):
        app.help_print(tokens, console=app.error_console)
        return WRONG_USE
    command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=True)
    session = {"session": Session(workspace)} if "session" in ignored else {}
    code = command(*bound.args, **bound.kwargs, **session)
    return code if isinstance(code, int) else 0


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(tokens: Sequence[str]) -> int:
    """Run the command that these words mean; its exit code. Every error is a message on stderr, unless it is a bug."""
    try:
        _describe(tokens)
        code: int | None = app.meta(tokens, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return WRONG_USE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (OperatorError, ExceptionGroup) as raised:
        problems = list(_operator_errors(raised))
        if not problems:
            raise
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        return WRONG_USE
    return code or 0


def _describe(tokens: Sequence[str]) -> None:
    """A command's own help is its docstring; the line in `_COMMANDS` is for the list of commands."""
    for one in app.meta.parse_commands(tokens)[1][2:]:
        if isinstance(one.default_command, FunctionType):
            one.help = one.default_command.__doc__


def _operator_errors(raised: Exception) -> Iterator[OperatorError]:
    """Those in a nursery's group too; none if anything else is in it, which then is a bug and shows its traceback."""
    if isinstance(raised, OperatorError):
        yield raised
    elif isinstance(raised, ExceptionGroup) and raised.split(OperatorError)[1] is None:
        for one in raised.exceptions:
            yield from _operator_errors(one)
