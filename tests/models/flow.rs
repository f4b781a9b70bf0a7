//! A stream between its user's thread and the loop that carries it.

use crate::{
    limits::Limits,
    net::{
        event_loop::ConnId,
        far::Far,
        flow::{Conduit, Driver, Flow, Flows, Look, Received, Settled, Unsent},
        pending::{wake_all, Ended, Waiter},
        remote::{Command, Remote},
    },
    pair::{call, carry, pair, End, Unpark},
    proto::{Body, Closed, Event, ServedKey, StreamKey},
    wire::{self, CallHead, ConnectionToken, Credit, ItemBatch, Ran, ITEM_LEN},
};
use isock_models::{
    mio::Waker,
    model,
    std::{
        sync::Arc,
        thread,
        time::{Duration, Instant},
    },
};

const ITEMS: [u8; 4] = [1, 2, 3, 4];
/// The longest item that the other side takes: a message of it, less its length.
const LONGEST: usize = (8 << 20) - ITEM_LEN;

/// A loop with one connection, on which the other side has called for items and sends some; at the
/// other end each item is consumed as it comes.
struct Loop {
    remote: Remote,
    waker: Waker,
    near: End,
    away: End,
    flows: Flows,
    key: ServedKey,
    own: StreamKey,
    /// Streams that it looks at by itself once a tick is over.
    bursts: Vec<Arc<Flow>>,
    /// Ticks never are over: whoever waits for the loop has to say so.
    is_timeless: bool,
    /// Items that have come to the other side, in their order.
    seen: Vec<u8>,
}

/// The loop, and the stream as the handler has it.
fn stream(credit: u32) -> (Loop, Conduit) {
    let waker = Waker::default();
    let remote = Remote::new(waker.clone());
    let (mut away, mut near) = pair(Limits::default());
    let credit = Credit { bytes: 1000, items: credit };
    let head = CallHead { credit, items: true, ..CallHead::default() };
    let own = away.proto.call(call(head)).unwrap().into();
    carry(&mut away.proto, &mut near);
    let mut called = None;
    while near.read(|event| {
        let Event::Call { key, .. } = event else { panic!("not a call: {event:?}") };
        called = Some(key);
    }) {}
    let key = called.unwrap();
    let flow = Flow::new(Some(key.into()), (credit, near.proto.message_limit()), None);
    let mut flows = Flows::default();
    flows.insert(key.into(), Arc::clone(&flow));
    let far = Far::new(ConnId(1), ConnectionToken([1; 16]), remote.clone(), 1 << 20);
    let conduit = Conduit::new(Driver::Far(Arc::new(far)), flow);
    let looping = Loop {
        remote,
        waker,
        near,
        away,
        flows,
        key,
        own,
        bursts: Vec::new(),
        is_timeless: true,
        seen: Vec::new(),
    };
    (looping, conduit)
}

impl Loop {
    /// Goes round until so many items have come to the other side.
    fn carry_until(mut self, items: usize) -> Loop {
        while self.seen.len() < items {
            if self.is_timeless || self.bursts.is_empty() {
                self.waker.poll();
            }
            self.turn();
        }
        self
    }

    /// Does what has been asked for, and moves bytes until nothing moves.
    fn turn(&mut self) {
        let mut commands = Vec::new();
        self.remote.take(&mut commands);
        let mut woken = Vec::new();
        for command in commands {
            match command {
                Command::Settle { flow, .. } if self.flows.key_of(&flow).is_some() => {
                    match flow.settle(Look::Patient, &mut self.near.proto, &mut woken) {
                        Settled::All => {}
                        Settled::Burst => self.bursts.push(flow),
                        Settled::Full => panic!("there is credit for what was taken"),
                    }
                }
                Command::Settle { .. } => command.comes_too_late(),
                Command::CancelStream { .. } => {}
                command => panic!("nobody asks for {command:?}"),
            }
        }
        if !self.is_timeless {
            let proto = &mut self.near.proto;
            self.bursts
                .retain(|flow| flow.settle(Look::Again, proto, &mut woken) == Settled::Burst);
        }
        self.exchange(&mut woken);
        wake_all(woken);
    }

    fn exchange(&mut self, woken: &mut Vec<Waiter>) {
        while self.near.proto.output_len() + self.away.proto.output_len() > 0 {
            carry(&mut self.near.proto, &mut self.away);
            self.consume();
            carry(&mut self.away.proto, &mut self.near);
            let flows = &mut self.flows;
            while self.near.read(|event| understand(flows, event, woken)) {}
            self.flows.go_on(&mut self.near.proto, woken);
        }
    }

