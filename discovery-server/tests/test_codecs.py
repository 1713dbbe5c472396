"""JSON and XML: what goes out comes in again, and what can't be read is refused."""

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.instances import a_registration, an_instance

from discovery_server.errors import EurekaProblem, Incomplete, Unreadable
from discovery_server.registry.instance import (
    AMAZON_DATA_CENTER_CLASS,
    DEFAULT_DATA_CENTER_CLASS,
    Action,
    DataCenter,
    Instance,
    LeaseInfo,
    Port,
    Status,
)
from discovery_server.wire import json_codec, xml_codec, xml_names
from discovery_server.wire.form import Codec

CODECS: list[Codec] = [json_codec, xml_codec]

# What XML can carry; a carriage return is written as a reference.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r")
)
some_text = texts.filter(bool)
metadata = st.dictionaries(some_text.filter(lambda key: key != "@class"), texts, max_size=4)
ports = st.builds(Port, st.integers(-1, 65535), st.booleans())
instances = st.builds(
    Instance,
    app=some_text.map(str.upper).filter(lambda app: app.upper() == app),
    host_name=some_text,
    ip_address=some_text,
    instance_id=st.none() | some_text,
    sid=some_text,
    status=st.sampled_from([Status.UP, Status.DOWN, Status.STARTING]),  # the others are below
    overridden_status=st.sampled_from(Status),
    port=ports,
    secure_port=ports,
    country_id=st.integers(0, 999),
    data_center=st.builds(
        DataCenter,
        st.just(AMAZON_DATA_CENTER_CLASS),
        st.just("Amazon"),
        metadata.map(lambda pairs: {**pairs, "instance-id": "i-1"}),
    )
    | st.builds(DataCenter, st.just(DEFAULT_DATA_CENTER_CLASS), st.sampled_from(["MyOwn", "Netflix"])),
    lease=st.builds(LeaseInfo, st.integers(1, 900), st.integers(1, 900)),
    metadata=metadata,
    app_group_name=st.none() | texts.map(str.upper).filter(lambda group: group.upper() == group),
    home_page_url=st.none() | texts,
    status_page_url=st.none() | texts,
    health_check_url=st.none() | texts,
    secure_health_check_url=st.none() | texts,
    vip_address=st.none() | texts,
    secure_vip_address=st.none() | texts,
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
    def test_a_compact_one_is_read_without_what_it_leaves_out(self, codec: Codec, instance: Instance) -> None:
        fragment = codec.write_fragment(instance, compact=True)
        kept = Instance(
            app=instance.app,
            host_name=instance.host_name,
            ip_address=instance.ip_address,
            instance_id=instance.instance_id,
            status=instance.status,
            port=instance.port,
            secure_port=instance.secure_port,
            data_center=instance.data_center.compact(),
            vip_address=instance.vip_address,
            secure_vip_address=instance.secure_vip_address,
            asg_name=instance.asg_name,
        )

        assert codec.read_instance(b'{"instance":%s}' % fragment if codec is json_codec else fragment) == kept

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
        )

        assert instance.port == Port(8081, False)
        assert (instance.country_id, instance.last_dirty_ms) == (2, 5)

    @pytest.mark.parametrize(
        ("sent", "number"), [("", 0), (" ", 0), (None, 1), (5.9, 5), ("5.9", 5), (" 7 ", 7), ("-3", -3), (1e3, 1000)]
    )
    def test_numbers_are_rounded_as_java_rounds_them(self, sent: object, number: int) -> None:
        assert read_json(countryId=sent).country_id == number

    @pytest.mark.parametrize(
        ("sent", "port"),
        [
            ({}, Port(7001, True)),
            ({"$": 5}, Port(5, True)),
            ({"@enabled": "false"}, Port(7001, False)),
            ({"$": None, "@enabled": None}, Port(0, False)),
            ({"$": "", "@enabled": ""}, Port(0, False)),
            ({"$": -1, "@enabled": "TRUE"}, Port(-1, False)),
            ({"$": 80, "@enabled": 1}, Port(80, True)),
            ({"$": 80, "@enabled": 0}, Port(80, False)),
            ({"$": 80.9, "@enabled": " true "}, Port(80, True)),
        ],
        ids=str,
    )
    def test_a_port_in_json_is_read_as_eureka_reads_it(self, sent: dict[str, object], port: Port) -> None:
        assert read_json(port=sent).port == port

    @pytest.mark.parametrize(
        ("xml", "enabled"),
        [
            ("<port>1</port>", True),
            ('<port enabled="TRUE">1</port>', True),
            ('<port enabled="">1</port>', True),
            ('<port enabled="false">1</port>', False),
            ("<securePort>1</securePort>", False),
            ('<securePort enabled="TRUE">1</securePort>', False),
            ('<securePort enabled="true">1</securePort>', True),
        ],
    )
    def test_a_port_in_xml_is_open_and_a_secure_one_closed_unless_it_says_otherwise(
        self, xml: str, enabled: bool
    ) -> None:
        instance = xml_codec.read_instance(as_xml(xml))

        assert (instance.secure_port if "secure" in xml else instance.port) == Port(1, enabled)

    def test_of_two_overrides_the_last_one_counts(self) -> None:
        first = read_json(overriddenStatus="UP", overriddenstatus="DOWN")
        second = read_json(overriddenstatus="DOWN", overriddenStatus="UP")
        xml = xml_codec.read_instance(
            as_xml("<overriddenStatus>UP</overriddenStatus><overriddenstatus>down</overriddenstatus>")
        )

        assert (first.overridden_status, second.overridden_status) == (Status.DOWN, Status.UP)
        assert xml.overridden_status is Status.DOWN

    def test_a_group_is_in_upper_case(self) -> None:
        assert read_json(appGroupName="shop").app_group_name == "SHOP"

    @pytest.mark.parametrize(("sid", "kept"), [(None, "na"), ("", ""), ("na", "na"), ("x", "x")])
    def test_a_sid_is_kept_as_it_is(self, sid: str | None, kept: str) -> None:
        assert read_json(sid=sid).sid == kept
        assert (b'"sid"' in json_codec.write_instance(read_json(sid=sid))) == (kept != "na")

    def test_a_stamp_without_digits_is_0_in_json_and_not_there_in_xml(self) -> None:
        assert read_json(lastDirtyTimestamp="").last_dirty_ms == 0
        assert xml_codec.read_instance(as_xml("<lastDirtyTimestamp/>")).last_dirty_ms is None

    def test_what_was_not_sent_is_eurekas_default(self) -> None:
        instance = read_json(port=None, leaseInfo=None, status=None, lastDirtyTimestamp=None)

        assert (instance.port, instance.secure_port) == (Port(7001, True), Port(7002, False))
        assert instance.lease == LeaseInfo(30, 90)
        assert instance.status is Status.UP
        assert instance.last_dirty_ms is None

    @pytest.mark.parametrize("duration", [0, -1])
    def test_a_lease_of_no_duration_lasts_the_usual_one(self, duration: int) -> None:
        assert read_json(leaseInfo={"durationInSecs": duration}).lease.duration_seconds == 90

    def test_an_unknown_status_is_unknown_and_its_case_does_not_matter_in_xml_alone(self) -> None:
        for text in ("WEIRD", "down", " UP", "", 5, True):
            assert read_json(status=text).status is Status.UNKNOWN
        for text, status in {"": Status.UNKNOWN, "down": Status.DOWN, " UP ": Status.UNKNOWN}.items():
            assert xml_codec.read_instance(as_xml(f"<status>{text}</status>")).status is status

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
            {"port": {"$": -2}},
            {"port": {"$": True}},
            {"port": {"$": "80.5.1"}},
            {"port": {"$": 1e300}},
            {"port": {"$": float("nan")}},
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
            {"dataCenterInfo": {"@class": DEFAULT_DATA_CENTER_CLASS, "name": "Somewhere"}},
            {"leaseInfo": 90},
            {"leaseInfo": {"durationInSecs": 10**10}},
            {"lastDirtyTimestamp": "yesterday"},
            {"lastDirtyTimestamp": 2**63},
            {"actionType": []},
            {"lastUpdatedTimestamp": {}},
            {"isCoordinatingDiscoveryServer": []},
            {"dataCenterInfo": {"@class": AMAZON_DATA_CENTER_CLASS, "name": "Amazon"}},
            {"vipAddress": "x" * 4097},
            {"metadata": {f"key{number}": "" for number in range(501)}},
            {"metadata": {f"key{number}": "x" * 4000 for number in range(17)}},
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
            "<dataCenterInfo><name>myown</name></dataCenterInfo>",
            "<metadata><x:y>1</z:y></metadata>",
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


