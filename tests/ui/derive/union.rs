use isock::Action;

#[derive(Action)]
union Either {
    number: u32,
    bytes: [u8; 4],
}

fn main() {}
