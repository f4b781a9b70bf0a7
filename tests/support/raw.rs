//! Peers that speak in raw bytes: right ones, wrong ones, and in whatever pieces a test wants.

use isock::{
    proto::FRAGMENT,
    wire::{
        name_hash, CallHead, Close, CloseCode, Credit, Features, Flags, FrameKind, Header, Hello,
        InstanceId, ItemBatch, Refusal, Settings, Total, Welcome, HEADER_LEN, HELLO_LEN,
        MAX_CLOSE_TEXT, VERSION, WELCOME_LEN,
    },
    Action, Address, IntoAddresses,
};
use socket2::{Domain, SockRef, Type};
use std::{
    io::{self, Read, Write},
    mem::MaybeUninit,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
    time::Duration,
};

/// How long a raw peer waits for the other side.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of any transport.
pub trait Socket: Read + Write + Send {
    /// Sends nothing more.
    ///
    /// # Errors
    /// If it has ended already.
    fn finish(&self) -> io::Result<()>;

    /// Closes with a reset, where the transport has one.
    ///
    /// # Errors
    /// If it has ended already.
    fn reset(self: Box<Self>) -> io::Result<()>;

    /// Whether something lies there to be read.
    fn has_more(&self) -> bool;

    /// A write that takes longer fails.
    fn wait_at_most(&self, patience: Duration);

    /// Has the system keep little of what has come, where it would keep more with time.
    fn keep_little(&self);
}

impl Socket for TcpStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset(self: Box<Self>) -> io::Result<()> {
        SockRef::from(&*self).set_linger(Some(Duration::ZERO))
    }

    fn has_more(&self) -> bool {
        has_more(self.into())
    }

    fn wait_at_most(&self, patience: Duration) {
        // A socket that is gone fails every write anyway.
        let _ = self.set_write_timeout(Some(patience));
    }

    fn keep_little(&self) {
        keep_little(self.into());
    }
}

impl Socket for UnixStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }

    fn has_more(&self) -> bool {
        has_more(self.into())
    }

    fn wait_at_most(&self, patience: Duration) {
        // A socket that is gone fails every write anyway.
        let _ = self.set_write_timeout(Some(patience));
    }

    fn keep_little(&self) {
        keep_little(self.into());
    }
}

fn keep_little(stream: SockRef<'_>) {
    stream.set_recv_buffer_size(16 * 1024).expect("a size");
}

fn has_more(stream: SockRef<'_>) -> bool {
    stream.peek(&mut [MaybeUninit::uninit()]).is_ok_and(|n| n > 0)
}

/// A stream to a server's address.
///
/// # Errors
/// If nobody listens there.
///
/// # Panics
/// If it is no address of a socket.
pub fn connect(address: impl IntoAddresses) -> io::Result<Box<dyn Socket>> {
    let address = address.into_addresses().expect("an address").remove(0);
    if let Some(path) = address.path() {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        return Ok(Box::new(stream));
    }
    patient(TcpStream::connect(tcp_address(&address))?)
}

/// A TCP stream from another of this machine's addresses.
///
/// # Errors
/// If nobody listens there.
///
/// # Panics
/// If it is no TCP address.
pub fn connect_from(host: Ipv4Addr, address: &Address) -> io::Result<Box<dyn Socket>> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((host, 0)).into())?;
    socket.connect(&tcp_address(address).into())?;
    patient(socket.into())
}

fn tcp_address(address: &Address) -> SocketAddr {
    address.socket().expect("a TCP address")
}

fn patient(stream: TcpStream) -> io::Result<Box<dyn Socket>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Box::new(stream))
}

/// One end of a connection, byte by byte.
pub struct Raw {
    stream: Box<dyn Socket>,
    /// All that has come, whether understood or not.
    pub received: Vec<u8>,
    understood: usize,
}

