//! The text of a document, whole or while it comes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read};

use tokio::sync::mpsc;

/// What comes of a text after its beginning.
#[derive(Debug)]
pub enum Piece {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// There are no more. A text without its end was broken off.
    End,
}

/// The bytes of a document.
pub struct Text {
    ready: VecDeque<Vec<u8>>,
    /// How much of the first piece was read.
    at: usize,
    coming: Option<mpsc::Receiver<Piece>>,
    /// Told of each piece that is not kept any more.
    taken: Box<dyn Fn(usize) + Send>,
}

impl Text {
    /// One that has begun and goes on. It is read where waiting holds up nobody.
    pub fn coming(begun: Vec<Vec<u8>>, rest: mpsc::Receiver<Piece>, taken: impl Fn(usize) + Send + 'static) -> Self {
        Self { ready: begun.into(), at: 0, coming: Some(rest), taken: Box::new(taken) }
    }

    /// Is all of it there?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.coming.is_none()
    }
}

impl From<Vec<Vec<u8>>> for Text {
    fn from(pieces: Vec<Vec<u8>>) -> Self {
        Self { ready: pieces.into(), at: 0, coming: None, taken: Box::new(|_| ()) }
    }
}

impl Read for Text {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(first) = self.ready.front() {
                let rest = &first[self.at..];
                let n = rest.len().min(to.len());
                to[..n].copy_from_slice(&rest[..n]);
                self.at += n;
                if self.at == first.len() {
                    (self.taken)(first.len());
                    self.ready.pop_front();
                    self.at = 0;
                }
                if n > 0 {
                    return Ok(n);
                }
                continue;
            }
            let Some(coming) = &mut self.coming else { return Ok(0) };
            match coming.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.ready.push_back(bytes),
                Some(Piece::End) => self.coming = None,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "did not come to its end")),
            }
        }
    }
}

/// Bytes that are held at once.
const HELD: usize = 64 * 1024;
/// A mark of the byte order, with which some editors begin a text.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Passes on what is UTF-8, and nothing else.
pub(super) struct Utf8<R> {
    from: R,
    held: Box<[u8]>,
    /// What of it is to be passed on, as whole letters, and how much there is of the next one behind.
    at: usize,
    checked: usize,
    filled: usize,
    begun: bool,
}

impl<R: Read> Utf8<R> {
    pub fn new(from: R) -> Self {
        Self { from, held: vec![0; HELD].into(), at: 0, checked: 0, filled: 0, begun: false }
    }

    /// The bytes that can be passed on; none at the end. A fault completes the sentence "the document …".
    fn fill(&mut self) -> io::Result<&[u8]> {
        let refuse = || io::Error::new(io::ErrorKind::InvalidData, "is not in UTF-8");
        while self.at == self.checked {
            self.held.copy_within(self.checked..self.filled, 0);
            let left = self.filled - self.checked;
            let n = self.from.read(&mut self.held[left..])?;
            self.filled = left + n;
            self.checked = valid(&self.held[..self.filled]).ok_or_else(refuse)?;
            self.at = 0;
            match (n, left) {
                (0, 0) => break,
                (0, _) => return Err(refuse()),
                _ => {}
            }
            if !self.begun && self.checked > 0 {
                self.begun = true;
                self.at = if self.held[..self.checked].starts_with(MARK) { MARK.len() } else { 0 };
            }
        }
        Ok(&self.held[self.at..self.checked])
    }

    /// The next part; an empty one is the end.
    fn next(&mut self) -> io::Result<&str> {
        self.fill()?;
        let at = std::mem::replace(&mut self.at, self.checked);
        std::str::from_utf8(&self.held[at..self.checked])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// All of it, where that is no more than `most` bytes.
    pub fn whole(&mut self, most: usize) -> io::Result<Option<String>> {
        let mut whole = String::new();
        loop {
            let part = self.next()?;
            if part.is_empty() {
                return Ok(Some(whole));
            }
            if whole.len() + part.len() > most {
                return Ok(None);
            }
            whole.push_str(part);
        }
    }
}

/// How many bytes at the beginning are whole letters; `None` where what follows can never be one.
fn valid(bytes: &[u8]) -> Option<usize> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.len()),
        Err(error) => error.error_len().is_none().then(|| error.valid_up_to()),
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let part = self.fill()?;
        let n = part.len().min(to.len());
        to[..n].copy_from_slice(&part[..n]);
        self.at += n;
        Ok(n)
    }
}

