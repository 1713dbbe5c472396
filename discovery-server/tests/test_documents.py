"""Large documents: right after any change, made once for all readers, and little of them anew."""

import asyncio
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import FakeClock
from support.instances import an_instance

from discovery_server.documents import deflating
from discovery_server.documents.answers import Answer, Answers, Kind
from discovery_server.registry.instance import Instance, Status
from discovery_server.registry.registry import Registry
from discovery_server.wire import json_codec
from discovery_server.wire.form import Form

FORMS = [Form(media, compact) for media in ("json", "xml") for compact in (False, True)]


def listed(answer: Answer, form: Form, *, gzipped: bool = False) -> Counter[tuple[str, str, str]]:
    """Application, id and status of each instance in a document."""
    body = b"".join(answer.pieces)
    return listed_in(gzip.decompress(body) if gzipped else body, form)


def listed_in(body: bytes, form: Form) -> Counter[tuple[str, str, str]]:
    if form.media == "xml":
        return Counter(
            (app.findtext("name", ""), found.findtext("instanceId", ""), found.findtext("status", ""))
            for app in ElementTree.fromstring(body).iter("application")
            for found in app.iter("instance")
        )
    return Counter(
        (app["name"], found["instanceId"], found["status"])
        for app in json.loads(body)["applications"]["application"]
        for found in app["instance"]
    )


def known(applications: Mapping[str, Sequence[Instance]]) -> Counter[tuple[str, str, str]]:
    return Counter(
        (app, str(instance.instance_id), instance.status)
        for app, instances in applications.items()
        for instance in instances
    )


NAMES = st.tuples(st.sampled_from(["A", "B", "C", "D"]), st.sampled_from(["1", "2", "3"]))
STEPS = st.lists(st.tuples(st.sampled_from(["register", "drain", "cancel", "wait", "read"]), NAMES), max_size=25)


