//! Views: inputs and outputs that are read where they have arrived, without a copy.
//!
//! Knows how a view is named, read and bound to a handler. That it looks like the type that travels
//! is checked with the shapes of the action.

use super::{
    registration::{answered, failed, sent, Handled},
    shapes::quietly,
    shapes_of, Action, CallInfo, Context, Later, Registration, Uncarried,
};
use crate::{
    shape::{Learnt, RoundtripError, Samples, Tracer},
    wire::{
        guard::{self, Ceiling},
        Block, DecodeError, DecodeLimits, EncodeError, Encoder,
    },
};
use serde::{Deserialize, Serialize};
use std::{any::type_name, sync::OnceLock};

/// A type that is read in place: it may hold `&str` and `&[u8]` that stay in the message.
///
/// Every type with serde's `Deserialize` is one, for the lifetime that it borrows for.
// As for `Payload`: the compiler's help must not name what the user never wrote.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read in place",
    label = "derive serde's `Deserialize`"
)]
pub trait View<'v>: Sized {
    #[doc(hidden)]
    fn decode(
        bytes: &'v [u8],
        limits: DecodeLimits,
        ceiling: Option<Ceiling>,
    ) -> Result<Self, DecodeError>;
    #[doc(hidden)]
    fn learn(tracer: &'v Tracer) -> Result<Learnt, RoundtripError>;
}

#[diagnostic::do_not_recommend]
impl<'v, T: Deserialize<'v>> View<'v> for T {
    fn decode(
        bytes: &'v [u8],
        limits: DecodeLimits,
        ceiling: Option<Ceiling>,
    ) -> Result<T, DecodeError> {
        guard::decode_below(bytes, limits, ceiling)
    }

    fn learn(tracer: &'v Tracer) -> Result<Learnt, RoundtripError> {
        Ok(tracer.trace_borrowed::<T>()?)
    }
}

/// A view that is sent as well as read: it has serde's two derives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent",
    label = "derive serde's `Serialize` for it too"
)]
pub trait SentView<'v>: View<'v> {
    #[doc(hidden)]
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError>;
    #[doc(hidden)]
    fn check(tracer: &'v Tracer) -> Result<(), RoundtripError>;
}

#[diagnostic::do_not_recommend]
impl<'v, T: Deserialize<'v> + Serialize> SentView<'v> for T {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.push(self)
    }

    fn check(tracer: &'v Tracer) -> Result<(), RoundtripError> {
        tracer.check_written_view::<T>().map(drop)
    }
}

/// An action whose handler can read its input in place; derived from `input_view = …`.
///
/// ```
/// use isock::{Action, Server, ViewInput};
///
/// /// Counts the words.
/// #[derive(Action)]
/// #[action(input = String, output = usize, input_view = &str)]
/// struct Words;
///
/// let stub = Words::with_view(|text, _cx| Ok(text.split_whitespace().count()));
/// let server = Server::in_memory().add(stub).spawn()?;
/// assert_eq!(server.client().run::<Words>("two words")?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the input of `{Self}` has no view",
    note = "add `input_view = …` to `#[action(…)]`, or take the input itself with `on`"
)]
pub trait ViewInput: Action {
    /// What the handler reads.
    type InputView<'v>: View<'v>;

    /// Binds a handler that reads its input where it has arrived. The view lasts for as long as the
    /// handler runs; what is kept for longer is copied.
    fn with_view(
        handler: impl Fn(Self::InputView<'_>, &Context<Self>) -> Result<Self::Output, Self::Error>
            + Send
            + Sync
            + 'static,
    ) -> Registration {
        Registration::with_view::<Self>(handler)
    }

    /// The same for a handler that also answers with a view, of its input for one: nothing is copied
    /// before the answer is encoded.
    ///
    /// ```
    /// use isock::{Action, Server, ViewInput};
    ///
    /// /// The first of some lines.
    /// #[derive(Action)]
    /// #[action(input = String, output = String, input_view = &str, output_view = &str)]
    /// struct FirstLine;
    ///
    /// let stub = FirstLine::with_views(|text, _cx| Ok(text.lines().next().unwrap_or("")));
    /// let server = Server::in_memory().add(stub).spawn()?;
    /// assert_eq!(server.client().run::<FirstLine>("one\ntwo")?, "one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn with_views(
        handler: impl for<'v> Fn(
                Self::InputView<'v>,
                &'v Context<'_, Self>,
            ) -> Result<Self::OutputView<'v>, Self::Error>
            + Send
            + Sync
            + 'static,
    ) -> Registration
    where
        Self: ViewOutput,
        for<'v> Self::OutputView<'v>: SentView<'v>,
    {
        Registration::with_views::<Self>(handler)
    }
}

/// An action whose caller can read its output in place; derived from `output_view = …`. See
/// [`Peer::run_view`](crate::Peer::run_view).
#[diagnostic::on_unimplemented(
    message = "the output of `{Self}` has no view",
    note = "add `output_view = …` to `#[action(…)]`; without it, call it with `run` and serve it with \
            `on` or `on_view`"
)]
pub trait ViewOutput: Action {
    /// What the caller reads.
    type OutputView<'v>: View<'v>;
}

/// Which views an action has: what [`Action::views`] returns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Views([Option<OneView>; VIEWS.len()]);

