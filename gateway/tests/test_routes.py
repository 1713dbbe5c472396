"""What the route table says of a request."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from chassis.settings import SettingsInvalid

from gateway.routes import Access, Match, Route, RouteTable
from gateway.settings import Settings

CONFIG_FILE = Path(__file__).parents[2] / "config-files" / "gateway.yml"


def table_of(*routes: dict[str, Any]) -> RouteTable:
    return RouteTable(
        [Route.model_validate({"id": str(number), **route}) for number, route in enumerate(routes)],
        admin_only_services=["config-server"],
        own_name="gateway",
    )


def find(table: RouteTable, path: str, method: str = "GET", registered: tuple[str, ...] = ()) -> Match | None:
    return table.match(method, path, registered.__contains__)


class TestMatch:
    def test_the_longest_prefix_wins(self) -> None:
        table = table_of(
            {"prefix": "/api", "uri": "lb://a"},
            {"prefix": "/api/v1/orders", "uri": "lb://b"},
            {"prefix": "/api/v1", "uri": "lb://c"},
        )

        found = {path: getattr(find(table, path), "target", None) for path in ("/api/v1/orders/7", "/api/v1", "/api/x")}

        assert {path: target.name for path, target in found.items() if target} == {
            "/api/v1/orders/7": "b",
            "/api/v1": "c",
            "/api/x": "a",
        }

    @pytest.mark.parametrize("path", ["/api/v1/ordersX", "/api/v1", "/", "/API/V1/ORDERS"])
    def test_a_prefix_takes_whole_segments_only(self, path: str) -> None:
        assert find(table_of({"prefix": "/api/v1/orders", "uri": "lb://a"}), path) is None

    def test_a_registered_service_is_found_by_its_name(self) -> None:
        match = find(table_of(), "/stock-service/api/x", registered=("stock-service",))

        assert match is not None
        assert (match.target.name, match.stripped, match.access) == (
            "stock-service",
            "/stock-service",
            Access.AUTHENTICATED,
        )

    def test_a_service_of_the_table_is_found_by_its_name_even_while_no_instance_is_registered(self) -> None:
        assert find(table_of({"prefix": "/x", "uri": "lb://a-service"}), "/a-service/y") is not None

    def test_nobody_is_found_by_a_name_that_is_not_registered(self) -> None:
        assert find(table_of(), "/stock-service/api/x") is None

    def test_the_gateway_is_not_found_by_its_own_name(self) -> None:
        assert find(table_of(), "/gateway/actuator/health", registered=("gateway",)) is None

    def test_a_route_that_takes_all_comes_after_the_names(self) -> None:
        table = table_of({"prefix": "/", "uri": "http://127.0.0.1:1"})

        by_name, by_root = find(table, "/a/x", registered=("a",)), find(table, "/b/x", registered=("a",))

        assert by_name is not None
        assert by_root is not None
        assert (by_name.target.name, by_root.target.name) == ("a", "127.0.0.1:1")


class TestAccess:
    TABLE = table_of(
        {
            "prefix": "/api/auth",
            "uri": "lb://auth-service",
            "rules": [
                {"methods": ["POST"], "path": "/api/auth/login", "access": "public"},
                {"methods": ["get"], "path": "/api/auth/keys/*", "access": "public"},
                {"path": "/api/auth/hooks/**", "access": "public"},
                {"path": "/api/auth/users", "access": "admin"},
            ],
        },
        {"prefix": "/pub", "uri": "lb://pub-service", "access": "public", "strip-prefix": True},
    )

    @pytest.mark.parametrize(
        ("method", "path", "access"),
        [
            ("POST", "/api/auth/login", Access.PUBLIC),
            ("GET", "/api/auth/login", Access.AUTHENTICATED),
            ("POST", "/api/auth/login/", Access.AUTHENTICATED),
            ("POST", "/api/auth/login/x", Access.AUTHENTICATED),
            ("GET", "/api/auth/keys/1", Access.PUBLIC),
            ("HEAD", "/api/auth/keys/1", Access.PUBLIC),
            ("POST", "/api/auth/keys/1", Access.AUTHENTICATED),
            ("GET", "/api/auth/keys/1/2", Access.AUTHENTICATED),
            ("GET", "/api/auth/keys/", Access.AUTHENTICATED),
            ("GET", "/api/auth/keys", Access.AUTHENTICATED),
            ("POST", "/api/auth/hooks", Access.PUBLIC),
            ("POST", "/api/auth/hooks/a/b", Access.PUBLIC),
            ("POST", "/api/auth/hooksX", Access.AUTHENTICATED),
            ("GET", "/api/auth/users", Access.ADMIN),
            ("GET", "/pub/x", Access.PUBLIC),
        ],
    )
    def test_rules_are_exceptions_to_a_routes_access(self, method: str, path: str, access: Access) -> None:
        match = find(self.TABLE, path, method)

        assert match is not None
        assert match.access is access

    @pytest.mark.parametrize(
        ("path", "access"),
        [
            ("/auth-service/api/auth/login", Access.PUBLIC),
            ("/AUTH-SERVICE/api/auth/login", Access.PUBLIC),
            ("/auth-service/api/auth/users", Access.ADMIN),
            ("/auth-service/api/auth/me", Access.AUTHENTICATED),
            ("/auth-service/other", Access.AUTHENTICATED),
            ("/auth-service", Access.AUTHENTICATED),
            ("/pub-service/x", Access.PUBLIC),
            ("/other-service/api/auth/login", Access.AUTHENTICATED),
            ("/config-server/order-service/default", Access.ADMIN),
        ],
    )
    def test_a_path_by_name_has_the_rules_of_the_routes_to_that_service_alone(self, path: str, access: Access) -> None:
        match = find(self.TABLE, path, "POST", registered=("other-service", "config-server"))

        assert match is not None
        assert match.access is access

    @pytest.mark.parametrize(
        "path", ["/pub/actuator/health", "/pub/actuator", "/pub-service/actuator/env", "/pub-service/ACTUATOR/env"]
    )
    def test_no_rule_makes_an_actuator_public(self, path: str) -> None:
        match = find(self.TABLE, path)

        assert match is not None
        assert match.access is Access.ADMIN


class TestSettings:
    @pytest.mark.parametrize(
        ("routes", "sentence"),
        [
            ([("a", "/x", "lb://s"), ("a", "/y", "lb://s")], "two routes have the id 'a'"),
            ([("a", "/x", "lb://s"), ("b", "/x/", "lb://s")], "'a' and 'b' share the prefix /x"),
            ([("a", "/x", "ftp://s")], "neither lb://service-id nor http://host:port"),
            ([("a", "/x", "https://s")], "neither lb://service-id nor http://host:port"),
            ([("a", "/x", "lb://")], "neither lb://service-id nor http://host:port"),
            ([("a", "/x", "http://h:80/path")], "nothing else can be part of it"),
            ([("a", "x", "lb://s")], "must be a plain path"),
            ([("a", "/x/../y", "lb://s")], "must be a plain path"),
            ([("a", "/x/*", "lb://s")], "must be a plain path"),
        ],
    )
    def test_a_table_that_can_not_be_meant_is_refused_with_a_sentence(
        self, routes: list[tuple[str, str, str]], sentence: str
    ) -> None:
        flat = {
            f"gateway.routes[{number}].{key}": value
            for number, route in enumerate(routes)
            for key, value in zip(("id", "prefix", "uri"), route, strict=True)
        }

        with pytest.raises(SettingsInvalid, match="can't start with these settings") as raised:
            Settings.of(flat)

        assert sentence in str(raised.value)

    @pytest.mark.parametrize(
        ("key", "value", "sentence"),
        [
            ("acess", "public", "Extra inputs are not permitted"),
            ("access", "everybody", "access is public, authenticated or admin"),
            ("rules[0].path", "x", "must begin with a slash"),
            ("rules[0].path", "/a/**/b", "** can only be its last segment"),
        ],
    )
    def test_a_slip_in_a_route_is_refused_with_a_sentence(self, key: str, value: str, sentence: str) -> None:
        route = {"id": "a", "prefix": "/a", "uri": "lb://a", "rules[0].access": "public", "rules[0].path": "/a"}

        with pytest.raises(SettingsInvalid) as raised:
            Settings.of({f"gateway.routes[0].{name}": text for name, text in (route | {key: value}).items()})

        assert sentence in str(raised.value)

    def test_the_fleets_own_table_opens_what_the_api_says_and_nothing_else(self) -> None:
        written = yaml.safe_load(CONFIG_FILE.read_text())["gateway"]
        routes = [Route.model_validate(route) for route in written["routes"]]
        table = RouteTable(routes)

        def is_public(method: str, path: str) -> bool:
            match = find(table, path, method)
            return match is not None and match.access is Access.PUBLIC

        public = [
            ("POST", "/api/v1/auth/register"),
            ("POST", "/api/v1/auth/login"),
            ("POST", "/api/v1/auth/refresh"),
            ("GET", "/api/v1/auth/.well-known/jwks.json"),
            ("GET", "/.well-known/openid-configuration"),
            ("GET", "/api/v1/inventory/products"),
            ("GET", "/api/v1/inventory/products/1"),
            ("POST", "/api/v1/payments/webhooks/sandbox"),
            ("POST", "/auth-service/api/v1/auth/login"),
        ]
        closed = [
            ("POST", "/api/v1/auth/logout"),
            ("GET", "/api/v1/auth/me"),
            ("GET", "/api/v1/auth/users"),
            ("GET", "/api/v1/orders"),
            ("POST", "/api/v1/orders"),
            ("POST", "/api/v1/inventory/products"),
            ("GET", "/api/v1/inventory/products/1/adjustments"),
            ("GET", "/api/v1/inventory/reservations/1"),
            ("GET", "/api/v1/payments"),
            ("GET", "/order-service/openapi.json"),
            ("GET", "/order-service/actuator/prometheus"),
        ]
        assert [call for call in public if not is_public(*call)] == []
        assert [call for call in closed if is_public(*call)] == []

    def test_the_fleets_own_file_has_no_key_that_nobody_reads(self) -> None:
        written = yaml.safe_load(CONFIG_FILE.read_text())["gateway"]

        assert {key.replace("-", "_") for key in written} <= set(Settings.model_fields)
