//! The path of a request as a policy is shown it.

use percent_encoding::percent_decode_str;

/// The decoded segments of a path; `None` where it cannot be read. Those of our own API begin with `api` (contract §4.1).
#[must_use]
pub fn segments(path: &str, of_ours: bool) -> Option<Vec<String>> {
    let path = path.split(['?', '#']).next().unwrap_or_default().strip_prefix('/')?;
    let own = of_ours.then(|| "api".to_owned());
    let sent = path.split('/').filter(|_| !path.is_empty());
    let decoded = sent.map(|segment| percent_decode_str(segment).decode_utf8().ok().map(|it| it.into_owned()));
    own.into_iter().map(Some).chain(decoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_one_by_one() {
        let read = |path| segments(path, true).map(|all| all.join("|"));
        assert_eq!(read("/environment/x?y=/z").as_deref(), Some("api|environment|x"));
        assert_eq!(read("/a%2Fb/%C3%BC/").as_deref(), Some("api|a/b|ü|"));
        assert_eq!(read("/").as_deref(), Some("api"));
        assert_eq!((read("/%ff"), read("a"), read("")), (None, None, None));
        assert_eq!(segments("/a", false), Some(vec!["a".to_owned()]));
    }
}
