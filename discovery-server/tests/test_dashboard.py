"""The pages for people: what they show, and what they let nobody do."""

import gzip
import re
import time
from html.parser import HTMLParser

import httpx
import pytest
from chassis.testing.waiting import until
from support.clock import FakeClock
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.dashboard.contents import APPLICATIONS_SHOWN, Wish
from discovery_server.dashboard.overview import Overviews, Surroundings, write_overview
from discovery_server.peers.peers import PeerView
from discovery_server.registry.instance import DataCenter, Status
from discovery_server.registry.registry import Registry

# Everything that ends an attribute, an element, a script or a template; a URL that runs; and letters of all sizes.
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{key}%s&amp;\u202e\U0001f600"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class Page(HTMLParser):
    """A page as a browser reads it: every element with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] and self.elements[-1][0] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of instances."""
        return [row for row in self.all("tr") if "id" in row]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry(clock: FakeClock) -> Registry:
    return Registry(clock.clock)


def overview(registry: Registry, wish: Wish | None = None, **around: object) -> Page:
    return Page(html_of(registry, wish, **around))


def html_of(registry: Registry, wish: Wish | None = None, **around: object) -> str:
    return write_overview(Surroundings(registry, 0.0, **around), wish or Wish())  # type: ignore[arg-type]


class TestOverview:
    def test_it_shows_an_instance_with_status_lease_version_zone_owner_and_links(
        self, registry: Registry, clock: FakeClock
    ) -> None:
        instance = an_instance(
            metadata={"version": "1.4.2", "zone": "eu-1a"},
            home_page_url="http://h.test:8080/",
            health_check_url="https://h.test:8080/health",
        )
        registry.register(instance, owner="ORDERS-OWNER")
        clock.advance(4.6)

        page = overview(registry)

        assert "o1 h.test:8080" in page.text
        assert "● up" in page.text
        assert "renewed 4 s ago of 15 s" in page.text
        assert "1.4.2 eu-1a ORDERS-OWNER home health" in page.text
        assert {"http://h.test:8080/", "https://h.test:8080/health"} <= {link["href"] for link in page.all("a")}

    def test_an_amazon_instance_has_amazons_zone(self, registry: Registry) -> None:
        data_center = DataCenter(name="Amazon", metadata={"availability-zone": "us-east-1c"})
        registry.register(an_instance(data_center=data_center))

        assert "us-east-1c" in overview(registry).text

    def test_it_counts_in_its_header(self, registry: Registry) -> None:
        for number, status in enumerate((Status.UP, Status.UP, Status.DOWN, Status.OUT_OF_SERVICE)):
            registry.register(an_instance("AB"[number % 2], f"i{number}", status=status))

        page = overview(registry)

        assert "Applications 2 Instances 4 Up 2 Out of service 1 Not ready 1 Late 0 Kept 0" in page.text
        assert "4 instances of 2 applications are registered: 2 up, 1 down, 1 out of service." in page.text

    def test_it_says_who_is_late(self, registry: Registry, clock: FakeClock) -> None:
        registry.register(an_instance(duration=15))
        clock.advance(8)

        page = overview(registry)

        assert "renewed 8 s ago of 15 s, late" in page.text
        assert "Late 1" in page.text

    def test_a_lease_of_two_durations_is_shown_as_long_as_it_lasts(self, registry: Registry, clock: FakeClock) -> None:
        registry.register(an_instance(duration=15))
        clock.advance(1)

        assert "renewed 1 s ago of 30 s" in overview(registry, lease_factor=2.0).text

    def test_it_says_how_long_the_server_is_up_and_that_it_serves(self, registry: Registry, clock: FakeClock) -> None:
        clock.advance(3 * 3600 + 12 * 60)

        text = overview(registry).text
        assert f"server {registry.server_id[:8]} · up 3 h 12 min · serving" in text
        assert "reads are refused: no peer has answered yet" in (
            overview(registry, not_serving=lambda: "no peer has answered yet").text
        )

    def test_it_says_what_left_and_why_and_what_arrived(self, registry: Registry, clock: FakeClock) -> None:
        registry.register(an_instance(key="left"), owner="ORDERS")
        registry.register(an_instance(key="ran-out", duration=3))
        registry.cancel("ORDERS", "left", by="ORDERS")
        clock.advance(4)
        registry.sweep()

        text = overview(registry).text
        gone, came = text[text.index("Left lately") :].split("Arrived lately")
        assert "ran-out ORDERS ran out: no renewal for 4 s, its lease is 3 s" in gone
        assert "left ORDERS left ORDERS" in gone
        assert gone.index("ran-out") < gone.index("left ORDERS left")
        assert "ran-out ORDERS ● up" in came

    def test_it_shows_peers_and_whether_they_agree(self, registry: Registry) -> None:
        peers = [
            PeerView("http://d2:8761/eureka/", "discovery-server", "ab12cd34ef", True, None, 1.2, 0, 0.0, True, 0.004),
            PeerView("http://d3:8761/eureka/", "unknown", None, False, "it is <away>", None, 12, 8.2, None, None),
            PeerView("http://d4:8761/eureka/", "eureka", "x", True, None, 1.0, 3, 0.0, False, None),
        ]
        text = overview(registry, peers=lambda: peers).text

        assert "http://d2:8761/eureka/ a discovery-server, ab12cd34 ● there answers in 4 ms ● agrees 1 s ago" in text
        assert "http://d3:8761/eureka/ not met yet ▼ away it is <away> ◇ not compared never 12, the oldest 8 s" in text
        assert "◐ differs" in text

    def test_a_server_on_its_own_says_so(self, registry: Registry) -> None:
        assert "This server is on its own" in overview(registry).text

    def test_an_empty_registry_says_what_to_do(self, registry: Registry) -> None:
        assert "Nobody is registered yet. Point a Eureka client at /eureka/" in overview(registry).text

    def test_every_table_has_a_caption_and_heads_with_scopes(self, registry: Registry) -> None:
        registry.register(an_instance())
        page = overview(registry)

        assert len(page.all("table")) == len(page.all("caption"))
        assert all(head.get("scope") in ("row", "col") for head in page.all("th"))
        assert all("lang" in element for element in page.all("html"))


