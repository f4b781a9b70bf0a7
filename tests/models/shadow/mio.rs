//! What a loop is woken with.

use crate::std::sync::{Arc, Condvar, Mutex};

/// Wakes whoever waits for it now, or else the next one who does.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<(Mutex<bool>, Condvar)>);

impl Waker {
    /// Wakes.
    ///
    /// # Errors
    /// Never.
    pub fn wake(&self) -> std::io::Result<()> {
        *self.0 .0.lock().unwrap() = true;
        self.0 .1.notify_all();
        Ok(())
    }

    /// Waits to be woken, as a poll without a timeout does.
    pub fn poll(&self) {
        let mut woken = self.0 .0.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = self.0 .1.wait(woken).unwrap();
        }
    }
}
