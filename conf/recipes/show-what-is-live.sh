#!/usr/bin/env bash
# Shows the org what is live: prints it, and writes a page with the widget that any static site can serve.
#
#   SHARD=https://shard.example.com KEY=scok_... ./show-what-is-live.sh [live.html]
#
# The page has a public token, which only reads, and never the key. `shardapi public-token rotate` ends every token
# that is out there; run this again then. Needs curl and jq.
set -euo pipefail
: "${SHARD:?is the address of the shard}" "${KEY:?is an owner key, scok_...}"
page=${1:-live.html}

call() { # METHOD PATH [JSON]: prints the answer; ends with what the shard says if it refuses
    local answer status
    answer=$(curl -sS -X "$1" "$SHARD/api/v1$2" -H @<(printf 'Authorization: Bearer %s' "$KEY") \
        -H 'Content-Type: application/json' ${3:+--data "$3"} -w '\n%{http_code}') || exit 1
    status=${answer##*$'\n'} answer=${answer%$'\n'*}
    if [ "$status" != 200 ]; then
        printf '%s %s: ' "$1" "$2" >&2
        jq -r '"\(.error) \(.hint // "")"' <<<"$answer" >&2 2>/dev/null || printf 'status %s\n' "$status" >&2
        exit 1
    fi
    printf '%s\n' "$answer"
}

token=$(call GET /public-token)
widget=$(jq -r '.widgetUrl | @html' <<<"$token")
cat >"$page" <<HTML
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Live</title>
<h1>Live</h1>
<iframe src="$widget" title="Who is on the air" style="width: 100%; height: 32rem; border: 0"></iframe>
</html>
HTML
echo "Wrote $page."

# What the page shows, anyone may read: without a key, from any site.
curl -sS --fail "$(jq -r .statusUrl <<<"$token")" | jq -r '
    "\(.guildName): the operation is \(if .operationOpen then "open" else "closed" end), \(.connected) connected.",
    (.nets[] | "  \(.name): \(.occupancy)\(if .tx then ", on the air" else "" end)")'
