//! What is said about a configuration that cannot be used.

/// All mistakes of a configuration. None of them repeats a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{}", .0.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// The known word that somebody who wrote `word` will have meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (distance(word, known), known)).min()?;
    // A third of the letters may be wrong. With more, any word is near to any other.
    (near.0 <= (word.chars().count() / 3).max(1)).then_some(near.1)
}

/// How many letters must be put in, left out or changed to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (a, b, letters) in
            [("", "", 0), ("log", "log", 0), ("lissten", "listen", 1), ("", "abc", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (letters, letters), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_unless_all_are_far() {
        let known = ["listen", "log", "log_format"];
        for (word, meant) in
            [("lissten", Some("listen")), ("logg", Some("log")), ("log_fromat", Some("log_format")), ("colour", None)]
        {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
    }
}
