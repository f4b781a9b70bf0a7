//! The catalogue of hardening: each row is a misbehaving peer over real sockets, beside a
//! well-behaved client that must not notice.
//!
//! A new row is an entry of `ROWS` and of `CATALOGUE`, a new transport one of `TRANSPORTS`. After
//! every row the descriptors, the memory and the account must be back, and the server must be idle.
//! `SOCKETS_ROW=47,48` runs these alone.

#[path = "sockets/arena.rs"]
mod arena;
#[path = "sockets/calls_back.rs"]
mod calls_back;
#[path = "sockets/consumers.rs"]
mod consumers;
#[path = "sockets/control.rs"]
mod control;
#[path = "sockets/endings.rs"]
mod endings;
#[path = "sockets/frames.rs"]
mod frames;
#[path = "sockets/handlers.rs"]
mod handlers;
#[path = "sockets/networks.rs"]
mod networks;
#[path = "sockets/payloads/mod.rs"]
mod payloads;
#[path = "sockets/prefaces.rs"]
mod prefaces;
#[path = "sockets/processes.rs"]
mod processes;
#[path = "sockets/responders.rs"]
mod responders;
#[path = "sockets/silence.rs"]
mod silence;
#[path = "sockets/slots.rs"]
mod slots;
#[path = "sockets/streams.rs"]
mod streams;
#[path = "sockets/system.rs"]
mod system;

use arena::{Arena, TRANSPORTS, WORKERS};
use isock::Limits;
use isock_tests::memory::Counting;
use std::{
    env,
    io::{self, Write},
    ops::RangeInclusive,
    panic, thread,
};

#[global_allocator]
static MEMORY: Counting = Counting;

/// A peer that misbehaves, and what must come of it.
struct Row {
    number: u8,
    attack: fn(&Arena),
    limits: fn() -> Limits,
    /// Handlers run on so many threads.
    workers: usize,
}

/// A row under the default limits.
const fn row(number: u8, attack: fn(&Arena)) -> Row {
    Row { number, attack, limits: Limits::default, workers: WORKERS }
}

/// What must be there: the rows of the catalogue that a stream of bytes without encryption can
/// show. A row that is skipped, or lost from the table, fails.
const CATALOGUE: &[RangeInclusive<u8>] = &[1..=11, 13..=27, 29..=30, 47..=73];

