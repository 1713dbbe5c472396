"""Java's .properties files, and their XML form, as Spring Boot reads them."""

import re
import xml.parsers.expat
from collections.abc import Iterator

from .documents import Document, DocumentBuilder, FileUnreadable, Value

_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "f": "\f"}
_BLANKS = " \t\f"


def read_properties(data: bytes) -> list[Document]:
    """The documents of a .properties file, parted by `#---` lines. Raises FileUnreadable."""
    # Latin-1, as Boot reads them: other characters are written \\uXXXX.
    return _PropertiesReader(re.sub(r"\r\n?", "\n", data.decode("latin-1"))).documents()


class _PropertiesReader:
    """Follows java.util.Properties character by character: escapes and continued lines have no other structure."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next = 0
        self._line = 1
        self._column = -1  # as Boot counts: an escape sequence is one column wide
        self._character = ""  # the empty string is the end of the file
        self._escaped = False

    def documents(self) -> list[Document]:
        done: list[DocumentBuilder] = []
        current = DocumentBuilder()
        comment_before = ""
        while self._read():
            if self._character in ("#", "!") and not self._escaped:
                prefix = self._character
                if prefix != comment_before and self._is_separator():
                    if current:
                        done.append(current)
                    current = DocumentBuilder()
                else:
                    # A separator with a comment directly under it was a comment, too.
                    if not current and done:
                        current = done.pop()
                    comment_before = prefix
                    self._skip_line()
            else:
                comment_before = ""
                self._read_entry(current)
        if current:
            done.append(current)
        return [builder.document() for builder in done]

    def _is_separator(self) -> bool:
        at_margin = self._column == 0
        end = self._text.find("\n", self._next)
        rest = self._text[self._next : end if end >= 0 else len(self._text)]
        if not (at_margin and rest.rstrip(_BLANKS) == "---"):
            return False
        self._skip_line()
        return True

    def _read_entry(self, into: DocumentBuilder) -> None:
        key = self._read_key().strip()
        if not key.endswith("[]"):
            value = self._read_value(until_comma=False)
            if key:
                into.put(_joined_surrogates(key), value)
            return
        index = 0
        while True:
            into.put(f"{_joined_surrogates(key[:-2])}[{index}]", self._read_value(until_comma=True))
            index += 1
            if not self._at_end_of_line():
                self._read()
            if self._at_end_of_line():
                return

    def _read_key(self) -> str:
        read: list[str] = []
        blank_before = False
        while not self._at_end_of_line():
            if self._character in "=:" and not self._escaped:
                self._read()
                break
            blank = self._is_blank()
            if blank_before and not blank:
                break
            blank_before = blank
            read.append(self._character)
            self._read()
        return "".join(read)

    def _read_value(self, *, until_comma: bool) -> Value:
        while self._is_blank() and not self._at_end_of_line():
            self._read()
        line, column = self._line, self._column + 1
        read: list[str] = []
        while not self._at_end_of_line() and not (until_comma and self._character == "," and not self._escaped):
            read.append(self._character)
            self._read()
        return Value(_joined_surrogates("".join(read)), line, column)

    def _read(self) -> bool:
        """Go to the next character, over line ends that are escaped; False at the end of the file."""
        self._escaped = False
        while True:
            self._take()
            self._column += 1
            if self._column == 0:
                while self._is_blank():
                    self._take()
                    self._column += 1
            if self._character != "\\":
                break
            self._take()
            if self._character != "\n":
                self._escaped = True
                self._unescape()
                return self._character != ""
            self._column = -1
        if self._character == "\n":
            self._column = -1
        return self._character != ""

    def _unescape(self) -> None:
        if self._character == "u":
            digits = self._text[self._next : self._next + 4]
            if not re.fullmatch("[0-9a-fA-F]{4}", digits):
                raise FileUnreadable("\\u needs four hexadecimal digits", line=self._line, column=self._column + 1)
            self._next += 4
            self._character = chr(int(digits, 16))
        else:
            self._character = _ESCAPES.get(self._character, self._character)

    def _take(self) -> None:
        self._character = self._text[self._next : self._next + 1]
        self._next += 1
        if self._character == "\n":
            self._line += 1

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._next)
        self._next = (end if end >= 0 else len(self._text)) + 1
        self._line += 1
        self._character = "\n" if end >= 0 else ""
        self._column = -1
        self._escaped = False

    def _is_blank(self) -> bool:
        return self._character != "" and self._character in _BLANKS and not self._escaped

    def _at_end_of_line(self) -> bool:
        return self._character == "" or (self._character == "\n" and not self._escaped)


def _joined_surrogates(text: str) -> str:
    """Java writes a character beyond U+FFFF as two escapes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_xml_properties(data: bytes) -> list[Document]:
    """The one document of an XML properties file (java.util.Properties.loadFromXML). Raises FileUnreadable."""
    entries: dict[str, str] = {}
    stack: list[str] = []
    key: str | None = None
    text: list[str] = []
    parser = xml.parsers.expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal key
        stack.append(name)
        if stack == ["properties", "entry"]:
            key = attributes.get("key")
            text.clear()
        elif stack not in (["properties"], ["properties", "comment"]):
            raise FileUnreadable(f"<{name}> does not belong here", line=parser.CurrentLineNumber)

    def end(_name: str) -> None:
        if stack == ["properties", "entry"] and key is not None:
            entries[key] = "".join(text)
        stack.pop()

    def refuse_entity(*_declaration: object) -> None:
        raise FileUnreadable("entities are not allowed", line=parser.CurrentLineNumber)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.EntityDeclHandler = refuse_entity
    try:
        parser.Parse(data, True)
    except xml.parsers.expat.ExpatError as error:
        raise FileUnreadable(f"it is not XML: {error}", line=error.lineno, column=error.offset + 1) from error
    builder = DocumentBuilder()
    for key in _hash_order(list(entries)):
        builder.put(key, Value(entries[key], 0, 0))  # XML files keep no origins
    return [builder.document()] if builder else []


def _hash_order(keys: list[str]) -> Iterator[str]:
    """The order in which Java's Properties hands out keys: by the slots of its hash table (ConcurrentHashMap)."""
    size = 16
    while len(keys) >= size * 3 // 4:
        size *= 2
    return iter(sorted(keys, key=lambda key: _spread_hash(key) & (size - 1)))


def _spread_hash(key: str) -> int:
    value = 0
    units = key.encode("utf-16-be", "surrogatepass")
    for index in range(0, len(units), 2):
        value = (value * 31 + (units[index] << 8 | units[index + 1])) & 0xFFFFFFFF
    return (value ^ value >> 16) & 0x7FFFFFFF
