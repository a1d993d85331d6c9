//! All that is to be known of tokens before they are taken back or rotated, by one statement: each more is another way there and back,
//! which somebody who writes alone waits for.

use std::collections::HashMap;

use tokenward_core::caller::Grant;
use tokenward_core::token::Token;
use tokenward_core::{Result, Uuid};

use super::many::is_asked_for;
use super::news::NamedSecret;
use super::{IndexRow, TokenRow};
use crate::db::{Conn, Joined, Perhaps, by_ids, hex_bytes};

/// What is known of tokens that were not taken back.
#[derive(Clone, Default, Debug)]
pub struct About {
    /// Those that are asked for with a right in their organization. Who holds the text of a token takes back any kind of it.
    pub living: HashMap<Uuid, Token>,
    /// The secrets of all of them.
    pub rows: Vec<IndexRow>,
    /// What is kept for ever of the digests of these, by token, in hexadecimal.
    pub used: Vec<(Uuid, String)>,
}

/// A secret in each row. What tells of the token stands beside its newest one alone: some have very many earlier ones.
const ABOUT: &str = concat!(
    "SELECT ",
    token_columns!(),
    ", k.id AS named_id, k.organization_id AS named_organization, k.kind AS named_kind, k.role_id AS named_role, ",
    "k.name AS named_name, k.not_before AS named_begin, k.expires_at AS named_end, k.networks AS named_networks, ",
    "k.permissions AS named_permissions, k.allowance AS named_allowance, k.brownout AS named_brownout, ",
    "k.revoked_at AS named_revoked, k.disabled_at AS named_disabled, NULL AS named_labels, NULL AS named_metadata, ",
    "s.version AS secret_version, s.expires_at AS secret_end, s.digest AS secret_digest, s.last_four AS secret_last_four, ",
    "CASE WHEN s.registered THEN 1 ELSE 0 END AS secret_registered, ",
    "coalesce(s.used, substr(s.digest, 1, 16)) AS secret_used ",
    "FROM token k JOIN token_secret s ON s.token_id = k.id LEFT JOIN token t ON t.id = k.id AND t.version = s.version ",
    "LEFT JOIN organization o ON o.id = t.organization_id LEFT JOIN role r ON r.id = t.role_id ",
    "LEFT JOIN account a ON a.id = t.owner_id WHERE k.id IN"
);

/// What is known of these tokens, as far as they were not taken back.
pub async fn about(conn: Conn<'_>, wanted: &[(&Grant, Uuid)]) -> Result<About> {
    let ids: Vec<Uuid> = wanted.iter().map(|(_, id)| *id).collect();
    let all: Vec<Joined<Perhaps<TokenRow>, NamedSecret>> = by_ids(conn, ABOUT, &ids).await?;
    let mut about = About::default();
    for Joined(Perhaps(token), named) in all {
        if named.named_revoked.is_some() {
            continue;
        }
        if let Some(token) = token.map(Token::from).filter(|token| is_asked_for(wanted, token)) {
            about.living.insert(token.id, token);
        }
        let Some(row) = named.index_row() else { continue };
        about.used.extend(named.secret_used.as_deref().map(|used| (row.token_id, hex_bytes(used))));
        about.rows.push(row);
    }
    Ok(about)
}
