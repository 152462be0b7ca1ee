#!/usr/bin/env bash
# Gives each bot of the staff a key of its own that may do only its job, and takes one back when a bot is replaced.
#
#   ./staff-keys.sh create
#   ./staff-keys.sh revoke NAME
#
# It runs where the shard runs, with its `shardapi` command and its settings (SHARDAPI_DATA_DIR or SHARDAPI_CONFIG). Each
# secret is printed this once. Needs jq to revoke.
set -euo pipefail

create() {
    give dashboard --bundle dashboard
    give alerts --scope write:acars
    give assigner --scope read:status --scope read:assignments --scope write:assignments
    give automation --bundle ops
}

give() { # NAME WHAT-IT-MAY-DO
    local secret
    secret=$(shardapi keys create "$@" 2>/dev/null) || { shardapi keys create "$@" && exit 1; }
    printf '%-12s %s\n' "$1" "$secret"
}

revoke() { # NAME
    local ids
    ids=$(shardapi keys list --json | jq -r --arg name "$1" '.[] | select(.name == $name and .state == "live") | .id')
    [ -n "$ids" ] || { echo "there is no live key called $1" >&2 && exit 1; }
    for id in $ids; do shardapi keys revoke "$id"; done
}

case "${1:-}:$#" in
    create:1 | revoke:2) "$@" ;;
    *) sed -n 's/^#   *//p' "$0" >&2 && exit 2 ;;
esac
