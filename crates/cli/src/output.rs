//! What goes to the screen: data on stdout, everything else on stderr.

use crate::exit::{Exit, Failure};
use crate::terminal_text::{self, CommandOutput};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

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
            Self::Text => people_line(&render(document)),
        }
    }

    /// Prints a document of a stream: as one line, or as `render` shows it to people.
    pub(crate) fn streamed(
        self,
        document: &Value,
        render: impl FnOnce(&Value) -> String,
    ) -> Result<(), Failure> {
        match self {
            Self::Json => line(&document.to_string()),
            Self::Text => people_line(&render(document)),
        }
    }

    /// Says how a command failed, on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        match self {
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
                // JSON escapes by itself; nothing may change it.
                drop(writeln!(std::io::stderr().lock(), "{document}"));
            }
            Self::Text => {
                let mut text = format!("error: {} [{}]", failure.message, failure.code);
                if let Some(hint) = &failure.hint {
                    text.push_str("\n  what to do: ");
                    text.push_str(hint);
                }
                note(&text);
            }
        }
    }
}

/// Lines for people on stdout.
fn people_line(text: &str) -> Result<(), Failure> {
    line(&terminal_text::lines(text.trim_end()))
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

/// Bytes that a task wrote: as they are for files and programs, made harmless for a terminal.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    /// None when stdout is no terminal.
    terminal: Option<CommandOutput>,
}

impl Printer {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            terminal: terminal.then(CommandOutput::default),
        }
    }

    pub(crate) fn print(&mut self, piece: &[u8]) -> Result<(), Failure> {
        match &mut self.terminal {
            None => raw(piece),
            Some(terminal) => raw(terminal.take(piece).as_bytes()),
        }
    }

    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        match &mut self.terminal {
            None => Ok(()),
            Some(terminal) => raw(terminal.end().as_bytes()),
        }
    }
}

/// Lines for people, beside the data.
pub(crate) fn note(text: &str) {
    write_note(&terminal_text::lines(text));
}

/// A line that a command of a task wrote, beside the data; its colours stay on a terminal.
pub(crate) fn note_output(before: &str, text: &str) {
    let mut output = CommandOutput::default();
    let shown = output.take(text.as_bytes()) + &output.end();
    write_note(&format!("{before}{shown}"));
}

fn write_note(text: &str) {
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

/// The text of a field as a part of a line; `-` when it is missing or null.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map_or_else(|| "-".to_owned(), shown)
}

/// A value as a part of a line.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => terminal_text::in_a_line(text).into_owned(),
        other => terminal_text::in_a_line(&other.to_string()).into_owned(),
    }
}

/// The text of a field as it is, for files and not for the screen; empty when it is no text.
pub(crate) fn exact<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
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

/// A count with the word for one or for several.
pub(crate) fn plural(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
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
    fn a_field_is_shown_in_a_line_and_kept_exact() {
        let value = json!({"a": "x\n\u{1b}", "b": ["\u{9b}"]});
        assert_eq!(text(&value, "/a"), r"x\n\x1b");
        assert_eq!(text(&value, "/b"), r#"["\u{9b}"]"#);
        assert_eq!(exact(&value, "/a"), "x\n\u{1b}");
        assert_eq!(exact(&value, "/b"), "");
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
