"""What the pages do in Chromium: live, by hand, by keyboard, on a phone, in the dark, and with hostile names."""

import time
from pathlib import Path

import pytest
from support.instances import an_instance
from support.server import RunningServer, running_server

from discovery_server.registry.instance import Status

from .conftest import OpenTab, Tab

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
HOSTILE = "\"'><script>alert(1)</script><img src=/x onerror=alert(1)><!--{key}&lt;"


def small_fleet(server: RunningServer) -> None:
    for app in ("GATEWAY", "ORDER-SERVICE", "PAYMENT-SERVICE"):
        for number in (1, 2):
            key = f"127.0.0.1:{app.lower()}:2000{number}"
            links = {"home_page_url": "http://127.0.0.1/", "health_check_url": "http://127.0.0.1/health"}
            metadata = {"version": "0.1.0", "zone": "eu-1a"}
            server.registry.register(an_instance(app, key, duration=600, metadata=metadata, **links), owner=app)


async def mark(tab: Tab) -> None:
    """Something that a reload would take away."""
    await tab.page.evaluate("window.loadedOnce = true")


async def is_marked(tab: Tab) -> bool:
    return bool(await tab.page.evaluate("window.loadedOnce === true"))


class TestLive:
    async def test_an_instance_appears_changes_and_leaves_without_a_reload(
        self, server: RunningServer, open_tab: OpenTab
    ) -> None:
        tab = await open_tab()
        await tab.has_text("Nobody is registered yet")
        await mark(tab)

        server.registry.register(an_instance("ORDERS", "o1"))
        await tab.has_text("o1", within=".instances")
        await tab.has_text("1 up", within=".app summary")

        server.registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
        await tab.has_text("1 out of service", within=".app summary")

        server.registry.cancel("ORDERS", "o1")
        await tab.has_text("Nobody is registered yet")
        await tab.has_text("o1", within="section[data-key=left]")
        assert await is_marked(tab)

    async def test_a_lease_that_runs_out_is_seen_to(self, server: RunningServer, open_tab: OpenTab) -> None:
        tab = await open_tab()
        server.registry.register(an_instance("ORDERS", "o1", duration=2))

        await tab.has_text("o1", within=".instances")
        await tab.has_text("ran out: no renewal for 2 s, its lease is 2 s", within="section[data-key=left]")

    async def test_ages_count_while_the_server_is_away_and_it_says_so(
        self, server: RunningServer, open_tab: OpenTab
    ) -> None:
        small_fleet(server)
        tab = await open_tab(may_complain=True)  # Chromium logs requests that fail
        await tab.has_text("Live", within=".live")
        age = tab.page.locator(".age").first

        await tab.page.route("**/*", lambda route: route.abort())
        await tab.has_text("Not reached; trying again", within=".live")
        said = await age.text_content()
        await tab.page.wait_for_function("said => document.querySelector('.age').textContent !== said", arg=said)

        await tab.page.unroute("**/*")
        await tab.has_text("Live", within=".live")

    async def test_focus_scroll_and_what_is_open_stay(self, server: RunningServer, open_tab: OpenTab) -> None:
        for number in range(20):
            server.registry.register(an_instance(f"APP-{number:02}", "i", duration=600))
        tab = await open_tab()
        await tab.page.locator("details[data-key='app APP-15'] summary").click()  # closes it
        button = tab.page.locator("details[data-key='app APP-17'] a.button")
        await button.focus()
        await tab.page.evaluate("window.before = [scrollY, document.activeElement]")
        assert await tab.page.evaluate("scrollY") > 0

        server.registry.register(an_instance("APP-99", "new"))  # below what is seen: nothing has to move
        server.registry.cancel("APP-16", "i")
        await tab.has_text("new", within="details[data-key='app APP-99']")

        assert await tab.page.evaluate("document.activeElement === window.before[1] && before[1].isConnected")
        assert await tab.page.locator("details[data-key='app APP-15'][open]").count() == 0
        assert await tab.page.locator("details[data-key='app APP-17'][open]").count() == 1
        assert await tab.page.locator("details[data-key='app APP-16']").count() == 0
        # The browser keeps what is seen in its place, so it scrolls by what went away above at most.
        assert abs(await tab.page.evaluate("scrollY - window.before[0]")) < 150

    async def test_who_had_the_focus_and_left_hands_it_to_the_page(
        self, server: RunningServer, open_tab: OpenTab
    ) -> None:
        small_fleet(server)
        tab = await open_tab()
        await tab.page.locator("details[data-key='app GATEWAY'] a.button").first.focus()

        for number in (1, 2):
            server.registry.cancel("GATEWAY", f"127.0.0.1:gateway:2000{number}")
        await tab.page.wait_for_function("() => document.activeElement === document.getElementById('main')")

    async def test_words_filter_without_a_reload_and_stay_in_the_address(
        self, server: RunningServer, open_tab: OpenTab
    ) -> None:
        small_fleet(server)
        tab = await open_tab()
        await mark(tab)

        await tab.page.get_by_label("Filter").fill("payment 20002")
        await tab.has_text("1 of 6 match")

        assert await tab.page.locator(".instances tbody tr").count() == 1
        assert await is_marked(tab)
        assert tab.page.url.endswith("/?q=payment+20002")
        await tab.page.reload()
        assert await tab.page.get_by_label("Filter").input_value() == "payment 20002"
        await tab.has_text("1 of 6 match")