/// The letters of a text, for a reader that cannot be told of a fault: it is left in `failed`, and the text ends there.
pub(super) struct Letters<'a, R> {
    text: &'a mut Utf8<R>,
    part: String,
    at: usize,
    failed: &'a Cell<Option<io::Error>>,
}

impl<'a, R: Read> Letters<'a, R> {
    pub fn new(text: &'a mut Utf8<R>, failed: &'a Cell<Option<io::Error>>) -> Self {
        Self { text, part: String::new(), at: 0, failed }
    }
}

impl<R: Read> Iterator for Letters<'_, R> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.at == self.part.len() {
            self.part.clear();
            self.at = 0;
            match self.text.next() {
                Ok(part) => self.part.push_str(part),
                Err(error) => self.failed.set(Some(error)),
            }
        }
        let letter = self.part[self.at..].chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that comes in pieces of so many bytes.
    fn in_pieces(bytes: &[u8], size: usize, end: bool) -> Text {
        let (send, receive) = mpsc::channel(bytes.len() / size + 2);
        for piece in bytes.chunks(size) {
            send.try_send(Piece::Bytes(piece.to_vec())).unwrap();
        }
        if end {
            send.try_send(Piece::End).unwrap();
        }
        Text::coming(Vec::new(), receive, |_| ())
    }

    fn read(bytes: &[u8], size: usize) -> Result<String, String> {
        let mut all = String::new();
        let read = Utf8::new(in_pieces(bytes, size, true)).read_to_string(&mut all);
        let failed = Cell::new(None);
        let mut text = Utf8::new(in_pieces(bytes, size, true));
        let letters: String = Letters::new(&mut text, &failed).collect();
        assert_eq!(failed.take().is_none(), read.is_ok());
        if read.is_ok() {
            assert_eq!(letters, all);
        }
        read.map(|_| all).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_is_the_same_in_whatever_pieces_it_comes() {
        let text = "\u{feff}a\u{e4}\u{20ac}\u{1f600}b\u{feff}".repeat(10_000);
        let expected = text.strip_prefix('\u{feff}').unwrap();
        for size in [1, 2, 3, 5, 7, 4_096, HELD - 1, HELD, HELD + 1, text.len()] {
            assert!(read(text.as_bytes(), size).as_deref() == Ok(expected), "{size}");
        }
        for (bytes, expected) in [(&b""[..], ""), (b"a", "a"), (MARK, ""), (b"\xef\xbb\xbfa", "a")] {
            assert_eq!(read(bytes, 1).as_deref(), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_refused_wherever_it_stands() {
        for bytes in [&b"\xff"[..], b"a\xc3", b"a\xc3b", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xef\xbb"] {
            for size in [1, 2, 100] {
                assert_eq!(read(bytes, size).unwrap_err(), "is not in UTF-8", "{bytes:?}");
            }
            let long = [vec![b'a'; HELD - 1], bytes.to_vec()].concat();
            assert!(read(&long, HELD).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_text_that_is_broken_off_is_no_shorter_text() {
        let mut all = Vec::new();
        let error = in_pieces(b"{}", 1, false).read_to_end(&mut all).unwrap_err();
        assert_eq!((error.kind(), all.as_slice()), (io::ErrorKind::UnexpectedEof, &b"{}"[..]));
    }

    #[test]
    fn what_was_read_is_told_and_a_whole_text_has_a_limit() {
        let (told, tells) = std::sync::mpsc::channel();
        let (send, receive) = mpsc::channel(4);
        send.try_send(Piece::Bytes(b"cd".to_vec())).unwrap();
        send.try_send(Piece::Bytes(Vec::new())).unwrap();
        send.try_send(Piece::End).unwrap();
        let mut text = Text::coming(vec![b"ab".to_vec()], receive, move |n| told.send(n).unwrap());
        assert!(!text.is_whole());
        let mut all = String::new();
        text.read_to_string(&mut all).unwrap();
        assert_eq!((all.as_str(), tells.try_iter().sum::<usize>()), ("abcd", 4));
        for (most, whole) in [(4, Some("abcd")), (3, None)] {
            assert_eq!(Utf8::new(&b"abcd"[..]).whole(most).unwrap().as_deref(), whole, "{most}");
        }
    }
}
