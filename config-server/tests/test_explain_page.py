"""The page of an explanation: for people, on any screen, with nothing from elsewhere and nothing unescaped."""

import re
from html.parser import HTMLParser

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer

_HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
_SCRIPT = "<script>alert('1')</script>\"&"


class _Elements(HTMLParser):
    """The elements of a page, and whether each that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _elements(page: str) -> _Elements:
    elements = _Elements()
    elements.feed(page)
    assert elements.open == []
    return elements


@pytest.fixture
def page(repository: ConfigRepository, server: RunningServer) -> str:
    """Of a repository in which whatever can be a script is one."""
    old = repository.commit({"app.yml": "a: old\n"})
    repository.commit(
        {
            "application.yml": f"? '{_SCRIPT.replace(chr(39), chr(39) * 2)}'\n: weak\n",
            "app.yml": "? |-\n  " + _SCRIPT + "\n: |-\n  " + _SCRIPT + "\na: new\n"
            "---\nspring.config.activate.on-profile: '<script>'\n",
            "app-dev.yml": "spring.config.import: '<script>.yml'\n",
        }
    )
    answer = server.ask(f"/explain/app/dev?against={old}&key=%3Cscript%3E*&against-profile=dev", headers=_HTML)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.body.decode()


def test_everything_is_escaped(page: str) -> None:
    assert "script" not in _elements(page).names
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&quot;&amp;" in page
    assert 'value="&lt;script&gt;*"' in page


def test_nothing_comes_from_elsewhere_and_nothing_runs(
    page: str, repository: ConfigRepository, server: RunningServer
) -> None:
    attributes = dict(_elements(page).attributes)

    assert not {"src", "href", "action", "style", "onclick", "onload"} & set(attributes)
    assert "url(" not in page
    assert "@import" not in page
    policy = server.ask("/explain/app/default", headers=_HTML).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_it_fits_a_phone(page: str) -> None:
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "overflow-wrap: anywhere" in page


def test_it_says_what_the_json_says(repository: ConfigRepository, server: RunningServer) -> None:
    old = repository.commit({"app.yml": "k: before\n"})
    repository.commit(
        {
            "application.yml": "k: weak\nflags: [a, b]\n",
            "app.yml": "k: strong\nflags: [c]\n---\nspring.config.activate.on-profile: prod\nk: other\n",
            "app-dev.yml": "x: [\n",
        }
    )

    page = server.ask(f"/explain/app/dev?against={old}", headers=_HTML).body.decode()

    text = re.sub(r"<[^>]+>", "", page)
    for said in (
        "app in dev",
        "k strong app.yml:1:4 document 0 over 1",
        "name app is stronger than application",
        "flags[1] replaced over 1",
        "k changed",
        "was before app.yml:1:4",
        "app-dev.yml:2:1",
        "it is for profile prod, and what holds is dev",
        "app-dev.properties",
    ):
        assert said in text, said


def test_without_keys_it_says_so(repository: ConfigRepository, server: RunningServer) -> None:
    repository.commit({"app.yml": "a: 1\n"})

    page = server.ask("/explain/app/default?key=nothing", headers=_HTML).body.decode()

    assert "<h2>Keys</h2><p>None.</p>" in page


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("*/*", "application/json"),
        ("text/html;q=0, */*", "application/json"),
    ],
)
def test_who_prefers_json_gets_json(
    accept: str, content_type: str, repository: ConfigRepository, server: RunningServer
) -> None:
    repository.commit({"app.yml": "a: 1\n"})

    answer = server.ask("/explain/app/default", headers={"Accept": accept})

    assert answer.headers["content-type"] == content_type
    assert answer.headers["vary"] == "Accept"
