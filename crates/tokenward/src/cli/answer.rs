//! An answer of the server, read as what it is and kept as it came.

use std::ops::Deref;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An answer, or one entry of a list. A newer server may say more than we understand: `--json` prints all of it.
#[derive(Clone, Debug)]
pub struct ApiAnswer<T> {
    /// As it came.
    pub raw: Value,
    read: T,
}

impl<T> ApiAnswer<T> {
    /// What was understood of it.
    pub fn into_read(self) -> T {
        self.read
    }
}

impl<T> Deref for ApiAnswer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.read
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for ApiAnswer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        let read = T::deserialize(&raw).map_err(D::Error::custom)?;
        Ok(Self { raw, read })
    }
}

/// Any list of the contract.
#[derive(Clone, Deserialize, Debug)]
#[serde(bound = "T: DeserializeOwned")]
pub struct List<T> {
    pub results: Vec<ApiAnswer<T>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenward_api::Id;

    use super::*;

    #[test]
    fn what_a_newer_server_adds_is_kept() {
        let sent = json!({ "results": [{ "id": "0193614c-2a00-7c41-9f3a-000000000001", "new": 1 }], "more": true });
        let list: ApiAnswer<List<Id>> = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(list.raw, sent);
        assert_eq!(list.results[0].raw["new"], 1);
        assert_eq!(list.results[0].id.to_string(), "0193614c-2a00-7c41-9f3a-000000000001");
    }
}
