//! Which known word somebody meant who wrote one that is not known.
//!
//! What is not understood is refused by name everywhere, and the refusal says what could have been meant.

/// The known word that somebody who wrote `word` will have meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any word of ours by far: to measure it would only take time.
    if word.len() > 128 {
        return None;
    }
    let folded = word.to_lowercase();
    let near = known.map(|known| (distance(&folded, &known.to_lowercase()), known)).min()?;
    // A third of the letters may be wrong. With more, any word is near to any other.
    (near.0 <= (word.chars().count() / 3).max(1)).then_some(near.1)
}

/// What completes the sentence "`word` is not known": the word that was meant, or else all that are known.
pub fn known_words<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(meant) = nearest(word, known.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let all: Vec<String> = known.map(|known| format!("`{known}`")).collect();
    match all.as_slice() {
        [] => "there is none".to_owned(),
        [one] => format!("known is {one}"),
        [all @ .., last] => format!("known are {} and {last}", all.join(", ")),
    }
}

/// How many letters must be put in, left out, changed or swapped with their neighbour to make one word of the other
/// (Levenshtein, with the swap that typing makes so often as one step).
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // The row two above, and the letter between them: what a swap goes back to.
    let mut before: Option<(Vec<usize>, char)> = None;
    for (i, from) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, to) in b.iter().enumerate() {
            let mut least = (row[j] + usize::from(from != *to)).min(row[j + 1] + 1).min(next[j] + 1);
            if let Some((above, last)) = &before
                && j > 0
                && (*last, from) == (*to, b[j - 1])
            {
                least = least.min(above[j - 1] + 1);
            }
            next.push(least);
        }
        before = Some((std::mem::replace(&mut row, next), from));
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (a, b, letters) in [
            ("", "", 0),
            ("log", "log", 0),
            ("lissten", "listen", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("smpt", "smtp", 1),
            ("no", "on", 1),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (letters, letters), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_unless_all_are_far() {
        let known = ["listen", "log", "log_format", "pageSize"];
        for (word, meant) in [
            ("lissten", Some("listen")),
            ("logg", Some("log")),
            ("log_fromat", Some("log_format")),
            ("pagesize", Some("pageSize")),
            ("colour", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
        assert_eq!(nearest(&"listen".repeat(100_000), known.into_iter()), None);
    }

    #[test]
    fn a_refusal_names_what_was_meant_or_all_there_is() {
        let said = |word, known: &[&'static str]| known_words(word, known.iter().copied());
        assert_eq!(said("nam", &["name", "limit"]), "did you mean `name`?");
        assert_eq!(said("colour", &["name", "limit", "api"]), "known are `name`, `limit` and `api`");
        assert_eq!(said("colour", &["name"]), "known is `name`");
        assert_eq!(said("colour", &[]), "there is none");
    }
}
