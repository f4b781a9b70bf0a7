//! The registration stub: an action bound to its handler.

use super::{
    shapes_of, Action, ActionDescription, CallInfo, Context, Failure, Info, Pattern, Payload,
    Shapes, Uncarried,
};
use crate::wire::{DecodeError, EncodeError, Encoder};
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
type Handler = dyn Fn(Vec<u8>, &CallInfo, &mut Encoder) -> Handled + Send + Sync;

/// What became of a call. The value or the error is in the encoder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// The handler's value.
    Reply,
    /// The action's own error.
    Error,
    /// The action's own error, kept from the caller; the text is for the log.
    Hidden(String),
    /// The input is no value of its type; the handler did not run.
    Undecodable(DecodeError),
    /// The handler ran, and its value or error cannot be sent.
    Unsendable(EncodeError),
}

impl Registration {
    pub(super) fn new<A: Action>(
        handler: impl Fn(A::Input, &Context<A>) -> Result<A::Output, A::Error> + Send + Sync + 'static,
    ) -> Registration {
        let shapes = shapes_of::<A>();
        let [ceiling, ..] = shapes.map(Shapes::ceilings).unwrap_or_default();
        let handler = move |input: Vec<u8>, call: &CallInfo, out: &mut Encoder| {
            let limits = call.decoding.limits(&A::INFO, input.len());
            let input = match A::Input::decode_owned(input, limits, ceiling) {
                Ok(input) => input,
                Err(error) => return Handled::Undecodable(error),
            };
            match handler(input, &Context::new(call)) {
                Ok(output) => sent(output.encode_owned(out), Handled::Reply),
                Err(error) => failed(error, call, out),
            }
        };
        Registration(Arc::new(Bound {
            info: A::INFO.kind::<A::Kind>(),
            directions: Directions::of::<A>(),
            shapes,
            handler: Box::new(handler),
        }))
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

    pub(crate) fn handle(&self, input: Vec<u8>, call: &CallInfo, out: &mut Encoder) -> Handled {
        (self.0.handler)(input, call, out)
    }
}

fn sent(result: Result<(), EncodeError>, handled: Handled) -> Handled {
    match result {
        Ok(()) => handled,
        Err(error) => Handled::Unsendable(error),
    }
}

/// A declared error is part of the action and always travels; only the text of [`Failure`], made
/// from whatever went wrong inside, can be kept from the caller.
fn failed<E: Payload>(error: E, call: &CallInfo, out: &mut Encoder) -> Handled {
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
