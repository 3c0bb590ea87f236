//! The items of the list that a text has, and a name made of its first words.

use super::super::call::Failure;

/// Items into which one text is split.
const PARTS_MAX: usize = 100;
/// Characters of a name that are made of the text.
const NAME_CHARS_MAX: usize = 40;

/// The items of the list that a text has, each with what stands before the list; or the text itself.
pub(super) fn parts(text: &str) -> Result<Vec<String>, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::argument("`task` is empty"));
    }
    let mut preamble = String::new();
    let mut items: Vec<String> = Vec::new();
    for line in text.lines() {
        match (item(line), items.last_mut()) {
            (Some(item), _) => items.push(item.to_owned()),
            // What follows an item belongs to it.
            (None, Some(last)) => {
                last.push('\n');
                last.push_str(line);
            }
            (None, None) => {
                preamble.push_str(line);
                preamble.push('\n');
            }
        }
    }
    // One item is no list.
    if items.len() < 2 {
        return Ok(vec![text.trim().to_owned()]);
    }
    if items.len() > PARTS_MAX {
        let detail = format!(
            "`task` has a list of {} items, more than {PARTS_MAX} (PARTS_MAX)",
            items.len()
        );
        return Err(Failure::argument(detail));
    }
    let preamble = preamble.trim();
    let whole = |item: &String| match preamble {
        "" => item.trim().to_owned(),
        preamble => format!("{preamble}\n\n{}", item.trim()),
    };
    Ok(items.iter().map(whole).collect())
}

/// What an item at the left edge says: behind `-`, `*`, `1.` or `1)`.
fn item(line: &str) -> Option<&str> {
    let behind_digits = || {
        let rest = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let has_digits = rest.len() < line.len();
        has_digits.then(|| rest.strip_prefix(['.', ')'])).flatten()
    };
    let rest = line.strip_prefix(['-', '*']).or_else(behind_digits)?;
    rest.strip_prefix(' ').map(str::trim_start)
}

/// A name made of the first words.
pub(super) fn name_of(text: &str) -> String {
    let mut name = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            name.push(letter.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() >= NAME_CHARS_MAX {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        return "task".to_owned();
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_parts_and_any_other_text_stays_whole() {
        for (text, expected) in [
            ("Mend the roof", &["Mend the roof"][..]),
            ("Mend:\n- the roof", &["Mend:\n- the roof"]),
            (
                "Mend the house:\n\n1. the roof\n   slowly\n2) the door\n",
                &[
                    "Mend the house:\n\nthe roof\n   slowly",
                    "Mend the house:\n\nthe door",
                ],
            ),
            ("- a\n  - inner\n* b", &["a\n  - inner", "b"]),
            ("-x\n-y\n3.5 metres", &["-x\n-y\n3.5 metres"]),
        ] {
            assert_eq!(parts(text).unwrap(), expected, "{text}");
        }
        assert!(parts(" \n").is_err());
        assert!(parts(&"- x\n".repeat(PARTS_MAX + 1)).is_err());
    }

    #[test]
    fn names_are_made_of_the_words() {
        assert_eq!(name_of("  Mend the roof, slowly!"), "mend-the-roof-slowly");
        assert_eq!(name_of("ÄÖ"), "task");
        assert!(name_of(&"long ".repeat(50)).len() <= NAME_CHARS_MAX);
    }
}
