//! When the answer comes later.
//!
//! A handler may block: the answer is what it returns. Where many callers wait for long, for an
//! event, a person or a batch, that costs a thread for each of them. Such a handler *defers*: it hands
//! a [`Responder`](crate::Responder) to whoever will have the answer, and returns.
//!
//! ```
//! use isock::{Action, Responder, Server};
//! use std::sync::{Arc, Mutex};
//!
//! /// Waits until there is news.
//! #[derive(Action)]
//! #[action(output = String, kind = read)]
//! struct News;
//!
//! /// Tells it to all who wait, and says how many heard it.
//! #[derive(Action)]
//! #[action(input = String, output = u32)]
//! struct Tell;
//!
//! let waiting = Arc::new(Mutex::new(Vec::<Responder<News>>::new()));
//! let (readers, tellers) = (Arc::clone(&waiting), Arc::clone(&waiting));
//! let server = Server::in_memory()
//!     .on_deferred::<News>(move |(), cx| {
//!         readers.lock().unwrap().push(cx.defer());
//!         Ok(())
//!     })
//!     .on::<Tell>(move |news, _cx| {
//!         let waiting = std::mem::take(&mut *tellers.lock().unwrap());
//!         let heard = waiting.into_iter().filter_map(|who| who.respond(Ok(news.clone())).ok());
//!         Ok(heard.count() as u32)
//!     })
//!     .spawn()?;
//!
//! let client = server.client();
//! let readers: Vec<_> = (0..100).map(|_| client.start::<News>(())).collect();
//! # while waiting.lock().unwrap().len() < 100 { std::thread::yield_now() }
//! assert_eq!(client.run::<Tell>("it rains")?, 100);
//! for reader in readers {
//!     assert_eq!(reader.wait()?, "it rains");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a deferred call costs
//!
//! Its place among the calls that its client may have in flight
//! ([`Limits::in_flight`](crate::Limits::in_flight), 512), and what its input counts of the server's
//! memory, until it is answered. No thread.
//!
//! # When nobody waits any more
//!
//! The caller's deadline passes, it cancels, or its connection ends:
//! [`cancelled`](crate::CallInfo::cancelled) and [`remaining`](crate::CallInfo::remaining) tell, and
//! [`on_cancel`](crate::CallInfo::on_cancel) has something done then. Answer all the same, or drop the
//! responder: a call keeps its place until one of the two. A caller that still waits and whose
//! responder is dropped gets [`ProblemKind::Unanswered`](crate::ProblemKind::Unanswered), and its
//! handler [ran](super::failures).
//!
//! # When the server stops
//!
//! It waits for answers as it waits for handlers, for as long as its grace.
//! [`stopping`](crate::CallInfo::stopping) tells the holder of a responder to hurry.
//!
//! # Calls of a handler to each other
//!
//! A handler that calls with `run` keeps its thread until the answer is there. If its call leads to
//! another one that needs a thread of the same server, and all of those wait in this way, that last
//! call is refused at once with [`ProblemKind::Cycle`](crate::ProblemKind::Cycle): it did not run, and
//! could not have. A handler that defers and calls with `start` keeps no thread, so it cannot be part
//! of that.