class TestDataCenter:
    def test_its_class_is_written_by_its_name(self) -> None:
        mine = read_json(dataCenterInfo={"@class": "com.netflix.appinfo.MyDataCenterInfo", "name": "Netflix"})
        amazons = read_json(dataCenterInfo={"@class": AMAZON_DATA_CENTER_CLASS, "metadata": {"instance-id": "i-1"}})

        assert mine.data_center == DataCenter(DEFAULT_DATA_CENTER_CLASS, "Netflix")
        assert amazons.data_center == DataCenter(AMAZON_DATA_CENTER_CLASS, "Amazon", {"instance-id": "i-1"})

    def test_amazons_has_an_instance_id_if_need_be_the_instances_own(self) -> None:
        for center in (
            {"@class": AMAZON_DATA_CENTER_CLASS, "name": "Amazon", "metadata": {}},
            {"@class": DEFAULT_DATA_CENTER_CLASS, "name": "Amazon"},
        ):
            assert read_json(dataCenterInfo=center).data_center.metadata == {"instance-id": "o1"}
        without_id = read_json(dataCenterInfo=center, instanceId=None)
        assert (without_id.key, without_id.data_center.metadata) == ("h.test", {"instance-id": "h.test"})

    def test_without_an_id_of_its_own_an_instance_has_amazons(self) -> None:
        center = {"@class": AMAZON_DATA_CENTER_CLASS, "name": "Amazon", "metadata": {"instance-id": "i-1"}}

        assert read_json(dataCenterInfo=center, instanceId=None).key == "i-1"
        assert read_json(dataCenterInfo=center, instanceId="").key == "i-1"

    def test_compact_documents_have_the_five_entries_of_amazons_that_calls_need(self) -> None:
        kept = {"instance-id": "i-1", "public-ipv4": "1.2.3.4", "public-hostname": "h", "local-ipv4": "10.0.0.1"}
        kept["availability-zone"] = "z1"
        center = DataCenter(AMAZON_DATA_CENTER_CLASS, "Amazon", {**kept, "ami-id": "x", "a": "b"})
        instance = an_instance(data_center=center, asg_name="group")

        as_json = json.loads(json_codec.write_fragment(instance, compact=True))
        as_xml = ElementTree.fromstring(xml_codec.write_fragment(instance, compact=True))

        assert as_json["dataCenterInfo"]["metadata"] == kept
        assert {entry.tag: entry.text for entry in as_xml.findall("dataCenterInfo/metadata/*")} == kept
        assert (as_json["asgName"], as_xml.findtext("asgName")) == ("group", "group")

    @pytest.mark.parametrize("attribute", ["", ' class="java.lang.Runtime"'])
    def test_in_xml_the_name_decides_and_the_class_is_not_read(self, attribute: str) -> None:
        name = f"<dataCenterInfo{attribute}><name>amazon</name><metadata><a>1</a></metadata></dataCenterInfo>"
        amazons = xml_codec.read_instance(as_xml(name))

        assert amazons.data_center == DataCenter(AMAZON_DATA_CENTER_CLASS, "Amazon", {"a": "1", "instance-id": "o1"})
        assert xml_codec.read_instance(as_xml("", attribute)).data_center == DataCenter()


