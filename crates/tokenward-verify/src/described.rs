//! Labels and metadata of tokens, for answers that are asked to tell them. Most tokens have none, and most answers tell none:
//! they lie beside the index, and a decision does not read them.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use tokenward_core::Uuid;
use tokenward_core::sync::{read, write};
use tokenward_store::tokens::DescriptionRow;

/// What is told of a token on request: JSON objects.
#[derive(Debug)]
pub struct Description {
    /// Its labels; `None` where it has none.
    pub labels: Option<Box<str>>,
    /// Its metadata; `None` where it has none.
    pub metadata: Option<Box<str>>,
}

/// Descriptions by token.
#[derive(Default)]
pub(crate) struct Descriptions(RwLock<HashMap<Uuid, Arc<Description>>>);

fn held(row: DescriptionRow) -> (Uuid, Arc<Description>) {
    let described = Description { labels: row.labels.map(Into::into), metadata: row.metadata.map(Into::into) };
    (row.id, Arc::new(described))
}

impl Descriptions {
    pub(crate) fn get(&self, token: Uuid) -> Option<Arc<Description>> {
        read(&self.0).get(&token).cloned()
    }

    /// Puts these in the place of all.
    pub(crate) fn replace(&self, all: Vec<DescriptionRow>) {
        *write(&self.0) = all.into_iter().map(held).collect();
    }

    /// Puts these in the place of what is known of `tokens`.
    pub(crate) fn put(&self, tokens: &[Uuid], described: Vec<DescriptionRow>) {
        if described.is_empty() && read(&self.0).is_empty() {
            return;
        }
        let mut all = write(&self.0);
        tokens.iter().for_each(|token| drop(all.remove(token)));
        all.extend(described.into_iter().map(held));
    }
}
