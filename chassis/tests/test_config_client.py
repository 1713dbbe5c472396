"""Reading the configuration: from the config-server, from a folder, from the last good copy."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.config_client import ConfigClient, ConfigUnavailable, flatten
from chassis.testing.server import free_socket, running


@dataclass
class Server:
    """Answers as Spring's server does, the strongest source first; `asked` has a status for each answer."""

    sources: list[dict[str, Any]] | None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    failing: bool = False

    async def answer(self, request: Request) -> Response:
        answer = self._answer(request.headers.get("if-none-match"))
        self.asked.append(answer.status_code)
        return answer

    def _answer(self, known: str | None) -> Response:
        if self.failing:
            return Response("out of order", status_code=500)
        if self.sources is None:
            return Response(status_code=404)
        if known is not None and known == self.headers.get("etag"):
            return Response(status_code=304, headers=self.headers)
        property_sources = [{"name": str(number), "source": source} for number, source in enumerate(self.sources)]
        document = {"name": "demo", "profiles": ["default"], "propertySources": property_sources}
        return JSONResponse(document, headers=self.headers)


@asynccontextmanager
async def serving(server: Server, listener: socket.socket | None = None) -> AsyncIterator[str]:
    async with running(Starlette(routes=[Route("/{application}/{profile}", server.answer)]), listener) as url:
        yield url


@asynccontextmanager
async def config_server(
    sources: list[dict[str, Any]] | None, listener: socket.socket | None = None
) -> AsyncIterator[str]:
    async with serving(Server(sources), listener) as url:
        yield url


def client(
    source: str,
    state: Path,
    *,
    wait_seconds: float = 10.0,
    password: str = "a password",
    fail_fast: bool = False,
    **environ: str,
) -> ConfigClient:
    return ConfigClient(
        source,
        "demo",
        "default",
        password=password,
        state_dir=state,
        wait_seconds=wait_seconds,
        fail_fast=fail_fast,
        environ=environ,
    )


def the_copy_in(state: Path) -> Path:
    [copy] = state.iterdir()
    return copy


def has_a_copy(state: Path) -> bool:
    return any(state.iterdir())


async def at_start(client: ConfigClient) -> dict[str, Any]:
    return dict(await asyncio.to_thread(client.properties_at_start))


async def test_the_strongest_source_wins_and_lists_are_replaced_whole(tmp_path: Path) -> None:
    async with config_server([{"a": 1, "list[0]": "x"}, {"a": 2, "b": 3, "list[0]": "p", "list[1]": "q"}]) as url:
        assert await at_start(client(url, tmp_path)) == {"a": 1, "b": 3, "list[0]": "x"}


async def test_an_application_without_configuration_starts_with_defaults(tmp_path: Path) -> None:
    async with config_server(None) as url:
        assert await at_start(client(url, tmp_path)) == {}


async def test_a_config_server_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    listener = free_socket()
    url = "http://{}:{}".format(*listener.getsockname())
    asking = asyncio.create_task(at_start(client(url, tmp_path)))
    await asyncio.wait([asking], timeout=0.3)
    assert not asking.done()

    async with config_server([{"a": 1}], listener):
        assert await asking == {"a": 1}


class TestLastGoodCopy:
    async def test_it_serves_while_the_config_server_is_away_c9(self, tmp_path: Path) -> None:
        async with config_server([{"a": 1, "secret": "${SECRET}"}]) as url:
            await at_start(client(url, tmp_path, SECRET="s3cret"))

        assert await at_start(client(url, tmp_path, wait_seconds=0.2, SECRET="other")) == {"a": 1, "secret": "other"}

    async def test_nobody_can_read_it_without_the_password(self, tmp_path: Path) -> None:
        async with config_server([{"decrypted": "s3cret"}]) as url:
            await at_start(client(url, tmp_path))

        copy = the_copy_in(tmp_path)
        assert copy.stat().st_mode & 0o777 == 0o600
        assert b"s3cret" not in copy.read_bytes()
        with pytest.raises(ConfigUnavailable, match="no earlier copy is here"):
            await at_start(client(url, tmp_path, wait_seconds=0.1, password="another"))

    async def test_one_that_somebody_changed_is_not_used(self, tmp_path: Path) -> None:
        async with config_server([{"a": 1}]) as url:
            await at_start(client(url, tmp_path))
        copy = the_copy_in(tmp_path)
        sealed = bytearray(copy.read_bytes())
        sealed[-1] ^= 1
        copy.write_bytes(sealed)

        with pytest.raises(ConfigUnavailable, match="no earlier copy is here"):
            await at_start(client(url, tmp_path, wait_seconds=0.1))

    async def test_without_a_password_none_is_kept(self, tmp_path: Path) -> None:
        async with config_server([{"decrypted": "s3cret"}]) as url:
            assert await at_start(client(url, tmp_path, password="")) == {"decrypted": "s3cret"}

        assert not has_a_copy(tmp_path)

    async def test_a_server_that_has_nothing_does_not_make_it_forgotten(self, tmp_path: Path) -> None:
        server = Server([{"a": 1}])
        async with serving(server) as url:
            await at_start(client(url, tmp_path))
            server.sources = None
            assert await at_start(client(url, tmp_path)) == {}

        assert await at_start(client(url, tmp_path, wait_seconds=0.1)) == {"a": 1}

    async def test_failing_fast_does_not_use_it(self, tmp_path: Path) -> None:
        server = Server([{"a": 1}])
        async with serving(server) as url:
            assert await at_start(client(url, tmp_path, fail_fast=True)) == {"a": 1}
            server.failing = True

            with pytest.raises(ConfigUnavailable, match="answered 500"):
                await at_start(client(url, tmp_path, fail_fast=True))

        assert server.asked == [200, 500]