class TestPreservation:
    def test_it_says_who_is_kept_and_why(self, registry: Registry, clock: FakeClock) -> None:
        for number in range(12):
            registry.register(an_instance("AB"[number % 2], f"i{number}", duration=3))
        assert "kept though" not in overview(registry).text
        clock.advance(3.5)
        registry.sweep()

        text = overview(registry).text

        assert "12 instances are kept though their leases ran out" in text
        assert f"{registry.kept['A', 'i0']}. A : i0 , i10 , i2 , i4 , i6 , i8 B : i1" in text
        assert "▲ 6 kept" in text
        assert "ran out and kept" in text
        assert "Kept 12" in text
        assert "12 of 12 are kept" in text

    def test_while_nobody_is_kept_it_says_what_would_have_to_happen(self, registry: Registry) -> None:
        registry.register(an_instance())

        text = overview(registry).text

        assert "Nobody is kept" in text
        assert (
            "at least 10 instances are registered (now 1), more than 50% of them are silent at once (now 0 of 1)"
            in text
        )
        assert "for 10 min after their lease at most" in text

    def test_it_says_what_becomes_of_those_who_are_silent(self, registry: Registry, clock: FakeClock) -> None:
        registry.register(an_instance())
        clock.advance(8)

        text = overview(registry).text

        assert "ORDERS , 1 of 1: not kept; all its 1 instances are silent" in text


@pytest.fixture(scope="module")
def crowd() -> Registry:
    """10,000 instances of 200 applications; one of them is out of service."""
    registry = Registry()
    for number in range(10_000):
        registry.register(an_instance(f"APP-{number % 200:03}", f"i{number}", metadata={"zone": f"z{number % 7}"}))
    registry.override_status("APP-150", "i150", Status.OUT_OF_SERVICE)
    return registry


