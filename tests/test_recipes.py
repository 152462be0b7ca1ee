"""The recipes in conf: each use case, in every language, does what it says at a demo shard with the least key."""

import csv
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from demos import Demo

from shardapi.testing import Operator

RECIPES = Path(__file__).resolve().parents[1] / "conf" / "recipes"
SCOPES = {
    found[1]: re.findall("`([a-z:]+)`", found[2])
    for found in re.finditer(
        r"^\|[^|]*\| `([a-z-]+)`[^|]*\|(.*)\|$", (RECIPES / "README.md").read_text(), re.M
    )
}
LANGUAGES = [
    pytest.param("sh", marks=pytest.mark.debian("curl", "jq")),
    "py",
    pytest.param("ps1", marks=[pytest.mark.powershell, pytest.mark.debian("pwsh")]),
]
INTERPRETERS = {"sh": ("bash",), "py": (sys.executable, "-I"), "ps1": ("pwsh", "-NoProfile", "-File")}
OVER_THE_API = sorted(SCOPES.keys() - {"staff-keys"})
ARGUMENTS = {"old-layouts": ["keep", "Command"], "attendance": ["list.csv", "1"]}
in_every_language = pytest.mark.parametrize("language", LANGUAGES)


class Kitchen:
    """A demo shard, and the recipes run at it in an otherwise empty folder."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.demo = Demo(folder, "--operators", "8", "--data-dir", str(self.data))
        self.folder = folder
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "SHARD": self.demo.url,
            "SHARDAPI_DATA_DIR": str(self.data),
        }

    def command(self, *arguments: str) -> Any:
        """Run a `shardapi` command on the demo's data; returns what it printed."""
        call = [sys.executable, "-m", "shardapi", *arguments, "--json"]
        done = subprocess.run(call, env=self.env, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def key(self, *scopes: str) -> str:
        """A new key that may do this and nothing else."""
        wanted = [part for scope in scopes for part in ("--scope", scope)]
        secret: str = self.command("keys", "create", "recipe", *wanted)["secret"]
        return secret

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One call with a key that opens everything; it must succeed."""
        headers = {"Authorization": f"Bearer {self.demo.key}"}
        answer = requests.request(
            method, f"{self.demo.url}/api/v1{path}", json=body, headers=headers, timeout=20
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def nets(self) -> dict[str, dict[str, Any]]:
        """The nets by name; there must not be two of one."""
        nets: list[dict[str, Any]] = self.call("GET", "/status")["nets"]
        assert len({net["name"] for net in nets}) == len(nets)
        return {net["name"]: net for net in nets}

    def begin(
        self, recipe: str, language: str, *arguments: str, key: str = "", **env: str
    ) -> "subprocess.Popen[str]":
        """Start a recipe; without a key, with one that has the scopes the README names."""
        return subprocess.Popen(
            [*INTERPRETERS[language], str(RECIPES / f"{recipe}.{language}"), *arguments],
            env={**self.env, "KEY": key or self.key(*SCOPES[recipe]), **env},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, recipe: str, language: str, *arguments: str, **options: str) -> list[str]:
        """Run a recipe, which must succeed; returns the lines it printed."""
        return finished(self.begin(recipe, language, *arguments, **options))


def finished(recipe: "subprocess.Popen[str]") -> list[str]:
    """The lines of a recipe that must have succeeded."""
    said, complaint = recipe.communicate(timeout=60)
    assert (recipe.returncode, complaint) == (0, ""), said + complaint
    return said.splitlines()


def refused(recipe: "subprocess.Popen[str]") -> str:
    """What a recipe complained of that must have failed."""
    said, complaint = recipe.communicate(timeout=60)
    assert recipe.returncode != 0 and complaint, said
    assert "Traceback" not in complaint
    return complaint


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    """A demo that the tests of this module share."""
    made = Kitchen(tmp_path_factory.mktemp("kitchen"))
    yield made
    assert made.demo.end() == ""


@pytest.fixture
def operator(kitchen: Kitchen) -> Iterator[Callable[[str, str], Callable[[], Operator]]]:
    """Lets operators in: what it returns connects one to the demo."""
    joined: list[Operator] = []

    def admit(user_id: str, name: str) -> Callable[[], Operator]:
        said = kitchen.command("operators", "token", user_id, "--name", name)

        def connect() -> Operator:
            joined.append(Operator(kitchen.demo.url, said["token"], said["guildId"]).join())
            return joined[-1]

        return connect

    yield admit
    for one in joined:
        one.close()


# -- the page about them


def test_every_recipe_is_there_in_three_languages_and_on_the_page() -> None:
    files = {file.name for file in RECIPES.iterdir()} - {"README.md", "signups.csv", "roles.csv"}
    assert len(SCOPES) == 6  # the reference's use cases
    use_cases = {f"{name}.{language}" for name in SCOPES for language in INTERPRETERS}
    assert files == use_cases | {"receive-webhooks.py", "receive-webhooks.js"}


@pytest.mark.parametrize("name", ["signups", "roles"])
def test_the_example_files_have_what_is_read_of_them(name: str) -> None:
    wanted = {"signups": ["userId", "name", "squad"], "roles": ["roleId", "role", "net"]}
    with open(RECIPES / f"{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and all(list(row) == wanted[name] and all(row.values()) for row in rows)


# -- the use cases


@in_every_language
def test_a_board_is_built_from_signups(kitchen: Kitchen, language: str) -> None:
    signups = kitchen.folder / f"signups.{language}.csv"
    people = [f"{number},Zoë,Squad {number % 2} ü {language}" for number in range(250)]
    signups.write_text("\n".join(["userId,name,squad", *people, ""]), "utf-8")
    old = kitchen.call("POST", "/nets", {"name": f"Last week {language}"})["netUid"]
    kitchen.call("POST", "/operation", {"open": False})
    rename, key = f"Last week {language}=Squad 0 ü {language}", kitchen.key(*SCOPES["board-from-signups"])
    arguments = ("board-from-signups", language, str(signups), "Briefing at 20:30 „sharp“")
    said = kitchen.run(*arguments, key=key, RENAME=rename)
    nets, status = kitchen.nets(), kitchen.call("GET", "/status")
    squads = [nets[f"Squad {number} ü {language}"] for number in (0, 1)]
    assert squads[0]["netUid"] == old and status["operationOpen"] is True
    stored = kitchen.call("GET", "/assignments")["assignments"]
    for number in range(250):
        assert squads[number % 2]["id"] in stored[str(number)]
    assert said[0] == f"Last week {language} is called Squad 0 ü {language} now."
    assert said[1] == f"Made the net Squad 1 ü {language} ({squads[1]['netUid']})."
    assert said[2:5] == [
        "Assigned 200, 0 were so already.",
        "Assigned 50, 0 were so already.",
        "The operation is open.",
    ]
    assert re.fullmatch(r"The briefing reached [1-9]\d* clients\.", said[5])

    again = kitchen.begin(*arguments, key=key)
    assert "POST /acars" in refused(again)  # one alert a minute; all before it is so already
    assert kitchen.nets().keys() == nets.keys()


@in_every_language
def test_members_are_sorted_by_role(kitchen: Kitchen, language: str) -> None:
    nets = kitchen.nets()
    other = {"roleId": f"77-{language}", "netUids": [nets["Recon"]["netUid"], nets["Medevac"]["netUid"]]}
    kitchen.call("POST", "/rules", {"rules": [other]})
    said = kitchen.run("sort-by-role", language)
    with open(RECIPES / "roles.csv", newline="") as file:
        wanted = {row["roleId"]: [nets[row["net"]]["netUid"]] for row in csv.DictReader(file)}
    wanted[other["roleId"]] = other["netUids"]
    rules = kitchen.call("GET", "/rules")["rules"]
    assert {rule["roleId"]: rule["netUids"] for rule in rules} == wanted
    assert sorted(said) == sorted(f"{role} is on {', '.join(uids)}" for role, uids in wanted.items())
    assert kitchen.run("sort-by-role", language) == ["Nothing to change."]


@contextmanager
def between(kitchen: Kitchen, path: str, meanwhile: Callable[[], object]) -> Iterator[str]:
    """The demo by another address, where something happens after each answer to a GET of a path."""

    class Passing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent = {name: value for name, value in self.headers.items() if name != "Host"}
            answer = requests.request(
                self.command, kitchen.demo.url + self.path, data=body, headers=sent, timeout=20
            )
            if (self.command, self.path) == ("GET", path):
                meanwhile()
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Passing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@in_every_language
def test_rules_that_someone_else_sets_meanwhile_are_not_overwritten(kitchen: Kitchen, language: str) -> None:
    kitchen.call("POST", "/rules", {"rules": []})
    theirs = {"roleId": f"88-{language}", "netUids": [kitchen.nets()["Recon"]["netUid"]]}
    with between(
        kitchen, "/api/v1/rules", lambda: kitchen.call("POST", "/rules", {"rules": [theirs]})
    ) as url:
        kitchen.run("sort-by-role", language, SHARD=url)  # it has looked again
    rules = {rule["roleId"]: rule["netUids"] for rule in kitchen.call("GET", "/rules")["rules"]}
    assert rules[theirs["roleId"]] == theirs["netUids"] and len(rules) > 1


@in_every_language
def test_roles_are_not_sorted_while_something_is_changed_each_time(kitchen: Kitchen, language: str) -> None:
    kitchen.call("POST", "/rules", {"rules": []})
    changes: list[bool] = []

    def meanwhile() -> None:
        changes.append(kitchen.call("GET", "/status")["operationOpen"])
        kitchen.call("POST", "/operation", {"open": not changes[-1]})

    with between(kitchen, "/api/v1/rules", meanwhile) as url:
        said = refused(kitchen.begin("sort-by-role", language, SHARD=url))
    assert "POST /rules" in said and said.count("If-Match") == 1 and len(changes) == 5
    assert kitchen.call("GET", "/rules")["rules"] == []


@in_every_language
def test_a_role_whose_net_is_not_there_changes_nothing(kitchen: Kitchen, language: str) -> None:
    roles = kitchen.folder / "wrong.csv"
    roles.write_text("roleId,role,net\n1,Pilot,Nowhere\n")
    before = kitchen.call("GET", "/rules")
    assert "there is no net called Nowhere" in refused(kitchen.begin("sort-by-role", language, str(roles)))
    assert kitchen.call("GET", "/rules") == before


@in_every_language
def test_the_org_is_shown_what_is_live(kitchen: Kitchen, language: str) -> None:
    key = kitchen.key(*SCOPES["show-what-is-live"])
    said = kitchen.run("show-what-is-live", language, f"live.{language}.html", key=key)
    page = (kitchen.folder / f"live.{language}.html").read_text("utf-8-sig")
    assert key not in page and "scok_" not in page
    (source,) = re.findall('<iframe src="(.*?)"', page)
    widget = requests.get(source.replace("&amp;", "&"), timeout=20)
    assert widget.status_code == 200 and widget.headers["Content-Type"].startswith("text/html")
    assert said[0] == f"Wrote live.{language}.html."
    assert re.fullmatch(r"Demo: the operation is (open|closed), \d+ connected\.", said[1])
    assert [line.strip().split(":")[0] for line in said[2:]] == list(kitchen.nets())


@in_every_language
def test_attendance_is_kept_without_polling_and_without_a_gap(
    kitchen: Kitchen, operator: Callable[[str, str], Callable[[], Operator]], language: str
) -> None:
    arguments = ("attendance", language, f"attendance.{language}.csv")

    def rows() -> list[list[str]]:
        file = kitchen.folder / arguments[2]
        if not file.exists():
            return []
        return [row[1:] for row in csv.reader(file.read_text("utf-8-sig").splitlines())]

    operator(f"first-{language}", "Ann, „the“ Lead")()
    second, third = operator(f"second-{language}", "Ben"), operator(f"third-{language}", "Cleo")
    recipe = kitchen.begin(*arguments, "10")  # seconds, within which it has to begin and hear of the second
    kitchen.demo.wait(lambda: [f"first-{language}", "Ann, „the“ Lead", "present"] in rows())
    second().close()
    assert re.fullmatch(rf"\d+ entries in {re.escape(arguments[2])}\.", finished(recipe)[-1])
    third().close()
    kitchen.run(*arguments, "5")
    ours = [row for row in rows() if row[0].endswith(f"-{language}")]
    assert ours == [
        [f"first-{language}", "Ann, „the“ Lead", "present"],
        [f"second-{language}", "Ben", "joined"],
        [f"second-{language}", "Ben", "left"],
        [f"third-{language}", "Cleo", "joined"],
        [f"third-{language}", "Cleo", "left"],
    ]
    assert rows()[0] == ["userId", "displayName", "what"]


@in_every_language
def test_old_layouts_are_kept_found_and_restored(kitchen: Kitchen, language: str) -> None:
    name = f"Friday „{language}“ Layout"
    net = kitchen.call("POST", "/nets", {"name": name})
    kitchen.call("POST", "/assignments", {"userId": "42", "netUid": net["netUid"]})
    key = kitchen.key(*SCOPES["old-layouts"])
    said = kitchen.run("old-layouts", language, "keep", name, "two ships & more", "air", language, key=key)
    found = re.fullmatch(rf"Kept {name} with 1 people as (net_\w+)\.", said[0])
    assert found is not None and found[1] != net["netUid"]
    entry = kitchen.call("GET", f"/archive/{found[1]}")["entry"]
    assert (entry["notes"], entry["tags"], entry["assignedUserIds"]) == (
        "two ships & more",
        ["air", language],
        ["42"],
    )
    (line,) = kitchen.run("old-layouts", language, "search", f"„{language}“ layo", key=key)
    assert line.split()[0] == found[1] and line.endswith(f"{name}  air {language}")
    kitchen.call("DELETE", f"/nets/{net['netUid']}")
    said = kitchen.run("old-layouts", language, "restore", net["netUid"], key=key)
    again = kitchen.nets()[name]
    assert again["netUid"] == net["netUid"]
    assert said == [f"{name} is net {again['id']} now ({again['netUid']})."]
    kitchen.call("DELETE", f"/nets/{net['netUid']}")


@in_every_language
def test_staff_get_keys_for_their_jobs_and_each_is_revoked_by_itself(kitchen: Kitchen, language: str) -> None:
    secrets = dict(line.split() for line in kitchen.run("staff-keys", language, "create", key="-"))
    assert list(secrets) == ["dashboard", "alerts", "assigner", "automation"]

    def code(name: str, method: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {secrets[name]}"}
        return requests.request(
            method, f"{kitchen.demo.url}/api/v1{path}", headers=headers, timeout=20
        ).status_code

    assert code("dashboard", "GET", "/roster") == 200 and code("dashboard", "POST", "/operation") == 403
    assert code("alerts", "POST", "/acars") == 400 and code("alerts", "GET", "/status") == 403
    assert code("assigner", "POST", "/assignments") == 400 and code("assigner", "POST", "/nets") == 403
    assert code("automation", "POST", "/presets") == 400 and code("automation", "GET", "/audit") == 403
    (said,) = kitchen.run("staff-keys", language, "revoke", "alerts", key="-")
    assert re.fullmatch(r"key_\w+ \(alerts\) is revoked\.", said)
    kitchen.demo.wait(lambda: code("alerts", "POST", "/acars") == 401)
    assert code("dashboard", "GET", "/roster") == 200
    again = kitchen.begin("staff-keys", language, "revoke", "alerts", key="-")
    assert "there is no live key called alerts" in refused(again)


# -- refused


@in_every_language
@pytest.mark.parametrize("recipe", OVER_THE_API)
def test_a_recipe_that_is_refused_says_why_and_fails(kitchen: Kitchen, recipe: str, language: str) -> None:
    without = kitchen.begin(recipe, language, *ARGUMENTS.get(recipe, ()), key=kitchen.demo.key[:-1] + "-")
    assert "needs a valid key of this shard" in refused(without)


@pytest.mark.parametrize(
    ("recipe", "scope"), [(recipe, scope) for recipe in OVER_THE_API for scope in SCOPES[recipe]]
)
def test_no_scope_on_the_page_is_one_too_many(kitchen: Kitchen, recipe: str, scope: str) -> None:
    others = [one for one in SCOPES[recipe] if one != scope] or ["read:audit"]
    arguments = ARGUMENTS.get(recipe, ())
    assert f"lacks the scope {scope}" in refused(
        kitchen.begin(recipe, "py", *arguments, key=kitchen.key(*others))
    )


@in_every_language
@pytest.mark.parametrize("recipe", OVER_THE_API)
def test_a_recipe_without_its_settings_or_a_shard_says_so(
    kitchen: Kitchen, recipe: str, language: str
) -> None:
    arguments = ARGUMENTS.get(recipe, ())
    assert "SHARD" in refused(kitchen.begin(recipe, language, *arguments, key="x", SHARD=""))
    if recipe != "attendance":  # it waits until there is one
        away = kitchen.begin(recipe, language, *arguments, key="x", SHARD="http://127.0.0.1:9")
        assert refused(away)
