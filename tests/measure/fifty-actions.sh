#!/usr/bin/env bash
# What learning shapes costs a program of fifty actions: time to compile, size, and how often the
# `Deserialize` of each of its types is compiled.
#
# `tests/measure/fifty-actions.sh [ROUNDS]`. Builds one program twice, with isock as it is and with a
# copy of it that learns nothing, in turns, from a state in which all dependencies are built. Times
# are seconds of the processor, which other programs disturb less than those of the clock.
set -euo pipefail
rounds=${1:-3}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=${FIFTY_ACTIONS:-${TMPDIR:-/tmp}/fifty-actions}
rm -rf "$work"
mkdir -p "$work"
unset CARGO_TARGET_DIR RUSTFLAGS
# Else a build in which nothing has changed would be timed.
export CARGO_INCREMENTAL=0

# An action with types as programs have them; `$1` tells it from the others.
action() {
    cat <<RUST
mod a$1 {
    use serde::{Deserialize, Serialize};
    use std::collections::HashMap;

    #[derive(isock::Action)]
    #[action(name = "action-$1", input = Input, output = Output, error = Refused)]
    pub struct Act;

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub struct Input {
        pub id_$1: u64,
        pub customer: String,
        pub lines: Vec<Line>,
        pub state: State,
        pub notes: HashMap<String, String>,
        pub place: (f64, f64),
        pub parent: Option<Box<Input>>,
    }

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub struct Line {
        pub sku_$1: String,
        pub quantity: u32,
        pub price: Option<u64>,
        pub tags: Vec<String>,
    }

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub enum State {
        #[default]
        Open$1,
        Sent(u64),
        Lost { by: String, at: u64 },
    }

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub struct Output {
        pub number_$1: u64,
        pub lines: Vec<Line>,
        pub state: State,
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub enum Refused {
        OutOfStock$1 { left: u32 },
        Closed(String),
    }

    impl std::fmt::Display for Refused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{self:?}")
        }
    }

    impl std::error::Error for Refused {}

    pub fn handle(input: Input) -> Result<Output, Refused> {
        match input.state {
            State::Lost { by, .. } => Err(Refused::Closed(by)),
            state => Ok(Output { number_$1: input.id_$1, lines: input.lines, state }),
        }
    }
}
RUST
}

program() {
    for n in $(seq 50); do action "$n"; done
    echo 'fn main() -> Result<(), Box<dyn std::error::Error>> {'
    echo '    let server = isock::Server::in_memory()'
    for n in $(seq 50); do echo "        .on::<a$n::Act>(|input, _| a$n::handle(input))"; done
    echo '        .spawn()?;'
    echo '    let client = server.client();'
    for n in $(seq 50); do echo "    client.run::<a$n::Act>(a$n::Input::default())?;"; done
    echo '    println!("50 actions");'
    echo '    Ok(())'
    echo '}'
}

# The library twice; the second one finds every shape too large.
for variant in with without; do
    mkdir -p "$work/$variant/app/src"
    cp -r "$root/isock" "$root/isock-derive" "$work/$variant/"
    sed '/^members/c members = ["isock", "isock-derive", "app"]' "$root/Cargo.toml" \
        >"$work/$variant/Cargo.toml"
    cp "$root/Cargo.lock" "$work/$variant/"
    cat >"$work/$variant/app/Cargo.toml" <<'TOML'
[package]
name = "app"
version = "0.0.0"
edition = "2021"

[dependencies]
isock.workspace = true
serde.workspace = true
TOML
    program >"$work/$variant/app/src/main.rs"
done
payload=$work/without/isock/src/action/payload.rs
perl -0pi -e 's/(    fn learn\(\) -> Result<Learnt, RoundtripError> \{\n).*?\n    \}\n\}/$1        let limit = String::new();\n        let type_name = String::new();\n        let shape = crate::shape::ShapeError::TooLarge { type_name, limit };\n        Err(RoundtripError::Shape(shape))\n    }\n}/s; s/Learnt, RoundtripError, Tracer/Learnt, RoundtripError/' "$payload"
if grep -q Tracer "$payload"; then
    echo "fifty-actions: payload.rs does not look as expected" >&2
    exit 1
fi

build() { # variant profile
    cargo build --quiet --manifest-path "$work/$1/Cargo.toml" -p app --profile "$2"
}
binary() { # variant profile
    echo "$work/$1/target/${2/dev/debug}/app"
}

TIMEFORMAT='%U %S'
declare -A seconds
for profile in dev release; do
    for variant in with without; do
        build $variant $profile
        "$(binary $variant $profile)" >/dev/null
    done
    for _ in $(seq "$rounds"); do
        for variant in with without; do
            touch "$work/$variant/app/src/main.rs"
            spent=$({ time build $variant $profile; } 2>&1 | awk '{ printf "%.1f", $1 + $2 }')
            seconds[$variant-$profile]+="$spent "
        done
    done
done

printf '%-8s %-8s %14s   %s\n' profile shapes 'stripped bytes' 'seconds of the processor, each round'
for profile in dev release; do
    for variant in with without; do
        strip -o "$work/stripped" "$(binary $variant $profile)"
        printf '%-8s %-8s %14d   %s\n' $profile $variant "$(stat -c %s "$work/stripped")" \
            "${seconds[$variant-$profile]}"
    done
done

# Unoptimised, so that every instantiation is a symbol, with names that tell what it is of.
RUSTFLAGS='-C symbol-mangling-version=v0' cargo build --quiet -p app \
    --manifest-path "$work/with/Cargo.toml" --target-dir "$work/symbols"
echo
echo 'deserializers that the types of actions are compiled for, and for how many types each:'
nm --defined-only -C "$work/symbols/debug/app" |
    sed -nE 's/.*<app::(a[0-9]+::[A-Za-z]+) as serde(_core)?::de::Deserialize>::deserialize::<(.*)>$/\3/p' |
    sed -E "s/<'_>|'_, ?//g" | sort | uniq -c
