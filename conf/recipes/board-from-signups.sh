#!/usr/bin/env bash
# Builds tonight's board from signups: a net for each squad, everyone on theirs, the operation opened, a briefing sent.
#
#   SHARD=https://shard.example.com KEY=scok_... ./board-from-signups.sh [signups.csv] [BRIEFING]
#
# The file has the columns userId,name,squad, without quotes. RENAME="Old Name=New Name" takes over a net of last week for a squad of
# today first. A second run makes no second net. Needs curl and jq.
set -euo pipefail
: "${SHARD:?is the address of the shard}" "${KEY:?is an owner key, scok_...}"
signups=${1:-$(dirname "$0")/signups.csv}
briefing=${2:-Briefing in 5 minutes}

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

uid_of() { # NAME: the uid of the active net of that name
    jq -r --arg name "$1" '[.nets[] | select(.name == $name)][0].netUid // empty' <<<"$status"
}

status=$(call GET /status)
if [ -n "${RENAME:-}" ]; then
    old=$(uid_of "${RENAME%%=*}")
    if [ -n "$old" ]; then
        call POST /nets/rename "$(jq -n --arg uid "$old" --arg name "${RENAME#*=}" '{netUid: $uid, name: $name}')" >/dev/null
        echo "${RENAME%%=*} is called ${RENAME#*=} now."
        status=$(call GET /status)
    fi
fi

rows=$(tail -n +2 "$signups" | tr -d '\r' | grep .)
items='[]'
while read -r squad; do
    uid=$(uid_of "$squad")
    if [ -z "$uid" ]; then
        uid=$(call POST /nets "$(jq -n --arg name "$squad" '{name: $name}')" | jq -r .netUid)
        echo "Made the net $squad ($uid)."
    fi
    items=$(awk -F, -v squad="$squad" '$3 == squad { print $1 }' <<<"$rows" |
        jq -Rn --arg uid "$uid" --argjson before "$items" '$before + [inputs | {userId: ., netUid: $uid}]')
done < <(cut -d, -f3 <<<"$rows" | sort -u)

count=$(jq length <<<"$items")
for ((from = 0; from < count; from += 200)); do
    result=$(call POST /assignments/bulk "$(jq --argjson from "$from" '{assignments: .[$from:$from + 200], atomic: true}' <<<"$items")")
    jq -r '"Assigned \(.applied), \(.skipped) were so already."' <<<"$result"
done
call POST /operation '{"open": true}' >/dev/null
echo "The operation is open."
alert=$(call POST /acars "$(jq -n --arg text "$briefing" '{text: $text, senderName: "Ops"}')")
jq -r '"The briefing reached \(.routed) clients."' <<<"$alert"
