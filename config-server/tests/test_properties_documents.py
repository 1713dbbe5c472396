"""Java's .properties and their XML form, as Spring Boot reads them."""

import pytest

from config_server.documents import FileUnreadable
from config_server.properties_documents import read_properties, read_xml_properties


def _all(text: str) -> list[dict[str, object]]:
    return [
        {key: value.value for key, value in document.values.items()}
        for document in read_properties(text.encode("latin-1"))
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1\nb:2\nc 3\nd\n", {"a": "1", "b": "2", "c": "3", "d": ""}),
        ("  a  =  1 2  \n", {"a": "1 2  "}),
        ("a = \\ x\n", {"a": " x"}),
        ("a\\=b\\:c\\ d=1\n", {"a=b:c d": "1"}),
        ("# comment\n! comment\n\n   # comment\na=#no comment\n", {"a": "#no comment"}),
        ("a=1\\\n   2\\\n\\\n  3\n", {"a": "123"}),
        ("a=\\t\\n\\r\\f\\q\\\\\n", {"a": "\t\n\r\fq\\"}),
        ("a=\\u00e9\\ud83d\\ude00\n", {"a": "é😀"}),
        ("a=caf\xe9\n", {"a": "café"}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1\na=2\n", {"a": "2"}),
        ("a[]=x,y,z\n", {"a[0]": "x", "a[1]": "y", "a[2]": "z"}),
        ("a[]=x\\,y,z\n", {"a[0]": "x,y", "a[1]": "z"}),
        ("a=1\\", {"a": "1"}),
        ("a=" + "\\\n" * 5000 + "1\n", {"a": "1"}),
    ],
)
def test_the_syntax_is_that_of_java(text: str, values: dict[str, str]) -> None:
    assert _all(text) == [values]


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("a=1\n#---\na=2\n!---\na=3\n", [{"a": "1"}, {"a": "2"}, {"a": "3"}]),
        ("#---\na=1\n#---\n", [{"a": "1"}]),
        ("a=1\n#---  \nb=2\n", [{"a": "1"}, {"b": "2"}]),
        ("a=1\n #---\nb=2\n", [{"a": "1", "b": "2"}]),
        ("a=1\n#----\nb=2\n", [{"a": "1", "b": "2"}]),
        # Directly under or over a comment it is a comment.
        ("a=1\n# x\n#---\nb=2\n", [{"a": "1", "b": "2"}]),
        ("a=1\n#---\n# x\nb=2\n", [{"a": "1", "b": "2"}]),
        ("a=1\n! x\n#---\nb=2\n", [{"a": "1"}, {"b": "2"}]),
        ("", []),
        ("# nothing\n", []),
    ],
)
def test_documents_are_parted_by_a_line_of_hyphens(text: str, documents: list[dict[str, str]]) -> None:
    assert _all(text) == documents


def test_a_broken_escape_is_an_error_with_its_place() -> None:
    with pytest.raises(FileUnreadable) as raised:
        read_properties(b"a=1\nb=\\u12g4\n")

    assert raised.value.line == 2


def test_a_long_key_of_a_long_list_is_refused() -> None:
    with pytest.raises(FileUnreadable, match="characters"):
        read_properties(b"k" * 10_000 + b"[]=" + b"x," * 500)


def test_xml_is_read_in_the_order_of_javas_hash_table() -> None:
    data = b"""<?xml version="1.0"?><!DOCTYPE properties SYSTEM "http://java.sun.com/dtd/properties.dtd">
    <properties><comment>x</comment>
    <entry key="prec.from">xml &amp; so on</entry><entry key="prec.xml">1</entry></properties>"""

    (document,) = read_xml_properties(data)

    assert [(key, value.value) for key, value in document.values.items()] == [
        ("prec.xml", "1"),
        ("prec.from", "xml & so on"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"<properties><entry key='a'>1</properties>",
        b"<beans/>",
        b"<properties><entry key='a'><b/></entry></properties>",
        b'<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><properties><entry key="a">&b;</entry></properties>',
        b'<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]><properties><entry key="a">&a;</entry></properties>',
        b"not xml",
    ],
)
def test_other_xml_is_an_error_and_entities_are_refused(data: bytes) -> None:
    with pytest.raises(FileUnreadable):
        read_xml_properties(data)
