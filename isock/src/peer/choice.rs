//! Which of several servers takes the next call, and when one that failed is tried again.
//!
//! Pure arithmetic: time and chance are parameters. Does not know connections.

use super::backoff;
use std::time::{Duration, Instant};

/// A connection that lasted this long was no failure.
const STABLE: Duration = Duration::from_secs(5);

/// What is known of one of the servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) connected: bool,
    /// Somebody is about to connect to it.
    pub(super) dialling: bool,
    pub(super) rest: Rest,
    /// Calls of this client that it has not answered.
    pub(super) in_flight: usize,
}

/// Who takes the call, and whom to connect to beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) take: Option<usize>,
    pub(super) dial: Option<usize>,
}

/// Of two that are drawn, the one with less to do. One without a connection has nothing to do: it is
/// to be connected to, and the call goes to one that is. `unless` has just failed, and is taken if
/// there is no other.
pub(super) fn choose(
    servers: &[Server],
    unless: Option<usize>,
    now: Instant,
    dice: &mut Dice,
) -> Choice {
    let others = |at: usize| Some(at) != unless && servers[at].may_be_drawn(now);
    let drawn = draw(servers, others, dice);
    let Some(best) = drawn.or_else(|| draw(servers, |at| servers[at].connected, dice)) else {
        return Choice::default();
    };
    if servers[best].connected {
        return Choice { take: Some(best), dial: None };
    }
    let connected = |at: usize| servers[at].connected;
    let take = draw(servers, |at| connected(at) && Some(at) != unless, dice);
    let take = take.or_else(|| draw(servers, connected, dice));
    Choice { take, dial: Some(best) }
}

/// Draws two of those that may be, and gives the one with less to do; the first if it is the same.
fn draw(servers: &[Server], may: impl Fn(usize) -> bool, dice: &mut Dice) -> Option<usize> {
    let all = || (0..servers.len()).filter(|at| may(*at));
    let count = all().count();
    let first = dice.below(count);
    let a = all().nth(first)?;
    if count == 1 {
        return Some(a);
    }
    let second = (first + 1 + dice.below(count - 1)) % count;
    let b = all().nth(second)?;
    Some(if servers[b].in_flight < servers[a].in_flight { b } else { a })
}

impl Server {
    fn may_be_drawn(&self, now: Instant) -> bool {
        self.connected || self.may_be_dialled(now)
    }

    /// Whether nothing speaks against connecting to it.
    pub(super) fn may_be_dialled(&self, now: Instant) -> bool {
        !self.connected && !self.dialling && !self.rest.lasts(now)
    }
}

/// How long a server that failed is left alone: 50 ms at first, doubling to 5 s.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    failures: u32,
    pub(super) until: Option<Instant>,
    connected: Option<Instant>,
}

impl Rest {
    /// It could not be connected to. `chance` is from 0 up to 1.
    pub(super) fn failed(&mut self, now: Instant, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        self.connected = None;
        self.until = Some(now + backoff::reconnect_by(self.failures, chance));
    }

    /// There is a connection.
    pub(super) fn connected(&mut self, now: Instant) {
        self.until = None;
        self.connected = Some(now);
    }

    /// The connection has ended. One that soon did counts like one that was never made, so that a
    /// server that crashes with every connection does not lose calls all the time.
    pub(super) fn ended(&mut self, now: Instant, chance: f64) {
        let stable = |since: Instant| now.saturating_duration_since(since) >= STABLE;
        if self.connected.is_some_and(stable) {
            self.failures = 0;
        }
        self.failed(now, chance);
    }