/// Why not all bytes were sent, and how many were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The other side takes nothing more for now.
    NotTaken(usize),
    /// The other side has closed.
    Gone(usize),
}

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The sixteen bytes.
    pub header: Header,
    /// What follows them.
    pub words: Vec<u8>,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Raw {
    /// Over this stream; nothing has been said yet.
    pub fn new(stream: Box<dyn Socket>) -> Raw {
        Raw { stream, received: Vec::new(), understood: 0 }
    }

    /// Sends bytes; a peer that has closed meanwhile is no error.
    pub fn send(&mut self, bytes: &[u8]) {
        // What a test judges is what comes back.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes, and says how many of them the other side's system has taken.
    ///
    /// # Errors
    /// How many, if the other side went away in the middle or takes no more, and which of both.
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<usize, NotSent> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Err(NotSent::NotTaken(sent)),
                    _ => return Err(NotSent::Gone(sent)),
                },
            }
        }
        Ok(sent)
    }

    /// Sends bytes one by one, each in a segment of its own.
    pub fn dribble(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.send(&[*byte]));
    }

    /// Sends nothing more.
    pub fn finish(&self) {
        let _ = self.stream.finish();
    }

    /// Goes away with a reset, where the transport has one.
    pub fn reset(self) {
        let _ = self.stream.reset();
    }

    /// From now on what the other side does not take in this time counts as not taken.
    pub fn wait_at_most(&self, patience: Duration) {
        self.stream.wait_at_most(patience);
    }

    /// From now on the system keeps little of what has come and is not read.
    pub fn keep_little(&self) {
        self.stream.keep_little();
    }

    /// Whether something lies there to be read.
    pub fn has_more(&self) -> bool {
        self.stream.has_more()
    }

    /// Says hello and reads the answer.
    pub fn shake_hands(&mut self) -> Welcome {
        self.send(&hello(VERSION, VERSION));
        self.welcome()
    }

    /// The accepting side: reads a hello and answers it.
    ///
    /// # Panics
    /// If something else comes.
    pub fn greet(&mut self) {
        assert!(self.fill(HELLO_LEN), "no preface came: {:?}", self.rest());
        self.understood += HELLO_LEN;
        self.send(&welcome(VERSION, (VERSION, VERSION)));
    }

    /// Reads a server's preface.
    ///
    /// # Panics
    /// If something else comes.
    pub fn welcome(&mut self) -> Welcome {
        assert!(self.fill(WELCOME_LEN), "no preface came: {:?}", self.rest());
        let (welcome, len) = Welcome::parse(self.rest()).expect("a preface").expect("all of it");
        self.understood += len;
        welcome
    }

    /// The next frame; `None` at the end. What the other side says of itself is left out, since it
    /// can come at any time.
    ///
    /// # Panics
    /// If it is no whole frame.
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any_frame()?;
            if frame.header.kind != FrameKind::SETTINGS {
                return Some(frame);
            }
        }
    }

    /// The next frame, whatever it is; `None` at the end.
    ///
    /// # Panics
    /// If it is no whole frame.
    pub fn any_frame(&mut self) -> Option<Frame> {
        if !self.fill(HEADER_LEN) {
            assert!(self.rest().is_empty(), "half a frame came: {:?}", self.rest());
            return None;
        }
        let fixed = self.rest()[..HEADER_LEN].try_into().expect("sixteen bytes");
        let header = Header::parse(fixed).expect("a header");
        assert!(self.fill(header.len as usize), "half a frame came: {header:?}");
        let frame = &self.rest()[..header.len as usize];
        let frame = Frame {
            header,
            words: frame[HEADER_LEN..header.payload_at()].to_vec(),
            payload: frame[header.payload_at()..].to_vec(),
        };
        self.understood += header.len as usize;
        Some(frame)
    }

    /// The next frame that belongs to a call.
    ///
    /// # Panics
    /// If the connection ends first.
    pub fn answer(&mut self) -> Frame {
        self.frame().expect("an answer")
    }

    /// Reads on to the end, and says with which reason the other side closed.
    ///
    /// # Errors
    /// If it closed without a reason, or went on after it.
    pub fn closed(&mut self) -> Result<CloseCode, String> {
        self.skip_to_close();
        let Some(frame) = self.frame() else { return Err("closed without a reason".to_owned()) };
        let code = close_of(&frame)?;
        match self.frame() {
            None => Ok(code),
            Some(frame) => Err(format!("{:?} came after the close", frame.header.kind)),
        }
    }

    /// Reads on to the end, whatever comes.
    ///
    /// # Panics
    /// If there is none.
    pub fn ends(&mut self) {
        while self.fill(self.rest().len() + 1) {
            self.understood = self.received.len();
        }
    }

    /// Reads over all frames in front of a close, as quickly as it can: a peer that has left a lot
    /// unread is not waited for.
    fn skip_to_close(&mut self) {
        while self.fill(HEADER_LEN) {
            let Some(fixed) = self.rest().first_chunk() else { break };
            let header = Header::parse(fixed).expect("a header");
            if header.kind == FrameKind::CLOSE || !self.fill(header.len as usize) {
                break;
            }
            self.understood += header.len as usize;
        }
    }

    /// Reads until this many bytes more have come, and leaves the rest where it is.
    ///
    /// # Panics
    /// If the connection ends first.
    pub fn take(&mut self, len: usize) {
        let begun = self.received.len();
        self.received.resize(begun + len, 0);
        self.stream.read_exact(&mut self.received[begun..]).expect("more to come");
    }

    fn rest(&self) -> &[u8] {
        &self.received[self.understood..]
    }

    /// Reads until this many bytes are there; false at the end.
    fn fill(&mut self, len: usize) -> bool {
        if self.rest().len() >= len {
            return true;
        }
        let mut buffer = [0; 64 * 1024];
        while self.rest().len() < len {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => self.received.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("the other side says nothing: {error}"),
            }
        }
        true
    }
}

