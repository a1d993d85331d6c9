//! The end of the log, as a writing transaction takes it.

use tokenward_core::{Time, Uuid};

use super::Store;

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
        /// When its last event was written.
        pub written_at: Option<Time>,
        /// When it was taken: the time of all that the transaction does.
        pub now: Time,
        /// The latest that anybody says it is then.
        pub said: Time,
    }
}

impl Head {
    /// Settles what time it is: what stands in it is what the database's clock says. Never below the time of the last event: a
    /// clock that was set back revives nothing that had ended. And one that is far ahead ends nothing for good.
    /// `own` is what this node's clock says.
    pub(super) fn settle(mut self, store: &Store, own: Time) -> Self {
        let time = store.time_of_log(self.now, self.written_at, own);
        (self.now, self.said) = (time.now, time.said);
        self
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
