"""Bad input over real HTTP: refused with an empty 4xx and nothing changed, or taken and readable by every reader."""

import gzip
import json
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.instances import a_registration
from support.server import RunningServer

from discovery_server.registry.instance import DEFAULT_DATA_CENTER_CLASS, LONGEST_METADATA, LONGEST_TEXT, MOST_METADATA

JSON, XML = "application/json", "application/xml"
FORMS = [{"Accept": accept, "X-Eureka-Accept": form} for accept in (JSON, XML) for form in ("full", "compact")]


class Siege:
    """A server with one good instance on it, and what bad input may do to it: nothing."""

    def __init__(self, server: RunningServer, client: httpx.AsyncClient) -> None:
        self.server, self._client = server, client

    async def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> httpx.Response:
        """Send it, and check what every request has to leave behind: no 5xx, and lists that every parser reads."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        before = self.server.registry.version
        request = httpx.Request(method, f"{self.server.eureka}{path}", headers=named, content=body)
        answer = await self._client.send(request)

        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.content == b""
            assert "content-type" not in answer.headers
            assert self.server.registry.version == before, "it was refused and changed something"
        elif self.server.registry.version != before:
            await self.everybody_can_read()
        return answer

    async def register(self, body: bytes, content_type: str = JSON, app: str = "BAD", **headers: str) -> httpx.Response:
        return await self.send("POST", f"apps/{app}", body, Content_Type=content_type, **headers)

    async def refuses(self, body: bytes, content_type: str = JSON, **headers: str) -> None:
        answer = await self.register(body, content_type, **headers)

        assert 400 <= answer.status_code < 500, answer.status_code
        assert list(self.server.registry.applications()) == ["GOOD"]

    async def everybody_can_read(self) -> None:
        apps = self.server.registry.applications()
        paths = [
            "apps",
            "apps/delta",
            "vips/orders",
            *(f"apps/{quote(app, safe='')}" for app in apps if "/" not in app),
        ]
        for path in paths:
            for form in FORMS:
                answer = await self._client.get(f"{self.server.eureka}{path}", headers=form)
                assert answer.status_code == 200
                if form["Accept"] == JSON:
                    assert "applic" in next(iter(answer.json()))
                else:
                    ElementTree.fromstring(answer.content)


@pytest.fixture
async def siege(server: RunningServer, client: httpx.AsyncClient) -> Siege:
    good = await client.post("apps/GOOD", json=a_registration("GOOD", "g1"))
    assert good.status_code == 204
    return Siege(server, client)


def an_xml_registration(extra: str = "", app: str = "BAD", key: str = "b1") -> bytes:
    return (
        f"<instance><instanceId>{key}</instanceId><hostName>h</hostName><app>{app}</app><ipAddr>1.2.3.4</ipAddr>"
        f'<dataCenterInfo class="{DEFAULT_DATA_CENTER_CLASS}"><name>MyOwn</name></dataCenterInfo>{extra}</instance>'
    ).encode()


def a_json_registration(**fields: Any) -> bytes:
    registration = a_registration("BAD", "b1")
    registration["instance"] |= fields
    return json.dumps(registration).encode("utf-8", "surrogatepass")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ENTITY_BOMBS = {
    "billion laughs": f'<!DOCTYPE i [<!ENTITY l0 "ha">{LAUGHS}]><instance><app>&l9;</app></instance>',
    "quadratic": f'<!DOCTYPE i [<!ENTITY a "{"a" * 50_000}">]><instance><app>{"&a;" * 5_000}</app></instance>',
    "external entity": '<!DOCTYPE i [<!ENTITY x SYSTEM "file:///etc/passwd">]><instance><app>&x;</app></instance>',
    "external parameter": '<!DOCTYPE i [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]><instance/>',
    "external dtd": '<!DOCTYPE instance SYSTEM "http://127.0.0.1:1/x.dtd"><instance/>',
    "public dtd": '<!DOCTYPE instance PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://127.0.0.1:1/x"><instance/>',
    "empty dtd": "<!DOCTYPE instance []><instance/>",
    "default attribute": '<!DOCTYPE i [<!ATTLIST port enabled CDATA "false">]><instance/>',
    "undeclared entity": "<instance><app>&nbsp;</app></instance>",
    "endless reference": "<instance><app>&#x110000;</app></instance>",
    "nul reference": "<instance><app>&#0;</app></instance>",
    "surrogate reference": "<instance><app>&#xD800;</app></instance>",
}


class TestXml:
    @pytest.mark.parametrize("document", ENTITY_BOMBS.values(), ids=ENTITY_BOMBS)
    async def test_bombs_and_entities_are_refused(self, siege: Siege, document: str) -> None:
        await siege.refuses(document.encode(), XML)
        whole = document.replace("<instance>", "<instance><hostName>h</hostName>", 1)
        await siege.refuses(('<?xml version="1.0"?>\n<!-- x -->' + whole).encode(), XML)

    @pytest.mark.parametrize(
        "document",
        [
            b"<instance>" + b"<a>" * 200_000,
            b"<instance>" + b"<a>" * 10_000 + b"</a>" * 10_000 + b"</instance>",
            b"<instance " + b" ".join(b'a%d="x"' % number for number in range(50_000)) + b"/>",
            b"<" + b"i" * 500_000 + b"/>",
            an_xml_registration("<metadata>" + "<k>v</k>" * 10 + "<a><b><c/></b></a></metadata>"),
            an_xml_registration("<metadata>" + "".join(f"<k{n}>v</k{n}>" for n in range(20_000)) + "</metadata>"),
            an_xml_registration(f"<vipAddress>{'x' * 500_000}</vipAddress>"),
            an_xml_registration(f"<metadata><a>{'x' * (LONGEST_TEXT + 1)}</a></metadata>"),
            an_xml_registration() + an_xml_registration(),
            an_xml_registration()[:-5],
            b"\xef\xbb\xbf",
            b"text",
        ],
        ids=lambda document: document[:40],
    )
    async def test_deep_huge_and_broken_documents_are_refused(self, siege: Siege, document: bytes) -> None:
        await siege.refuses(document, XML)

    @pytest.mark.parametrize(
        ("document", "taken"),
        [
            ('<?xml version="1.0" encoding="UTF-16"?>{}', "utf-16"),
            ('<?xml version="1.0" encoding="ISO-8859-1"?>{}', "latin-1"),
            ("\ufeff{}", "utf-8"),
            ('<?xml version="1.0" standalone="yes"?><!-- <x> --><?php echo 1 ?>{}<!-- y -->\n', "utf-8"),
            ("<?xml-stylesheet href='x'?>{}", "utf-8"),
        ],
    )
    async def test_other_encodings_comments_and_instructions_are_read(
        self, siege: Siege, document: str, taken: str
    ) -> None:
        body = document.format(an_xml_registration("<metadata><a>ü</a></metadata>").decode()).encode(taken)

        assert (await siege.register(body, XML)).status_code == 204
        assert siege.server.registry.instance("BAD", "b1").metadata == {"a": "ü"}

    @pytest.mark.parametrize(
        "body",
        [
            an_xml_registration("<metadata><a>ü</a></metadata>").decode().encode("latin-1"),
            b'<?xml version="1.0" encoding="utf-7"?>' + an_xml_registration(),
            b'<?xml version="1.0" encoding="x-unknown"?>' + an_xml_registration(),
            b" <?xml version='1.0'?>" + an_xml_registration(),
            an_xml_registration("<metadata><a>\x01</a></metadata>"),
            an_xml_registration("<metadata><a>\x00</a></metadata>"),
            an_xml_registration("<metadata><_.0000>x</_.0000></metadata>"),
            an_xml_registration("<metadata><_.ffff>x</_.ffff></metadata>"),
            an_xml_registration("<metadata><_.d83d>x</_.d83d></metadata>"),
        ],
        ids=str,
    )
    async def test_wrong_encodings_and_characters_that_xml_has_not_are_refused(self, siege: Siege, body: bytes) -> None:
        await siege.refuses(body, XML)


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 100_000,
            b'{"instance":' * 20_000,
            b'{"instance":{"metadata":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_002,
            b'{"instance":{"metadata":{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}}}",
            a_json_registration(metadata={f"k{number}": "v" for number in range(20_000)}),
            a_json_registration(metadata={f"k{number}": "v" * 4_000 for number in range(20)}),
            a_json_registration(homePageUrl="x" * 900_000),
            a_json_registration(instanceId="x" * 10_000),
            a_json_registration(countryId=10**400),
            a_json_registration(port={"$": 2**64, "@enabled": "true"}),
            a_json_registration(lastDirtyTimestamp=2**64),
            a_json_registration(lastDirtyTimestamp="9" * 5_000),
            a_json_registration(lastDirtyTimestamp=-(2**63) - 1),
            a_json_registration(lastDirtyTimestamp=1e300),
            a_json_registration(countryId=float("nan")),
            a_json_registration(port={"$": float("inf")}),
            a_json_registration(leaseInfo={"durationInSecs": float("-inf")}),
            a_json_registration(leaseInfo={"durationInSecs": 2**31}),
            a_json_registration(metadata={"a": {"b": 1}}),
            a_json_registration(metadata={"a": [1]}),
            a_json_registration().decode().encode("utf-16")[1:],
            a_json_registration(hostName="ü").decode().encode("latin-1") + b"\xff",
            b'{"instance": {"app": "\xc3\x28"}}',
            b'{"instance": {"app": "\xed\xa0\x80"}}',
            a_json_registration() + b"x",
            a_json_registration()[:-2],
            b"{'instance': {}}",
            b'{"instance": {}, "instance": 5}',
            b"\x00",
            b"NaN",
        ],
        ids=lambda body: body[:50],
    )
    async def test_deep_huge_and_broken_documents_are_refused(self, siege: Siege, body: bytes) -> None:
        await siege.refuses(body)

    async def test_of_a_key_that_comes_twice_the_last_one_counts(self, siege: Siege) -> None:
        body = a_json_registration().replace(b'"status": "UP"', b'"status": "UP", "status": "DOWN"')

        assert (await siege.register(body)).status_code == 204
        assert siege.server.registry.instance("BAD", "b1").status == "DOWN"

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
    async def test_unicodes_other_encodings_are_read_or_refused(self, siege: Siege, encoding: str) -> None:
        answer = await siege.register(a_json_registration(hostName="hü").decode().encode(encoding))

        if answer.status_code == 204:
            assert siege.server.registry.instance("BAD", "b1").host_name == "hü"

    @pytest.mark.parametrize("name", sorted(a_registration()["instance"]))
    async def test_a_field_that_is_missing_null_or_of_another_type_is_refused_or_read(
        self, siege: Siege, name: str
    ) -> None:
        whole = a_registration("BAD", "b1")
        del whole["instance"][name]
        bodies = [json.dumps(whole).encode()]
        values: list[Any] = [
            None,
            True,
            0,
            -1,
            2**40,
            1.5,
            "",
            "x",
            "\t\n\r",
            "<&>\"'",
            [],
            [1],
            {},
            {"a": 1},
            {"$": {}},
        ]
        bodies += [a_json_registration(**{name: value}) for value in values]

        for body in bodies:
            await siege.register(body)

    @pytest.mark.parametrize("name", ["instanceId", "hostName", "app", "ipAddr", "vipAddress", "status"])
    @pytest.mark.parametrize("text", ["\x00", "\x1b[31m", "\ud800", "\ufffe", "a\udfffb", "\x7f\x80", "\u2028"])
    async def test_characters_that_xml_has_not_are_refused_in_every_text(
        self, siege: Siege, name: str, text: str
    ) -> None:
        answer = await siege.register(a_json_registration(**{name: f"x{text}"}))

        assert (answer.status_code == 204) == (text in ("\x7f\x80", "\u2028") and name != "app")


METADATA_KEYS = [
    *("<a>", "a b", "</metadata>", "a:b", "xmlns", "xmlns:a", "xml", "-", ".", "1", "&amp;", "]]>", "<!--", "a=b"),
    *(
        "__",
        "_.0020",
        "_-",
        "$",
        "@a",
        "é",
        "日本",
        "😀",
        "\u200b",
        "\u00b7",
        "a\u0300",
        "\u037e",
        "a/b",
        "\\",
        "'",
        '"',
    ),
    *("\t", "\n", "\r", " ", "a" * LONGEST_TEXT, "class", "%00", "?xml", "\xa0", "\ud7ff", "\ue000", "\U0010ffff"),
]


class TestMetadata:
    async def test_any_key_that_xml_can_carry_is_kept_and_read_by_everybody(self, siege: Siege) -> None:
        for key in METADATA_KEYS:
            answer = await siege.register(a_json_registration(metadata={key: key}))

            assert answer.status_code == 204, key
            assert siege.server.registry.instance("BAD", "b1").metadata == {key: key}

    async def test_every_character_is_refused_or_kept(self, siege: Siege) -> None:
        # Around everything that XML treats in a way of its own, and some scripts.
        starts = [*range(0, 0x500, 256), 0xE00, 0x1E00, 0x2000, 0x2100, 0x3000, 0x4E00, 0xAC00, 0xD700]
        for first in [*starts, 0xD800, 0xDF00, 0xE000, 0xFD00, 0xFE00, 0xFF00]:
            pairs = {f"{chr(code)}{code:x}": chr(code) for code in range(first, first + 256)}
            answer = await siege.register(a_json_registration(metadata=pairs))

            is_odd = first == 0 or 0xD800 <= first < 0xE000 or first == 0xFF00
            assert answer.status_code == (400 if is_odd else 204)

    async def test_there_is_a_limit_to_it(self, siege: Siege) -> None:
        most = {f"k{number}": "" for number in range(MOST_METADATA)}
        longest = {f"k{number}": "v" * 4000 for number in range(LONGEST_METADATA // 4004)}

        assert (await siege.register(a_json_registration(metadata=most))).status_code == 204
        assert (await siege.send("PUT", "apps/BAD/b1/metadata?one=more")).status_code == 400
        assert (await siege.register(a_json_registration(metadata=longest, lastDirtyTimestamp=2000))).status_code == 204
        assert (await siege.send("PUT", f"apps/BAD/b1/metadata?more={'v' * 4000}")).status_code == 400
        assert (await siege.send("PUT", "apps/BAD/b1/metadata?k0=less")).status_code == 200

    @pytest.mark.parametrize(
        "query", ["%00=1", "a=%00", "a=%FF", "%ED%A0%80=1", "a=%01", f"a={'v' * 5000}", "%", "&=&"]
    )
    async def test_odd_entries_in_a_query_are_refused_or_kept(self, siege: Siege, query: str) -> None:
        answer = await siege.send("PUT", f"apps/GOOD/g1/metadata?{query}")

        assert answer.status_code in (200, 400)


IDS = [
    *(
        " ",
        "a b",
        "ü:1",
        "日本",
        "😀",
        "a;b=c",
        "100%",
        "?",
        "#",
        "a+b",
        "..",
        ".",
        "'\"<>&",
        "a\\b",
        "{}",
        "%2e",
        "a/b",
    ),
    *("\t", "\n", "\x7f", "\u200b", "\u202e", "*", "|", "~", "delta", "status", "x" * 1000),
]


class TestNames:
    @pytest.mark.parametrize("key", IDS, ids=ascii)
    async def test_an_odd_id_is_refused_or_can_be_renewed_read_and_cancelled(self, siege: Siege, key: str) -> None:
        taken = await siege.register(a_json_registration(instanceId=key))
        path = "apps/BAD/" + "".join(f"%{byte:02X}" for byte in key.encode())

        assert taken.status_code == 204
        renewed = await siege.send("PUT", path)
        if "/" in key or "\\" in key:  # these can be read in lists, and renewed by nobody
            assert renewed.status_code == 400
            return
        assert renewed.status_code == 200
        assert (await siege.send("PUT", f"{path}/status?value=DOWN")).status_code == 200
        assert (await siege.send("GET", path)).status_code == 200
        assert (await siege.send("DELETE", path)).status_code == 200

    @pytest.mark.parametrize("app", [key for key in IDS if key not in ("/", ".", "..")], ids=ascii)
    async def test_an_odd_application_is_refused_or_taken(self, siege: Siege, app: str) -> None:
        body = json.dumps(a_registration(app, "b1")).encode()
        await siege.register(body, app="".join(f"%{byte:02X}" for byte in app.encode()))

    @pytest.mark.parametrize(
        "path",
        [
            *(
                "apps/%",
                "apps/%ZZ",
                "apps/%C3",
                "apps/%FF%FE",
                "apps/A/%00",
                "apps/A/" + "x" * 10_000,
                "apps/A/%ED%A0%80",
            ),
            *("apps/%2e%2e/x", "apps/A%2Fb", "apps/A/b%5Cc", "apps//", "//apps", "apps/A//b"),
            *("apps/A;x=1/b", "apps/A/b?lastDirtyTimestamp=%00", "apps/A/b?" + "a=1&" * 5_000, "\xe4", "vips/%00"),
        ],
        ids=lambda path: path[:30],
    )
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "OPTIONS"])
    async def test_odd_paths_change_nothing(self, siege: Siege, method: str, path: str) -> None:
        await siege.send(method, path, b"{}", Content_Type=JSON)

        assert list(siege.server.registry.applications()) == ["GOOD"]


class TestBodies:
    @pytest.mark.parametrize(
        "content_type",
        [
            *("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/xml"),
            *("application/json, application/xml", "json", "application/*", "*/*", "application/jsonx", ";"),
        ],
    )
    async def test_other_types_are_refused(self, siege: Siege, content_type: str) -> None:
        answer = await siege.register(a_json_registration(), content_type)

        assert answer.status_code == 415

    async def test_a_type_that_belies_the_body_is_refused(self, siege: Siege) -> None:
        await siege.refuses(an_xml_registration(), JSON)
        await siege.refuses(a_json_registration(), XML)

    @pytest.mark.parametrize(
        "body",
        [
            gzip.compress(a_json_registration())[:-9],
            gzip.compress(a_json_registration())[:5],
            b"\x1f\x8b" + b"\x00" * 50,
            gzip.compress(b" " * 50_000_000),
            b"",
        ],
        ids=["cut", "head", "broken", "bomb", "empty"],
    )
    async def test_a_body_whose_compression_is_broken_or_a_bomb_is_refused(self, siege: Siege, body: bytes) -> None:
        await siege.refuses(body, Content_Encoding="gzip")

    async def test_a_body_over_the_limit_is_refused(self, siege: Siege) -> None:
        await siege.refuses(b" " * 2_000_000)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(body=st.binary(max_size=300), content_type=st.sampled_from([JSON, XML]))
    async def test_no_bytes_whatever_are_taken(self, siege: Siege, body: bytes, content_type: str) -> None:
        await siege.refuses(body, content_type)

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(fields=st.dictionaries(st.sampled_from(sorted(a_registration()["instance"])), json_values, max_size=3))
    async def test_fields_of_any_types_are_refused_or_readable(self, siege: Siege, fields: dict[str, Any]) -> None:
        await siege.register(a_json_registration(**fields))
