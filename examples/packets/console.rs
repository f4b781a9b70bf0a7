//! The operator's console: a command a line, from any input to any output.

use crate::{
    hub::{broadcast, suspend, Hub},
    packet::{send, shown, Packet, PacketError, SendError, State},
};
use isock::{Bytes, Connection, ConnectionId, Connections, Problem, ServeError};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, Write},
    thread,
    time::{Duration, SystemTime},
};

/// The first characters of a token that name a client, at least.
const PREFIX: usize = 4;

/// Reads commands until `stop` or the end of the input, then stops the hub.
///
/// # Errors
/// If the input cannot be read or the output cannot be written; the hub is stopped all the same.
pub fn console(input: impl BufRead, mut output: impl Write, hub: &mut Hub) -> io::Result<()> {
    let result = Console { output: &mut output, hub: &mut *hub, mode: Mode::Latest }.read(input);
    hub.stop();
    result
}

struct Console<'c> {
    output: &'c mut dyn Write,
    hub: &'c mut Hub,
    mode: Mode,
}

/// Which client a command means that names none.
#[derive(Clone, Copy)]
enum Mode {
    Latest,
    Random,
    One(ConnectionId),
}

struct Command {
    name: &'static str,
    takes: &'static str,
    about: &'static str,
    run: fn(&mut Console<'_>, &str) -> Result<Next, Trouble>,
}

/// What the console does after a command.
enum Next {
    Read,
    Stop,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("unknown command `{}`; `help` lists them", shown(.0.as_bytes()))]
    Unknown(String),
    #[error("usage: {0} {1}")]
    Usage(&'static str, &'static str),
    #[error("not started; `start` does that")]
    NotStarted,
    #[error("no client is connected")]
    Nobody,
    #[error("no client `{}`; `list` shows their tokens", shown(.0.as_bytes()))]
    NoSuchClient(String),
    #[error("`{0}` begins the tokens of several clients; give more of it")]
    Ambiguous(String),
    #[error("{0}")]
    Packet(#[from] PacketError),
    #[error("{0}")]
    Send(#[from] SendError),
    #[error("{0}")]
    Call(#[from] Problem),
    #[error("{0}")]
    Serve(#[from] ServeError),
    /// Nobody can be told: this one ends the console.
    #[error("{0}")]
    Output(#[from] io::Error),
}

const COMMANDS: &[Command] = &[
    command("help", "[COMMAND]", "what the commands do", |it, words| it.help(words)),
    command("start", "", "listen for clients", |it, words| it.start(words)),
    command("list", "", "the clients, the oldest first", |it, words| it.list(words)),
    command("coninfo", "[CLIENT]", "all that is known of a client", |it, words| it.coninfo(words)),
    command("token", "[CLIENT]", "its token", |it, words| it.token(words)),
    command("mode", "[latest|random|CLIENT]", "who is meant without a CLIENT", |it, words| {
        it.mode(words)
    }),
    command("ping", "[CLIENT]", "take the time to a client and back", |it, words| it.ping(words)),
    command("pingall", "", "the same for all of them", |it, words| it.pingall(words)),
    command("send", "ACTION [DATA]", "a packet to a client", |it, words| it.send(words)),
    command("broadcast", "ACTION [DATA]", "a packet to all of them", |it, words| {
        it.broadcast(words)
    }),
    command("actions", "", "what is bound here, and how often it ran", |it, words| {
        it.actions(words)
    }),
    command("trigger", "ACTION [DATA]", "run what is bound here, for a client", |it, words| {
        it.trigger(words)
    }),
    command("suspend", "CLIENT", "refuse packets from it and to it", |it, words| it.suspend(words)),
    command("resume", "CLIENT", "let it go on", |it, words| it.resume(words)),
    command("disconnect", "CLIENT [REASON]", "end its connection", |it, words| {
        it.disconnect(words)
    }),
    command("dropall", "[REASON]", "end all connections", |it, words| it.dropall(words)),
    command("threads", "", "the threads of this program", |it, words| it.threads(words)),
    command("clear", "", "clear the screen", |it, words| it.clear(words)),
    command("stop", "", "stop the server and end", |it, words| it.stop(words)),
];

const fn command(
    name: &'static str,
    takes: &'static str,
    about: &'static str,
    run: fn(&mut Console<'_>, &str) -> Result<Next, Trouble>,
) -> Command {
    Command { name, takes, about, run }
}

impl Console<'_> {
    fn read(&mut self, mut input: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line)? > 0 {
            // What is no text is no command either, and no reason to end.
            let next = self.obey(String::from_utf8_lossy(&line).trim());
            line.clear();
            match next {
                Ok(Next::Read) => {}
                Ok(Next::Stop) => return Ok(()),
                Err(Trouble::Output(error)) => return Err(error),
                Err(trouble) => self.say(&format!("error: {trouble}"))?,
            }
        }
        Ok(())
    }

    fn obey(&mut self, line: &str) -> Result<Next, Trouble> {
        let (name, rest) = first_word(line);
        if name.is_empty() {
            return Ok(Next::Read);
        }
        (find(name)?.run)(self, rest)
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.output, "{line}")?;
        // A person waits for it, or a program at the other end of a pipe.
        self.output.flush()
    }

    /// The usual end of a command: it says what it did.
    fn done(&mut self, line: &str) -> Result<Next, Trouble> {
        self.say(line)?;
        Ok(Next::Read)
    }

    fn help(&mut self, about: &str) -> Result<Next, Trouble> {
        let chosen: Vec<&Command> = match about {
            "" => COMMANDS.iter().collect(),
            name => vec![find(name)?],
        };
        for Command { name, takes, about, .. } in chosen {
            self.say(&format!("{:<33} {about}", format!("{name} {takes}")))?;
        }
        Ok(Next::Read)
    }

    fn start(&mut self, _: &str) -> Result<Next, Trouble> {
        let started = self.hub.start()?;
        let address = self.hub.server().ok_or(Trouble::NotStarted)?.address();
        self.done(&match started {
            true => format!("listening at {address}"),
            false => format!("listening at {address} already"),
        })
    }

    fn list(&mut self, _: &str) -> Result<Next, Trouble> {
        let clients = self.clients()?.all();
        self.say(&match clients.len() {
            1 => "1 client".to_owned(),
            count => format!("{count} clients"),
        })?;
        for client in clients {
            let (state, address) = (state(&client), client.address().clone());
            self.say(&format!("{} {state} {address}", client.id()))?;
        }
        Ok(Next::Read)
    }

    fn coninfo(&mut self, who: &str) -> Result<Next, Trouble> {
        let client = self.pick(who)?;
        self.say(&format!("token: {}", client.id()))?;
        self.say(&format!("address: {}", client.address()))?;
        self.say(&format!("connected for: {} s", age(client.since()).as_secs()))?;
        self.say(&format!("state: {}", state(&client)))?;
        self.done(&format!("packets from it: {}", State::of(client.session()).taken()))
    }

    fn token(&mut self, who: &str) -> Result<Next, Trouble> {
        let token = self.pick(who)?.id();
        self.done(&token.to_string())
    }

    fn mode(&mut self, mode: &str) -> Result<Next, Trouble> {
        self.mode = match mode {
            "" => self.mode,
            "latest" => Mode::Latest,
            "random" => Mode::Random,
            who => Mode::One(self.pick(who)?.id()),
        };
        self.done(&match self.mode {
            Mode::Latest => "mode: latest".to_owned(),
            Mode::Random => "mode: random".to_owned(),
            Mode::One(id) => format!("mode: {id}"),
        })
    }

    fn ping(&mut self, who: &str) -> Result<Next, Trouble> {
        let client = self.pick(who)?;
        let time = client.ping()?;
        self.done(&pong(&client, time))
    }

    fn pingall(&mut self, _: &str) -> Result<Next, Trouble> {
        let clients = self.clients()?.all();
        // All at once, so that one that is slow keeps nobody waiting.
        let times: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> =
                clients.iter().map(|client| scope.spawn(|| client.ping())).collect();
            asked.into_iter().map(|ping| ping.join()).collect()
        });
        for (client, time) in clients.iter().zip(times) {
            self.say(&match time {
                Ok(Ok(time)) => pong(client, time),
                Ok(Err(problem)) => format!("{}: {problem}", client.id()),
                Err(_) => format!("{}: the ping panicked", client.id()),
            })?;
        }
        self.done(&format!("pinged {}", clients.len()))
    }

    fn send(&mut self, words: &str) -> Result<Next, Trouble> {
        let (action, data) = packet_words("send", words)?;
        let client = self.pick("")?;
        send(&client, action, data.as_bytes())?;
        self.done(&format!("sent `{}` to {}", shown(action.as_bytes()), client.id()))
    }

    fn broadcast(&mut self, words: &str) -> Result<Next, Trouble> {
        let (action, data) = packet_words("broadcast", words)?;
        let results = broadcast(&self.clients()?, action, data.as_bytes());
        let mut reached = 0;
        for (client, result) in &results {
            match result {
                Ok(()) => reached += 1,
                Err(error) => self.say(&format!("{}: {error}", client.id()))?,
            }
        }
        let action = shown(action.as_bytes());
        self.done(&format!("broadcast `{action}` to {reached} of {}", results.len()))
    }

    fn actions(&mut self, _: &str) -> Result<Next, Trouble> {
        let actions = self.hub.bindings().list();
        self.say(&format!("{} bound", actions.len()))?;
        for (action, runs) in actions {
            self.say(&format!("{action} ran {runs} times"))?;
        }
        Ok(Next::Read)
    }

    fn trigger(&mut self, words: &str) -> Result<Next, Trouble> {
        let (action, data) = packet_words("trigger", words)?;
        let client = self.pick("")?;
        let (data, created) = (Bytes::from(data.as_bytes()), SystemTime::now());
        let packet = Packet { action: action.into(), data, created, token: client.id() };
        self.hub.bindings().run(&packet, &client)?;
        self.done(&format!("triggered `{action}` for {}", client.id()))
    }

    fn suspend(&mut self, who: &str) -> Result<Next, Trouble> {
        self.set_suspended("suspend", who, true, "suspended")
    }

    fn resume(&mut self, who: &str) -> Result<Next, Trouble> {
        self.set_suspended("resume", who, false, "resumed")
    }

    fn set_suspended(
        &mut self,
        name: &'static str,
        who: &str,
        suspended: bool,
        done: &str,
    ) -> Result<Next, Trouble> {
        let client = self.pick(named(name, who)?)?;
        let already = if suspend(&client, suspended) { "" } else { " already" };
        self.done(&format!("{done} {}{already}", client.id()))
    }

    fn disconnect(&mut self, words: &str) -> Result<Next, Trouble> {
        let (who, reason) = first_word(named("disconnect", words)?);
        let (client, reason) = (self.pick(who)?, or_the_usual(reason));
        client.disconnect(reason);
        self.done(&format!("disconnected {}: {}", client.id(), shown(reason.as_bytes())))
    }

    fn dropall(&mut self, reason: &str) -> Result<Next, Trouble> {
        let (clients, reason) = (self.clients()?.all(), or_the_usual(reason));
        clients.iter().for_each(|client| client.disconnect(reason));
        self.done(&format!("dropped {}: {}", clients.len(), shown(reason.as_bytes())))
    }

    fn threads(&mut self, _: &str) -> Result<Next, Trouble> {
        let Some(names) = thread_names() else {
            return self.done("this system does not tell its threads");
        };
        self.say(&format!("{} threads", names.values().sum::<usize>()))?;
        for (name, count) in names {
            self.say(&format!("{count} {name}"))?;
        }
        Ok(Next::Read)
    }

    fn clear(&mut self, _: &str) -> Result<Next, Trouble> {
        // The screen, then the cursor to its beginning.
        self.done("\x1b[2J\x1b[Hcleared")
    }

    fn stop(&mut self, _: &str) -> Result<Next, Trouble> {
        self.hub.stop();
        self.say("stopped")?;
        Ok(Next::Stop)
    }

    fn clients(&self) -> Result<Connections, Trouble> {
        self.hub.clients().ok_or(Trouble::NotStarted)
    }

    /// The client that is named, or that the mode means.
    fn pick(&self, who: &str) -> Result<Connection, Trouble> {
        let clients = self.clients()?;
        match (who, self.mode) {
            ("latest", _) | ("", Mode::Latest) => clients.latest().ok_or(Trouble::Nobody),
            ("random", _) | ("", Mode::Random) => clients.random().ok_or(Trouble::Nobody),
            ("", Mode::One(id)) => {
                clients.get(id).ok_or_else(|| Trouble::NoSuchClient(id.to_string()))
            }
            (token, _) => by_token(&clients, token),
        }
    }
}

fn by_token(clients: &Connections, token: &str) -> Result<Connection, Trouble> {
    let mut all = clients.all();
    all.retain(|client| token.len() >= PREFIX && client.id().to_string().starts_with(token));
    match all.len() {
        0 => Err(Trouble::NoSuchClient(token.into())),
        1 => Ok(all.remove(0)),
        _ => Err(Trouble::Ambiguous(token.into())),
    }
}

fn find(name: &str) -> Result<&'static Command, Trouble> {
    let command = COMMANDS.iter().find(|command| command.name == name);
    command.ok_or_else(|| Trouble::Unknown(name.into()))
}