class TestWhole:
    @pytest.mark.parametrize("form", FORMS)
    @settings(max_examples=40, deadline=None)
    @given(steps=STEPS)
    def test_whatever_changed_between_it_tells_what_is_so(
        self, form: Form, steps: list[tuple[str, tuple[str, str]]]
    ) -> None:
        async def run() -> None:
            clock = FakeClock()
            registry = Registry(clock.clock, delta_retention_seconds=30)
            answers = Answers(registry)
            for step, (app, key) in [*steps, ("read", ("", ""))]:
                is_known = any(instance.key == key for instance in registry.application(app))
                if step == "register":
                    registry.register(an_instance(app, key))
                elif step == "drain" and is_known:
                    registry.override_status(app, key, Status.OUT_OF_SERVICE)
                elif step == "cancel" and is_known:
                    registry.cancel(app, key)
                elif step == "wait":
                    clock.advance(4)
                    registry.sweep()
                elif step == "read":
                    for gzipped in (False, True):
                        full = await answers.whole("full", form, gzipped=gzipped)
                        delta = await answers.whole("delta", form, gzipped=gzipped)
                        assert listed(full, form, gzipped=gzipped) == known(registry.applications())
                        assert listed(delta, form, gzipped=gzipped) == known(registry.changes())

        asyncio.run(run())

    async def test_a_change_costs_one_piece_and_the_others_are_the_same_bytes(self) -> None:
        registry = Registry()
        for number in range(600):
            registry.register(an_instance(f"APP-{number % 200}", str(number)))
        answers = Answers(registry)
        before = await answers.whole("full", Form("xml"))
        registry.override_status("APP-7", "7", Status.DOWN)
        after = await answers.whole("full", Form("xml"))

        made_anew = {id(piece) for piece in after.pieces} - {id(piece) for piece in before.pieces}
        assert len(after.pieces) > 50
        assert len(made_anew) <= 4  # the head, the tail, the separator, and the piece

    @pytest.mark.parametrize("gzipped", [False, True])
    async def test_a_hundred_readers_at_once_cost_one_making(
        self, monkeypatch: pytest.MonkeyPatch, gzipped: bool
    ) -> None:
        written: Counter[str] = Counter()
        write, deflate = json_codec.write_fragment, deflating.deflate

        def counted_write(instance: Instance, *, compact: bool = False) -> bytes:
            written[instance.key] += 1
            return write(instance, compact=compact)

        def counted_deflate(piece: bytes) -> bytes:
            written["deflated"] += 1
            return deflate(piece)

        monkeypatch.setattr(json_codec, "write_fragment", counted_write)
        monkeypatch.setattr("discovery_server.documents.document.deflate", counted_deflate)
        registry = Registry()
        text = "x" * 3000  # so that it is compressed in pieces
        for number in range(400):
            registry.register(an_instance("ORDERS", str(number), metadata={"text": text}))
        answers = Answers(registry)
        found = await asyncio.gather(*(answers.whole("full", Form("json"), gzipped=gzipped) for _ in range(100)))

        assert written.pop("deflated", 0) == (3 if gzipped else 0)  # head, the one application, tail
        assert set(written.values()) == {1}
        assert len(written) == 400
        assert len({id(answer.pieces) for answer in found}) == 1

    @pytest.mark.parametrize("kind", ["full", "delta"])
    @pytest.mark.parametrize("gzipped", [False, True])
    async def test_what_changes_while_it_is_made_is_in_the_answer_of_who_asks_then(
        self, kind: Kind, gzipped: bool
    ) -> None:
        registry = Registry()
        for number in range(5000):
            registry.register(an_instance(f"APP-{number % 100}", str(number)))
        answers = Answers(registry)
        first = asyncio.create_task(answers.whole(kind, Form("xml"), gzipped=gzipped))
        turns = 0
        while not first.done():
            turns += 1
            registry.register(an_instance("LATE", str(turns)))
            second = asyncio.create_task(answers.whole(kind, Form("xml"), gzipped=gzipped))
            await asyncio.sleep(0)
            if turns == 20:
                await first

        assert turns > 3  # others had their turns meanwhile
        answer = await second
        assert listed(answer, Form("xml"), gzipped=gzipped)["LATE", str(turns), "UP"] == 1
        assert answer.version == registry.version

    async def test_its_tag_tells_the_version_that_was_made(self) -> None:
        registry = Registry()
        registry.register(an_instance())
        answers = Answers(registry)
        answer = await answers.whole("full", Form("json"))

        assert answer.tag == answers.tag("full", Form("json"), gzipped=False)
        registry.register(an_instance(key="o2"))
        assert answer.tag != answers.tag("full", Form("json"), gzipped=False)


class TestGzipOf:
    @given(st.lists(st.binary(max_size=200), max_size=6))
    def test_it_is_one_member_with_all_pieces_in_it(self, pieces: list[bytes]) -> None:
        document = deflating.gzip_of(pieces, [deflating.deflate(piece) for piece in pieces])

        assert gzip.decompress(document) == b"".join(pieces)
        # A reader that ends with the first member has read everything, too.
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert reader.decompress(document) == b"".join(pieces)
        assert reader.unused_data == b""
        assert reader.eof


class TestSome:
    async def test_only_the_applications_that_were_named(self) -> None:
        registry = Registry()
        for app in ("A", "B", "C"):
            registry.register(an_instance(app, f"{app}1"))
        version, body = await Answers(registry).some({"A", "C", "X"}, Form("json"))

        assert listed_in(body, Form("json")) == Counter([("A", "A1", "UP"), ("C", "C1", "UP")])
        assert json.loads(body)["applications"]["apps__hashcode"] == "UP_2_"
        assert version == registry.version


