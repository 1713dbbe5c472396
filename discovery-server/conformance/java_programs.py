"""Spring Cloud's Eureka, server and client: built by Maven once, kept in a cache, run by Java."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from chassis.testing.waiting import until

_PROJECT = Path(__file__).parent / "spring"
_OLDEST_JAVA = 17  # Spring Boot 4 is compiled for it
_BUILD_SECONDS, _START_SECONDS, _STOP_SECONDS = 900.0, 90.0, 20.0
# A program that lives for a minute: little memory, and no time spent on making it fast.
_JAVA_OPTIONS = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class CannotRun(Exception):
    """Why, in one sentence."""


def find_program() -> Path:
    """The jar with both, which is built the first time: from Maven's own store, else from the network.

    It lies in FLOTILLA_EUREKA_CACHE, else in ~/.cache/flotilla-eureka. Raises CannotRun.
    """
    _check_java()
    sources = sorted(path for path in _PROJECT.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    cache = Path(os.environ.get("FLOTILLA_EUREKA_CACHE") or Path.home() / ".cache" / "flotilla-eureka")
    jar = cache / f"spring-eureka-{digest}.jar"
    if not jar.is_file():
        if shutil.which("mvn") is None:
            raise CannotRun("Maven is not installed, which gets Spring Cloud's Eureka (on Debian and Ubuntu: maven).")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as folder:
            _build(Path(folder)).rename(jar)
    return jar


def _check_java() -> None:
    needed = f"Java {_OLDEST_JAVA} or newer is needed (on Debian and Ubuntu: openjdk-17-jdk-headless)"
    if shutil.which("java") is None:
        raise CannotRun(f"{needed}, and there is none here.")
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        raise CannotRun(f"{needed}, and the one here is {found[1] if found else 'unknown'}.")


def _build(folder: Path) -> Path:
    project = shutil.copytree(_PROJECT, folder / "project")
    command = ["mvn", "--batch-mode", "--quiet", f"--file={project / 'pom.xml'}", "package"]
    said = ""
    for connection in (["--offline"], []):
        try:
            done = subprocess.run(
                [*command, *connection],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_BUILD_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise CannotRun(f"Maven did not end within {_BUILD_SECONDS:.0f} s.") from None
        if done.returncode == 0:
            return next((project / "target").glob("*.jar"))
        said = done.stdout
    reasons = [line.removeprefix("[ERROR]").strip() for line in said.splitlines() if line.startswith("[ERROR]")]
    raise CannotRun(f"Maven can't build Spring Cloud's Eureka: {(reasons or ['it said nothing'])[0]}")


@asynccontextmanager
async def eureka_server(jar: Path, log: Path, port: int | None = None, **properties: object) -> AsyncIterator[str]:
    """A real server, empty, its read-only cache off. Its base URL, such as `http://127.0.0.1:1234/eureka/`."""
    port = port or free_port()
    settings = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "eureka.client.register-with-eureka": "false",
        "eureka.client.fetch-registry": "false",
        "eureka.server.use-read-only-response-cache": "false",
        "eureka.server.wait-time-in-ms-when-sync-empty": 0,
        **{name.replace("__", "."): value for name, value in properties.items()},
    }
    url = f"http://127.0.0.1:{port}/eureka/"
    async with _running(jar, "conformance.server.Server", settings, log) as process, httpx.AsyncClient() as client:

        async def answers() -> bool:
            _check_runs(process, log)
            try:
                return (await client.get(f"{url}apps")).status_code == 200
            except httpx.TransportError:
                return False

        await until(answers, timeout_seconds=_START_SECONDS)
        yield url


@dataclass
class JavaClient:
    """A process with Spring Cloud's client in it; it says what it sees whenever it has looked."""

    process: asyncio.subprocess.Process
    said: dict[str, Any]
    looks: int = 0

    @property
    def sees(self) -> dict[str, str]:
        """`APP/id` and status. Raises CannotRun if it has ended."""
        if self.process.returncode:
            raise CannotRun(f"the Java client ended with exit code {self.process.returncode}")
        found: dict[str, str] = self.said.get("sees", {}).get("instances", {})
        return found

    async def tell(self, order: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{order}\n".encode())
        await self.process.stdin.drain()

    async def ask(self, order: str, answer: str) -> Any:
        self.said.pop(answer, None)
        await self.tell(order)
        await until(lambda: answer in self.said, timeout_seconds=20)
        return self.said[answer]

    async def listen(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            if line.startswith(b"{"):
                told = json.loads(line)
                self.looks += "sees" in told
                self.said |= told


@asynccontextmanager
async def java_client(jar: Path, log: Path, *urls: str, name: str, **properties: object) -> AsyncIterator[JavaClient]:
    """It renews and looks every second, with a lease of three. `urls` have its credential in them."""
    settings = {
        "spring.main.web-application-type": "none",
        "spring.application.name": name,
        "server.port": 9001,
        "eureka.client.service-url.defaultZone": ",".join(urls),
        "eureka.client.jersey.enabled": "false",
        "eureka.client.filter-only-up-instances": "false",
        "eureka.client.registry-fetch-interval-seconds": 1,
        "eureka.client.instance-info-replication-interval-seconds": 1,
        "eureka.client.initial-instance-info-replication-interval-seconds": 0,
        "eureka.instance.instance-id": f"127.0.0.1:{name}:9001",
        "eureka.instance.ip-address": "127.0.0.1",
        "eureka.instance.prefer-ip-address": "true",
        "eureka.instance.lease-renewal-interval-in-seconds": 1,
        "eureka.instance.lease-expiration-duration-in-seconds": 3,
        "eureka.instance.metadata-map.zone": "z1",
        **{name.replace("__", "."): value for name, value in properties.items()},
    }
    async with _running(jar, "conformance.client.Client", settings, log) as process:
        client = JavaClient(process, {})
        listening = asyncio.create_task(client.listen())
        try:
            yield client
        finally:
            listening.cancel()


@asynccontextmanager
async def _running(
    jar: Path, main_class: str, settings: dict[str, object], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            "java",
            *_JAVA_OPTIONS,
            f"-Dloader.main={main_class}",
            *("-cp", str(jar), "org.springframework.boot.loader.launch.PropertiesLauncher"),
            *(f"--{name}={value}" for name, value in settings.items()),
            "--logging.file.name=" + str(log.with_suffix(".java")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if "Client" in main_class else errors,
            stderr=errors,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


def _check_runs(process: asyncio.subprocess.Process, log: Path) -> None:
    if process.returncode is not None:
        last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise CannotRun(f"the real server ended with exit code {process.returncode}: {last}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    # For the Makefile: builds what is needed, or says in a sentence what is missing.
    try:
        find_program()
    except CannotRun as why:
        raise SystemExit(f"conformance-eureka: {why}") from None
