"""What runs with which environment."""

import json
from dataclasses import replace

import pytest

from fleet.plan import APACHE_KAFKA, BROKERS, EMBEDDED_BROKER, NAMES, Options, Plan, make_plan
from fleet.state import FleetProblem, Home, Secrets

_ANY_PORTS = Options(config_server_port=0, discovery_server_port=0, gateway_port=0)


@pytest.fixture
def plan(home: Home) -> Plan:
    return make_plan(home, _ANY_PORTS, Secrets(home.secrets_file))


def _environment(plan: Plan, name: str) -> dict[str, str]:
    part = plan.part(name)
    assert part is not None
    return dict(part.environment)


class TestParts:
    def test_all_of_the_fleet_runs_the_platform_first(self, plan: Plan) -> None:
        assert tuple(part.name for part in plan.parts) == NAMES

    def test_no_two_parts_have_the_same_port(self, plan: Plan) -> None:
        assert len({part.port for part in plan.parts}) == len(plan.parts)

    def test_a_part_alone_brings_along_what_it_needs(self, home: Home) -> None:
        options = replace(_ANY_PORTS, only=("payment-service",))

        plan = make_plan(home, options, Secrets(home.secrets_file))

        assert [part.name for part in plan.parts] == [
            "postgres",
            "kafka",
            "config-server",
            "discovery-server",
            "payment-service",
            "payment-sandbox",
        ]
        assert [*plan.databases] == ["payment-service"]

    def test_the_gateway_is_ended_first_and_postgresql_with_kafka_last(self, plan: Plan) -> None:
        waves = {part.name: part.wave for part in plan.parts}

        assert waves["gateway"] == max(waves.values())
        assert waves["postgres"] == waves["kafka"] == min(waves.values())
        assert waves["discovery-server"] < waves["config-server"] < waves["order-service"]

    def test_the_three_known_ports_are_as_asked_for(self, home: Home) -> None:
        free = make_plan(home, _ANY_PORTS, Secrets(home.secrets_file))
        one, two, three = (part.port for part in free.parts[-3:])
        asked = Options(config_server_port=one, discovery_server_port=two, gateway_port=three)

        plan = make_plan(home, asked, Secrets(home.secrets_file))

        assert plan.url_of("config-server") == f"http://127.0.0.1:{one}"
        assert plan.url_of("discovery-server") == f"http://127.0.0.1:{two}"
        assert plan.url_of("gateway") == f"http://127.0.0.1:{three}"


class TestBroker:
    def test_apache_kafka_takes_the_place_of_the_embedded_broker(self, home: Home, plan: Plan) -> None:
        other = make_plan(home, replace(_ANY_PORTS, broker=APACHE_KAFKA), Secrets(home.secrets_file))

        embedded, kafka = plan.part("kafka"), other.part("kafka")
        assert embedded is not None
        assert kafka is not None
        assert [part.name for part in other.parts] == [part.name for part in plan.parts]
        assert (embedded.entry, kafka.entry) == ("embedded_kafka.__main__", "")
        assert kafka.wave == embedded.wave
        assert _environment(other, "order-service")["KAFKA_BOOTSTRAP"] == kafka.url

    def test_the_one_that_ran_last_is_remembered(self, home: Home) -> None:
        assert home.last_broker() == ""

        for broker in (APACHE_KAFKA, EMBEDDED_BROKER):
            make_plan(home, replace(_ANY_PORTS, broker=broker), Secrets(home.secrets_file))
            assert home.last_broker() == broker


