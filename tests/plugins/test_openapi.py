"""/openapi.json: valid, whole, and true to the routes that are declared."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from apps import API, client_of, client_with, problem, said
from flask.testing import FlaskClient

from shardapi import PUBLIC, NoBody, ShardApp
from shardapi.auth import SCOPES
from shardapi.routes import Route, problem_codes

Conform = Callable[[dict[str, Any], Any], None]


@pytest.fixture
def document(app: ShardApp) -> dict[str, Any]:
    """The document as anyone reads it."""
    answer = client_with(app, "").get(f"{API}/openapi.json")
    assert answer.status_code == 200 and answer.content_type == "application/json"
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.fixture
def conform(document: dict[str, Any]) -> Conform:
    """Raises unless a schema of the document allows a value."""
    made: dict[str, Any] = {}

    def check(schema: dict[str, Any], value: Any) -> None:
        name = json.dumps(schema)
        if name not in made:
            made[name] = jsonschema_rs.validator_for({**schema, "components": document["components"]})
        made[name].validate(value)

    return check


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The operations by method and path, with references to parameters, headers and examples followed."""
    return {
        (method.upper(), path): followed(operation, document["components"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def followed(value: Any, components: dict[str, Any]) -> Any:
    """The same with what its references lead to in their place, but for schemas, which may hold themselves."""
    if isinstance(value, list):
        return [followed(one, components) for one in value]
    if not isinstance(value, dict):
        return value
    _, _, kind, name = (value.get("$ref") or "///").split("/")
    if kind and kind != "schemas":
        return followed(components[kind][name], components)
    return {key: followed(one, components) for key, one in value.items()}


def declared(app: ShardApp) -> dict[tuple[str, str], Route]:
    """The routes of the API as the document names them."""
    routes = [r for r in app.shard.plugins.routes if r.rule.startswith("/api/") and not r.websocket]
    return {(route.method, re.sub("<(?:.*:)?(.*?)>", r"{\1}", route.rule)): route for route in routes}


def test_what_is_read_may_be_written_back(client: FlaskClient, conform: Conform) -> None:
    net = said(client.post(f"{API}/nets", json={"name": "A"}))
    said(client.post(f"{API}/rules", json={"rules": [{"roleId": "1", "netId": net["netId"]}]}))
    rules = said(client.get(f"{API}/rules"))["rules"]
    seats = [{"userId": "7", "netUid": net["netUid"]}]
    preset = said(client.post(f"{API}/presets", json={"name": "P", "assignments": seats, "rules": rules}))[
        "preset"
    ]
    features = said(client.get(f"{API}/features"))["features"]
    both = {name: net[name] for name in ("netUid", "netId")}
    for name, path, body in (
        ("RulesBody", "/rules", {"rules": rules}),
        ("PresetBody", "/presets", preset),
        ("FeaturesBody", "/features", {"features": features}),
        ("AssignBody", "/assignments", {"userId": "7", **both}),
    ):
        conform({"$ref": f"#/components/schemas/{name}"}, body)
        said(client.post(f"{API}{path}", json=body))


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    broken = {**document, "info": {"title": 1}}
    with pytest.raises(Exception, match="info|title|version"):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_declared_route_is_in_it_and_nothing_else(app: ShardApp, document: dict[str, Any]) -> None:
    assert operations(document).keys() == declared(app).keys()


def test_each_operation_names_its_scope_its_sentence_and_an_id_of_its_own(
    app: ShardApp, document: dict[str, Any]
) -> None:
    found = operations(document)
    for place, route in declared(app).items():
        scopes = [] if route.scope == PUBLIC else [{"ownerKey": [route.scope]}]
        assert found[place]["security"] == scopes, place
        summary = found[place]["summary"]
        assert summary == route.summary and summary.endswith(".") and len(summary) > 10, place
    ids = [operation["operationId"] for operation in found.values()]
    assert len(set(ids)) == len(ids)


def test_each_operation_answers_the_errors_of_its_declaration(
    app: ShardApp, document: dict[str, Any]
) -> None:
    found = operations(document)
    for place, route in declared(app).items():
        responses = found[place]["responses"]
        told = {
            code
            for answer in responses.values()
            for content in answer.get("content", {}).values()
            for code in content.get("examples", {})
        }
        assert told == {kind.code for kind in problem_codes(route)}, place
        assert {str(kind.status) for kind in problem_codes(route)} < set(responses), place


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": ?"(.*?)"', json.dumps(document))):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_write_takes_the_write_options(app: ShardApp, document: dict[str, Any]) -> None:
    options = {"dryRun", "Idempotency-Key", "If-Match", "X-Audit-Log-Reason"}
    found = operations(document)
    for place, route in declared(app).items():
        names = {parameter["name"] for parameter in found[place].get("parameters", ())}
        assert (options <= names) == route.writes and (route.writes or not options & names)


def test_every_operation_can_be_called_by_name_and_has_its_place(document: dict[str, Any]) -> None:
    described = {tag["name"] for tag in document["tags"] if len(tag["description"]) > 10}
    for operation in operations(document).values():
        assert set(operation["tags"]) <= described, operation
        assert re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)+", operation["operationId"]), operation
        words = operation["operationId"].split("_")
        assert all(one != other for one, other in pairwise(words)), operation["operationId"]


def test_every_parameter_says_what_it_is(document: dict[str, Any]) -> None:
    for place, operation in operations(document).items():
        for parameter in operation.get("parameters", ()):
            assert len(parameter["description"]) > 3 and parameter["schema"], (place, parameter["name"])


def test_the_example_of_a_body_is_one(app: ShardApp, document: dict[str, Any], conform: Conform) -> None:
    found = operations(document)
    for place, route in declared(app).items():
        if route.body is not None and route.body is not NoBody:
            content = found[place]["requestBody"]["content"]["application/json"]
            msgspec.convert(content["example"], route.body)
            conform(content["schema"], content["example"])


def test_the_example_of_an_answer_is_one_and_leaves_nothing_out(
    document: dict[str, Any], conform: Conform
) -> None:
    for place, operation in operations(document).items():
        for content in operation["responses"]["200"]["content"].values():
            assert content["example"], place
            conform(content["schema"], content["example"])


def test_each_error_has_an_example_of_its_document(document: dict[str, Any], conform: Conform) -> None:
    for place, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if status in ("200", "304"):
                continue
            content = answer["content"]["application/problem+json"]
            for code, example in content["examples"].items():
                shown = example["value"]
                assert (shown["code"], str(shown["status"])) == (code, status), place
                conform(content["schema"], shown)
                if code == "missing_scope":
                    assert operation["security"][0]["ownerKey"][0] in shown["hint"]


def test_headers_are_told_where_they_are_answered(app: ShardApp, document: dict[str, Any]) -> None:
    limits = {
        "RateLimit-Policy",
        "RateLimit",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
    }
    found = operations(document)
    for place, route in declared(app).items():
        for status, answer in found[place]["responses"].items():
            told = answer["headers"].keys()
            assert "X-Request-Id" in told
            assert (limits <= told) == (route.scope != PUBLIC and status not in ("401", "421")), (
                place,
                status,
            )
            assert ("WWW-Authenticate" in told) == (status == "401")
            assert ("Retry-After" in told) == (status in ("429", "503"))
        success = found[place]["responses"]["200"]["headers"].keys()
        assert ("ETag" in success) == route.etag and ("Idempotent-Replayed" in success) == route.writes


def test_schemas_have_names_that_generators_can_use(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch("[A-Z][A-Za-z0-9]+", name) and schema["title"] == name


def test_it_tells_what_the_scopes_allow(document: dict[str, Any]) -> None:
    text = document["components"]["securitySchemes"]["ownerKey"]["description"]
    used = {
        scope
        for operation in operations(document).values()
        for one in operation["security"]
        for scope in one["ownerKey"]
    }
    assert all(f"{scope}: {SCOPES[scope]}" in text for scope in used)


def test_it_holds_the_enabled_plugins_only(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(PLUGINS__ENABLED="openapi,status")
    found = client_with(app, "").get(f"{API}/openapi.json").json
    assert found is not None and set(found["paths"]) == {f"{API}/openapi.json", f"{API}/status"}
    assert (
        "NetStatus" in found["components"]["schemas"] and "CreateBody" not in found["components"]["schemas"]
    )
    problem(client_of(app).get(f"{API}/roster"), "not_found")


# -- the declarations, against the app


def test_public_calls_need_no_key_and_mind_no_wrong_one(app: ShardApp) -> None:
    for path in (f"{API}/openapi.json", "/health", "/ready"):
        for secret in ("", "scok_wrong"):
            assert client_with(app, secret).get(path).status_code == 200


def test_every_event_has_an_example_that_its_schema_allows(
    document: dict[str, Any], conform: Conform
) -> None:
    mapping = document["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    for name, reference in mapping.items():
        (example,) = document["components"]["schemas"][reference.rpartition("/")[2]]["examples"]
        conform({"$ref": reference}, example)
        assert example["type"] == name and example["data"]
    assert not operation_closed(document)["open"]


def operation_closed(document: dict[str, Any]) -> Any:
    """What the example of that event says."""
    return document["components"]["schemas"]["OperationClosedEvent"]["examples"][0]["data"]
