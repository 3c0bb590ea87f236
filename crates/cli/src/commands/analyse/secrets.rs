//! `skep analyse secrets`: looks through files of this machine.

use super::super::Session;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{table, text};
use crate::secret_scan::{Depth, scan};
use serde_json::Value;
use std::path::Path;

pub(super) fn run(session: &Session, path: &Path, depth: Depth) -> Outcome {
    let report = scan(path, depth).map_err(|error| {
        let message = format!("`{}` cannot be scanned: {error}", path.display());
        Failure::new(Exit::NotFound, "file_unreadable", message)
    })?;
    let report = serde_json::to_value(report).expect("a report is made of texts and numbers");
    session.output.document(&report, shown)?;
    Ok(Exit::Ok)
}

fn shown(report: &Value) -> String {
    let columns = ["/severity", "/rule", "/file", "/line", "/excerpt"];
    let found = super::rows(report, "/findings", &columns);
    let figure = |name: &str| text(report, &format!("/{name}"));
    let left_out = if report["complete"] == true {
        String::new()
    } else {
        format!(
            "; not all: {} too large, {} unreadable, {} directories too deep",
            figure("large"),
            figure("unreadable"),
            figure("deeper")
        )
    };
    format!(
        "{}\n{} findings in {} files{left_out}",
        table(&["severity", "rule", "file", "line", "what"], found),
        figure("found"),
        figure("files"),
    )
}
