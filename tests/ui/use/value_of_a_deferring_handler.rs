use isock::{Action, Server};

#[derive(Action)]
#[action(output = u32)]
struct Count;

fn main() {
    let _ = Server::in_memory().on_deferred::<Count>(|(), _| Ok(1));
}
