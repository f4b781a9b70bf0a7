use isock::Action;

#[derive(Action)]
#[action(kind = reed)]
struct Misspelt;

#[derive(Action)]
#[action(kind = Once)]
struct Capital;

#[derive(Action)]
#[action(kind = pure)]
struct Invented;

#[derive(Action)]
#[action(kind = "read")]
struct Quoted;

#[derive(Action)]
#[action(kind = isock::Read)]
struct Type;

#[derive(Action)]
#[action(kind = 1)]
struct Number;

fn main() {}
