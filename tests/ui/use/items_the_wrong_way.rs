use isock::{Action, Client, Registration};

#[derive(Action)]
#[action(input = u32, stream = u64)]
struct Ticks;

#[derive(Action)]
#[action(upload = u64)]
struct Sum;

fn sends_to_a_stream(client: &Client) {
    let _ = client.open::<Ticks>(3).unwrap().send(1);
}

fn sends_from_an_upload() -> Registration {
    Sum::with(|(), cx| {
        let _ = cx.send(1);
        Ok(())
    })
}

fn takes_from_a_stream() -> Registration {
    Ticks::with(|_, cx| {
        let _ = cx.items();
        Ok(())
    })
}

fn main() {}
