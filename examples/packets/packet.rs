//! What server and client have in common: a packet, and the actions that are bound to names.

use isock::{
    Action, Bytes, CallError, ConnectionId, Context, Failure, Handle, Peer, Problem, Session,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    time::SystemTime,
};

/// Runs what is bound to the name of an action, on the other side.
#[derive(Action, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[action(output = (), error = PacketError)]
pub struct Packet {
    pub action: String,
    pub data: Bytes,
    pub created: SystemTime,
    /// The id of the connection that it is sent over. On any other it is refused.
    pub token: ConnectionId,
}

/// The same to every client at once. It is encoded once for all of them, so it carries no token:
/// each client puts in its own.
#[derive(Action, Clone, Debug, Serialize, Deserialize)]
#[action(output = (), error = PacketError)]
pub struct Broadcast {
    pub action: String,
    pub data: Bytes,
    pub created: SystemTime,
}

/// Why a packet did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PacketError {
    #[error("nothing is bound to `{action}` at the other side")]
    Unbound { action: String },
    #[error("the token is not the one of this connection")]
    WrongToken,
    #[error("the connection is suspended until the operator resumes it")]
    Suspended,
    #[error("`{action}` failed: {why}")]
    Failed { action: String, why: String },
}

/// Why a packet was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the connection is suspended; `resume` it first")]
    Suspended,
    #[error("not connected; the client connects again by itself, try later")]
    NotConnected,
    /// The other side says why, or could not be asked.
    #[error(transparent)]
    Call(#[from] CallError<PacketError>),
}

impl From<Problem> for SendError {
    fn from(problem: Problem) -> SendError {
        SendError::Call(problem.into())
    }
}

/// Sends a packet, and waits until the other side has run what is bound to its action.
pub fn send(to: &Peer, action: &str, data: &[u8]) -> Result<(), SendError> {
    Ok(to.call(packet(to, action, data)?)?)
}

/// Sends a packet without waiting: those to one peer arrive in the order of their sending, and
/// whether one of them was refused is not told.
pub fn post(to: &Peer, action: &str, data: &[u8]) -> Result<(), SendError> {
    Ok(to.send::<Packet>(packet(to, action, data)?)?)
}

fn packet(to: &Peer, action: &str, data: &[u8]) -> Result<Packet, SendError> {
    let suspended = to.connection().is_some_and(|it| State::of(it.session()).is_suspended());
    if suspended {
        return Err(SendError::Suspended);
    }
    let token = to.id().ok_or(SendError::NotConnected)?;
    Ok(Packet { action: action.into(), data: data.into(), created: SystemTime::now(), token })
}

/// What is kept for a connection.
#[derive(Debug, Default)]
pub struct State {
    suspended: AtomicBool,
    taken: AtomicU64,
}

impl State {
    pub fn of(session: &Session) -> Arc<State> {
        session.get_or_default()
    }

    /// Whether packets are refused in both directions.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Sets that, and says what it was before.
    pub fn suspend(&self, suspended: bool) -> bool {
        self.suspended.swap(suspended, Ordering::Relaxed)
    }

    /// Packets that came and were run.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// What runs a packet. Its failure is told to the sender.
type Bind = Arc<dyn Fn(&Packet, &Peer) -> Result<(), Failure> + Send + Sync>;

/// The actions that are bound, the same on both sides. Clones share them.
#[derive(Clone, Default)]
pub struct Bindings(Arc<Mutex<BTreeMap<String, Bound>>>);

struct Bound {
    run: Bind,
    runs: u64,
}

impl Bindings {
    /// Binds `run` to an action, in place of what was bound before.
    pub fn bind(
        self,
        action: &str,
        run: impl Fn(&Packet, &Peer) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Bindings {
        self.lock().insert(action.into(), Bound { run: Arc::new(run), runs: 0 });
        self
    }

    /// Every action, and how often it has run.
    pub fn list(&self) -> Vec<(String, u64)> {
        self.lock().iter().map(|(action, bound)| (action.clone(), bound.runs)).collect()
    }

    /// Runs what is bound to the packet's action.
    pub fn run(&self, packet: &Packet, from: &Peer) -> Result<(), PacketError> {
        let action = &packet.action;
        // Not under the lock: what is bound may bind, send, and wait for answers.
        let run = match self.lock().get_mut(action) {
            Some(bound) => {
                bound.runs += 1;
                Arc::clone(&bound.run)
            }
            None => return Err(PacketError::Unbound { action: action.clone() }),
        };
        let failed = |failure: Failure| PacketError::Failed {
            action: action.clone(),
            why: failure.message().into(),
        };
        run(packet, from).map_err(failed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bound>> {
        // A panic in here leaves a whole map behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle<Packet> for Bindings {
    fn handle(&self, packet: Packet, cx: &Context<Packet>) -> Result<(), PacketError> {
        if cx.peer().id() != Some(packet.token) {
            return Err(PacketError::WrongToken);
        }
        let state = State::of(cx.session());
        if state.is_suspended() {
            return Err(PacketError::Suspended);
        }
        self.run(&packet, cx.peer())?;
        state.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Handle<Broadcast> for Bindings {
    fn handle(&self, it: Broadcast, cx: &Context<Broadcast>) -> Result<(), PacketError> {
        let token = cx.peer().id().ok_or(PacketError::WrongToken)?;
        let Broadcast { action, data, created } = it;
        self.run(&Packet { action, data, created, token }, cx.peer())
    }
}

/// Data for a terminal, which must not obey it.
pub fn shown(data: &[u8]) -> String {
    String::from_utf8_lossy(data).escape_debug().to_string()
}