const ROWS: &[Row] = &[
    row(1, prefaces::what_is_no_preface_is_closed_at_its_first_wrong_byte),
    row(2, prefaces::an_unknown_version_is_told_the_known_ones),
    row(3, prefaces::tls_is_told_apart),
    row(4, silence::a_preface_has_three_seconds),
    row(5, silence::the_silent_make_room_for_others),
    row(6, frames::a_length_above_the_limit_is_refused_before_its_body),
    row(7, frames::a_length_below_a_header_is_refused),
    Row { limits: silence::impatient, ..row(8, silence::an_announced_message_costs_what_has_come) },
    row(9, frames::frames_in_single_bytes_work_with_linear_effort),
    row(10, frames::an_unknown_kind_is_skipped_if_it_may_be),
    row(11, frames::an_unknown_action_costs_its_call_only),
    row(13, slots::a_call_that_runs_is_never_run_twice),
    row(14, slots::a_call_that_has_ended_is_stale_and_not_run_again),
    row(15, slots::what_is_out_of_turn_costs_its_call_and_what_was_not_granted_closes),
    row(16, streams::answers_to_nothing_close_the_client),
    row(17, streams::credit_that_makes_no_sense_closes),
    row(18, streams::items_beyond_their_credit_close),
    Row {
        limits: slots::few_slots,
        workers: 64,
        ..row(19, slots::whatever_is_cancelled_slots_bound_what_runs)
    },
    Row { workers: 200, ..row(20, streams::streams_past_the_limit_are_refused) },
    row(21, control::a_flood_of_pings_is_ended),
    row(22, control::a_flood_of_settings_is_ended),
    row(23, streams::a_million_empty_items_close),
    Row {
        limits: control::unread_and_short,
        ..row(24, control::bad_calls_by_a_peer_that_never_reads)
    },
    Row { limits: control::unread, ..row(25, control::replies_that_nobody_reads_are_bounded) },
    Row {
        limits: consumers::hasty,
        ..row(26, consumers::a_slow_consumer_has_its_pace_and_costs_a_window)
    },
    row(27, consumers::what_is_too_much_costs_its_call_only),
    row(29, endings::thousands_come_and_go),
    row(30, endings::whoever_has_said_all_still_gets_the_reply),
    row(47, payloads::endless_lengths),
    row(48, payloads::endless_lengths_of_nothing),
    row(49, payloads::zeros_as_large_elements),
    row(50, payloads::a_million_levels),
    row(51, payloads::every_prefix_of_a_message),
    row(52, payloads::a_message_and_a_byte),
    row(53, payloads::text_that_is_none),
    row(54, payloads::over_long_varints),
    row(55, payloads::values_outside_their_type),
    row(56, payloads::odd_values_are_kept_bit_by_bit),
    row(57, handlers::ten_thousand_panics),
    row(58, processes::a_handler_that_ends_its_process_ends_its_calls),
    row(59, processes::with_every_handler_stuck_pings_are_answered_and_calls_refused),
    row(60, handlers::a_reply_of_a_gibibyte_stops_at_the_limit),
    row(61, responders::what_is_dropped_or_comes_too_late_is_an_error),
    row(62, calls_back::a_blocking_call_in_a_hook_is_refused_at_once),
    Row { workers: 1, ..row(63, calls_back::a_cycle_of_calls_is_refused_or_ends_at_its_deadline) },
    Row {
        limits: calls_back::unread,
        ..row(64, calls_back::a_handler_that_pushes_without_end_is_told)
    },
    row(65, system::without_descriptors_the_server_waits_for_some),
    row(66, system::a_thousand_signals_a_second_fail_no_call),
    row(67, endings::writing_to_the_departed_is_an_error),
    row(68, networks::a_reset_at_any_byte_is_told_as_it_was),
    row(69, processes::who_was_stopped_reads_before_it_looks_at_its_clock),
    row(70, processes::the_child_of_a_fork_never_uses_its_parents_connection),
    row(71, networks::a_network_that_breaks_and_heals_costs_calls_and_doubles_none),
    row(72, networks::without_ports_or_room_a_call_has_not_run),
    row(73, processes::a_server_that_is_killed_leaves_a_place_that_can_be_taken),
];

#[test]
fn a_misbehaving_peer_harms_nobody_else() {
    let only: Option<Vec<u8>> = env::var("SOCKETS_ROW").ok().map(|rows| numbers(&rows));
    let is_meant = |number: &u8| only.as_ref().is_none_or(|only| only.contains(number));
    silence_panics_of_handlers();
    let (mut ran, mut failed) = (Vec::new(), 0);
    for transport in TRANSPORTS {
        for row in ROWS.iter().filter(|row| is_meant(&row.number)) {
            let arena = Arena::new(transport, (row.limits)(), row.workers);
            let outcome = arena.withstands(row.attack);
            ran.push((transport.name, row.number));
            failed += usize::from(outcome.is_err());
            // Past the capture of the test harness: a row that holds is to be seen.
            let verdict = outcome.map_or_else(|why| format!("FAILED: {why}"), |()| "ok".into());
            let line = format!("row {} {} {verdict}", row.number, transport.name);
            writeln!(io::stdout(), "{line}").expect("standard output");
        }
    }
    arena::forget_paths();
    let meant: Vec<u8> = CATALOGUE.iter().cloned().flatten().filter(is_meant).collect();
    let over = |transport| meant.iter().map(move |number| (transport, *number));
    let all: Vec<_> = over("tcp").chain(over("unix")).collect();
    assert_eq!(ran, all, "the rows that ran, and those of the catalogue");
    assert!(!ran.is_empty(), "no such row");
    assert_eq!(failed, 0, "rows failed, see above");
}

fn numbers(list: &str) -> Vec<u8> {
    list.split(',').map(|number| number.parse().expect("numbers of rows")).collect()
}

/// Thousands of them are what row 57 is about.
fn silence_panics_of_handlers() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let of_isock = thread::current().name().is_some_and(|name| name.starts_with("isock"));
        if !of_isock {
            usual(info);
        }
    }));
}
