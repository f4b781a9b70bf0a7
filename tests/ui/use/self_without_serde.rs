use isock::Action;

#[derive(Action)]
#[action(output = u64)]
struct Place {
    sku: String,
}

fn main() {}
