#!/usr/bin/env python3
"""Shows the org what is live: prints it, and writes a page with the widget that any static site can serve.

    SHARD=https://shard.example.com KEY=scok_... ./show-what-is-live.py [live.html]

The page has a public token, which only reads, and never the key. `shardapi public-token rotate` ends every token that
is out there; run this again then.
"""

import json
import os
import sys
from html import escape
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Live</title>
<h1>Live</h1>
<iframe src="{}" title="Who is on the air" style="width: 100%; height: 32rem; border: 0"></iframe>
</html>
"""


def call(method, path, body=None):
    """One call of the Owner API; ends with what the shard says if it refuses."""
    headers = {"Authorization": f"Bearer {os.environ['KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{os.environ['SHARD']}/api/v1{path}", data, headers, method=method)
    try:
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        problem = json.loads(error.read())
        sys.exit(f"{method} {path}: {problem['error']} {problem.get('hint', '')}")
    except URLError as error:
        sys.exit(f"{method} {path}: {error.reason}")


def main(page="live.html"):
    token = call("GET", "/public-token")
    with open(page, "w", encoding="utf-8") as file:
        file.write(PAGE.format(escape(token["widgetUrl"])))
    print(f"Wrote {page}.")

    # What the page shows, anyone may read: without a key, from any site.
    with urlopen(token["statusUrl"], timeout=30) as answer:
        live = json.load(answer)
    state = "open" if live["operationOpen"] else "closed"
    print(f"{live['guildName']}: the operation is {state}, {live['connected']} connected.")
    for net in live["nets"]:
        print(f"  {net['name']}: {net['occupancy']}{', on the air' if net['tx'] else ''}")


if __name__ == "__main__":
    for name in ("SHARD", "KEY"):
        if not os.environ.get(name):
            sys.exit(f"{name} is not set")
    main(*sys.argv[1:])
