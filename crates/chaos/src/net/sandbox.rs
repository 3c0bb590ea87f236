//! Namespaces in which one scenario is played, and whether this machine allows them.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Ways to get namespaces: as anybody, and, where that is forbidden, as root.
const WAYS: [&[&str]; 2] = [&["--user", "--map-root-user"], &[]];
const NAMESPACES: [&str; 5] = ["--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
/// What a scenario does, in short: another file of names, another namespace, a cable into it, a
/// rule that loses packets.
const TRIAL: &str = "\
set -e
ip link set lo up
mount --bind /dev/null /etc/hosts
unshare --net sleep 60 &
until [ \"$(readlink /proc/$!/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do :; done
ip link add name cable0 type veth peer name cable1 netns $!
nsenter --net=/proc/$!/ns/net ip link add name bridge0 type bridge
printf 'table ip t { chain c { type nat hook output priority -100; ip daddr 10.0.0.1 tcp dport 1 \
dnat to 10.0.0.2:1; }; chain d { type filter hook input priority 0; numgen random mod 100 < 30 \
counter drop; }; }' | nft --file -
";
/// Longest time of the trial.
const TRIAL_MAX: Duration = Duration::from_secs(20);
const TOOLS: [&str; 5] = ["unshare", "nsenter", "mount", "ip", "nft"];
/// Packages that hold the tools.
const PACKAGES: &str = "iproute2 mount nftables util-linux";
const POLL: Duration = Duration::from_millis(50);

/// A way to get namespaces that works here.
#[derive(Debug)]
pub(super) struct Sandbox {
    way: &'static [&'static str],
}

impl Sandbox {
    /// Tries; the error says what is missing or forbidden.
    pub(super) fn find() -> Result<Self, String> {
        for tool in TOOLS {
            let version = if tool == "ip" { "-V" } else { "--version" };
            let tried = Command::new(tool)
                .arg(version)
                .env("PATH", search_path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            tried.map_err(|error| {
                format!(
                    "`{tool}` cannot be started ({error}); on Debian: apt-get install {PACKAGES}"
                )
            })?;
        }
        let mut complaint = String::new();
        for way in WAYS {
            let sandbox = Self { way };
            match sandbox.try_out() {
                Ok(()) => return Ok(sandbox),
                Err(error) => complaint = format!("{error:#}"),
            }
        }
        Err(format!("network namespaces are not allowed: {complaint}"))
    }

    fn try_out(&self) -> Result<()> {
        let directory = tempfile::tempdir()?;
        let output = directory.path().join("output");
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", TRIAL]);
        let end = wait(command, &output, TRIAL_MAX)?;
        end.map_err(|why| {
            let printed = std::fs::read_to_string(&output).unwrap_or_default();
            anyhow::anyhow!("{why}: {}", printed.trim().replace('\n', "; "))
        })
    }

    /// A command that runs a program in new namespaces, and ends everything in them with it.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.env("PATH", search_path());
        command.args(self.way).args(NAMESPACES);
        // The first process of a namespace inherits orphans: a shell collects them when they end.
        command.args(["sh", "-c", "\"$@\"; exit $?", "sh"]);
        command.arg(program);
        command
    }
}

/// Where programs are looked for: some systems keep those of an administrator from everybody else.
fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Runs a command that prints into a file; the inner error says why its end is not a success.
pub(super) fn wait(
    mut command: Command,
    output: &Path,
    bound: Duration,
) -> Result<Result<(), String>> {
    let file = File::create(output).context("make the file for the output")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("start `unshare`")?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() {
                Ok(())
            } else {
                Err(format!("it ended with {status}"))
            });
        }
        if start.elapsed() > bound {
            child.kill()?;
            child.wait()?;
            return Ok(Err(format!("it did not end within {} s", bound.as_secs())));
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(script: &str, bound: Duration) -> (Result<(), String>, String) {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("output");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let end = wait(command, &output, bound).unwrap();
        (end, std::fs::read_to_string(output).unwrap())
    }

    #[test]
    fn the_end_of_a_command_says_how_it_went() {
        let bound = Duration::from_secs(30);
        let (fine, printed) = end("echo out; echo err >&2", bound);
        assert_eq!((fine, printed.as_str()), (Ok(()), "out\nerr\n"));
        let (failed, _) = end("exit 3", bound);
        assert_eq!(failed, Err("it ended with exit status: 3".to_owned()));
        let (late, _) = end("exec sleep 600", Duration::ZERO);
        assert_eq!(late, Err("it did not end within 0 s".to_owned()));
    }
}
