//! Memory of long messages, which all threads share.

use crate::wire::spare;
use isock_models::{model, std::thread};

const LONG: usize = 64 * 1024;

/// Blocks come while others are released: what is kept is known to be, or nobody would release it.
#[test]
fn what_is_kept_is_known_to_be() {
    model(3, || {
        // It has been asked for, so it is kept.
        let blocks = [spare::take(LONG), spare::take(LONG)];
        let threads = blocks.map(|block| thread::spawn(move || spare::give(block)));
        spare::release();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(spare::is_held(), spare::kept() > 0);
        spare::release();
        assert_eq!((spare::is_held(), spare::kept()), (false, 0));
    });
}