class TestManyInstances:
    def test_ten_thousand_make_a_page_that_is_bounded_in_size_and_time(self, crowd: Registry) -> None:
        began = time.process_time()
        html = html_of(crowd)
        spent = time.process_time() - began

        assert len(html) < 400_000
        assert len(gzip.compress(html.encode(), 1)) < 40_000
        assert len(Page(html).rows) <= 200
        assert spent < 0.5  # 0.05 on an idle machine

    def test_a_page_is_written_once_a_second_for_all_who_look_at_it(self, registry: Registry, clock: FakeClock) -> None:
        pages = Overviews(Surroundings(registry, 0.0))
        first = pages.write(Wish())
        clock.advance(0.9)
        assert pages.write(Wish()) is first
        assert pages.write(Wish(page=2)) is not first

        registry.register(an_instance())
        changed = pages.write(Wish())
        assert "o1" in changed

        clock.advance(1.1)
        assert "renewed 1 s ago" in Page(pages.write(Wish())).text

    def test_ten_thousand_applications_are_bounded_too(self) -> None:
        registry = Registry()
        for number in range(10_000):
            registry.register(an_instance(f"APP-{number}", "i"))

        page = overview(registry)

        assert len(page.all("details")) == APPLICATIONS_SHOWN
        assert "Page 1 of 100" in page.text
        assert "Page 100 of 100" in overview(registry, Wish(page=9999)).text

    def test_a_large_application_shows_its_first_and_a_link_to_the_rest(self) -> None:
        registry = Registry()
        for number in range(450):
            registry.register(an_instance("BIG", f"i{number:03}"))

        first = overview(registry)
        second = overview(registry, Wish(app="BIG", page=2))

        assert len(first.rows) == 50
        assert "Show all 450 of them" in first.text
        assert "/?app=BIG" in [link["href"] for link in first.all("a")]
        assert len(second.rows) == 200
        assert {link["href"] for link in second.all("a") if "rel" in link} >= {"/?app=BIG", "/?app=BIG&page=3"}

    def test_who_is_in_trouble_is_shown_first_and_open(self, crowd: Registry) -> None:
        page = overview(crowd, Wish(page=2))

        opened = [details["data-key"] for details in page.all("details") if "open" in details]
        assert opened == ["app APP-150"]
        assert "■ out of service" in page.text

    def test_words_are_looked_for_in_all_that_is_shown(self, crowd: Registry) -> None:
        found = overview(crowd, Wish(words="app-007 Z3"))

        assert found.rows
        assert all(" z3 " in row for row in re.findall(r"h\.test:8080.*?Take out", found.text))
        assert [details["data-key"] for details in found.all("details")] == ["app APP-007"]
        assert "of 10000 match" in found.text
        assert overview(crowd, Wish(words="nothing-like-it")).text.count("Nothing registered matches") == 1

    def test_a_status_can_be_looked_for(self, crowd: Registry) -> None:
        assert len(overview(crowd, Wish(state="OUT_OF_SERVICE")).rows) == 1

    def test_the_header_leads_to_those_it_counts(self, clock: FakeClock) -> None:
        registry = Registry(clock.clock)
        for number in range(12):
            registry.register(an_instance("AB"[number % 2], f"kept-{number}", duration=3))
        clock.advance(3.5)
        registry.sweep()
        registry.register(an_instance("C", "down", status=Status.DOWN))
        registry.register(an_instance("C", "out", status=Status.OUT_OF_SERVICE))
        registry.register(an_instance("C", "up"))

        links = [link["href"] for link in overview(registry).all("a")]

        for state, count in (("UP", 13), ("OUT_OF_SERVICE", 1), ("not-ready", 1), ("late", 12), ("kept", 12)):
            assert f"/?status={state}" in links
            assert f"{count} of 15 match" in overview(registry, Wish(state=state)).text


class TestHostileNames:
    def test_nothing_that_a_client_sent_becomes_markup(self, clock: FakeClock) -> None:
        # given the same things registered under a hostile name and under a plain one
        hostile, plain = (self.a_page_about(name, clock) for name in (HOSTILE, "plain"))

        # then both pages have the same elements with the same attributes, and the hostile texts are but texts
        assert [(tag, [*attributes]) for tag, attributes in hostile.elements] == [
            (tag, [*attributes]) for tag, attributes in plain.elements
        ]
        assert "".join(hostile.words).count(HOSTILE) >= 8
        for link in hostile.all("a"):
            assert link["href"].startswith(("http://h/", "/", "#")) or not link["href"]

    def a_page_about(self, name: str, clock: FakeClock) -> Page:
        registry = Registry(clock.clock)
        instance = an_instance(
            name.upper(),
            name,
            host_name=name,
            metadata={"version": name, "zone": name},
            home_page_url=f"javascript:alert('{name}')",
            status_page_url=f"http://h/{name}",
            health_check_url=f" data:text/html,{name}",
            secure_health_check_url="JavaScript:alert(1)",
        )
        registry.register(instance, owner=name)
        registry.register(an_instance(name.upper(), name + "2"), owner=name)
        registry.cancel(name.upper(), name + "2", by=name)
        peer = PeerView(name, "unknown", name, False, name, None, 0, 0.0, None, None)
        return overview(registry, Wish(words=name, app=name.upper()), peers=lambda: [peer])

    def test_a_change_of_an_instance_with_an_odd_name_asks_for_that_one(self, registry: Registry) -> None:
        registry.register(an_instance("A&B", HOSTILE))

        link = next(link["href"] for link in overview(registry).all("a") if "data-dialog" in link)

        query = httpx.URL("http://h" + link).params
        assert (query["app"], query["id"], query["to"]) == ("A&B", HOSTILE, "out")


