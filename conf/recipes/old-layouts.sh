#!/usr/bin/env bash
# Keeps old channel layouts: stores a net as it is now, finds stored ones by words, brings one back.
#
#   SHARD=https://shard.example.com KEY=scok_... ./old-layouts.sh keep NET [NOTES] [TAG...]
#   ./old-layouts.sh search WORDS
#   ./old-layouts.sh restore UID
#
# Nets that are removed are kept by the shard itself, and restored with the uid they had. Needs curl and jq.
set -euo pipefail
: "${SHARD:?is the address of the shard}" "${KEY:?is an owner key, scok_...}"

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

keep() { # NET [NOTES] [TAG...]
    local net people entry
    net=$(call GET /status | jq --arg name "$1" '[.nets[] | select(.name == $name)][0] // error("there is no net called \($name)")')
    people=$(call GET /assignments | jq --argjson net "$net" '[.assignments | to_entries[] | select(.value | index($net.id)) | .key]')
    entry=$(jq -n --argjson net "$net" --argjson people "$people" --arg notes "${2:-}" '
        {name: $net.name, notes: $notes, tags: $ARGS.positional, assignedUserIds: $people,
         relayTargetNetUids: $net.relayTargetNetUids}' --args "${@:3}")
    call POST /archive "$entry" | jq -r '"Kept \(.entry.name) with \(.entry.assignedUserIds | length) people as \(.entry.uid)."'
}

search() { # WORDS
    call GET "/archive?q=$(jq -rn --arg words "$1" '$words | @uri')" |
        jq -r '.entries[] | "\(.uid)  \(.archivedAt[:10])  \(.name)  \(.tags | join(" "))"'
}

restore() { # UID
    call POST "/archive/$1/restore" '{}' | jq -r '"\(.name) is net \(.netId) now (\(.netUid))."'
}

case "${1:-}:$#" in
    keep:[2-9]* | keep:1?* | search:2 | restore:2) "$@" ;;
    *) sed -n 's/^#   *//p' "$0" >&2 && exit 2 ;;
esac
