//! tarpc 0.38 over TCP with bincode.
//!
//! Away from the defaults: Nagle off, frames up to 64 MiB, request and response queues of 1024, and one
//! current-thread runtime on each side.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use kit::cli::{Args, Role, Server, Task};
use kit::data::{Msg, Record};
use kit::tasks::{by_threads, runtime, TaskPeer};
use kit::{Bytes, Report};
use tarpc::context::{current, Context};
use tarpc::serde_transport::{self, Transport};
use tarpc::server::{self, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::codec::LengthDelimitedCodec;

const QUEUE: usize = 1024;
const MAX_FRAME: usize = 64 << 20;

#[tarpc::service]
trait Bench {
    async fn echo(msg: Msg) -> Msg;
    async fn bulk(payload: Bytes) -> Bytes;
    async fn records(records: Vec<Record>) -> Vec<Record>;
    async fn nap(millis: u32);
}

static PLACES: Semaphore = Semaphore::const_new(kit::WORKERS);

#[derive(Clone)]
struct Handlers;

impl Bench for Handlers {
    async fn echo(self, _: Context, msg: Msg) -> Msg {
        msg
    }

    async fn bulk(self, _: Context, payload: Bytes) -> Bytes {
        payload
    }

    async fn records(self, _: Context, records: Vec<Record>) -> Vec<Record> {
        records
    }

    async fn nap(self, _: Context, millis: u32) {
        // So many at once: W9 has no more, and W11 is about those that wait.
        let _place = PLACES.acquire().await;
        tokio::time::sleep(Duration::from_millis(millis.into())).await;
    }
}

fn main() {
    match Args::from_env().role {
        Role::Server { address_file } => runtime().block_on(serve(&address_file)),
        Role::Client(task) => kit::tasks::run::<Client>(&task),
    }
}

async fn serve(address_file: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    kit::cli::announce(address_file, listener.local_addr().expect("it is bound"));
    loop {
        let (socket, _) = listener.accept().await.expect("descriptors are left");
        let config = server::Config { pending_response_buffer: QUEUE };
        let calls = config.channel(transport(socket)).execute(Handlers.serve());
        tokio::spawn(calls.for_each(|call| async {
            tokio::spawn(call);
        }));
    }
}

fn transport<In, Out>(socket: TcpStream) -> Transport<TcpStream, In, Out, Bincode<In, Out>>
where
    In: for<'de> tarpc::serde::Deserialize<'de>,
    Out: tarpc::serde::Serialize,
{
    socket.set_nodelay(true).expect("a TCP socket");
    let framed = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_framed(socket);
    serde_transport::new(framed, Bincode::default())
}

#[derive(Clone)]
struct Client(BenchClient);

impl TaskPeer for Client {
    type Records = Vec<Record>;

    async fn connect(server: &Server) -> Client {
        let socket = TcpStream::connect(server.address).await.expect("the server listens");
        let mut config = tarpc::client::Config::default();
        config.max_in_flight_requests = QUEUE;
        config.pending_request_buffer = QUEUE;
        Client(BenchClient::new(config, transport(socket)).spawn())
    }

    fn shared(task: &Task) -> Report {
        by_threads::<Self>(task)
    }

    async fn echo(&self, msg: Msg) -> Msg {
        self.0.echo(current(), msg).await.expect("an answer")
    }

    async fn bulk(&self, payload: &Bytes) -> impl AsRef<[u8]> {
        self.0.bulk(current(), payload.clone()).await.expect("an answer")
    }

    fn own(records: &[Record]) -> Vec<Record> {
        records.to_vec()
    }

    async fn records(&self, records: Vec<Record>, expected: &[Record]) -> Vec<Record> {
        let reply = self.0.records(current(), records).await.expect("an answer");
        assert!(reply == expected, "the reply has other records");
        reply
    }

    async fn work(&self, deadline: Duration) -> bool {
        let mut context = current();
        context.deadline = std::time::Instant::now() + deadline;
        self.0.nap(context, kit::WORK_MS as u32).await.is_ok()
    }

    async fn nap(&self, millis: u32) {
        self.0.nap(current(), millis).await.expect("an answer");
    }
}
