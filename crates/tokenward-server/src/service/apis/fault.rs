//! How a fault of a document speaks of its parts. A document comes from anybody and can hold anything: what is shown of it
//! is short and fit to be shown.

/// Values that a document holds at most: each list, object, text and number. Ten thousand routes with an `x-permission`
/// each are 30,000.
pub(super) const VALUES_MAX: usize = 250_000;

/// How a fault names a route.
pub(super) fn place(method: &str, path: &str) -> String {
    format!("{} {}", short(method), short(path))
}

/// The beginning of a text from a document, fit to be shown.
pub(super) fn short(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).chain(text.chars().nth(100).map(|_| '…')).collect()
}

/// What a library says about a document, which can hold any part of it: its beginning, in one line.
pub(super) fn said(text: &str) -> String {
    let words = text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c });
    words.chain(text.chars().nth(300).map(|_| '…')).collect()
}

/// The error completes the sentence "the document …".
pub(super) fn too_many_values() -> String {
    format!("holds more than {VALUES_MAX} values; leave out what describes no route, such as examples")
}
