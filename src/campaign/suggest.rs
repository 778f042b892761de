//! "Did you mean": the nearest of the words that would have been right.

/// The word of `known` that is most like `word`, when it is like it at all.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or all words in a row; `None` when there is nothing to list.
pub fn help(word: &str, known: &[&str], list: &str) -> Option<String> {
    if let Some(nearest) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    (!known.is_empty()).then(|| format!("{list} {}", words(known)))
}

/// Words in backticks, in a row.
pub fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_near_and_nothing_else() {
        let keys = ["time-limit", "max-parallel", "command", "matrix"];
        for (word, expected) in [
            ("timelimit", Some("time-limit")),
            ("time_limit", Some("time-limit")),
            ("comand", Some("command")),
            ("Matrix", Some("matrix")),
            ("maxparalel", Some("max-parallel")),
            ("zzz", None),
            ("steps", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }
}
