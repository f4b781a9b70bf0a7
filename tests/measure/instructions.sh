#!/usr/bin/env bash
# What a call costs both sides together, in instructions, next to what it cost when the figures in
# instructions.txt were taken: 3 % more fails. `--record` takes them anew.
#
# Counts with callgrind, as the difference between many calls and few, so that start and end don't
# count; of three counts the lowest, since threads that wait differ from run to run. It needs
# valgrind, and the toolchain that the figures name: another one makes other code.
set -euo pipefail
cd "$(dirname "$0")/../.."
known=tests/measure/instructions.txt
cargo build --quiet --release -p isock-tests --example call_instructions
program="${CARGO_TARGET_DIR:-target}/release/examples/call_instructions"

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 |
        sed -nE 's/.*Collected : ([0-9]+).*/\1/p'
}

least() {
    for _ in 1 2 3; do instructions "$@"; done | sort -n | head -n 1
}

each() {
    echo $((($(least "$1" "$((3 * $2))") - $(least "$1" "$2")) / (2 * $2)))
}

compiler=$(rustc --version)
if [ "${1:-}" = --record ]; then
    {
        echo "$compiler"
        for script in "echo 2000" "pipelined 12800" "bulk 500"; do
            read -r name calls <<<"$script"
            echo "$name $calls $(each "$name" "$calls")"
        done
    } | tee "$known"
    exit
fi

if [ "$(head -n 1 "$known")" != "$compiler" ]; then
    echo "skipped: the figures are for $(head -n 1 "$known"), this is $compiler"
    exit
fi
failed=0
while read -r name calls before; do
    now=$(each "$name" "$calls")
    printf '%-12s%9d instructions a call, were %d\n' "$name" "$now" "$before"
    if [ $((now * 100)) -gt $((before * 103)) ]; then failed=1; fi
done < <(tail -n +2 "$known")
exit "$failed"