class TestETag:
    async def test_an_unchanged_configuration_is_not_sent_again(self, tmp_path: Path) -> None:
        server = Server([{"a": 1}], headers={"etag": '"1"'})
        async with serving(server) as url:
            first = await at_start(client(url, tmp_path))
            second = await at_start(client(url, tmp_path))
            server.sources, server.headers = [{"a": 2}], {"etag": '"2"'}
            third = await at_start(client(url, tmp_path))

        assert (first, second, third) == ({"a": 1}, {"a": 1}, {"a": 2})
        assert server.asked == [200, 304, 200]

    async def test_a_server_is_not_asked_by_the_etag_of_another(self, tmp_path: Path) -> None:
        one, other = Server([{"a": 1}], headers={"etag": '"1"'}), Server([{"a": 2}], headers={"etag": '"1"'})
        async with serving(one) as url, serving(other) as other_url:
            assert await at_start(client(f"{url},{other_url}", tmp_path)) == {"a": 1}
            one.failing = True
            assert await at_start(client(f"{url},{other_url}", tmp_path)) == {"a": 2}

        assert other.asked == [200]


class TestSeveralAddresses:
    async def test_they_are_tried_in_their_order(self, tmp_path: Path) -> None:
        one, other = Server([{"a": 1}]), Server([{"a": 2}])
        async with serving(one) as url, serving(other) as other_url:
            source = f"http://127.0.0.1:1, {url}/, {other_url}"
            assert await at_start(client(source, tmp_path)) == {"a": 1}
            one.failing = True
            assert await at_start(client(source, tmp_path)) == {"a": 2}

        assert (one.asked, other.asked) == ([200, 500], [200])

    async def test_each_of_them_is_named_where_none_answers(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigUnavailable, match=r"127\.0\.0\.1:1 does not answer.*; .*127\.0\.0\.1:2 does not"):
            await at_start(client("http://127.0.0.1:1,http://127.0.0.1:2", tmp_path, fail_fast=True))


async def test_something_else_that_answers_is_no_config_server(tmp_path: Path) -> None:
    async with running(Starlette(routes=[Route("/{path:path}", lambda request: JSONResponse(["hello"]))])) as url:
        with pytest.raises(ConfigUnavailable, match="is no config-server"):
            await at_start(client(url, tmp_path, wait_seconds=0.1))


async def test_without_server_and_copy_it_says_whom_it_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnavailable, match="does not answer"):
        await at_start(client("http://127.0.0.1:1", tmp_path, wait_seconds=0.1))


async def test_placeholders_are_filled_from_the_environment(tmp_path: Path) -> None:
    source = {"url": "http://${HOST}:${PORT:80}/", "unset": "${NOT_THERE}", "other": "${url}", "kept": "x${NOT_THERE}"}
    async with config_server([source]) as url:
        properties = await at_start(client(url, tmp_path, HOST="h"))

    assert properties["url"] == "http://h:80/"
    assert "unset" not in properties, "a secret that is not there means the default, not the text of a placeholder"
    assert properties["kept"] == "x${NOT_THERE}"


def test_a_folder_is_read_in_the_config_servers_order(tmp_path: Path) -> None:
    (tmp_path / "application.yml").write_text("a: 1\nb: 1\nc: 1\nd: 1\n")
    (tmp_path / "demo.yml").write_text("b: 2\nc: 2\nd: 2\n")
    (tmp_path / "application-default.yml").write_text("c: 3\nd: 3\n")
    (tmp_path / "demo-default.yml").write_text("d: 4\n")

    assert client(str(tmp_path), tmp_path).fetch() == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo.yml").write_text("a: [")

    with pytest.raises(ConfigUnavailable, match=r"demo\.yml is not YAML"):
        client(str(tmp_path), tmp_path).fetch()


def test_a_tree_is_flattened_as_spring_does() -> None:
    assert flatten({"a": {"b": [1, {"c": 2}]}, "d": "x"}) == {"a.b[0]": 1, "a.b[1].c": 2, "d": "x"}
