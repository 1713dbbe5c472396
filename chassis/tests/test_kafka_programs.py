"""Where Java and Kafka's jars are found, with programs in the place of Java and Maven."""

import shutil
from pathlib import Path

import pytest
from support.fake_java import JAVA, MAVEN, install

from chassis import kafka_programs
from chassis.kafka_programs import find_jars, find_java

OLD_JAVA = "#!/bin/sh\necho 'java version \"11.0.2\"' >&2\n"


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is on the PATH; nothing is installed elsewhere."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin/nothing")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(kafka_programs, "_INSTALLED_JAVAS", tmp_path / "jvm")
    return folder


class TestFindJava:
    def test_java_home_comes_before_the_path_and_the_path_before_what_is_installed(
        self, bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed = install("java", JAVA, tmp_path / "jvm" / "java-21" / "bin")
        assert find_java() == str(installed)

        on_path = install("java", JAVA, bin_folder)
        assert find_java() == str(on_path)

        at_home = install("java", JAVA, tmp_path / "home" / "bin")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
        assert find_java() == str(at_home)

    def test_one_that_is_too_old_is_passed_over(self, bin_folder: Path, tmp_path: Path) -> None:
        install("java", OLD_JAVA, bin_folder)
        installed = install("java", JAVA, tmp_path / "jvm" / "java-21" / "bin")

        assert find_java() == str(installed)

    def test_none_is_a_sentence(self, bin_folder: Path) -> None:
        with pytest.raises(OSError, match="needs Java 17 or newer, and there is none here: install it"):
            find_java()

    def test_only_older_ones_is_a_sentence_that_names_them(self, bin_folder: Path) -> None:
        old = install("java", OLD_JAVA, bin_folder)

        with pytest.raises(OSError, match=f"there is only older ones \\({old}\\) here"):
            find_java()


class TestFindJars:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("FLOTILLA_KAFKA_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    @pytest.fixture
    def maven(self, bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
        return install("mvn", MAVEN, bin_folder)

    def test_they_come_from_mavens_own_store_without_the_network(self, maven: Path, cache: Path) -> None:
        Path(f"{maven}.is-stocked").touch()

        jars = find_jars()

        assert [jar.name for jar in jars.iterdir()] == ["kafka.jar"]
        assert [*cache.iterdir()] == [jars]
        assert len(calls(maven)) == 1

    def test_what_the_store_does_not_have_comes_from_the_network(self, maven: Path) -> None:
        jars = find_jars()

        assert [jar.name for jar in jars.iterdir()] == ["kafka.jar"]
        assert ["--offline" in call for call in calls(maven)] == [True, False]

    def test_the_second_time_nobody_is_asked(self, maven: Path) -> None:
        first = find_jars()
        maven.unlink()

        assert find_jars() == first

    def test_jars_that_are_not_to_be_had_are_a_sentence_and_leave_nothing(self, maven: Path, cache: Path) -> None:
        Path(f"{maven}.is-away").touch()

        with pytest.raises(OSError, match=r"Maven can't get Apache Kafka's jars: Failed to resolve kafka_2\.13$"):
            find_jars()

        assert [*cache.iterdir()] == []

    def test_without_maven_it_says_so(self, bin_folder: Path) -> None:
        assert shutil.which("mvn") is None

        with pytest.raises(OSError, match="jars are not here yet, and what gets them is not installed: Maven"):
            find_jars()


def calls(maven: Path) -> list[str]:
    return Path(f"{maven}.calls").read_text().splitlines()
