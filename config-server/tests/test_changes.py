"""A change reaches the services that it concerns, by itself and after a webhook."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from chassis.testing.waiting import until
from prometheus_client import REGISTRY
from support.git_server import git_server
from support.neighbours import ADMIN, APPLICATION, HOOK_SECRET, SECRET, Neighbours, config_server, neighbourhood
from support.repositories import ConfigRepository

BEFORE = {"application.yml": "a: 1\n", "order-service.yml": "a: 1\n", "payment-service.yml": "a: 1\n"}


@pytest.fixture
def repository(repository: ConfigRepository) -> ConfigRepository:
    repository.commit(BEFORE)
    return repository


@pytest_asyncio.fixture(loop_scope="session")
async def neighbours() -> AsyncIterator[Neighbours]:
    async with neighbourhood() as neighbours:
        yield neighbours


def outcomes(outcome: str) -> float:
    return REGISTRY.get_sample_value("config_server_refresh_calls_total", {"outcome": outcome}) or 0.0


def push(**commits: list[str]) -> bytes:
    return json.dumps({"commits": [{"modified": paths} for paths in commits.values()]}).encode()


def github(body: bytes, delivery: str = "d-1", secret: str = HOOK_SECRET) -> dict[str, str]:
    return {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    }


class TestACommit:
    async def test_is_told_to_those_whose_file_has_changed_and_to_nobody_else(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order, second_order = await neighbours.start("order-service"), await neighbours.start("order-service")
        payment = await neighbours.start("payment-service")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service-prod.yml": "a: 2\n"})
            await until(lambda: order.calls and second_order.calls)
            repository.commit({"payment-service.yml": "a: 3\n"})
            await until(lambda: payment.calls)

        assert [len(one.calls) for one in (order, second_order, payment)] == [1, 1, 1]

    async def test_of_the_shared_file_is_told_to_all_but_the_config_server_itself(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        services = [await neighbours.start(name) for name in ("order-service", "payment-service", "gateway")]
        itself = await neighbours.start("config-server")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"application-prod.yml": "a: 2\n"})
            await until(lambda: all(service.calls for service in services))

        assert itself.calls == []

    async def test_that_removes_a_file_concerns_its_service(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order = await neighbours.start("order-service")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service.yml": None})
            await until(lambda: order.calls)

    async def test_of_a_history_that_was_rewritten_concerns_everybody(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order = await neighbours.start("order-service")

        async with config_server(repository.path, neighbours, tmp_path):
            pass
        [notes] = list_notes(tmp_path)
        notes.write_text(json.dumps({"told": "0" * 40}))
        async with config_server(repository.path, neighbours, tmp_path):
            await until(lambda: order.calls)

    async def test_that_came_while_the_server_was_away_is_told_when_it_is_back(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order, payment = await neighbours.start("order-service"), await neighbours.start("payment-service")
        async with config_server(repository.path, neighbours, tmp_path):
            pass

        repository.commit({"order-service.yml": "a: 2\n"})
        async with config_server(repository.path, neighbours, tmp_path):
            await until(lambda: order.calls)

        assert payment.calls == []

    async def test_tells_no_secret(self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path) -> None:
        order = await neighbours.start("order-service")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service.yml": "password: hunter2\n"})
            await until(lambda: order.calls)

        [request] = order.calls
        said = f"{request.headers} {request.url}"
        assert await request.body() == b""
        assert "authorization" not in request.headers
        assert not any(secret in said for secret in (SECRET, "hunter2", "pw-of-the-server", "pw-1"))


def list_notes(state: Path) -> list[Path]:
    return list(state.glob("config-server-told-*"))


class TestAnInstance:
    async def test_that_is_not_able_yet_is_told_again(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order = await neighbours.start("order-service", 503, 503, 200)
        applied = outcomes("applied")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service.yml": "a: 2\n"})
            await until(lambda: outcomes("applied") == applied + 1)

        assert len(order.calls) == 3

    async def test_that_refuses_is_left_alone(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        refusing = [await neighbours.start("order-service", status) for status in (401, 403, 404, 302)]
        refused = outcomes("refused")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service.yml": "a: 2\n"})
            await until(lambda: outcomes("refused") == refused + 4)

        assert [len(one.calls) for one in refusing] == [1, 1, 1, 1]

    async def test_that_hangs_holds_up_nobody(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        hanging = await neighbours.start("order-service", None)
        other = await neighbours.start("order-service")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service.yml": "a: 2\n"})
            await until(lambda: len(other.calls) == 1, timeout_seconds=2)
            repository.commit({"order-service.yml": "a: 3\n"})
            await until(lambda: len(other.calls) == 2, timeout_seconds=2)

        assert len(hanging.calls) == 1

    async def test_that_is_gone_from_the_registry_is_not_told_any_more(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order = await neighbours.start("order-service", 503)
        await neighbours.start("auth-service")  # who is there: that nobody is would be doubted
        gone = outcomes("gone")

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service.yml": "a: 2\n"})
            await until(lambda: order.calls)
            neighbours.registered.remove(order)
            await until(lambda: outcomes("gone") == gone + 1)

    async def test_that_registers_after_the_change_is_told_once(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        old = await neighbours.start("order-service")
        late = await neighbours.start("order-service", register=False)

        async with config_server(repository.path, neighbours, tmp_path):
            repository.commit({"order-service.yml": "a: 2\n"})
            await until(lambda: old.calls)
            neighbours.registered.append(late)
            await until(lambda: late.calls)
            repository.commit({"order-service.yml": "a: 3\n"})
            await until(lambda: len(old.calls) == len(late.calls) == 2)

    async def test_hears_of_a_change_that_comes_while_it_is_called_by_one_more_call_after_it(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order = await neighbours.start("order-service")

        async with config_server(repository.path, neighbours, tmp_path, watch_seconds=60) as client:
            for number in range(10):
                answer = await client.post("/monitor", json={"path": f"order-service-{number}.yml"}, auth=ADMIN)
                assert answer.status_code == 200
            await until(lambda: len(order.calls) > 1 and order.at_once == 0)

        assert order.most_at_once == 1
        assert len(order.calls) < 10


class TestWhereTheFilesLie:
    async def test_a_change_in_any_of_several_repositories_is_told(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order, payment = await neighbours.start("order-service"), await neighbours.start("payment-service")
        team = ConfigRepository(tmp_path / "team.git")
        team.commit(BEFORE)
        repositories = {"team": {"uri": str(team.path), "pattern": "payment-service"}}

        async with config_server(repository.path, neighbours, tmp_path, git_repositories=repositories):
            await until(lambda: len(list_notes(tmp_path)) == 2)
            team.commit({"payment-service.yml": "a: 2\n"})
            await until(lambda: payment.calls)
            assert order.calls == []
            repository.commit({"order-service.yml": "a: 2\n"})
            await until(lambda: order.calls)

        assert len(payment.calls) == 1

    async def test_a_change_in_a_plain_folder_is_told(self, neighbours: Neighbours, tmp_path: Path) -> None:
        order, payment = await neighbours.start("order-service"), await neighbours.start("payment-service")
        folder = tmp_path / "files"
        folder.mkdir()
        for name, content in BEFORE.items():
            (folder / name).write_text(content)

        async with config_server("", neighbours, tmp_path, folder=folder) as client:
            (folder / "order-service.yml").write_text("a: 2\n")
            await until(lambda: order.calls)
            served = await client.get("/order-service/default", auth=ADMIN)

        assert served.json()["propertySources"][0]["source"] == {"a": 2}
        assert payment.calls == []

    async def test_a_webhook_has_all_repositories_fetched(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        payment = await neighbours.start("payment-service")
        team = ConfigRepository(tmp_path / "team.git")
        team.commit(BEFORE)
        body = push(one=["README.md"])

        with git_server(team.path) as remote:
            repositories = {"team": {"uri": remote.uri, "pattern": "payment-service"}}
            fields = {"git_fetch_seconds": 3600, "git_stale_after_seconds": 7200, "git_repositories": repositories}
            async with config_server(repository.path, neighbours, tmp_path, **fields) as client:
                await until(lambda: len(list_notes(tmp_path)) == 2)
                team.commit({"payment-service.yml": "a: 2\n"})
                await client.post("/monitor", content=body, headers=github(body))
                await until(lambda: payment.calls)


class TestMonitor:
    async def test_a_signed_webhook_has_those_told_whom_it_names(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order, payment = await neighbours.start("order-service"), await neighbours.start("payment-service")
        body = push(one=["order-service-prod.yml"])

        async with config_server(repository.path, neighbours, tmp_path, watch_seconds=60) as client:
            answer = await client.post("/monitor", content=body, headers=github(body))
            await until(lambda: order.calls)

        assert answer.status_code == 200
        assert answer.json() == ["order-service-prod", "order-service", "order"]
        assert payment.calls == []

    async def test_what_was_committed_is_found_at_once_whatever_the_webhook_names(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        payment = await neighbours.start("payment-service")
        body = push(one=["README.md"])

        async with config_server(repository.path, neighbours, tmp_path, watch_seconds=60) as client:
            repository.commit({"payment-service.yml": "a: 2\n"})
            answer = await client.post("/monitor", content=body, headers=github(body))
            await until(lambda: payment.calls, timeout_seconds=2)

        assert answer.json() == ["README"]

    async def test_a_repository_on_another_machine_is_fetched_at_once(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        payment = await neighbours.start("payment-service")
        body = push(one=["payment-service.yml"])

        with git_server(repository.path) as remote:
            async with config_server(
                remote.uri, neighbours, tmp_path, git_fetch_seconds=3600, git_stale_after_seconds=7200
            ) as client:
                commit = repository.commit({"payment-service.yml": "a: 2\n"})
                await client.post("/monitor", content=body, headers=github(body))
                await until(lambda: payment.calls)
                served = await client.get("/payment-service/default", auth=ADMIN)

        assert served.json()["version"] == commit

    async def test_a_webhook_that_does_not_prove_itself_is_403_and_does_nothing(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        order = await neighbours.start("order-service")
        body = push(one=["order-service.yml"])

        async with config_server(repository.path, neighbours, tmp_path, watch_seconds=60) as client:
            forged = await client.post("/monitor", content=body, headers=github(body, secret="guessed"))
            # The credential of the admin does not make up for it.
            again = await client.post("/monitor", content=body, headers=github(body, secret="guessed"), auth=ADMIN)
            right = await client.post("/monitor", content=body, headers=github(body))
            await until(lambda: order.calls)

        assert (forged.status_code, again.status_code, right.status_code) == (403, 403, 200)
        assert "X-Hub-Signature-256" in forged.headers["x-config-reason"]
        assert len(order.calls) == 1

    async def test_a_delivery_that_was_taken_before_is_409(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        body = push(one=["order-service.yml"])

        async with config_server(repository.path, neighbours, tmp_path) as client:
            first = await client.post("/monitor", content=body, headers=github(body))
            second = await client.post("/monitor", content=body, headers=github(body, "d-2"))

        assert (first.status_code, second.status_code) == (200, 409)
        assert "taken before" in second.headers["x-config-reason"]

    async def test_without_a_secret_no_webhook_is_taken(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        body = push(one=["order-service.yml"])

        async with config_server(repository.path, neighbours, tmp_path, webhook_secret="") as client:
            answer = await client.post("/monitor", content=body, headers=github(body, secret=""))

        assert answer.status_code == 403
        assert "CONFIG_SERVER_WEBHOOK_SECRET" in answer.headers["x-config-reason"]

    async def test_what_is_no_hosts_webhook_needs_the_admin(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        guessed = httpx.BasicAuth("admin", "guessed")
        async with config_server(repository.path, neighbours, tmp_path) as client:
            answers = [
                await client.post("/monitor", json={"path": "foo.yml"}, auth=auth)
                for auth in (httpx.Auth(), guessed, APPLICATION, ADMIN)  # the first of them adds nothing
            ]

        assert [answer.status_code for answer in answers] == [401, 401, 403, 200]
        assert all(answer.headers["x-config-reason"] for answer in answers[:3])
        assert answers[3].json() == ["foo"]

    async def test_that_anybody_may_read_does_not_mean_that_anybody_may_have_services_called(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        async with config_server(repository.path, neighbours, tmp_path, anonymous=True) as client:
            answer = await client.post("/monitor", json={"path": "foo.yml"})

        assert answer.status_code == 403
        assert "admin" in answer.headers["x-config-reason"]

    async def test_forms_and_lists_name_several_files_or_everybody(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        payment = await neighbours.start("payment-service")

        async with config_server(repository.path, neighbours, tmp_path, watch_seconds=60) as client:
            form = await client.post("/monitor", data={"path": ["foo-dev.yml", "bar.yml"]}, auth=ADMIN)
            listed = await client.post("/monitor", json={"path": ["/foo/bar.properties", "/a.properties"]}, auth=ADMIN)
            nothing = await client.post("/monitor", json={}, auth=ADMIN)
            assert payment.calls == []
            everybody = await client.post("/monitor", data={"path": "*"}, auth=ADMIN)
            await until(lambda: payment.calls)

        assert [answer.json() for answer in (form, listed, nothing, everybody)] == [
            ["foo-dev", "foo", "bar"],
            ["bar", "a"],
            [],
            ["*"],
        ]

    async def test_a_webhook_may_come_as_a_form_with_a_payload(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        body = httpx.Request("POST", "http://x", data={"payload": push(one=["foo.yml"]).decode()}).read()
        headers = github(body) | {"Content-Type": "application/x-www-form-urlencoded"}

        async with config_server(repository.path, neighbours, tmp_path) as client:
            answer = await client.post("/monitor", content=body, headers=headers)

        assert (answer.status_code, answer.json()) == (200, ["foo"])

    async def test_a_body_that_says_nothing_is_400(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        json_type, form_type = "application/json", "application/x-www-form-urlencoded"
        bodies = [
            (b"", json_type),
            (b"{", json_type),
            (b"[1]", json_type),
            (b'"foo.yml"', json_type),
            (b"\xff\xfe\x00", json_type),
            (b"[" * 100_000, json_type),
            (b'{"path": 1}', json_type),
            (b"path=%ff", form_type),
            (b"&".join([b"path=a"] * 20_000), form_type),
        ]
        async with config_server(repository.path, neighbours, tmp_path) as client:
            for body, content_type in bodies:
                answer = await client.post("/monitor", content=body, headers={"Content-Type": content_type}, auth=ADMIN)
                assert (answer.status_code, body[:20]) == (400, body[:20])
                assert answer.json()["message"]

    async def test_it_is_asked_by_post_alone(
        self, repository: ConfigRepository, neighbours: Neighbours, tmp_path: Path
    ) -> None:
        async with config_server(repository.path, neighbours, tmp_path) as client:
            answers: list[Any] = [await client.request(method, "/monitor") for method in ("GET", "PUT", "DELETE")]

        assert {answer.status_code for answer in answers} <= {404, 405}
