"""When a silence is taken for a broken network."""

from discovery_server.preservation import PreservationRules, Pulse, is_network_silence

RULES = PreservationRules(minimum=10, share=0.5)


def pulses(app: str, number: int, *, silent_seconds: float) -> list[Pulse]:
    return [Pulse(app, silent_seconds, renewal_interval_seconds=5, duration_seconds=15)] * number


def test_sixty_percent_of_two_applications_is_the_network() -> None:
    assert is_network_silence(
        [*pulses("A", 3, silent_seconds=16), *pulses("B", 3, silent_seconds=11), *pulses("C", 4, silent_seconds=1)],
        RULES,
    )


def test_exactly_half_is_not() -> None:
    assert not is_network_silence(
        [*pulses("A", 3, silent_seconds=16), *pulses("B", 2, silent_seconds=16), *pulses("C", 5, silent_seconds=1)],
        RULES,
    )


def test_a_renewal_that_is_a_little_late_is_no_silence() -> None:
    assert not is_network_silence([*pulses("A", 1, silent_seconds=16), *pulses("B", 9, silent_seconds=7)], RULES)


def test_an_instance_that_has_let_half_of_its_lease_pass_is_silent_whatever_interval_it_told() -> None:
    assert Pulse("A", 2.1, renewal_interval_seconds=30, duration_seconds=4).is_silent
    assert not Pulse("A", 1.9, renewal_interval_seconds=30, duration_seconds=4).is_silent
