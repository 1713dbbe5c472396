"""What Apache Kafka is run from: a Java that is new enough, and the broker's jars, which Maven gets."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_OLDEST_JAVA = 17  # Kafka 4 is compiled for it
_JAVA_SECONDS = 60.0
_INSTALLED_JAVAS = Path("/usr/lib/jvm")

_POM = Path(__file__).with_name("apache_kafka") / "pom.xml"
LOG_SETTINGS = _POM.with_name("log4j2.properties")


def find_java() -> str:
    """The path of a Java that runs Kafka. Raises OSError with a sentence."""
    too_old = []
    for candidate in _javas():
        try:
            told = subprocess.run(  # noqa: S603 - a Java of this machine
                [candidate, "-version"], capture_output=True, text=True, check=False, timeout=_JAVA_SECONDS
            ).stderr
        except (OSError, subprocess.TimeoutExpired):
            continue
        if (found := re.search(r'version "(\d+)', told)) is None:
            continue
        if int(found[1]) >= _OLDEST_JAVA:
            return str(candidate)
        too_old.append(str(candidate))
    older = f"only older ones ({', '.join(too_old)})" if too_old else "none"
    raise OSError(
        f"Apache Kafka needs Java {_OLDEST_JAVA} or newer, and there is {older} here: install it (on Debian and Ubuntu "
        "openjdk-17-jre-headless), or name its folder in JAVA_HOME."
    )


def _javas() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if on_path := shutil.which("java"):
        yield Path(on_path)
    yield from sorted(_INSTALLED_JAVAS.glob("*/bin/java"), reverse=True)


def kafka_version() -> str:
    found = re.search(r"<kafka\.version>(.+?)</", _POM.read_text())
    assert found is not None
    return found[1]


def find_jars() -> Path:
    """The folder with the jars, which is filled the first time: from Maven's own store, else from the network.

    It lies in FLOTILLA_KAFKA_CACHE, else ~/.cache/flotilla-kafka. Raises OSError with a sentence.
    """
    cache_folder = Path(os.environ.get("FLOTILLA_KAFKA_CACHE") or Path.home() / ".cache" / "flotilla-kafka")
    jars = cache_folder / f"{kafka_version()}-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise OSError(
            "Apache Kafka's jars are not here yet, and what gets them is not installed: Maven (on Debian and Ubuntu "
            "its package is maven)."
        )
    cache_folder.mkdir(parents=True, exist_ok=True)
    # Beside its place first, so that the jars are there all or not at all.
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=cache_folder))
    try:
        _copy_jars(maven, unfinished)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(jars)
        except OSError:
            if not jars.is_dir():  # else somebody else was quicker, with the same
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return jars


def _copy_jars(maven: str, folder: Path) -> None:
    command = [maven, "--batch-mode", "--quiet", "--strict-checksums", f"--file={_POM}"]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    for connection in (["--offline"], []):
        done = subprocess.run(  # noqa: S603 - Maven, with our own pom
            [*command, *connection], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
    reasons = [line.removeprefix("[ERROR]").strip() for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
    raise OSError(f"Maven can't get Apache Kafka's jars: {(reasons or [done.stderr.strip() or 'it said nothing'])[0]}")
