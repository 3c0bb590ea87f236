//! Documents that operations themselves keep: entries of shared memory, so that they last, have a
//! history, and are seen by everybody.

use super::access::{EntryName, may_use, named_key, named_namespace};
use super::given::{self, GivenValue, PutBody};
use super::merging::propose;
use super::values::{read_value, store_value};
use super::write::{done, one as write_one};
use crate::context::{Context, Principal, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use skep_core::MemoryQuery;
use skep_model::limits::PAGE_ITEMS_MAX;
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryKey, MemoryProvenance, MemoryPut, MemoryRecord,
    MemoryValue, MemoryVersion, MemoryWrite, Namespace,
};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A document to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document<'a, T> {
    /// The namespace.
    pub(crate) namespace: &'a str,
    /// The key.
    pub(crate) key: &'a str,
    /// What it says.
    pub(crate) content: &'a T,
    /// Seconds it lives; for ever without.
    pub(crate) ttl_s: Option<u64>,
    /// Why it is written.
    pub(crate) why: &'a str,
}

/// A document that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    pub(crate) key: String,
    pub(crate) version: MemoryVersion,
    pub(crate) written_at: UnixMillis,
    pub(crate) content: T,
}

/// Keeps a document, in place of one of the same key. Gives its version.
///
/// # Errors
/// Those of a write to shared memory.
pub(crate) async fn put<T: Serialize + Sync>(
    context: &Context,
    document: Document<'_, T>,
) -> Result<MemoryVersion, OperationError> {
    let text = serde_json::to_string(document.content)
        .and_then(RawValue::from_string)
        .map_err(|error| OperationError::internal("write a document", &error))?;
    let name = EntryName {
        namespace: named_namespace(document.namespace)?,
        key: named_key(document.key)?,
    };
    // The caller's key and conditions are those of what it asked for, not of this.
    let context = Context::new(Arc::clone(&context.services), context.caller.clone());
    let body = PutBody {
        value: Some(text),
        ttl_s: document.ttl_s,
        why: Some(document.why.to_owned()),
        ..PutBody::default()
    };
    let write = given::put(&context, &name, body).await?;
    let answer = write_one(&context, &name, write).await?;
    Ok(answer.written.version)
}

/// Keeps a document of the coordinator itself, only if it has this version if one is named (0: only
/// if there is none), and removes others of its namespace that have these versions: all of it or
/// nothing. Who may use the namespace does not matter.
///
/// # Errors
/// Those of a write to shared memory.
pub(crate) async fn put_own<T: Serialize + Sync>(
    services: &Arc<Services>,
    document: Document<'_, T>,
    if_version: Option<MemoryVersion>,
    gone: &[(String, MemoryVersion)],
) -> Result<(), OperationError> {
    let text = serde_json::to_string(document.content)
        .map_err(|error| OperationError::internal("write a document", &error))?;
    let namespace = named_namespace(document.namespace)?;
    let provenance = || MemoryProvenance {
        why: Some(document.why.to_owned()),
        ..MemoryProvenance::default()
    };
    let change = MemoryChange::Put(Arc::new(MemoryPut {
        value: store_value(services, &namespace, GivenValue::Json(text)).await?,
        ttl_ms: document.ttl_s.map(|seconds| seconds.saturating_mul(1_000)),
        tags: BTreeSet::new(),
        metadata: BTreeMap::new(),
        embedding: None,
    }));
    let put = MemoryWrite {
        condition: match if_version {
            None => MemoryCondition::Any,
            Some(MemoryVersion(0)) => MemoryCondition::Absent,
            Some(version) => MemoryCondition::Version(version),
        },
        provenance: provenance(),
        ..MemoryWrite::new(namespace.clone(), named_key(document.key)?, change)
    };
    let mut writes = vec![put];
    for (key, version) in gone {
        writes.push(MemoryWrite {
            condition: MemoryCondition::Version(*version),
            provenance: provenance(),
            ..MemoryWrite::new(namespace.clone(), named_key(key)?, MemoryChange::Delete)
        });
    }
    // Nobody in particular: the log names the coordinator.
    let context = Context::new(Arc::clone(services), Principal::Anonymous);
    let names: Vec<_> = writes
        .iter()
        .map(|write| EntryName {
            namespace: write.namespace.clone(),
            key: write.key.clone(),
        })
        .collect();
    let proposed = propose(&context, writes, true).await?;
    for (name, answer) in names.iter().zip(proposed.answers) {
        done(name, answer)?;
    }
    Ok(())
}