class TestPages:
    @pytest.mark.parametrize("path", ["/", "/lastn", "/override?app=ORDERS&id=o1&to=out"])
    async def test_a_page_lets_nothing_run_or_load_that_is_not_its_own(self, server: RunningServer, path: str) -> None:
        server.registry.register(an_instance())
        async with httpx.AsyncClient() as client:
            answer = await client.get(server.url + path)

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        page = Page(answer.text)
        for tag, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcset")], tag
        assert not [src for tag, attributes in page.elements if (src := attributes.get("src"))]

    async def test_a_page_is_zipped_for_who_can_read_that(self, server: RunningServer) -> None:
        for number in range(60):
            server.registry.register(an_instance(key=f"i{number}"))
        async with httpx.AsyncClient() as client:
            zipped = await client.get(server.url, headers={"Accept-Encoding": "gzip"})
            plain = await client.get(server.url, headers={"Accept-Encoding": "identity"})

        assert zipped.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert "i59" in zipped.text

    async def test_who_may_not_read_is_asked_for_a_credential(self) -> None:
        async with running_server(credentials={"orders": "pw"}) as server, httpx.AsyncClient() as client:
            for path in ("/", "/lastn", "/discovery/departures"):
                refused = await client.get(server.url + path)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"].startswith("Basic ")
                assert (await client.get(server.url + path, auth=("orders", "pw"))).status_code == 200

    @pytest.mark.parametrize("query", ["page=0", "page=x", "page=99999999", "q=%00", f"q={'x' * 1001}"])
    async def test_an_odd_question_is_a_problem_that_says_so(self, server: RunningServer, query: str) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{server.url}/?{query}")

        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_lastn_tells_all_that_is_remembered(self, server: RunningServer) -> None:
        for number in range(1100):
            server.registry.register(an_instance(key=f"i{number}"))
            server.registry.cancel("ORDERS", f"i{number}")
        async with httpx.AsyncClient() as client:
            page = Page((await client.get(f"{server.url}/lastn")).text)

        assert len(page.all("time")) == 2000
        assert "i1099" in page.text
        assert "i99 " not in page.text

    async def test_departures_are_told_as_json_too(self, server: RunningServer) -> None:
        server.registry.register(an_instance(key="gone"), owner="ORDERS")
        server.registry.cancel("ORDERS", "gone", by="SOMEBODY")
        async with httpx.AsyncClient(base_url=server.url) as client:
            told = (await client.get("/discovery/departures", params={"limit": 1})).json()
            refused = await client.get("/discovery/departures", params={"limit": 1001})

        (departure,), (arrival,) = told["departures"], told["arrivals"]
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", departure.pop("at"))
        assert departure == {
            "application": "ORDERS",
            "instanceId": "gone",
            "status": "UP",
            "by": "SOMEBODY",
            "why": "left",
        }
        assert arrival["by"] == "ORDERS"
        assert refused.status_code == 422
        assert refused.json()["detail"].startswith("query: limit")


FORM = {"app": "ORDERS", "id": "o1", "to": "out", "back": "/?q=orders"}


