"""The wire beyond what was recorded: caching, odd requests, bad input."""

import asyncio
import gzip
import json
import time
from typing import Any

import httpx
import pytest
from chassis.testing.waiting import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.instances import a_registration
from support.server import RunningServer, running_server


async def register(client: httpx.AsyncClient, app: str = "ORDERS", key: str = "o1", **fields: Any) -> None:
    answer = await client.post(f"apps/{app}", json=a_registration(app, key, **fields))
    assert answer.status_code == 204


class TestListEverything:
    async def test_without_accept_it_is_xml(self, server: RunningServer) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.send(httpx.Request("GET", f"{server.eureka}apps"))

        assert answer.headers["content-type"] == "application/xml"
        assert answer.text.startswith("<applications>")

    async def test_a_reader_that_has_it_already_gets_304_until_something_changes(
        self, client: httpx.AsyncClient
    ) -> None:
        await register(client)
        tag = (await client.get("apps")).headers["etag"]

        again = await client.get("apps", headers={"If-None-Match": tag})
        weak = await client.get("apps", headers={"If-None-Match": f'"other", W/{tag}'})
        await client.put("apps/ORDERS/o1/status", params={"value": "DOWN"})
        changed = await client.get("apps", headers={"If-None-Match": tag})

        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert weak.status_code == 304
        assert changed.status_code == 200
        assert '"status":"DOWN"' in changed.text

    @pytest.mark.parametrize("encoding", ["gzip", "identity"])
    @pytest.mark.parametrize("path", ["apps", "apps/delta", "apps/ORDERS", "vips/orders"])
    async def test_head_is_get_without_the_body(self, client: httpx.AsyncClient, path: str, encoding: str) -> None:
        await register(client)
        headers = {"Accept-Encoding": encoding}
        got = await client.get(path, headers=headers)
        asked = await client.head(path, headers=headers)

        assert (asked.status_code, asked.content) == (200, b"")
        for name in ("content-length", "content-type", "content-encoding", "etag", "vary"):
            assert asked.headers.get(name) == got.headers.get(name)
        if tag := got.headers.get("etag"):
            assert (await client.head(path, headers={**headers, "If-None-Match": tag})).status_code == 304

    async def test_every_form_has_a_tag_of_its_own(self, client: httpx.AsyncClient) -> None:
        await register(client)
        tags = set()
        for path in ("apps", "apps/delta"):
            for accept in ("application/json", "application/xml"):
                for compact in ("full", "compact"):
                    for encoding in ("gzip", "identity"):
                        headers = {"Accept": accept, "X-Eureka-Accept": compact, "Accept-Encoding": encoding}
                        tags.add((await client.get(path, headers=headers)).headers["etag"])

        assert len(tags) == 16

    async def test_a_change_is_seen_at_once_in_every_form(self, client: httpx.AsyncClient) -> None:
        for key in ("o1", "o2"):
            await register(client, key=key)
            for accept in ("application/json", "application/xml"):
                for encoding in ("gzip", "identity"):
                    for path in ("apps", "apps/delta", "apps/ORDERS", "vips/orders"):
                        answer = await client.get(path, headers={"Accept": accept, "Accept-Encoding": encoding})
                        assert key in answer.text

    async def test_gzip_is_refused_by_weight_zero(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("apps", headers={"Accept-Encoding": "gzip;q=0, identity"})

        assert "content-encoding" not in answer.headers

    async def test_gzip_is_gzip(self, server: RunningServer) -> None:
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"{server.eureka}apps", headers={"Accept-Encoding": "gzip"}) as answer,
        ):
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])

        assert gzip.decompress(raw).startswith(b"<applications>")


class TestListChanges:
    async def test_its_version_changes_when_and_only_when_its_content_does(self, client: httpx.AsyncClient) -> None:
        async def version() -> str:
            document = (await client.get("apps/delta")).json()
            return str(document["applications"]["versions__delta"])

        empty = await version()
        await register(client)
        one = await version()
        await client.put("apps/ORDERS/o1")

        assert len({empty, one}) == 2
        assert await version() == one

    async def test_its_hash_code_is_of_everything(self) -> None:
        async with (
            running_server(delta_retention_seconds=0.01, sweep_seconds=0.02) as server,
            httpx.AsyncClient(base_url=server.eureka, headers={"Accept": "application/json"}) as client,
        ):
            await register(client)
            await until(lambda: server.registry.changes() == {})
            delta = (await client.get("apps/delta")).json()["applications"]

        assert delta["application"] == []
        assert delta["apps__hashcode"] == "UP_1_"