/// Whether a namespace is open to the caller.
///
/// # Errors
/// `namespace_forbidden`.
pub(crate) fn check_open(context: &Context, namespace: &str) -> Result<(), OperationError> {
    let namespace = named_namespace(namespace)?;
    may_use(&context.services.hive.view(), &context.caller, &namespace)
}

/// The document of this key, if there is one.
///
/// # Errors
/// `namespace_forbidden`, or it cannot be read.
pub(crate) async fn one<T: DeserializeOwned>(
    context: &Context,
    namespace: &str,
    key: &str,
) -> Result<Option<Found<T>>, OperationError> {
    check_open(context, namespace)?;
    let name = EntryName {
        namespace: named_namespace(namespace)?,
        key: named_key(key)?,
    };
    let services = &context.services;
    let version = {
        let at = services.now();
        let view = services.hive.view();
        let entry = view.state.memory_entry(&name.namespace, &name.key, at);
        entry.map(|entry| entry.version)
    };
    let Some(version) = version else {
        return Ok(None);
    };
    let record = read_value(services, &name, version).await?;
    record.map(|record| read(&name, &record)).transpose()
}

/// The documents whose keys begin so and that were written since, by key, but no more than `most`;
/// and whether these are all. None where the namespace was never used.
///
/// # Errors
/// `namespace_forbidden`, or a document that cannot be read.
pub(crate) async fn all<T: DeserializeOwned>(
    context: &Context,
    namespace: &str,
    prefix: &str,
    since: Option<UnixMillis>,
    most: usize,
) -> Result<(Vec<Found<T>>, bool), OperationError> {
    check_open(context, namespace)?;
    own(&context.services, namespace, prefix, since, most).await
}

/// The same for the coordinator itself.
///
/// # Errors
/// A document cannot be read.
pub(crate) async fn own<T: DeserializeOwned>(
    services: &Arc<Services>,
    namespace: &str,
    prefix: &str,
    since: Option<UnixMillis>,
    most: usize,
) -> Result<(Vec<Found<T>>, bool), OperationError> {
    let namespace = named_namespace(namespace)?;
    let mut found = Vec::new();
    let mut after: Option<MemoryKey> = None;
    loop {
        let (heads, next) = heads(services, &namespace, (prefix, since), after.as_ref());
        for (key, version) in heads {
            if found.len() >= most {
                return Ok((found, false));
            }
            let name = EntryName {
                namespace: namespace.clone(),
                key,
            };
            // One that was replaced so often meanwhile that it is gone is found by the next call.
            if let Some(record) = read_value(services, &name, version).await? {
                found.push(read(&name, &record)?);
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok((found, true)),
        }
    }
}

type Heads = (Vec<(MemoryKey, MemoryVersion)>, Option<MemoryKey>);

/// One page of keys with their versions, and where the next one starts.
fn heads(
    services: &Services,
    namespace: &Namespace,
    (prefix, since): (&str, Option<UnixMillis>),
    after: Option<&MemoryKey>,
) -> Heads {
    let at = services.now();
    let view = services.hive.view();
    let query = MemoryQuery {
        namespace,
        prefix,
        tags: &[],
        since,
        until: None,
        after,
        limit: PAGE_ITEMS_MAX,
    };
    let page = view.state.memory_list(&query, at);
    let heads = page.entries.iter();
    (
        heads
            .map(|entry| (entry.key.clone(), entry.version))
            .collect(),
        page.next.cloned(),
    )
}

fn read<T: DeserializeOwned>(
    name: &EntryName,
    record: &MemoryRecord,
) -> Result<Found<T>, OperationError> {
    let wrong = |detail: String| {
        let detail = format!("`{}` in `{}`: {detail}", name.key, name.namespace);
        OperationError::new(ErrorCode::DocumentInvalid, detail)
    };
    let value = record.put.as_ref().map(|put| &put.value);
    let Some(MemoryValue::Json(text)) = value else {
        return Err(wrong("it is no JSON".to_owned()));
    };
    let content = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    Ok(Found {
        key: name.key.as_str().to_owned(),
        version: record.version,
        written_at: record.written_at,
        content,
    })
}