class TestOutOfService:
    async def test_by_the_button_and_back(self, server: RunningServer, open_tab: OpenTab) -> None:
        small_fleet(server)
        key = "127.0.0.1:order-service:20001"
        tab = await open_tab()

        await tab.page.get_by_role("link", name=f"Take out: {key}").click()
        dialog = tab.page.get_by_role("dialog", name="Take this instance out of service?")
        await dialog.get_by_text("stop sending it requests").wait_for()
        assert server.registry.instance("ORDER-SERVICE", key).status is Status.UP  # nothing yet
        await dialog.get_by_role("button", name="Take out of service").click()

        await tab.has_text("out of service", within="details[data-key='app ORDER-SERVICE'] td.status")
        assert server.registry.instance("ORDER-SERVICE", key).status is Status.OUT_OF_SERVICE
        assert "#i" in tab.page.url

        await tab.page.get_by_role("link", name=f"Put back: {key}").click()
        await tab.page.get_by_role("button", name="Put back into service").click()

        await tab.has_text("2 up", within="details[data-key='app ORDER-SERVICE'] summary")
        assert server.registry.instance("ORDER-SERVICE", key).status is Status.UP

    async def test_by_the_keyboard_alone(self, server: RunningServer, open_tab: OpenTab) -> None:
        small_fleet(server)
        key = "127.0.0.1:gateway:20001"
        tab = await open_tab()
        keyboard = tab.page.keyboard

        await keyboard.press("Tab")
        assert await focused(tab) == "Skip to the contents"
        await tab_to(tab, "Take out")
        await keyboard.press("Enter")
        await tab.page.get_by_role("dialog").wait_for()
        await keyboard.press("Escape")
        await tab.page.get_by_role("dialog").wait_for(state="hidden")
        assert await focused(tab) == "Take out"  # where it was

        await keyboard.press("Enter")
        await tab.page.get_by_role("dialog").wait_for()
        await tab_to(tab, "Take out of service", at_most=3)
        await keyboard.press("Enter")
        await tab.has_text("1 out of service", within="details[data-key='app GATEWAY'] summary")
        assert server.registry.instance("GATEWAY", key).status is Status.OUT_OF_SERVICE

    async def test_without_a_script(self, server: RunningServer, open_tab: OpenTab) -> None:
        small_fleet(server)
        tab = await open_tab(java_script_enabled=False)
        assert await tab.page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == 1

        await tab.page.get_by_label("Filter").fill("gateway 20001")
        await tab.page.get_by_role("button", name="Show").click()
        await tab.page.get_by_text("1 of 6 match").wait_for()
        await tab.page.get_by_role("link", name="Take out").click()
        await tab.page.get_by_role("button", name="Take out of service").click()

        await tab.page.get_by_role("link", name="Put back").wait_for()
        assert "/?q=gateway+20001#i" in tab.page.url

    async def test_an_admin_is_asked_for_and_no_other_site_can_use_what_the_browser_knows(
        self, open_tab: OpenTab
    ) -> None:
        credentials = {"username": "ada", "password": "secret"}
        async with running_server(credentials={"orders": "pw"}, admin_credentials={"ada": "secret"}) as guarded:
            guarded.registry.register(an_instance("ORDERS", "o1", duration=600), owner="ORDERS")
            tab = await open_tab(at=guarded.url, may_complain=True, http_credentials=credentials)
            await tab.has_text("o1")
            form = "".join(
                f'<input name="{name}" value="{value}">'
                for name, value in {"app": "ORDERS", "id": "o1", "to": "out"}.items()
            )
            attack = f'<form method="post" action="{guarded.url}/override">{form}<button>win</button></form>'
            page = tab.page
            await page.route("http://evil.test/", lambda route: route.fulfill(body=attack, content_type="text/html"))

            await page.goto("http://evil.test/")
            async with page.expect_response(f"{guarded.url}/override") as refused:
                await page.get_by_role("button").click()
            assert (await refused.value).status == 403
            assert guarded.registry.instance("ORDERS", "o1").status is Status.UP

            await page.goto(guarded.url)
            await page.get_by_role("link", name="Take out").click()
            await page.get_by_role("button", name="Take out of service").click()
            await tab.has_text("1 out of service")


