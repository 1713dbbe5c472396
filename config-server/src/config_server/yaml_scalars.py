"""The types of YAML's plain values, as SnakeYAML tells and builds them: YAML 1.1, and not quite as PyYAML has it."""

import base64
import math
import re
from collections.abc import Sequence

from .documents import JsonText, Scalar

# SnakeYAML 2, org.yaml.snakeyaml.resolver.Resolver; Spring Boot takes the timestamps out.
_BOOL = re.compile(r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF")
_INT = re.compile(
    r"[-+]?0b_*[01][01_]*|[-+]?0_*[0-7][0-7_]*|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x_*[0-9a-fA-F][0-9a-fA-F_]*"
    r"|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
    re.ASCII,
)
_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    re.ASCII,
)
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = frozenset({"yes", "true", "on"})


def implied_tag(text: str) -> str:
    """The type that a plain scalar has without a tag, as the name of YAML's tag for it."""
    if _NULL.fullmatch(text):
        return "null"
    if _BOOL.fullmatch(text):
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    if _FLOAT.fullmatch(text):
        return "float"
    # SnakeYAML knows the type of a lone `=` and has nothing to build it with.
    return "value" if text == "=" else "str"


def construct(tag: str, text: str) -> Scalar | None:
    """The value of a scalar.

    Raises ValueError where the text does not fit the tag, or where the tag is none of YAML's own scalars.
    """
    if tag == "str":
        return text
    if tag == "null":
        return None
    if tag == "bool":
        if not _BOOL.fullmatch(text):
            raise ValueError(text)
        return text.lower() in _TRUE
    if tag == "int":
        return _int(text.replace("_", ""))
    if tag == "float":
        return _float(text.replace("_", "").lower())
    if tag == "binary":
        encoded = base64.b64encode(base64.b64decode("".join(text.split()), validate=True)).decode()
        return JsonText(encoded, yaml=f"!!binary {encoded}")
    raise ValueError(tag)


def _signed(text: str) -> tuple[int, str]:
    return (-1 if text.startswith("-") else 1), text[1:] if text[:1] in ("+", "-") else text


def _int(text: str) -> int:
    sign, digits = _signed(text)
    if digits.startswith("0b"):
        return sign * int(digits[2:], 2)
    if digits.startswith("0x"):
        return sign * int(digits[2:], 16)
    if ":" in digits:
        return sign * int(_sexagesimal([int(part) for part in digits.split(":")]))
    return sign * int(digits, 8 if digits.startswith("0") else 10)


def _float(text: str) -> float | str:
    sign, digits = _signed(text)
    if digits == ".nan":
        return JsonText("NaN", yaml=".nan")
    value = _sexagesimal([float(part) for part in digits.split(":")]) if ":" in digits else float(_plain_float(digits))
    if math.isinf(value):
        return JsonText("-Infinity", yaml="-.inf") if sign < 0 else JsonText("Infinity", yaml=".inf")
    return sign * value


def _plain_float(digits: str) -> str:
    return "inf" if digits == ".inf" else digits


def _sexagesimal(parts: Sequence[float]) -> float:
    value: float = 0
    for part in parts:
        value = value * 60 + part
    return value
