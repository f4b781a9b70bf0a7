//! The registration stub: an action bound to its handler.

use super::{
    name::keep, shapes_of, Action, ActionDescription, Bytes, CallInfo, Context, Deferred, Failure,
    Info, Later, Named, Pattern, Payload, Shapes, Uncarried, Value, RESERVED,
};
use crate::error::RegisterError;
use crate::wire::{Block, DecodeError, EncodeError, Encoder};
use std::{any::Any, fmt, sync::Arc};

/// An action with its handler, made by [`Action::with`]: a value that a server takes before or
/// while serving, and that a crate can export as `fn actions(db: Db) -> Vec<Registration>`.
#[derive(Clone)]
#[must_use = "a registration does nothing until a server takes it"]
pub struct Registration(Arc<Bound>);

/// One block for all of it: every call holds it for as long as it runs.
struct Bound {
    info: Info,
    directions: Directions,
    shapes: Result<&'static Shapes, &'static Uncarried>,
    handler: Box<Handler>,
}

/// Who sends items in the calls of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directions {
    /// The handler.
    pub(crate) items: bool,
    /// The caller.
    pub(crate) uploads: bool,
}

impl Directions {
    /// Those of the action `A`.
    pub(crate) const fn of<A: Action>() -> Directions {
        Directions { items: A::Pattern::ITEMS, uploads: A::Pattern::UPLOADS }
    }
}

/// From bytes to bytes: the one place where a handler's types are known.
type Handler = dyn Fn(Block, &CallInfo, &dyn Later, &mut Encoder) -> Handled + Send + Sync;

/// What became of a call. The value or the error is in the encoder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// The handler's value.
    Reply,
    /// The action's own error.
    Error,
    /// The action's own error, kept from the caller; the text is for the log.
    Hidden(String),
    /// It comes later, from a responder.
    Later,
    /// The input is no value of its type; the handler did not run.
    Undecodable(DecodeError),
    /// The handler ran, and its value or error cannot be sent.
    Unsendable(EncodeError),
}

impl Registration {
    pub(super) fn new<A: Action>(
        handler: impl Fn(A::Input, &Context<A>) -> Result<A::Output, A::Error> + Send + Sync + 'static,
    ) -> Registration {
        Registration::bind::<A>(A::INFO.kind::<A::Kind>(), handler)
    }

    pub(super) fn deferred<A: Action>(
        handler: impl Fn(A::Input, &Context<A, Deferred>) -> Result<(), A::Error>
            + Send
            + Sync
            + 'static,
    ) -> Registration {
        let info = A::INFO.kind::<A::Kind>();
        Registration::decoding::<A>(info, move |input, call, later, out| {
            match handler(input, &Context::new(call, later)) {
                Ok(()) => Handled::Later,
                Err(error) => failed(error, call, out),
            }
        })
    }

    fn bind<A: Action>(
        info: Info,
        handler: impl Fn(A::Input, &Context<A>) -> Result<A::Output, A::Error> + Send + Sync + 'static,
    ) -> Registration {
        Registration::decoding::<A>(info, move |input, call, later, out| {
            answered::<A>(handler(input, &Context::new(call, later)), call, out)
        })
    }

    /// Whatever becomes of the input.
    fn decoding<A: Action>(
        info: Info,
        run: impl Fn(A::Input, &CallInfo, &dyn Later, &mut Encoder) -> Handled + Send + Sync + 'static,
    ) -> Registration {
        let shapes = shapes_of::<A>();
        let [ceiling, ..] = shapes.map(Shapes::ceilings).unwrap_or_default();
        let handler = move |input: Block, call: &CallInfo, later: &dyn Later, out: &mut Encoder| {
            let limits = call.decoding.limits(&A::INFO, input.len());
            match A::Input::decode_owned(input, limits, ceiling) {
                Ok(input) => run(input, call, later, out),
                Err(error) => Handled::Undecodable(error),
            }
        };
        Registration::of_bytes::<A>(info, shapes, handler)
    }

    /// From bytes to bytes, whoever reads and writes them.
    pub(super) fn of_bytes<A: Action>(
        info: Info,
        shapes: Result<&'static Shapes, &'static Uncarried>,
        handler: impl Fn(Block, &CallInfo, &dyn Later, &mut Encoder) -> Handled + Send + Sync + 'static,
    ) -> Registration {
        let (directions, handler) = (Directions::of::<A>(), Box::new(handler));
        Registration(Arc::new(Bound { info, directions, shapes, handler }))
    }

