//! Actions that a client serves to its server.
//!
//! Knows registrations and workers. Does not know who reads the connection: a handler never runs on
//! that thread, since others wait for it.

use super::hooks::Hooks;
use crate::{
    net::{Called, Conduit, Driver, Host, Link},
    peer::{words, Channel, Peer},
    proto::{Closed, ServedKey},
    router::{Entry, Router},
    serving::{register_builtins, Arrived, Lane, Lanes, Settings, Task, Way, Workers},
    wire::{Ran, Refusal, RefusalCode},
};
use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

/// What the clones of a client serve.
pub(super) struct Handlers {
    router: Arc<Router>,
    workers: Workers,
    settings: Arc<Settings>,
    lanes: Mutex<Lanes>,
    hooks: Arc<Hooks>,
    /// The client that its handlers belong to.
    channel: OnceLock<Weak<Channel>>,
}

impl Handlers {
    pub(super) fn new(
        router: Router,
        hooks: Hooks,
        workers: usize,
        settings: Settings,
    ) -> Handlers {
        let router = Arc::new(router);
        // The table has nothing of theirs yet, since nobody else may use their names.
        let registered = register_builtins(&router);
        debug_assert!(registered.is_ok(), "{registered:?}");
        Handlers {
            router,
            workers: Workers::new(workers, workers),
            settings: Arc::new(settings),
            lanes: Mutex::default(),
            hooks: Arc::new(hooks),
            channel: OnceLock::new(),
        }
    }

    pub(super) fn router(&self) -> &Router {
        &self.router
    }

    /// Whether the connection is to be kept: somebody is served over it, or hears of it.
    pub(super) fn want_a_connection(&self) -> bool {
        !self.router.is_empty() || !self.hooks.is_empty()
    }

    /// Says whose they are. Before the first connection.
    pub(super) fn belong_to(&self, channel: &Arc<Channel>) {
        // They are made for one client alone.
        let _ = self.channel.set(Arc::downgrade(channel));
    }

    /// The client, for a hook; `None` if there is none, or the client has gone.
    fn hooked(&self) -> Option<Peer> {
        let channel = self.channel.get().filter(|_| !self.hooks.is_empty())?;
        channel.upgrade().map(Peer::of_channel)
    }

    fn task(&self, entry: Entry, link: &Weak<Link>, call: Called) -> Option<Task> {
        let channel = self.channel.get()?.upgrade()?;
        let Called { head, body, at, cancelled, flow, .. } = call;
        let conduit = match flow {
            Some(flow) => Some(Conduit::new(Driver::Near(link.upgrade()?), flow)),
            None => None,
        };
        let arrived = Arrived { head, at, body, conduit };
        Some(Task::new(entry, arrived, Peer::of_channel(channel), cancelled, &self.settings))
    }

    fn run(&self, link: &Weak<Link>, key: ServedKey, mut task: Task) -> Result<(), Refusal> {
        if self.workers.all_wait(0, &task.waiters()) {
            return Err(Refusal::new(RefusalCode::CYCLE, Ran::No, ""));
        }
        // Held until the call has its answer: a client that moves on from a server that stops has
        // no other use for this connection.
        let Some(link) = link.upgrade() else { return Ok(()) };
        let channel = self.channel.get().cloned().unwrap_or_default();
        let work = Box::new(move || {
            let later = task.run(Way::Near(&link, key));
            let answer = task.take_answer();
            // The client can go with its last handler.
            drop((later, task));
            if let Some(answer) = answer {
                link.answer(key, answer);
            }
            if let Some(channel) = channel.upgrade() {
                channel.answered(link);
            }
        });
        self.workers.run(0, work).map_err(|_| {
            Refusal::new(RefusalCode::OVERLOADED, Ran::No, "too many calls wait at the client")
        })
    }

    fn queue(&self, action: u32, task: Task) {
        let lane =
            self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(action, task, None);
        if let Some(lane) = lane {
            run_lane(&self.workers, lane);
        }
    }
}

fn run_lane(workers: &Workers, lane: Arc<Lane>) {
    let (again, run) = (workers.clone(), Arc::clone(&lane));
    let work = Box::new(move || {
        // Its reader looks again by itself.
        if run.run(|| ()) {
            run_lane(&again, run);
        }
    });
    if workers.run(0, work).is_err() {
        lane.give_up();
    }
}

impl Host for Handlers {
    fn call(&self, link: &Weak<Link>, call: Called) -> Result<(), Refusal> {
        let found = self.router.find(call.head.name);
        let entry = found.ok_or_else(|| match self.router.is_empty() {
            true => Refusal { text: "this client serves no actions".into(), ..Task::unknown() },
            false => Task::unknown(),
        })?;
        Task::judge(&entry, &call.head, call.body.len())?;
        if call.flow.is_some() && call.streams > self.settings.streams {
            let text = "too many streams on one connection";
            return Err(Refusal::new(RefusalCode::OVERLOADED, Ran::No, text));
        }
        let (key, action) = (call.key, call.head.name);
        // A client that is gone has nobody who could answer.
        let Some(task) = self.task(entry, link, call) else { return Ok(()) };
        match key {
            Some(key) => self.run(link, key, task),
            None => {
                self.queue(action, task);
                Ok(())
            }
        }
    }

    fn attends(&self) -> bool {
        self.want_a_connection()
    }

    fn is_full(&self) -> bool {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).are_full()
    }

    fn opened(&self) {
        if let Some(peer) = self.hooked() {
            self.hooks.came(peer, &self.workers, &self.settings.log);
        }
    }

    fn ended(&self, why: &Closed) {
        if let Some(peer) = self.hooked() {
            self.hooks.went(peer, words(why, "server"), &self.workers, &self.settings.log);
        }
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        self.workers.close();
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers").field("actions", &self.router.infos()).finish()
    }
}
