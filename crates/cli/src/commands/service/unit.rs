//! The text of a systemd unit.
//!
//! It takes from the process what neither it nor its attempts need. What more could be taken is
//! left, because it would break what the sandbox of attempts is built on, or what plans may do:
//! `RestrictSUIDSGID` forbids `openat2`, by which files of attempts are read; `SystemCallFilter`,
//! `RestrictNamespaces` and `ProtectProc` change what the measured isolation measures; `ProtectHome`,
//! `PrivateTmp` and `ProtectSystem=strict` hide the repositories and directories that plans name;
//! `ProtectClock`, `PrivateDevices` and `DevicePolicy` hide graphics processors.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// How each unit of ours begins.
pub(super) const MARK: &str = "# Written by `skep service install`";

/// What the unit runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// `skep up`.
    Coordinator,
    /// `skep node start`.
    Node { name: String, state_dir: PathBuf },
}

/// Whose systemd runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manager {
    /// That of the user.
    User,
    /// That of the machine.
    System {
        /// User name or number of its processes.
        run_as: String,
    },
}

impl Manager {
    /// The command that controls it.
    pub(super) const fn control(&self) -> &'static str {
        match self {
            Self::User => "systemctl --user",
            Self::System { .. } => "systemctl",
        }
    }

    /// What starts the unit.
    pub(super) const fn target(&self) -> &'static str {
        match self {
            Self::User => "default.target",
            Self::System { .. } => "multi-user.target",
        }
    }
}

/// All that a unit says.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) program: PathBuf,
    /// Directory for all data, if not the usual ones.
    pub(super) home: Option<PathBuf>,
    pub(super) work: Work,
    pub(super) manager: Manager,
}

/// The unit that parks the nodes of the machine before it sleeps, and lets them go on after it.
#[derive(Debug, Clone)]
pub(super) struct SleepUnit {
    /// Its file name.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
}

impl SleepUnit {
    /// What starts it: the machine's own target, which a systemd of a user does not know.
    pub(super) const TARGET: &str = "sleep.target";
}

impl Unit {
    /// The unit that goes with it, for a node that the systemd of the machine runs. It ends without
    /// an error when no node runs, and nothing that it meets keeps the machine from sleeping.
    pub(super) fn sleep(&self) -> Option<SleepUnit> {
        let (Work::Node { name, .. }, Manager::System { run_as }) = (&self.work, &self.manager)
        else {
            return None;
        };
        let program = quoted_path(&self.program);
        let target = SleepUnit::TARGET;
        let mut text = format!(
            "{MARK}; it writes it anew.\n\n[Unit]\nDescription=Skep node {name} stands still while \
             the machine sleeps\nBefore={target}\nStopWhenUnneeded=yes\n\n[Service]\n\
             Type=oneshot\nRemainAfterExit=yes\nExecStart=-{program} node park\n\
             ExecStop=-{program} node unpark\n"
        );
        self.write_home(&mut text);
        let _ = write!(
            text,
            "User={}\nTimeoutStartSec=20\nTimeoutStopSec=20\nNoNewPrivileges=yes\n\n[Install]\n\
             WantedBy={target}\n",
            run_as.replace('%', "%%")
        );
        Some(SleepUnit {
            name: format!("skep-sleep-{name}.service"),
            text,
        })
    }

    fn write_home(&self, text: &mut String) {
        if let Some(home) = &self.home {
            let variable = format!("SKEP_HOME={}", home.display());
            let _ = writeln!(text, "Environment={}", quoted(&variable));
        }
    }

    /// Its file name.
    pub(super) fn name(&self) -> String {
        match &self.work {
            Work::Coordinator => "skep-coordinator.service".to_owned(),
            Work::Node { name, .. } => format!("skep-node-{name}.service"),
        }
    }

    /// Its text.
    pub(super) fn text(&self) -> String {
        let about = match &self.work {
            Work::Coordinator => "Skep coordinator".to_owned(),
            Work::Node { name, .. } => format!("Skep node {name}"),
        };
        let mut text = format!(
            "{MARK}; it writes it anew.\n\n[Unit]\nDescription={about}\n\
             StartLimitIntervalSec=0\n"
        );
        if matches!(self.manager, Manager::System { .. }) {
            text.push_str("Wants=network-online.target\nAfter=network-online.target\n");
        }
        let _ = writeln!(text, "\n[Service]\nType=exec\nExecStart={}", self.command());
        self.write_home(&mut text);
        if let Manager::System { run_as } = &self.manager {
            let _ = writeln!(text, "User={}", run_as.replace('%', "%%"));
        }
        text.push_str(RUNNING);
        if matches!(self.manager, Manager::System { .. }) {
            // These need a mount namespace, which the systemd of a user may not make everywhere.
            text.push_str("ProtectSystem=full\nProtectKernelLogs=yes\n");
        }
        let _ = write!(text, "\n[Install]\nWantedBy={}\n", self.manager.target());
        text
    }

