//! One thing that was looked at, whether it is as it should be, and what to do if not.

use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do, when it is not as it should be and that is known.
    pub remedy: Option<&'static str>,
}

/// What to do about a check that is not as it should be.
const REMEDIES: [(&str, &str); 6] = [
    (
        "log",
        "Look at the coordinator's own output; `skep up` starts it again where it was.",
    ),
    (
        "archive",
        "Run `skep doctor` on the coordinator's machine; `skep backup restore` takes it back to a backup.",
    ),
    (
        "disk",
        "Free space on the disk of the data directory; the coordinator goes on by itself.",
    ),
    (
        "clock",
        "Set the clock of the coordinator's machine, best by NTP.",
    ),
    (
        "nodes",
        "Start a node with `skep node start`, resume drained ones, and look at those that are silent.",
    ),
    (
        "store",
        "Stop the coordinator and restore a backup with `skep backup restore`.",
    ),
];

impl Check {
    /// A finding.
    pub fn new(name: &str, ok: bool, detail: impl Into<String>) -> Self {
        let remedy = REMEDIES.iter().find(|(known, _)| *known == name);
        Self {
            name: name.to_owned(),
            ok,
            detail: detail.into(),
            remedy: remedy.filter(|_| !ok).map(|(_, remedy)| *remedy),
        }
    }
}
