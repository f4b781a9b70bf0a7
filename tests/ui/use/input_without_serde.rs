use isock::Action;

struct Order {
    sku: String,
}

#[derive(Action)]
#[action(input = Order)]
struct Place;

fn main() {}
