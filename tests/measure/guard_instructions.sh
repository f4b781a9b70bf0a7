#!/usr/bin/env bash
# What the decode guard costs over plain postcard, in instructions.
#
# Counts with callgrind, as the difference between 22 decodes and 2, so that start and end don't
# count. It needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet --release -p isock-tests --example guard_cost
program="${CARGO_TARGET_DIR:-target}/release/examples/guard_cost"

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" decode "$@" 2>&1 |
        sed -nE 's/.*Collected : ([0-9]+).*/\1/p'
}

each() {
    echo $((($(instructions "$1" "$2" 22) - $(instructions "$1" "$2" 2)) / 20))
}

printf '%-28s%12s%12s%9s\n' '' plain guarded cost
case=0
while read -r name; do
    plain=$(each $case plain) guarded=$(each $case guarded)
    cost=$(awk "BEGIN { printf \"%+.1f %%\", 100 * ($guarded / $plain - 1) }")
    printf '%-28s%12d%12d%9s\n' "$name" "$plain" "$guarded" "$cost"
    case=$((case + 1))
done < <("$program" list)
