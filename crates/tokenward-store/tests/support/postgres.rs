//! A private PostgreSQL for tests, from the machine's own binaries. Used by the tests of other crates through `#[path]`.
//!
//! One server a test process, on a free port of the loopback, in a temporary folder. A small shell owns it and ends
//! it when the pipe to the test process closes, however that process ended: nothing is left behind by a crash.
//! It sorts text by language, as many real servers do and SQLite does not, so that a query relying on byte order fails.

#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::expect_used, reason = "support for tests: without a server the test has failed")]

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where Debian puts the server's programs; `TOKENWARD_TEST_POSTGRES` names another folder.
const BIN: &str = "/usr/lib/postgresql/15/bin";
const PATIENCE: Duration = Duration::from_secs(60);
/// How often another port is tried: between finding a free one and listening there somebody else may take it.
const TRIES: usize = 5;
/// For data that nobody needs afterwards.
const QUICK: Settings = &["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

type Settings = &'static [&'static str];

/// Runs the server until standard input closes, then removes its folder; SIGQUIT, because nobody needs the data, and
/// SIGCONT, because it may be frozen.
/// When the server ends by itself, so does this, and the folder stays for whoever asks why.
const OWNER: &str = r#"dir=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r _ <&3; : >"$dir/closed"; kill -QUIT "$server"; kill -CONT "$server"; } & guard=$!
wait "$server"
if [ -e "$dir/closed" ]; then rm -rf "$dir"; else kill "$guard"; fi"#;

/// A running server; dropping it stops it and removes its files.
pub struct Postgres {
    owner: Child,
    dir: TempDir,
    port: u16,
    settings: Settings,
    databases: AtomicU32,
}

/// The address of a new, empty database on the server that this test process shares.
pub fn fresh_database() -> String {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start).fresh_database()
}

impl Postgres {
    /// Starts a server of one's own, for a test that wants to stop it or to count what it does.
    pub fn start() -> Self {
        Self::start_with(QUICK)
    }

    /// The same with all that a server does so that nothing is lost, for what is measured.
    pub fn start_durable() -> Self {
        Self::start_with(&[])
    }

    fn start_with(settings: Settings) -> Self {
        let user = Unprivileged::find();
        let dir = tempfile::Builder::new().prefix("tokenward-postgres-").tempdir().expect("temporary folder");
        if let Some(user) = &user {
            chown(dir.path(), Some(user.uid), Some(user.gid)).expect("give the folder to the server's user");
        }
        let data = dir.path().join("data");
        let mut initdb = command("initdb", user.as_ref(), dir.path());
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        initdb.args(["--locale-provider=icu", "--icu-locale=en-US", "--pgdata"]).arg(&data);
        run(initdb);
        Self::launch(dir, settings).unwrap_or_else(|log| panic!("PostgreSQL does not start; its log:\n{log}"))
    }

    /// Starts the server whose data are in this folder: one that accepts connections, or the log of one that does not.
    fn launch(dir: TempDir, settings: Settings) -> Result<Self, String> {
        let (owner, port) = Self::spawn(dir.path(), settings);
        let mut server = Self { owner, dir, port, settings, databases: AtomicU32::new(0) };
        if server.starts() { Ok(server) } else { Err(server.log()) }
    }

    /// Does it accept connections in the end? Where somebody else has taken its port meanwhile it begins anew at another one.
    fn starts(&mut self) -> bool {
        for _ in 1..TRIES {
            if self.becomes_ready() {
                return true;
            }
            if !self.log().contains("could not bind") {
                return false;
            }
            (self.owner, self.port) = Self::spawn(self.dir.path(), self.settings);
        }
        self.becomes_ready()
    }

    fn spawn(dir: &Path, settings: Settings) -> (Child, u16) {
        let user = Unprivileged::find();
        let (data, port) = (dir.join("data"), free_port());
        let log = File::create(dir.join("log")).expect("log file");
        let mut owner = as_user(Command::new("sh"), user.as_ref(), dir);
        owner.args(["-c", OWNER, "sh"]).arg(dir).arg(program("postgres")).arg("-D").arg(&data);
        owner.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        owner.args(settings.iter().flat_map(|setting| ["-c", setting]));
        owner.args(["-c", "max_connections=200"]);
        owner.stdin(Stdio::piped()).stdout(log.try_clone().expect("log file")).stderr(log);
        // A group of its own: an interrupt at the terminal ends the test, and the closing pipe then ends the server.
        (owner.process_group(0).spawn().expect("run `sh`"), port)
    }

