//! What the server takes of the machine.

use std::time::Duration;

/// Memory and open files: at one moment, or the most over a while.
#[derive(Clone, Copy, Default, Debug)]
pub struct Observed {
    /// Bytes in memory.
    pub memory: u64,
    /// Open files, sockets among them.
    pub files: usize,
}

/// At this moment.
pub fn now(pid: u32) -> Observed {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server is alive");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the server is alive").count();
    Observed { memory: kib * 1_024, files }
}

/// The most for so long.
pub async fn watch(pid: u32, time: Duration) -> Observed {
    let end = tokio::time::Instant::now() + time;
    let mut most = Observed::default();
    while tokio::time::Instant::now() < end {
        let now = now(pid);
        most = Observed { memory: most.memory.max(now.memory), files: most.files.max(now.files) };
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    most
}