fn usage(name: &'static str) -> Trouble {
    Trouble::Usage(name, find(name).map_or("", |command| command.takes))
}

/// What a command cannot do without.
fn named<'w>(name: &'static str, words: &'w str) -> Result<&'w str, Trouble> {
    Some(words).filter(|words| !words.is_empty()).ok_or_else(|| usage(name))
}

fn packet_words<'w>(name: &'static str, words: &'w str) -> Result<(&'w str, &'w str), Trouble> {
    named(name, words).map(first_word)
}

fn first_word(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

fn or_the_usual(reason: &str) -> &str {
    match reason {
        "" => "disconnected by the operator",
        reason => reason,
    }
}

fn pong(client: &Connection, time: Duration) -> String {
    format!("{}: {:.3} ms", client.id(), time.as_secs_f64() * 1000.0)
}

fn state(client: &Connection) -> &'static str {
    match State::of(client.session()).is_suspended() {
        true => "suspended",
        false => "open",
    }
}

fn age(since: SystemTime) -> Duration {
    // A clock that was set back makes nothing younger than it is.
    since.elapsed().unwrap_or_default()
}

/// How many threads there are of each name, where the system tells.
fn thread_names() -> Option<BTreeMap<String, usize>> {
    let mut names = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").ok()? {
        // A thread may end while it is looked at.
        let Ok(name) = fs::read_to_string(task.ok()?.path().join("comm")) else { continue };
        *names.entry(name.trim().to_owned()).or_default() += 1;
    }
    Some(names)
}