    /// From now on it speaks TLS with this certificate and key, and these lines say who may come in and how, before all others. What was
    /// connected stays so.
    pub fn secure(&self, certificate: &Path, key: &Path, who: &str) {
        let user = Unprivileged::find();
        let data = self.dir.path().join("data");
        let put = |name: &str, content: &[u8], mode: u32| {
            let path = data.join(name);
            std::fs::write(&path, content).expect("a file of the server");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its permissions");
            if let Some(user) = &user {
                chown(&path, Some(user.uid), Some(user.gid)).expect("give it to the server's user");
            }
        };
        put("server.crt", &std::fs::read(certificate).expect("a certificate"), 0o644);
        put("server.key", &std::fs::read(key).expect("a key"), 0o600);
        let before = std::fs::read_to_string(data.join("pg_hba.conf")).expect("who may come in");
        put("pg_hba.conf", format!("{who}\n{before}").as_bytes(), 0o600);
        let settings = std::fs::read_to_string(data.join("postgresql.conf")).expect("settings");
        let tls = "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n";
        put("postgresql.conf", format!("{settings}\n{tls}").as_bytes(), 0o600);
        signal("-HUP", &[self.process()]);
    }

    /// Ends all of its processes at once, as `pg_ctl stop -m immediate` does, and starts it again on the same data, at
    /// another port.
    pub fn crash(&mut self) {
        signal("-QUIT", &[self.process()]);
        let begun = Instant::now();
        // Not by `wait`, which closes standard input: then the folder would go as well.
        while matches!(self.owner.try_wait(), Ok(None)) {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        // What is left of the one before says that it is ready.
        let _ = std::fs::remove_file(self.dir.path().join("data/postmaster.pid"));
        (self.owner, self.port) = Self::spawn(self.dir.path(), self.settings);
        assert!(self.starts(), "it does not start again; its log:\n{}", self.log());
    }

    /// The process that begins all others.
    fn process(&self) -> String {
        let state = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid")).expect("a server that runs");
        state.lines().next().expect("its first line is the process").trim().to_owned()
    }

    fn becomes_ready(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(self.owner.try_wait(), Ok(None)) {
            // The eighth line is the server's state.
            let state = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid")).unwrap_or_default();
            if state.lines().nth(7).is_some_and(|it| ["ready", "standby"].contains(&it.trim())) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// A standby that has all that is committed now, and hears of nothing that comes later: one that lags.
    pub fn lagging_standby(&self) -> Self {
        let user = Unprivileged::find();
        let dir = tempfile::Builder::new().prefix("tokenward-standby-").tempdir().expect("temporary folder");
        if let Some(user) = &user {
            chown(dir.path(), Some(user.uid), Some(user.gid)).expect("give the folder to the server's user");
        }
        let data = dir.path().join("data");
        let mut copy = command("pg_basebackup", user.as_ref(), dir.path());
        copy.args(["--host=127.0.0.1", "--username=postgres", "--port", &self.port.to_string()]);
        copy.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--pgdata"]).arg(&data);
        run(copy);
        let signal = data.join("standby.signal");
        File::create(&signal).expect("make it a standby");
        Self::launch(dir, QUICK).unwrap_or_else(|log| panic!("the standby does not start; its log:\n{log}"))
    }

    /// A standby takes over: it can be written from then on.
    pub fn promote(&self) {
        let mut promote = command("pg_ctl", Unprivileged::find().as_ref(), self.dir.path());
        promote.args(["promote", "--wait", "--pgdata"]).arg(self.dir.path().join("data"));
        run(promote);
    }

    /// Stops all of its processes where they are, as on a machine that hangs. They go on when the answer is dropped.
    pub fn freeze(&self) -> Frozen {
        let server = self.process();
        // First the one that would begin others.
        let mut frozen = Frozen(vec![server.clone()]);
        frozen.send("-STOP");
        frozen.0 = children(&server);
        frozen.send("-STOP");
        frozen.0.push(server);
        frozen
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The address of a new, empty database.
    pub fn fresh_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut createdb = command("createdb", None, self.dir.path());
        createdb.args(["--host=127.0.0.1", "--username=postgres", "--port", &self.port.to_string(), &name]);
        run(createdb);
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

/// A server that stands still; dropping this lets it go on.
pub struct Frozen(Vec<String>);

impl Frozen {
    fn send(&self, signal: &str) {
        self::signal(signal, &self.0);
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send("-CONT");
    }
}

/// Tells processes. Some may have ended meanwhile. Without an `expect`: this runs in a drop, too.
pub fn signal(signal: &str, processes: &[String]) {
    let _ = Command::new("kill").arg(signal).args(processes).stderr(Stdio::null()).status();
}

/// A port of the loopback at which nobody listens now; soon somebody may.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).expect("free port").port()
}

/// The processes that this one has begun.
pub fn children(parent: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("the processes of this machine");
    let ids = all.filter_map(|it| it.ok()?.file_name().into_string().ok());
    ids.filter(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Behind the name in brackets, which may hold blanks: its state, and who began it.
        let began = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        id.bytes().all(|it| it.is_ascii_digit()) && began == Some(parent)
    })
    .collect()
}

/// A PgBouncer before a database; dropping it stops it.
pub struct Pooler {
    child: Child,
    _dir: TempDir,
    /// The address that leads through it.
    pub url: String,
}

impl Pooler {
    /// Before the database of this address, in this mode.
    pub fn before(url: &str, mode: &str) -> Self {
        const PROGRAM: &str = "/usr/sbin/pgbouncer";
        assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: `./scripts/test --install` installs it");
        let (server, database) = url.rsplit_once('/').expect("an address with a database");
        let server_port = server.rsplit_once(':').expect("an address with a port").1;
        let user = Unprivileged::find();
        let dir = tempfile::Builder::new().prefix("tokenward-pooler-").tempdir().expect("temporary folder");
        if let Some(user) = &user {
            chown(dir.path(), Some(user.uid), Some(user.gid)).expect("give the folder to the pooler's user");
        }
        let begun = Instant::now();
        // Where somebody else has taken its port meanwhile it ends, and begins anew at another one.
        while begun.elapsed() < PATIENCE {
            let port = free_port();
            let settings = format!(
                "[databases]\n{database} = host=127.0.0.1 port={server_port} user=postgres\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
                 ignore_startup_parameters = extra_float_digits\n"
            );
            std::fs::write(dir.path().join("pgbouncer.ini"), settings).expect("settings of the pooler");
            let mut command = as_user(Command::new(PROGRAM), user.as_ref(), dir.path());
            command.arg("pgbouncer.ini").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("run pgbouncer");
            while begun.elapsed() < PATIENCE && matches!(child.try_wait(), Ok(None)) {
                let listens = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
                if listens && matches!(child.try_wait(), Ok(None)) {
                    let url = format!("postgres://postgres@127.0.0.1:{port}/{database}");
                    return Self { child, _dir: dir, url };
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("pgbouncer does not start");
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.owner.stdin.take());
        // Without an `expect`: a panic here, during another, would hide the first.
        let _ = self.owner.wait();
    }
}

/// A command of a program that refuses to run as root, in a folder that it may write: of Debian's user for PostgreSQL, where root
/// runs the tests.
pub fn unprivileged(program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let user = Unprivileged::find();
    if let Some(user) = &user {
        chown(dir, Some(user.uid), Some(user.gid)).expect("give the folder to the program's user");
    }
    as_user(Command::new(program), user.as_ref(), dir)
}

/// PostgreSQL refuses to run as root, so root hands it to Debian's user for it.
struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Unprivileged {
    fn find() -> Option<Self> {
        let id = |args: &[&str]| -> u32 {
            let out = Command::new("id").args(args).output().expect("run `id`");
            String::from_utf8_lossy(&out.stdout)
                .trim()
                .parse()
                .expect("a user named `postgres`, which Debian's package makes")
        };
        (id(&["-u"]) == 0).then(|| Self { uid: id(&["-u", "postgres"]), gid: id(&["-g", "postgres"]) })
    }
}

/// Where one of the server's programs is.
pub fn program(name: &str) -> PathBuf {
    let bin = std::env::var_os("TOKENWARD_TEST_POSTGRES").map_or_else(|| PathBuf::from(BIN), PathBuf::from);
    let program = bin.join(name);
    assert!(program.exists(), "{} is missing: `./scripts/test --install` installs it", program.display());
    program
}

fn command(name: &str, user: Option<&Unprivileged>, dir: &Path) -> Command {
    as_user(Command::new(program(name)), user, dir)
}

fn as_user(mut command: Command, user: Option<&Unprivileged>, dir: &Path) -> Command {
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    // The environment's PG* variables and the test's own folder, which the server's user may not enter, stay outside.
    command.current_dir(dir).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
    command
}

fn run(mut command: Command) {
    let out = command.stdin(Stdio::null()).output().expect("run a PostgreSQL program");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}
