//! What goes to the screen: data on stdout, everything else on stderr.

use crate::exit::{Exit, Failure};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use std::io::Write;

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON document, or one a line for streams.
    Json,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// Prints a document: as it is, or as `render` shows it to people.
    pub(crate) fn document(
        self,
        document: &Value,
        render: impl FnOnce(&Value) -> String,
    ) -> Result<(), Failure> {
        match self {
            Self::Json => line(&serde_json::to_string_pretty(document).unwrap_or_default()),
            Self::Text => line(render(document).trim_end()),
        }
    }

    /// Says how a command failed, on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        let text = match self {
            Self::Json => {
                let mut document = json!({
                    "code": failure.code,
                    "detail": failure.message,
                    "hint": failure.hint,
                    "retryable": failure.retryable,
                    "exit": failure.exit as u8,
                });
                if !failure.errors.is_empty() {
                    document["errors"] = json!(failure.errors);
                }
                document.to_string()
            }
            Self::Text => {
                let mut text = format!("error: {} [{}]", failure.message, failure.code);
                if let Some(hint) = &failure.hint {
                    text.push_str("\n  what to do: ");
                    text.push_str(hint);
                }
                text
            }
        };
        note(&text);
    }
}

/// One line of data. A reader that went away is no error: there is nobody left to tell.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    raw(text.as_bytes())?;
    raw(b"\n")
}

/// Bytes of data, as they are.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Ok,
            "reader_gone",
            "the reader of stdout went away",
        )),
        other => other.map_err(Failure::from),
    }
}

/// One line for people, beside the data.
pub(crate) fn note(text: &str) {
    let mut stderr = anstream::stderr().lock();
    // Nobody is left to tell when stderr is gone.
    drop(writeln!(stderr, "{text}"));
}

/// Rows under a header, without borders.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    let text = table.to_string();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text of a field; `-` when it is missing or null.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Milliseconds for people.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut unit = 0;
    let mut tenths = count * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_the_largest_unit_that_fits() {
        let shown = [0, 1023, 1024, 1536, 1 << 20, 3 << 30].map(bytes);
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "3.0 GiB"]
        );
        let shown = [999, 1_000, 61_000, 3_660_000].map(duration);
        assert_eq!(shown, ["999 ms", "1.0 s", "1 min 01 s", "1 h 01 min"]);
    }

    #[test]
    fn a_missing_field_is_shown_as_a_dash() {
        let value = json!({"a": {"b": 3}, "c": null});
        assert_eq!(
            ["/a/b", "/c", "/d"].map(|at| text(&value, at)),
            ["3", "-", "-"]
        );
    }
}
