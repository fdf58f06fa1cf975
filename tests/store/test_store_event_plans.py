"""However many events are stored, what is asked of them goes by an index."""

from __future__ import annotations

from pathlib import Path

from support.worlds import NOW, event, new_store

from scheduler.store import events


def test_whether_events_are_known_is_searched_not_scanned(tmp_path: Path) -> None:
    store = new_store(tmp_path / "clarion.db")
    with store.write() as tx:
        events.add(tx, [event(f"e{number}") for number in range(2_000)], first_seq=1, arrived_at=NOW)
        asked = events.KNOWN.params(source="test", ids=["e1", "e2"])
        compiled = asked.compile(tx.engine, compile_kwargs={"literal_binds": True})
        plan = [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
        assert plan == ["SEARCH events USING COVERING INDEX events_by_identity (source=? AND id=?)"]
        assert events.known(tx, [event("e7"), event("new"), event("e7")]) == {("test", "e7")}
    store.close()
