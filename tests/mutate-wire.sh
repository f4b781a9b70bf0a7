#!/usr/bin/env bash
# Changes each constant of the wire in turn and expects a golden vector to fail.
#
# Works on a copy of `isock/src/wire` in a crate of its own, so that one change costs a second.
# Prints one line for each change, ends with a count, and fails if a change is not noticed.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutate-wire"

mkdir -p "$work/src"
cp -r "$root/isock/src/wire" "$work/src/wire"
cp "$root/tests/models/stand_ins/process.rs" "$work/src/process.rs"
cp "$root/Cargo.lock" "$work/"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "isock-wire"
version = "0.0.0"
edition = "2021"

[workspace]

[dependencies]
postcard = { version = "1.1", default-features = false, features = ["use-std"] }
serde = { version = "1", features = ["derive"] }
thiserror = "2"
TOML
printf '#![allow(dead_code)]\nmod process;\npub mod wire;\n' > "$work/src/lib.rs"

cd "$work"
if ! cargo test -q golden > log 2>&1; then
    cat log
    echo "the golden vectors fail without a change"
    exit 1
fi

# file | what stands there | what it becomes, both literally; the first place counts.
changes() {
    cat <<'TABLE'
mod.rs|INITIAL_SLOTS: u16 = 16|INITIAL_SLOTS: u16 = 17
mod.rs|INITIAL_MESSAGE: usize = 64 * 1024|INITIAL_MESSAGE: usize = 64 * 1000
mod.rs|FRAGMENT: usize = 256 * 1024|FRAGMENT: usize = 255 * 1024
mod.rs|u16::from_le_bytes|u16::from_be_bytes
mod.rs|u32::from_le_bytes|u32::from_be_bytes
mod.rs|at + 4)) << 32|at + 4)) << 24
frame.rs|HEADER_LEN: usize = 16|HEADER_LEN: usize = 24
frame.rs|WORD_LEN: usize = 8|WORD_LEN: usize = 4
frame.rs|CODEC_POSTCARD: u8 = 0|CODEC_POSTCARD: u8 = 1
frame.rs|CALL: FrameKind = FrameKind(0x01)|CALL: FrameKind = FrameKind(0x41)
frame.rs|REPLY: FrameKind = FrameKind(0x02)|REPLY: FrameKind = FrameKind(0x42)
frame.rs|ERROR: FrameKind = FrameKind(0x03)|ERROR: FrameKind = FrameKind(0x43)
frame.rs|REFUSAL: FrameKind = FrameKind(0x04)|REFUSAL: FrameKind = FrameKind(0x44)
frame.rs|MORE: FrameKind = FrameKind(0x05)|MORE: FrameKind = FrameKind(0x45)
frame.rs|CANCEL: FrameKind = FrameKind(0x06)|CANCEL: FrameKind = FrameKind(0x46)
frame.rs|ITEM: FrameKind = FrameKind(0x07)|ITEM: FrameKind = FrameKind(0x47)
frame.rs|CREDIT: FrameKind = FrameKind(0x08)|CREDIT: FrameKind = FrameKind(0x48)
frame.rs|PING: FrameKind = FrameKind(0x10)|PING: FrameKind = FrameKind(0x50)
frame.rs|PONG: FrameKind = FrameKind(0x11)|PONG: FrameKind = FrameKind(0x51)
frame.rs|DRAIN: FrameKind = FrameKind(0x12)|DRAIN: FrameKind = FrameKind(0x52)
frame.rs|CLOSE: FrameKind = FrameKind(0x13)|CLOSE: FrameKind = FrameKind(0x53)
frame.rs|SETTINGS: FrameKind = FrameKind(0x14)|SETTINGS: FrameKind = FrameKind(0x54)
frame.rs|IGNORABLE: Flags = Flags(0x01)|IGNORABLE: Flags = Flags(0x40)
frame.rs|MORE: Flags = Flags(0x02)|MORE: Flags = Flags(0x40)
frame.rs|END: Flags = Flags(0x04)|END: Flags = Flags(0x40)
frame.rs|ONEWAY: Flags = Flags(0x08)|ONEWAY: Flags = Flags(0x40)
frame.rs|INITIATOR: Flags = Flags(0x10)|INITIATOR: Flags = Flags(0x40)
frame.rs|ITEMS: Flags = Flags(0x20)|ITEMS: Flags = Flags(0x40)
frame.rs|bytes[0..4].copy_from_slice(&self.len.to_le_bytes())|bytes[0..4].copy_from_slice(&self.len.to_be_bytes())
frame.rs|bytes[4] = self.kind.0|bytes[5] = self.kind.0
frame.rs|bytes[5] = self.flags.0|bytes[10] = self.flags.0
frame.rs|bytes[6] = self.codec|bytes[10] = self.codec + 1
frame.rs|bytes[7] = self.words|bytes[10] = self.words
frame.rs|bytes[8..10].copy_from_slice|bytes[10..12].copy_from_slice
frame.rs|bytes[12..16].copy_from_slice|bytes[10..14].copy_from_slice
frame.rs|len: u32_at(bytes, 0)|len: u32_at(bytes, 1)
frame.rs|kind: FrameKind(bytes[4])|kind: FrameKind(bytes[5])
frame.rs|flags: Flags(bytes[5])|flags: Flags(bytes[4])
frame.rs|codec: bytes[6]|codec: bytes[7]
frame.rs|words: bytes[7]|words: bytes[6]
frame.rs|slot: u16_at(bytes, 8)|slot: u16_at(bytes, 10)
frame.rs|seq: u32_at(bytes, 12)|seq: u32_at(bytes, 8)
call.rs|STEP_MICROS: u64 = 64|STEP_MICROS: u64 = 63
call.rs|LEAST_WORDS: u8 = 2|LEAST_WORDS: u8 = 3
metadata.rs|MAX_METADATA: usize = 8 * 1024|MAX_METADATA: usize = 8 * 1000
metadata.rs|ENTRY: usize = 4|ENTRY: usize = 8
metadata.rs|MAX_CHAIN: usize = 16|MAX_CHAIN: usize = 17
metadata.rs|OWN: u16 = 1|OWN: u16 = 3
metadata.rs|CHAIN: u16 = 2|CHAIN: u16 = 3
metadata.rs|LEN: usize = 16|LEN: usize = 8
metadata.rs|u16_at(bytes.get(..ENTRY)?, 2)|u16_at(bytes.get(..ENTRY)?, 1)
metadata.rs|u16_at(bytes, 0)|u16_at(bytes, 1)
metadata.rs|number.to_le_bytes()|number.to_be_bytes()
metadata.rs|(len as u16).to_le_bytes()|(len as u16).to_be_bytes()
metadata.rs|step.process.to_le_bytes()|step.process.to_be_bytes()
metadata.rs|step.call.to_le_bytes()|step.call.to_be_bytes()
metadata.rs|process: u64_at(step, 0)|process: u64_at(step, 8)
metadata.rs|call: u64_at(step, 8)|call: u64_at(step, 0)
call.rs|self.name.to_le_bytes()|self.name.to_be_bytes()
call.rs|to_steps(self.remaining).to_le_bytes()|to_steps(self.remaining).to_be_bytes()
call.rs|self.shape.to_le_bytes()|self.shape.to_be_bytes()
call.rs|name: u32_at(words, 0)|name: u32_at(words, 4)
call.rs|from_steps(u32_at(words, 4))|from_steps(u32_at(words, 0))
call.rs|shape: u64_at(words, 8)|shape: u64_at(words, 0)
call.rs|u32_at(words, 16)|u32_at(words, 20)
call.rs|u32_at(words, 20)|u32_at(words, 16)
call.rs|words.get(3 * WORD_LEN..)|words.get(2 * WORD_LEN..)
call.rs|if words == 4|if words == 5
call.rs|if words >= 3|if words == 3
items.rs|ITEM_LEN: usize = 4|ITEM_LEN: usize = 8
items.rs|MAX_CREDIT: u32 = (1 << 31) - 1|MAX_CREDIT: u32 = (1 << 30) - 1
items.rs|self.bytes.to_le_bytes()|self.bytes.to_be_bytes()
items.rs|self.items.to_le_bytes()|self.items.to_be_bytes()
items.rs|bytes: u32_at(word, 0)|bytes: u32_at(word, 4)
items.rs|items: u32_at(word, 4)|items: u32_at(word, 0)
items.rs|u32_at(self.rest, 0)|u32_at(self.rest, 1)
items.rs|len.to_le_bytes()|len.to_be_bytes()
settings.rs|ATTENDED: u32 = 0x01|ATTENDED: u32 = 0x02
settings.rs|bits.to_le_bytes()|bits.to_be_bytes()
settings.rs|u32_at(word, 0)|u32_at(word, 4)
hash.rs|0x811c_9dc5u32|0x811c_9dc4u32
hash.rs|0x0100_0193|0x0100_0195
preface.rs|b"\xf5isock\r\n"|b"\xf6isock\r\n"
preface.rs|isock\r\n|isock\n\n
preface.rs|VERSION: u8 = 1|VERSION: u8 = 2
preface.rs|MAX_PREFACE_LEN: usize = 1024|MAX_PREFACE_LEN: usize = 1032
preface.rs|FEATURES_AT: usize = 12|FEATURES_AT: usize = 16
preface.rs|min_version: bytes[8]|min_version: bytes[9]
preface.rs|max_version: bytes[9]|max_version: bytes[8]
preface.rs|version: bytes[8],|version: bytes[11],
preface.rs|min_version: bytes[9]|min_version: bytes[11]
preface.rs|max_version: bytes[11]|max_version: bytes[9]
preface.rs|max_message: u32_at(bytes, 16)|max_message: u32_at(bytes, 20)
preface.rs|max_fragment: u32_at(bytes, 20)|max_fragment: u32_at(bytes, 16)
preface.rs|slots: u16_at(bytes, 24)|slots: u16_at(bytes, 26)
preface.rs|bytes[32..48]|bytes[24..40]
preface.rs|bytes.get(10)|bytes.get(11)
preface.rs|[self.min_version, self.max_version, 0, 0]|[self.max_version, self.min_version, 0, 0]
preface.rs|[self.version, self.min_version, words, self.max_version]|[self.version, self.max_version, words, self.min_version]
preface.rs|TOKEN_WORDS: u8 = 2|TOKEN_WORDS: u8 = 3
preface.rs|0x14..=0x17|0x14..=0x16
preface.rs|[0x14..=|[0x15..=
preface.rs|b"HTTP/"|b"HTTX/"
refusal.rs|MAX_REFUSAL_TEXT: usize = 1024|MAX_REFUSAL_TEXT: usize = 1000
refusal.rs|Ran::No => 0|Ran::No => 9
refusal.rs|Ran::Yes => 1|Ran::Yes => 9
refusal.rs|Ran::Unknown => 2|Ran::Unknown => 9
refusal.rs|0 => Ran::No|9 => Ran::No
refusal.rs|1 => Ran::Yes|9 => Ran::Yes
refusal.rs|ran: Ran::from_wire(words[2])|ran: Ran::from_wire(words[3])
refusal.rs|code: RefusalCode(u16_at(words, 0))|code: RefusalCode(u16_at(words, 2))
refusal.rs|u32_at(words, 4)|u32_at(words, 0)
refusal.rs|Duration::from_millis(|Duration::from_micros(
refusal.rs|as_millis|as_micros
close.rs|MAX_CLOSE_TEXT: usize = 64|MAX_CLOSE_TEXT: usize = 63
close.rs|CloseCode(u16_at(words, 0))|CloseCode(u16_at(words, 2))
close.rs|u64::from(self.code.0).to_le_bytes()|u64::from(self.code.0).to_be_bytes()
TABLE
    # Every numbered code, from the source itself: a new one cannot be forgotten.
    grep -oE 'const [A-Z_]+: RefusalCode = RefusalCode\([0-9]+\)' src/wire/refusal.rs |
        sed -E 's/(.*\()([0-9]+)\)/refusal.rs|\1\2)|\199)/'
    grep -oE '^    [A-Z_]+ = [0-9]+, ' src/wire/close.rs |
        sed -E 's/^    ([A-Z_]+) = ([0-9]+), /close.rs|    \1 = \2, |    \1 = 99, /'
}

table=$(changes)

# Every named number of the wire must be in the table, under its name. The two lengths of prefaces are
# held together by an assertion of the compiler, see the end; how numbers are written is compared with
# postcard itself; what the guard, the encoder and the kept memory are bounded by never travels.
missing=0
while read -r name; do
    case $name in HELLO_LEN* | WELCOME_LEN*) continue ;; esac
    if ! grep -qF -- "$name" <<< "$table"; then
        echo "not in the table    $name"
        missing=$((missing + 1))
    fi
done < <(grep -ohE 'const [A-Z_]+: (usize|u8|u16|u32|u64|FrameKind|Flags) = [^;]*[0-9]' $(ls src/wire/*.rs | grep -vE '(guard|codec|block|shared|spare|short|serializer|number)\.rs') |
    sed -E 's/const ([A-Z_]+: [A-Za-z0-9]+ =).*/\1/')

total=0 survived=0
try() { # file, what stands there, what it becomes, what may notice beside a golden vector
    local file=src/wire/$1 verdict=SURVIVED
    total=$((total + 1))
    cp "$file" saved
    FROM=$2 TO=$3 perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/' "$file"
    if cmp -s saved "$file"; then
        verdict=STALE
    elif cargo test -q golden > log 2>&1; then
        verdict=SURVIVED
    elif grep -q '^test result: FAILED' log; then
        verdict=noticed
    elif [ "${4:-}" = compiler ]; then
        verdict='noticed by rustc'
    else
        verdict='DOES NOT COMPILE'
    fi
    case $verdict in noticed*) ;; *) survived=$((survived + 1)) ;; esac
    printf '%-18s  %s: %s\n' "$verdict" "$1" "$2"
    cp saved "$file"
}

while IFS='|' read -r file from to; do
    try "$file" "$from" "$to"
done <<< "$table"
try preface.rs 'HELLO_LEN: usize = 48' 'HELLO_LEN: usize = 56' compiler
try preface.rs 'WELCOME_LEN: usize = 48' 'WELCOME_LEN: usize = 56' compiler

echo "$((total - survived)) of $total changes of the wire noticed"
[ "$survived" -eq 0 ] && [ "$missing" -eq 0 ]
