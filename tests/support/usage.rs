//! What a process uses, as the kernel counts it.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

/// A process in `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage(u32);

/// This process.
pub fn own() -> Usage {
    Usage(std::process::id())
}

/// Another one.
pub fn of(pid: u32) -> Usage {
    Usage(pid)
}

impl Usage {
    fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    fn entries(self, name: &str) -> usize {
        fs::read_dir(self.path(name)).map_or(0, Iterator::count)
    }

    /// Open descriptors.
    pub fn descriptors(self) -> usize {
        self.entries("fd")
    }

    /// Open descriptors with numbers below this, which is what a limit of the system counts.
    pub fn descriptors_below(self, limit: u32) -> usize {
        let Ok(entries) = fs::read_dir(self.path("fd")) else { return 0 };
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        entries.flatten().filter_map(number).filter(|number| *number < limit).count()
    }

    /// Threads.
    pub fn threads(self) -> usize {
        self.entries("task")
    }

    /// CPU time of the threads that exist, to the nanosecond.
    pub fn cpu(self) -> Duration {
        self.tasks().into_iter().map(|task| task.cpu).sum()
    }

    /// How often its threads have been woken and put on a processor.
    pub fn runs(self) -> u64 {
        self.tasks().into_iter().map(|task| task.runs).sum()
    }

    /// The threads that exist.
    pub fn tasks(self) -> Vec<Task> {
        let Ok(tasks) = fs::read_dir(self.path("task")) else { return Vec::new() };
        let paths = tasks.flatten().map(|entry| entry.path());
        paths.filter_map(|path| Task::read(&path)).collect()
    }

    /// The threads that run or could, but for the one that asks.
    pub fn ready(self) -> Vec<u64> {
        let me = thread_id();
        let tasks = self.tasks().into_iter().map(|task| task.id).filter(|id| *id != me);
        tasks.filter(|id| self.state(*id) == Some('R')).collect()
    }

    /// What a thread does, in the kernel's letters.
    fn state(self, thread: u64) -> Option<char> {
        let stat = fs::read_to_string(self.path(&format!("task/{thread}/stat"))).ok()?;
        // It follows the name, which is in brackets and may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// Whether no thread of it can run: a signal stops them one by one.
    pub fn is_stopped(self) -> bool {
        let tasks = self.tasks();
        !tasks.is_empty() && tasks.iter().all(|task| self.state(task.id) == Some('T'))
    }

    /// How long threads of this library and of `caller` were ready and did not run: for each name
    /// the thread that waited longest, since threads of one name work side by side.
    pub fn kept_waiting(self, caller: u64) -> Waits {
        let ours = |task: &Task| task.id == caller || task.name.starts_with("isock");
        Waits(self.tasks().into_iter().filter(ours).collect())
    }

    /// Bytes of memory that are resident.
    pub fn memory(self) -> usize {
        let statm = fs::read_to_string(self.path("statm")).unwrap_or_default();
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        pages.unwrap_or(0usize) * 4096
    }
}

/// See [`Usage::kept_waiting`].
#[derive(Clone, Debug)]
pub struct Waits(Vec<Task>);

impl Waits {
    /// Counts the threads of another process too.
    pub fn add(&mut self, other: Waits) {
        self.0.extend(other.0);
    }

    /// What has been added since `before`.
    pub fn since(&self, before: &Waits) -> Duration {
        let mut longest = BTreeMap::<&str, Duration>::new();
        for task in &self.0 {
            let old = before.0.iter().find(|old| old.id == task.id);
            let waited = task.waited.saturating_sub(old.map_or(Duration::ZERO, |old| old.waited));
            let most = longest.entry(&task.name).or_default();
            *most = waited.max(*most);
        }
        longest.into_values().sum()
    }
}

/// The number of this thread.
///
/// # Panics
/// If the kernel does not tell.
pub fn thread_id() -> u64 {
    let path = fs::read_link("/proc/thread-self").expect("Linux");
    let id = path.file_name().and_then(|name| name.to_str()?.parse().ok());
    id.expect("the last part is a number")
}

/// What this thread has spent on the processor.
///
/// # Panics
/// If the kernel does not tell.
pub fn thread_time() -> Duration {
    // The kernel brings its account up to date when a thread yields.
    std::thread::yield_now();
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("the first field is a number"))
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its number.
    pub id: u64,
    /// Its name, as far as the kernel keeps it.
    pub name: String,
    /// The time that it has run.
    pub cpu: Duration,
    /// The time that it was ready to run and did not.
    pub waited: Duration,
    /// How often it was put on a processor.
    pub runs: u64,
}

impl Task {
    /// `None` if it has ended meanwhile.
    fn read(path: &std::path::Path) -> Option<Task> {
        let id = path.file_name()?.to_str()?.parse().ok()?;
        let name = fs::read_to_string(path.join("comm")).ok()?.trim().to_owned();
        let times = fs::read_to_string(path.join("schedstat")).ok()?;
        let mut numbers = times.trim_end().split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let (cpu, waited) = (Duration::from_nanos(next()?), Duration::from_nanos(next()?));
        Some(Task { id, name, cpu, waited, runs: next()? })
    }
}