fn close_of(frame: &Frame) -> Result<CloseCode, String> {
    let text = frame.payload.len();
    if text > MAX_CLOSE_TEXT {
        return Err(format!("the reason has {text} bytes"));
    }
    Ok(Close::parse(&frame.words, &frame.payload).ok_or("the close has no code")?.code)
}

impl Frame {
    /// The reason of the close that it is.
    ///
    /// # Panics
    /// If it is something else.
    pub fn close_code(&self) -> CloseCode {
        assert_eq!(self.header.kind, FrameKind::CLOSE, "{self:?}");
        close_of(self).expect("a reason")
    }

    /// The refusal that it is.
    ///
    /// # Panics
    /// If it is something else.
    pub fn refusal(&self) -> Refusal {
        assert_eq!(self.header.kind, FrameKind::REFUSAL, "{self:?}");
        Refusal::parse(&self.words, &self.payload).expect("a refusal")
    }
}

/// A client's preface that asks for these versions.
pub fn hello(min_version: u8, max_version: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let hello = Hello {
        min_version,
        max_version,
        features: Features::default(),
        max_message: 8 << 20,
        max_fragment: 256 * 1024,
        slots: 16,
        instance: InstanceId(*b"a raw test peer!"),
    };
    hello.write(&mut bytes);
    bytes
}

/// What a peer does once it has said what it has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It listens until the other side has gone.
    Stay,
    /// It closes.
    Leave,
}

/// A listener whose peers a test plays itself.
pub struct Host {
    address: String,
    accept: Box<dyn Fn() -> io::Result<Box<dyn Socket>> + Send>,
}

impl Host {
    /// At a free TCP port.
    pub fn tcp() -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket").to_string();
        Host { address, accept: Box::new(move || patient(listener.accept()?.0)) }
    }

    /// At a path of a Unix socket.
    pub fn unix(path: &Path) -> Host {
        let listener = UnixListener::bind(path).expect("a free path");
        let accept = move || {
            let stream = listener.accept()?.0;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Box::new(stream) as Box<dyn Socket>)
        };
        Host { address: format!("unix:{}", path.display()), accept: Box::new(accept) }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// The next client, which has its preface.
    ///
    /// # Panics
    /// If none comes.
    pub fn accept(&self) -> Raw {
        let mut raw = Raw::new((self.accept)().expect("a client"));
        raw.greet();
        raw
    }
}

