use isock::Client;

fn call(client: &Client) {
    let _ = client.run_named("greet", "Ada");
}

fn main() {}
