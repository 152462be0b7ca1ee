"""/docs as HTML: all of the document is in it, each link leads somewhere, and nothing that a plugin says is markup."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from apps import client_with, problem
from documents import Document
from flask.testing import FlaskClient

from shardapi import ShardApp, create_app
from shardapi.config import load
from shardapi.errors import CODES
from shardapi.openapi import document
from shardapi_docs.site import Site

MOST_BYTES = 150 * 1024
STATIC = ("docs.css", "docs.js", "icon.svg")
STRANGER = '''
"""/evil: <script>alert(1)</script> and `</code><img src=x onerror=alert(2)>` & "quotes" """
from typing import Annotated
import msgspec
from shardapi import Body, ErrorCode, EventType, Routes, ShardApp, Write, Written, hookimpl

routes = Routes("evil", __name__, scopes={"write:evil": "</p><script>alert(3)</script>"})
BAD = ErrorCode("evil_<b>code</b>", 409, "</td><script>alert(4)</script>", "'\\"><svg onload=alert(5)>")
Text = Annotated[str, msgspec.Meta(max_length=7, description="<iframe src=javascript:alert(6)>", examples=["';$(id)`"])]


class EvilBody(Body, kw_only=True):
    """</dl><script>alert(7)</script>"""

    field: Text
    other: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Told(msgspec.Struct, frozen=True):
    said: Annotated[
        str, msgspec.Meta(description="<script>alert(8)</script>", examples=["</pre><script>alert(9)</script>"])
    ]


BODY = {"field": "'; </script><script>alert(10)</script> $(id) `id` ’"}


@routes.post("/evil", scope="write:evil", errors=[BAD], examples={"body": BODY})
def do(body: EvilBody, write: Write) -> Written:
    """<script>alert(11)</script> <a href="javascript:alert(12)">x</a>"""
    return write.store(lambda: None, lambda _: Written(action="evil"))


@hookimpl
def shardapi_events() -> list[EventType]:
    return [EventType("evil.done", Told, "<script>alert(13)</script>")]


@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [routes]
'''


def site_of(app: ShardApp) -> Site:
    """The docs of an app."""
    site: Site = app.extensions["docs"]
    return site


def names(app: ShardApp) -> list[str]:
    """Every page's path."""
    client_with(app, "").get("/docs")
    pages = site_of(app)._pages
    assert pages is not None
    return ["/docs" + (f"/{name}" if name else "") for name in (*pages.chapters, "all")]


def strange(folder: Path, text: str = STRANGER) -> ShardApp:
    """An app with a plugin that means no good."""
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "evil.py").write_text(text)
    return create_app(load(environ={"SHARDAPI_PLUGINS__DIR": str(plugins)}, data_dir=str(folder / "data")))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """One app for all, the stranger's plugin in it."""
    app = strange(tmp_path_factory.mktemp("docs"))
    yield app
    app.shard.close()


@pytest.fixture(scope="module")
def anyone(house: ShardApp) -> FlaskClient:
    """A reader without a key."""
    return client_with(house, "")


@pytest.fixture(scope="module")
def pages(house: ShardApp, anyone: FlaskClient) -> dict[str, Document]:
    """Every page there is."""
    answers = {path: anyone.get(path) for path in names(house)}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {path: Document(answer.text) for path, answer in answers.items()}


@pytest.fixture(scope="module")
def described(house: ShardApp) -> dict[str, Any]:
    """The OpenAPI document."""
    return document(house.shard)


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and what else there is of each call."""
    return [
        (method.upper(), path, one)
        for path, methods in described["paths"].items()
        for method, one in methods.items()
    ]


def codes_of(described: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """The codes of a call's errors."""
    components = described["components"]["responses"]
    responses = [
        components[one["$ref"].removeprefix("#/components/responses/")]
        for one in operation["responses"].values()
        if "$ref" in one
    ]
    return {code for one in responses for code in one["content"]["application/problem+json"]["examples"]}


