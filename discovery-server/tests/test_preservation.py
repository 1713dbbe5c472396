"""Whose silence is taken for the network's, and what is said of it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_server.registry.preservation import Judgement, PreservationRules, Pulse, judge

RULES = PreservationRules(minimum=10, share=0.5, limit_seconds=600)

ALIVE, LATE, SILENT, RUN_OUT = 1.0, 7.0, 11.0, 16.0  # seconds without a renewal; the lease is 15 s, of 5 s each


def pulses(app: str, *silences: float) -> list[Pulse]:
    """Instances of an application: `app-0` is silent for the first of these times."""
    return [
        Pulse(app, f"{app}-{number}", seconds, renewal_interval_seconds=5, duration_seconds=15)
        for number, seconds in enumerate(silences)
    ]


def kept(judgement: Judgement) -> set[str]:
    return {key for verdict in judgement.verdicts.values() for key in verdict.kept}


class TestTheWholeRegistry:
    def test_sixty_percent_of_two_applications_is_the_network_d3(self) -> None:
        judgement = judge(
            [*pulses("A", *[RUN_OUT] * 3), *pulses("B", *[SILENT] * 3), *pulses("C", *[ALIVE] * 4)], RULES
        )

        assert kept(judgement) == {"A-0", "A-1", "A-2", "B-0", "B-1", "B-2"}
        assert judgement.network is not None
        assert judgement.network.startswith("6 of all 10 instances, of 2 applications, are silent: more than 50%")
        assert judgement.keeps == {"A": judgement.network, "B": judgement.network}

    def test_exactly_half_is_not(self) -> None:
        assert not kept(
            judge([*pulses("A", *[RUN_OUT] * 3), *pulses("B", *[RUN_OUT] * 2), *pulses("C", *[ALIVE] * 5)], RULES)
        )

    def test_one_application_that_dies_whole_is_believed_d3(self) -> None:
        judgement = judge([*pulses("A", *[RUN_OUT] * 30), *pulses("B", *[ALIVE] * 5)], RULES)

        assert not kept(judgement)
        assert judgement.verdicts["A"].why == (
            "all its 30 instances are silent: an application that dies whole is believed to be dead"
        )

    def test_one_application_alone_in_the_registry_is_believed_as_well(self) -> None:
        assert not kept(judge(pulses("A", *[RUN_OUT] * 30), RULES))

    def test_a_small_registry_is_never_preserved(self) -> None:
        assert not kept(judge([*pulses("A", *[RUN_OUT] * 4), *pulses("B", *[RUN_OUT] * 5)], RULES))

    def test_a_renewal_that_is_a_little_late_is_no_silence(self) -> None:
        judgement = judge([*pulses("A", RUN_OUT), *pulses("B", *[LATE] * 9)], RULES)

        assert not kept(judgement)
        assert list(judgement.verdicts) == ["A"]


class TestOneApplication:
    def test_a_majority_that_went_silent_at_once_is_kept_while_the_others_renew(self) -> None:
        judgement = judge([*pulses("A", *[RUN_OUT] * 6, *[ALIVE] * 4), *pulses("B", *[ALIVE] * 20)], RULES)

        assert kept(judgement) == {f"A-{number}" for number in range(6)}
        assert judgement.network is None
        assert judgement.why_kept("A", "A-0") == judgement.keeps["A"]
        assert judgement.keeps["A"].startswith("6 of its 10 instances went silent within 5 s of each other")
        assert judgement.why_kept("A", "A-6") is judgement.why_kept("B", "B-0") is None

    @pytest.mark.parametrize(
        ("silences", "why"),
        [
            pytest.param([RUN_OUT] * 10, "all its 10 instances are silent", id="it died whole"),
            pytest.param([RUN_OUT] * 8 + [ALIVE], "below 10 nothing is preserved", id="too small"),
            pytest.param([RUN_OUT] * 5 + [ALIVE] * 5, "no more than 50%", id="half"),
            pytest.param(
                [16.0, 22.0, 28.0, 34.0, 40.0, 46.0, ALIVE, ALIVE, ALIVE, ALIVE],
                "6 of its 10 instances are silent, but only 1 of them fell silent within 5 s",
                id="one after the other",
            ),
            pytest.param(
                [616.0] * 6 + [ALIVE] * 4, "kept for 600 s after their lease, which is the limit", id="too long ago"
            ),
        ],
    )
    def test_otherwise_it_is_believed_and_told_why(self, silences: list[float], why: str) -> None:
        judgement = judge([*pulses("A", *silences), *pulses("B", *[ALIVE] * 20)], RULES)

        assert not kept(judgement)
        assert why in judgement.verdicts["A"].why

    def test_the_limit_counts_from_the_end_of_the_lease(self) -> None:
        assert kept(judge(pulses("A", *[614.0] * 6, *[ALIVE] * 4), RULES))

    def test_who_fell_silent_at_another_time_is_believed_though_a_majority_is_kept(self) -> None:
        judgement = judge(pulses("A", 40.0, 19.0, 18.0, 17.0, 16.0, 15.5, 15.1, *[ALIVE] * 3), RULES)

        assert kept(judgement) == {f"A-{number}" for number in range(1, 7)}

    def test_those_who_are_silent_but_still_hold_a_lease_count_for_the_majority(self) -> None:
        assert "A-0" in kept(judge(pulses("A", RUN_OUT, *[SILENT] * 5, *[ALIVE] * 4), RULES))

    def test_switched_off_nothing_is_kept(self) -> None:
        judgement = judge(pulses("A", *[RUN_OUT] * 6, *[ALIVE] * 4), PreservationRules(enabled=False))

        assert not kept(judgement)
        assert judgement.verdicts["A"].why == "self-preservation is switched off"


class TestPulse:
    def test_who_has_let_half_of_its_lease_pass_is_silent_whatever_interval_it_told(self) -> None:
        assert Pulse("A", "a", 2.1, renewal_interval_seconds=30, duration_seconds=4).is_silent
        assert not Pulse("A", "a", 1.9, renewal_interval_seconds=30, duration_seconds=4).is_silent

    def test_an_interval_longer_than_the_lease_is_not_believed(self) -> None:
        assert Pulse("A", "a", 0, renewal_interval_seconds=30, duration_seconds=6).period_seconds == 2
        assert Pulse("A", "a", 0, renewal_interval_seconds=2, duration_seconds=90).period_seconds == 2


# Silences fall on both sides of every border: late, overdue, run out, beyond the limit.
SILENCES = st.one_of(st.floats(0, 40), st.floats(600, 640))
APPS = st.dictionaries(st.sampled_from("ABCD"), st.lists(SILENCES, max_size=16), max_size=4)


def registry_of(apps: dict[str, list[float]]) -> list[Pulse]:
    return [pulse for app, silences in apps.items() for pulse in pulses(app, *silences)]


class TestAlways:
    @given(APPS)
    def test_only_the_silent_are_kept_and_every_silent_one_has_a_reason(self, apps: dict[str, list[float]]) -> None:
        everyone = registry_of(apps)
        judgement = judge(everyone, RULES)

        silent = {pulse.key for pulse in everyone if pulse.is_silent}
        assert kept(judgement) <= silent
        assert silent == {pulse.key for verdict in judgement.verdicts.values() for pulse in verdict.silent}
        assert all(verdict.why for verdict in judgement.verdicts.values())

    @given(st.dictionaries(st.sampled_from("ABCD"), st.lists(SILENCES, max_size=9), max_size=4))
    def test_nothing_is_kept_below_the_smallest_size(self, apps: dict[str, list[float]]) -> None:
        everyone = registry_of(apps)

        assert not kept(judge(everyone, PreservationRules(minimum=len(everyone) + 1)))

    @given(st.lists(st.floats(15.1, 1000), min_size=1, max_size=40), st.integers(0, 40))
    def test_one_whole_application_that_dies_alone_is_believed_d3(self, silences: list[float], others: int) -> None:
        assert not kept(judge([*pulses("A", *silences), *pulses("B", *[ALIVE] * others)], RULES))

    @given(APPS, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
    def test_a_greater_share_never_keeps_more(self, apps: dict[str, list[float]], one: float, other: float) -> None:
        everyone = registry_of(apps)
        lower, greater = sorted((one, other))

        assert kept(judge(everyone, PreservationRules(share=greater))) <= kept(
            judge(everyone, PreservationRules(share=lower))
        )

    @given(st.integers(10, 20), st.data())
    def test_one_more_that_falls_silent_with_the_others_never_ends_it(self, size: int, data: st.DataObject) -> None:
        silent = data.draw(st.integers(size // 2 + 1, size - 2))

        fewer = judge(pulses("A", *[RUN_OUT] * silent, *[ALIVE] * (size - silent)), RULES)
        more = judge(pulses("A", *[RUN_OUT] * (silent + 1), *[ALIVE] * (size - silent - 1)), RULES)

        assert kept(fewer) < kept(more)

    @given(APPS)
    def test_the_order_of_the_pulses_makes_no_difference(self, apps: dict[str, list[float]]) -> None:
        everyone = registry_of(apps)

        assert judge(everyone, RULES).keeps == judge(reversed(everyone), RULES).keeps


class TestOverTime:
    """Applications whose instances renew every 5 s, each at its own moment, and are swept every second."""

    @given(st.lists(st.floats(0, 4.99), min_size=12, max_size=40), st.sampled_from([2, 3, 6]), st.data())
    def test_one_that_dies_whole_is_gone_after_one_lease_and_a_sweep_d2(
        self, phases: list[float], intervals: int, data: st.DataObject
    ) -> None:
        lease = 5.0 * intervals
        others = data.draw(st.integers(0, 60))
        silences = [phase % 5 for phase in phases]  # at its death

        gone_after = self.gone_after(silences, [ALIVE] * others, lease)

        assert all(seconds <= lease - silence + 1 for seconds, silence in zip(gone_after, silences, strict=True))

    @given(st.lists(st.floats(0, 4.99), min_size=12, max_size=40), st.data())
    def test_a_part_that_is_cut_off_is_kept_until_the_limit(self, phases: list[float], data: st.DataObject) -> None:
        number = len(phases)
        cut_off = data.draw(st.integers(number // 2 + 1, number - 1))

        gone_after = self.gone_after(phases[:cut_off], [ALIVE] * (number - cut_off), 15, same_app=True, until=40)

        assert gone_after == [float("inf")] * cut_off

    def gone_after(
        self, silences: list[float], alive: list[float], lease: float, *, same_app: bool = False, until: float = 100
    ) -> list[float]:
        """When each of the silent is dropped, from now on; of the living none ever is."""
        gone = [float("inf")] * len(silences)
        second = 0.0
        while second < until and float("inf") in gone:
            second += 1
            dying = [
                Pulse("A", str(number), silence + second, 5, lease)
                for number, silence in enumerate(silences)
                if gone[number] == float("inf")
            ]
            living = [
                Pulse("A" if same_app else "B", f"alive-{n}", silence, 5, lease) for n, silence in enumerate(alive)
            ]
            judgement = judge([*dying, *living], RULES)
            for pulse in dying:
                if pulse.overrun_seconds > 0 and judgement.why_kept("A", pulse.key) is None:
                    gone[int(pulse.key)] = second
        return gone


def test_ten_thousand_pulses_are_judged_in_a_moment() -> None:
    everyone = [pulse for app in range(200) for pulse in pulses(f"A{app}", *[RUN_OUT] * 30, *[ALIVE] * 20)]

    started = time.process_time()
    judgement = judge(everyone, RULES)

    assert len(kept(judgement)) == 6000
    assert time.process_time() - started < 0.1  # 15 ms here; it is done once a second, on the event loop
