//! tonic 0.14: gRPC over HTTP/2 without TLS.
//!
//! Away from the defaults: frames of 1 MiB and windows of 16 MiB for bulk, 1024 concurrent streams, messages
//! up to 64 MiB, and one current-thread runtime on each side. Nagle is off by default.

mod messages;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bench {
    tonic::include_proto!("bench.Bench");
}

use std::path::Path;
use std::time::Duration;

use bench::bench_client::BenchClient;
use bench::bench_server::{Bench, BenchServer};
use futures::stream::{self, BoxStream};
use futures::StreamExt;
use kit::cli::{Args, Role, Server, Task};
use kit::tasks::{by_threads, runtime, TaskPeer};
use kit::{data, Bytes, Report};
use messages::{Msg, Nap, Payload, Records, Stream};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

const MAX_MESSAGE: usize = 64 << 20;
const MAX_FRAME: u32 = 1 << 20;
const WINDOW: u32 = 16 << 20;
const STREAMS: u32 = 1024;

static PLACES: Semaphore = Semaphore::const_new(kit::WORKERS);

struct Handlers;

#[tonic::async_trait]
impl Bench for Handlers {
    async fn echo(&self, request: Request<Msg>) -> Result<Response<Msg>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn bulk(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn records(&self, request: Request<Records>) -> Result<Response<Records>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn nap(&self, request: Request<Nap>) -> Result<Response<Nap>, Status> {
        let nap = request.into_inner();
        // So many at once: W9 has no more, and W11 is about those that wait.
        let _place = PLACES.acquire().await;
        tokio::time::sleep(Duration::from_millis(nap.millis.into())).await;
        Ok(Response::new(nap))
    }

    type StreamStream = BoxStream<'static, Result<Msg, Status>>;

    async fn stream(
        &self,
        request: Request<Stream>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let items = 0..request.into_inner().items;
        Ok(Response::new(stream::iter(items.map(|n| Ok(data::Msg::new(n).into()))).boxed()))
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
    let bench = BenchServer::new(Handlers)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS)
        .max_frame_size(MAX_FRAME)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .add_service(bench)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .expect("it serves until killed");
}

#[derive(Clone)]
struct Client(BenchClient<Channel>);

impl TaskPeer for Client {
    type Records = Records;

    async fn connect(server: &Server) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address))
            .expect("an address")
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(MAX_FRAME);
        let channel = endpoint.connect().await.expect("the server listens");
        let bench = BenchClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Client(bench)
    }

    fn shared(task: &Task) -> Report {
        by_threads::<Self>(task)
    }

    async fn echo(&self, msg: data::Msg) -> data::Msg {
        self.0.clone().echo(Msg::from(msg)).await.expect("an answer").into_inner().into()
    }

    async fn bulk(&self, payload: &Bytes) -> impl AsRef<[u8]> {
        let request = Payload { bytes: payload.clone() };
        self.0.clone().bulk(request).await.expect("an answer").into_inner().bytes
    }

    fn own(records: &[data::Record]) -> Records {
        Records { records: records.iter().map(Into::into).collect() }
    }

    async fn records(&self, records: Records, expected: &[data::Record]) -> Records {
        let reply = self.0.clone().records(records).await.expect("an answer").into_inner();
        assert!(reply.records == expected, "the reply has other records");
        reply
    }

    async fn work(&self, deadline: Duration) -> bool {
        let mut request = Request::new(Nap { millis: kit::WORK_MS as u32 });
        request.set_timeout(deadline);
        // Which is for the server; the client gives up by itself.
        let mut bench = self.0.clone();
        let call = tokio::time::timeout(deadline, bench.nap(request));
        call.await.is_ok_and(|answer| answer.is_ok())
    }

    async fn nap(&self, millis: u32) {
        self.0.clone().nap(Nap { millis }).await.expect("an answer");
    }

    async fn stream(&self, items: u64, mut each: impl FnMut(data::Msg)) {
        let mut stream =
            self.0.clone().stream(Stream { items }).await.expect("an answer").into_inner();
        while let Some(item) = stream.message().await.expect("an item") {
            each(item.into());
        }
    }
}