    fn command(&self) -> String {
        let program = quoted_path(&self.program);
        match &self.work {
            Work::Coordinator => format!("{program} up"),
            Work::Node { name, state_dir } => format!(
                "{program} node start --name {} --state-dir {}",
                quoted(name),
                quoted_path(state_dir).replace('$', "$$")
            ),
        }
    }
}

/// How it is run, kept and stopped. The exit codes are those that another start cannot mend: not
/// let in, invalid, conflict, usage. TERM goes to the main process, which ends the others itself.
const RUNNING: &str = "Restart=on-failure
RestartSec=5
RestartPreventExitStatus=3 6 8 64
SuccessExitStatus=130
KillMode=mixed
TimeoutStopSec=45
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
RestrictRealtime=yes
";

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A word as systemd reads it: in quotes, `%` doubled, the rest escaped as in C.
fn quoted(word: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "/-_.=:@+,".contains(one);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for one in word.chars() {
        match one {
            '"' | '\\' => text.extend(['\\', one]),
            '%' => text.push_str("%%"),
            one if one.is_ascii_control() => {
                let _ = write!(text, "\\x{:02x}", one as u32);
            }
            one => text.push(one),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(manager: Manager) -> Unit {
        Unit {
            program: "/usr/local/bin/skep".into(),
            home: None,
            work: Work::Node {
                name: "builder".to_owned(),
                state_dir: "/srv/ann/state/nodes/builder".into(),
            },
            manager,
        }
    }

    #[test]
    fn the_unit_of_a_users_node_is_this_text() {
        let unit = node(Manager::User);
        assert_eq!(unit.name(), "skep-node-builder.service");
        assert_eq!(
            unit.text(),
            "# Written by `skep service install`; it writes it anew.

[Unit]
Description=Skep node builder
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/usr/local/bin/skep node start --name builder --state-dir /srv/ann/state/nodes/builder
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=3 6 8 64
SuccessExitStatus=130
KillMode=mixed
TimeoutStopSec=45
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
RestrictRealtime=yes

[Install]
WantedBy=default.target
"
        );
    }

    #[test]
    fn the_unit_of_a_machines_coordinator_is_this_text() {
        let unit = Unit {
            home: Some("/srv/my hive".into()),
            work: Work::Coordinator,
            ..node(Manager::System {
                run_as: "skep".to_owned(),
            })
        };
        assert_eq!(unit.name(), "skep-coordinator.service");
        assert_eq!(
            unit.text(),
            "# Written by `skep service install`; it writes it anew.

[Unit]
Description=Skep coordinator
StartLimitIntervalSec=0
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart=/usr/local/bin/skep up
Environment=\"SKEP_HOME=/srv/my hive\"
User=skep
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=3 6 8 64
SuccessExitStatus=130
KillMode=mixed
TimeoutStopSec=45
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
RestrictRealtime=yes
ProtectSystem=full
ProtectKernelLogs=yes

[Install]
WantedBy=multi-user.target
"
        );
    }

    #[test]
    fn a_node_of_the_machine_is_parked_before_it_sleeps_by_this_text() {
        let system = Manager::System {
            run_as: "skep".to_owned(),
        };
        let unit = Unit {
            home: Some("/srv/hive".into()),
            ..node(system.clone())
        };
        let sleep = unit.sleep().unwrap();
        assert_eq!(sleep.name, "skep-sleep-builder.service");
        assert_eq!(
            sleep.text,
            "# Written by `skep service install`; it writes it anew.

[Unit]
Description=Skep node builder stands still while the machine sleeps
Before=sleep.target
StopWhenUnneeded=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/usr/local/bin/skep node park
ExecStop=-/usr/local/bin/skep node unpark
Environment=SKEP_HOME=/srv/hive
User=skep
TimeoutStartSec=20
TimeoutStopSec=20
NoNewPrivileges=yes

[Install]
WantedBy=sleep.target
"
        );
        assert!(node(Manager::User).sleep().is_none());
        let coordinator = Unit {
            work: Work::Coordinator,
            ..node(system)
        };
        assert!(coordinator.sleep().is_none());
    }

    #[test]
    fn a_path_cannot_become_another_line_or_word() {
        for (word, text) in [
            ("/plain/path-1.0", "/plain/path-1.0"),
            ("/a b", "\"/a b\""),
            ("/100%", "\"/100%%\""),
            (
                "/a\nExecStart=/bin/false",
                "\"/a\\x0aExecStart=/bin/false\"",
            ),
            ("/q\"\\", "\"/q\\\"\\\\\""),
        ] {
            assert_eq!(quoted(word), text);
        }
    }
}
