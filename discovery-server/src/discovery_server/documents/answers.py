"""The documents readers get: bytes that are made once for each change and then served again and again."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple
from urllib.parse import quote

from discovery_server.registry.instance import Instance
from discovery_server.registry.leases import hash_code
from discovery_server.registry.registry import Registry
from discovery_server.wire.form import Codec, Form

from .document import Document
from .sources import Applications, Changes, Elsewhere, Everything, Merged, Source
from .vips import Vips

__all__ = ["Answer", "Answers", "Codec", "Elsewhere", "Form", "Kind"]

_VIP_VERSION = -1
_MOST_MERGED = 8

Kind = Literal["full", "delta"]
Regions = Collection[str]  # names, in any case and order; those that nobody knows add nothing


class Answer(NamedTuple):
    version: int  # of the registry, with regions theirs as well
    tag: str  # RFC 9110 §8.8.3
    pieces: Sequence[bytes]


class Answers:
    """Writes a registry."""

    def __init__(self, registry: Registry, elsewhere: Elsewhere | None = None) -> None:
        self._registry = registry
        self._elsewhere = elsewhere
        self._documents: dict[tuple[Kind, Form], Document] = {}
        self._merged: OrderedDict[tuple[Kind, Form, tuple[str, ...]], Document] = OrderedDict()
        self._vips = Vips()

    async def whole(self, kind: Kind, form: Form, regions: Regions = (), *, gzipped: bool = False) -> Answer:
        """All applications, or what changed lately with the hash code of everything."""
        known = self._known(regions)
        document = self._document(kind, form, known)
        made = await (document.gzipped() if gzipped else document.plain())
        return Answer(made.version, _tag(kind, form, known, gzipped, made.version), made.pieces)

    def tag(self, kind: Kind, form: Form, regions: Regions = (), *, gzipped: bool) -> str:
        """What an answer would have at this moment; other versions, forms and server starts have others."""
        known = self._known(regions)
        return _tag(kind, form, known, gzipped, self._document(kind, form, known).source.version)

    async def application(self, name: str, form: Form) -> bytes | None:
        """One application, or None. One that is not here is taken from the first region that has it, as in Eureka."""
        document = self._document("full", form)
        await document.plain()
        instances = document.applications.application(name) or self._application_elsewhere(name)
        if not instances:
            return None
        return form.codec.write_application(name, document.applications.fragments(name, instances))

    async def some(self, names: Collection[str], form: Form) -> tuple[int, bytes]:
        """The document of these applications alone, with the registry's version that it tells of."""
        document = self._document("full", form)
        version = (await document.plain()).version
        found = {app: instances for app, instances in document.applications.applications() if app in names}
        return version, self._written(document, found, document.source.shown_version, form)

    async def with_vip(self, vip: str, form: Form, regions: Regions = (), *, secure: bool = False) -> bytes:
        """The instances that have `vip` in the comma list of their (secure) vip address."""
        document = self._document("full", form, self._known(regions))
        await document.plain()
        found = self._vips.having(vip, document.applications.applications(), secure=secure)
        return self._written(document, found, _VIP_VERSION, form)

    def _written(self, document: Document, found: Applications, version: int, form: Form) -> bytes:
        written = [(app, document.applications.fragments(app, instances)) for app, instances in found.items()]
        return form.codec.write_applications(written, version=version, hash_code=hash_code(found), compact=form.compact)

    def _known(self, regions: Regions) -> tuple[str, ...]:
        """In the order that answers are kept by."""
        names = self._elsewhere.names if self._elsewhere is not None else ()
        return tuple(sorted({region.strip().lower() for region in regions} & set(names)))

    def _application_elsewhere(self, name: str) -> Sequence[Instance]:
        if self._elsewhere is not None:
            for region in sorted(self._elsewhere.names):
                if found := self._elsewhere.applications([region]).get(name):
                    return found
        return ()

    def _document(self, kind: Kind, form: Form, regions: tuple[str, ...] = ()) -> Document:
        if self._elsewhere is not None and regions:
            return self._merged_document(self._elsewhere, kind, form, regions)
        document = self._documents.get((kind, form))
        if document is None:
            source: Source = Everything(self._registry) if kind == "full" else Changes(self._registry)
            lender = self._document("full", form).applications if kind == "delta" else None
            document = self._documents[kind, form] = Document(form, source, lender)
        return document

    def _merged_document(self, elsewhere: Elsewhere, kind: Kind, form: Form, regions: tuple[str, ...]) -> Document:
        name = (kind, form, regions)
        document = self._merged.get(name)
        if document is None:
            source = Merged(self._registry, elsewhere, regions, changes=kind == "delta")
            lender = self._document("full", form).applications
            document = self._merged[name] = Document(form, source, lender)
            if len(self._merged) > _MOST_MERGED:
                self._merged.popitem(last=False)
        self._merged.move_to_end(name)
        return document


def _tag(kind: Kind, form: Form, regions: Collection[str], gzipped: bool, version: int) -> str:
    names = (quote(region, safe="") for region in regions)
    marks = "-".join([kind, form.media, *(["compact"] * form.compact), *(["gzip"] * gzipped), *names])
    return f'"{version:x}-{marks}"'
