//! A server's connection survives every byte in every piece, at a bounded cost.

use isock::{
    proto::{Answer, Buffer, Config, Connection, Event, ServedKey, FRAGMENT},
    wire::{CloseCode, InstanceId, Ran, Refusal, RefusalCode},
    Limits,
};
use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

/// Each piece of input begins with a byte: how long it is, and by what it is followed.
pub fn run(bytes: &[u8]) {
    let mut server = Server::new();
    let mut rest = bytes;
    while let Some((how, after)) = rest.split_first() {
        let (piece, later) = after.split_at(after.len().min(length(*how)));
        rest = later;
        server.feed(piece);
        match how >> 6 {
            0 => {}
            1 => server.write(usize::from(*how)),
            2 => server.answer_all(),
            _ => server.wait(),
        }
    }
    server.end();
}

fn length(how: u8) -> usize {
    match how & 0x3f {
        short @ 0..=47 => short.into(),
        long => usize::from(long - 46) * 256,
    }
}

struct Server {
    connection: Connection,
    input: Buffer,
    now: Instant,
    fed: usize,
    held: Vec<(ServedKey, Vec<u8>)>,
}

impl Server {
    fn new() -> Server {
        let now = Instant::now();
        let config = Config::new(Limits::default(), InstanceId([7; 16]));
        let connection = Connection::server(config, now);
        Server { connection, input: Buffer::new(), now, fed: 0, held: Vec::new() }
    }

    fn feed(&mut self, piece: &[u8]) {
        self.input.push(piece);
        self.fed += piece.len();
        self.events();
    }

    fn events(&mut self) {
        let mut events = 0;
        while let Some(event) = self.connection.read(self.now, &mut self.input) {
            events += 1;
            if let Event::Call { key, body, .. } = event {
                self.held.push((key, body.into_vec()));
            }
        }
        assert!(events <= 2 * self.fed + 8, "events without bytes behind them");
        self.is_bounded();
    }

    /// What was received, what its answers take, and one fragment.
    fn is_bounded(&self) {
        let bound = 8 * self.fed + FRAGMENT + 4096;
        assert!(self.connection.memory() <= bound, "memory after {} bytes", self.fed);
        assert!(self.connection.serving() <= 512, "more calls than were granted");
    }

    /// With the input, or with a refusal: by what the input begins with.
    fn answer_all(&mut self) {
        for (key, body) in std::mem::take(&mut self.held) {
            let answer = match body.first() {
                Some(1) => Answer::Error(body.into()),
                Some(2) => {
                    Answer::Refusal(Refusal::new(RefusalCode::OVERLOADED, Ran::No, "not now"))
                }
                _ => Answer::Value(body.into()),
            };
            self.connection.answer(key, answer);
        }
        self.events();
    }

    fn write(&mut self, most: usize) {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = self.connection.slices(&mut slices);
        let ready: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        self.connection.written(self.now, ready.min(most));
    }

    fn wait(&mut self) {
        self.now += Duration::from_millis(700);
        self.connection.handle_timeout(self.now);
        self.events();
    }

    fn end(mut self) {
        self.answer_all();
        self.connection.close(CloseCode::DONE);
        self.connection.handle_eof();
        self.events();
        assert!(self.connection.is_closed());
        assert_eq!(self.connection.poll_timeout(), None);
    }
}
