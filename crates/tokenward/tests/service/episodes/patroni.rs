//! A cluster that fails over by itself, under load: Patroni with etcd, HAProxy before its servers, and PgBouncer before one of the
//! nodes, all from Debian and on the loopback.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::faults::SETTLES;
use super::load::Nodes;
use super::{TURN, number, watch};
use crate::postgres::{Pooler, children, free_port, signal, unprivileged};
use crate::process::text;
use crate::proxy::{Flow, Proxy};

const PATRONI: &str = "/usr/bin/patroni";
const ETCD: &str = "/usr/bin/etcd";
const HAPROXY: &str = "/usr/sbin/haproxy";
/// How long a cluster may take to find a leader: it counts to twenty seconds before it gives one up.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for the end of standard input, as it comes when the test ends in any way; then ends what the files name, where that is
/// still a process of this folder.
const GUARD: &str = r#"dir=$1; read -r _
end() { case $(tr '\0' ' ' 2>/dev/null <"/proc/$2/cmdline") in *"$dir"*) kill "$1" "$2";; esac; }
while read -r id; do end -KILL "$id"; done <"$dir/ids"
for file in "$dir"/*/data/postmaster.pid; do
    if [ -e "$file" ]; then read -r id <"$file"; end -QUIT "$id"; fi
done
sleep 1; rm -rf "$dir""#;

/// One server with its Patroni.
struct Member {
    folder: PathBuf,
    child: Child,
    port: u16,
    rest: u16,
    /// The way by which the others follow it.
    followed: Proxy,
}

struct Cluster {
    guard: Child,
    /// What keeps the leader's key, and what leads to the leader.
    around: Vec<Child>,
    members: Vec<Member>,
    http: reqwest::Client,
    synchronous: bool,
    /// The address by which nodes find whoever leads.
    url: String,
    folder: TempDir,
}

/// Starts a program in this folder, notes its id there, and writes what it says beside it.
fn start(program: &str, folder: &Path, root: &Path, arguments: &[&str]) -> Child {
    assert!(Path::new(program).exists(), "{program} is missing: `./scripts/test --install-cluster` installs it");
    let name = Path::new(program).file_name().unwrap().to_str().unwrap();
    let log = File::create(folder.join(format!("{name}.log"))).unwrap();
    let mut command = unprivileged(program, folder);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let child = command.process_group(0).spawn().unwrap();
    let mut ids = File::options().append(true).create(true).open(root.join("ids")).unwrap();
    writeln!(ids, "{}", child.id()).unwrap();
    child
}

fn settings(name: &str, folder: &Path, etcd: u16, ports: [u16; 3], synchronous: bool) -> String {
    let ([port, rest, followed], folder) = (ports, text(folder));
    format!(
        "scope: tokenward
namespace: /service/
name: {name}
restapi:
  listen: 127.0.0.1:{rest}
  connect_address: 127.0.0.1:{rest}
etcd3:
  hosts: 127.0.0.1:{etcd}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 104857600
    synchronous_mode: {synchronous}
    postgresql:
      use_pg_rewind: false
      parameters:
        max_connections: 200
        hot_standby: 'on'
        wal_level: replica
        max_wal_senders: 10
        max_replication_slots: 10
  initdb:
  - encoding: UTF8
  - locale: C.UTF-8
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{followed}
  data_dir: {folder}/data
  bin_dir: /usr/lib/postgresql/15/bin
  pgpass: {folder}/pgpass
  authentication:
    superuser:
      username: postgres
      password: postgres
    replication:
      username: replicator
      password: replicator
  parameters:
    unix_socket_directories: {folder}
  pg_hba:
  - host all all 127.0.0.1/32 trust
  - host replication all 127.0.0.1/32 trust
"
    )
}

impl Cluster {
    async fn start(synchronous: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("tokenward-cluster-").tempdir().unwrap();
        let root = folder.path();
        File::create(root.join("ids")).unwrap();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh"]).arg(root).stdin(Stdio::piped()).stdout(Stdio::null());
        let guard = guard.process_group(0).spawn().unwrap();

        let (client, peer) = (free_port(), free_port());
        let (clients, peers) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let data = root.join("etcd");
        let all = format!("one={peers}");
        let arguments = ["--name", "one", "--data-dir", text(&data), "--initial-cluster", &all];
        let here = ["--listen-client-urls", &clients, "--advertise-client-urls", &clients];
        let there = ["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers];
        let mut around = vec![start(ETCD, root, root, &[&arguments[..], &here, &there].concat())];

        let mut members = Vec::new();
        for name in ["x", "y", "z"] {
            let (port, rest, own) = (free_port(), free_port(), root.join(name));
            let followed = Proxy::before(([127, 0, 0, 1], port).into()).await;
            std::fs::create_dir(&own).unwrap();
            let file = own.join("patroni.yml");
            std::fs::write(&file, settings(name, &own, client, [port, rest, followed.port], synchronous)).unwrap();
            let child = start(PATRONI, &own, root, &[text(&file)]);
            members.push(Member { folder: own, child, port, rest, followed });
        }

        let front = free_port();
        let mut leads = format!(
            "global\n  maxconn 1000\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 30m\n  timeout server 30m\n  \
             timeout check 1s\nlisten database\n  bind 127.0.0.1:{front}\n  option httpchk OPTIONS /primary\n  \
             http-check expect status 200\n  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions\n"
        );
        for (number, member) in members.iter().enumerate() {
            leads += &format!("  server s{number} 127.0.0.1:{} check port {}\n", member.port, member.rest);
        }
        let file = root.join("haproxy.cfg");
        std::fs::write(&file, leads).unwrap();
        around.push(start(HAPROXY, root, root, &["-db", "-f", text(&file)]));

        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
        let url = format!("postgres://postgres@127.0.0.1:{front}/tokenward");
        let cluster = Self { guard, around, members, http, synchronous, url, folder };
        let leader = cluster.leader(None).await;
        let first = format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.members[leader].port);
        let mut conn = PgConnection::connect(&first).await.unwrap();
        sqlx::raw_sql("CREATE DATABASE tokenward").execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        cluster.is_followed(leader, 2).await;
        cluster
    }

    /// What a member answers to a question of this kind.
    async fn asked(&self, member: usize, path: &str) -> Option<(u16, String)> {
        let url = format!("http://127.0.0.1:{}{path}", self.members[member].rest);
        let response = self.http.get(url).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    /// Who leads; another one than that.
    async fn leader(&self, but: Option<usize>) -> usize {
        let begun = Instant::now();
        loop {
            for member in (0..self.members.len()).filter(|it| Some(*it) != but) {
                if self.asked(member, "/primary").await.is_some_and(|(status, _)| status == 200) {
                    return member;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads:\n{}", self.said());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until so many others follow the leader, and one of them synchronously where that is wanted.
    async fn is_followed(&self, leader: usize, by: usize) {
        let begun = Instant::now();
        loop {
            let told = self.asked(leader, "/cluster").await.map(|(_, text)| text).unwrap_or_default();
            let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
            let members = told["members"].as_array().cloned().unwrap_or_default();
            let are = |roles: &[&str]| {
                let runs = |it: &&serde_json::Value| {
                    let state = it["state"].as_str().unwrap_or_default();
                    ["running", "streaming"].contains(&state)
                        && roles.contains(&it["role"].as_str().unwrap_or_default())
                };
                members.iter().filter(runs).count()
            };
            if are(&["replica", "sync_standby"]) >= by && (!self.synchronous || are(&["sync_standby"]) > 0) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody follows: {told}\n{}", self.said());
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The machine of the leader is gone; the cluster finds another one by itself. Without synchronous replication the others have
    /// not heard the last of it.
    async fn loses_its_leader(&self, nodes: &Nodes) {
        let leader = self.leader(None).await;
        let member = &self.members[leader];
        if !self.synchronous {
            member.followed.set(Flow::Stall);
            nodes.more(3).await;
            sleep(nodes.choices.moment(200, 1_500)).await;
        }
        let began = Instant::now();
        let state = std::fs::read_to_string(member.folder.join("data/postmaster.pid")).unwrap();
        let server = state.lines().next().unwrap().trim().to_owned();
        let mut all = vec![member.child.id().to_string(), server.clone()];
        all.extend(children(&server));
        signal("-KILL", &all);
        member.followed.set(Flow::Refuse);
        let new = self.leader(Some(leader)).await;
        println!("{} leads after {:?}", self.members[new].folder.display(), began.elapsed());
        if !self.synchronous {
            nodes.demands.lock().unwrap().unsettled.push((began, Instant::now() + SETTLES));
        }
        nodes.more(5).await;
    }

    /// What its programs have said last.
    fn said(&self) -> String {
        let logs = self.members.iter().map(|it| it.folder.join("patroni.log"));
        let last = logs.chain([self.folder.path().join("etcd.log")]).map(|file| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(20).collect();
            format!("{}:\n{}", file.display(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        });
        last.collect::<Vec<_>>().join("\n\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // Without an `unwrap`: a panic here, during another, would hide the first.
        let _ = self.guard.wait();
        for child in self.around.iter_mut().chain(self.members.iter_mut().map(|it| &mut it.child)) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn fails_over(synchronous: bool) {
    let _turn = TURN.lock().await;
    let cluster = Cluster::start(synchronous).await;
    let pooler = block_in_place(|| Pooler::before(&cluster.url, "session"));
    let urls = [cluster.url.clone(), cluster.url.clone(), pooler.url.clone()];
    let seed = number("TOKENWARD_SEED", 1);
    let nodes = Nodes::on(seed, &cluster.url, &urls, Vec::new(), None).await;
    nodes.demands.lock().unwrap().may_lose = !synchronous;
    let what = if synchronous { "Patroni-synchronous" } else { "Patroni-asynchronous" };
    watch(&nodes, what, seed, async |nodes: &Arc<Nodes>| {
        cluster.loses_its_leader(nodes).await;
        let leader = cluster.leader(None).await;
        cluster.is_followed(leader, 1).await;
        cluster.loses_its_leader(nodes).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs Patroni, etcd and HAProxy: scripts/prove"]
async fn nothing_impossible_is_answered_while_a_cluster_fails_over_twice_that_replicates_asynchronously() {
    fails_over(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs Patroni, etcd and HAProxy: scripts/prove"]
async fn a_cluster_that_replicates_synchronously_fails_over_twice_and_loses_nothing() {
    fails_over(true).await;
}
