//! Two builds that disagree about a type, and what the caller is told: `cargo run --example mismatch`
//!
//! The two builds are modules here: their actions have the same names on the wire, and one has a
//! newer order than the other.

use isock::{CallError, Client, Problem, Server};

/// The shared crate as the server was built with it.
mod newer {
    use isock::Action;
    use serde::{Deserialize, Serialize};

    /// Orders articles, and returns the number of the order.
    #[derive(Action)]
    #[action(input = Order, output = u64)]
    pub struct Place;

    #[derive(Serialize, Deserialize)]
    pub struct Order {
        pub id: u64,
        pub items: Vec<Item>,
        pub note: Option<String>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Item {
        pub sku: String,
        pub qty: String,
    }

    /// How many orders there are.
    #[derive(Action)]
    #[action(output = u64, kind = read)]
    pub struct Count;
}

/// The shared crate as the client was built with it.
mod older {
    use isock::Action;
    use serde::{Deserialize, Serialize};

    #[derive(Action)]
    #[action(input = Order, output = u64)]
    pub struct Place;

    #[derive(Serialize, Deserialize)]
    pub struct Order {
        pub id: u64,
        pub items: Vec<Item>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Item {
        pub sku: String,
        pub qty: u32,
    }

    #[derive(Action)]
    #[action(output = u64, kind = read)]
    pub struct Count;
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .on::<newer::Place>(|order, _cx| {
            println!("never printed: {} items", order.items.len());
            Ok(order.id)
        })
        .on::<newer::Count>(|(), _cx| Ok(0))
        .bind("127.0.0.1:0")?
        .spawn()?;

    let client = Client::connect(server.address())?;
    let items = vec![older::Item { sku: "tea".into(), qty: 2 }];
    match client.run::<older::Place>(older::Order { id: 7, items }) {
        Err(CallError::Call(problem)) => tell(&problem),
        other => return Err(format!("two builds that disagree talked: {other:?}").into()),
    }
    // What both builds agree about goes on, on the same connection.
    println!("orders: {}", client.run::<older::Count>(())?);
    Ok(())
}

fn tell(problem: &Problem) {
    println!("kind {:?}, ran {:?}", problem.kind(), problem.ran());
    println!("{problem}");
}
