//! Who a handler sees at the other end.

use crate::{
    child::{self, Process},
    folder::Folder,
};
use isock::{Action, Client, Server, ServerHandle};
use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process,
};

/// Who calls: process, user and group, and the address.
#[derive(Action)]
#[action(output = (Option<(Option<u32>, u32, u32)>, String), kind = read)]
struct Who;

fn server(path: &Path) -> ServerHandle {
    let who = Server::builder().on::<Who>(|(), cx| {
        let peer = cx.peer();
        let credentials = peer.credentials();
        Ok((credentials.map(|c| (c.pid(), c.uid(), c.gid())), peer.address().to_string()))
    });
    who.listen(path).bind("127.0.0.1:0").unwrap().spawn().unwrap()
}

/// The user and group of this process.
fn own() -> (u32, u32) {
    let own = if cfg!(target_os = "linux") { "/proc/self" } else { "." };
    let own = fs::metadata(own).unwrap();
    (own.uid(), own.gid())
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_says_who_calls_over_a_path_and_nobody_over_tcp() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let server = server(&path);
    let [unix, tcp] = server.addresses() else { panic!("{:?}", server.addresses()) };
    let (uid, gid) = own();
    let (who, address) = Client::connect(unix).unwrap().run::<Who>(()).unwrap();
    assert_eq!(who, Some((Some(process::id()), uid, gid)));
    assert_eq!(address, format!("unix:{}", path.display()));
    assert_eq!(Client::connect(tcp).unwrap().run::<Who>(()).unwrap().0, None);
}

/// Root is let in everywhere and can become somebody else; others lock themselves out.
#[cfg(target_os = "linux")]
#[test]
fn another_user_is_kept_out_until_the_mode_lets_it_in() {
    // Two numbers, so that one cannot be taken for the other.
    const NOBODY: (u32, u32) = (65534, 65533);
    let folder = Folder::new();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = folder.join("x.sock");
    let _server = server(&path);
    let (uid, gid) = own();
    let is_root = uid == 0;
    // A copy, since the folder of this program may be closed to others.
    let program = folder.join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let mut command = child::command(&program, "stranger", &path);
    if is_root {
        command.uid(NOBODY.0).gid(NOBODY.1);
    } else {
        fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    }
    let mut process = Process::of(command);
    let said = process.hear();
    let start =
        format!("no server at unix:{} after 1 attempt: permission denied; ", path.display());
    assert!(said.starts_with(&start), "{said}");
    assert!(said.contains("run this program as the server's user"), "{said}");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    process.tell("again");
    let (uid, gid) = if is_root { NOBODY } else { (uid, gid) };
    assert_eq!(process.hear(), format!("{:?}", Some((Some(process.child.id()), uid, gid))));
}

pub fn stranger(path: &Path) {
    let connect = || Client::builder().attempts(1).connect(path);
    child::say(&connect().unwrap_err().to_string());
    child::listen();
    child::say(&format!("{:?}", connect().unwrap().run::<Who>(()).unwrap().0));
}