class TestRegister:
    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("application/json", b'{"instance": '),
            ("application/json", b"[" * 50_000),
            ("application/json", b"\xff"),
            ("application/json", json.dumps(a_registration(metadata={"a": "\ud800"})).encode()),
            ("application/json", json.dumps(a_registration(metadata={"a": "\x00"})).encode()),
            ("application/json", json.dumps(a_registration(app="OTHER")).encode()),
            ("application/xml", b"<instance><instance>"),
            ("application/xml", b'<!DOCTYPE x [<!ENTITY a "b">]><instance>&a;</instance>'),
        ],
        ids=["cut", "deep", "bytes", "surrogate", "control", "other app", "xml", "entity"],
    )
    async def test_a_bad_body_is_a_400_with_an_empty_body_and_changes_nothing(
        self, server: RunningServer, client: httpx.AsyncClient, content_type: str, body: bytes
    ) -> None:
        answer = await client.post("apps/ORDERS", content=body, headers={"Content-Type": content_type})

        assert (answer.status_code, answer.content) == (400, b"")
        assert answer.headers["x-discovery-error"]
        assert server.registry.applications() == {}

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_a_body_over_the_limit_is_a_413_with_an_empty_body(
        self, client: httpx.AsyncClient, chunked: bool
    ) -> None:
        async def chunks() -> Any:
            for _ in range(40):
                yield b" " * 65_536

        content: Any = chunks() if chunked else b" " * 2_000_000
        answer = await client.post("apps/ORDERS", content=content, headers={"Content-Type": "application/json"})

        assert (answer.status_code, answer.content) == (413, b"")

    async def test_metadata_that_could_break_xml_is_escaped_for_every_reader(self, client: httpx.AsyncClient) -> None:
        metadata = {"</metadata><status>DOWN</status>": "</x>", "a:b": "]]>", "": "dropped"}
        await register(client, metadata=metadata)

        xml = await client.get("apps", headers={"Accept": "application/xml"})
        as_json = await client.get("apps/ORDERS/o1")

        assert "<status>DOWN" not in xml.text
        assert as_json.json()["instance"]["metadata"] == {key: value for key, value in metadata.items() if key}

    @pytest.mark.parametrize(
        "key", ["with space", "ü:1", "a;b=c", "100%", "?", "#", "a+b", "..", "😀", "'\"<>&", "x" * 300]
    )
    async def test_an_id_with_odd_characters_is_found_under_its_encoded_name(
        self, client: httpx.AsyncClient, key: str
    ) -> None:
        await register(client, key=key)
        path = "apps/ORDERS/" + "".join(f"%{byte:02X}" for byte in key.encode())

        assert (await client.put(path)).status_code == 200
        assert (await client.get(path)).json()["instance"]["instanceId"] == key
        assert (await client.delete(path)).status_code == 200


class TestRenew:
    @pytest.mark.parametrize("stamp", ["", "abc", "1e3", "9" * 30, "1.5", "٣"])
    async def test_a_stamp_that_is_no_number_is_a_400(self, client: httpx.AsyncClient, stamp: str) -> None:
        await register(client)

        answer = await client.put("apps/ORDERS/o1", params={"lastDirtyTimestamp": stamp})

        assert (answer.status_code, answer.content) == (400, b"")

    async def test_of_an_unknown_instance_it_is_a_404_whatever_else_is_wrong(self, client: httpx.AsyncClient) -> None:
        answer = await client.put("apps/ORDERS/o1", params={"lastDirtyTimestamp": "abc"})

        assert (answer.status_code, answer.content) == (404, b"")

    async def test_the_stamp_of_the_last_renewal_is_seen_on_the_instance(self, client: httpx.AsyncClient) -> None:
        await register(client)
        first = (await client.get("apps/ORDERS/o1")).json()["instance"]["leaseInfo"]

        async def has_moved() -> bool:
            await client.put("apps/ORDERS/o1")
            lease = (await client.get("apps/ORDERS/o1")).json()["instance"]["leaseInfo"]
            return bool(lease["lastRenewalTimestamp"] > first["lastRenewalTimestamp"])

        await until(has_moved)


class TestOverrideStatus:
    async def test_the_first_of_several_values_counts(self, client: httpx.AsyncClient) -> None:
        await register(client)
        await client.put("apps/ORDERS/o1/status?value=DOWN&value=UP")

        assert (await client.get("apps/ORDERS/o1")).json()["instance"]["status"] == "DOWN"


