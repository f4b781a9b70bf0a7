use isock::{Action, Context, Failure, Handle, Server};

#[derive(Action)]
#[action(input = String, output = String)]
struct Echo;

#[derive(Action)]
#[action(output = u64)]
struct Count;

isock::api! { Shop = [Echo, Count] }

struct App;

impl Handle<Echo> for App {
    fn handle(&self, text: String, _cx: &Context<Echo>) -> Result<String, Failure> {
        Ok(text)
    }
}

fn main() {
    let _ = Server::builder().serve(Shop, App);
}