def test_every_call_stands_there_with_its_scope_fields_and_errors(
    described: dict[str, Any], pages: dict[str, Document]
) -> None:
    schemas = described["components"]["schemas"]
    for method, path, one in operations(described):
        id_ = one["operationId"]
        for page, anchor in (
            (f"/docs/reference/{one['tags'][0]}", id_),
            ("/docs/all", f"reference/{one['tags'][0]}.{id_}"),
        ):
            text = pages[page].section(anchor)
            assert f"{method} {path}" in text and one["summary"].replace("`", "") in text, id_
            for scope in [name for entry in one["security"] for name in entry["ownerKey"]] or [
                "Needs no key"
            ]:
                assert scope in text, id_
            for code in codes_of(described, one):
                assert code in text, (id_, code)
            body = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            for name, member in (
                schemas.get(body.get("$ref", "").rpartition("/")[2], {}).get("properties", {}).items()
            ):
                assert f"{name} " in text, (id_, name)
                for bound in ("maxLength", "maximum", "maxItems"):
                    if bound in member:
                        assert f"{member[bound]:,}" in text, (id_, name, bound)
            for language in (
                "curl ",
                "Invoke-RestMethod" if id_ != "stream_follow" else "HttpClient",
                "import requests",
            ):
                assert language in text, (id_, language)


def test_every_event_stands_there_with_its_members_and_an_example(
    described: dict[str, Any], pages: dict[str, Document]
) -> None:
    schemas = described["components"]["schemas"]
    mapping = schemas["Event"]["discriminator"]["mapping"]
    assert {"evil.done", "user.joined", "stream.gap"} <= set(mapping)
    for name, reference in mapping.items():
        envelope = schemas[reference.rpartition("/")[2]]
        text = pages["/docs/event-types"].section(name)
        assert envelope["description"] in text and f'"type": "{name}"' in text
        for member in schemas[envelope["properties"]["data"]["$ref"].rpartition("/")[2]]["properties"]:
            assert f"{member} " in text, (name, member)


def test_every_error_code_stands_there_and_says_when(pages: dict[str, Document]) -> None:
    for code in CODES.values():
        text = pages["/docs/errors"].section(code.code)
        assert text.strip().startswith(f"{code.status} {code.code}")
        assert code.when.replace("`", "") in text


def test_every_scope_stands_there_with_the_calls_it_opens(
    described: dict[str, Any], pages: dict[str, Document]
) -> None:
    scopes = described["components"]["securitySchemes"]["ownerKey"]["x-scopes"]
    assert {"read:roster:roles", "write:evil", "write:nets"} <= set(scopes)
    for name, sentence in scopes.items():
        text = pages["/docs/scopes"].section(name)
        assert sentence in text
        for method, path, one in operations(described):
            assert (f"{method} {path}" in text) == (one["security"] == [{"ownerKey": [name]}]), (name, path)


def test_every_link_and_anchor_leads_somewhere(anyone: FlaskClient, pages: dict[str, Document]) -> None:
    checked = 0
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path
        for link in page.links:
            place = urlsplit(link)
            if place.scheme:
                assert place.scheme == "https", (path, link)
                continue
            target = place.path or path
            if target in pages:
                anchor = unquote(place.fragment)
                assert not anchor or anchor in pages[target].ids, (path, link)
            else:
                assert anyone.get(target).status_code == 200, (path, link)
            checked += 1
        for loaded in page.loads:
            assert loaded.startswith("/docs/static/"), (path, loaded)
    assert checked > 1000


def test_no_page_weighs_too_much(house: ShardApp, anyone: FlaskClient) -> None:
    besides = 0
    for name in STATIC:
        with anyone.get(f"/docs/static/{name}") as file:
            besides += len(file.data)
    for path in names(house):
        answer = anyone.get(path, headers={"Accept-Encoding": "gzip, br"})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(answer.data) + besides <= MOST_BYTES, path
        if path != "/docs/all":  # all of it weighs more before it is compressed
            assert len(anyone.get(path).data) + besides <= MOST_BYTES, path


def test_what_a_plugin_says_is_text(house: ShardApp, pages: dict[str, Document], anyone: FlaskClient) -> None:
    shown = pages["/docs/reference/evil"]
    for number in (3, 4, 5, 6, 7, 8, 9, 10, 11, 13):
        assert any(f"alert({number})" in page.text for page in pages.values()), number
    for path, page in pages.items():
        assert page.tags.count("script") == 1, path
        assert not {"iframe", "img", "svg onload", "style"} & set(page.tags), path
        for name, value in page.attributes:
            assert not name.startswith("on") and name != "style" and not value.startswith("javascript:"), (
                path,
                name,
                value,
            )
    assert "up to 7 characters" in shown.text and "1 to 9" in shown.text
    found = anyone.get("/docs/search", query_string={"q": "<script>alert(0)</script>"})
    assert Document(found.text).tags.count("script") == 1
    assert (
        anyone.get("/docs/search", query_string={"q": "evil"}).text.count("/docs/reference/evil#evil_do") == 1
    )


