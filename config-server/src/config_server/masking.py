"""Which values are secret, by their key or by what they look like, and what people are shown in their place."""

import re
from urllib.parse import urlsplit

from .documents import Scalar

HIDDEN = "******"

# Whatever stands under these, and whatever is called `...-password`, is secret.
_ALWAYS = frozenset(
    {
        *("password", "passwords", "passwd", "pwd", "passphrase", "passphrases"),
        *("secret", "secrets", "credential", "credentials", "apikey", "apikeys"),
    }
)
# These are so often part of something harmless (token.issuer, key-rotation-seconds) that only the last word counts.
_AT_THE_END = frozenset({"token", "tokens", "key", "keys"})
_HARMLESS_BEFORE = frozenset({"public", "primary", "partition", "routing", "sort", "foreign"})  # `public-key`

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_INDEX = re.compile(r"\[[0-9]+\]")
_CIPHER = re.compile(r"\{cipher\}", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_USER_INFO = re.compile(r"(?<=://)(?P<user>[^/\s:@]*):(?P<password>(?:\$\{[^{}]*\}|[^/\s@])+)(?=@)")
_PARAMETER = re.compile(r"(?P<name>[A-Za-z][\w.-]*)=(?P<value>[^&;,\s\"']+)")
# A placeholder with a literal default; the innermost one where they are nested.
_DEFAULT = re.compile(r"\$\{(?P<name>[^${}:]+):(?P<default>[^${}]+)\}")
_NO_DEFAULT = re.compile(r"(?:\$\{[^${}:]+:?\})+")


def is_secret_key(key: str) -> bool:
    """Whether the name of a key says that its value is a secret."""
    segments = [words for segment in re.split(r"[.\[\]]", _INDEX.sub("", key)) if (words := _words(segment))]
    if not segments:
        return False
    last = segments[-1]
    if any(words[-1] in _ALWAYS for words in segments) or any(word in _ALWAYS for word in last[-2:]):
        return True  # the second: `password-hash`
    return last[-1] in _AT_THE_END and not (len(last) > 1 and last[-2] in _HARMLESS_BEFORE)


def shown(key: str, value: Scalar) -> Scalar:
    """The value as people may see it: secrets, and secret parts of addresses, are replaced by asterisks."""
    if isinstance(value, bool) or value == "":
        return value
    text = str(value)
    if is_secret_key(key) and not _NO_DEFAULT.fullmatch(text):
        return HIDDEN
    if not isinstance(value, str):
        return value
    return HIDDEN if _CIPHER.search(text) or _PRIVATE_KEY.search(text) else shown_text(text)


def shown_text(text: str) -> str:
    """A text without the passwords in addresses, in parameters and in the defaults of placeholders."""
    text = _USER_INFO.sub(lambda match: f"{match['user']}:{_without_literals(match['password'])}", text)
    text = _PARAMETER.sub(_parameter_without_secret, text)
    return _DEFAULT.sub(_default_without_secret, text)


def secret_in_clear(key: str, value: Scalar, *, declared_secret: bool = False) -> str | None:
    """What is secret about a value and written in clear, or None; never with the secret in it.

    `declared_secret`: the reader says so in the schema of his settings, whatever the key is called.
    """
    if isinstance(value, bool) or value == "":
        return None
    text = str(value)
    if text.startswith("{cipher}") or _NO_DEFAULT.fullmatch(text):
        return None
    if (declared_secret or is_secret_key(key)) and not _is_a_place(text):
        return f"{key} is a secret in clear; encrypt it, or write ${{NAME}} and set that where it is read"
    if _PRIVATE_KEY.search(text):
        return f"{key} holds a private key in clear"
    if any(_without_literals(match["password"]) == HIDDEN for match in _USER_INFO.finditer(text)):
        return f"{key} has a password in its address in clear"
    if shown_text(text) != text:
        return f"{key} has a secret in it in clear"
    return None


def _words(segment: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(segment)]


def _is_a_place(text: str) -> bool:
    """Whether it only says where the secret is: a file, or an address without a password."""
    if re.fullmatch(r"(?:file:|classpath:)?/?(?:[\w.-]+/)+[\w.-]+", text) and text.startswith(("file:", "class", "/")):
        return True
    parts = urlsplit(text) if re.fullmatch(r"[a-z]+://[^\s@?]+", text) else None
    return parts is not None and bool(parts.netloc)


def _without_literals(password: str) -> str:
    return password if _NO_DEFAULT.fullmatch(password) else HIDDEN


def _parameter_without_secret(match: re.Match[str]) -> str:
    if not is_secret_key(match["name"]) or _NO_DEFAULT.fullmatch(match["value"]):
        return match[0]
    return f"{match['name']}={HIDDEN}"


def _default_without_secret(match: re.Match[str]) -> str:
    return f"${{{match['name']}:{HIDDEN}}}" if is_secret_key(match["name"]) else match[0]
