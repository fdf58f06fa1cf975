"""What keeps a run from sending by itself, whomever it selects: what a preview counts would then be no promise."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from scheduler.domain.stops import Stop
from scheduler.runs.audience_max import exceeds_audience_max
from scheduler.runs.context import RunContext
from scheduler.runs.superseding import superseded_by
from scheduler.store import audience as audiences
from scheduler.store import stops as stop_rows
from scheduler.store.database import Transaction
from scheduler.workspace.loading import Workspace


@dataclass(frozen=True, slots=True)
class Obstacles:
    """All that keeps a run back, asked of the same functions that the run asks. `superseded_by`: the newer run of its
    key. `audience_max`: the limit, where more devices match; then it would be paused in place of starting."""

    is_disabled: bool = False
    stops: tuple[Stop, ...] = ()
    superseded_by: UUID | None = None
    audience_max: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Each in a word; none where nothing keeps the run back."""
        found = {
            "disabled": self.is_disabled,
            "stopped": bool(self.stops),
            "superseded": self.superseded_by is not None,
            "audience_max": self.audience_max is not None,
        }
        return tuple(word for word, is_so in found.items() if is_so)


NO_OBSTACLES = Obstacles()


def obstacles(tx: Transaction, workspace: Workspace, context: RunContext, *, had: bool) -> Obstacles:
    """What would keep this run back. One of an occasion that was had is not compared with the newer runs of its key:
    what is shown is a new one."""
    campaign, run = context.campaign, context.run
    is_too_large = exceeds_audience_max(tx, context, last=audiences.highest_device(tx))
    return Obstacles(
        is_disabled=not campaign.enabled,
        stops=stop_rows.read(tx).with_all_names(workspace.names).holding(run.rule, run.category),
        superseded_by=None if had else superseded_by(tx, run, campaign.names_had),
        audience_max=context.audience_max if is_too_large else None,
    )
