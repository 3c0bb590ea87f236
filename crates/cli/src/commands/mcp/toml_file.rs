//! Puts one table into a TOML file of another program, and leaves everything else as it is, with
//! its comments.

use serde_json::Value;
use toml::Table;

/// The file with the table `[section.name]` of this entry, in place of one of the same name.
///
/// # Errors
/// In words: the file is not TOML, or holds the entry in a form that cannot be replaced line by
/// line.
pub(super) fn with_entry(
    text: &str,
    section: &str,
    name: &str,
    entry: &Value,
) -> Result<String, String> {
    let title = format!("{section}.{name}");
    let other_form = || {
        format!(
            "`{title}` is there in another form: write it as the table `[{title}]`, or remove it"
        )
    };
    let before: Table = text
        .parse()
        .map_err(|error: toml::de::Error| format!("it is not TOML: {}", error.message()))?;
    let table = toml::to_string(entry).map_err(|_| other_form())?;
    let mut kept = without_table(text, &title);
    if !kept.is_empty() && !kept.ends_with("\n\n") {
        kept.push_str(if kept.ends_with('\n') { "\n" } else { "\n\n" });
    }
    let after = format!("{kept}[{title}]\n{table}");
    let reads: Table = after.parse().map_err(|_| other_form())?;
    // What was not ours has to be what it was.
    if others(reads, section, name) == others(before, section, name) {
        Ok(after)
    } else {
        Err(other_form())
    }
}

/// The entry of this name below `section`.
pub(super) fn entry(text: &str, section: &str, name: &str) -> Option<Value> {
    let file: Table = text.parse().ok()?;
    serde_json::to_value(file.get(section)?.get(name)?).ok()
}

/// Without the lines from the head of a table to the next head.
fn without_table(text: &str, title: &str) -> String {
    let (head, below) = (format!("[{title}]"), format!("[{title}."));
    let mut kept = String::new();
    let mut is_ours = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            is_ours = trimmed.starts_with(&head) || trimmed.starts_with(&below);
        }
        if !is_ours {
            kept.push_str(line);
        }
    }
    kept
}

fn others(mut file: Table, section: &str, name: &str) -> Table {
    let is_empty = match file.get_mut(section).and_then(toml::Value::as_table_mut) {
        Some(entries) => {
            entries.remove(name);
            entries.is_empty()
        }
        None => false,
    };
    if is_empty {
        file.remove(section);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_replaced_and_comments_stay() {
        let before = "# mine\nmodel = \"x\"\n\n[mcp_servers.skep]\ncommand = \"old\"\n\n\
                      [mcp_servers.skep.env]\nA = \"1\"\n\n# other\n[mcp_servers.other]\ncommand = \"o\"\n";
        let new = json!({"command": "/bin/skep", "args": ["mcp"]});
        let after = with_entry(before, "mcp_servers", "skep", &new).unwrap();
        assert!(
            after.contains("# mine") && !after.contains("old"),
            "{after}"
        );
        assert_eq!(entry(&after, "mcp_servers", "skep"), Some(new.clone()));
        assert_eq!(
            entry(&after, "mcp_servers", "other").unwrap()["command"],
            "o"
        );
        assert_eq!(
            with_entry(&after, "mcp_servers", "skep", &new).unwrap(),
            after
        );
        assert_eq!(
            with_entry("", "mcp_servers", "skep", &new).unwrap(),
            "[mcp_servers.skep]\nargs = [\"mcp\"]\ncommand = \"/bin/skep\"\n"
        );
    }

    #[test]
    fn what_cannot_be_replaced_line_by_line_is_refused() {
        let new = json!({"command": "s"});
        for text in [
            "mcp_servers = { skep = { command = \"x\" } }\n",
            "[mcp_servers]\nskep = { command = \"x\" }\n",
            "a = [\n",
        ] {
            assert!(
                with_entry(text, "mcp_servers", "skep", &new).is_err(),
                "{text}"
            );
        }
    }
}
