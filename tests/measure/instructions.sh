#!/usr/bin/env bash
# What a call or an item costs both sides together, in instructions, next to what it cost when the
# figures in instructions.txt were taken: 3 % more fails. `--record` takes them anew.
#
# Counts with callgrind, as the difference between many calls and few, so that start and end don't
# count. It runs one thread at a time, so threads that wait cost nothing, and a busy machine makes
# itself felt in two ways alone: by turns that threads take otherwise, and by a watcher that looks
# more often. Both add more than they take away, so what seems too much is counted again, and the
# lowest count is believed.
#
# The compiler and the C library are part of the figures: with others nothing is compared.
set -euo pipefail
cd "$(dirname "$0")/../.."
known=tests/measure/instructions.txt
patience=3

cargo build --quiet --release -p isock-measure
program=$(realpath "${CARGO_TARGET_DIR:-target}/release/call_instructions")

# The C library copies memory in the way that suits the processor: here in one way everywhere.
same="glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM"
same+=":glibc.cpu.x86_non_temporal_threshold=0xc0000"

instructions() {
    env -i "GLIBC_TUNABLES=$same" "$(command -v valgrind)" --tool=callgrind \
        --callgrind-out-file=/dev/null "$program" "$@" 2>&1 |
        sed -nE 's/.*Collected : ([0-9]+).*/\1/p'
}

each() {
    echo $((($(instructions "$1" "$((3 * $2))") - $(instructions "$1" "$2")) / (2 * $2)))
}

# The lowest of some counts, or the first that is below a bound.
least() {
    local best=0 now
    for _ in $(seq "$3"); do
        now=$(each "$1" "$2")
        if [ "$best" -eq 0 ] || [ "$now" -lt "$best" ]; then best=$now; fi
        if [ "$best" -le "$4" ]; then break; fi
    done
    echo "$best"
}

made="$(rustc --version), $(rustc -vV | sed -n 's/^host: //p'), $(getconf GNU_LIBC_VERSION)"
if [ "${1:-}" = --record ]; then
    {
        echo "$made"
        for script in "echo 1000" "pipelined 6400" "stream 50000" "bulk 100" "records 20" "views 20"; do
            read -r name calls <<<"$script"
            echo "$name $calls $(least "$name" "$calls" "$patience" 0)"
        done
    } >"$known.new"
    mv "$known.new" "$known"
    cat "$known"
    exit
fi

if [ "$(head -n 1 "$known")" != "$made" ]; then
    cat <<END
Not compared: another compiler or C library makes other code.
  the figures: $(head -n 1 "$known")
  here:        $made
Take the figures anew at a commit that is known to be good: $0 --record
END
    exit
fi
more=0 less=0
while read -r name calls before; do
    now=$(least "$name" "$calls" "$patience" $((before * 103 / 100)))
    awk -v name="$name" -v now="$now" -v before="$before" 'BEGIN {
        printf "%-12s%9d instructions each, were %d: %+.1f %%\n", name, now, before, 100 * (now / before - 1)
    }'
    if [ $((now * 100)) -gt $((before * 103)) ]; then more=1; fi
    if [ $((now * 100)) -lt $((before * 97)) ]; then less=1; fi
done < <(tail -n +2 "$known")
if [ "$less" = 1 ]; then
    echo "Some cost less than before. Keep that: $0 --record, and commit $known."
fi
if [ "$more" = 1 ]; then
    cat <<END
Some cost over 3 % more than before, in each of $patience counts. To see where:
  valgrind --tool=callgrind target/release/call_instructions SCRIPT CALLS
  callgrind_annotate callgrind.out.NUMBER
here and at the commit that last changed $known. What is worth its price is kept with
  $0 --record
in a commit that says what the instructions buy.
END
fi
exit "$more"
