use isock::Client;

struct Echo;

fn call(client: &Client) {
    let _ = client.run::<Echo>("hi");
}

fn main() {}