class TestOverride:
    async def test_an_instance_is_taken_out_of_service_and_put_back(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        await client.post("apps/ORDERS", json=a_registration())

        question = await client.get(f"{server.url}/override", params=FORM)
        out = await client.post(f"{server.url}/override", data=FORM, headers=SAME_ORIGIN)

        assert "Take this instance out of service?" in question.text
        assert "stop sending it requests" in question.text
        assert out.status_code == 303
        assert re.fullmatch("/\\?q=orders#i[0-9a-f]{16}", out.headers["location"])
        assert server.registry.instance("ORDERS", "o1").status is Status.OUT_OF_SERVICE
        # It stays so, whatever it says of itself.
        await client.post("apps/ORDERS", json=a_registration())
        assert server.registry.instance("ORDERS", "o1").status is Status.OUT_OF_SERVICE
        assert "Put back" in (await client.get(server.url)).text

        question = await client.get(f"{server.url}/override", params=FORM | {"to": "back"})
        back = await client.post(f"{server.url}/override", data=FORM | {"to": "back"}, headers=SAME_ORIGIN)

        assert "the status that it tells of itself" in question.text
        assert back.status_code == 303
        assert server.registry.instance("ORDERS", "o1").status is Status.UP

    async def test_one_that_was_down_when_it_was_taken_out_has_to_say_anew_what_it_is(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        await client.post("apps/ORDERS", json=a_registration(status="DOWN"))
        for to in ("out", "back"):
            await client.post(f"{server.url}/override", data=FORM | {"to": to}, headers=SAME_ORIGIN)

        assert server.registry.instance("ORDERS", "o1").status is Status.UNKNOWN
        assert (await client.put("apps/ORDERS/o1")).status_code == 404  # register again

    async def test_one_that_is_kept_though_its_lease_ran_out_can_be_taken_out_too(self, clock: FakeClock) -> None:
        async with running_server(clock=clock.clock, sweep_seconds=0.02) as server, httpx.AsyncClient() as client:
            for number in range(12):
                server.registry.register(an_instance("AB"[number % 2], f"i{number}", duration=3))
            clock.advance(3.5)
            await until(lambda: server.registry.kept, timeout_seconds=5)
            form = {"app": "A", "id": "i0", "to": "out"}

            assert (await client.get(f"{server.url}/override", params=form)).status_code == 200
            for to in ("out", "back"):
                done = await client.post(f"{server.url}/override", data=form | {"to": to}, headers=SAME_ORIGIN)
                assert done.status_code == 303

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
            {"Origin": "http://evil.test"},
            {"Origin": "null"},
            {},
        ],
    )
    async def test_a_form_of_another_site_changes_nothing(
        self, server: RunningServer, headers: dict[str, str], client: httpx.AsyncClient
    ) -> None:
        await client.post("apps/ORDERS", json=a_registration())

        answer = await client.post(f"{server.url}/override", data=FORM, headers=headers)

        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert server.registry.instance("ORDERS", "o1").status is Status.UP

    async def test_a_browser_that_only_tells_its_origin_is_believed(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        await client.post("apps/ORDERS", json=a_registration())

        answer = await client.post(f"{server.url}/override", data=FORM, headers={"Origin": server.url})

        assert answer.status_code == 303

    async def test_only_an_admin_may(self) -> None:
        async with (
            running_server(credentials={"orders": "pw"}, admin_credentials={"ada": "secret"}) as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            server.registry.register(an_instance(), owner="ORDERS")
            for credential in (("", ""), ("orders", "pw"), ("ada", "wrong")):
                for answer in (
                    await client.get("/override", params=FORM, auth=credential),
                    await client.post("/override", data=FORM, headers=SAME_ORIGIN, auth=credential),
                ):
                    assert answer.status_code == 401  # not 403: then the browser asks for another name
                    assert answer.headers["www-authenticate"].startswith("Basic ")
            assert server.registry.instance("ORDERS", "o1").status is Status.UP

            done = await client.post("/override", data=FORM, headers=SAME_ORIGIN, auth=("ada", "secret"))
            assert done.status_code == 303
            assert server.registry.instance("ORDERS", "o1").status is Status.OUT_OF_SERVICE

            log = (await client.get("/discovery/audit", auth=("ada", "secret"))).json()
            newest = log["items"][0]
            assert (newest["action"], newest["by"], newest["instance"]) == ("overridden", "ADA", "o1")

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (b"", "The form lacks app, id, to."),
            (b"app=ORDERS&id=o1&to=away", "`out` or `back`"),
            (b"app=%FF&id=o1&to=out", "can't be read"),
            (b"&".join([b"a=1"] * 50), "can't be read"),
            (b"app=" + b"x" * 30_000, "short form"),
        ],
    )
    async def test_an_odd_form_is_a_400_that_says_why(self, server: RunningServer, body: bytes, says: str) -> None:
        headers = {**SAME_ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{server.url}/override", content=body, headers=headers)

        assert answer.status_code == 400
        assert says in answer.json()["detail"]

    async def test_json_is_no_form(self, server: RunningServer) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{server.url}/override", json=FORM, headers=SAME_ORIGIN)

        assert answer.status_code == 400

    async def test_an_instance_that_has_left_is_a_404(self, server: RunningServer) -> None:
        async with httpx.AsyncClient() as client:
            for answer in (
                await client.get(f"{server.url}/override", params=FORM),
                await client.post(f"{server.url}/override", data=FORM, headers=SAME_ORIGIN),
            ):
                assert answer.status_code == 404

    @pytest.mark.parametrize("back", ["https://evil.test/", "//evil.test/?q=x", "javascript:alert(1)", "\r\nX: 1"])
    async def test_nobody_is_sent_to_another_site(
        self, server: RunningServer, client: httpx.AsyncClient, back: str
    ) -> None:
        await client.post("apps/ORDERS", json=a_registration())

        answer = await client.post(f"{server.url}/override", data=FORM | {"back": back}, headers=SAME_ORIGIN)

        assert answer.status_code == 303
        assert re.fullmatch("/(\\?q=x)?#i[0-9a-f]{16}", answer.headers["location"])
