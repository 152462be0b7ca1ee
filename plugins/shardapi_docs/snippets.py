"""A call as it is typed: for curl, in Python, in PowerShell; made from the call's own example."""

import json
import shlex
from typing import Any, NamedTuple

WIDTH = 72
STREAM = "text/event-stream"
LANGUAGES = {"sh": "curl", "python": "Python", "powershell": "PowerShell"}

PYTHON = """import os

import requests

answer = requests.{method}(
    {url},
{arguments}    timeout=10,
)
print(answer.{shown})
"""
PYTHON_STREAM = """import json
import os

import requests

key = {{"Authorization": f"Bearer {{os.environ['KEY']}}"}}
with requests.get({url}, headers=key, stream=True, timeout=40) as answer:
    for line in answer.iter_lines(chunk_size=1):
        if line.startswith(b"data: "):
            print(json.loads(line[6:]))
"""
POWERSHELL_STREAM = """$client = [System.Net.Http.HttpClient]::new()
$client.DefaultRequestHeaders.Add("Authorization", "Bearer $env:KEY")
$reader = [System.IO.StreamReader]::new($client.GetStreamAsync({url}).Result)
while ($null -ne ($line = $reader.ReadLine())) {{
  if ($line.StartsWith("data: ")) {{ $line.Substring(6) | ConvertFrom-Json }}
}}
"""


class Example(NamedTuple):
    """One call to be shown; `body` is None where none is sent."""

    method: str
    url: str
    keyed: bool
    body: Any
    media_type: str


def snippets(example: Example) -> dict[str, str]:
    """The call by language."""
    return {"sh": _curl(example), "python": _python(example), "powershell": _powershell(example)}


def as_json(value: Any) -> str:
    """JSON on one line if that is short, else on several."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= WIDTH else json.dumps(value, ensure_ascii=False, indent=2)


def _curl(example: Example) -> str:
    parts = ["curl -N" if example.media_type == STREAM else "curl"]
    if example.method not in ("GET", "POST") or (example.method == "POST" and example.body is None):
        parts[0] += f" -X {example.method}"
    parts[0] += f" {shlex.quote(example.url)}"
    if example.keyed:
        parts.append('-H "Authorization: Bearer $KEY"')
    if example.body is not None:
        if example.method != "POST":
            parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(as_json(example.body))}")
    return " \\\n  ".join(parts) + "\n"


def _python(example: Example) -> str:
    url = json.dumps(example.url, ensure_ascii=False)
    if example.media_type == STREAM:
        return PYTHON_STREAM.format(url=url)
    arguments = ""
    if example.keyed:
        arguments += """    headers={"Authorization": f"Bearer {os.environ['KEY']}"},\n"""
    if example.body is not None:
        arguments += f"    json={_literal(example.body, 4)},\n"
    shown = "json()" if example.media_type == "application/json" else "text"
    made = PYTHON.format(method=example.method.lower(), url=url, arguments=arguments, shown=shown)
    return made if example.keyed else made.replace("import os\n\n", "")


def _literal(value: Any, indent: int) -> str:
    """A value as Python writes it, laid out as a formatter would."""
    line = _on_one_line(value)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 4)
    if isinstance(value, list):
        inner = "".join(f"{pad}{_literal(one, indent + 4)},\n" for one in value)
        return f"[\n{inner}{' ' * indent}]"
    inner = "".join(
        f"{pad}{json.dumps(name, ensure_ascii=False)}: {_literal(one, indent + 4)},\n"
        for name, one in value.items()
    )
    return f"{{\n{inner}{' ' * indent}}}"


def _on_one_line(value: Any) -> str:
    if isinstance(value, dict):
        members = (
            f"{json.dumps(name, ensure_ascii=False)}: {_on_one_line(one)}" for name, one in value.items()
        )
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_on_one_line, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _powershell(example: Example) -> str:
    url = _quoted(example.url)
    if example.media_type == STREAM:
        return POWERSHELL_STREAM.format(url=url)
    parts = [f"Invoke-RestMethod {url}"]
    if example.method != "GET":
        parts[0] += f" -Method {example.method.title()}"
    if example.keyed:
        parts.append('-Headers @{ Authorization = "Bearer $env:KEY" }')
    if example.body is not None:
        parts.append(f"-ContentType application/json -Body {_quoted(as_json(example.body))}")
    return " `\n  ".join(parts) + "\n"


def _quoted(text: str) -> str:
    """A string that PowerShell takes as it is; it reads the typographic quotes as quotes too."""
    for quote in "'‘’‚‛":
        text = text.replace(quote, quote * 2)
    return f"'{text}'"
