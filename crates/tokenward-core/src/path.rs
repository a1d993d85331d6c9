//! Which path a request is decided by, and which paths nobody decides by.
//!
//! A gateway asks about one text and the service behind it serves another if they read the text differently: one
//! decodes `%2f`, one merges `//`, one drops `;params`. So a path that any usual reader would rewrite is refused. It is
//! never rewritten here: a decision about a tidied path would be a decision about another request.

use std::fmt;

use crate::word::{UnknownWord, words};

words! {
    /// How the servers of an API are known to read paths that others read in another way. Whoever says so promises it: what
    /// is decided here is then right for these servers, and for no others.
    Reading {
        /// See [`promise`](Reading::promise), as for all of them.
        EncodedSlash = "encoded_slash",
        #[allow(missing_docs)]
        EncodedPercent = "encoded_percent",
        #[allow(missing_docs)]
        EncodedPlain = "encoded_plain",
        #[allow(missing_docs)]
        Semicolon = "semicolon",
        #[allow(missing_docs)]
        EmptySegments = "empty_segments",
        #[allow(missing_docs)]
        Capitals = "capitals",
        #[allow(missing_docs)]
        TrailingSlash = "trailing_slash",
    }
}

impl Reading {
    /// What is promised of the servers: a whole sentence.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::EncodedSlash => {
                "They divide a path at `/` before they decode it, so that `/a%2Fb` has one segment and never two."
            }
            Self::EncodedPercent => "They decode a path once and never again, so that `%252F` is the text `%2F`.",
            Self::EncodedPlain => "They take `%41`, `%7E` and `%2D` for `A`, `~` and `-` before they look for a route.",
            Self::Semicolon => "`;` is a letter like others to them: nothing is cut off at it.",
            Self::EmptySegments => "They join no slashes: `/a//b` is another path than `/a/b`.",
            Self::Capitals => "They tell capitals from small letters: `/Admin` is another path than `/admin`.",
            Self::TrailingSlash => "They tell `/a/` from `/a`: no route without a slash at its end takes both.",
        }
    }
}

/// The readings that are promised of the servers of one API; none of them unless somebody says so.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Readings(u8);

impl Readings {
    /// Is it promised?
    #[must_use]
    pub const fn has(self, reading: Reading) -> bool {
        self.0 & 1 << reading as u8 != 0
    }

    /// Those that are promised, in order.
    pub fn iter(self) -> impl Iterator<Item = Reading> {
        Reading::ALL.into_iter().filter(move |reading| self.has(*reading))
    }

    /// Reads their words, with a comma or a space between.
    pub fn parse(text: &str) -> Result<Self, UnknownWord> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        words.map(Reading::parse).collect()
    }
}

impl FromIterator<Reading> for Readings {
    fn from_iter<I: IntoIterator<Item = Reading>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |bits, reading| bits | 1 << reading as u8))
    }
}

impl fmt::Display for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Reading::as_str).collect::<Vec<_>>().join(","))
    }
}

/// Why a path cannot be decided by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ambiguity {
    /// It does not begin with `/` (RFC 9112 §3.2: absolute, authority and asterisk form).
    NotAbsolute,
    /// `//`.
    EmptySegment,
    /// A segment that is `.` or `..` (RFC 3986 §5.2.4 removes them).
    DotSegment,
    /// A `%` without two hexadecimal digits.
    BrokenEscape,
    /// An escape of what needs none or of what divides a path: readers disagree whether `%61` is `a` (RFC 3986 §6.2.2.2
    /// says so), `%2f` is `/`, and whether `%2561` is to be read twice.
    NeedlessEscape,
    /// Escapes that are not UTF-8: overlong forms hide a `/` or a `.`.
    NotUtf8,
    /// `;`, which some frameworks cut off with what follows.
    Parameters,
    /// A byte that no path may hold unescaped (RFC 3986 §3.3): a backslash, a control character, a space, anything
    /// beyond ASCII.
    ForbiddenByte,
}

impl Ambiguity {
    /// Could servers be promised to read it in one way?
    #[must_use]
    pub const fn can_be_promised(self) -> bool {
        matches!(self, Self::EmptySegment | Self::NeedlessEscape | Self::Parameters)
    }
}