class TestChangeMetadata:
    async def test_the_first_of_several_values_counts_and_an_empty_key_is_dropped(
        self, client: httpx.AsyncClient
    ) -> None:
        await register(client)
        answer = await client.put("apps/ORDERS/o1/metadata?a=1&a=2&=x&b=")

        assert answer.status_code == 200
        assert (await client.get("apps/ORDERS/o1")).json()["instance"]["metadata"] == {"a": "1", "b": ""}

    async def test_what_xml_can_not_carry_is_a_400_and_changes_nothing(self, client: httpx.AsyncClient) -> None:
        await register(client, metadata={"a": "1"})
        answer = await client.put("apps/ORDERS/o1/metadata?a=%00")

        assert (answer.status_code, answer.content) == (400, b"")
        assert (await client.get("apps/ORDERS/o1")).json()["instance"]["metadata"] == {"a": "1"}


class TestLeases:
    async def test_d2_over_http_a_silent_instance_is_gone_after_its_lease_and_a_sweep(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        started = time.monotonic()
        await register(client, duration=1)
        await until(lambda: server.registry.applications() == {})

        assert 1.0 <= time.monotonic() - started < 2.0
        assert (await client.put("apps/ORDERS/o1")).status_code == 404


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/eureka",
            "/eureka/",
            "/eureka/nothing",
            "/eureka/apps//",
            "/eureka//apps",
            "/eureka/apps/A/b/status/c",
            "/eureka/v2",
            "/eureka/peerreplication/nothing",
        ],
    )
    async def test_what_is_not_there_is_a_404_with_an_empty_body_and_no_redirect(
        self, server: RunningServer, path: str
    ) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.get(server.url + path)

        assert (answer.status_code, answer.content) == (404, b"")

    async def test_version_2_may_stand_in_front_and_no_other(self, client: httpx.AsyncClient) -> None:
        await register(client)

        assert (await client.get("v2/apps/ORDERS/o1/")).status_code == 200
        assert (await client.put("v2/apps/ORDERS/o1")).status_code == 200
        for version in ("v1", "v3", "V2", "v2/v2"):
            assert (await client.get(f"{version}/apps/ORDERS/o1")).status_code == 404

    async def test_an_application_may_be_called_like_a_resource(self, client: httpx.AsyncClient) -> None:
        await register(client, app="VIPS")
        await register(client, app="APPS", key="a1")

        assert (await client.get("apps/VIPS/o1")).status_code == 200
        assert (await client.get("apps/apps/a1")).status_code == 200

    async def test_what_can_not_be_done_there_is_a_405_that_names_what_can(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("apps/ORDERS/o1")

        assert (answer.status_code, answer.content) == (405, b"")
        assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"

    @pytest.mark.parametrize("name", ["a%2fb", "a%5Cb", "a%", "a%4", "a%zz", "%u0041", "%ff", "%ed%a0%80"])
    async def test_a_name_that_can_not_be_told_is_a_400_and_changes_nothing(
        self, server: RunningServer, name: str
    ) -> None:
        url = httpx.URL(server.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        body = json.dumps(a_registration()).encode()
        head = f"POST /eureka/apps/{name} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"\r\ncontent-length: 0\r\n" in answer
        assert server.registry.applications() == {}

    @pytest.mark.parametrize("query", [b"a=%ff", b"%c3%28=1", b"a=1&b=%ed%a0%80"])
    async def test_a_query_that_is_not_utf8_is_a_400_and_changes_nothing(
        self, client: httpx.AsyncClient, query: bytes
    ) -> None:
        await register(client)
        url = client.base_url.copy_with(raw_path=b"/eureka/apps/ORDERS/o1/metadata?" + query)
        answer = await client.put(url)

        assert (answer.status_code, answer.content) == (400, b"")
        assert "a" not in (await client.get("apps/ORDERS/o1")).json()["instance"]["metadata"]

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]),
        segments=st.lists(
            st.sampled_from(["apps", "delta", "vips", "ORDERS", "o1", "status", "metadata", "v2"])
            | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
            max_size=5,
        ),
        query=st.dictionaries(st.sampled_from(["value", "lastDirtyTimestamp", "x"]), st.text("UP1%\x00é", max_size=4)),
        accept=st.sampled_from(["", "*/*", "application/json", "text/html", "application/*;q=0", ";;,,", "json"]),
    )
    async def test_no_request_whatever_is_a_500(
        self,
        client: httpx.AsyncClient,
        method: str,
        segments: list[str],
        query: dict[str, str],
        accept: str,
    ) -> None:
        path = "/".join("".join(f"%{byte:02x}" for byte in segment.encode()) for segment in segments)
        request = client.build_request(method, f"{client.base_url}{path}", params=query, headers={"Accept": accept})

        answer = await client.send(request)

        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.content == b""
