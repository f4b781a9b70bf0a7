//! The shared crate of the tests: what both programs of a user would know.

use isock::{Action, Bytes, Failure, Info, Never, Payload, Read, Unary};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// Sends the text back.
#[derive(Action)]
#[action(input = String, output = String, kind = read)]
pub struct Echo;

/// Multiplies a number with itself.
#[derive(Action)]
#[action(input = u64, output = u64, kind = read)]
pub struct Square;

/// Adds numbers up.
#[derive(Action)]
#[action(input = Vec<u64>, output = u64, kind = read)]
pub struct Sum;

/// Takes a pair.
#[derive(Action)]
#[action(input = (u32, f32), kind = read)]
pub struct Pt;

/// Takes something or nothing.
#[derive(Action)]
#[action(input = Option<u64>, kind = read)]
pub struct Opt;

/// Runs a command line on the server.
#[derive(Action)]
#[action(input = String, output = String, error = ExecError)]
pub struct Exec;

/// The command lines that have been run.
#[derive(Action)]
#[action(output = Vec<String>, kind = read)]
pub struct ExecHistory;

/// The server's time.
#[derive(Action)]
#[action(output = SystemTime, error = Never, kind = read)]
pub struct Time;

/// Ticks, then their number.
#[derive(Action)]
#[action(input = u32, output = u64, stream = Tick)]
pub struct Ticks;

/// One tick.
#[derive(Serialize, Deserialize, Debug)]
pub struct Tick(pub u32);

/// Why a command has no output.
#[derive(Serialize, Deserialize, Debug, PartialEq, thiserror::Error)]
pub enum ExecError {
    /// It ended with this status.
    #[error("exit status {0}")]
    Status(i32),
    /// It did not start.
    #[error("could not start: {0}")]
    Start(String),
}

impl From<std::io::Error> for ExecError {
    fn from(error: std::io::Error) -> ExecError {
        ExecError::Start(error.to_string())
    }
}

/// Orders something.
#[derive(Action, Serialize, Deserialize, Debug, Clone)]
#[action(output = Receipt, error = PlaceError)]
pub struct Place {
    /// What.
    pub sku: String,
    /// How much.
    pub qty: u32,
}

/// What an order gives.
#[derive(Serialize, Deserialize, Debug)]
pub struct Receipt {
    /// Its number.
    pub id: u64,
}

/// Why an order was not taken.
#[derive(Serialize, Deserialize, Debug, PartialEq, thiserror::Error)]
pub enum PlaceError {
    /// There is less.
    #[error("only {left} left")]
    OutOfStock {
        /// What there is.
        left: u32,
    },
}

/// Sends a value of any type back: written by hand, since the derive refuses generics.
pub struct EchoOf<T>(std::marker::PhantomData<fn() -> T>);

impl<T: Payload> Action for EchoOf<T> {
    type Input = T;
    type Output = T;
    type Error = Failure;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("echo-of");
}

/// Sends bytes back.
#[derive(Action)]
#[action(input = Bytes, output = Bytes, kind = read)]
pub struct Blob;

/// The address that the server sees.
#[derive(Action)]
#[action(output = String, kind = read)]
pub struct Who;

/// Panics with this text.
#[derive(Action)]
#[action(input = String)]
pub struct Boom;

/// Sends a number back when a test says so. Every run counts.
#[derive(Action)]
#[action(input = u32, output = u32)]
pub struct Hold;

/// Sends a number back when a test says so. May be repeated.
#[derive(Action)]
#[action(input = u32, output = u32, kind = read)]
pub struct Peek;

/// Runs once, and answers with its input: a process that answers the last words is killed by that.
#[derive(Action)]
#[action(input = u64, output = Deadly)]
pub struct Last;

/// What no process survives saying.
pub const LAST_WORDS: u64 = 0xdead_dead_dead;

/// A number that kills whoever encodes [`LAST_WORDS`].
#[derive(Deserialize, Debug)]
pub struct Deadly(pub u64);

impl Serialize for Deadly {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == LAST_WORDS {
            // It does not come back.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGKILL);
        }
        serializer.serialize_newtype_struct("Deadly", &self.0)
    }
}

isock::api! {
    /// The shop.
    pub Shop = [Echo, Place, Ticks]
}

isock::api! {
    /// What needs no streams.
    pub Counter = [Echo, Place]
}

isock::api! {
    /// What every server has.
    pub Nothing = []
}
