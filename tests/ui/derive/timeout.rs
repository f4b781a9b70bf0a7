use isock::Action;

#[derive(Action)]
#[action(timeout = 5)]
struct Number;

#[derive(Action)]
#[action(timeout = "5")]
struct NoUnit;

#[derive(Action)]
#[action(timeout = "1.5s")]
struct Fraction;

#[derive(Action)]
#[action(timeout = "0s")]
struct NoTime;

#[derive(Action)]
#[action(timeout = "99999999999999999999h")]
struct TooLong;

fn main() {}
