"""JSON and XML: what goes out comes in again, and what can't be read is refused."""

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.instances import a_registration, an_instance

from discovery_server import json_codec, xml_codec
from discovery_server.answers import Codec
from discovery_server.errors import EurekaProblem, Incomplete, Unreadable
from discovery_server.instance import (
    AMAZON_DATA_CENTER_CLASS,
    DATA_CENTER_NAMES,
    DEFAULT_DATA_CENTER_CLASS,
    DataCenter,
    Instance,
    LeaseInfo,
    Port,
    Status,
)

CODECS: list[Codec] = [json_codec, xml_codec]

# What XML can carry; a carriage return is written as a reference.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r")
)
some_text = texts.filter(bool)
metadata = st.dictionaries(some_text.filter(lambda key: key != "@class"), texts, max_size=4)
ports = st.builds(Port, st.integers(0, 65535), st.booleans())
instances = st.builds(
    Instance,
    app=some_text.map(str.upper).filter(lambda app: app.upper() == app),
    host_name=some_text,
    ip_address=some_text,
    instance_id=st.none() | some_text,
    sid=some_text,
    status=st.sampled_from(Status).filter(lambda status: status is not Status.OUT_OF_SERVICE),  # see below
    overridden_status=st.sampled_from(Status),
    port=ports,
    secure_port=ports,
    country_id=st.integers(0, 999),
    data_center=st.builds(
        DataCenter, st.just(AMAZON_DATA_CENTER_CLASS), st.sampled_from(sorted(DATA_CENTER_NAMES)), metadata
    )
    | st.builds(DataCenter, st.just(DEFAULT_DATA_CENTER_CLASS), st.just("MyOwn"), st.just({})),
    lease=st.builds(LeaseInfo, st.integers(1, 900), st.integers(1, 900)),
    metadata=metadata,
    app_group_name=st.none() | texts,
    home_page_url=st.none() | texts,
    status_page_url=st.none() | texts,
    health_check_url=st.none() | texts,
    secure_health_check_url=st.none() | texts,
    vip_address=st.none() | texts,
    secure_vip_address=st.none() | texts,
    is_coordinating_discovery_server=st.booleans(),
    last_dirty_ms=st.integers(0, 2**62),
    asg_name=st.none() | texts,
)


@pytest.mark.parametrize("codec", CODECS, ids=["json", "xml"])
class TestRoundTrip:
    @settings(max_examples=60)
    @given(instance=instances)
    def test_what_is_written_is_read_as_it_was(self, codec: Codec, instance: Instance) -> None:
        assert codec.read_instance(codec.write_instance(instance)) == instance

    @settings(max_examples=60)
    @given(instance=instances)
    def test_any_xml_parser_and_any_json_parser_reads_every_document(self, codec: Codec, instance: Instance) -> None:
        parse: Any = json.loads if codec is json_codec else ElementTree.fromstring

        for compact in (False, True):
            fragments = [codec.write_fragment(instance, compact=compact)]
            parse(codec.write_application(instance.app, fragments))
            parse(codec.write_applications([(instance.app, fragments)], version=1, hash_code="UP_1_", compact=compact))


