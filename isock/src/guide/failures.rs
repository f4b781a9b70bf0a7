//! When things fail.
//!
//! A call can fail before it leaves, on its way, in the handler, or on the way back. Whoever made
//! it wants to know one thing first: **did it run?** Every failed call of isock answers that.
//!
//! ```
//! use isock::{Action, CallError, ProblemKind, Ran, Server};
//!
//! /// Takes money.
//! #[derive(Action)]
//! #[action(input = u64, output = u64)]
//! struct Charge;
//!
//! let server = Server::in_memory().spawn()?;
//! let client = server.client();
//!
//! match client.run::<Charge>(100) {
//!     Ok(receipt) => println!("charged: {receipt}"),
//!     Err(CallError::Action(error)) => println!("the handler said no: {error}"),
//!     Err(CallError::Call(problem)) => match problem.ran() {
//!         Ran::No => println!("nothing happened, it may be tried again: {problem}"),
//!         Ran::Yes => println!("it happened, and the answer is lost: {problem}"),
//!         Ran::Unknown => println!("look whether it happened: {problem}"),
//!     },
//! }
//! # let error = client.run::<Charge>(100).unwrap_err();
//! # assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::UnknownAction), Ran::No));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What `ran()` says
//!
//! | what happened | `ran()` |
//! |---|---|
//! | the handler answered, with a value or an error of the action's own | `Yes` |
//! | the server refused the call: no such action, overloaded, its input cannot be read, … | `No` |
//! | the handler panicked, or its answer is too large or cannot be encoded | `Yes` |
//! | the handler left the answer to somebody who dropped its responder | `Yes` |
//! | there was no connection, or not all of the call had left | `No` |
//! | its time was over before it was sent, or before the handler began | `No` |
//! | the server was stopping, and said that it had not taken the call | `No` |
//! | all of it had left, and the connection ended, the deadline passed or it was given up | `Unknown` |
//!
//! `No` and `Yes` are facts. `Unknown` is what is left when all of the call had left and nothing
//! came back: the server may never have read it, or have done all of it.
//!
//! # What isock does by itself
//!
//! Whether a call is sent again goes by the kind of its action:
//!
//! | | `read`, `idempotent` | `once`, the default |
//! |---|---|---|
//! | it did not run | again | again |
//! | nobody knows | again | never |
//!
//! A call has three attempts, with pauses of up to 100 ms that double; the deadline is for all of
//! them together. A server that says when to come back is not asked earlier. All calls of a client
//! share ten attempts beyond their first, and earn one with every ten answers, so that a server in
//! trouble is not buried under attempts.
//!
//! # Time
//!
//! A call ends by its deadline, at the latest 100 ms after it: whatever the server, the network or the
//! name server does. The first of these that is set says when that is:
//!
//! | where | what |
//! |---|---|
//! | the call | [`Request::timeout`](crate::Request::timeout) |
//! | the action | `#[action(timeout = "5s")]` |
//! | the client | [`ClientBuilder::timeout`](crate::ClientBuilder::timeout) |
//! | else | 30 s |
//!
//! A stream has that long to begin; after that an item or credit must come within
//! [`Limits::stream_idle`](crate::Limits::stream_idle), or [`Request::idle`](crate::Request::idle).
//! What the handler calls in turn, on its own
//! thread, ends by then as well. The handler sees what is left, and hears when nobody waits any
//! more:
//!
//! ```
//! # use isock::{Action, Server};
//! # use std::time::Duration;
//! #[derive(Action)]
//! #[action(output = bool, kind = read)]
//! struct InTime;
//!
//! let server = Server::in_memory()
//!     .on::<InTime>(|(), cx| {
//!         cx.on_cancel(|| println!("nobody waits any more"));
//!         Ok(!cx.cancelled() && cx.remaining() <= Duration::from_secs(5))
//!     })
//!     .spawn()?;
//! let request = server.client().request::<InTime>(());
//! assert!(request.timeout(Duration::from_secs(5)).run()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Giving a call up does not undo it: a handler that does not look goes on, and holds its place
//! among the calls in flight until it has ended.
//!
//! # Restarts
//!
//! A server that is [stopped](crate::ServerHandle::stop) takes no further calls, says which it has
//! taken, and answers those. Clients send the others elsewhere, to the next of their addresses or
//! to the server that comes after it: a restart under load is not noticed. One that is killed says
//! nothing: what it had been sent is `Unknown`.
//!
//! `ServerBuilder::drain_on_sigterm` does that, on Unix systems, when a service manager or a
//! container runtime ends the process. Calls that outlive the grace are cancelled and `Unknown`; those
//! that still wait for a worker by then are refused, and have not run.
//!
//! # Overload
//!
//! A server that has more to do than it can refuses some calls at once, and does the others: a call
//! that would wait for a worker for more than half of its time is `Overloaded`, it did not run, and
//! the refusal says [when to come back](crate::Problem::retry_after). Without that every call would
//! begin just before its caller gives up. So a short deadline makes a call fail sooner, and a long
//! one lets it wait. One connection has at most half of the
//! [workers](crate::ServerBuilder::workers), so that one client cannot keep all others out.
//!
//! # Several servers
//!
//! `Client::connect(["a:1", "b:1"])` connects to all of them and shares the calls: each goes to one of
//! two that are drawn, to that with fewer calls under way, and each further attempt to another one
//! than the last. A server that cannot be reached, or whose connection ended, is left alone for 50 ms,
//! doubling to 5 s, while another one serves; no call waits for it meanwhile. What has an order or
//! belongs to a connection is not shared: a stream stays where it was opened, sends stay on one
//! connection for as long as it lasts, and a client that serves actions or has hooks uses one
//! connection at a time. [`ClientBuilder::balance`](crate::ClientBuilder::balance) switches it off for
//! servers that keep something for a connection.
//!
//! # Handlers that take everything with them
//!
//! A panic ends its call and nothing else. Not so where the program is built with `panic = "abort"`,
//! and a handler that overflows its stack ends the process in any case: Rust has no way back from
//! there. The server says nothing more, as if it had been killed. Its clients see that at once; calls
//! that it had read are `Unknown`, others are sent to the server that is started in its place. What
//! comes in is decoded within bounds of depth and memory, so it takes a recursion of your own to get
//! there. Have something restart the program.
//!
//! A handler that blocks for ever holds a thread for ever. When all are held, pings are still
//! answered, new calls wait and are then refused as
//! [`Overloaded`](crate::ProblemKind::Overloaded), and [`ServerHandle::load`](crate::ServerHandle::load)
//! shows it.
//!
//! # Forks
//!
//! A client belongs to the process that has made it. In a child of `fork` every call of it fails at
//! once, with [`NotConnected`](crate::ProblemKind::NotConnected), and one that was under way is
//! `Unknown` there; the parent's connection goes on. Make another client in the child. A server has no
//! threads in a child either, and its handle does nothing there.
//!
//! # What isock cannot know
//!
//! A returned `Ok` means that the handler ran for this call: once, if its kind is `once`. After
//! `Unknown` there is no way to learn the truth through isock: ask the server for what the call
//! would have changed, or make the action `idempotent`, with a key of your own in its input that
//! the handler remembers together with its effect. [`send`](crate::Peer::send) promises nothing at
//! all once it has left.
