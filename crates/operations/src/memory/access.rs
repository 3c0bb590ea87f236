//! Names in requests, and who may read and write which namespace.

use super::EntryPath;
use crate::context::{Context, Principal};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use skep_coordinator::View;
use skep_model::memory::{MemoryKey, MemoryTag, Namespace, ParseNameError};
use skep_model::token::Scope;
use skep_store::SearchedNamespaces;

/// An entry, by names that are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryName {
    pub(crate) namespace: Namespace,
    pub(crate) key: MemoryKey,
}

impl EntryName {
    pub(super) fn of(path: &EntryPath) -> Result<Self, OperationError> {
        Ok(Self {
            namespace: named_namespace(&path.namespace)?,
            key: named_key(&path.key)?,
        })
    }
}

/// The namespace of this name.
pub(crate) fn named_namespace(text: &str) -> Result<Namespace, OperationError> {
    text.parse().map_err(|error| no_name(&error))
}

/// The key of this name.
pub(crate) fn named_key(text: &str) -> Result<MemoryKey, OperationError> {
    text.parse().map_err(|error| no_name(&error))
}

/// The tag of this name.
pub(super) fn named_tag(text: &str) -> Result<MemoryTag, OperationError> {
    text.parse().map_err(|error| no_name(&error))
}

fn no_name(error: &ParseNameError) -> OperationError {
    OperationError::new(ErrorCode::MemoryNameInvalid, error.to_string())
}

/// Whether a caller who may use an operation may use it on this namespace.
fn is_open_to(view: &View, caller: &Principal, namespace: &Namespace) -> bool {
    let settings = view.state.namespace(namespace);
    let is_restricted = settings.is_some_and(|found| found.record.settings.restricted);
    if is_restricted {
        return caller.has(Scope::Admin);
    }
    match caller {
        Principal::Task { run, .. } => {
            let is_shared = matches!(namespace.as_str(), Namespace::SWARM | Namespace::KNOWLEDGE);
            is_shared || run.is_some_and(|run| namespace.run() == Some(run))
        }
        _ => true,
    }
}

/// The namespaces that a search may tell the caller of: the one that it names, or all that are open
/// to the caller. So what is not open moves no cursor and takes no place among the answers.
///
/// # Errors
/// `namespace_forbidden`, or `namespace_not_found`.
pub(super) fn searched_namespaces(
    context: &Context,
    named: Option<&str>,
) -> Result<SearchedNamespaces, OperationError> {
    let view = context.services.hive.view();
    let caller = &context.caller;
    if let Some(name) = named {
        let namespace = named_namespace(name)?;
        may_use(&view, caller, &namespace)?;
        known_namespace(&view, &namespace)?;
        return Ok(SearchedNamespaces::Only(vec![namespace]));
    }
    let names = view.state.namespaces().map(|found| &found.record.namespace);
    let (open, closed): (Vec<_>, Vec<_>) = names
        .cloned()
        .partition(|name| is_open_to(&view, caller, name));
    Ok(match caller {
        // Few are open to an attempt.
        Principal::Task { .. } => SearchedNamespaces::Only(open),
        _ if closed.is_empty() => SearchedNamespaces::All,
        _ => SearchedNamespaces::Except(closed),
    })
}

/// Whether a caller who may read shared memory may read this namespace.
///
/// # Errors
/// `namespace_forbidden`.
pub fn may_read(context: &Context, namespace: &Namespace) -> Result<(), OperationError> {
    let view = context.services.hive.view();
    may_use(&view, &context.caller, namespace)
}

/// The same where the view is at hand.
pub(super) fn may_use(
    view: &View,
    caller: &Principal,
    namespace: &Namespace,
) -> Result<(), OperationError> {
    if is_open_to(view, caller, namespace) {
        return Ok(());
    }
    let detail = format!("`{namespace}` is not open to the holder of this token");
    Err(OperationError::new(ErrorCode::NamespaceForbidden, detail))
}

/// Whether a caller may read what the history keeps of a namespace. That of a run whose entries were
/// removed has no settings any more that say to whom it was open: what is left is for
/// administrators.
pub(super) fn may_use_history(
    view: &View,
    caller: &Principal,
    namespace: &Namespace,
) -> Result<(), OperationError> {
    may_use(view, caller, namespace)?;
    let Some(run) = namespace.run().filter(|_| !caller.has(Scope::Admin)) else {
        return Ok(());
    };
    let found = view.state.namespace(namespace);
    if view.state.run(run).is_some() || found.is_some_and(|found| found.entries > 0) {
        return Ok(());
    }
    Err(no_namespace(namespace))
}

/// Whether a caller who may write shared memory may write this namespace. That of a run is there
/// for as long as the run is live.
pub(super) fn may_write(context: &Context, namespace: &Namespace) -> Result<(), OperationError> {
    let view = context.services.hive.view();
    may_use(&view, &context.caller, namespace)?;
    match namespace.run() {
        Some(run) if view.state.run(run).is_none() => {
            let detail =
                format!("run `{run}` is not live, and its namespace is there only while it is");
            Err(OperationError::new(ErrorCode::RunNotFound, detail))
        }
        _ => Ok(()),
    }
}

/// Refuses a namespace in which nothing is and about which nothing was said, unless everybody
/// knows it.
pub(crate) fn known_namespace(view: &View, namespace: &Namespace) -> Result<(), OperationError> {
    let is_known = matches!(namespace.as_str(), Namespace::SWARM | Namespace::KNOWLEDGE)
        || view.state.namespace(namespace).is_some()
        || namespace
            .run()
            .is_some_and(|run| view.state.run(run).is_some());
    if is_known {
        return Ok(());
    }
    Err(no_namespace(namespace))
}

fn no_namespace(namespace: &Namespace) -> OperationError {
    let detail = format!("there is no namespace `{namespace}`");
    OperationError::new(ErrorCode::NamespaceNotFound, detail)
}
