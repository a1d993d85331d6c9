//! What a table takes.

use super::row;

row! {
    /// What a table takes.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct TableSize {
        /// Its name.
        pub name: String,
        /// How many rows it has, about.
        pub rows: i64,
        /// How many bytes it takes with its indexes.
        pub bytes: i64,
    }
}
