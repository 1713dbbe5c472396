"""The documents readers get: bytes that are made once for each change and then served again and again."""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from . import json_codec, xml_codec
from .instance import Instance
from .registry import Registry, hash_code

_FULL_VERSION = 1  # what Eureka calls every full answer
_VIP_VERSION = -1
_GZIP_LEVEL = 3  # a third of the time of the usual level, for a few percent more bytes


Kind = Literal["full", "delta"]


class Codec(Protocol):
    """What json_codec and xml_codec have alike."""

    MEDIA_TYPE: str

    def read_instance(self, body: bytes) -> Instance: ...

    def write_fragment(self, instance: Instance, *, compact: bool = False) -> bytes: ...

    def write_instance(self, instance: Instance) -> bytes: ...

    def write_application(self, name: str, fragments: Iterable[bytes]) -> bytes: ...

    def write_applications(
        self,
        applications: Sequence[tuple[str, Iterable[bytes]]],
        *,
        version: int,
        hash_code: str,
        compact: bool = False,
    ) -> bytes: ...


class Form(NamedTuple):
    """How a reader wants it."""

    media: Literal["json", "xml"] = "xml"
    compact: bool = False

    @property
    def codec(self) -> Codec:
        return json_codec if self.media == "json" else xml_codec


class Answers:
    """Writes a registry. Whole answers are kept until the registry changes, instances until they do."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._version = registry.version
        self._whole: dict[tuple[str, Form, bool], bytes] = {}
        self._fragments: dict[Form, dict[tuple[str, str], tuple[Instance, bytes]]] = {}

    def full(self, form: Form, *, gzipped: bool = False) -> bytes:
        """All applications."""
        return self._kept("full", form, gzipped)

    def delta(self, form: Form, *, gzipped: bool = False) -> bytes:
        """What changed lately, with the hash code of everything, and a version that changes with the content."""
        return self._kept("delta", form, gzipped)

    def tag(self, kind: Kind, form: Form, *, gzipped: bool) -> str:
        """An entity tag (RFC 9110 §8.8.3); other versions, forms and server starts have others."""
        marks = f"{kind}-{form.media}" + "-compact" * form.compact + "-gzip" * gzipped
        return f'"{self._registry.version:x}-{marks}"'

    def application(self, name: str, instances: Sequence[Instance], form: Form) -> bytes:
        """One application."""
        return form.codec.write_application(name, self._fragments_of(instances, form))

    def with_vip(self, vip: str, form: Form, *, secure: bool = False) -> bytes:
        """The instances that have `vip` in the comma list of their (secure) vip address."""
        matching = {
            app: found
            for app, instances in self._registry.applications().items()
            if (found := [instance for instance in instances if vip in _vips(instance, secure)])
        }
        return self._applications(matching, form, _VIP_VERSION, hash_code(matching))

    def _kept(self, kind: Kind, form: Form, gzipped: bool) -> bytes:
        if self._version != self._registry.version:
            self._whole.clear()
            self._version = self._registry.version
        body = self._whole.get((kind, form, gzipped))
        if body is None:
            body = gzip.compress(self._kept(kind, form, False), _GZIP_LEVEL) if gzipped else self._write(kind, form)
            self._whole[kind, form, gzipped] = body
        return body

    def _write(self, kind: Kind, form: Form) -> bytes:
        everything = self._registry.applications()
        code = hash_code(everything)
        if kind == "delta":
            return self._applications(self._registry.changes(), form, self._registry.version, code)
        self._forget_fragments(everything, form)
        return self._applications(everything, form, _FULL_VERSION, code)

    def _applications(self, apps: Mapping[str, list[Instance]], form: Form, version: int, code: str) -> bytes:
        written = [(app, self._fragments_of(instances, form)) for app, instances in apps.items()]
        return form.codec.write_applications(written, version=version, hash_code=code, compact=form.compact)

    def _fragments_of(self, instances: Iterable[Instance], form: Form) -> list[bytes]:
        kept = self._fragments.setdefault(form, {})
        written = []
        for instance in instances:
            name = (instance.app, instance.key)
            known = kept.get(name)
            if known is None or known[0] is not instance:
                known = kept[name] = (instance, form.codec.write_fragment(instance, compact=form.compact))
            written.append(known[1])
        return written

    def _forget_fragments(self, everything: Mapping[str, list[Instance]], form: Form) -> None:
        kept = self._fragments.get(form, {})
        if len(kept) <= sum(map(len, everything.values())):
            return
        known = {(app, instance.key) for app, instances in everything.items() for instance in instances}
        for name in kept.keys() - known:
            del kept[name]


def _vips(instance: Instance, secure: bool) -> list[str]:
    return ((instance.secure_vip_address if secure else instance.vip_address) or "").split(",")
