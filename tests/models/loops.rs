//! What the loops of one server have together.

use crate::net::{
    loops::Loops,
    newcomer::Newcomer,
    remote::{Command, Remote, Running},
};
use isock_models::{
    mio::Waker,
    model,
    std::{
        thread,
        time::{Duration, Instant},
    },
};

/// So many loops, and the waker and queue of each.
fn loops(many: usize) -> (Loops, Vec<(Waker, Remote)>) {
    let begin = || {
        let waker = Waker::default();
        (waker.clone(), Remote::new(waker))
    };
    let all: Vec<_> = (0..many).map(|_| begin()).collect();
    (Loops::new(all.iter().map(|(_, remote)| remote.clone()).collect()), all)
}

fn taken(remote: &Remote) -> Vec<Command> {
    let mut commands = Vec::new();
    remote.take(&mut commands);
    commands
}

/// The first loop sleeps until the others have returned, and they return at once.
#[test]
fn the_first_loop_hears_that_the_last_of_the_others_has_returned() {
    model(4, || {
        let (loops, all) = loops(3);
        let others = [1, 2].map(|place| {
            let (loops, remote) = (loops.clone(), all[place].1.clone());
            thread::spawn(move || {
                remote.close();
                loops.note_end();
            })
        });
        while !loops.others_have_ended() {
            all[0].0.poll();
            assert!(taken(&all[0].1).iter().all(|told| matches!(told, Command::Ended)));
        }
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// The first loop deals out and then ends the server, while another one takes what it is told and
/// closes a connection of its own: nobody is dealt out behind the end, and the counts hold.
#[test]
fn a_connection_is_dealt_out_before_the_end_and_counted() {
    model(5, || {
        let (loops, all) = loops(2);
        let (waker, other) = all[1].clone();
        all[0].1.joined();
        other.joined();
        let looping = thread::spawn(move || {
            other.left();
            let mut told = Vec::new();
            while !matches!(told.last(), Some(Command::Drain { .. })) {
                waker.poll();
                told.append(&mut taken(&other));
            }
            assert!(matches!(told[..], [Command::TakeIn(_), Command::Drain { .. }]));
            other
        });
        loops.hand_over(1, Newcomer);
        loops.drain_others(Instant::now() + Duration::from_secs(1), Running::Finish);
        let other = looping.join().unwrap();
        assert_eq!((other.connections(), loops.fewest()), (1, 0));
    });
}

/// Two loops number connections and close some while the first one has no room for any: it is told
/// once.
#[test]
fn no_number_is_given_twice_and_room_is_told_once() {
    model(5, || {
        let (loops, all) = loops(3);
        loops.note_no_room();
        let others = [(); 2].map(|()| {
            let loops = loops.clone();
            thread::spawn(move || {
                loops.note_room();
                loops.number()
            })
        });
        let own = loops.number();
        let mut numbers = others.map(|other| other.join().unwrap()).to_vec();
        numbers.push(own);
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        let told = taken(&all[0].1);
        assert!(matches!(told[..], [Command::Room]), "{told:?}");
    });
}
