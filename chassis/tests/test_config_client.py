"""Reading the configuration: from the config-server, from a folder, from the last good copy."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.config_client import ConfigClient, ConfigUnavailable, flatten
from chassis.testing.server import free_socket, running


@asynccontextmanager
async def config_server(
    sources: list[dict[str, Any]] | None, listener: socket.socket | None = None
) -> AsyncIterator[str]:
    """Answers as Spring's server does: the strongest source first."""

    async def answer(request: Request) -> Response:
        if sources is None:
            return Response(status_code=404)
        property_sources = [{"name": str(number), "source": source} for number, source in enumerate(sources)]
        return JSONResponse({"name": "demo", "profiles": ["default"], "propertySources": property_sources})

    async with running(Starlette(routes=[Route("/{application}/{profile}", answer)]), listener) as url:
        yield url


def client(source: str, state: Path, *, wait_seconds: float = 10.0, **environ: str) -> ConfigClient:
    return ConfigClient(source, "demo", "default", state_dir=state, wait_seconds=wait_seconds, environ=environ)


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


async def test_the_last_good_copy_serves_while_the_config_server_is_away_c9(tmp_path: Path) -> None:
    async with config_server([{"a": 1, "secret": "${SECRET}"}]) as url:
        await at_start(client(url, tmp_path, SECRET="s3cret"))

    assert await at_start(client(url, tmp_path, wait_seconds=0.2, SECRET="other")) == {"a": 1, "secret": "other"}
    _assert_the_copy_is_private(tmp_path)


def _assert_the_copy_is_private(state: Path) -> None:
    [copy] = state.iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in copy.read_text()


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
