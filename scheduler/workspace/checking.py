"""`clarion check`: all that is wrong with a workspace, or with some of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.source import Source
from scheduler.domain.errors import OperatorError
from scheduler.workspace.checks.credentials import CredentialFiles
from scheduler.workspace.loading import findings_of
from scheduler.workspace.rule_loading import Share, one_by_one


def check(
    sources: Mapping[str, Source],
    root: Path,
    environ: Mapping[str, str],
    paths: Sequence[Path] | None = None,
    *,
    credentials: CredentialFiles | None = None,
    share: Share = one_by_one,
) -> list[Diagnostic]:
    """The findings of loading a workspace, in reading order. What passes here is what `run` loads.

    `paths` keeps the findings in these files and folders; a relative path is below `root`. OperatorError for a path
    that no file of the workspace is at or below. `credentials`: look into the files of keys and certificates that are
    there. `share` may let several processes look at the rules.
    """
    findings = findings_of(sources, root, environ, credentials, share)
    if not paths:
        return list(findings)
    wanted = {file for path in paths for file in _files_at(path, sources, root)}
    return [finding for finding in findings if finding.span.source.path in wanted]


def _files_at(path: Path, sources: Mapping[str, Source], root: Path) -> list[str]:
    full = (root / path).resolve()
    found = [file for file in sources if full == (root / file).resolve() or full in (root / file).resolve().parents]
    if not found:
        raise OperatorError("no file of the workspace is here", where=str(path), hint=f"the workspace is {root}")
    return found
