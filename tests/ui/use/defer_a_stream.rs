use isock::{Action, Server};

#[derive(Action)]
#[action(stream = u32)]
struct Ticks;

fn main() {
    let _ = Server::in_memory().on_deferred::<Ticks>(|(), cx| Ok(drop(cx.defer())));
}
