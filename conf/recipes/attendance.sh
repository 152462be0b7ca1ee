#!/usr/bin/env bash
# Keeps an attendance list from the event stream, without polling: who was there, who came, who went, and when.
#
#   SHARD=https://shard.example.com KEY=scok_... ./attendance.sh [attendance.csv] [SECONDS]
#
# It adds to the file until it is interrupted, or for so many seconds. The id of the last event lies beside it: started
# again, it tells what it missed meanwhile. Needs curl and jq.
set -euo pipefail
: "${SHARD:?is the address of the shard}" "${KEY:?is an owner key, scok_...}"
list=${1:-attendance.csv}
place=$list.last
ends=$((SECONDS + ${2:-31536000}))

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

present() { # everyone who is there now
    call GET /roster | jq -r 'now as $now | .operators[] | [($now | todate), .userId, .displayName, "present"] | @csv' >>"$list"
}

follow() { # writes down what the stream says, until it breaks
    local begun='' line event
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            'data: '*) event=${line#data: } ;;
            '{"ok":false'*) jq -r '"GET /stream: \(.error) \(.hint // "")"' <<<"$line" >&2 && exit 1 ;;
            *)
                [ -n "$begun" ] || [ -s "$place" ] || present || exit 1
                begun=yes
                continue
                ;;
        esac
        case $(jq -r .type <<<"$event") in
            stream.gap) present || exit 1 ;; # what happened in between is not kept any more
            user.joined) jq -r '[.at, .data.userId, .data.displayName, "joined"] | @csv' <<<"$event" >>"$list" ;;
            user.left) jq -r '[.at, .data.userId, .data.displayName, "left"] | @csv' <<<"$event" >>"$list" ;;
        esac
        jq -r .id <<<"$event" >"$place.new" && mv "$place.new" "$place" # whole, even if this is ended now
    done
}

[ -s "$list" ] || echo 'at,userId,displayName,what' >"$list"
while [ "$SECONDS" -lt "$ends" ]; do
    # Every event is one line with its whole JSON; after a break the stream goes on where we were.
    set +e
    curl -s -N --max-time $((ends - SECONDS)) "$SHARD/api/v1/stream?types=user.joined,user.left" \
        -H @<(printf 'Authorization: Bearer %s' "$KEY") \
        -H "Last-Event-ID: $(cat "$place" 2>/dev/null)" |
        follow
    ended=("${PIPESTATUS[@]}")
    set -e
    [ "${ended[1]}" = 0 ] || exit 1
    [ "${ended[0]}" = 28 ] || sleep 2
done
echo "$(tail -n +2 "$list" | wc -l) entries in $list."