class TestReadInstance:
    def test_both_spellings_of_the_override_are_read(self) -> None:
        for name in ("overriddenstatus", "overriddenStatus"):
            assert read_json(**{name: "OUT_OF_SERVICE"}).overridden_status is Status.OUT_OF_SERVICE
            xml = as_xml(f"<{name}>OUT_OF_SERVICE</{name}>")
            assert xml_codec.read_instance(xml).overridden_status is Status.OUT_OF_SERVICE

    def test_numbers_may_be_texts_and_flags_may_be_flags(self) -> None:
        instance = read_json(
            port={"$": "8081", "@enabled": False},
            countryId="2",
            lastDirtyTimestamp=5,
            isCoordinatingDiscoveryServer=True,
        )

        assert instance.port == Port(8081, False)
        assert (instance.country_id, instance.last_dirty_ms) == (2, 5)
        assert instance.is_coordinating_discovery_server

    def test_what_was_not_sent_is_eurekas_default(self) -> None:
        instance = read_json(port=None, leaseInfo=None, status=None, lastDirtyTimestamp=None)

        assert (instance.port, instance.secure_port) == (Port(7001, True), Port(7002, False))
        assert instance.lease == LeaseInfo(30, 90)
        assert instance.status is Status.UP
        assert instance.last_dirty_ms is None

    @pytest.mark.parametrize("duration", [0, -1])
    def test_a_lease_of_no_duration_lasts_the_usual_one(self, duration: int) -> None:
        assert read_json(leaseInfo={"durationInSecs": duration}).lease.duration_seconds == 90

    def test_an_unknown_status_is_unknown_and_its_case_does_not_matter(self) -> None:
        assert read_json(status="WEIRD").status is Status.UNKNOWN
        assert read_json(status="down").status is Status.DOWN

    def test_the_empty_metadata_key_is_dropped(self) -> None:
        assert read_json(
            metadata={"": "x", "@class": "java.util.HashMap", "a": None, "b": 1.5, "c": True}
        ).metadata == {
            "a": "null",
            "b": "1.5",
            "c": "true",
        }

    @pytest.mark.parametrize(
        "fields",
        [
            {"port": 8080},
            {"port": {"$": 65536}},
            {"port": {"$": -1}},
            {"port": {"$": True}},
            {"port": {"$": 80.5}},
            {"port": []},
            {"countryId": "one"},
            {"countryId": 2**31},
            {"metadata": {"a": {"b": 1}}},
            {"metadata": ["a"]},
            {"metadata": "a"},
            {"metadata": {"a": "\x00"}},
            {"metadata": {"\x0b": "a"}},
            {"hostName": {"a": 1}},
            {"hostName": "\x1b[0m"},
            {"instanceId": "\ud800"},
            {"dataCenterInfo": "MyOwn"},
            {"dataCenterInfo": {"name": "MyOwn"}},
            {"dataCenterInfo": {"@class": "java.lang.Runtime", "name": "MyOwn"}},
            {"dataCenterInfo": {"@class": AMAZON_DATA_CENTER_CLASS, "name": "Somewhere"}},
            {"leaseInfo": 90},
            {"leaseInfo": {"durationInSecs": 10**10}},
            {"lastDirtyTimestamp": "yesterday"},
            {"lastDirtyTimestamp": 2**63},
            {"app": None},
            {"app": ""},
        ],
        ids=str,
    )
    def test_json_with_something_impossible_in_it_is_unreadable(self, fields: dict[str, Any]) -> None:
        with pytest.raises(Unreadable):
            read_json(**fields)

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"instanceId": None, "hostName": None}, "Missing instanceId"),
            ({"hostName": None}, "Missing hostname"),
            ({"ipAddr": ""}, "Missing ip address"),
            ({"dataCenterInfo": None}, "Missing dataCenterInfo"),
            ({"dataCenterInfo": {"@class": DEFAULT_DATA_CENTER_CLASS}}, "Missing dataCenterInfo Name"),
        ],
        ids=str,
    )
    def test_what_is_missing_is_named_in_eurekas_words(self, fields: dict[str, Any], sentence: str) -> None:
        with pytest.raises(Incomplete, match=f"^{sentence}$"):
            read_json(**fields)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"1",
            b'"instance"',
            b"{}",
            b'{"instance": 1}',
            b'{"instance": []}',
            b'{"instance": NaN}',
            b"\xff\xfe\xfd",
            b"[" * 100_000,
            b'{"instance": {"countryId": ' + b"9" * 10_000 + b"}}",
        ],
        ids=lambda body: body[:30],
    )
    def test_a_body_that_is_no_instance_in_json_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(Unreadable):
            json_codec.read_instance(body)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<instance>",
            b"<application/>",
            b"<instance/>",
            b"\x00",
            b'<?xml version="1.0" encoding="nonsense"?><instance/>',
            b'<!DOCTYPE i [<!ENTITY x SYSTEM "file:///etc/passwd">]><instance><app>&x;</app></instance>',
            b'<!DOCTYPE i [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><instance><app>&b;</app></instance>',
            b"<!DOCTYPE instance><instance/>",
            b"<instance>" + b"<a>" * 100_000,
        ],
        ids=lambda body: body[:60],
    )
    def test_a_body_that_is_no_instance_in_xml_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(Unreadable):
            xml_codec.read_instance(body)

    @pytest.mark.parametrize(
        "extra",
        [
            "<port>http</port>",
            "<port enabled='true'></port>",
            "<metadata><a><b>1</b></a></metadata>",
            "<metadata><_.d800>half of a pair</_.d800></metadata>",
            "<metadata><_.0001>x</_.0001></metadata>",
            "<leaseInfo><durationInSecs>long</durationInSecs></leaseInfo>",
            "<dataCenterInfo><name>MyOwn</name></dataCenterInfo>",
        ],
    )
    def test_xml_with_something_impossible_in_it_is_unreadable(self, extra: str) -> None:
        with pytest.raises(Unreadable):
            xml_codec.read_instance(as_xml(extra))

    @given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
    def test_no_bytes_whatever_fail_in_another_way(self, body: bytes) -> None:
        for codec in CODECS:
            with pytest.raises(EurekaProblem):
                codec.read_instance(body)

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )

    @given(name=st.sampled_from(sorted(a_registration()["instance"])), value=json_values)
    def test_a_field_of_any_type_is_read_or_refused(self, name: str, value: Any) -> None:
        body = json.dumps(a_registration(**{name: value})).encode("utf-8", "surrogatepass")

        try:
            instance = json_codec.read_instance(body)
        except EurekaProblem:
            return
        for codec in CODECS:
            assert codec.write_instance(instance)


