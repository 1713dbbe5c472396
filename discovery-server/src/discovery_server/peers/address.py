"""Where another server is, and as whom to speak to it."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """The address of a peer, as a setting gives it."""

    url: str  # the base of its REST, with a slash at the end and without a password
    credential: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """`host:port`, for logs and metrics."""
        return urlsplit(self.url).netloc

    @classmethod
    def read(cls, text: str, *, usual: tuple[str, str] | None = None) -> Self:
        """The address in a setting, `http://[user:password@]host[:port]/eureka`; `usual` where it has no user.

        Raises ValueError, with a sentence that tells no password.
        """
        shown = f"...@{text.rpartition('@')[2]}" if "@" in text else text
        mistake = ValueError(f"{shown!r} is no address of a peer; one looks like http://discovery-2:8761/eureka")
        try:
            parts = urlsplit(text.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise mistake from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or port == 0:
            raise mistake
        if any(not character.isprintable() or character.isspace() for character in parts.netloc):
            raise mistake
        path = parts.path.rstrip("/") or "/eureka"
        credential = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else usual
        return cls(f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}{path}/", credential)