    /// The other side takes the items that have come.
    fn consume(&mut self) {
        let mut came = Vec::new();
        while self.away.read(|event| match event {
            Event::Items { body, .. } => came.push(body.into_vec()),
            Event::Credit { .. } => {}
            event => panic!("nobody sends {event:?}"),
        }) {}
        for message in came {
            let items: Vec<_> = wire::items(&message).map(|item| item[0]).collect();
            self.away.proto.consumed(self.own, message.len(), items.len() as u32, true);
            self.seen.extend(items);
        }
    }

    /// The other side sends items, as far as it may, and they come.
    fn send(&mut self, items: &[u8], last: bool) {
        let mut batch = ItemBatch::new();
        for item in items {
            let pushed: Result<(), std::convert::Infallible> = batch.push(|out| {
                out.push(*item);
                Ok(())
            });
            let Ok(()) = pushed;
        }
        self.away.proto.send_items(self.own, &mut batch, last).unwrap();
        let mut woken = Vec::new();
        carry(&mut self.away.proto, &mut self.near);
        let flows = &mut self.flows;
        while self.near.read(|event| understand(flows, event, &mut woken)) {}
        wake_all(woken);
    }

    /// The connection ends, and the loop returns.
    fn end(mut self) -> Loop {
        let mut woken = Vec::new();
        self.flows.stop_all(&mut woken);
        wake_all(woken);
        self.remote.close();
        self
    }
}

/// As `net::conn` does.
fn understand(flows: &mut Flows, event: Event<'_>, woken: &mut Vec<Waiter>) {
    match event {
        Event::Items { stream, items, body } => {
            flows.get(stream).unwrap().deliver(body, items, woken);
        }
        Event::ItemsEnd(key) => flows.get(key.into()).unwrap().complete(woken),
        Event::Credit { stream, left } => flows.get(stream).unwrap().credit(left, woken),
        event => panic!("nobody sends {event:?}"),
    }
}

fn late() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The sender has credit for less than it sends: it waits, goes on, and nothing is lost or comes
/// twice.
#[test]
fn each_item_that_was_sent_comes_once_and_in_order() {
    model(3, || {
        let (looping, conduit) = stream(2);
        let looping = thread::spawn(move || looping.carry_until(ITEMS.len()));
        for item in ITEMS {
            conduit.send(&[item], late).unwrap();
        }
        conduit.drain();
        let looping = looping.join().unwrap();
        assert_eq!(looping.seen, ITEMS);
    });
}

/// Many items are sent, and nobody waits for the loop: it looks by itself.
#[test]
fn a_burst_leaves_although_nobody_waits() {
    model(3, || {
        let (mut looping, conduit) = stream(10);
        looping.is_timeless = false;
        let looping = thread::spawn(move || looping.carry_until(6));
        for item in 1..=6 {
            conduit.send(&[item], late).unwrap();
        }
        assert_eq!(looping.join().unwrap().seen, [1, 2, 3, 4, 5, 6]);
    });
}

