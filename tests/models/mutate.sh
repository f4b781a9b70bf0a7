#!/usr/bin/env bash
# Plants a fault in each piece of state that the models hold, one after the other, and expects a model to fail.
#
# Works on a copy of `isock/src`. Prints one line for each fault, with the first model that failed;
# ends with a count, and fails if a fault is not noticed. With an argument: only faults whose line
# contains it.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ISOCK_SOURCE="$work/src" RUST_BACKTRACE=0
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutate-models"
cp -r "$root/isock/src" "$work/src"

test_models() { (cd "$root" && timeout 300 cargo test -q -p isock-models --test models "$@") > "$work/log" 2>&1; }

if ! test_models; then
    cat "$work/log"
    echo "the models fail without a fault"
    exit 1
fi

# file | what stands there | what it becomes | what that does; `~` is the end of a line.
faults() {
    cat <<'TABLE'
net/flow.rs|let signal = state.signal();~            drop(state);~            self.wait(&signal, deadline)?;|drop(state);~            let signal = self.flow.lock().signal();~            self.wait(&signal, deadline)?;|a receiver looks, lets go, and only then says that it waits
net/flow.rs|let signal = state.signal();~            drop(state);~            let until|drop(state);~            let signal = self.flow.lock().signal();~            let until|the same for a sender
net/flow.rs|let signal = state.signal();~            drop(state);~            // The driver|drop(state);~            let signal = self.flow.lock().signal();~            // The driver|the same for who drains
net/flow.rs|let mut state = self.lock();~        let state = &mut *state;~        state.told = false;|self.lock().told = false;~        let mut state = self.lock();~        let state = &mut *state;|the driver says that it has looked before it looks (harmless: it is told once more)
TABLE
}

total=0 survived=0
try() { # file, what stands there, what it becomes, what that does
    local file="$work/src/$1" verdict
    total=$((total + 1))
    cp "$file" "$work/saved"
    FROM=${2//'~'/$'\n'} TO=${3//'~'/$'\n'} perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/' "$file"
    if cmp -s "$work/saved" "$file"; then
        verdict=STALE
    elif test_models; then
        verdict=SURVIVED
    elif grep -q '^test result: FAILED\|deadlock\|panicked' "$work/log"; then
        verdict=$(grep -oE "^---- [a-z_:]+|^test [a-z_:]+ \.\.\. FAILED" "$work/log" | head -n 1 | awk '{print $2}')
        verdict="noticed by ${verdict:-a model that ended the program}"
    else
        verdict='DOES NOT COMPILE'
        cp "$work/log" "$work/compile-log"
    fi
    case $verdict in noticed*) ;; *) survived=$((survived + 1)) ;; esac
    printf '%s: %s\n    %s\n' "$1" "$4" "$verdict"
    cp "$work/saved" "$file"
}

while IFS='|' read -r file from to what; do
    case "$file|$what" in *"${1:-}"*) try "$file" "$from" "$to" "$what" ;; esac
done < <(faults)

echo "$((total - survived)) of $total faults noticed"
[ "$survived" -eq 0 ]