class TestWithVip:
    @pytest.mark.parametrize("secure", [False, True])
    async def test_who_has_it_in_the_list_and_who_has_it_no_more(self, secure: bool) -> None:
        registry = Registry()
        answers = Answers(registry)

        def register(app: str, key: str, vips: str, dirty_ms: int = 1000) -> None:
            plain, other = ("", vips) if secure else (vips, "")
            registry.register(
                an_instance(app, key, vip_address=plain, secure_vip_address=other, last_dirty_ms=dirty_ms)
            )

        async def having(vip: str) -> set[str]:
            body = await answers.with_vip(vip, Form("json"), secure=secure)
            return {key for _, key, _ in listed_in(body, Form("json"))}

        register("A", "a1", "one,two")
        register("A", "a2", "two")
        register("B", "b1", "onetwo")
        assert await having("one") == {"a1"}
        assert await having("two") == {"a1", "a2"}
        register("A", "a1", "two", dirty_ms=2000)
        assert await having("one") == set()
        assert await having("two") == {"a1", "a2"}


class Regions:
    """Other regions' registries, as a test wants them."""

    def __init__(self) -> None:
        self.version = 1
        self.names = ("east", "west")
        self.known: dict[str, dict[str, list[Instance]]] = {}

    def applications(self, regions: Sequence[str]) -> dict[str, list[Instance]]:
        found: dict[str, list[Instance]] = {}
        for region in regions:
            for app, instances in self.known.get(region, {}).items():
                found.setdefault(app, []).extend(instances)
        return found

    changes = applications


class TestRegions:
    async def test_theirs_stand_beside_ours_and_count(self) -> None:
        registry, regions = Registry(), Regions()
        answers = Answers(registry, regions)
        registry.register(an_instance("A", "here"))
        regions.known = {
            "east": {"A": [an_instance("A", "there", status=Status.DOWN)]},
            "west": {"B": [an_instance("B")]},
        }

        both = await answers.whole("full", Form("json"), ("east", "west"))
        east = await answers.whole("delta", Form("json"), ("east",))
        none = await answers.whole("full", Form("json"))

        assert {(app, key) for app, key, _ in listed(both, Form("json"))} == {
            ("A", "here"),
            ("A", "there"),
            ("B", "o1"),
        }
        assert json.loads(b"".join(both.pieces))["applications"]["apps__hashcode"] == "DOWN_1_UP_2_"
        assert json.loads(b"".join(east.pieces))["applications"]["apps__hashcode"] == "DOWN_1_UP_1_"
        assert {key for _, key, _ in listed(none, Form("json"))} == {"here"}
        assert len({both.tag, east.tag, none.tag}) == 3

    async def test_an_application_that_is_not_here_is_taken_from_a_region_that_has_it(self) -> None:
        registry, regions = Registry(), Regions()
        answers = Answers(registry, regions)
        regions.known = {"west": {"A": [an_instance("A", "there")], "B": [an_instance("B", "there, too")]}}
        registry.register(an_instance("A", "here"))

        async def keys(app: str) -> list[str]:
            body = await answers.application(app, Form("json")) or b'{"application":{"instance":[]}}'
            return [found["instanceId"] for found in json.loads(body)["application"]["instance"]]

        assert await keys("A") == ["here"]
        assert await keys("B") == ["there, too"]
        assert await keys("C") == []

    @pytest.mark.parametrize("odd", ["中", '"', "a\nb", "", "north"])
    async def test_names_that_nobody_knows_make_no_difference(self, odd: str) -> None:
        registry, regions = Registry(), Regions()
        answers = Answers(registry, regions)
        registry.register(an_instance("A", "here"))

        answer = await answers.whole("full", Form("json"), [odd])
        assert answer == await answers.whole("full", Form("json"))
        assert (await answers.whole("full", Form("json"), [odd, " East "])).tag.endswith('-full-json-east"')

    async def test_a_change_here_or_there_is_seen(self) -> None:
        registry, regions = Registry(), Regions()
        answers = Answers(registry, regions)
        seen = [listed(await answers.whole("full", Form("xml"), ("east",)), Form("xml"))]
        registry.register(an_instance("A", "here"))
        seen.append(listed(await answers.whole("full", Form("xml"), ("east",)), Form("xml")))
        regions.known, regions.version = {"east": {"B": [an_instance("B", "there")]}}, 2
        seen.append(listed(await answers.whole("full", Form("xml"), ("east",)), Form("xml")))

        assert [sorted(key for _, key, _ in found) for found in seen] == [[], ["here"], ["here", "there"]]
