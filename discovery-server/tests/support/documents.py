"""Answers in a shape that can be compared: no white space, lists in order of names, what differs by nature blanked."""

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

Blank = Callable[[str, str | int], str | int]
"""What to put in place of the value of a field of that name."""


def normal(text: str, blank: Blank) -> Any:
    """A JSON or XML document in such a shape; any other text as it is. Raises ValueError or ParseError."""
    if text.startswith("{"):
        return _normal_json(json.loads(text), blank)
    if text.startswith("<"):
        return _normal_xml(ElementTree.fromstring(text), blank)
    return text


def _normal_json(value: Any, blank: Blank, name: str = "") -> Any:
    if isinstance(value, dict):
        # Without the empty metadata key: a real server keeps it, ours drops it.
        return {key: _normal_json(entry, blank, key) for key, entry in value.items() if key}
    if isinstance(value, list):
        return sorted((_normal_json(entry, blank, name) for entry in value), key=json.dumps)
    return blank(name, value) if isinstance(value, str | int) else value


def _normal_xml(element: ElementTree.Element, blank: Blank) -> Any:
    children = [_normal_xml(child, blank) for child in element]
    if element.tag in ("applications", "application", "metadata"):
        children.sort(key=str)
    text = blank(element.tag, element.text or "") if not children else ""
    return (element.tag, sorted(element.items()), text, children)
