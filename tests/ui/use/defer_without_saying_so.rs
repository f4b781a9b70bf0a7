use isock::{Action, Server};

#[derive(Action)]
#[action(output = u32)]
struct Count;

fn main() {
    let _ = Server::in_memory().on::<Count>(|(), cx| {
        let responder = cx.defer();
        responder.respond(Ok(1))?;
        Ok(1)
    });
}