impl fmt::Display for Ambiguity {
    /// Completes the sentence "The path …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "does not begin with `/`",
            Self::EmptySegment => "has an empty segment (`//`)",
            Self::DotSegment => "has a segment `.` or `..`",
            Self::BrokenEscape => "has a `%` without two hexadecimal digits",
            Self::NeedlessEscape => "escapes what is read differently by different programs",
            Self::NotUtf8 => "has escapes that are not UTF-8",
            Self::Parameters => "has a `;`",
            Self::ForbiddenByte => "has a byte that must not stand in a path",
        })
    }
}

/// The path and the query of a request target; the first `?` divides them.
#[must_use]
pub fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// The path, if everybody reads it the same way. Without its query.
pub fn unambiguous(path: &[u8]) -> Result<&str, Ambiguity> {
    unambiguous_to(path, Readings::default())
}

/// The path, if all servers read it the same way of which this is promised. Without its query.
pub fn unambiguous_to(path: &[u8], readings: Readings) -> Result<&str, Ambiguity> {
    if path.first() != Some(&b'/') {
        return Err(Ambiguity::NotAbsolute);
    }
    let mut escaped = Vec::new();
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        // Escapes that follow one another are one piece of UTF-8; each character that is none ends it.
        if *byte != b'%' {
            end_of_escapes(&mut escaped)?;
        }
        match byte {
            b'/' => {
                let segment = after.split(|byte| *byte == b'/').next().unwrap_or_default();
                match segment {
                    b"." | b".." => return Err(Ambiguity::DotSegment),
                    b"" if !after.is_empty() && !readings.has(Reading::EmptySegments) => {
                        return Err(Ambiguity::EmptySegment);
                    }
                    // No promise covers what climbs to another directory where it is not kept.
                    _ if readings != Readings::default() && hides_dots(segment) => return Err(Ambiguity::DotSegment),
                    _ => {}
                }
            }
            b'%' => {
                let [high, low, after @ ..] = after else { return Err(Ambiguity::BrokenEscape) };
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (Some(high), Some(low)) = (digit(high), digit(low)) else { return Err(Ambiguity::BrokenEscape) };
                let byte = high << 4 | low;
                if needs_no_escape(byte) && !is_promised(byte, readings) {
                    return Err(Ambiguity::NeedlessEscape);
                }
                escaped.push(byte);
                rest = after;
            }
            b';' if readings.has(Reading::Semicolon) => {}
            b';' => return Err(Ambiguity::Parameters),
            byte if !is_path_byte(*byte) => return Err(Ambiguity::ForbiddenByte),
            _ => {}
        }
    }
    end_of_escapes(&mut escaped)?;
    // Only ASCII came through.
    std::str::from_utf8(path).map_err(|_| Ambiguity::ForbiddenByte)
}

fn end_of_escapes(escaped: &mut Vec<u8>) -> Result<(), Ambiguity> {
    if !escaped.is_empty() && std::str::from_utf8(escaped).is_err() {
        return Err(Ambiguity::NotUtf8);
    }
    escaped.clear();
    Ok(())
}

/// RFC 3986 §3.3 `pchar` without `;` and `%`.
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Escaped, these are read as themselves by some and as the escape by others; or they are control characters, which
/// nothing good escapes.
fn needs_no_escape(byte: u8) -> bool {
    is_unreserved(byte) || byte.is_ascii_control() || b"/\\;?#%".contains(&byte)
}

/// Is it promised how an escape of this is read?
fn is_promised(byte: u8, readings: Readings) -> bool {
    match byte {
        b'/' => readings.has(Reading::EncodedSlash),
        b'%' => readings.has(Reading::EncodedPercent),
        // Dots make segments that are none.
        b'-' | b'_' | b'~' => readings.has(Reading::EncodedPlain),
        byte => byte.is_ascii_alphanumeric() && readings.has(Reading::EncodedPlain),
    }
}

