//! The browser on this machine.

use std::env;
use std::process::{Command, Stdio};

/// Is there a browser on this machine that whoever sits at the terminal sees?
pub fn can_open() -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("BROWSER") {
        return true;
    }
    !set("SSH_CONNECTION") && (cfg!(target_os = "macos") || set("DISPLAY") || set("WAYLAND_DISPLAY"))
}

/// Opens an address. `false` where nothing could be started.
pub fn open(address: &str) -> bool {
    let usual = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let program = env::var_os("BROWSER").filter(|program| !program.is_empty()).unwrap_or_else(|| usual.into());
    let started = Command::new(program)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A browser has no business with it.
        .env_remove("TOKENWARD_TOKEN")
        .env_remove("TOKENWARD_TOKEN_FILE")
        .spawn();
    started.is_ok()
}
