#!/usr/bin/env bash
# Sorts members by their Discord roles: who holds a role is on its net at once, or the moment they join.
#
#   SHARD=https://shard.example.com KEY=scok_... ./sort-by-role.sh [roles.csv]
#
# The file has the columns roleId,role,net, without quotes. Rules of other roles stay as they are. Needs curl and jq.
set -euo pipefail
: "${SHARD:?is the address of the shard}" "${KEY:?is an owner key, scok_...}"
roles=${1:-$(dirname "$0")/roles.csv}

call() { # METHOD PATH [JSON [VERSION]]: prints the answer; ends with what the shard says if it refuses
    local answer status
    answer=$(curl -sS -X "$1" "$SHARD/api/v1$2" -H @<(printf 'Authorization: Bearer %s' "$KEY") \
        -H 'Content-Type: application/json' ${3:+--data "$3"} ${4:+-H "If-Match: \"$4\""} -w '\n%{http_code}') || exit 1
    status=${answer##*$'\n'} answer=${answer%$'\n'*}
    if [ "$status" = 412 ] && [ "$tried" -lt 5 ]; then exit 75; fi
    if [ "$status" != 200 ]; then
        printf '%s %s: ' "$1" "$2" >&2
        jq -r '"\(.error) \(.hint // "")"' <<<"$answer" >&2 2>/dev/null || printf 'status %s\n' "$status" >&2
        exit 1
    fi
    printf '%s\n' "$answer"
}

sort_roles() { # ends with 75 if something was changed since the look at /status
    local status version nets wanted body changed
    status=$(call GET /status)
    version=$(jq .version <<<"$status")
    nets=$(jq '[.nets[] | {(.name): .netUid}] | add // {}' <<<"$status")
    wanted=$(tail -n +2 "$roles" | tr -d '\r' | grep . |
        jq -Rn --argjson nets "$nets" '
            [inputs | split(",") | {roleId: .[0], netUid: ($nets[.[2]] // error("there is no net called \(.[2])"))}]
            | group_by(.roleId) | map({roleId: .[0].roleId, netUids: map(.netUid)})')
    body=$(call GET /rules | jq --argjson wanted "$wanted" '
        [.rules[] | select(.roleId as $role | any($wanted[]; .roleId == $role) | not) | {roleId, netUids}]
        | {rules: (. + $wanted)}')

    # First only see what would come of it, then do it; refused if anything was changed since the look at /status.
    changed=$(call POST '/rules?dryRun=true' "$body" "$version" | jq .changed)
    if [ "$changed" = false ]; then
        echo "Nothing to change."
        return
    fi
    call POST /rules "$body" "$version" | jq -r '.rules[] | "\(.roleId) is on \(.netUids | join(", "))"'
}

for tried in 1 2 3 4 5; do # on a busy shard something often is changed meanwhile: look again
    set +e
    (set -e && sort_roles)
    ended=$?
    set -e
    [ "$ended" = 75 ] || exit "$ended"
done
