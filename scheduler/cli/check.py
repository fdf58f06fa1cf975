"""`clarion check`: everything that is wrong with a workspace."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from scheduler.cli.output import counted, remark
from scheduler.cli.session import InSession
from scheduler.cli.sharing import shared_out
from scheduler.diagnostics.diagnostic import Diagnostic, Severity
from scheduler.diagnostics.printers import as_github, as_json, as_text
from scheduler.workspace.checking import check as check_workspace
from scheduler.workspace.folder import is_rule, read_folder


class FindingsFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def check(
    *paths: Path,
    strict: bool = False,
    format: FindingsFormat = FindingsFormat.TEXT,
    session: InSession,
) -> int:
    """Find everything that is wrong with the rules, templates and settings: where it is, and the way out.

    Example: clarion check --strict

    Parameters
    ----------
    paths
        Only findings in these files and folders.
    strict
        Warnings count too.
    format
        How findings are printed; github makes annotations of a pull request.
    """
    here = [Path.cwd() / path for path in paths]
    sources = read_folder(session.root)
    with _uncollected():
        findings = check_workspace(
            sources,
            session.root,
            os.environ,
            here,
            credentials=session.credential_files,
            share=shared_out(os.cpu_count() or 1),
        )
    match format:
        case FindingsFormat.JSON:
            print(as_json(findings))
        case FindingsFormat.GITHUB:
            if findings:
                print(as_github(findings))
        case FindingsFormat.TEXT:
            if findings:
                print(as_text(findings) + "\n")
            remark(_summary(findings, rules=sum(map(is_rule, sources))))
    counting = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return 1 if any(finding.severity in counting for finding in findings) else 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nearly all that a check makes is kept until its end, which is near: to look for cycles is a fifth of its time.
    So is what was made before; frozen, it is not looked through at the end of the process either."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _summary(findings: list[Diagnostic], *, rules: int) -> str:
    found = [
        counted(count, severity)
        for severity in Severity
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    return f"{counted(rules, 'rule')}: {', '.join(found) or 'nothing to complain about'}"
