//! Memory of long messages, which all threads share.

use crate::wire::{spare, Block};
use isock_models::{model, std::thread};

const LONG: usize = 64 * 1024;

/// Blocks come while others are released: what is kept is known to be, or nobody would release it.
#[test]
fn what_is_kept_is_known_to_be() {
    model(3, || {
        // What has been asked for is kept.
        let use_one = || drop(Block::with_room(LONG));
        let threads = [(); 2].map(|()| thread::spawn(use_one));
        spare::release();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(spare::is_held() || spare::kept() == 0);
        spare::release();
        assert_eq!((spare::is_held(), spare::kept()), (false, 0));
    });
}
