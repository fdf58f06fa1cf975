"""Which apps share their links."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.clock import VirtualClock
from scheduler.engine.pools import pools_of
from scheduler.workspace.settings import read_settings

SETTINGS = """\
apps:
  first: &app {environment: sandbox, auth: {key_file: key.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}, links: 3}
  second: *app
  behind: *app
"""


def test_apps_of_one_key_share_their_links_unless_they_go_through_another_proxy(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.p8").write_bytes(key)
    environ = {"CLARION_APPS_BEHIND_PROXY": "http://anna:geheim@proxy.example:3128"}
    settings, _ = read_settings(read_yaml(Source("clarion.yaml", SETTINGS)), tmp_path, environ)
    assert settings is not None
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    pools = pools_of(settings.apps, clock, lambda: 0.0, lambda tag, results: None)
    assert pools["first"] is pools["second"] is not pools["behind"]
    state = pools["behind"].state()
    assert (state.endpoint, state.links, state.connected) == ("api.sandbox.push.apple.com:443", 3, 0)
