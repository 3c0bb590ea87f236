//! `skep service`: a systemd unit that keeps a node or the coordinator of this machine running.

mod unit;

use super::Session;
use super::joined_node::name_of;
use crate::args::{ServiceArgs, ServiceCommand};
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::output::text;
use etcetera::BaseStrategy;
use serde_json::json;
use skep_node::Membership;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use unit::{MARK, Manager, SleepUnit, Unit, Work};

/// Units of the machine that its administrator makes.
const SYSTEM_UNITS: &str = "/etc/systemd/system";
/// Everybody may read a unit: it holds no secret.
const UNIT_MODE: u32 = 0o644;

pub(crate) fn run(session: &Session, command: &ServiceCommand) -> Outcome {
    match command {
        ServiceCommand::Install(args) => install(session, args),
        ServiceCommand::Uninstall(args) => uninstall(session, args),
        ServiceCommand::Show(args) => show(session, args),
    }
}

fn install(session: &Session, args: &ServiceArgs) -> Outcome {
    let unit = unit(session, args)?;
    if let Work::Node { name, state_dir } = &unit.work {
        refuse_a_stranger(session, name, state_dir)?;
    }
    let file = file(args, &unit)?;
    refuse_foreign(&file)?;
    let sleep = unit.sleep();
    let sleep_file = sleep.as_ref().map(|sleep| file.with_file_name(&sleep.name));
    if let (Some(sleep), Some(sleep_file)) = (&sleep, &sleep_file) {
        refuse_foreign(sleep_file)?;
        write(sleep_file, &sleep.text)?;
    }
    write(&file, &unit.text())?;
    let name = unit.name();
    let control = unit.manager.control();
    let mut commands = vec![
        format!("{control} daemon-reload"),
        format!("{control} enable --now {name}"),
    ];
    if let Some(sleep) = &sleep {
        // Not now: started, it would park the node.
        commands.push(format!("{control} enable {}", sleep.name));
    }
    if args.user {
        // Else it ends with the last session of its user.
        commands.push("loginctl enable-linger".to_owned());
    }
    let document = json!({
        "unit": name,
        "file": file,
        "sleep_file": sleep_file,
        "commands": commands,
    });
    session.output.document(&document, |shown| {
        let also = sleep_file.as_ref();
        let also = also.map_or_else(String::new, |also| format!("\nwrote {}", also.display()));
        format!(
            "wrote {}{also}\nto start it:\n  {}\nto look at it:\n  {control} status {name}\n  journalctl{} \
             -u {name}",
            text(shown, "/file"),
            commands.join("\n  "),
            if args.user { " --user" } else { "" },
        )
    })?;
    Ok(Exit::Ok)
}

fn uninstall(session: &Session, args: &ServiceArgs) -> Outcome {
    let unit = unit(session, args)?;
    let file = file(args, &unit)?;
    let name = unit.name();
    if !file.exists() {
        let message = format!("there is no `{}`", file.display());
        return Err(Failure::new(Exit::NotFound, "unit_not_found", message)
            .hint("`skep service show` says which unit is meant; --user and --name choose it"));
    }
    refuse_foreign(&file)?;
    // What `systemctl enable` made; it would point to nothing.
    let wanted = file.with_file_name(format!("{}.wants", unit.manager.target()));
    let mut paths = vec![wanted.join(&name), file.clone()];
    if let Some(sleep) = unit.sleep() {
        let wanted = file.with_file_name(format!("{}.wants", SleepUnit::TARGET));
        let sleep_file = file.with_file_name(&sleep.name);
        refuse_foreign(&sleep_file)?;
        paths.extend([wanted.join(&sleep.name), sleep_file]);
    }
    for path in paths {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(not_written("remove", &path, &error));
            }
            _ => {}
        }
    }
    let control = unit.manager.control();
    let commands = [
        format!("{control} stop {name}"),
        format!("{control} daemon-reload"),
    ];
    let document = json!({ "unit": name, "file": file, "commands": commands });
    session.output.document(&document, |shown| {
        format!(
            "removed {}\nto end what still runs:\n  {}",
            text(shown, "/file"),
            commands.join("\n  ")
        )
    })?;
    Ok(Exit::Ok)
}

