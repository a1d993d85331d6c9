//! The end of the log, as a writing transaction takes it.

use sqlx_macros::FromRow;
use tokenward_core::Uuid;

/// Which log it is, its last position, and the hash there.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Head {
    pub incarnation: Uuid,
    pub position: i64,
    pub hash: Vec<u8>,
}
