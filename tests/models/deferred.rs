//! Calls that are answered by whoever has their responder.

use crate::{
    action::{responder, Action, CallInfo, RespondError, Responder},
    net::{
        account::Account,
        cancel::{run_hooks, Cancel},
        event_loop::ConnId,
        far::Far,
        remote::{Command, Remote},
    },
    pair::served_key,
    peer::Peer,
    proto::Answer,
    serving::{
        deferred::{Deferred, Deferring, Way},
        Settings,
    },
    wire::{ConnectionToken, RefusalCode},
};
use isock_models::{
    mio::Waker,
    model,
    std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            Arc, OnceLock,
        },
        thread,
    },
};

struct Ask;

impl Action for Ask {
    type Output = u8;
    type Error = u8;
}

/// A call whose handler has deferred its answer.
struct Call {
    far: Arc<Far>,
    remote: Remote,
    cancel: Arc<Cancel>,
    settings: Arc<Settings>,
    /// What holds its place.
    deferred: Arc<Deferred>,
}

/// One with so many responders.
fn call<const MANY: usize>() -> (Call, [Responder<Ask>; MANY]) {
    let remote = Remote::new(Waker::default());
    let token = ConnectionToken([1; 16]);
    let far = Arc::new(Far::new(ConnId(1), token, remote.clone(), usize::MAX));
    let (cancel, settings) = (Arc::<Cancel>::default(), Arc::<Settings>::default());
    let call = CallInfo { peer: Peer(Arc::clone(&far)), cancelled: Arc::clone(&cancel) };
    let way = Way::Far(served_key());
    let deferring = Deferring { call: &call, settings: &settings, way, deferred: OnceLock::new() };
    let responders = [(); MANY].map(|()| responder(&deferring));
    let deferred = deferring.deferred.into_inner().unwrap();
    drop(call);
    (Call { far, remote, cancel, settings, deferred }, responders)
}

/// Two threads answer one call at once, as the loop hands over what it costs: one of them is heard,
/// the other one is told, and nothing is kept for it any more.
#[test]
fn the_first_answer_counts_and_the_call_costs_nothing_from_then_on() {
    model(5, || {
        let (call, responders) = call::<3>();
        let (account, asked) = (Account::new(0), Arc::new(()));
        let asks = Arc::clone(&asked);
        call.cancel.call(None, Box::new(move || drop(asks)));
        let [first, second, third] = responders;
        let both = [(1, first), (2, second)].map(|(number, responder)| {
            thread::spawn(move || responder.respond(Ok(number)).map(|()| number))
        });
        call.deferred.keep(account.charge(10));
        let said = both.map(|answer| answer.join().unwrap());
        let heard: Vec<_> = said.iter().flatten().map(|number| Some(*number)).collect();
        assert!(said.contains(&Err(RespondError::Answered)));
        assert_eq!(answers(&call.remote), heard);
        assert_eq!((account.held(), Arc::strong_count(&asked)), (0, 1));
        let Call { remote, settings, deferred, .. } = call;
        drop((third, deferred));
        assert!(answers(&remote).is_empty() && settings.told.load(Ordering::SeqCst) == 0);
    });
}

/// Nobody answers, and the call is cancelled meanwhile or not: whoever has the last responder, the
/// caller is told once. What was to be done for it is done or dropped.
#[test]
fn a_call_that_is_left_without_responders_is_told_so_once() {
    model(5, || {
        let (Call { deferred, cancel, remote, settings, .. }, responders) = call::<2>();
        let asked = Arc::<AtomicUsize>::default();
        let asks = Arc::clone(&asked);
        let asks = Box::new(move || assert_eq!(asks.fetch_add(1, Ordering::SeqCst), 0));
        cancel.call(None, asks);
        let leavers = responders.map(|responder| thread::spawn(move || drop(responder)));
        drop(deferred);
        let hooks = cancel.tell();
        let is_told = hooks.len();
        run_hooks(hooks);
        leavers.into_iter().for_each(|leaver| leaver.join().unwrap());
        assert_eq!(answers(&remote), [None]);
        let logged = settings.told.load(Ordering::SeqCst);
        assert!(logged == 1 || is_told == 1 || cancel.is_told());
        assert_eq!((asked.load(Ordering::SeqCst), Arc::strong_count(&asked)), (is_told, 1));
    });
}

/// A handler defers and then returns an error, as its responder answers: one of the two is heard.
#[test]
fn an_answer_or_the_error_of_the_handler_is_heard_and_never_both() {
    model(4, || {
        let (call, [responder]) = call::<1>();
        let answer = thread::spawn(move || responder.respond(Ok(1)));
        let is_error = call.deferred.take();
        let said = answer.join().unwrap();
        assert_eq!(said, if is_error { Err(RespondError::Answered) } else { Ok(()) });
        let Call { remote, deferred, .. } = call;
        drop(deferred);
        assert_eq!(answers(&remote), if is_error { vec![] } else { vec![Some(1)] });
    });
}

/// A responder answers as its connection ends: it is told so, or the answer is on its way.
#[test]
fn an_answer_is_handed_over_or_its_responder_told_that_nobody_is_there() {
    model(4, || {
        let (call, [responder]) = call::<1>();
        let answer = thread::spawn(move || responder.respond(Ok(1)));
        call.far.leave();
        let heard = match answer.join().unwrap() {
            Ok(()) => vec![Some(1)],
            Err(why) => {
                assert_eq!(why, RespondError::Gone);
                vec![]
            }
        };
        let Call { remote, deferred, .. } = call;
        drop(deferred);
        assert_eq!(answers(&remote), heard);
    });
}

/// The answers that a loop is handed: a number, or that there is none.
fn answers(remote: &Remote) -> Vec<Option<u8>> {
    let mut commands = Vec::new();
    remote.take(&mut commands);
    let answer = |command| match command {
        Command::Answer { answer: Answer::Value(value), .. } => {
            let mut bytes = Vec::new();
            value.copy_to(&mut bytes);
            Some(bytes[0])
        }
        Command::Answer { answer: Answer::Refusal(refusal), .. } => {
            assert_eq!(refusal.code, RefusalCode::UNANSWERED);
            None
        }
        other => panic!("no answer: {other:?}"),
    };
    commands.into_iter().map(answer).collect()
}
