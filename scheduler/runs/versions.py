"""Campaigns by rule version: a run sends what its version says, also after an edit and a restart."""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.domain.errors import Bug
from scheduler.store import rule_versions
from scheduler.store.database import Store
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.versions import campaign_from_sources


class Versions:
    """Compiled campaigns by version. What is not at hand is compiled again from the sources in the store."""

    def __init__(self, store: Store, campaigns: Iterable[Campaign] = ()) -> None:
        self._store = store
        self._by_version = {campaign.version: campaign for campaign in campaigns}

    def keep(self, campaigns: Iterable[Campaign]) -> None:
        """Have these at hand too: after a reload."""
        self._by_version.update((campaign.version, campaign) for campaign in campaigns)

    def campaign(self, rule: str, version: str) -> Campaign:
        """The campaign of a version that a run is pinned to."""
        found = self._by_version.get(version)
        if found is None:
            with self._store.read() as tx:
                sources = rule_versions.sources_of(tx, version)
            if sources is None:
                raise Bug(f"rule version {version} of {rule} is not in the store")
            found = self._by_version[version] = campaign_from_sources(rule, sources)
        return found
