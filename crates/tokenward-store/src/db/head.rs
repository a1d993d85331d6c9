//! The end of the log, as a writing transaction takes it.

use tokenward_core::{Time, Uuid};

super::row! {
    /// Which log it is, its last position, and the hash there.
    #[derive(Clone, Debug)]
    pub(crate) struct Head {
        pub incarnation: Uuid,
        pub position: i64,
        pub hash: Vec<u8>,
        /// Where it was written last, as far as that is known.
        pub place: Option<String>,
        /// Where it is now.
        pub here: Option<String>,
        /// When it was taken: the time of all that the transaction does.
        pub now: Time,
    }
}

super::row! {
    /// Where a log is; nothing, where the database does not tell.
    #[derive(Clone, PartialEq, Eq, Default, Debug)]
    pub struct Places {
        /// Where it is now.
        pub here: Option<String>,
        /// Where it was written last.
        pub written: Option<String>,
    }
}
