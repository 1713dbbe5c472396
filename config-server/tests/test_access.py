"""Promise C5: an application reads its own configuration, and nobody else's."""

import base64
from collections.abc import Iterator

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer, running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that knows order, order-service and payment-service."""
    repository = ConfigRepository(tmp_path_factory.mktemp("guarded") / "config.git")
    repository.commit(
        {
            "application.yml": "shared: 1\n",
            "order.yml": "a: order\n",
            "order-service.yml": "a: order-service\n",
            "order-service-prod.yml": "a: order-service in prod\n",
            "payment-service.yml": "secret: payment\n",
            "payment-service/cert.txt": "secret of payment-service\n",
            "order-service/cert.txt": "of order-service\n",
            "rules.txt": "for all\n",
        }
    )
    passwords = {"order": "pw-0", "order-service": "pw-1", "payment-service": "pässwörd:2"}
    with running(git_uri=str(repository.path), credentials=passwords, admin_credentials="pw-admin") as server:
        yield server


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("name", "password", "path"),
    [
        ("order-service", "pw-1", "/order-service/default"),
        ("order-service", "pw-1", "/order-service/prod"),
        ("order-service", "pw-1", "/order-service/prod/main"),
        ("order-service", "pw-1", "/application/default"),
        ("order-service", "pw-1", "/application,order-service/default"),
        ("payment-service", "pässwörd:2", "/payment-service/default"),
        ("order", "pw-0", "/order/default"),
    ],
)
def test_c5_an_application_reads_its_own_configuration_with_the_shared_one(
    name: str, password: str, path: str, guarded: RunningServer
) -> None:
    answer = guarded.ask(path, headers=_basic(name, password))

    assert answer.status == 200
    assert answer.values()["shared"] == 1


@pytest.mark.parametrize(
    "path",
    [
        "/payment-service/default",
        "/payment-service/default/main",
        "/order-service,payment-service/default",
        "/order/default",
        # Each would be a way to a file of payment-service.
        "/payment/service",
        "/order-service/payment-service",
        "/application,payment/service",
    ],
)
def test_c5_another_application_is_403(path: str, guarded: RunningServer) -> None:
    answer = guarded.ask(path, headers=_basic("order-service", "pw-1"))

    assert answer.status == 403
    assert b"secret" not in answer.body


@pytest.mark.parametrize("path", ["/order/service", "/order/service-prod", "/order/default,service"])
def test_c5_a_profile_does_not_complete_the_name_of_another_application(path: str, guarded: RunningServer) -> None:
    assert guarded.ask(path, headers=_basic("order", "pw-0")).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        _basic("order-service", "wrong"),
        _basic("order-service", ""),
        _basic("nobody", "pw-1"),
        _basic("", ""),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"order-service").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        _basic("admin", "pw-1"),
    ],
)
def test_without_a_right_credential_it_is_401(headers: dict[str, str], guarded: RunningServer) -> None:
    answer = guarded.ask("/order-service/default", headers=headers)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "Bearer" in answer.headers["www-authenticate"]
    assert "propertySources" not in answer.json()


@pytest.mark.parametrize(
    "path", ["/payment-service-default.yml", "/main/payment-service-default.properties", "/payment-service-prod.json"]
)
def test_c5_the_flat_formats_of_another_application_are_403(path: str, guarded: RunningServer) -> None:
    answer = guarded.ask(path, headers=_basic("order-service", "pw-1"))

    assert answer.status == 403
    assert b"secret" not in answer.body


@pytest.mark.parametrize("accept", ["*/*", "application/octet-stream"])
def test_c5_files_are_read_by_those_whose_name_they_bear_and_other_files_by_all(
    accept: str, guarded: RunningServer
) -> None:
    headers = {**_basic("order-service", "pw-1"), "Accept": accept}

    for path in ("payment-service.yml", "payment-service/cert.txt", "order.yml"):
        answer = guarded.ask(f"/order-service/default/main/{path}", headers=headers)
        assert answer.status == 403
        assert b"secret of" not in answer.body
        assert b"secret: " not in answer.body
    for path, content in (("order-service/cert.txt", b"of order-service\n"), ("rules.txt", b"for all\n")):
        answer = guarded.ask(f"/order-service/default/main/{path}", headers=headers)
        assert (answer.status, answer.body) == (200, content)


def test_a_bearer_token_is_the_same_credential(guarded: RunningServer) -> None:
    headers = {"Authorization": "Bearer pw-1"}

    assert guarded.ask("/order-service/prod", headers=headers).status == 200
    assert guarded.ask("/payment-service/default", headers=headers).status == 403


@pytest.mark.parametrize(
    "path", ["/order-service/prod", "/payment-service/default", "/order-service,payment-service/prod", "/order/service"]
)
@pytest.mark.parametrize("headers", [_basic("admin", "pw-admin"), {"Authorization": "Bearer pw-admin"}])
def test_the_admin_reads_everything(path: str, headers: dict[str, str], guarded: RunningServer) -> None:
    assert guarded.ask(path, headers=headers).status == 200


def test_health_and_metrics_need_no_credential_and_show_no_password(guarded: RunningServer) -> None:
    for path in ("/actuator/health", "/actuator/info", "/actuator/prometheus"):
        answer = guarded.ask(path)
        assert answer.status == 200
        assert b"pw-1" not in answer.body
