"""What an event costs does not grow with what is stored: nothing that grows is scanned when events are taken in."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event as hooks
from support.worlds import APP, GOAL, World, event, register_many, rule_text

from scheduler.domain.events import Event

GROWS = ("events", "runs", "ledger", "work", "devices", "users", "memberships", "rule_versions", "shards")


def test_taking_events_in_scans_nothing_that_grows(tmp_path: Path) -> None:
    rules = {
        "to-one": rule_text(audience={"app": APP, "users": ["{{ event.data.user }}"]}),
        "previous": rule_text(trigger={"event": GOAL, "when": "previous is defined"}, delivery={"collapse": "x"}),
    }
    world = World.make(tmp_path, rules)
    register_many(world.store, 3, user="ann")
    asked: list[tuple[str, object]] = []

    def listen(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    def batch(name: str) -> list[Event]:
        others = [Event(id=name, source=f"shop-{n}", type="com.example.order", subject=None, time=world.now, data={})
                  for n in range(3)]  # fmt: skip
        return [event(f"{name}-{n}", subject="g", user="ann") for n in range(3)] + others

    world.ingest(*batch("a"), room={APP: 100})
    with world.store.write() as tx:
        engine = tx.engine
    hooks.listen(engine, "before_cursor_execute", listen)
    taken = world.ingest(*batch("b"), *batch("a"), room={APP: 100})
    hooks.remove(engine, "before_cursor_execute", listen)
    assert taken.accepted == taken.duplicates == 6
    plans: list[str] = []
    with world.store.read() as tx:
        for statement, parameters in asked:
            one = parameters[0] if isinstance(parameters, list) else parameters
            if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
                plans += [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]
    assert [plan for plan in plans if plan.startswith(tuple(f"SCAN {table}" for table in GROWS))] == []
    assert any("events_by_identity (source=? AND id=?)" in plan for plan in plans)
    world.store.close()
