//! What a running task may give to the tasks it adds: never more than it has itself.
//!
//! Without this a sandboxed command could leave its sandbox by submitting a child without one.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use skep_model::task::TaskSpec;
use skep_model::work::{CommandWork, GitResult, Work, Workspace};
use std::path::{Component, Path};

/// Refuses a child whose isolation, reads or workspace go beyond those of its parent.
pub(super) fn check(parent: &TaskSpec, child: &TaskSpec) -> Result<(), OperationError> {
    let (wanted, held) = (child.requirements.isolation, parent.requirements.isolation);
    if wanted < held {
        return refuse(
            child,
            &format!("isolation {wanted} is weaker than its parent's {held}"),
        );
    }
    let compensation = child
        .compensate
        .as_ref()
        .map(|compensation| &compensation.work);
    for work in std::iter::once(&child.work).chain(compensation) {
        match work {
            Work::Noop => {}
            Work::Command(work) => check_work(parent, child, work)?,
            Work::Described(_) => {
                return refuse(child, "an attempt does not give work to attached agents");
            }
        }
    }
    Ok(())
}

fn check_work(
    parent: &TaskSpec,
    child: &TaskSpec,
    work: &CommandWork,
) -> Result<(), OperationError> {
    let Work::Command(held) = &parent.work else {
        return refuse(child, "its parent runs no command");
    };
    if let Some(path) = work.reads.iter().find(|path| !may_read(held, path)) {
        return refuse(child, &format!("its parent does not read `{path}`"));
    }
    let allowed = match &work.workspace {
        Workspace::None => true,
        Workspace::Dir {
            path,
            writable: false,
        } => may_read(held, path),
        Workspace::Dir {
            path,
            writable: true,
        } => matches!(
            &held.workspace,
            Workspace::Dir { path: own, writable: true } if lies_below(path, own)
        ),
        Workspace::Git {
            repository, result, ..
        } => matches!(
            &held.workspace,
            Workspace::Git { repository: own, result: own_result, .. }
                if own == repository && may_leave(own_result, result)
        ),
    };
    if allowed {
        return Ok(());
    }
    refuse(
        child,
        &format!(
            "its parent does not have the workspace `{:?}`",
            work.workspace
        ),
    )
}

fn may_read(held: &CommandWork, path: &str) -> bool {
    let own = match &held.workspace {
        Workspace::Dir { path, .. } => Some(path),
        Workspace::None | Workspace::Git { .. } => None,
    };
    held.reads
        .iter()
        .chain(own)
        .any(|held| lies_below(path, held))
}

/// Compared as texts: a path with `..` lies nowhere.
fn lies_below(path: &str, above: &str) -> bool {
    let climbs = Path::new(path)
        .components()
        .any(|part| part == Component::ParentDir);
    !climbs && Path::new(path).starts_with(above)
}

/// A branch may only come from a task that makes one itself.
const fn may_leave(held: &GitResult, wanted: &GitResult) -> bool {
    match wanted {
        GitResult::Discard | GitResult::Patch => true,
        GitResult::Branch(_) => matches!(held, GitResult::Branch(_)),
    }
}

fn refuse(child: &TaskSpec, why: &str) -> Result<(), OperationError> {
    let detail = format!("task `{}` goes beyond its parent: {why}", child.name);
    Err(OperationError::new(ErrorCode::ReachExceeded, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::isolation::IsolationLevel;
    use skep_model::work::Invocation;

    fn command(reads: &[&str], workspace: Workspace) -> TaskSpec {
        let work = CommandWork {
            invocation: Invocation::Argv(vec!["true".to_owned()]),
            env: std::collections::BTreeMap::new(),
            workspace,
            reads: reads.iter().map(ToString::to_string).collect(),
            inputs: Vec::new(),
            artifacts: Vec::new(),
            gates: Vec::new(),
            timeout_ms: 1_000,
            kill_grace_ms: 1_000,
        };
        TaskSpec {
            work: Work::Command(Box::new(work)),
            ..TaskSpec::noop("child")
        }
    }

    fn dir(path: &str, writable: bool) -> Workspace {
        Workspace::Dir {
            path: path.to_owned(),
            writable,
        }
    }

    fn git(repository: &str, result: GitResult) -> Workspace {
        let (repository, reference) = (repository.to_owned(), "HEAD".to_owned());
        Workspace::Git {
            repository,
            reference,
            result,
        }
    }

    #[test]
    fn a_child_without_isolation_is_refused_to_a_sandboxed_parent() {
        let parent = command(&[], Workspace::None);
        let mut child = parent.clone();
        child.requirements.isolation = IsolationLevel::S0;
        let error = check(&parent, &child).unwrap_err();
        assert!(error.to_string().contains("weaker"), "{error}");
        assert!(check(&child, &parent).is_ok(), "stronger is allowed");
    }

    #[test]
    fn a_child_has_the_paths_of_its_parent_and_no_others() {
        let branch = || GitResult::Branch("b".to_owned());
        let cases = [
            (
                command(&["/a"], Workspace::None),
                command(&["/a/b"], Workspace::None),
                true,
            ),
            (
                command(&["/a"], Workspace::None),
                command(&["/ab"], Workspace::None),
                false,
            ),
            (
                command(&["/a"], Workspace::None),
                command(&["/a/../b"], Workspace::None),
                false,
            ),
            (
                command(&["/a"], Workspace::None),
                command(&[], dir("/a", false)),
                true,
            ),
            (
                command(&["/a"], Workspace::None),
                command(&[], dir("/a", true)),
                false,
            ),
            (
                command(&[], dir("/w", true)),
                command(&[], dir("/w/x", true)),
                true,
            ),
            (
                command(&[], dir("/w", false)),
                command(&[], dir("/w", true)),
                false,
            ),
            (
                command(&[], git("/r", GitResult::Patch)),
                command(&[], git("/r", branch())),
                false,
            ),
            (
                command(&[], git("/r", branch())),
                command(&[], git("/r", branch())),
                true,
            ),
            (
                command(&[], git("/r", branch())),
                command(&[], git("/s", GitResult::Patch)),
                false,
            ),
            (TaskSpec::noop("p"), command(&[], Workspace::None), false),
        ];
        for (parent, child, allowed) in cases {
            assert_eq!(
                check(&parent, &child).is_ok(),
                allowed,
                "{:?} {:?}",
                parent.work,
                child.work
            );
        }
    }

    #[test]
    fn what_undoes_a_child_is_bound_in_the_same_way() {
        let parent = command(&["/a"], Workspace::None);
        let mut child = parent.clone();
        child.compensate = Some(Box::new(skep_model::task::Compensation {
            task: skep_model::ids::TaskId::from_u128(1),
            work: command(&["/etc"], Workspace::None).work,
        }));
        assert!(check(&parent, &child).is_err());
    }
}
