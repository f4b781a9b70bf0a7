use isock::Action;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
enum PlaceError {
    OutOfStock,
}

#[derive(Action)]
#[action(error = PlaceError)]
struct Place;

fn main() {}
