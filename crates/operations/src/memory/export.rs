//! Gives a namespace as lines of JSON, as long as it may be.

use super::access::{EntryName, known_namespace, may_use, named_namespace};
use super::transfer::{End, FORMAT, Head, line_of, line_of_version};
use super::values::{read_value, read_version};
use crate::context::Context;
use crate::error::OperationError;
use crate::exchange::{Reply, ReplyBody, RequestBody};
use crate::lookup;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use skep_core::MemoryQuery;
use skep_model::memory::{MemoryKey, MemoryVersion, Namespace};
use skep_model::time::UnixMillis;
use std::collections::VecDeque;
use std::io;

/// Media type of lines of JSON.
pub(super) const JSON_LINES: &str = "application/jsonl";
/// Entries that are looked up at a time.
const ENTRIES_PER_LOOK: usize = 256;

/// What to export.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The namespace.
    namespace: String,
    /// Only keys that begin so.
    #[serde(default)]
    prefix: String,
    /// Whether to give the earlier versions of each entry as well.
    #[serde(default)]
    history: bool,
}

/// An entry that is to be written next.
type Next = (EntryName, MemoryVersion, Option<UnixMillis>);

/// Where the next look begins.
enum NextLook {
    First,
    After(MemoryKey),
    /// There is none.
    Over,
}

struct Export {
    context: Context,
    namespace: Namespace,
    wanted: Wanted,
    ahead: VecDeque<Next>,
    /// Where the next look begins.
    next_look: NextLook,
    entries: u64,
    is_over: bool,
}

/// Each entry is as it was when its line was written. The last line says how many there are, so
/// that a file that was cut is known for one.
pub(super) async fn export(
    context: Context,
    wanted: Wanted,
    _: RequestBody,
) -> Result<Reply, OperationError> {
    let namespace = named_namespace(&wanted.namespace)?;
    let head = {
        let at = context.services.now();
        let view = context.services.hive.view();
        may_use(&view, &context.caller, &namespace)?;
        known_namespace(&view, &namespace)?;
        line_of(&Head {
            format: FORMAT,
            namespace: &namespace,
            exported_at: at.into(),
            applied_index: view.applied.0,
        })?
    };
    let export = Export {
        context,
        namespace,
        wanted,
        ahead: VecDeque::new(),
        next_look: NextLook::First,
        entries: 0,
        is_over: false,
    };
    let lines = stream::try_unfold(export, |mut export| async move {
        let piece = export.next().await.map_err(io::Error::other)?;
        Ok(piece.map(|piece| (piece, export)))
    });
    let first = stream::once(async { Ok(Bytes::from(head)) });
    let body = ReplyBody::Stream(JSON_LINES, first.chain(lines).boxed());
    std::future::ready(Ok(Reply {
        body,
        ..Reply::empty()
    }))
    .await
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, OperationError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            let Some((name, version, expires_at)) = self.ahead.pop_front() else {
                if self.look_ahead() {
                    continue;
                }
                self.is_over = true;
                let end = line_of(&End { end: self.entries })?;
                return Ok(Some(end.into()));
            };
            let record = read_value(&self.context.services, &name, version).await?;
            // Gone from the history: it was replaced many times since, and is looked up again.
            let Some(record) = record else {
                self.look_again(name);
                continue;
            };
            let mut lines = line_of_version(&record, expires_at, false)?;
            self.entries += 1;
            if self.wanted.history {
                self.add_history(&name, version, &mut lines).await?;
            }
            return Ok(Some(lines.into()));
        }
    }

    /// Looks up further entries, if there may be some.
    fn look_ahead(&mut self) -> bool {
        let after = match std::mem::replace(&mut self.next_look, NextLook::Over) {
            NextLook::First => None,
            NextLook::After(key) => Some(key),
            NextLook::Over => return false,
        };
        let at = self.context.services.now();
        let view = self.context.services.hive.view();
        let query = MemoryQuery {
            namespace: &self.namespace,
            prefix: &self.wanted.prefix,
            tags: &[],
            since: None,
            until: None,
            after: after.as_ref(),
            limit: ENTRIES_PER_LOOK,
        };
        let page = view.state.memory_list(&query, at);
        if let Some(next) = page.next {
            self.next_look = NextLook::After(next.clone());
        }
        self.ahead.extend(page.entries.into_iter().map(|entry| {
            let name = EntryName {
                namespace: entry.namespace.clone(),
                key: entry.key.clone(),
            };
            (name, entry.version, entry.expires_at)
        }));
        true
    }

    fn look_again(&mut self, name: EntryName) {
        let at = self.context.services.now();
        let view = self.context.services.hive.view();
        let entry = view.state.memory_entry(&name.namespace, &name.key, at);
        let found = entry.map(|entry| (name, entry.version, entry.expires_at));
        if let Some(found) = found {
            self.ahead.push_front(found);
        }
    }

    async fn add_history(
        &self,
        name: &EntryName,
        newest: MemoryVersion,
        lines: &mut Vec<u8>,
    ) -> Result<(), OperationError> {
        let place = name.clone();
        let heads = lookup::ask(
            &self.context.services,
            "read the history of shared memory",
            move |archive| {
                let kept = skep_model::limits::MEMORY_VERSIONS_KEPT as usize;
                archive.memory_history(&place.namespace, &place.key, Some(newest), kept)
            },
        );
        for head in heads.await? {
            let version = head.record.version;
            if let Some(record) = read_version(&self.context.services, name, version).await? {
                lines.extend(line_of_version(&record, record.expires_at, true)?);
            }
        }
        Ok(())
    }
}