    pub(super) fn lasts(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Numbers that look random, for choices that nobody gains by guessing.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// Below `count`; 0 if that is 0.
    fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.next()) * count as u64) >> 32) as usize
    }

    /// From 0 up to 1.
    pub(super) fn fraction(&mut self) -> f64 {
        f64::from(self.next()) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn idle() -> Server {
        Server { connected: true, dialling: false, rest: Rest::default(), in_flight: 0 }
    }

    fn busy(in_flight: usize) -> Server {
        Server { in_flight, ..idle() }
    }

    fn absent() -> Server {
        Server { connected: false, ..idle() }
    }

    fn resting(now: Instant) -> Server {
        let mut rest = Rest::default();
        rest.failed(now, 1.0);
        Server { rest, ..absent() }
    }

    /// How often each is taken, and dialled, in so many choices.
    fn shares(servers: &[Server], unless: Option<usize>, now: Instant) -> Vec<(u32, u32)> {
        let mut dice = Dice::new(7);
        let mut shares = vec![(0, 0); servers.len()];
        for _ in 0..10_000 {
            let choice = choose(servers, unless, now, &mut dice);
            if let Some(at) = choice.take {
                shares[at].0 += 1;
            }
            if let Some(at) = choice.dial {
                shares[at].1 += 1;
            }
        }
        shares
    }

    #[test]
    fn servers_with_equally_much_to_do_get_equally_many_calls() {
        for count in 1..=5_u32 {
            for (taken, dialled) in shares(&vec![busy(3); count as usize], None, Instant::now()) {
                let fair = 10_000 / count;
                assert!((fair * 9 / 10..=fair * 11 / 10).contains(&taken), "{taken} of {count}");
                assert_eq!(dialled, 0);
            }
        }
    }

    #[test]
    fn of_two_the_one_with_less_to_do_is_taken_and_the_busiest_of_many_never() {
        let shares = |servers: &[Server]| shares(servers, None, Instant::now());
        assert_eq!(shares(&[busy(5), busy(4)]), [(0, 0), (10_000, 0)]);
        let four = shares(&[busy(9), busy(1), busy(2), busy(3)]);
        assert_eq!(four[0].0, 0);
        assert!(four[1].0 > four[2].0 && four[2].0 > four[3].0 && four[3].0 > 0, "{four:?}");
    }

    #[test]
    fn one_without_a_connection_is_dialled_while_another_takes_the_call() {
        let now = Instant::now();
        assert_eq!(shares(&[absent(), busy(1)], None, now), [(0, 10_000), (10_000, 0)]);
        assert_eq!(shares(&[absent()], None, now), [(0, 10_000)]);
        let dialling = Server { dialling: true, ..absent() };
        assert_eq!(shares(&[dialling, busy(1)], None, now), [(0, 0), (10_000, 0)]);
        assert_eq!(shares(&[dialling], None, now), [(0, 0)]);
        assert_eq!(shares(&[], None, now), []);
    }

    #[test]
    fn one_that_failed_is_left_alone_for_its_rest() {
        let now = Instant::now();
        let servers = [resting(now), busy(9)];
        assert_eq!(shares(&servers, None, now + ms(49)), [(0, 0), (10_000, 0)]);
        assert_eq!(shares(&servers, None, now + ms(51)), [(0, 10_000), (10_000, 0)]);
    }

    #[test]
    fn one_that_has_just_failed_is_taken_only_if_there_is_no_other() {
        let now = Instant::now();
        assert_eq!(shares(&[idle(), busy(9)], Some(0), now), [(0, 0), (10_000, 0)]);
        assert_eq!(shares(&[idle(), resting(now)], Some(0), now), [(10_000, 0), (0, 0)]);
        assert_eq!(shares(&[idle(), absent()], Some(0), now), [(10_000, 0), (0, 10_000)]);
    }

    #[test]
    fn rests_double_to_five_seconds_and_are_as_random_in_their_upper_half() {
        let now = Instant::now();
        let mut rest = Rest::default();
        for millis in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let mut least = rest;
            least.failed(now, 0.0);
            rest.failed(now, 1.0);
            assert_eq!(rest.until, Some(now + ms(millis)));
            assert_eq!(least.until, Some(now + ms(millis) / 2));
        }
    }

    #[test]
    fn a_connection_that_soon_ended_counts_as_none() {
        let mut now = Instant::now();
        let mut rest = Rest::default();
        for (lived, millis) in [(0, 50), (4, 100), (0, 200), (5, 50), (60, 50), (1, 100)] {
            rest.connected(now);
            assert!(!rest.lasts(now));
            now += lived * SECOND;
            rest.ended(now, 1.0);
            assert_eq!(rest.until, Some(now + ms(millis)), "after {lived} s");
        }
    }

    /// A client of three servers of which one takes ten times as long, in virtual time: calls come
    /// evenly, at two thirds of what the three can do.
    #[test]
    fn a_slow_server_gets_its_share_and_no_more() {
        let (mut dice, start) = (Dice::new(3), Instant::now());
        let took = [ms(10), ms(10), ms(100)];
        let mut ends: [Vec<Instant>; 3] = Default::default();
        let mut taken = [0_u32; 3];
        let mut most = 0;
        for call in 0..20_000 {
            let now = start + call * Duration::from_micros(500);
            let mut servers = [idle(); 3];
            for (server, ends) in servers.iter_mut().zip(&mut ends) {
                ends.retain(|end| *end > now);
                server.in_flight = ends.len();
                most = most.max(ends.len());
            }
            let at = choose(&servers, None, now, &mut dice).take.expect("all are connected");
            ends[at].push(now + took[at]);
            taken[at] += 1;
        }
        assert!(taken[2] < 20_000 / 10, "{taken:?}");
        assert!(taken[0].abs_diff(taken[1]) < 20_000 / 20, "{taken:?}");
        assert!(most < 20, "{most}");
    }

    /// One of three is down for ten minutes while calls come every millisecond.
    #[test]
    fn a_dead_server_is_tried_about_every_five_seconds_and_costs_no_call() {
        let (mut dice, start) = (Dice::new(5), Instant::now());
        let mut rest = Rest::default();
        let mut dialled = Vec::new();
        for call in 0..600_000 {
            let now = start + call * ms(1);
            let servers = [idle(), Server { rest, ..absent() }, idle()];
            let choice = choose(&servers, None, now, &mut dice);
            assert!(matches!(choice.take, Some(0 | 2)));
            if choice.dial == Some(1) {
                dialled.push(now);
                rest.failed(now, dice.fraction());
            }
        }
        assert!((120..=260).contains(&dialled.len()), "{}", dialled.len());
        let pauses = dialled.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(pauses.clone().skip(8).all(|pause| pause >= ms(2500)));
        assert!(pauses.max().unwrap() < ms(5100));
    }
}
