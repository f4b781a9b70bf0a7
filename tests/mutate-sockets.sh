#!/usr/bin/env bash
# Plants a fault for each kind of check of the catalogue of attacks, for each limit, for the soak, for
# the killed server and for several event loops, and expects rows or tests to fail.
#
# Works on a copy of the workspace. Prints what each fault fails and why the first of it does, ends
# with a count, and fails if a fault is not noticed. `mutate-sockets.sh close` plants those alone
# whose name begins with `close`. It needs Python.
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutate-sockets"

cd "$root"
git ls-files -z isock isock-derive tests examples Cargo.toml Cargo.lock README.md |
    xargs -0 cp --parents -t "$work"
cd "$work"

# name ¦ rows to run, all if none, `limits` or `loops` and the tests, `soak` or `kills` ¦ file ¦ what stands there ¦ what it becomes, both literally; the
# first place counts, and \n is a new line. Lines of one name are one fault.
faults() {
    cat <<'TABLE'
refused¦1,7,10,29,47¦isock/src/server/service.rs¦Session, why: &Closed) {¦Session, why: &Closed) {\n if let Closed::ByUs(_) = why { std::mem::forget(self.desk.tally.account().charge(1 << 40)); }
stalled¦1,7,47¦isock/src/server/service.rs¦Session, why: &Closed) {¦Session, why: &Closed) {\n if let Closed::ByUs(_) = why { std::thread::sleep(std::time::Duration::from_millis(300)); }
over too soon¦¦tests/sockets/arena.rs¦if witness.has_seen_enough() {¦if true {
descriptors stay¦1,29¦isock/src/net/event_loop/turns.rs¦        drop(conn);¦        if id.generation % 8 == 7 { std::mem::forget(conn) } else { drop(conn) }
memory stays¦6,7¦isock/src/server/service.rs¦Session, why: &Closed) {¦Session, why: &Closed) {\n if let Closed::ByUs(_) = why { std::mem::forget(vec![0_u8; 1 << 20]); }
account stays¦8,47¦isock/src/net/account.rs¦        self.set(0);¦        self.set(self.bytes / 2);
memory on credit¦6,8,47¦isock/src/proto/inbound.rs¦let mut body = Block::default();¦let mut body = Block::with_room(total);
memory of a stranger¦5¦isock/src/net/conn/reading.rs¦        self.input.shrink_into(spare);¦
memory of a value¦47,49¦isock/src/action/context.rs¦info.decode_budget.unwrap_or(by_len)¦info.decode_budget.unwrap_or(by_len * 8)
CPU while waiting¦65¦isock/src/net/accept.rs¦self.retry = Some((Instant::now() + pause, pause));¦self.retry = Some((Instant::now(), pause));
CPU when idle¦10,11¦isock/src/net/event_loop/waiting.rs¦self.poll.poll(events, due.map(¦self.poll.poll(events, due.or(Some(Instant::now())).map(|_| Instant::now()).map(
CPU of a long frame¦9¦isock/src/proto/receive.rs¦let waiting = input.waiting();¦let waiting = input.waiting();\n std::hint::black_box(waiting.to_vec());
CPU of a long message¦9¦isock/src/proto/inbound.rs¦(body.len() * 2).max(body.len() + more)¦(body.len() + more)
CPU of a value¦47,48,49,50¦isock/src/wire/guard.rs¦        self.passed.get_or_insert(limit);¦        let until = std::time::Instant::now() + std::time::Duration::from_millis(40);\n while std::time::Instant::now() < until {}\n self.passed.get_or_insert(limit);
time of a handshake¦4¦isock/src/proto/connection.rs¦now + config.limits.handshake¦now + config.limits.handshake * 2
time of the backlog¦65¦isock/src/net/accept.rs¦MOST: Duration = Duration::from_secs(1)¦MOST: Duration = Duration::from_secs(8)
time of the backlog¦65¦isock/src/net/accept.rs¦(pause * 2)¦(pause * 8)
close code¦6,7¦isock/src/proto/receive.rs¦return Err(CloseCode::BAD_LENGTH);¦return Err(CloseCode::BAD_FRAME);
close echoes¦1,3¦isock/src/proto/ending.rs¦let mut close = Close::new(code);¦let mut close = Close::new(code);\n if code == CloseCode::BAD_PREFACE { close.text = "GET /a".into(); }
handler runs¦51,52¦isock/src/wire/guard.rs¦Ok(value) if guard.is_satisfied() => Ok(value),¦Ok(value) => Ok(value),
text leaks¦57¦isock/src/serving/task.rs¦RefusalCode::PANICKED, Ran::Yes, ""¦RefusalCode::PANICKED, Ran::Yes, text
limit handshake¦limits strangers¦isock/src/proto/connection.rs¦now + config.limits.handshake¦now + config.limits.handshake * 30
limit preface¦limits strangers¦isock/src/wire/preface.rs¦if len > MAX_PREFACE_LEN¦if len > MAX_PREFACE_LEN + 8
limit preface, strict¦limits strangers¦isock/src/wire/preface.rs¦if len > MAX_PREFACE_LEN¦if len >= MAX_PREFACE_LEN
limit unauthenticated¦limits strangers¦isock/src/net/lobby.rs¦(self.waiting.len() > self.most)¦(self.waiting.len() > self.most + 1)
limit unauthenticated, strict¦limits strangers¦isock/src/net/lobby.rs¦(self.waiting.len() > self.most)¦(self.waiting.len() >= self.most)
limit unauthenticated_per_address¦limits strangers¦isock/src/net/lobby.rs¦.count() > self.most_of_one¦.count() > self.most_of_one + 1
limit unauthenticated_per_address, strict¦limits strangers¦isock/src/net/lobby.rs¦.count() > self.most_of_one¦.count() >= self.most_of_one
limit message¦limits messages¦isock/src/proto/commands.rs¦if len > message && self¦if len > message + 1 && self
limit message¦limits messages¦isock/src/proto/commands.rs¦call.body.len() <= limit =>¦call.body.len() <= limit + 1 =>
limit message of a peer¦6¦isock/src/proto/receive.rs¦> self.config.limits.message¦> self.config.limits.message + 1
limit message, strict¦limits messages¦isock/src/proto/commands.rs¦if len > message && self¦if len >= message && self
limit in_flight¦limits in_flight¦isock/src/proto/served.rs¦key.slot >= self.grant¦key.slot > self.grant
limit in_flight of a client¦limits in_flight¦isock/src/proto/handshake.rs¦self.calls.grant(slots)¦self.calls.grant(slots + 1)
limit message_stall¦limits message_stall¦isock/src/proto/inbound.rs¦limits.message_stall +¦limits.message_stall * 30 +
limit output_soft¦limits output_soft¦isock/src/proto/connection.rs¦self.output.len() < self.config.limits.output_soft¦self.output.len() < self.config.limits.output_soft * 100
limit output_soft, strict¦limits output_soft¦isock/src/proto/connection.rs¦self.output.len() < self.config.limits.output_soft¦self.output.len() == 0
limit output_hard¦limits output_hard¦isock/src/proto/commands.rs¦body.len() > self.config.limits.output_hard¦body.len() > self.config.limits.output_hard + 1
limit output_stall¦limits output_stall¦isock/src/proto/clock.rs¦output_stall;\n        self.unread.or_make¦output_stall * 30;\n        self.unread.or_make
limit output_stall¦limits output_stall¦isock/src/proto/clock.rs¦output_stall;\n        let unread¦output_stall * 30;\n        let unread
limit output_stall, strict¦limits output_stall¦isock/src/proto/clock.rs¦            unread.deadline = deadline;¦            let _ = unread;
limit pings_per_second¦limits pings¦isock/src/proto/clock.rs¦self.level <= f64::from(per_second) * 10.0¦self.level <= f64::from(per_second) * 10.0 + 1.0
limit pings_per_second, strict¦limits pings¦isock/src/proto/clock.rs¦self.level <= f64::from(per_second) * 10.0¦self.level <= f64::from(per_second) * 10.0 - 1.0
limit metadata¦limits metadata¦isock/src/proto/frames.rs¦metadata > total.min(MAX_METADATA)¦metadata > total.min(MAX_METADATA + 1)
limit metadata, strict¦limits metadata¦isock/src/proto/frames.rs¦metadata > total.min(MAX_METADATA)¦metadata >= total.min(MAX_METADATA)
limit decode_depth¦limits decode_depth¦isock/src/action/context.rs¦depth: self.depth,¦depth: self.depth + 1,
limit decode_budget¦limits decode_budget¦isock/src/action/context.rs¦.budget.min(self.budget)¦.budget.min(self.budget + 9)
limit decode_budget, strict¦limits decode_budget¦isock/src/action/context.rs¦.budget.min(self.budget)¦.budget.min(self.budget - 1)
limit total¦limits total¦isock/src/net/account.rs¦add(bytes) > self.0.most¦add(bytes) > self.0.most + 10
limit total, strict¦limits total¦isock/src/net/account.rs¦add(bytes) > self.0.most¦add(bytes) >= self.0.most
limit total of a connection¦limits total¦isock/src/net/conn.rs¦held + streams + sends > share¦held + streams + sends > 2 * share
limit total of a connection, strict¦limits total¦isock/src/net/conn.rs¦held + streams + sends > share¦held + streams + sends > share / 2
limit out of range¦limits ranges¦isock/src/server/builder.rs¦        self.limits.check()?;¦
limit out of range at a client¦limits ranges¦isock/src/client/builder.rs¦        self.options.limits.check()?;¦
limit of a peer¦limits ranges¦isock/src/proto/handshake.rs¦fragment as usize >= INITIAL_MESSAGE¦fragment > 0
limit of slots of a peer¦limits ranges¦isock/src/proto/handshake.rs¦welcome.slots < INITIAL_SLOTS¦welcome.slots == 0
limit without a test¦limits every_limit¦tests/limits/calls.rs¦fn total()¦fn total_of_all()
answers to nothing¦16¦isock/src/proto/frames.rs¦return Err(CloseCode::NO_SUCH_CALL);¦return Ok(Step::On);
credit overflows¦17¦isock/src/proto/streams.rs¦_ => Err(CloseCode::BAD_CREDIT),¦_ => Ok(()),
credit of nothing¦17¦isock/src/proto/stream_frames.rs¦if credit.is_zero() {¦if false {
items beyond credit¦18¦isock/src/proto/streams.rs¦if !self.allows_one() {¦if false {
streams past the limit¦20¦isock/src/server/service.rs¦call.streams > self.settings.streams¦call.streams > 10 * self.settings.streams
pings without end¦21¦isock/src/proto/frames.rs¦        self.note_ping(now)?;¦        let _ = now;
settings without end¦22¦isock/src/proto/frames.rs¦if self.settings_read > MAX_SETTINGS {¦if false {
empty items without end¦23¦isock/src/proto/stream_frames.rs¦0 if !is_last(header) => self.note_idle(now)?,¦0 if !is_last(header) => {}
memory of the closed¦23¦isock/src/net/conn/reading.rs¦                    self.input.clear();¦
reading goes on¦24¦isock/src/net/conn/reading.rs¦self.proto.wants_input() && (!fed¦(!fed
answers without end¦25¦isock/src/net/far.rs¦before == 0 || before + len <= self.hard¦len < usize::MAX
answers without end¦25¦isock/src/proto/commands.rs¦body.len() > self.config.limits.output_hard¦body.len() > usize::MAX / 2
dropped responder says nothing¦61¦isock/src/serving/deferred.rs¦        self.route.answer(Answer::Refusal(refusal));¦        let _ = refusal;
answer for nobody is well¦61¦isock/src/serving/deferred.rs¦let there = !far.is_gone();¦let there = true;
no cycle is found¦63¦isock/src/serving/workers.rs¦if ours().next().is_none() {¦if true {
stream never ends¦61¦isock/src/net/conn/ending.rs¦            flows.stop_all(&mut woken);¦
hooks may block¦62¦isock/src/net/blocking.rs¦Stand::Hook => Err(WouldDeadlock),¦Stand::Hook => Ok(()),
cycle without a deadline¦63¦isock/src/net/line.rs¦Flight::Near(link, call) => link.wait(*call, deadline),¦Flight::Near(link, call) => link.wait(*call, deadline + std::time::Duration::from_secs(2)),
pushes without end¦64¦isock/src/net/far.rs¦if self.begin_to_wait(size) > QUEUE {¦if self.begin_to_wait(size.min(4)) > 100 * QUEUE {
items on no account¦limits held¦isock/src/net/flow.rs¦charge.set(self.held + self.counted);¦charge.set(self.counted);
items stay on the account¦limits held¦isock/src/net/flow.rs¦state.held.saturating_sub(memory(bytes))¦state.held.saturating_sub(bytes)
short items for little¦limits held¦isock/src/net/flow.rs¦ENTRY + len.max(spare::SHORT)¦ENTRY + len.max(spare::SHORT - 127)
items are nobody's share¦limits held¦isock/src/net/conn.rs¦held + streams + sends > share¦held + sends > share
items of the closed¦limits held¦isock/src/net/flow.rs¦        state.received.clear();\n        state.held = 0;¦
sends on no account¦limits held¦isock/src/server/service.rs¦account().charge(task.size());¦account().charge(0);
pongs without end¦21¦isock/src/proto/output.rs¦match self.waiting_pong() {¦match None::<&mut [u8]> {
memory beyond the limit¦60¦isock/src/wire/codec.rs¦held.saturating_mul(2).min(self.limit)¦self.limit * 4
table of timers¦64¦isock/src/peer/background.rs¦        state.timers.shrink_to(TIMERS);¦        state.timers.reserve(100_000);
calls between queue and connection¦64¦isock/src/net/far.rs¦self.begin_to_wait(size) > QUEUE {¦self.begin_to_wait(size) > 2 * QUEUE {
last words¦30¦isock/src/net/conn/ending.rs¦self.proto.is_closed() || serving > 0 ||¦self.proto.is_closed() || (serving > 0 && !self.eof) ||
soak: a queue that stays¦soak¦isock/src/net/conn.rs¦        if let Some(flow) = flow {\n            let mut woken = Vec::new();¦        if let Some(flow) = flow {\n std::mem::forget(Arc::clone(&flow));\n            let mut woken = Vec::new();
soak: a send that is lost¦soak¦isock/src/net/conn/reading.rs¦Event::Send { ref head, body } => (None, head, body),¦Event::Send { .. } if { static N: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0); N.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 500 == 499 } => continue,\n Event::Send { ref head, body } => (None, head, body),
soak: a thread that stays¦soak¦isock/src/net/event_loop/turns.rs¦        drop(conn);¦        drop(conn);\n if id.generation % 16 == 15 { std::thread::spawn(|| loop { std::thread::park(); }); }
soak: a descriptor that stays¦soak¦isock/src/net/event_loop/turns.rs¦        drop(conn);¦        if id.generation % 64 == 63 { std::mem::forget(conn) } else { drop(conn) }
kills: no where unknown is right¦kills¦isock/src/proto/calls.rs¦*end <= left => Ran::Unknown,¦*end <= left => Ran::No,
kills: unknown where no is right¦kills¦isock/src/peer/raw.rs¦RawCall { channel, which, terms, attempts, ran: Ran::No,¦RawCall { channel, which, terms, attempts, ran: Ran::Unknown,
kills: unknown although it was answered¦kills¦isock/src/net/pending.rs¦Ended::Small(Small::of(bytes))¦{ let _ = bytes; Ended::Lost(Ran::Unknown, Closed::Eof) }
loops: the others do not hear of a drain¦loops ending¦isock/src/net/event_loop/ending.rs¦            self.loops.drain_others(until, running);¦
loops: the first one ends before the others¦loops ending¦isock/src/net/event_loop/ending.rs¦!self.is_first() || self.loops.others_have_ended()¦true
loops: an order for each¦loops dealing¦isock/src/net/event_loop/accepting.rs¦generation: number }¦generation: number + 10 * self.place as u64 }
loops: an order of dealing out¦loops dealing¦isock/src/net/event_loop/accepting.rs¦generation: number }¦generation: { let _ = number; self.loops.number() } }
loops: one has all¦loops dealing¦isock/src/net/loops.rs¦open.min_by_key(|(_, remote)| remote.connections())¦open.last()
loops: whoever has left counts¦loops dealing¦isock/src/net/conn/ending.rs¦            self.far.remote().left();¦
loops: whoever has been dealt out is a stranger¦loops dealing¦isock/src/net/event_loop/accepting.rs¦        self.lobby.leave(id);\n        if place¦        if place
loops: strangers count¦loops dealing¦isock/src/net/event_loop/accepting.rs¦            self.lobby.enter(id, source);¦            self.lobby.enter(id, source);\n            self.remote.joined();
loops: calls are read where they came¦loops dealing¦isock/src/net/conn/reading.rs¦if self.preface == Preface::Moves && self.proto.is_open() {¦if false {
loops: what stands behind a preface stays behind¦loops dealing¦isock/src/net/event_loop/accepting.rs¦        conn.understand(Instant::now(), &mut self.service, &mut self.jobs);¦
versions untold¦2¦isock/src/proto/handshake.rs¦min_version: self.config.versions.0,¦min_version: 0,
odd values have run¦53,55¦isock/src/serving/task.rs¦RefusalCode::UNDECODABLE, Ran::No¦RefusalCode::UNDECODABLE, Ran::Yes
signals end reading¦66¦isock/src/net/stream.rs¦matches!(error.kind(), Interrupted | TimedOut | WouldBlock)¦matches!(error.kind(), TimedOut | WouldBlock)
departed end the loop¦67¦isock/src/net/conn.rs¦Err(_) => return false,¦Err(error) => panic!("{error}"),
row lost¦¦tests/sockets.rs¦    row(57, handlers::ten_thousand_panics),¦
row skipped¦¦tests/sockets.rs¦for transport in TRANSPORTS {¦for transport in &TRANSPORTS[..1] {
repeated call runs¦13¦isock/src/proto/served.rs¦(false, true) if key.seq == slot.seq => Arrival::Attached,¦(false, true) if key.seq == slot.seq => Arrival::New,
ended call runs again¦14,15¦isock/src/proto/served.rs¦            (false, _) => Arrival::Stale,¦            (false, false) => {\n slot.running = true;\n self.running += 1;\n Arrival::New\n }\n (false, true) => Arrival::Stale,
slot beyond the grant¦15¦isock/src/proto/served.rs¦key.slot >= self.grant¦key.slot > self.grant
slot free with its cancel¦19¦isock/src/proto/served.rs¦&& !std::mem::replace(&mut slot.cancelled, true)¦&& { slot.running = false; !std::mem::replace(&mut slot.cancelled, true) }
items without credit¦26¦isock/src/net/flow.rs¦if state.left.allows_one() && state.has_room(cost) {¦state.left.items += 1;\n if state.has_room(cost) {
items wait without end¦26¦isock/src/peer/stream.rs¦super::request::after(self.idle)¦super::request::after(self.idle * 100)
streams of a client past the limit¦27¦isock/src/server/service.rs¦call.streams > self.settings.streams¦call.streams > 10 * self.settings.streams
item of any length¦27¦isock/src/peer/raw.rs¦self.channel.options.limits.message - ITEM_LEN¦2 * self.channel.options.limits.message
item of any length¦27¦isock/src/net/flow.rs¦if state.key.is_some() && cost > state.limit {¦if false {
outcome of what was lost¦58,68,73¦isock/src/proto/calls.rs¦if *end <= left => Ran::Unknown,¦if *end < left => Ran::Unknown,
calls wait without a bound¦59¦isock/src/serving/workers.rs¦state.queue.len() >= QUEUE ||¦state.queue.len() >= QUEUE * 100 ||
load that nobody sees¦59¦isock/src/serving/workers.rs¦(state.threads - state.idle, state.queue.len())¦(0, state.queue.len())
late because another one reads¦69¦isock/src/net/link/reading.rs¦since < 2 * FULL || (since < PATIENCE && (was_stopped || self.stream.has_more()))¦since > std::time::Duration::MAX
clock before the sockets¦69¦isock/src/net/event_loop/due.rs¦        let now = self.looked;¦        let now = Instant::now();
clock before the sockets¦69¦isock/src/net/event_loop/waiting.rs¦        self.poll.poll(events, due.map(¦        self.fire_timers();\n self.poll.poll(events, due.map(
clock of the wall¦69¦isock/src/peer/request.rs¦    let own = later(now, timeout);¦    static START: std::sync::OnceLock<(std::time::SystemTime, Instant)> = std::sync::OnceLock::new();\n let (wall, start) = *START.get_or_init(|| (std::time::SystemTime::now(), now));\n let own = later(std::time::SystemTime::now().duration_since(wall).map_or(now, |since| start + since), timeout);
child calls¦70¦isock/src/sys.rs¦    FORKS.fetch_add(1, Ordering::Relaxed);¦
child closes¦70¦isock/src/net/link.rs¦            // The connection is the parent's, and so are those whom its end concerns.\n            return;¦
child waits¦70¦isock/src/net/link/reading.rs¦            return None;¦
silence for ever¦71¦isock/src/proto/silence.rs¦let asks = ¦let asks = false && 
once is twice¦71¦isock/src/peer/retry.rs¦    kind != ActionKind::Once¦    kind != ActionKind::Once || true
outcome without a connection¦72¦isock/src/peer/raw/ending.rs¦call.problem(ProblemKind::NotConnected, Ran::No, text)¦call.problem(ProblemKind::NotConnected, Ran::Unknown, text)
dialling without end¦72¦isock/src/net/dial.rs¦TcpStream::connect_timeout(&socket, until - now)¦{ let _ = now; TcpStream::connect(socket) }
path of the living¦73¦isock/src/net/unix.rs¦        Ok(()) => return Err(ErrorKind::AddrInUse.into()),¦        Ok(()) => return Ok(()),
path through a link¦73¦isock/src/net/unix.rs¦        () if there.is_symlink() => "a symbolic link is there, which is never followed",¦        () if there.is_symlink() => return Ok(()),
path for everybody¦73¦isock/src/net/unix.rs¦Permissions::from_mode(0o600)¦Permissions::from_mode(0o666)
TABLE
}

run() {
    case $1 in
        soak) SOAK_SECONDS=15 cargo_test soak ;;
        kills) cargo_test outcomes kills ;;
        limits*) cargo_test limits "${1#limits }" ;;
        loops*) cargo_test event_loops "${1#loops }" ;;
        "") cargo_test sockets --nocapture ;;
        *) SOCKETS_ROW=$1 run "" ;;
    esac
}

# The building takes as long as it takes: a test that had no time to begin has noticed nothing.
cargo_test() {
    cargo test -q -p isock-tests --test "$1" --no-run > log 2>&1 &&
        timeout 300 cargo test -q -p isock-tests --test "$1" -- "${@:2}" > log 2>&1
}

if [ $# -eq 0 ] && ! run ""; then
    grep -E 'FAILED|panicked|^error' log
    echo "the catalogue fails without a fault"
    exit 1
fi

planted=0 unnoticed=0
while read -r name <&3; do
    case $name in "${1:-}"*) ;; *) continue ;; esac
    mapfile -t lines < <(faults | grep "^$name¦")
    for line in "${lines[@]}"; do
        IFS=¦ read -r _ rows file from to <<< "$line"
        FROM=$from TO=$to python3 - "$file" <<'PYTHON'
import os, sys
path, (old, new) = sys.argv[1], (os.environ[name].replace("\\n", "\n") for name in ("FROM", "TO"))
text = open(path).read()
if old not in text:
    sys.exit(f"{path} has no `{old}`")
open(path, "w").write(text.replace(old, new, 1))
PYTHON
    done
    planted=$((planted + 1))
    if run "$rows"; then
        echo "$name: NOT NOTICED"
        unnoticed=$((unnoticed + 1))
    elif grep -q '^error' log && ! grep -q '^running' log; then
        cat log
        exit 1
    else
        failed=$(sed -nE 's/^row ([0-9]+) (tcp|unix) FAILED.*/\1 \2/p' log |
            awk '{ t[$2] = t[$2] (t[$2] ? "," : "") $1 } END { for (k in t) print k, t[k] }' |
            sort | paste -sd ' ')
        why=$(sed -nE 's/^row [0-9]+ [a-z]+ FAILED: (.*)/\1/p' log | head -1)
        [ -n "$failed" ] || why=$(grep -A1 -E 'panicked at|^Error: ' log | sed -n 2p || true)
        [ -n "$failed" ] || failed=$(sed -nE 's/^    ([a-z_]+(::[a-z_]+)?)$/\1/p' log | sort -u | paste -sd ' ')
        echo "$name: ${failed:-the list}: $why"
    fi
    for line in "${lines[@]}"; do
        IFS=¦ read -r _ _ file _ _ <<< "$line"
        cp "$root/$file" "$file"
    done
done 3< <(faults | awk -F¦ '!seen[$1]++ { print $1 }')

echo "$planted faults, $unnoticed not noticed"
[ "$unnoticed" -eq 0 ]
