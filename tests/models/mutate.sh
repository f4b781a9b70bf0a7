#!/usr/bin/env bash
# Plants a fault in each piece of state that the models hold, one after the other, and expects a model
# of it to fail.
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

# The models that have a file in them.
models_of() {
    case $1 in
    net/flow.rs) echo flow:: ;;
    net/handover.rs | net/blocking.rs) echo handover:: ;;
    net/remote.rs | net/cancel.rs | net/expiry.rs) echo calls:: ;;
    serving/*) echo workers:: ;;
    wire/*) echo spare:: ;;
    sync/turns.rs | sync/progress.rs) echo small:: ;;
    *) echo link:: ;;
    esac
}

if ! test_models; then
    cat "$work/log"
    echo "the models fail without a fault"
    exit 1
fi

# file | what stands there | what it becomes | what that does; `~` is the end of a line.
faults() {
    cat <<'TABLE'
net/flow.rs|let signal = state.signal();~        self.urge(state);|self.urge(state);~        let signal = self.flow.lock().signal();|who waits lets go, and only then says that it waits
net/flow.rs|let signal = state.signal();~        self.urge(state);|let signal = state.signal();~        drop(state);|who waits does not say so to a driver that would look later
net/flow.rs|let state = &mut *state;~        state.told = Told::No;|let state = &mut *state;|the driver never says that it has looked
net/flow.rs|state.listed &= look != Look::Again;|let _ = look;|a stream that the driver has looked at stays on its list
net/flow.rs|state.complete = true;~        state.fire(woken);|state.complete = true;|the end of the items wakes nobody
net/flow.rs|state.left = Balance { bytes: left.bytes - waiting.0, items };~        state.fire(woken);|state.left = Balance { bytes: left.bytes - waiting.0, items };|credit wakes nobody
net/flow.rs|state.left = Balance { bytes: left.bytes - waiting.0, items };|state.left = left;|items that wait are not taken off new credit
net/flow.rs|state.last_sent = state.last;~                state.count();~                state.fire(woken);|state.last_sent = state.last;~                state.count();|who drains is not told that all has left
net/flow.rs|state.held = 0;~        state.count();~        state.fire(woken);|state.held = 0;~        state.count();|a stream that is stopped wakes nobody
net/flow.rs|match self.received.pop_front() {|match self.received.pop_front().filter(\|_\| !self.complete) {|the end is seen before the last items
net/remote.rs|queue.closed = true;|queue.closed = false;|a loop that has returned still takes commands
net/link.rs|let next = state.next_reader();|let next = None::<(ThreadId, Caller)>;|whoever leaves hands the role to nobody
net/link.rs|if let Some(ended) = state.pending.take(call) {|if let Some(ended) = None::<Ended> {|who comes when its answer is there reads before it looks
net/link.rs|let before = if free { None } else { state.wait_as(wanted, waiter) };|let before = state.wait_as(wanted, waiter);|who parks does not look whether anybody reads
net/link.rs|if let Some(bell) = watcher {|if let Some(bell) = watcher.filter(\|_\| false) {|whoever leaves does not tell the watcher
net/link.rs|if corked {~            state.note_pattern();~            self.flush_unless_full(&mut state);~        }|if corked {~            state.note_pattern();~        }|what stays behind is not sent when its time is over
net/pending.rs|Stage::Open(waiter) => waiter,|Stage::Open(_) => None,|an end wakes nobody
net/pending.rs|Ok(before.replace(waiter))|Ok(None)|nobody is noted who waits for an end
net/behind.rs|.filter(\|link\| !ptr::eq(link.as_ptr(), here))|.filter(\|_\| false)|what stays behind elsewhere waits for its time
net/corker.rs|link.looking().0.store(false, Ordering::SeqCst);~        // A call|// A call|a connection that is left alone is said to be looked at
net/corker.rs|state.running = !state.watched.is_empty();~        state.running|!state.watched.is_empty()|the thread ends and is said to run
net/link.rs|drop(state);~        let patience|drop(state);~        let heard = self.crowd.heard();~        let patience|who sleeps does not hear what was called out before
net/crowd.rs|self.calls.fetch_add(1, Ordering::Release);~            wake_at|wake_at|a call is not heard by who is about to sleep
net/crowd.rs|self.0 \|= caller.bit();|self.0 = caller.bit();|of several callers the last one is woken
net/link.rs|*caller != Caller::me()|*caller == Caller::me()|who reads wakes itself and not the others
net/bell.rs|while !std::mem::take(&mut state.rung) {|state.rung = false;~        while !std::mem::take(&mut state.rung) {|a ring before the wait is forgotten
net/bell.rs|state.polling = true;~        drop(state);|drop(state);~        self.lock().polling = true;|a ring between the look and the poll is not written
net/handover.rs|take_if(\|parked\| parked.beat == beat)?;|take()?;|who was held up takes whatever is parked
net/handover.rs|self.beat.store(beat + 1, Ordering::Release);~                    match urgent|match urgent|the beat stays odd when the loop is taken
net/handover.rs|Some(parked) if parked.by == me => parked.beat,|Some(parked) => parked.beat,|a handler speaks for that of another thread
net/handover.rs|let urgent = urgent == Some(beat);|let urgent = urgent.is_some();|the wait of one handler counts for the next
net/handover.rs|(watch.urgent, watch.woken) = (Some(beat), true);~        drop(watch);~        self.changed.notify_all();|(watch.urgent, watch.woken) = (Some(beat), true);~        drop(watch);|a handler that is about to block wakes no watcher
net/handover.rs|self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst)|false|a handler that begins does not wake the watcher
net/handover.rs|let begun = self.beat.load(Ordering::SeqCst) != last;|let begun = false;|the watcher does not look once more before it sleeps
net/handover.rs|self.answer_late(done);|drop(done);|the answer of a handler that was held up is dropped
net/blocking.rs|what.give_away();|let _ = what;|who is about to block gives nothing away
net/cancel.rs|if self.is_told() {|if false {|who asks too late is not told
net/cancel.rs|let mut waiting = self.lock();~        // Whoever tells sets the flag before it takes the hooks: one of the two sees the other.~        if self.is_told() {|let told = self.is_told();~        let mut waiting = self.lock();~        if told {|who asks looks before it has the lock
net/expiry.rs|state.running = false;~                return None;|return None;|the thread of the deadlines ends and is said to run
serving/workers.rs|self.0.work.notify_one();|state.threads += 0;|a job wakes no worker
serving/workers.rs|let _until_all_know = self.0.giving_up.lock().unwrap_or_else(PoisonError::into_inner);|drop(self.0.giving_up.lock());|whoever gives up second does not wait for the first
serving/workers.rs|if waited.timed_out() && !state.queue.has_next() {|if waited.timed_out() {|an idle worker ends although a job has come
serving/workers.rs|} else if state.threads > 0 {|} else if state.threads < usize::MAX {|a job waits for a thread that cannot be had
serving/fair.rs|false if had_its_share => self.turns.push_back(key),|false if had_its_share => {}|what waits behind a share gets no turn
sync/place.rs|let waits = state.value.is_none();~        if waits {|let waits = state.value.is_none();~        if !waits {|nobody is noted who waits
sync/turns.rs|!std::mem::replace(&mut state.busy, true)|state.busy = true;~        true|two come to do what waits
sync/turns.rs|state.busy = next.is_some();|state.busy = true;|who finds nothing left is said to be busy still
sync/progress.rs|.compare_exchange(QUEUED, end, Ordering::AcqRel, Ordering::Acquire).is_ok()|.swap(end, Ordering::AcqRel) != end|what has been taken is given up
wire/spare.rs|spare.held.store(false, Ordering::Relaxed);~    drop(pool);|drop(pool);~    spare.held.store(false, Ordering::Relaxed);|what is kept is said after the lock is free
net/remote.rs|        let first = queue.commands.is_empty();~        queue.commands.push(command);~        drop(queue);|        drop(queue);~        let first = self.lock().commands.is_empty();~        self.lock().commands.push(command);|who queues a command looks whether it is the first, and queues it later
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
    elif test_models "$(models_of "$1")"; then
        verdict=SURVIVED
    elif grep -aq 'panicked at' "$work/log"; then
        verdict="noticed by $(grep -aoE "^thread '[a-z_:]+'" "$work/log" | head -n 1 | cut -d "'" -f 2)"
    else
        verdict='DOES NOT COMPILE'
        cp "$work/log" "$work/compile-log"
    fi
    case $verdict in noticed*) ;; *) survived=$((survived + 1)) ;; esac
    printf '%s: %s\n    %s\n' "$1" "$4" "$verdict"
    cp "$work/saved" "$file"
}

# A bar in the code is written `\|`.
while IFS='|' read -r file from to what; do
    from=${from//$'\x01'/'|'} to=${to//$'\x01'/'|'}
    case "$file|$what" in *"${1:-}"*) try "$file" "$from" "$to" "$what" ;; esac
done < <(faults | sed 's/\\|/\x01/g')

echo "$((total - survived)) of $total faults noticed"
[ "$survived" -eq 0 ]
