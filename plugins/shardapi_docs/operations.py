"""The calls of the document, each as it is read: scope, fields, errors, headers, examples."""

import re
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import quote

from .fields import Field, Reader, Schema
from .snippets import STREAM, Example, as_json, snippets

JSON, PROBLEM = "application/json", "application/problem+json"
OPTION = "#/components/parameters/dryRun"
METHODS = ("get", "post", "patch", "put", "delete")
LIMITED = "RateLimit-Policy"
SHARED_PARAMETERS = "#/components/parameters/"
RESPONSES, EXAMPLES = "#/components/responses/", "#/components/examples/"
EVERY_ANSWER = ("ok", "guildId")
EVERY_WRITE = (*EVERY_ANSWER, "action", "changed", "version", "dryRun")


class Code(NamedTuple):
    """An error: its code, and when it comes; `text` is an example of its problem document, as JSON."""

    code: str
    status: int
    title: str
    when: str
    text: str


class Header(NamedTuple):
    """A header of an answer."""

    name: str
    text: str


class Operation(NamedTuple):
    """One call."""

    id: str
    group: str
    method: str
    path: str
    summary: str
    scope: str
    writes: bool
    limited: bool
    parameters: list[Field]
    shared: list[str]
    body: list[Field]
    body_text: str
    body_required: bool
    answer: list[Field]
    common: list[str]
    answer_text: str
    media_type: str
    headers: list[Header]
    errors: list[Code]
    snippets: dict[str, str]
    answer_example: str
    call: dict[str, Any]


class Operations:
    """All calls of one document, and the codes of all their errors."""

    def __init__(self, document: dict[str, Any], base_url: str) -> None:
        self.document, self.base_url = document, base_url
        self.components = document["components"]
        self.reader = Reader(self.components["schemas"])
        self.all = [
            self._operation(path, method, document["paths"][path][method])
            for path in document["paths"]
            for method in METHODS
            if method in document["paths"][path]
        ]
        self.codes = {code.code: code for one in self.all for code in one.errors}
        seen = Counter(code.code for one in self.all for code in one.errors)
        keyed = sum(bool(one.scope) for one in self.all)
        self.everywhere = {code for code, count in seen.items() if keyed and count * 3 > keyed}

    def _operation(self, path: str, method: str, given: dict[str, Any]) -> Operation:
        parameters = given.get("parameters", [])
        own = [one for one in parameters if "$ref" not in one]
        shared = [one["$ref"].removeprefix(SHARED_PARAMETERS) for one in parameters if "$ref" in one]
        body = given.get("requestBody", {}).get("content", {}).get(JSON)
        success = given["responses"]["200"]
        media_type, content = next(iter(success["content"].items()))
        scope = next((scope for one in given["security"] for scope in one.get("ownerKey", ())), "")
        schema = (body or {}).get("schema", {})
        example = self._example(path, method, own, body, bool(scope), media_type)
        writes = {"$ref": OPTION} in parameters
        answer = self.reader.fields(content.get("schema", {}), answered=True)
        common = [one.name for one in answer if _is_common(one, writes)]
        return Operation(
            id=given["operationId"],
            group=given["tags"][0],
            method=method.upper(),
            path=path,
            summary=given["summary"],
            scope=scope,
            writes=writes,
            limited=LIMITED in success.get("headers", {}),
            parameters=[self._parameter(one) for one in own],
            shared=shared,
            body=self.reader.fields(schema) if body else [],
            body_text=self.reader.resolve(schema).get("description", ""),
            body_required=given.get("requestBody", {}).get("required", False),
            answer=[one for one in answer if not _is_common(one, writes)],
            common=common,
            answer_text="" if success["description"] == "Done." else success["description"],
            media_type=media_type,
            headers=self._headers(success),
            errors=self._errors(given["responses"]),
            snippets=snippets(example),
            answer_example=_shown(content.get("example"), media_type),
            call=_call(method, path, own, body, bool(scope), media_type, writes),
        )

    def _parameter(self, given: Schema) -> Field:
        needed = "required" if given.get("required") else ""
        where = {"path": "in the path", "header": "header", "query": ""}[given["in"]]
        field = self.reader.field(given["name"], given["schema"], needed, given.get("description", ""))
        return field._replace(kind=", ".join(part for part in (field.kind, where) if part))

    def _headers(self, success: dict[str, Any]) -> list[Header]:
        """Those of its own; what every answer has is told once."""
        return [
            Header(name, header["description"])
            for name, header in success.get("headers", {}).items()
            if "$ref" not in header
        ]

    def _errors(self, responses: dict[str, Any]) -> list[Code]:
        return [
            code
            for status, response in responses.items()
            if status not in ("200", "304")
            for code in self._codes(int(status), response)
        ]

    def _codes(self, status: int, response: dict[str, Any]) -> list[Code]:
        while "$ref" in response:
            response = self.components["responses"][response["$ref"].removeprefix(RESPONSES)]
        found = []
        for code, example in response.get("content", {}).get(PROBLEM, {}).get("examples", {}).items():
            while "$ref" in example:
                example = self.components["examples"][example["$ref"].removeprefix(EXAMPLES)]
            when = example.get("description") or example.get("summary", "")
            found.append(Code(code, status, example.get("summary", ""), when, as_json(example["value"])))
        return found

    def _example(
        self, path: str, method: str, parameters: list[Schema], body: Schema | None, keyed: bool, kind: str
    ) -> Example:
        shown, query = path, []
        for one in parameters:
            value = quote(str(_example_of(one)), safe="")
            if one["in"] == "path":
                shown = shown.replace(f"{{{one['name']}}}", value)
            elif one["in"] == "query" and one.get("required"):
                query.append(f"{quote(one['name'])}={value}")
        url = self.base_url + shown + (f"?{'&'.join(query)}" if query else "")
        return Example(method.upper(), url, keyed, body.get("example") if body else None, kind)


def _is_common(field: Field, writes: bool) -> bool:
    """Whether a member means here what it means in every answer."""
    return not field.depth and not field.text and field.name in (EVERY_WRITE if writes else EVERY_ANSWER)


def _example_of(parameter: Schema) -> Any:
    """A value from its schema, else its name in capitals: to be replaced."""
    schema = parameter.get("schema", {})
    for one in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        if one.get("examples"):
            return one["examples"][0]
        if one.get("enum"):
            return one["enum"][0]
    if schema.get("type") in ("integer", "number"):
        return schema.get("minimum", 1)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter["name"]).upper()


def _shown(example: Any, media_type: str) -> str:
    """An example of an answer as it goes over the wire, or as JSON laid out to be read."""
    if example is None:
        return ""
    if media_type == STREAM and isinstance(example, dict):
        return "".join(f"{name}: {value}\n" for name, value in example.items())
    return example if isinstance(example, str) else as_json(example)


def _call(
    method: str,
    path: str,
    parameters: list[Schema],
    body: Schema | None,
    keyed: bool,
    kind: str,
    writes: bool,
) -> dict[str, Any]:
    """What a form to try the call is made from."""
    return {
        "method": method.upper(),
        "path": path,
        "keyed": keyed,
        "writes": writes,
        "streams": kind == STREAM,
        "parameters": [
            {
                "name": one["name"],
                "in": one["in"],
                "required": bool(one.get("required")),
                "example": str(_example_of(one)) if one["in"] == "path" else "",
            }
            for one in parameters
        ],
        "body": None if body is None else as_json(body.get("example", {})),
    }