fn show(session: &Session, args: &ServiceArgs) -> Outcome {
    let unit = unit(session, args)?;
    let file = file(args, &unit)?;
    let installed = std::fs::read_to_string(&file).ok();
    let sleep = unit.sleep().map(|sleep| {
        let file = file.with_file_name(&sleep.name);
        let installed = std::fs::read_to_string(&file).ok();
        json!({
            "unit": sleep.name,
            "file": file,
            "installed": installed.is_some(),
            "text": installed.unwrap_or(sleep.text),
        })
    });
    let document = json!({
        "sleep": sleep,
        "unit": unit.name(),
        "file": file,
        "installed": installed.is_some(),
        "text": installed.clone().unwrap_or_else(|| unit.text()),
    });
    session.output.document(&document, |shown| {
        let state = match &installed {
            None => "not installed; `skep service install` would write",
            Some(text) if *text == unit.text() => "installed",
            Some(_) => "installed, and different from what `skep service install` would write",
        };
        format!(
            "{}: {state}\n\n{}",
            text(shown, "/file"),
            crate::output::exact(shown, "/text")
        )
    })?;
    Ok(Exit::Ok)
}

fn unit(session: &Session, args: &ServiceArgs) -> Result<Unit, Failure> {
    let work = if args.coordinator {
        Work::Coordinator
    } else {
        let name = name_of(&session.places, args.name.as_ref())?;
        let state_dir = std::path::absolute(session.places.node(&name))?;
        Work::Node { name, state_dir }
    };
    let manager = if args.user {
        Manager::User
    } else {
        let own = || rustix::process::getuid().as_raw().to_string();
        Manager::System {
            run_as: args.run_as.clone().unwrap_or_else(own),
        }
    };
    let home = session.global.home.as_deref().map(std::path::absolute);
    Ok(Unit {
        program: std::env::current_exe()?,
        home: home.transpose()?,
        work,
        manager,
    })
}

fn file(args: &ServiceArgs, unit: &Unit) -> Result<PathBuf, Failure> {
    let directory = if args.user {
        let base = etcetera::choose_base_strategy().map_err(|_| {
            Failure::new(Exit::Invalid, "no_home", "this user has no home directory")
        })?;
        base.config_dir().join("systemd/user")
    } else {
        PathBuf::from(SYSTEM_UNITS)
    };
    Ok(directory.join(unit.name()))
}

/// A node that cannot get in would only be started again and again.
fn refuse_a_stranger(session: &Session, name: &str, state_dir: &Path) -> Result<(), Failure> {
    let joined = Membership::load(state_dir)
        .map_err(|error| Failure::new(Exit::Denied, "not_joined", chain(&error)))?;
    if joined.is_some() || session.places.node_token().exists() {
        return Ok(());
    }
    let message = format!("node `{name}` has joined no swarm, and there is no coordinator here");
    Err(Failure::new(Exit::Denied, "not_joined", message).hint(
        "run `skep join TOKEN --no-start` first; `skep token join` on the coordinator makes it",
    ))
}

/// A unit that somebody else wrote is left alone.
fn refuse_foreign(file: &Path) -> Result<(), Failure> {
    match std::fs::read_to_string(file) {
        Ok(found) if !found.starts_with(MARK) => {
            let message = format!("`{}` was not written by this command", file.display());
            Err(Failure::new(Exit::Conflict, "unit_foreign", message)
                .hint("move it away, or choose another --name"))
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let place = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut draft = tempfile::NamedTempFile::new_in(directory)?;
        draft.write_all(text.as_bytes())?;
        let mode = std::fs::Permissions::from_mode(UNIT_MODE);
        draft.as_file().set_permissions(mode)?;
        draft.as_file().sync_all()?;
        draft.persist(file)?;
        Ok(())
    };
    place().map_err(|error| not_written("write", file, &error))
}

fn not_written(step: &str, file: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot {step} `{}`: {error}", file.display());
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        Failure::new(Exit::Denied, "unit_not_written", message)
            .hint("use --user for the systemd of this user, or run it as root with --run-as USER")
    } else {
        Failure::new(Exit::Failed, "io_failed", message)
    }
}
