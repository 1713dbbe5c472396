"""The OpenAPI document of a service, with its errors shown as what they are: problem documents (RFC 9457)."""

from typing import Any

from fastapi import FastAPI

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "a sentence that helps"},
        "instance": {"type": "string", "format": "uri-reference"},
        "errors": {
            "type": "array",
            "description": "each mistake in the request, with a JSON pointer into its body",
            "items": {
                "type": "object",
                "properties": {"detail": {"type": "string"}, "pointer": {"type": "string"}},
            },
        },
    },
}
_REPLACED = ("HTTPValidationError", "ValidationError")


def document_problems(app: FastAPI) -> None:
    """Make `app.openapi()` tell of problems, where FastAPI would tell of its own form of validation errors."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        made_before = app.openapi_schema is not None
        document = original()
        return document if made_before else _with_problems(document)

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to change the document


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _REPLACED:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            responses = operation["responses"]
            if "422" in responses:
                responses["422"] = {
                    "description": "The request has something in it that can't be used",
                    "content": content,
                }
            responses["default"] = {"description": "What else can go wrong, with a sentence", "content": content}
    return document
