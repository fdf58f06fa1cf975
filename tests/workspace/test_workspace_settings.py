"""clarion.yaml: defaults, paths, variables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.lanes import Lane
from scheduler.domain.proxy import Proxy
from scheduler.domain.quantities import Rate
from scheduler.planning.experiments import Holdout
from scheduler.workspace.settings import Environment, Settings, read_settings
from scheduler.workspace.settings_table import Address

SMALLEST = (
    "apps: {shop: {environment: production, auth: {key_file: k/a.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}}\n"
)
ROOT = Path("/somewhere")


def settings(text: str, **environ: str) -> Settings:
    found, findings = read_settings(read_yaml(Source("clarion.yaml", text)), ROOT, environ)
    assert found is not None, as_text(findings)
    assert findings == []
    return found


def said(text: str, **environ: str) -> list[str]:
    _, findings = read_settings(read_yaml(Source("clarion.yaml", text)), ROOT, environ)
    return [f"{one.span}: {one.message}" for one in findings]


def test_absent_settings_have_their_defaults() -> None:
    found = settings(SMALLEST)
    app = found.apps["shop"]
    assert (app.bundle_id, app.environment, app.links, app.rate) == ("shop", Environment.PRODUCTION, 2, None)
    assert (app.host, app.port, app.ca_file) == ("api.push.apple.com", 443, None)
    assert (found.store_url, found.listen) == ("sqlite:////somewhere/clarion.db", None)
    assert (found.time_zone, found.locale, found.shutdown_grace) == ("UTC", "en", timedelta(seconds=30))
    assert found.only_app is app
    assert found.honours_opt_outs("any")


def test_relative_paths_are_below_the_workspace_and_absolute_ones_stay() -> None:
    app = settings(SMALLEST.replace("k/a.p8", "/keys/a.p8")).apps["shop"]
    assert app.auth.key_file == Path("/keys/a.p8")
    assert settings(SMALLEST).apps["shop"].auth.key_file == ROOT / "k/a.p8"
    assert settings(SMALLEST + 'store: {url: "sqlite:////data/x.db"}').store_url == "sqlite:////data/x.db"


def test_an_app_can_say_everything() -> None:
    text = SMALLEST.replace(
        "environment: production",
        "environment: sandbox, bundle_id: com.example.shop, endpoint: https://localhost:2197, ca_file: ca.pem,"
        " links: 4, rate: {max: 9000/s, burst: 500}, lanes: {bulk: {rate: 600/min}}",
    )
    app = settings(text).apps["shop"]
    assert (app.bundle_id, app.endpoint, app.ca_file) == (
        "com.example.shop",
        Address("localhost", 2197),
        ROOT / "ca.pem",
    )
    assert (app.links, app.rate, app.lane_rates) == (4, Rate(9000.0, 500), {Lane.BULK: Rate(10.0, 1)})


def test_declared_categories_say_whether_opt_outs_count() -> None:
    found = settings(SMALLEST + "categories: {service: {opt_out: false}, news: {}}\n")
    assert found.opt_outs == {"service": False, "news": True}
    assert not found.honours_opt_outs("service")


def test_variables_override_what_the_file_says_and_add_what_it_does_not() -> None:
    found = settings(
        SMALLEST,
        CLARION_STORE_URL="sqlite:///other.db",
        CLARION_API_LISTEN="[::1]:9000",
        CLARION_APPS_SHOP_AUTH_KEY_FILE="/run/secrets/key.p8",
        CLARION_APPS_SHOP_RATE="10/s",
        CLARION_APPS_NOBODY_RATE="nonsense",
        CLARION_HYPOTHESIS="long",
    )
    assert found.store_url == "sqlite:////somewhere/other.db"
    assert found.listen == Address("::1", 9000)
    assert found.apps["shop"].auth.key_file == Path("/run/secrets/key.p8")
    assert found.apps["shop"].rate == Rate(10.0, 1)


def test_wrong_variable_is_named_as_the_place() -> None:
    assert said(SMALLEST, CLARION_APPS_SHOP_LINKS="many") == [
        "$CLARION_APPS_SHOP_LINKS:1:1: `apps.shop.links` must be a number from 1 to 99, not 'many'"
    ]


@pytest.mark.parametrize("address", ["exämple.com:443", "a b:443", "a%20b:443", "a\u0001b:443", "example.com:0"])
def test_an_endpoint_that_no_header_can_name_is_refused(address: str) -> None:
    assert said(SMALLEST, CLARION_APPS_SHOP_ENDPOINT=f"https://{address}") == [
        "$CLARION_APPS_SHOP_ENDPOINT:1:1: `apps.shop.endpoint` must be an address such as https://127.0.0.1:2197, "
        f"not 'https://{address}'"
    ]


def test_what_is_no_mapping_is_said_once() -> None:
    assert said("apps: [shop]\n") == ["clarion.yaml:1:7: `apps` must be a mapping"]
    assert said("apps: {shop: {environment: production, auth: k/a.p8}}\n") == [
        "clarion.yaml:1:46: `apps.shop.auth` must be a mapping"
    ]


def test_wrong_name_of_an_app_is_shown_at_the_name() -> None:
    assert said(SMALLEST.replace("shop", "my shop")) == ["clarion.yaml:1:8: 'my shop' cannot be the name of an app"]


def test_a_proxy_is_read_from_the_file_or_its_variable() -> None:
    text = SMALLEST.replace("environment", "proxy: 'http://proxy.example:3128', environment")
    assert settings(text).apps["shop"].proxy == Proxy("proxy.example", 3128)
    with_login = settings(text, CLARION_APPS_SHOP_PROXY="http://anna:p%40ss@[::1]:8080").apps["shop"].proxy
    assert with_login == Proxy("::1", 8080, "anna", "p@ss")
    assert settings(SMALLEST).apps["shop"].proxy is None


def test_a_password_of_a_proxy_in_the_file_is_warned_of_and_never_shown() -> None:
    text = SMALLEST.replace("environment", "proxy: 'http://anna:geheim@proxy.example:3128', environment")
    found, findings = read_settings(read_yaml(Source("clarion.yaml", text)), ROOT, {})
    assert found is not None
    assert [(one.code, one.message, one.hint) for one in findings] == [
        ("secret", "the password of the proxy stands in the file", "set the whole address by CLARION_APPS_SHOP_PROXY")
    ]
    assert "geheim" not in repr(found.apps["shop"].proxy)


def test_a_wrong_proxy_says_what_is_wrong_and_hides_the_password_of_a_variable() -> None:
    _, findings = read_settings(
        read_yaml(Source("clarion.yaml", SMALLEST)), ROOT, {"CLARION_APPS_SHOP_PROXY": "http://anna:geheim@host"}
    )
    assert as_text(findings).startswith(
        "$CLARION_APPS_SHOP_PROXY:1:1: error[wrong-value] `apps.shop.proxy` has no port; write http://HOST:PORT"
    )
    assert "geheim" not in as_text(findings)


def test_the_holdout_holds_for_every_category_that_is_not_exempt() -> None:
    found = settings(
        SMALLEST + "limits: {holdout: {share: 2%, salt: company-2026}}\n"
        "categories: {service: {holdout: exempt}, news: {holdout: apply}, sports: {}}"
    )
    assert found.holdout_of("news") == found.holdout_of("sports") == Holdout(0.02, "company-2026")
    assert found.holdout_of("service") is None
    assert settings(SMALLEST).holdout_of("any") is None
