use isock::{Action, Responder};

#[derive(Action)]
#[action(output = u32)]
struct Count;

fn answer(responder: Responder<Count>) {
    let _ = responder.respond(Ok(1));
    let _ = responder.respond(Ok(2));
}

fn main() {}