class TestLooks:
    @pytest.mark.parametrize("path", ["/", "/lastn", "/override?app=ORDERS&id=o1&to=out", "/?q=nothing"])
    async def test_a_phone_shows_it_without_scrolling_sideways(
        self, server: RunningServer, open_tab: OpenTab, path: str
    ) -> None:
        an_odd_crowd(server)
        tab = await open_tab(path, width=390)
        if path == "/":
            await tab.has_text("12 instances are kept")

        assert await tab.page.evaluate("document.documentElement.scrollWidth") == 390
        sizes = await tab.page.evaluate(
            "[...document.querySelectorAll('a.button, button, select, input:not([type=hidden])')]"
            ".filter(each => each.checkVisibility()).map(each => each.getBoundingClientRect().height)"
        )
        assert min(sizes, default=44) >= 24  # WCAG 2.2, 2.5.8: a finger hits it

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_texts_can_be_read(self, server: RunningServer, open_tab: OpenTab, scheme: str) -> None:
        an_odd_crowd(server)
        tab = await open_tab(scheme=scheme)
        await tab.has_text("12 instances are kept")

        measured = await tab.page.evaluate(CONTRAST)
        assert measured["seen"] > 100
        assert measured["faint"] == []
        background = await tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, background[4:-1].split(","))) < 60) == (scheme == "dark")

        await tab.page.locator("a[data-dialog]").first.click()
        await tab.page.get_by_role("dialog").wait_for()
        assert (await tab.page.evaluate(CONTRAST))["faint"] == []

    async def test_ten_thousand_instances_are_shown_in_time(self, server: RunningServer, open_tab: OpenTab) -> None:
        for number in range(10_000):
            server.registry.register(an_instance(f"APP-{number % 200:03}", f"i{number}", duration=3600))
        began = time.monotonic()
        tab = await open_tab()
        await tab.has_text("Live", within=".live")
        assert time.monotonic() - began < 5  # under one on an idle machine

        assert await tab.page.evaluate("document.querySelectorAll('*').length") < 10_000
        server.registry.register(an_instance("APP-000", "newest", status=Status.DOWN))
        await tab.has_text("newest", within="details[data-key='app APP-000']")
        await tab.page.get_by_label("Filter").fill("i9999")
        await tab.has_text("1 of 10001 match")


class TestHostileNames:
    async def test_nothing_runs_and_everything_works(self, server: RunningServer, open_tab: OpenTab) -> None:
        hostile = an_instance(
            HOSTILE.upper(),
            HOSTILE,
            duration=600,
            host_name=HOSTILE,
            metadata={"version": HOSTILE, "zone": HOSTILE},
            home_page_url="javascript:alert(1)",
            status_page_url=f"http://127.0.0.1/{HOSTILE}",
        )
        tab = await open_tab()
        server.registry.register(hostile, owner=HOSTILE)
        server.registry.register(an_instance(HOSTILE.upper(), HOSTILE + "2"))
        server.registry.cancel(HOSTILE.upper(), HOSTILE + "2", by=HOSTILE)
        await tab.has_text(HOSTILE, within="section[data-key=left]")

        await tab.page.reload()
        await tab.has_text(HOSTILE, within=".instances")
        await tab.page.get_by_label("Filter").fill(HOSTILE)
        await tab.has_text("1 of 1 match")
        await tab.page.get_by_role("link", name="Take out").click()
        await tab.page.get_by_role("button", name="Take out of service").click()
        await tab.has_text("1 out of service")

        assert server.registry.instance(HOSTILE.upper(), HOSTILE).status is Status.OUT_OF_SERVICE
        assert await tab.page.locator("img, iframe, main script").count() == 0
        # and open_tab saw no dialog, no complaint about the policy, and no request for /x or anybody else


async def focused(tab: Tab) -> str:
    return str(await tab.page.evaluate("document.activeElement.textContent.trim()"))


async def tab_to(tab: Tab, text: str, *, at_most: int = 40) -> None:
    """Press Tab until something with this text has the focus."""
    for _ in range(at_most):
        await tab.page.keyboard.press("Tab")
        if await focused(tab) == text:
            return
    raise AssertionError(f"{text!r} can't be reached by keyboard")


def an_odd_crowd(server: RunningServer) -> None:
    """Every status, long names, and a majority that is silent and will be kept."""
    server.registry.register(an_instance("ORDERS", "o1", duration=600))
    for number, status in enumerate(Status):
        name = f"host-with-a-very-long-name-{number}.some-zone.some-region.example.internal:with_underscores:8080"
        server.registry.register(
            an_instance("A" * 70, name, duration=600, status=status, host_name=name), owner="OWNER" * 12
        )
    server.registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
    for number in range(12):
        server.registry.register(an_instance("AB"[number % 2] * 30, f"{'i' * 60}{number}", duration=1))
        server.registry.register(an_instance("AB"[number % 2] * 30, f"gone-{'i' * 90}{number}", duration=600))
        server.registry.cancel("AB"[number % 2] * 30, f"gone-{'i' * 90}{number}")
