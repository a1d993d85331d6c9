//! The bodies that travel between Tokenward and its clients, once, for both sides.
