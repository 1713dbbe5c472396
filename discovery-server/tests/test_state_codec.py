"""States as JSON: what goes out comes in again, and what can't be read is refused alone."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.instances import an_instance
from test_codecs import instances, texts

from discovery_server.registry.clock import Stamp
from discovery_server.registry.instance import Action, Instance, LeaseInfo, Status
from discovery_server.registry.state import Override, State, Version
from discovery_server.wire.state_codec import StateUnreadable, read_state, read_states, write_state

some_text = texts.filter(bool)
longs = st.integers(-(2**63) + 1, 2**63 - 1)
stamps = st.builds(Stamp, st.integers(0, 2**62), texts)
versions = st.builds(Version, longs, stamps)
overrides = st.builds(Override, st.none() | st.sampled_from(Status), stamps, st.booleans())
whole_instances = st.builds(
    lambda instance, status, lease, updated_ms, dirty_ms, action: replace(
        instance, status=status, lease=lease, last_updated_ms=updated_ms, last_dirty_ms=dirty_ms, action=action
    ),
    instances,
    st.sampled_from(Status),
    st.builds(LeaseInfo, st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1), longs, longs, longs, longs),
    longs,
    st.none() | longs,
    st.sampled_from(Action),
)
milliseconds = st.integers(0, 10**9).map(lambda ms: ms / 1000)


@st.composite
def states(draw: st.DrawFn) -> State:
    instance = draw(st.none() | whole_instances)
    return State(
        app=instance.app if instance else draw(some_text.map(str.upper).filter(lambda app: app.upper() == app)),
        key=instance.key if instance else draw(some_text),
        version=draw(versions),
        instance=instance,
        own_status=draw(st.sampled_from(Status)),
        owner=draw(st.none() | some_text),
        silent_seconds=draw(milliseconds) if instance else 0.0,
        override=draw(st.none() | overrides),
    )


def a_state(**fields: Any) -> State:
    usual = {
        "app": "ORDERS",
        "key": "o1",
        "version": Version(1000, Stamp(2000, "s1")),
        "instance": an_instance(metadata={"zone": "z1"}),
        "own_status": Status.UP,
        "owner": "ORDERS",
        "silent_seconds": 1.5,
        "override": Override(Status.OUT_OF_SERVICE, Stamp(3000, "s2")),
    }
    return State(**{**usual, **fields})


def over_the_wire(state: State) -> Any:
    return json.loads(json.dumps(write_state(state)))


class TestReadState:
    @settings(max_examples=100)
    @given(state=states())
    def test_what_is_written_is_read_as_it_was(self, state: State) -> None:
        assert read_state(over_the_wire(state)) == state

    def test_every_field_of_an_instance_is_known_to_the_codec(self) -> None:
        changed: dict[str, Any] = {
            "app": "ORDERS",
            "sid": "s",
            "status": Status.DOWN,
            "overridden_status": Status.DOWN,
            "action": Action.DELETED,
        }
        for field in fields(Instance):
            if field.type in ("str | None", str | None):
                changed[field.name] = f"its {field.name}"
            elif field.type in ("int", int, int | None):
                changed[field.name] = 7
        plain = {"host_name", "ip_address", "port", "secure_port", "data_center", "lease", "metadata"}
        assert changed.keys() | plain == {field.name for field in fields(Instance)}
        state = a_state(key=changed["instance_id"], instance=an_instance(**changed))

        assert read_state(over_the_wire(state)) == state

    def test_fields_of_a_newer_server_are_ignored(self) -> None:
        sent = over_the_wire(a_state())
        sent["colour"] = sent["instance"]["colour"] = "blue"

        assert read_state(sent) == a_state()

    @pytest.mark.parametrize("sent", [None, 1, "state", [], {}, {"app": "ORDERS"}, [["app", "ORDERS"]]], ids=repr)
    def test_what_is_no_state_is_refused(self, sent: object) -> None:
        with pytest.raises(StateUnreadable):
            read_state(sent)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("app", "orders"),
            ("app", "BILLING"),
            ("app", ""),
            ("app", None),
            ("key", "o2"),
            ("key", "o\x00"),
            ("version", None),
            ("version", [1000]),
            ("version", [1000, [2000, "s1"], 1]),
            ("version", ["1000", [2000, "s1"]]),
            ("version", [True, [2000, "s1"]]),
            ("version", [1000, [-1, "s1"]]),
            ("version", [1000, [2**70, "s1"]]),
            ("version", [1000, [1.5, "s1"]]),
            ("version", [1000, [2000, None]]),
            ("own_status", "SLEEPING"),
            ("own_status", None),
            ("owner", 1),
            ("owner", ""),
            ("silent_seconds", -1),
            ("silent_seconds", float("nan")),
            ("silent_seconds", float("inf")),
            ("silent_seconds", True),
            ("silent_seconds", "1"),
            ("override", []),
            ("override.status", "SLEEPING"),
            ("override.stamp", None),
            ("override.buried", 1),
            ("instance", []),
            ("instance", {"app": "ORDERS", "instance_id": "o1"}),
            ("instance.host_name", ""),
            ("instance.host_name", "\ud800"),
            ("instance.host_name", ["h"]),
            ("instance.instance_id", 1),
            ("instance.status", "SLEEPING"),
            ("instance.action", "SLEPT"),
            ("instance.port", [-2, True]),
            ("instance.port", 8080),
            ("instance.port", [65536, True]),
            ("instance.port", [80, "true"]),
            ("instance.country_id", 2**31),
            ("instance.last_updated_ms", "1"),
            ("instance.lease", []),
            ("instance.lease.duration_seconds", 0),
            ("instance.lease.duration_seconds", 2**31),
            ("instance.lease.renewed_ms", None),
            ("instance.metadata", ["zone"]),
            ("instance.metadata", {"": "z1"}),
            ("instance.metadata", {"@class": "z1"}),
            ("instance.metadata", {"zone": {"a": "b"}}),
            ("instance.data_center", {}),
            ("instance.data_center", ["java.lang.Runtime", "MyOwn", {}]),
            ("instance.data_center", ["com.netflix.appinfo.MyDataCenterInfo", "MyOwn", {"a": "b"}]),
            ("instance.data_center", [["com.netflix.appinfo.MyDataCenterInfo"], "MyOwn", {}]),
        ],
        ids=repr,
    )
    def test_a_field_that_can_not_be_is_refused_by_name(self, path: str, value: object) -> None:
        sent = over_the_wire(a_state())
        *above, name = path.split(".")
        place = sent
        for part in above:
            place = place[part]
        place[name] = value

        with pytest.raises(StateUnreadable, match="the state of"):
            read_state(sent)


class TestReadStates:
    def test_a_bad_state_is_refused_alone_and_with_a_reason(self) -> None:
        good, bad = over_the_wire(a_state()), over_the_wire(a_state())
        bad["instance"]["lease"]["duration_seconds"] = -1

        states, refusals = read_states([bad, good, 7])

        assert states == [a_state()]
        assert refusals == [
            "the state of 'o1' of 'ORDERS': instance: lease: duration_seconds: -1 s is no duration",
            "a state: it is no object",
        ]
