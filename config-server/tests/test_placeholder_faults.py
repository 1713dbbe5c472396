"""Which placeholders of an environment come to nothing."""

from config_server.placeholder_faults import EnvironmentPlaceholders


def test_a_missing_one_is_named_once_where_it_stands() -> None:
    placeholders = EnvironmentPlaceholders({"a": "${b} ${b}", "c": "${a}"})

    assert placeholders.faults("${b} ${b}") == ["nothing gives ${b} a value"]
    assert placeholders.faults("${a}") == []


def test_the_default_counts_where_the_key_is_missing_alone() -> None:
    placeholders = EnvironmentPlaceholders({"there": 1})

    assert placeholders.faults("${there:${missing}}") == []
    assert placeholders.faults("${gone:${missing}}") == ["nothing gives ${missing} a value"]


def test_the_name_may_be_made_of_placeholders() -> None:
    placeholders = EnvironmentPlaceholders({"which": "one", "map.one": 1})

    assert placeholders.faults("${map.${which}}") == []
    assert placeholders.faults("${other.${which}}") == ["nothing gives ${other.one} a value"]


def test_a_key_is_found_in_each_of_its_spellings() -> None:
    placeholders = EnvironmentPlaceholders({"server-port": 1})

    assert placeholders.faults("${serverPort} ${server_port}") == []
    assert placeholders.asks_for("server.port") is False
    assert placeholders.asks_for("serverport")
