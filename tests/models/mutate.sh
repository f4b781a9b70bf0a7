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

test_models() { (cd "$root" && timeout 900 cargo test -q -p isock-models --test models -- "$@") > "$work/log" 2>&1; }

# The models that have a file in them.
models_of() {
    case $1 in
    net/flow.rs) echo flow:: ;;
    net/handover.rs | net/blocking.rs) echo handover:: ;;
    net/remote.rs) echo calls:: loops:: ;;
    net/cancel.rs | net/expiry.rs) echo calls:: ;;
    net/far.rs) echo room:: ;;
    net/pipe.rs | net/chain.rs | net/loops.rs) basename "${1%.rs}::" ;;
    peer/*) echo background:: ;;
    serving/deferred.rs) echo deferred:: ;;
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
net/link/reading.rs|let next = state.next_reader();|let next = None::<(thread::ThreadId, Caller)>;|whoever leaves hands the role to nobody
net/link/reading.rs|if let Some(ended) = state.pending.take(call) {|if let Some(ended) = None::<Ended> {|who comes when its answer is there reads before it looks
net/link/reading.rs|let before = if free { None } else { state.wait_as(wanted, waiter) };|let before = state.wait_as(wanted, waiter);|who parks does not look whether anybody reads
net/link/reading.rs|if let Some(bell) = watcher {|if let Some(bell) = watcher.filter(\|_\| false) {|whoever leaves does not tell the watcher
net/link/writing.rs|if corked {~            state.note_pattern();~            self.flush_unless_full(&mut state);~        }|if corked {~            state.note_pattern();~        }|what stays behind is not sent when its time is over
net/pending.rs|let waiter = waiter.take();|let waiter = waiter.take().filter(\|_\| false);|an end wakes nobody
net/pending.rs|Ok(before.replace(waiter))|Ok(None)|nobody is noted who waits for an end
net/behind.rs|.filter(\|link\| !ptr::eq(link.as_ptr(), here))|.filter(\|_\| false)|what stays behind elsewhere waits for its time
net/corker.rs|link.looking().0.store(false, Ordering::SeqCst);~        // A call|// A call|a connection that is left alone is said to be looked at
net/corker.rs|state.running = !state.watched.is_empty();~        state.running|!state.watched.is_empty()|the thread ends and is said to run
net/link/reading.rs|drop(state);~        let patience|drop(state);~        let heard = self.crowd.heard();~        let patience|who sleeps does not hear what was called out before
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
net/handover.rs|if self.asleep.load(Ordering::Relaxed) {|if false {|a handler that begins does not wake the watcher
net/handover.rs|self.asleep.store(true, Ordering::Relaxed);~        parked.is_some()|self.asleep.store(true, Ordering::Relaxed);~        parked.is_none() && false|the watcher does not look once more before it sleeps
net/handover.rs|self.asleep.store(true, Ordering::Relaxed);~        parked.is_some()|let begun = parked.is_some();~        drop(parked);~        self.asleep.store(true, Ordering::Relaxed);~        begun|the watcher looks once more before it says that it sleeps
net/handover.rs|self.answer_late(job.done_late());|drop(job.done_late());|the answer of a handler that was held up is dropped
net/handover.rs|event_loop.leave_job();||who takes the loop does not say that a handler was left behind
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
net/remote.rs|        let first = queue.commands.is_empty();~        queue.commands.push(command);~        self.0.any.store(true, Ordering::Relaxed);~        drop(queue);|        drop(queue);~        let first = self.lock().commands.is_empty();~        self.lock().commands.push(command);|who queues a command looks whether it is the first, and queues it later
net/far.rs|self.unsaid.store(unsaid, Ordering::Relaxed);~        self.taken(room);|let _ = unsaid;~        self.taken(room);|what has been taken looks as if it had left
net/far.rs|self.waiting.fetch_sub(bytes, Ordering::Relaxed);~        self.let_on();|self.waiting.fetch_sub(bytes, Ordering::Relaxed);|what was taken and dropped tells nobody
net/far.rs|self.gone.store(true, Ordering::Release);~        self.let_on();|self.gone.store(true, Ordering::Release);|an answer waits on after the end of its connection
net/far.rs|if self.has_room(len) \|\| self.is_gone() {|if self.is_gone() {|who waits for room does not look once more before it sleeps
net/far.rs|let fits = self.wait_for_room(answer.len());|let fits = self.wait_for_room(answer.len()) \|\| !self.is_gone();|an answer that nobody made room for is queued all the same
net/pipe.rs|let written = halves.to_loop.write(slices);~        drop(halves);~        self.0.tell_loop();|drop(halves);~        self.0.tell_loop();~        let written = self.0.lock().to_loop.write(slices);|the loop is told of bytes before they are there
net/pipe.rs|drop(halves);~        self.changed.notify_all();|drop(halves);|the loop tells no caller what it has done
net/pipe.rs|let read = halves.to_caller.read(room);~        drop(halves);~        self.0.tell_loop();|let read = halves.to_caller.read(room);~        drop(halves);|a caller that has made room does not say so
net/pipe.rs|halves.bell = Some(Arc::clone(bell));~        !halves.to_caller.bytes.is_empty() \|\| halves.to_caller.closed|let there = !halves.to_caller.bytes.is_empty() \|\| halves.to_caller.closed;~        drop(halves);~        self.0.lock().bell = Some(Arc::clone(bell));~        there|who hangs a bell up has looked before
net/pipe.rs|self.0.tell_callers(halves);~        self.0.tell_loop();|self.0.tell_callers(halves);|a caller that closes does not tell the loop
net/chain.rs|NEXT.fetch_add(1, Ordering::Relaxed)|NEXT.load(Ordering::Relaxed);~    NEXT.store(call + 1, Ordering::Relaxed)|two handlers take one number
net/chain.rs|steps().remove(&self.call);|steps().clear();|whoever goes on forgets all others
net/chain.rs|steps().remove(&self.call);|drop(steps());|who has gone on is still said to wait
serving/deferred.rs|let was_open = !std::mem::replace(&mut open.answered, true);~        let charge = open.charge.take();|let was_open = !open.answered;~        drop(open);~        let mut open = self.lock();~        open.answered = true;~        let charge = open.charge.take();|two answers are taken for the first
serving/deferred.rs|if !open.answered {~            open.charge|{~            open.charge|what a call costs is kept after its answer
serving/deferred.rs|if !self.take() {~            return;~        }|self.take();|a responder that has answered says that nobody did
serving/deferred.rs|if was_open {~            self.call.cancelled.over();~        }|let _ = &self.call.cancelled;|what was to be done for a call outlives its answer
peer/background.rs|if state.running {~            drop(state);~            return self.bell.ring();|if state.running {~            return;|the thread is not told what has been added
peer/background.rs|state.running = false;~            return None;|return None;|the thread ends and is said to run
peer/background.rs|Some(true) => self.look_again(),|Some(true) => {}|a time that comes sooner is not looked at
peer/background.rs|at < *before \|\| !Weak::ptr_eq(&alarm.link, link)|at < *before|a future that goes to another connection is not read for there
peer/background.rs|due.extend(alarm.at.take_if(\|(at, _)\| *at <= now).map(\|(_, waker)\| waker));|if let Some((at, waker)) = alarm.at.as_mut().filter(\|(at, _)\| *at <= now) {~                due.push(waker.clone());~                *at = now + IDLE * 1000;~            }|the thread stays for a future that has been woken
peer/background.rs|let (before, _) = alarm.at.as_ref()?;~        let again = at < *before|let before = alarm.at.as_ref().map_or(at, \|(before, _)\| *before);~        let before = &before;~        let again = at < *before|a timer that has gone off is set, and nobody keeps it
peer/background.rs|self.lock().detached.append(&mut pending);|self.lock().detached = pending;|a call that is adopted while others are looked at is lost
peer/background.rs|self.lock().woken = true;~        self.bell.ring();|self.bell.ring();|the thread is rung for and not told what for
peer/background.rs|waiting.into_iter().for_each(\|(_, waker)\| waker.wake());|waiting.into_iter().take(1).for_each(\|(_, waker)\| waker.wake());|of several who wait for a connection one is woken
peer/background.rs|if state.attending && self.channel.strong_count() > 0 {|if state.attending {|the thread keeps a connection for a client that has gone
net/loops.rs|self.0.newest.fetch_add(1, Ordering::Relaxed) + 1|{~            let number = self.0.newest.load(Ordering::Relaxed) + 1;~            self.0.newest.store(number, Ordering::Relaxed);~            number~        }|two connections have one number
net/loops.rs|starved.load(Ordering::Relaxed) && starved.swap(false, Ordering::Relaxed)|starved.load(Ordering::Relaxed)|each loop tells of room, and not the first one alone
net/loops.rs|let _ = self.0.all[FIRST].send(Command::Ended);|let _ = Command::Ended;|a loop that returns does not tell the first one
net/remote.rs|self.0.connections.fetch_sub(1, Ordering::Relaxed);|self.0.connections.store(self.connections() - 1, Ordering::Relaxed);|a connection that comes while another one goes is not counted
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
    elif test_models $(models_of "$1"); then
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
