//! Lines for people: results on stdout, everything else on stderr.

use std::io::{self, Write};

/// Writes a line of the result. A reader that went away is not an error of ours.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes a line about the progress or a failure.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