class TestWriteInstance:
    def test_xml_of_one_instance_calls_out_of_service_down_as_eureka_does(self) -> None:
        instance = an_instance(status=Status.OUT_OF_SERVICE)

        assert b"<status>DOWN</status>" in xml_codec.write_instance(instance)
        assert b"<status>OUT_OF_SERVICE</status>" in xml_codec.write_fragment(instance)
        assert b'"status":"OUT_OF_SERVICE"' in json_codec.write_instance(instance)

    def test_the_types_of_json_are_eurekas(self) -> None:
        written = json.loads(json_codec.write_instance(replace(an_instance(), last_updated_ms=7)))["instance"]

        assert written["port"] == {"$": 8080, "@enabled": "true"}
        assert (written["lastUpdatedTimestamp"], written["lastDirtyTimestamp"]) == ("7", "1000")
        assert written["leaseInfo"]["durationInSecs"] == 15
        assert written["isCoordinatingDiscoveryServer"] == "false"
        assert written["metadata"] == {"@class": "java.util.Collections$EmptyMap"}
        assert "sid" not in written


class TestEscapeName:
    @pytest.mark.parametrize(
        ("key", "name"),
        [
            ("zone", "zone"),
            ("management.port", "management.port"),
            ("_u_v", "__u__v"),
            ("a b", "a_.0020b"),
            ("x/y", "x_.002fy"),
            ("1n", "_.0031n"),
            ("<z>", "_.003cz_.003e"),
            ("a$b", "a_-b"),
            ("-a", "_.002da"),
            ("ü", "ü"),
            ("a:b", "a_.003ab"),
            ("😀", "_.d83d_.de00"),
        ],
    )
    def test_it_is_xstreams(self, key: str, name: str) -> None:
        assert xml_codec.escape_name(key) == name
        assert xml_codec.unescape_name(name) == key


def read_json(**fields: Any) -> Instance:
    return json_codec.read_instance(json.dumps(a_registration(**fields)).encode())


def as_xml(extra: str) -> bytes:
    return (
        "<instance><instanceId>o1</instanceId><hostName>h</hostName><app>orders</app><ipAddr>1.2.3.4</ipAddr>"
        f'<dataCenterInfo class="{DEFAULT_DATA_CENTER_CLASS}"><name>MyOwn</name></dataCenterInfo>{extra}</instance>'
    ).encode()