def test_its_policy_lets_it_ask_this_shard_and_nothing_else(anyone: FlaskClient) -> None:
    for path in ("/docs", "/docs/reference/nets", "/docs/search?q=net", "/docs/index.json"):
        headers = anyone.get(path).headers
        policy = dict(one.split(" ", 1) for one in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in headers


def test_a_page_is_sent_once(anyone: FlaskClient) -> None:
    first = anyone.get("/docs/keys")
    assert anyone.get("/docs/keys", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert anyone.get("/docs/keys", headers={"If-None-Match": '"other"'}).status_code == 200
    assert anyone.head("/docs/keys").data == b""


@pytest.mark.parametrize(
    "path", ["/docs/nothing", "/docs/reference/nothing", "/docs/../x", "/docs/guides/%00"]
)
def test_what_is_not_there_is_said_so(anyone: FlaskClient, path: str) -> None:
    answer = anyone.get(path, headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 404
    if "html" in answer.content_type:
        assert "There is no such page" in Document(answer.text).text
    assert problem(anyone.get(path), "not_found")


def test_words_are_found_without_a_script(anyone: FlaskClient) -> None:
    def found(query: str) -> list[str]:
        page = Document(anyone.get("/docs/search", query_string={"q": query}).text)
        start = page.links.index("/docs/all") + 1
        return page.links[start:]

    assert found("assignments bulk")[0] == "/docs/reference/assignments#assignments_assign_many"
    assert found("ptt.start")[0] == "/docs/event-types#ptt.start"
    assert found("no_free_slot")[0] == "/docs/errors#no_free_slot"
    assert found("write:acars")[0] == "/docs/scopes#write:acars"
    assert "/docs/writes#repeat-safely-idempotency-key" in found("idempotency")
    assert found("netui") and found("xyzzy") == found("") == found("!") == []


def test_examples_name_this_shard(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(SERVER__PUBLIC_URL="https://comms.example.org/")
    client = client_with(app, "")
    for path in ("/docs", "/docs/quick-start", "/docs/reference/nets"):
        text = client.get(path, headers={"Host": "comms.example.org"}).text
        assert "https://comms.example.org/api/v1" in text and "shard.example.com" not in text


def test_what_is_not_enabled_is_not_in_it(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(PLUGINS__ENABLED='["docs", "nets"]')
    pages = {path: Document(client_with(app, "").get(path).text) for path in names(app)}
    assert (
        "/docs/reference/nets" in pages and "/docs/webhooks" not in pages and "/docs/operators" not in pages
    )
    assert all(
        "/api/v1/webhooks" not in page.text
        for path, page in pages.items()
        if path not in ("/docs/plugins", "/docs/all")
    )
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if target.startswith("/docs"):
                assert target in pages and (not anchor or unquote(anchor) in pages[target].ids), (path, link)


def test_without_the_plugin_there_are_no_docs(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(PLUGINS__ENABLED='["nets", "status"]')
    assert client_with(app, "").get("/docs").status_code == 404


def test_nothing_of_it_is_imported_at_the_start(tmp_path: Path) -> None:
    script = (
        "import sys; from shardapi import create_app; from shardapi.config import load;"
        f"app = create_app(load(environ={{}}, data_dir={str(tmp_path)!r}));"
        "early = [name for name in sys.modules if name.startswith(('markdown_it', 'shardapi_docs.pages'))];"
        "assert app.test_client().get('/docs').status_code == 200;"
        "late = [name for name in sys.modules if name.startswith('markdown_it')];"
        "app.shard.close(); print(len(early), len(late) > 5)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("0 True", ""), done.stderr


def test_markup_is_left_to_the_templates() -> None:
    folder = Path(sys.modules["shardapi_docs"].__file__ or "").parent
    for file in (folder / "templates").glob("*.html"):
        assert not re.search(r"\|\s*safe|autoescape false", file.read_text("utf-8")), file.name
    assert "innerHTML" not in (folder / "static" / "docs.js").read_text("utf-8")
