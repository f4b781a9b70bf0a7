//! Calls whose output is read where it has arrived.
//!
//! Knows replies and how a view of one is decoded. Waiting for it is left to the call.

use super::{
    call::{error_of, undecodable, undecodable_of},
    raw::RawReply,
    Call, Peer, Request,
};
use crate::{
    action::{output_ceiling, Action, Decoding, OneReply, SendAs, View, ViewOutput},
    error::CallError,
};

impl Peer {
    /// Calls the action `A`, waits for its output and reads that in place: the view borrows from the
    /// message, and what `read` makes of it is returned. Nothing is copied that `read` does not copy.
    ///
    /// What travels is the same as with [`run`](Peer::run), and so is what the handler does.
    ///
    /// # Errors
    /// As [`run`](Peer::run). `read` is not called then.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// /// All the words there are.
    /// #[derive(Action)]
    /// #[action(output = Vec<String>, output_view = Vec<&str>, kind = read)]
    /// struct Words;
    ///
    /// # let words = vec!["one".to_owned(), "three".to_owned()];
    /// # let server = Server::in_memory().on::<Words>(move |(), _| Ok(words.clone())).spawn()?;
    /// # let client = server.client();
    /// let longest = client.run_view::<Words, _>((), |words| {
    ///     words.iter().map(|word| word.len()).max()
    /// })?;
    /// assert_eq!(longest, Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_view<A: ViewOutput, T>(
        &self,
        input: impl SendAs<A::Input>,
        read: impl FnOnce(A::OutputView<'_>) -> T,
    ) -> Result<T, CallError<A::Error>>
    where
        A::Pattern: OneReply,
    {
        self.request::<A>(input).run_view(read)
    }
}

impl<A: Action> Request<A> {
    /// Calls, waits for the output and reads it in place: see [`Peer::run_view`].
    ///
    /// # Errors
    /// As [`run`](Request::run). `read` is not called then.
    pub fn run_view<T>(
        self,
        read: impl FnOnce(A::OutputView<'_>) -> T,
    ) -> Result<T, CallError<A::Error>>
    where
        A: ViewOutput,
        A::Pattern: OneReply,
    {
        self.run_by(|call| call.wait_view(read))
    }
}

impl<A: Action> Call<A> {
    /// Blocks until the call has ended, as [`wait`](Call::wait), and reads the output in place: see
    /// [`Peer::run_view`].
    ///
    /// # Errors
    /// As [`wait`](Call::wait). `read` is not called then.
    ///
    /// ```
    /// # use isock::{Action, Server};
    /// #[derive(Action)]
    /// #[action(input = String, output = String, output_view = &str)]
    /// struct Echo;
    ///
    /// # let server = Server::in_memory().on::<Echo>(|text, _| Ok(text)).spawn()?;
    /// # let client = server.client();
    /// let (a, b) = (client.start::<Echo>("one"), client.start::<Echo>("three"));
    /// assert_eq!(a.wait_view(str::len)? + b.wait_view(str::len)?, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_view<T>(
        mut self,
        read: impl FnOnce(A::OutputView<'_>) -> T,
    ) -> Result<T, CallError<A::Error>>
    where
        A: ViewOutput,
    {
        let (reply, decoding) = self.started.wait()?;
        match reply {
            RawReply::Value(bytes) => read_in_place::<A, T>(&bytes, decoding, read),
            RawReply::Error(bytes) => Err(error_of::<A>(&bytes, decoding)),
        }
    }
}

fn read_in_place<A: ViewOutput, T>(
    bytes: &[u8],
    decoding: Decoding,
    read: impl FnOnce(A::OutputView<'_>) -> T,
) -> Result<T, CallError<A::Error>> {
    // Of types that cannot travel the call was not sent.
    let ceiling = output_ceiling::<A>()
        .map_err(|uncarried| undecodable(&uncarried.why).action(A::INFO.name))?;
    match A::OutputView::decode(bytes, decoding.limits(&A::INFO, bytes.len()), ceiling) {
        Ok(view) => Ok(read(view)),
        Err(error) => Err(undecodable_of::<A>(&error)),
    }
}
