//! Finds living processes that belong to a directory: by argument, environment or place.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);

/// Descriptions of all processes but this one that mention the directory.
pub(crate) fn processes_of(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others = pids.filter(|pid: &u32| *pid != std::process::id());
    others
        .filter_map(|pid| description(pid, directory))
        .collect()
}

/// What the process is, if it lives and mentions the directory.
fn description(pid: u32, directory: &Path) -> Option<String> {
    let wanted = directory.as_os_str().as_bytes();
    let mentions = |text: &[u8]| text.windows(wanted.len()).any(|window| window == wanted);
    // A process that ended meanwhile, and a zombie, show nothing.
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let line = read("cmdline");
    let place = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let belongs = mentions(&line) || mentions(&read("environ")) || place.starts_with(directory);
    belongs.then(|| {
        let words = String::from_utf8_lossy(&line).replace('\0', " ");
        let words: String = words.trim().chars().take(160).collect();
        format!("{pid} `{words}` in `{}`", place.display())
    })
}

/// Waits until no process mentions the directory; answers those that stay.
pub(crate) fn wait_until_none(directory: &Path, bound: Duration) -> Vec<String> {
    let start = Instant::now();
    loop {
        let left = processes_of(directory);
        if left.is_empty() || start.elapsed() > bound {
            return left;
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    const BOUND: Duration = Duration::from_secs(10);

    fn wait_until_seen(directory: &Path) -> Vec<String> {
        let start = Instant::now();
        loop {
            let found = processes_of(directory);
            if !found.is_empty() {
                return found;
            }
            assert!(start.elapsed() < BOUND, "the process did not show up");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn a_process_is_found_by_argument_environment_or_place() {
        let start: [fn(&Path) -> Child; 3] = [
            |path| {
                // Waits for a line that does not come.
                let mut shell = Command::new("sh");
                shell.args(["-c", "read -r line", "sh"]).arg(path);
                shell.stdin(Stdio::piped()).spawn().unwrap()
            },
            |path| {
                Command::new("sleep")
                    .arg("600")
                    .env("HOME", path)
                    .spawn()
                    .unwrap()
            },
            |path| {
                Command::new("sleep")
                    .arg("600")
                    .current_dir(path)
                    .spawn()
                    .unwrap()
            },
        ];
        for start in start {
            let directory = tempfile::tempdir().unwrap();
            let mut child = start(directory.path());
            let found = wait_until_seen(directory.path());
            let stays = wait_until_none(directory.path(), Duration::ZERO);
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(
                found[0].starts_with(&format!("{} `", child.id())),
                "{found:?}"
            );
            assert_eq!(stays.len(), 1);
            assert_eq!(
                wait_until_none(directory.path(), BOUND),
                Vec::<String>::new()
            );
        }
    }
}