class TestReadApplications:
    @settings(max_examples=40)
    @given(listed=st.lists(instances, max_size=3))
    def test_what_another_server_lists_is_read_as_it_was(self, listed: list[Instance]) -> None:
        applications = [(instance.app, [json_codec.write_fragment(instance)]) for instance in listed]
        body = json_codec.write_applications(applications, version=1, hash_code="")

        assert json_codec.read_applications(body) == listed

    def test_what_happened_to_an_instance_there_is_kept(self) -> None:
        lease = LeaseInfo(5, 15, registered_ms=1, renewed_ms=2, evicted_ms=3, up_since_ms=4)
        there = an_instance(
            status=Status.UNKNOWN, lease=lease, last_updated_ms=5, last_dirty_ms=6, action=Action.DELETED
        )
        body = json_codec.write_applications(
            [("ORDERS", [json_codec.write_fragment(there)])], version=7, hash_code="UP_1_"
        )

        assert json_codec.read_applications(body) == [there]

    def test_a_list_of_one_may_lack_its_brackets_and_a_bad_entry_spoils_no_other(self) -> None:
        good, bad = a_registration()["instance"], a_registration(port="80")["instance"]
        alone = {"applications": {"application": {"name": "ORDERS", "instance": good}}}
        several = {"applications": {"application": [{"name": "ORDERS", "instance": [bad, good, None, 5]}]}}

        for document in (alone, several):
            (found,) = json_codec.read_applications(json.dumps(document).encode())
            assert (found.app, found.key) == ("ORDERS", "o1")
        assert json_codec.read_applications(b'{"applications": {}}') == []

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'{"applications": []}', b'{"applications": {"application": 5}}', b"[" * 100_000]
    )
    def test_something_else_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(Unreadable):
            json_codec.read_applications(body)