/// Would a segment become `.` or `..` to a server that divides it at an escaped slash, or cuts it off at a `;`?
fn hides_dots(segment: &[u8]) -> bool {
    let folded = segment.to_ascii_lowercase();
    let text = String::from_utf8_lossy(&folded);
    text.split("%2f").any(|piece| matches!(piece.split(';').next(), Some("." | "..")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_read_in_two_ways_is_refused() {
        for (path, why) in [
            (&b""[..], Ambiguity::NotAbsolute),
            (b"*", Ambiguity::NotAbsolute),
            (b"invoices", Ambiguity::NotAbsolute),
            (b"http://acme.example/invoices", Ambiguity::NotAbsolute),
            (b"//", Ambiguity::EmptySegment),
            (b"/a//b", Ambiguity::EmptySegment),
            (b"/a//", Ambiguity::EmptySegment),
            (b"/..", Ambiguity::DotSegment),
            (b"/a/../b", Ambiguity::DotSegment),
            (b"/a/./b", Ambiguity::DotSegment),
            (b"/a/.", Ambiguity::DotSegment),
            (b"/a%2fb", Ambiguity::NeedlessEscape),
            (b"/a%2Fb", Ambiguity::NeedlessEscape),
            (b"/a%5cb", Ambiguity::NeedlessEscape),
            (b"/%2e%2e/b", Ambiguity::NeedlessEscape),
            (b"/a/%2e", Ambiguity::NeedlessEscape),
            (b"/%61dmin", Ambiguity::NeedlessEscape),
            (b"/a%00", Ambiguity::NeedlessEscape),
            (b"/a%0d%0ab", Ambiguity::NeedlessEscape),
            (b"/a%3bb", Ambiguity::NeedlessEscape),
            (b"/a%3fb", Ambiguity::NeedlessEscape),
            (b"/a%252fb", Ambiguity::NeedlessEscape),
            (b"/a;v=1/b", Ambiguity::Parameters),
            (b"/a/..;/b", Ambiguity::Parameters),
            (b"/a\\b", Ambiguity::ForbiddenByte),
            (b"/a\0", Ambiguity::ForbiddenByte),
            (b"/a b", Ambiguity::ForbiddenByte),
            (b"/a#b", Ambiguity::ForbiddenByte),
            (b"/\xc3\xa9", Ambiguity::ForbiddenByte),
            (b"/%c0%af", Ambiguity::NotUtf8),
            (b"/%c0%ae%c0%ae/", Ambiguity::NotUtf8),
            (b"/%e0%80%af", Ambiguity::NotUtf8),
            (b"/%ff", Ambiguity::NotUtf8),
            (b"/%c3/%a9", Ambiguity::NotUtf8),
            (b"/%c3a%a9", Ambiguity::NotUtf8),
            (b"/a%", Ambiguity::BrokenEscape),
            (b"/a%2", Ambiguity::BrokenEscape),
            (b"/a%zz", Ambiguity::BrokenEscape),
            (b"/a%u002f", Ambiguity::BrokenEscape),
        ] {
            assert_eq!(unambiguous(path), Err(why), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn what_servers_are_promised_to_read_in_one_way_passes_for_them() {
        let all: Readings = Reading::ALL.into_iter().collect();
        for (reading, path) in [
            (Reading::EncodedSlash, "/files/a%2Fb"),
            (Reading::EncodedSlash, "/files/a%2fb/"),
            (Reading::EncodedPercent, "/tags/100%25"),
            (Reading::EncodedPercent, "/a%252fb"),
            (Reading::EncodedPlain, "/%41dmin%2D%7E%5F"),
            (Reading::Semicolon, "/a;v=1/b"),
            (Reading::EmptySegments, "/a//b"),
            (Reading::EmptySegments, "/a//"),
        ] {
            assert_eq!(unambiguous_to(path.as_bytes(), [reading].into_iter().collect()), Ok(path));
            assert_eq!(unambiguous_to(path.as_bytes(), all), Ok(path));
            let others = Reading::ALL.into_iter().filter(|other| *other != reading).collect();
            assert!(unambiguous_to(path.as_bytes(), others).is_err(), "{path} is allowed by nothing else");
        }
        // Whatever is promised.
        for path in [
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/..%2fb",
            "/a%2f..%2Fb",
            "/a/..;/b",
            "/a/.;x/b",
            "/a%2f..;x",
            "/a%5cb",
            "/a%3bb",
            "/a%3fb",
            "/a%23b",
            "/a%00b",
            "/a%2e",
            "/a\\b",
            "/%ff",
            "/a%",
        ] {
            assert!(unambiguous_to(path.as_bytes(), all).is_err(), "{path}");
        }
    }

    #[test]
    fn readings_are_words() {
        let read = Readings::parse("semicolon, encoded_slash,semicolon").unwrap();
        assert_eq!(read.to_string(), "encoded_slash,semicolon");
        assert_eq!(Readings::parse(&read.to_string()), Ok(read));
        assert_eq!(Readings::parse(""), Ok(Readings::default()));
        let unknown = Readings::parse("semicolons").unwrap_err().to_string();
        assert!(unknown.contains("empty_segments, capitals"), "{unknown}");
    }

    #[test]
    fn what_everybody_reads_alike_passes() {
        for path in
            ["/", "/a", "/a/", "/invoices/7", "/a.b/..c/...", "/caf%C3%A9", "/a%20b", "/~me/@you:v1/x,y=(1)!", "/*"]
        {
            assert_eq!(unambiguous(path.as_bytes()), Ok(path));
        }
    }

    #[test]
    fn the_first_question_mark_divides() {
        assert_eq!(split(b"/a?b?c"), (&b"/a"[..], Some(&b"b?c"[..])));
        assert_eq!(split(b"/a"), (&b"/a"[..], None));
    }

    /// What a reader could make of a path: decode, merge slashes, drop parameters, resolve dots. One after the other, so
    /// that each sees what the one before has uncovered.
    fn rewritten(path: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        let mut at = 0;
        while at < path.len() {
            let hex = path.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
            let byte = hex.filter(|two| !two.starts_with('+')).and_then(|two| u8::from_str_radix(two, 16).ok());
            match (path[at], byte) {
                (b'%', Some(byte)) => {
                    decoded.push(byte);
                    at += 3;
                }
                (byte, _) => {
                    decoded.push(if byte == b'\\' { b'/' } else { byte });
                    at += 1;
                }
            }
        }
        let mut kept: Vec<&[u8]> = Vec::new();
        let trailing = decoded.last() == Some(&b'/');
        for segment in decoded.split(|byte| *byte == b'/') {
            let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            match segment {
                b"" | b"." => {}
                b".." => drop(kept.pop()),
                segment => kept.push(segment),
            }
        }
        let mut result = kept.iter().fold(Vec::new(), |mut all, segment| {
            all.push(b'/');
            all.extend_from_slice(segment);
            all
        });
        if trailing || result.is_empty() {
            result.push(b'/');
        }
        result
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: [&[u8]; 17] = [
            b"/", b".", b"..", b"a", b"admin", b"%2f", b"%2E", b"%5C", b"%25", b"%", b";x", b"\\", b"%C3%A9",
            b"%c0%af", b"%20", b"%61", b"\xff",
        ];
        let piece = prop::sample::select(&PIECES[..]);
        prop::collection::vec(piece, 0..12)
            .prop_map(|pieces| [&b"/"[..]].into_iter().chain(pieces).flatten().copied().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whoever rewrites a path that passed gets the same path, read once.
        #[test]
        fn what_passes_survives_every_reader(path in pieces()) {
            if let Ok(path) = unambiguous(&path) {
                let read: Vec<u8> = rewritten(path.as_bytes());
                // Only escapes of what must be escaped are left, so reading twice changes nothing, and the segments are
                // the same in number.
                prop_assert_eq!(&rewritten(&read), &read);
                let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
                prop_assert_eq!(slashes(&read), slashes(path.as_bytes()));
                prop_assert!(std::str::from_utf8(&read).is_ok());
            }
        }

        /// Two paths that pass and differ are read differently, but for the case of hexadecimal digits.
        #[test]
        fn two_that_pass_are_one_only_if_they_are_equal(a in pieces(), b in pieces()) {
            if let (Ok(a), Ok(b)) = (unambiguous(&a), unambiguous(&b))
                && rewritten(a.as_bytes()) == rewritten(b.as_bytes())
            {
                prop_assert_eq!(a.to_ascii_lowercase(), b.to_ascii_lowercase());
            }
        }

        #[test]
        fn any_bytes_are_answered(path: Vec<u8>) {
            let _ = unambiguous(&path);
        }
    }
}
