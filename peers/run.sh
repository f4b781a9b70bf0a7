#!/usr/bin/env bash
# Builds the peers and runs them side by side; see README.md and `run.sh --help`.
set -euo pipefail
cd "$(dirname "$0")"

python="${PYTHON:-python3}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$target/python" PEERS_BIN="$target/release"

case " $* " in *" --help "* | *" -h "*) exec "$python" driver --help ;; esac

packages=$("$python" driver --needs package "$@")
if [ -n "$packages" ]; then
  # Not --locked: what isock depends on changes with isock, the peers stay as locked.
  # shellcheck disable=SC2046,SC2086 # package names have no spaces
  cargo build --release $(printf -- '-p %s ' $packages)
fi

wheels=$("$python" driver --needs wheel "$@")
if [ -n "$wheels" ] && [ ! -e "$target/python/.$wheels" ]; then
  "$python" -m pip install --quiet --no-warn-script-location --root-user-action ignore --target "$target/python" "$wheels"
  touch "$target/python/.$wheels"
fi

# W5 holds 5000 connections open on both sides.
ulimit -n "$(ulimit -H -n)"
exec "$python" driver "$@"