/// Two threads send on one stream that has credit for one item at a time.
#[test]
fn of_two_who_wait_for_credit_none_is_forgotten() {
    model(2, || {
        let (looping, conduit) = stream(1);
        let looping = thread::spawn(move || looping.carry_until(2));
        let other = conduit.clone();
        let sender = thread::spawn(move || other.send(&[1], late).unwrap());
        conduit.send(&[2], late).unwrap();
        sender.join().unwrap();
        let mut seen = looping.join().unwrap().seen;
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

/// The connection ends while its user sends: an item is with the other side or refused, the user
/// hears of it, and nothing follows an item that was refused.
#[test]
fn an_item_is_carried_or_refused_when_the_connection_ends() {
    model(3, || {
        let (mut looping, conduit) = stream(1);
        let looping = thread::spawn(move || {
            looping.turn();
            looping.end()
        });
        let sent: Vec<_> = ITEMS.iter().map(|item| conduit.send(&[*item], late)).collect();
        conduit.drain();
        let looping = looping.join().unwrap();
        let taken = sent.iter().take_while(|sent| sent.is_ok()).count();
        assert!(sent[taken..].iter().all(|sent| *sent == Err(Unsent::Stopped)));
        assert!(taken >= looping.seen.len());
        assert_eq!(looping.seen, ITEMS[..looping.seen.len()]);
    });
}

/// Who has waited until all is with the protocol finds it there.
#[test]
fn what_was_drained_is_with_the_protocol() {
    model(3, || {
        let (looping, conduit) = stream(3);
        let looping = thread::spawn(move || looping.carry_until(2));
        conduit.send(&[1], late).unwrap();
        conduit.send(&[2], late).unwrap();
        conduit.drain();
        assert_eq!(
            conduit.send(&vec![0; LONGEST + 1], late),
            Err(Unsent::TooLarge { limit: LONGEST })
        );
        assert_eq!(looping.join().unwrap().seen, [1, 2]);
    });
}

/// Items come while their user goes to sleep, and what it has taken is told.
#[test]
fn each_item_that_has_come_is_received_once_and_then_the_end() {
    model(3, || {
        let (mut looping, conduit) = stream(1);
        let looping = thread::spawn(move || {
            looping.waker.poll();
            looping.turn();
            looping.send(&[1], false);
            looping.send(&[2, 3], true);
            looping
        });
        conduit.welcome();
        assert_eq!(received(&conduit), [1, 2, 3]);
        // Nobody else asks for anything: what is consumed has been asked for once.
        let mut looping = looping.join().unwrap();
        looping.turn();
        let mut nothing = Vec::new();
        looping.remote.take(&mut nothing);
        assert!(nothing.is_empty());
    });
}

/// All that comes until the end.
fn received(conduit: &Conduit) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match conduit.receive(late()).expect("in time") {
            Received::End => return all,
            Received::Items(message, items) => {
                all.extend(wire::items(&message).map(|item| item[0]));
                conduit.consumed(message.len(), items);
            }
        }
    }
}

/// The same for a future, which is polled when it has been woken and not before.
#[test]
fn a_future_is_woken_for_each_item_and_for_the_end() {
    model(3, || {
        let (mut looping, conduit) = stream(1);
        conduit.welcome();
        looping.turn();
        let looping = thread::spawn(move || {
            looping.send(&[1], false);
            looping.send(&[2], true);
            looping
        });
        let waker = Unpark::here();
        let mut all = Vec::new();
        loop {
            match conduit.poll_receive(&waker) {
                None => thread::park(),
                Some(Received::End) => break,
                Some(Received::Items(message, _)) => {
                    all.extend(wire::items(&message).map(|item| item[0]));
                }
            }
        }
        assert_eq!(all, [1, 2]);
        drop(looping.join().unwrap());
    });
}

/// A stream is given up by one thread while another one waits for its items, and a third for
/// credit.
#[test]
fn who_waits_for_a_stream_that_is_given_up_waits_no_more() {
    model(2, || {
        let (looping, conduit) = stream(1);
        conduit.send(&[1], late).unwrap();
        let (taker, sender) = (conduit.clone(), conduit.clone());
        let taker = thread::spawn(move || received(&taker));
        let sender = thread::spawn(move || sender.send(&[2], late));
        assert_eq!(conduit.cancel(), Ran::Unknown);
        assert_eq!(taker.join().unwrap(), []);
        assert_eq!(sender.join().unwrap(), Err(Unsent::Stopped));
        drop(looping);
    });
}

/// The call ends with its answer, after the last item, while the user looks for either.
#[test]
fn the_end_of_a_call_comes_after_its_items_and_once() {
    model(3, || {
        let (looping, conduit) = stream(1);
        let Loop { mut flows, key, .. } = looping;
        let driver = thread::spawn(move || {
            let mut woken = Vec::new();
            let flow = flows.get(key.into()).unwrap();
            flow.deliver(Body::Borrowed(&[1, 0, 0, 0, 7]), 1, &mut woken);
            wake_all(std::mem::take(&mut woken));
            // The connection ends as well: the first end is the one that counts.
            for end in [Ended::Value(vec![8].into()), Ended::Lost(Ran::Unknown, Closed::Eof)] {
                flows
                    .remove(key.into())
                    .into_iter()
                    .for_each(|flow| flow.end(end.clone(), &mut woken));
            }
            flows.stop_all(&mut woken);
            wake_all(woken);
        });
        assert_eq!(received(&conduit), [7]);
        assert!(matches!(conduit.take_end(), Some(Ended::Value(value)) if *value == [8]));
        assert!(conduit.take_end().is_none());
        driver.join().unwrap();
    });
}