class TestEnvironment:
    def test_each_service_has_a_database_of_its_own_and_nobody_elses_secrets(self, plan: Plan) -> None:
        for name, password in plan.databases.items():
            own, others = _environment(plan, name), [plan.databases[other] for other in plan.databases if other != name]
            assert own["DATABASE_URL"].startswith(f"postgresql://{name}:{password}@127.0.0.1:")
            assert own["DATABASE_URL"].endswith(f"/{name}")
            assert not [secret for secret in others if secret in str(own)]
            assert len(own["SERVICE_PASSWORD"]) >= 32

    def test_the_platform_knows_the_password_of_every_service(self, plan: Plan) -> None:
        for platform, variable in (
            ("config-server", "CONFIG_SERVER_CREDENTIALS"),
            ("discovery-server", "DISCOVERY_SERVER_CREDENTIALS"),
        ):
            known = json.loads(_environment(plan, platform)[variable])
            for name in ("gateway", *plan.databases):
                assert known[name] == _environment(plan, name)["SERVICE_PASSWORD"]

    def test_every_server_finds_the_others(self, plan: Plan) -> None:
        order = _environment(plan, "order-service")

        assert order["CONFIG_SOURCE"] == plan.url_of("config-server")
        assert order["DISCOVERY_URL"] == plan.url_of("discovery-server")
        assert order["KAFKA_BOOTSTRAP"] == plan.url_of("kafka")
        assert order["HOST"] == "127.0.0.1"

    def test_payment_service_and_its_provider_share_a_secret_that_the_others_do_not_have(self, plan: Plan) -> None:
        payment, provider = _environment(plan, "payment-service"), _environment(plan, "payment-sandbox")

        assert payment["PAYMENT_PROVIDER_URL"] == f"http://127.0.0.1:{provider['PORT']}"
        assert payment["PAYMENT_WEBHOOK_SECRET"] == provider["PAYMENT_WEBHOOK_SECRET"]
        assert "SERVICE_PASSWORD" not in provider
        assert "PAYMENT_WEBHOOK_SECRET" not in _environment(plan, "order-service")

    def test_config_server_can_have_every_service_refresh(self, plan: Plan) -> None:
        secret = _environment(plan, "config-server")["REFRESH_SECRET"]

        assert len(secret) >= 32
        for name in ("discovery-server", "gateway", *plan.databases):
            assert _environment(plan, name)["REFRESH_SECRET"] == secret
        assert "REFRESH_SECRET" not in _environment(plan, "payment-sandbox")

    def test_nobody_but_the_server_itself_knows_the_secrets_of_its_admin_and_of_its_webhooks(self, plan: Plan) -> None:
        for name, variable in (
            ("config-server", "CONFIG_SERVER_ADMIN_CREDENTIALS"),
            ("config-server", "CONFIG_SERVER_WEBHOOK_SECRET"),
            ("discovery-server", "DISCOVERY_SERVER_ADMIN_CREDENTIALS"),
        ):
            secret = plan.setting_of(name, variable)
            assert len(secret) >= 32
            assert [part.name for part in plan.parts if secret in str(part.environment)] == [name]

    def test_only_auth_service_knows_the_admins_password(self, plan: Plan) -> None:
        assert _environment(plan, "auth-service")["AUTH_ADMIN_PASSWORD"] == plan.admin_password
        knowing = [part.name for part in plan.parts if plan.admin_password in str(part.environment)]
        assert knowing == ["auth-service"]

    def test_keys_of_tokens_come_from_auth_service_itself_where_it_runs(self, home: Home, plan: Plan) -> None:
        without = make_plan(home, replace(_ANY_PORTS, only=("order-service",)), Secrets(home.secrets_file))

        expected = f"{plan.url_of('auth-service')}/.well-known/jwks.json"
        assert _environment(plan, "order-service")["JWKS_URL"] == expected
        assert "JWKS_URL" not in _environment(without, "order-service")

    def test_what_the_fleet_was_started_with_goes_through_but_can_not_move_its_parts(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LOKI_URL", "http://loki.example:3100")
        monkeypatch.setenv("ORDER_DEADLINE_SECONDS", "3")
        monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere")

        plan = make_plan(home, _ANY_PORTS, Secrets(home.secrets_file))

        order = _environment(plan, "order-service")
        assert order["LOKI_URL"] == "http://loki.example:3100"
        assert order["ORDER_DEADLINE_SECONDS"] == "3"
        assert "elsewhere" not in order["DATABASE_URL"]

    def test_passwords_are_the_same_at_the_next_start(self, home: Home, plan: Plan) -> None:
        again = make_plan(home, _ANY_PORTS, Secrets(home.secrets_file))

        assert again.databases == plan.databases
        assert again.admin_password == plan.admin_password

    def test_no_secret_shows_in_what_may_be_logged(self, plan: Plan) -> None:
        assert plan.admin_password not in repr(plan)
        assert "SERVICE_PASSWORD" not in repr(plan)


class TestOptions:
    def test_an_unknown_part_is_refused_with_the_names_that_there_are(self) -> None:
        with pytest.raises(FleetProblem, match="There is no order-servce in this fleet; there are postgres, kafka, "):
            Options(only=("order-servce",)).check()

    @pytest.mark.parametrize("profile", ["../x", "", "a b", "dev/prod", ".dev"])
    def test_what_cannot_be_a_profile_is_refused_at_once(self, profile: str) -> None:
        with pytest.raises(FleetProblem, match="can't be a profile"):
            replace(_ANY_PORTS, profile=profile).check()

    @pytest.mark.parametrize("broker", BROKERS)
    def test_there_are_two_brokers(self, broker: str) -> None:
        assert Options(broker=broker).check().broker == broker

    def test_another_broker_is_refused_with_those_that_there_are(self) -> None:
        with pytest.raises(FleetProblem, match="There is no broker 'rabbit': BROKER can be embedded or kafka"):
            Options(broker="rabbit").check()

    def test_they_travel_to_the_supervisor_as_they_are(self) -> None:
        options = Options(only=("gateway",), profile="dev", broker=APACHE_KAFKA, gateway_port=1)

        assert Options.from_json(options.to_json()) == options