    /// Binds a handler to an action whose name is known at run time only: it takes a [`Value`],
    /// returns what makes one and fails with a [`Failure`].
    ///
    /// ```
    /// use isock::{Registration, Server, Value};
    ///
    /// let server = Server::in_memory().spawn()?;
    /// for language in ["en", "de"] {
    ///     let name = format!("greet.{language}");
    ///     server.add(Registration::named(&name, move |who, _call| {
    ///         Ok(Value::from([("to", who), ("in", language.into())]))
    ///     })?)?;
    /// }
    /// let greeting = server.client().run_named("greet.de", Value::from("Ada"))?;
    /// assert_eq!(greeting["in"], "de");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A name that is made at run time stays in memory while the program runs, once however often
    /// it is used. There can be 65,536 of them, so a name is no place for data.
    ///
    /// # Errors
    /// If no action can have the name: it is empty, longer than 128 bytes, has a space or a letter
    /// that does not show, or begins with `isock.`.
    pub fn named<V: Into<Value>>(
        name: &str,
        handler: impl Fn(Value, &CallInfo) -> Result<V, Failure> + Send + Sync + 'static,
    ) -> Result<Registration, RegisterError> {
        let info = named(name)?;
        let handler = move |input, cx: &Context<Named>| handler(input, cx).map(Into::into);
        Ok(Registration::bind::<Named>(info, handler))
    }

    /// The same without types: encoded bytes in, an encoded value or an encoded error out. What they
    /// mean is between the handler and its callers; calls are taken whatever types they state.
    ///
    /// ```
    /// use isock::{Registration, Server};
    ///
    /// let reversed = Registration::named_bytes("reverse", |mut bytes, _call| {
    ///     bytes.reverse();
    ///     Ok(bytes)
    /// })?;
    /// let server = Server::in_memory().add(reversed).spawn()?;
    /// assert_eq!(server.client().run_named("reverse", vec![1, 2, 3])?, [3, 2, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`named`](Registration::named).
    pub fn named_bytes(
        name: &str,
        handler: impl Fn(Vec<u8>, &CallInfo) -> Result<Vec<u8>, Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Registration, RegisterError> {
        let info = named(name)?;
        let handler = move |input: Block, call: &CallInfo, _: &dyn Later, out: &mut Encoder| {
            let (bytes, handled) = match handler(input.into_vec(), call) {
                Ok(value) => (value, Handled::Reply),
                Err(error) => (error, Handled::Error),
            };
            sent(Bytes::from(bytes).push_encoded_to(out), handled)
        };
        Ok(Registration::of_bytes::<Named>(info, Ok(&Shapes::UNSTATED), handler))
    }

    /// Name and documentation of the action.
    pub fn info(&self) -> Info {
        self.0.info
    }

    /// Who sends items in its calls.
    pub(crate) fn directions(&self) -> Directions {
        self.0.directions
    }

    /// The action in full, for tools.
    pub(crate) fn describe(&self) -> ActionDescription {
        ActionDescription::new(&self.0.info, self.0.shapes)
    }

    /// What its types look like on the wire, or why one of them cannot travel.
    pub(crate) fn shapes(&self) -> Result<&'static Shapes, &'static Uncarried> {
        self.0.shapes
    }

    /// Tells the developer what could not be learnt about its types; silent in shipped programs,
    /// whose operator can do nothing about it.
    pub(crate) fn tell_unknown(&self, log: &dyn Fn(&str)) {
        let unknown = self.0.shapes.map(Shapes::unknown).unwrap_or_default();
        for (part, why) in unknown.iter().filter(|_| cfg!(debug_assertions)) {
            log(&format!("`{}`: its {part}: {why}", self.0.info.name));
        }
    }

    pub(crate) fn handle(
        &self,
        input: Block,
        call: &CallInfo,
        later: &dyn Later,
        out: &mut Encoder,
    ) -> Handled {
        (self.0.handler)(input, call, later, out)
    }
}

/// An action of which nothing but the name is known.
fn named(name: &str) -> Result<Info, RegisterError> {
    let name = keep(name)?;
    match name.starts_with(RESERVED) {
        true => Err(RegisterError::Reserved { name }),
        false => Ok(Info::new(name)),
    }
}

/// What a handler has returned, or a responder was given.
pub(super) fn answered<A: Action>(
    answer: Result<A::Output, A::Error>,
    call: &CallInfo,
    out: &mut Encoder,
) -> Handled {
    match answer {
        Ok(output) => sent(output.encode(out), Handled::Reply),
        Err(error) => failed(error, call, out),
    }
}

pub(super) fn sent(result: Result<(), EncodeError>, handled: Handled) -> Handled {
    match result {
        Ok(()) => handled,
        Err(error) => Handled::Unsendable(error),
    }
}

/// A declared error is part of the action and always travels; only the text of [`Failure`], made
/// from whatever went wrong inside, can be kept from the caller.
pub(super) fn failed<E: Payload>(error: E, call: &CallInfo, out: &mut Encoder) -> Handled {
    match (&error as &dyn Any).downcast_ref::<Failure>() {
        Some(failure) if call.hide_failures => {
            let hidden = Failure::new("the handler failed; the server's log says why");
            sent(Payload::encode(&hidden, out), Handled::Hidden(failure.message().to_owned()))
        }
        _ => sent(error.encode(out), Handled::Error),
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("info", &self.0.info).finish_non_exhaustive()
    }
}
