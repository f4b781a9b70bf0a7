//! capnp-rpc 0.27, two-party over TCP.
//!
//! Away from the defaults: Nagle off, buffered reads and writes as its examples have them, and one
//! current-thread runtime on each side, which its types require.

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bench_capnp;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bench_capnp::{bench, msg, record};
use capnp::Error;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{new_client, twoparty::VatNetwork, RpcSystem};
use futures::io::{BufReader, BufWriter};
use kit::cli::{Args, Role, Server};
use kit::data::{Msg, Record};
use kit::tasks::{runtime, TaskPeer};
use kit::Bytes;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{spawn_local, LocalSet};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

struct Handlers;

impl bench::Server for Handlers {
    async fn echo(
        self: Rc<Self>,
        params: bench::EchoParams,
        mut results: bench::EchoResults,
    ) -> Result<(), Error> {
        results.get().set_msg(params.get()?.get_msg()?)
    }

    async fn bulk(
        self: Rc<Self>,
        params: bench::BulkParams,
        mut results: bench::BulkResults,
    ) -> Result<(), Error> {
        results.get().set_payload(params.get()?.get_payload()?);
        Ok(())
    }

    async fn records(
        self: Rc<Self>,
        params: bench::RecordsParams,
        mut results: bench::RecordsResults,
    ) -> Result<(), Error> {
        results.get().set_records(params.get()?.get_records()?)
    }

    async fn nap(
        self: Rc<Self>,
        params: bench::NapParams,
        _: bench::NapResults,
    ) -> Result<(), Error> {
        tokio::time::sleep(Duration::from_millis(params.get()?.get_millis().into())).await;
        Ok(())
    }
}

fn main() {
    match Args::from_env().role {
        Role::Server { address_file } => LocalSet::new().block_on(&runtime(), serve(&address_file)),
        Role::Client(task) => kit::tasks::run::<Client>(&task),
    }
}

async fn serve(address_file: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    kit::cli::announce(address_file, listener.local_addr().expect("it is bound"));
    let handlers: bench::Client = new_client(Handlers);
    loop {
        let (socket, _) = listener.accept().await.expect("descriptors are left");
        let network = network(socket, Side::Server);
        spawn_local(RpcSystem::new(Box::new(network), Some(handlers.clone().client)));
    }
}

type Input = BufReader<Compat<OwnedReadHalf>>;

fn network(socket: TcpStream, side: Side) -> VatNetwork<Input> {
    socket.set_nodelay(true).expect("a TCP socket");
    let (input, output) = socket.into_split();
    let (input, output) = (BufReader::new(input.compat()), BufWriter::new(output.compat_write()));
    VatNetwork::new(input, output, side, Default::default())
}

#[derive(Clone)]
struct Client(bench::Client);

impl TaskPeer for Client {
    type Records = Vec<Record>;

    async fn connect(server: &Server) -> Client {
        let socket = TcpStream::connect(server.address).await.expect("the server listens");
        let mut system = RpcSystem::new(Box::new(network(socket, Side::Client)), None);
        let client = system.bootstrap(Side::Server);
        spawn_local(system);
        Client(client)
    }

    async fn echo(&self, msg: Msg) -> Msg {
        let mut request = self.0.echo_request();
        put_msg(request.get().init_msg(), msg);
        let reply = request.send().promise.await.expect("an answer");
        get_msg(reply.get().and_then(|reply| reply.get_msg()).expect("a message"))
    }

    async fn bulk(&self, payload: &Bytes) -> impl AsRef<[u8]> {
        let mut request = self.0.bulk_request();
        request.get().set_payload(payload);
        let reply = request.send().promise.await.expect("an answer");
        Bulk(reply)
    }

    fn own(records: &[Record]) -> Vec<Record> {
        records.to_vec()
    }

    /// The reply is compared where it lies, as a user of capnp would read it.
    async fn records(&self, records: Vec<Record>, expected: &[Record]) -> Vec<Record> {
        let mut request = self.0.records_request();
        let mut list = request.get().init_records(records.len() as u32);
        for (n, record) in records.iter().enumerate() {
            put_record(list.reborrow().get(n as u32), record);
        }
        let reply = request.send().promise.await.expect("an answer");
        let list = reply.get().and_then(|reply| reply.get_records()).expect("a list");
        let same =
            list.iter().zip(expected).all(|(reply, record)| same(reply, record).expect("a record"));
        assert!(same && list.len() as usize == expected.len(), "the reply has other records");
        records
    }

    async fn nap(&self, millis: u32) {
        let mut request = self.0.nap_request();
        request.get().set_millis(millis);
        request.send().promise.await.expect("an answer");
    }
}

/// A reply whose payload is read in place.
struct Bulk(capnp::capability::Response<bench::bulk_results::Owned>);

impl AsRef<[u8]> for Bulk {
    fn as_ref(&self) -> &[u8] {
        self.0.get().and_then(|reply| reply.get_payload()).expect("a payload")
    }
}

fn put_msg(mut to: msg::Builder<'_>, Msg { a, b, c, d }: Msg) {
    to.set_a(a);
    to.set_b(b);
    to.set_c(c);
    to.set_d(d);
}

fn get_msg(from: msg::Reader<'_>) -> Msg {
    Msg { a: from.get_a(), b: from.get_b(), c: from.get_c(), d: from.get_d() }
}

fn put_record(mut to: record::Builder<'_>, record: &Record) {
    to.set_id(record.id);
    to.set_name(record.name.as_str());
    to.set_score(record.score);
    match record.group {
        None => to.reborrow().init_group().set_none(()),
        Some(group) => to.reborrow().init_group().set_some(group),
    }
    to.set_samples(&record.samples[..]).expect("a list fits");
}

fn same(reply: record::Reader<'_>, record: &Record) -> Result<bool, Error> {
    let group = match reply.get_group().which()? {
        record::group::None(()) => None,
        record::group::Some(group) => Some(group),
    };
    Ok(reply.get_id() == record.id
        && reply.get_name()?.as_bytes() == record.name.as_bytes()
        && reply.get_score() == record.score
        && group == record.group
        && reply.get_samples()?.iter().eq(record.samples.iter().copied()))
}
