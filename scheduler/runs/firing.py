"""Starting a manual rule by hand: an occasion with a key of the operator's, or today's date."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.domain.errors import OperatorError
from scheduler.domain.events import Event
from scheduler.domain.ids import run_id
from scheduler.domain.runs import Run
from scheduler.rendering.results import Missing
from scheduler.rendering.texts import TextTemplate
from scheduler.runs.births import prospective_run
from scheduler.runs.context import occasion_scope
from scheduler.runs.event_reading import problem_of_name
from scheduler.runs.occasions import Occasion
from scheduler.runs.superseding import supersede
from scheduler.store import rule_versions
from scheduler.store import runs as run_rows
from scheduler.store.database import Store
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.settings import Settings


def fired_occasion(
    campaign: Campaign, key: str | None, event: Event | None, settings: Settings, now: datetime
) -> Occasion:
    """The occasion of a firing. Its key: the operator's, else the event's id, else today's date in the default zone.

    OperatorError if the operator's key is empty or cannot be stored, if that of supersede or reentry cannot be
    rendered, or the rule has not started or has ended.
    """
    if not campaign.is_on(now):
        raise OperatorError(
            f"it is not the time between `starts` and `ends` of rule {campaign.name}",
            hint="change them in its file, or wait",
        )
    if key is None:
        key = event.id if event is not None else now.astimezone(ZoneInfo(settings.time_zone)).date().isoformat()
    elif problem := problem_of_name("key", key.strip() and key):
        raise OperatorError(
            problem.message,
            where="--key",
            hint="name the occasion, for example --key 2026-11; without --key it is the event's id, else today's date",
        )
    scope = occasion_scope(event, None, now, None if campaign.planned is None else now)
    _rendered(campaign, "limits.reentry.key", campaign.reentry_key, scope)
    return Occasion(key, _rendered(campaign, "delivery.supersede", campaign.supersede, scope))


def _rendered(campaign: Campaign, label: str, template: TextTemplate | None, scope: dict[str, object]) -> str | None:
    if template is None:
        return None
    match template.render(scope):
        case str(text):
            return text
        case Missing(variable):
            problem = f"{variable} is missing for {label}"
        case failure:
            problem = str(failure)
    raise OperatorError(problem, where=f"rule {campaign.name}", hint="give an event that has it: --event FILE")


def fire(store: Store, campaign: Campaign, occasion: Occasion, event: Event | None, now: datetime) -> Run | None:
    """Write the run of a firing, pending or superseded by a newer one; None if this occasion was had before."""
    run = prospective_run(campaign, occasion, event, None, now, namespace=store.namespace())
    with store.write() as tx:
        if run_rows.existing(tx, [run_id(store.namespace(), name, occasion.key) for name in campaign.names_had]):
            return None
        rule_versions.keep(tx, campaign.version, campaign.name, campaign.sources, now)
        born = replace(run, seq=run_rows.next_seq(tx))
        born = supersede(tx, [born], {campaign.name: campaign}, now).late.get(born.seq, born)
        run_rows.add(tx, [run_rows.NewRun(born, None, None)])
    return born