/// The address of a TCP listener that answers one client with these bytes, and then is no more.
pub fn answering(bytes: Vec<u8>, then: Then) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket").to_string();
    thread::spawn(move || {
        let client = listener.accept();
        drop(listener);
        client.map(|(stream, _)| answer(stream, &bytes, then))
    });
    address
}

/// The same at the path of a Unix socket.
pub fn answering_at(path: &Path, bytes: Vec<u8>, then: Then) -> String {
    let listener = UnixListener::bind(path).expect("a free path");
    let address = format!("unix:{}", path.display());
    thread::spawn(move || {
        let client = listener.accept();
        drop(listener);
        client.map(|(stream, _)| answer(stream, &bytes, then))
    });
    address
}

/// Neither a client that goes away early nor one that resets is this side's concern.
fn answer(mut stream: impl Read + Write, bytes: &[u8], then: Then) {
    let _ = stream.write_all(bytes);
    if then == Then::Stay {
        let _ = io::copy(&mut stream, &mut io::sink());
    }
}

/// A server's preface.
pub fn welcome(version: u8, (min_version, max_version): (u8, u8)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let welcome = Welcome {
        version,
        min_version,
        max_version,
        features: Features::default(),
        max_message: 8 << 20,
        max_fragment: 256 * 1024,
        slots: 512,
        instance: InstanceId(*b"a raw test peer!"),
        connection: None,
    };
    welcome.write(&mut bytes);
    bytes
}

/// A call of `A` in one frame, its input encoded already.
pub fn call<A: Action>(slot: u16, seq: u32, input: &[u8]) -> Vec<u8> {
    named_call(A::INFO.name, slot, seq, input)
}

/// A call in one frame.
pub fn named_call(name: &str, slot: u16, seq: u32, input: &[u8]) -> Vec<u8> {
    let head = CallHead { name: name_hash(name), ..CallHead::default() };
    let mut bytes = Vec::new();
    let header = Header::new(FrameKind::CALL, Flags::INITIATOR, head.words(None), input.len());
    header.of_call(slot, seq).write(&mut bytes);
    head.write(None, &mut bytes);
    bytes.extend_from_slice(input);
    bytes
}

/// A call in one frame with metadata before its input.
pub fn call_with_metadata<A: Action>(
    slot: u16,
    seq: u32,
    metadata: &[u8],
    input: &[u8],
) -> Vec<u8> {
    let len = metadata.len();
    let head =
        CallHead { name: name_hash(A::INFO.name), metadata: len as u32, ..Default::default() };
    let mut bytes = Vec::new();
    let words = head.words(None);
    let header = Header::new(FrameKind::CALL, Flags::INITIATOR, words, len + input.len());
    header.of_call(slot, seq).write(&mut bytes);
    head.write(None, &mut bytes);
    bytes.extend_from_slice(metadata);
    bytes.extend_from_slice(input);
    bytes
}

/// The first fragment of a call that announces `total` bytes.
pub fn begun_call<A: Action>(slot: u16, seq: u32, first: &[u8], total: u32) -> Vec<u8> {
    let head = CallHead { name: name_hash(A::INFO.name), ..CallHead::default() };
    let total = Some(Total(total));
    let flags = Flags::INITIATOR.with(Flags::MORE);
    let mut bytes = Vec::new();
    let header = Header::new(FrameKind::CALL, flags, head.words(total), first.len());
    header.of_call(slot, seq).write(&mut bytes);
    head.write(total, &mut bytes);
    bytes.extend_from_slice(first);
    bytes
}

/// A call that carries items: those of the responder with this credit, if it is not zero, and the
/// initiator's own if it `uploads`.
pub fn stream_call<A: Action>(
    slot: u16,
    seq: u32,
    input: &[u8],
    credit: Credit,
    uploads: bool,
) -> Vec<u8> {
    let head = CallHead { name: name_hash(A::INFO.name), credit, ..CallHead::default() };
    let flags = if uploads { Flags::INITIATOR.with(Flags::ITEMS) } else { Flags::INITIATOR };
    let mut bytes = Vec::new();
    let header = Header::new(FrameKind::CALL, flags, head.words(None), input.len());
    header.of_call(slot, seq).write(&mut bytes);
    head.write(None, &mut bytes);
    bytes.extend_from_slice(input);
    bytes
}

