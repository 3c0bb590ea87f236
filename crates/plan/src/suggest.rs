//! "Did you mean": the known word that is closest to an unknown one.

/// The closest of the known words, when it is close enough to be meant.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let enough = (length / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= enough && *distance < length)
        .min()
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `x`?``, or the whole list when nothing is close.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    /// Words that are listed at most.
    const LISTED_MAX: usize = 24;
    if let Some(closest) = closest(word, known.clone()) {
        return format!("did you mean `{closest}`?");
    }
    let mut listed: Vec<&str> = known.into_iter().collect();
    let more = listed.len() > LISTED_MAX;
    listed.truncate(LISTED_MAX);
    if listed.is_empty() {
        "remove it".to_owned()
    } else {
        format!(
            "use one of {}{}",
            listed.join(", "),
            if more { ", …" } else { "" }
        )
    }
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut next = vec![i];
        for j in 1..=right.len() {
            let replaced = row[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = replaced.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_understood_and_other_words_are_not() {
        let known = ["needs", "name", "env", "timeout"];
        for (word, expected) in [
            ("need", Some("needs")),
            ("nedes", Some("needs")),
            ("tiemout", Some("timeout")),
            ("evn", Some("env")),
            ("artifacts", None),
            ("v", None),
            ("", None),
        ] {
            assert_eq!(closest(word, known), expected, "{word}");
        }
    }
}
