use isock::{Action, Client, ManyItems};

#[derive(Action)]
#[action(input = u32)]
struct Square;

/// Stands in for `client.open`.
fn open<A: Action>(_: &Client, _: A::Input)
where
    A::Pattern: ManyItems,
{
}

fn call(client: &Client) {
    open::<Square>(client, 3);
}

fn main() {}
