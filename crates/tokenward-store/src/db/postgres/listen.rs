//! NOTIFY and LISTEN: how nodes hear that another one has written.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokenward_core::Uuid;
use tokenward_core::error::{Error, Result};
use tokio::time::timeout;

use super::super::error::{fail, late};
use super::super::hint::Hint;
use super::{Pool, Session};

/// How far the log goes, for all. What is said in a transaction is heard when it is committed, and never when it is not.
pub(crate) const PUT_HEAD: &str = "WITH head AS (UPDATE log_head SET position = $1, hash = $2, place = $3 RETURNING position) \
                                   SELECT pg_notify('tokenward_written', position::text) FROM head";
/// How far a node is, for whoever waits for it.
pub(crate) const PUT_APPLIED: &str = "WITH told AS (UPDATE node SET position = $2, hash = $3, log = $4, applied_at = CASE WHEN position = $2 THEN applied_at \
     ELSE (extract(epoch FROM clock_timestamp()) * 1000000)::bigint END WHERE id = $1 RETURNING id, position, applied_at) \
     SELECT applied_at, pg_notify('tokenward_applied', position::text || ' ' || id::text) FROM told";
const WRITTEN: &str = "tokenward_written";
const APPLIED: &str = "tokenward_applied";
/// The server ends the connection of a node that is not there any more: what is said for it would pile up.
const SETTINGS: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";
/// How long it may take until it listens.
const CONNECT: Duration = Duration::from_secs(5);

/// The channel of one node.
fn channel_of(node: Uuid) -> String {
    format!("tokenward_node_{}", node.simple())
}

/// Says something to a node.
pub(crate) async fn say_to(session: &mut Session, node: Uuid) -> Result<()> {
    let answer = {
        let (patience, c) = session.statement();
        timeout(patience, sqlx::query("SELECT pg_notify($1, '')").bind(channel_of(node)).execute(c)).await
    };
    session.answered(answer).map(|_| ())
}

/// A connection that listens.
pub(crate) struct Listener {
    /// The driver makes it out of a pool, so that it has one of its own.
    inner: PgListener,
    own: String,
}

impl Listener {
    pub(crate) async fn connect(pool: &Pool, node: Uuid) -> Result<Self> {
        let own = channel_of(node);
        let connecting = async {
            let alone = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
            let mut inner = PgListener::connect_with(&alone.connect_lazy_with(pool.options().clone())).await?;
            inner.eager_reconnect(false);
            sqlx::raw_sql(SETTINGS).execute(&mut inner).await?;
            inner.listen_all([WRITTEN, APPLIED, own.as_str()]).await?;
            Ok::<_, sqlx::Error>(inner)
        };
        let inner = timeout(CONNECT, connecting).await.map_err(|_| late())?.map_err(fail)?;
        Ok(Self { inner, own })
    }

    pub(crate) async fn next(&mut self) -> Result<Hint> {
        loop {
            let said = self.inner.try_recv().await.map_err(fail)?;
            let said = said.ok_or_else(|| Error::unavailable("The connection that listens has ended."))?;
            match said.channel() {
                WRITTEN => {
                    // Anybody who may use the database can say anything.
                    if let Ok(position) = said.payload().parse() {
                        return Ok(Hint::Written(position));
                    }
                }
                APPLIED => {
                    let node = said.payload().split_once(' ').and_then(|(_, id)| Uuid::try_parse(id).ok());
                    return Ok(Hint::Applied(node));
                }
                channel if channel == self.own => return Ok(Hint::Echo),
                _ => {}
            }
        }
    }
}
