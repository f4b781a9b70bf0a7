//! The floors: hand-written, length-prefixed frames over TCP, no framework.
//!
//! `thread` blocks, a thread per connection; `epoll` is one mio loop; `spin` polls without sleeping;
//! `zerocopy` moves bulk with vectored writes between buffers that are reused.

mod epoll;
mod frame;
mod spin;
mod stream;
mod thread;
mod zerocopy;

use kit::cli::{Args, Role};

fn main() {
    let args = Args::from_env();
    match (args.variant.as_str(), &args.role) {
        ("thread", Role::Server { address_file }) => thread::serve(address_file),
        ("thread", Role::Client(task)) => kit::blocking::run::<thread::Client>(task),
        ("epoll", Role::Server { address_file }) => epoll::serve(address_file),
        ("epoll", Role::Client(task)) => kit::blocking::run::<epoll::Client>(task),
        ("spin", Role::Server { address_file }) => spin::serve(address_file),
        ("spin", Role::Client(task)) => kit::blocking::run::<spin::Client>(task),
        ("zerocopy", Role::Server { address_file }) => zerocopy::serve(address_file),
        ("zerocopy", Role::Client(task)) => kit::blocking::run::<zerocopy::Client>(task),
        (other, _) => {
            kit::unsupported(&format!("floor {other:?}: thread, epoll, spin or zerocopy"))
        }
    }
}
