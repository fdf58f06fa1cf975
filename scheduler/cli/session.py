"""What most commands need: the workspace they stand in, its store, and the clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import Parameter

from scheduler.cli.clock import SystemClock
from scheduler.domain.errors import OperatorError

if TYPE_CHECKING:  # these take a third of a second to import, and --help needs none of them
    from scheduler.domain.rule_names import RuleNames
    from scheduler.store.database import Store
    from scheduler.workspace.campaign import Campaign
    from scheduler.workspace.checks.credentials import CredentialFiles
    from scheduler.workspace.loading import LoadResult, Workspace

SETTINGS_FILE = "clarion.yaml"


class Session:
    """One command's surroundings, made as they are asked for."""

    def __init__(self, folder: Path | None = None) -> None:
        self.clock = SystemClock()
        self._folder = folder

    @cached_property
    def root(self) -> Path:
        """The workspace: --workspace, else the nearest folder above with a clarion.yaml."""
        if self._folder is not None:
            if not (self._folder / SETTINGS_FILE).is_file():
                raise OperatorError(f"there is no {SETTINGS_FILE}", where=str(self._folder),
                                    hint="'clarion init DIR' makes a small workspace")  # fmt: skip
            return self._folder.resolve()
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / SETTINGS_FILE).is_file():
                return folder
        hint = "go to a workspace, give --workspace DIR, or make one: 'clarion init DIR'"
        raise OperatorError(f"no {SETTINGS_FILE} here or in a folder above", where=str(here), hint=hint)

    def load(self) -> LoadResult:
        """Read the workspace from disk, with everything that is wrong with it."""
        from scheduler.workspace.folder import read_folder
        from scheduler.workspace.loading import load

        return load(read_folder(self.root), self.root, os.environ)

    @cached_property
    def loaded(self) -> LoadResult:
        """What `load` found when it was first asked for."""
        return self.load()

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, if it has no errors."""
        return _without_errors(self.loaded)

    @property
    def credential_files(self) -> CredentialFiles:
        """How to look into the keys and certificates that are on this machine."""
        from scheduler.workspace.checks.credentials import CredentialFiles
        from scheduler.workspace.folder import content_if_there

        return CredentialFiles(content_if_there, self.clock.now())

    @cached_property
    def to_be_obeyed(self) -> Workspace:
        """The workspace, if it also asks for nothing that would change a decision and is not built yet. Commands that
        start rules take this: a delay that nobody keeps would be a notification at once."""
        from scheduler.workspace.folder import read_folder
        from scheduler.workspace.loading import load

        loaded = load(read_folder(self.root), self.root, os.environ, self.credential_files)
        workspace, unbuilt = _without_errors(loaded), loaded.not_built
        if unbuilt:
            raise OperatorError(f"{unbuilt[0].message}{_and_more(len(unbuilt) - 1)}", where=str(unbuilt[0].span),
                                hint="'clarion check' shows all of them; remove them to run")  # fmt: skip
        return workspace

    @cached_property
    def without_rules(self) -> Workspace:
        """Settings and types alone. Commands that no rule concerns take this: a broken rule must not keep an operator
        from the registry, the runs and the keys."""
        from scheduler.workspace.folder import SCHEMA_PATH, read_folder
        from scheduler.workspace.loading import load

        sources = read_folder(self.root)
        kept = {path: sources[path] for path in (SETTINGS_FILE, SCHEMA_PATH) if path in sources}
        return _without_errors(load(kept, self.root, os.environ))

    @cached_property
    def rule_names(self) -> RuleNames:
        """What the rules are and were called, by their files alone."""
        from scheduler.workspace.folder import read_folder
        from scheduler.workspace.rule_names import names_in

        return names_in(read_folder(self.root))

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The workspace's store, made if it is missing."""
        from scheduler.store.database import open_store

        store = open_store(self.without_rules.settings.store_url)
        try:
            yield store
        finally:
            store.close()

    def campaign(self, rule: str) -> Campaign:
        """A rule by its name."""
        found = self.workspace.campaigns.get(rule)
        if found is None:
            from scheduler.diagnostics.diagnostic import did_you_mean

            names = sorted(self.workspace.campaigns)
            known = f"the rules are {', '.join(names)}" if names else "a rule is a file in rules/"
            raise OperatorError(f"there is no rule '{rule}'", hint=did_you_mean(rule, names) or known)
        return found


InSession: TypeAlias = Annotated[Session, Parameter(parse=False)]
"""The type of a command's `session` parameter: made by the launcher, no option of the command."""


def _without_errors(loaded: LoadResult) -> Workspace:
    if loaded.workspace is None:
        from scheduler.diagnostics.diagnostic import Severity

        errors = [finding for finding in loaded.findings if finding.severity is Severity.ERROR]
        raise OperatorError(f"{errors[0].message}{_and_more(len(errors) - 1)}", where=str(errors[0].span),
                            hint="'clarion check' shows all of it")  # fmt: skip
    return loaded.workspace


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count else ""
