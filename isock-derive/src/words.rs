//! Words for messages: lists of names, and the name that was probably meant.

/// The candidate that `word` is probably a misspelling, an abbreviation or another case of.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let abbreviated = |candidate: &&str| word.len() > 1 && candidate.starts_with(&word);
    let near = |candidate: &&str| distance(&word, candidate) <= candidate.len().min(6) / 3;
    candidates.iter().copied().find(abbreviated).or_else(|| {
        candidates.iter().copied().filter(near).min_by_key(|candidate| distance(&word, candidate))
    })
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// How many letters must be added, dropped or replaced to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["input", "output", "error", "kind"];

    #[test]
    fn the_nearest_word_is_a_misspelling_an_abbreviation_or_another_case() {
        for (word, meant) in [
            ("inputs", Some("input")),
            ("ouptut", Some("output")),
            ("err", Some("error")),
            ("Kind", Some("kind")),
            ("upload", None),
            ("retries", None),
            ("k", None),
        ] {
            assert_eq!(nearest(word, &KEYS), meant, "{word}");
        }
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(listed(&["a"]), "`a`");
        assert_eq!(listed(&[]), "");
    }
}