/// What people call the views of an action, in the order of [`PARTS`](super::PARTS).
pub(super) const VIEWS: [&str; 2] = ["input view", "output view"];

/// A view without its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneView {
    pub(super) name: fn() -> &'static str,
    pub(super) learn: fn(&Samples) -> Result<Learnt, RoundtripError>,
}

impl Views {
    /// None.
    pub fn new() -> Views {
        Views::default()
    }

    /// Adds that of the input of `A`.
    #[must_use]
    pub fn input<A: ViewInput>(self) -> Views {
        let [_, output] = self.0;
        let input = OneView {
            name: type_name::<A::InputView<'static>>,
            learn: |samples| <A::InputView<'_> as View<'_>>::learn(&tracer(samples)),
        };
        Views([Some(input), output])
    }

    /// Adds that of the output of `A`.
    #[must_use]
    pub fn output<A: ViewOutput>(self) -> Views {
        let [input, _] = self.0;
        let output = OneView {
            name: type_name::<A::OutputView<'static>>,
            learn: |samples| <A::OutputView<'_> as View<'_>>::learn(&tracer(samples)),
        };
        Views([input, Some(output)])
    }

    /// In the order of [`VIEWS`].
    pub(super) fn each(self) -> [Option<OneView>; VIEWS.len()] {
        self.0
    }
}

fn tracer(samples: &Samples) -> Tracer {
    Tracer::with_samples(samples.clone())
}

/// What decoding the input view of `A` can take at most, as far as its type tells.
fn input_ceiling<A: ViewInput>() -> Result<Option<Ceiling>, &'static Uncarried> {
    shapes_of::<A>()?.view(0)
}

/// The same of its output view.
pub(crate) fn output_ceiling<A: ViewOutput>() -> Result<Option<Ceiling>, &'static Uncarried> {
    shapes_of::<A>()?.view(1)
}

/// What is wrong with an impl that has a view and keeps it to itself.
pub(super) fn unnamed(at: usize) -> &'static Uncarried {
    static UNNAMED: OnceLock<[Uncarried; VIEWS.len()]> = OnceLock::new();
    let of = |part, type_name: &str, way| {
        let problem = format!(
            "was not compared with what travels; return `Views::new().{way}::<Self>()` from \
             `Action::views`"
        );
        let type_name = type_name.to_owned();
        Uncarried { part, why: Box::new(RoundtripError::View { type_name, problem }) }
    };
    let [input, output] = VIEWS;
    &UNNAMED.get_or_init(|| [of(input, "InputView", "input"), of(output, "OutputView", "output")])
        [at]
}

impl Registration {
    fn with_view<A: ViewInput>(
        handler: impl Fn(A::InputView<'_>, &Context<A>) -> Result<A::Output, A::Error>
            + Send
            + Sync
            + 'static,
    ) -> Registration {
        let fit = input_ceiling::<A>();
        Registration::viewing::<A>(fit, move |input, cx, out| {
            answered::<A>(handler(input, cx), cx, out)
        })
    }

    fn with_views<A: ViewInput + ViewOutput>(
        handler: impl for<'v> Fn(A::InputView<'v>, &'v Context<'_, A>) -> Result<A::OutputView<'v>, A::Error>
            + Send
            + Sync
            + 'static,
    ) -> Registration
    where
        for<'v> A::OutputView<'v>: SentView<'v>,
    {
        let fit = input_ceiling::<A>().and_then(|ceiling| {
            output_ceiling::<A>()?;
            written::<A>()?;
            Ok(ceiling)
        });
        Registration::viewing::<A>(fit, move |input, cx, out| match handler(input, cx) {
            Ok(output) => sent(output.encode(out), Handled::Reply),
            Err(error) => failed(error, cx, out),
        })
    }

    /// Reads the input where it is; its memory is another message's afterwards.
    fn viewing<A: ViewInput>(
        fit: Result<Option<Ceiling>, &'static Uncarried>,
        run: impl for<'v> Fn(A::InputView<'v>, &'v Context<'_, A>, &mut Encoder) -> Handled
            + Send
            + Sync
            + 'static,
    ) -> Registration {
        let ceiling = fit.unwrap_or_default();
        let handler = move |input: Block, call: &CallInfo, later: &dyn Later, out: &mut Encoder| {
            let limits = call.decoding.limits(&A::INFO, input.len());
            let cx = Context::new(call, later);
            let view = A::InputView::decode(&input, limits, ceiling);
            view.map_or_else(Handled::Undecodable, |view| run(view, &cx, out))
        };
        let shapes = fit.and_then(|_| shapes_of::<A>());
        Registration::of_bytes::<A>(A::INFO.kind::<A::Kind>(), shapes, handler)
    }
}

/// Whether the output view of `A` is written as it is read. Looked at in every build, since a check of a
/// set does not know which views are sent.
fn written<A: ViewOutput>() -> Result<(), &'static Uncarried>
where
    for<'v> A::OutputView<'v>: SentView<'v>,
{
    let check = || <A::OutputView<'_> as SentView<'_>>::check(&tracer(&A::samples()));
    // Of one that panics the shape is unknown, which has been said.
    match quietly(check) {
        // Never given back: a program registers an action so often.
        Some(Err(why)) => {
            Err(Box::leak(Box::new(Uncarried { part: VIEWS[1], why: Box::new(why) })))
        }
        Some(Ok(())) | None => Ok(()),
    }
}
