//! Who has which processors: those who ask must not take them from the servers, and be a part of what is measured.

use std::process::Command;

/// Two halves, as `taskset` names them.
#[derive(Clone, Debug)]
pub struct Processors {
    pub servers: String,
    /// This process, with its attackers and the neighbour.
    pub load: String,
}

impl Processors {
    /// Divides those that this process may use, and leaves it the second half. `None` where there is only one, or `taskset` is
    /// missing: then all share them, and the report says so.
    pub fn divide() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let allowed = listed(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim())?;
        let (servers, load) = allowed.split_at(allowed.len() / 2);
        if servers.is_empty() {
            return None;
        }
        let named = |all: &[usize]| all.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let (servers, load) = (named(servers), named(load));
        let own = std::process::id().to_string();
        let pinned = Command::new("taskset").args(["-a", "-c", "-p", &load, &own]).output();
        match pinned {
            Ok(output) if output.status.success() => Some(Self { servers, load }),
            _ => {
                println!("taskset is missing or refused: servers and load share all processors");
                None
            }
        }
    }
}

/// The numbers of a list such as `0-2,5`.
fn listed(text: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(all)
}
