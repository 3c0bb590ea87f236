//! The environment of an attempt: built from nothing, never inherited.

use crate::spec::AttemptSpec;
use skep_model::isolation::IsolationLevel;
use std::collections::BTreeMap;
use std::path::Path;

/// Variables of the node that an attempt gets unless the node's owner chose others.
pub const ENV_ALLOW_LIST_DEFAULT: &[&str] = &["PATH", "LANG", "LC_ALL", "TZ"];
/// Where programs are looked for if the node itself does not know.
const PATH_FALLBACK: &str = "/usr/local/bin:/usr/bin:/bin";

/// Builds the environment. Later sources win: the node's allow-list, what the runner sets, the
/// plan, the caller.
pub(crate) fn environment(
    spec: &AttemptSpec,
    allow_list: &[String],
    home: &Path,
    temporary: &Path,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([
        ("PATH".to_owned(), PATH_FALLBACK.to_owned()),
        ("TERM".to_owned(), "dumb".to_owned()),
    ]);
    let allowed = allow_list
        .iter()
        .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
    variables.extend(allowed);
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    set("TMPDIR", temporary.display().to_string());
    let home = match spec.isolation {
        // Without isolation a command acts as the node's user, with that user's settings.
        IsolationLevel::S0 => std::env::home_dir().unwrap_or_else(|| home.to_owned()),
        IsolationLevel::S1 | IsolationLevel::S2 => home.to_owned(),
    };
    set("HOME", home.display().to_string());
    // Git's index is not writable inside; without this `git status` would try to refresh it.
    set("GIT_OPTIONAL_LOCKS", "0".to_owned());
    variables.extend(spec.work.env.clone());
    variables.extend(spec.env.clone());
    variables
}