/// Items of a call, encoded already, in one frame.
pub fn items<'i>(
    slot: u16,
    seq: u32,
    flags: Flags,
    items: impl IntoIterator<Item = &'i [u8]>,
) -> Vec<u8> {
    let mut batch = ItemBatch::new();
    for item in items {
        let pushed: Result<(), std::convert::Infallible> = batch.push(|out| {
            out.extend_from_slice(item);
            Ok(())
        });
        let Ok(()) = pushed;
    }
    let message = batch.as_bytes();
    let mut bytes = Vec::new();
    let header = Header::new(FrameKind::ITEM, flags, 0, message.len());
    header.of_call(slot, seq).write(&mut bytes);
    bytes.extend_from_slice(message);
    bytes
}

/// How many items a received message has.
pub fn items_in(message: &[u8]) -> usize {
    isock::wire::items(message).count()
}

/// Credit for the items of a call.
pub fn credit(slot: u16, seq: u32, flags: Flags, credit: Credit) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header::new(FrameKind::CREDIT, flags, 1, 0);
    header.of_call(slot, seq).write(&mut bytes);
    credit.write(&mut bytes);
    bytes
}

/// A refusal of a call.
pub fn refusal(slot: u16, seq: u32, refusal: &Refusal) -> Vec<u8> {
    let mut bytes = Vec::new();
    let text = refusal.short_text().as_bytes();
    let header = Header::new(FrameKind::REFUSAL, Flags::default(), 1, text.len());
    header.of_call(slot, seq).write(&mut bytes);
    refusal.write_words(&mut bytes);
    bytes.extend_from_slice(text);
    bytes
}

/// What its sender says of itself.
pub fn settings(settings: Settings) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header::new(FrameKind::SETTINGS, Flags::default(), 1, 0).write(&mut bytes);
    settings.write(&mut bytes);
    bytes
}

/// Bytes behind a header that belongs to a call, without words.
pub fn frame_of_call(
    kind: FrameKind,
    flags: Flags,
    (slot, seq): (u16, u32),
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header::new(kind, flags, 0, payload.len()).of_call(slot, seq).write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// A call in as many frames as its input needs.
pub fn whole_call<A: Action>(slot: u16, seq: u32, input: &[u8]) -> Vec<u8> {
    if input.len() <= FRAGMENT {
        return call::<A>(slot, seq, input);
    }
    let (first, rest) = input.split_at(FRAGMENT);
    let mut bytes = begun_call::<A>(slot, seq, first, input.len() as u32);
    let last = rest.len().div_ceil(FRAGMENT) - 1;
    for (at, piece) in rest.chunks(FRAGMENT).enumerate() {
        let flags = if at == last { Flags::default() } else { Flags::MORE };
        bytes.extend(more(slot, seq, flags, piece));
    }
    bytes
}

/// A further fragment of a call.
pub fn more(slot: u16, seq: u32, flags: Flags, piece: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header::new(FrameKind::MORE, flags.with(Flags::INITIATOR), 0, piece.len());
    header.of_call(slot, seq).write(&mut bytes);
    bytes.extend_from_slice(piece);
    bytes
}

/// Says that this side always reads.
pub fn attended() -> Vec<u8> {
    settings(Settings { attended: true })
}

/// A frame without words.
pub fn frame(kind: FrameKind, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header::new(kind, flags, 0, payload.len()).write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// The encoded form of a text: its length, then its bytes.
pub fn text(text: &str) -> Vec<u8> {
    let mut encoder = isock::wire::Encoder::new(usize::MAX);
    encoder.push(text).expect("a text can be encoded");
    encoder.into_bytes()
}

/// The encoded form of bytes: their length, then they themselves.
pub fn bytes(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = isock::wire::Encoder::new(usize::MAX);
    encoder.push(&isock::Bytes::from(bytes.to_vec())).expect("bytes can be encoded");
    encoder.into_bytes()
}
