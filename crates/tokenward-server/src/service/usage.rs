//! How API tokens are used.

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::token::Token;
use tokenward_core::{Result, Uuid};
pub use tokenward_store::usage::{TokenUsage, Usage, VersionUsage};

use super::App;

/// The use of tokens that the caller was shown, up to this moment; those that never were used are left out.
pub async fn of(app: &Arc<App>, grant: &Grant, tokens: &[Token]) -> Result<HashMap<Uuid, TokenUsage>> {
    // A token of another organization is never in a list that was made with this grant; this holds it.
    let own = tokens.iter().filter(|token| token.organization_id == grant.organization());
    let ids: Vec<Uuid> = own.map(|token| token.id).collect();
    let mut reader = app.read_for(grant).await?;
    app.verifier.usage(&mut reader, &ids).await
}
