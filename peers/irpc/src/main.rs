//! irpc 0.17 over QUIC, which is always encrypted.
//!
//! Away from the defaults: 1024 concurrent streams per connection, and one current-thread runtime on each side.
//! The server's certificate lies beside its address file.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use irpc::channel::{mpsc, oneshot, SendError};
use irpc::rpc::{listen, Handler, RemoteService};
use irpc::util::{configure_server, make_client_endpoint};
use irpc::{rpc_requests, Client, WithChannels};
use kit::cli::{Args, Role, Server, Task};
use kit::data::{Msg, Record};
use kit::tasks::{by_threads, runtime, TaskPeer};
use kit::{Bytes, Report};
use serde::{Deserialize, Serialize};

const STREAMS: u32 = 1024;

#[rpc_requests(message = Request, no_spans)]
#[derive(Debug, Serialize, Deserialize)]
enum Bench {
    #[rpc(tx = oneshot::Sender<Msg>)]
    Echo(Echo),
    #[rpc(tx = oneshot::Sender<Bytes>)]
    Bulk(Bulk),
    #[rpc(tx = oneshot::Sender<Vec<Record>>)]
    Records(Records),
    #[rpc(tx = oneshot::Sender<()>)]
    Nap(Nap),
    #[rpc(tx = mpsc::Sender<Msg>)]
    Stream(Stream),
}

#[derive(Debug, Serialize, Deserialize)]
struct Echo(Msg);

#[derive(Debug, Serialize, Deserialize)]
struct Bulk(Bytes);

#[derive(Debug, Serialize, Deserialize)]
struct Records(Vec<Record>);

#[derive(Debug, Serialize, Deserialize)]
struct Nap(u32);

#[derive(Debug, Serialize, Deserialize)]
struct Stream(u64);

fn main() {
    match Args::from_env().role {
        Role::Server { address_file } => runtime().block_on(serve(&address_file)),
        Role::Client(task) => kit::tasks::run::<Peer>(&task),
    }
}

async fn serve(address_file: &Path) {
    let (mut config, certificate) = configure_server().expect("a certificate can be made");
    let transport = Arc::get_mut(&mut config.transport).expect("nobody else has it yet");
    transport.max_concurrent_bidi_streams(STREAMS.into());
    let endpoint = noq::Endpoint::server(config, loopback()).expect("a free port");
    fs::write(certificate_file(address_file), certificate).expect("the directory is writable");
    kit::cli::announce(address_file, endpoint.local_addr().expect("it is bound"));
    listen::<Bench>(endpoint, handler()).await;
}

/// Answers on a task of its own, so that a call that waits holds up no other on its connection.
fn handler() -> Handler<Bench> {
    Arc::new(|request, rx, tx| {
        Box::pin(async move {
            let request = request.with_remote_channels(rx, tx);
            tokio::spawn(async move { answer(request).await.expect("the client listens") });
            Ok(())
        })
    })
}

async fn answer(request: Request) -> Result<(), SendError> {
    match request {
        Request::Echo(WithChannels { inner: Echo(msg), tx, .. }) => tx.send(msg).await,
        Request::Bulk(WithChannels { inner: Bulk(payload), tx, .. }) => tx.send(payload).await,
        Request::Records(WithChannels { inner: Records(records), tx, .. }) => {
            tx.send(records).await
        }
        Request::Nap(WithChannels { inner: Nap(millis), tx, .. }) => {
            tokio::time::sleep(Duration::from_millis(millis.into())).await;
            tx.send(()).await
        }
        Request::Stream(WithChannels { inner: Stream(items), tx, .. }) => {
            for n in 0..items {
                tx.send(Msg::new(n)).await?;
            }
            Ok(())
        }
    }
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn certificate_file(address_file: &Path) -> PathBuf {
    address_file.with_extension("certificate")
}

#[derive(Clone)]
struct Peer(Client<Bench>);

impl TaskPeer for Peer {
    type Records = Vec<Record>;

    /// An endpoint of its own for each connection, as separate programs would have. It connects on the first call.
    async fn connect(server: &Server) -> Peer {
        let certificate =
            fs::read(certificate_file(&server.address_file)).expect("the server wrote it");
        let endpoint = make_client_endpoint(loopback(), &[&certificate]).expect("a free port");
        Peer(Client::noq(endpoint, server.address))
    }

    fn shared(task: &Task) -> Report {
        by_threads::<Self>(task)
    }

    async fn echo(&self, msg: Msg) -> Msg {
        self.0.rpc(Echo(msg)).await.expect("an answer")
    }

    async fn bulk(&self, payload: &Bytes) -> impl AsRef<[u8]> {
        self.0.rpc(Bulk(payload.clone())).await.expect("an answer")
    }

    fn own(records: &[Record]) -> Vec<Record> {
        records.to_vec()
    }

    async fn records(&self, records: Vec<Record>, expected: &[Record]) -> Vec<Record> {
        let reply = self.0.rpc(Records(records)).await.expect("an answer");
        assert!(reply == expected, "the reply has other records");
        reply
    }

    async fn nap(&self, millis: u32) {
        self.0.rpc(Nap(millis)).await.expect("an answer");
    }

    async fn stream(&self, items: u64, mut each: impl FnMut(Msg)) {
        let mut stream = self.0.server_streaming(Stream(items), 1024).await.expect("an answer");
        while let Some(item) = stream.recv().await.expect("an item") {
            each(item);
        }
    }
}
