"""Writes nested values as YAML that SnakeYAML and PyYAML read alike."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

from .documents import JsonText, java_text
from .flat import Node
from .yaml_scalars import implied_tag

_TAG = "tag:yaml.org,2002:"
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = re.compile(r"[\[{]")
_MOST_SIGNS = 20


def yaml_text(node: Node, resolve: Callable[[str], str] | None = None) -> str:
    """A block of YAML; `resolve` replaces the placeholders of each text.

    A text that would stand without quotes is written before it is resolved, as Spring Cloud Config 5.0.1 does: with
    port at 80, `${port}` becomes the number 80. What would not be YAML then is a text, in quotes.
    """
    return yaml.dump(
        _filled(node, resolve) if resolve else node,
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=1_000_000,
    )


@dataclass(frozen=True, slots=True)
class _Filled:
    """A text as it was, and with its placeholders resolved."""

    template: str
    text: str


def _filled(node: Node, resolve: Callable[[str], str]) -> object:
    if isinstance(node, dict):
        return {resolve(key): _filled(inner, resolve) for key, inner in node.items()}
    if isinstance(node, list):
        return [_filled(inner, resolve) for inner in node]
    if not isinstance(node, str) or isinstance(node, JsonText):
        return node
    text = resolve(node)
    return node if text == node else _Filled(node, text)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True

    def represent_filled(self, filled: _Filled) -> yaml.Node:
        if not self._is_plain(filled.template):
            return self.represent_text(filled.text)
        return _read_plain(filled.text) or self.represent_text(filled.text)

    def represent_json_text(self, text: JsonText) -> yaml.Node:
        node = yaml.compose(text.yaml, Loader=yaml.SafeLoader)
        assert node is not None
        return node

    def represent_double(self, value: float) -> yaml.Node:
        # As Java writes it, `1.0E10`: with a tag for readers to whom that is no number, they would not be like Java's.
        text = java_text(value)
        tag = self.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call] # PyYAML's has no hints
        return self.represent_scalar(tag, text)

    def represent_text(self, text: str) -> yaml.Node:
        if _UNPRINTABLE.search(text):
            return self.represent_binary(text.encode("utf-8", "replace"))  # as SnakeYAML does
        if implied_tag(text) != "str":
            return self.represent_scalar(f"{_TAG}str", text, style="'")
        return self.represent_scalar(f"{_TAG}str", text, style="|" if "\n" in text else None)

    def _is_plain(self, text: str) -> bool:
        analysis = self.analyze_scalar(text)
        return bool(analysis.allow_block_plain and not analysis.multiline and implied_tag(text) == "str")


_Dumper.add_representer(_Filled, _Dumper.represent_filled)
_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(JsonText, _Dumper.represent_json_text)
_Dumper.add_representer(float, _Dumper.represent_double)


def _read_plain(text: str) -> yaml.Node | None:
    """What a text means where a value without quotes stands: a scalar, or a list or a map in brackets."""
    if "\n" in text or len(_SIGNS.findall(text)) > _MOST_SIGNS:
        return None
    try:
        root = yaml.compose(f"? x\n: {text}\n", Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    assert isinstance(root, yaml.MappingNode)
    node: yaml.Node = root.value[0][1]
    if isinstance(node, yaml.ScalarNode):
        return node if node.style is None and node.value == text else None
    return node if text.strip().startswith(("[", "{")) else None
