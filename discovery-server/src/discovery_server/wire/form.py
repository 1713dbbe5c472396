"""How a reader wants an answer."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

from discovery_server.registry.instance import Instance

from . import json_codec, xml_codec


class Codec(Protocol):
    """What json_codec and xml_codec have alike."""

    MEDIA_TYPE: str
    SEPARATOR: bytes

    def read_instance(self, body: bytes) -> Instance: ...

    def write_fragment(self, instance: Instance, *, compact: bool = False) -> bytes: ...

    def write_instance(self, instance: Instance) -> bytes: ...

    def write_application(self, name: str, fragments: Iterable[bytes]) -> bytes: ...

    def write_applications(
        self,
        applications: Iterable[tuple[str, Iterable[bytes]]],
        *,
        version: int,
        hash_code: str,
        compact: bool = False,
    ) -> bytes: ...

    def write_frame(self, *, version: int, hash_code: str, compact: bool = False) -> tuple[bytes, bytes]: ...

    def write_entry(self, name: str, fragments: Iterable[bytes]) -> bytes: ...


class Form(NamedTuple):
    media: Literal["json", "xml"] = "xml"
    compact: bool = False

    @property
    def codec(self) -> Codec:
        return json_codec if self.media == "json" else xml_codec