class TestXmlNames:
    def test_a_colon_in_a_name_is_part_of_it(self) -> None:
        xml = "<metadata><a:b>1</a:b><c:d xmlns:c='u'>2</c:d></metadata>"

        assert xml_codec.read_instance(as_xml(xml)).metadata == {"a:b": "1", "c:d": "2"}

    def test_comments_instructions_and_sections_are_no_text(self) -> None:
        xml = "<metadata><a>1<!-- x -->2<?php x?>3<![CDATA[<4>]]></a></metadata>"

        assert xml_codec.read_instance(as_xml(xml)).metadata == {"a": "123<4>"}


class TestWriteInstance:
    def test_xml_of_one_instance_calls_out_of_service_and_unknown_down_as_eureka_does(self) -> None:
        for status in Status:
            instance = an_instance(status=status)
            known = status if status in (Status.UP, Status.DOWN, Status.STARTING) else Status.DOWN

            assert f"<status>{known}</status>".encode() in xml_codec.write_instance(instance)
            assert f"<status>{status}</status>".encode() in xml_codec.write_fragment(instance)
            assert f'"status":"{status}"'.encode() in json_codec.write_instance(instance)

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
        assert xml_names.escape_name(key) == name
        assert xml_names.unescape_name(name) == key


def read_json(**fields: Any) -> Instance:
    return json_codec.read_instance(json.dumps(a_registration(**fields)).encode())


def as_xml(extra: str, attribute: str = f' class="{DEFAULT_DATA_CENTER_CLASS}"') -> bytes:
    return (
        "<instance><instanceId>o1</instanceId><hostName>h</hostName><app>orders</app><ipAddr>1.2.3.4</ipAddr>"
        f"<dataCenterInfo{attribute}><name>MyOwn</name></dataCenterInfo>{extra}</instance>"
    ).encode()
