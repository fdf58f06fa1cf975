"""Tables and progress bars, which Rich draws. Apart from output.py, because what needs neither starts faster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from scheduler.cli.output import local


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    texts: Sequence[str] = (),
) -> None:
    """A table as wide as its content. Where that is wider than the terminal, the columns `texts` are broken into
    lines first. Nothing is ever cut; where the output is no terminal, nothing is broken either."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", no_wrap=column not in texts, overflow="fold"
        )
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    _print(table)


def print_details(details: Mapping[str, object]) -> None:
    """One thing, a line for each of its properties. Lists are spread out, mappings are JSON, what is absent is -."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in details.items():
        table.add_row(name.replace("_", " "), _readable(value))
    _print(table)


def _print(table: Table) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        needed = Measurement.get(console, console.options.update(width=10_000), table).minimum
        if needed > console.width:  # the terminal breaks the lines: Rich would cut digits off
            console.width = needed
        console.print(table)
        return
    console = Console(highlight=False, markup=False, emoji=False, width=10_000)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def _readable(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return local(value) or "-"
        case list():
            return " ".join(str(item) for item in value) or "-"
        case dict():
            return msgspec.json.encode(value).decode() if value else "-"
        case _:
            return str(value)


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on stderr while the block runs: call what it gives with (done, total). No terminal, no bar."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done, new_total: progress.update(task, completed=done, total=new_total)
