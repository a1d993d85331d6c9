//! PostgreSQL as it is reached in earnest: by TLS that is checked, with a password that an address has to escape, by a user whose settings
//! are not ours.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokenward_server::serve;

use crate::listening::certified_for;
use crate::nodes::{PATIENCE, node_config, says};
use crate::other_log::{made, revoke};
use crate::postgres::Postgres;
use crate::support::Server;

/// What stands between the parts of an address, and letters that need more than a byte.
const PASSWORD: &str = "a@b:c/d#e%f?g&h=i+j k'l\"m\\nüß日本-Ω";

/// Each byte in the form in which every address takes it.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A server that lets Ada in by TLS and by her password alone, certified by `ours.pem` for the name `localhost`.
struct Secured {
    server: Postgres,
    files: TempDir,
    database: String,
}

impl Secured {
    async fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        certified_for(files.path(), "ours", "server", "DNS:localhost");
        certified_for(files.path(), "others", "stranger", "DNS:localhost");
        let made = tokio::task::spawn_blocking(|| {
            let server = Postgres::start();
            let url = server.fresh_database();
            (server, url)
        });
        let (server, url) = made.await.unwrap();
        let database = url.rsplit_once('/').unwrap().1.to_owned();
        let mut by_hand = PgConnection::connect(&url).await.unwrap();
        let password = PASSWORD.replace('\'', "''");
        let role = format!("SET standard_conforming_strings = on; CREATE ROLE ada LOGIN PASSWORD '{password}'");
        let settings = "ALTER ROLE ada SET timezone = 'Pacific/Chatham'; ALTER ROLE ada SET statement_timeout = '700ms'; \
                        ALTER ROLE ada SET lock_timeout = '5ms'; ALTER ROLE ada SET datestyle = 'SQL, DMY'";
        for sql in [role, settings.to_owned(), format!("ALTER DATABASE {database} OWNER TO ada")] {
            by_hand.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
        }
        let who = "hostssl all ada 127.0.0.1/32 scram-sha-256\nhost all ada 127.0.0.1/32 reject";
        server.secure(&files.path().join("server.pem"), &files.path().join("server.key"), who);
        let begun = Instant::now();
        loop {
            let mut anew = PgConnection::connect(&url).await.unwrap();
            let on: String = sqlx::query_scalar("SHOW ssl").fetch_one(&mut anew).await.unwrap();
            if on == "on" {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "it speaks no TLS");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { server, files, database }
    }

    /// Ada's address of the server by this name, with this authority where one is named.
    fn address(&self, host: &str, mode: &str, authority: Option<&str>) -> String {
        let (port, password) = (self.server.address().port(), escaped(PASSWORD));
        let authority = authority.map(|name| format!("&sslrootcert={}", self.files.path().join(name).display()));
        let authority = authority.unwrap_or_default();
        format!("postgres://ada:{password}@{host}:{port}/{}?sslmode={mode}{authority}", self.database)
    }

    async fn refused(&self, address: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let refused = serve::start(node_config(directory.path(), "a", address)).await.err();
        let said = format!("{:#}", refused.unwrap_or_else(|| panic!("{address} is good")));
        assert!(!said.contains(PASSWORD) && !said.contains(&escaped(PASSWORD)), "{said}");
        said
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_checked_certificate_and_a_strange_password_it_serves_whatever_the_user_is_set_to() {
    let secured = Secured::start().await;
    let beside = {
        let (port, authority) = (secured.server.address().port(), secured.files.path().join("ours.pem"));
        let (user, password, database) = ("ada", escaped(PASSWORD), &secured.database);
        let options =
            format!("user={user}&password={password}&sslmode=verify-full&sslrootcert={}", authority.display());
        format!("postgres://localhost:{port}/{database}?{options}")
    };
    let address = secured.address("localhost", "verify-full", Some("ours.pem"));
    for (round, address) in [address, beside].into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let config = node_config(directory.path(), "a", &address);
        let server = Server::start_with(directory, config).await;
        if round > 0 {
            assert_eq!(server.get("/readyz?for=write", "").await.status, 200);
            server.stop().await;
            continue;
        }
        let acme = server.set_up().await;
        let asking = server.token(&acme, "asking", "admin").await;
        let (id, text) = made(&server, &acme, "ci").await;
        assert_eq!(says(&server, &asking, &text).await.1, "valid");
        assert_eq!(revoke(&server, &acme, &id).await.status, 204);
        assert_eq!(says(&server, &asking, &text).await.1, "revoked");
        // A time is the one that it is, whatever zone the server writes it in.
        let shown = server.get("/organization", &acme.owner).await.expect(200);
        let at = tokenward_core::Time::parse(shown["results"][0]["created_at"].as_str().unwrap()).unwrap();
        let off = server.running.app.now().0.saturating_sub(at.0);
        assert!((0..tokenward_core::time::HOUR / 2).contains(&off), "{off}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_name_or_authority_is_refused_where_that_is_to_be_checked() {
    let secured = Secured::start().await;
    // Its certificate is for another name; that it is certified at all is true.
    secured.refused(&secured.address("127.0.0.1", "verify-full", Some("ours.pem"))).await;
    // By somebody else.
    for mode in ["verify-ca", "verify-full"] {
        secured.refused(&secured.address("localhost", mode, Some("others.pem"))).await;
    }
    // Without TLS she may not come in, and with another password neither.
    secured.refused(&secured.address("localhost", "disable", None)).await;
    let wrong = secured.address("localhost", "require", None).replacen(&escaped(PASSWORD), "another", 1);
    secured.refused(&wrong).await;
    let directory = tempfile::tempdir().unwrap();
    let good = secured.address("127.0.0.1", "verify-ca", Some("ours.pem"));
    let config = node_config(directory.path(), "a", &good);
    let server = Server::start_with(directory, config).await;
    assert_eq!(server.get("/readyz?for=write", "").await.status, 200);
}
