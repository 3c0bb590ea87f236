//! One round with a peer: what changed there comes here, what changed here goes there, page by page.
//! After each page it is noted how far things are, so that a round that breaks off is gone on with.

use super::incoming::{remember_removals, take};
use super::items::{Became, ChangesQuestion, Delivery, Item};
use super::outgoing::{changes, refuse_secret, replica_of};
use super::peers::{Direction, Peer};
use super::progress::{Cursor, Progress};
use super::report::{NamespaceReport, PeerReport, RefusedBy, Tally, WholeReason};
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::memory::access::may_use;
use crate::memory::documents::{self, Document};
use serde::{Deserialize, Serialize};
use skep_model::ids::ReplicaId;
use skep_model::limits::TOMBSTONE_KEPT_MS;
use skep_model::memory::{MemoryVersion, Namespace};
use skep_model::time::UnixMillis;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where it is kept how far peers are known; never exchanged itself.
pub(super) const NAMESPACE: &str = "memory-sync";
/// A round in which nothing changed is noted if the last one that was noted is older: one day.
const MET_NOTED_MS: u64 = 24 * 3_600_000;

/// How far a peer is known, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    cursor: Cursor,
    /// When a round last went through, in Unix milliseconds.
    met_at: Option<UnixMillis>,
}

/// A round that is under way.
struct Round<'a> {
    context: &'a Context,
    peer: &'a Peer,
    report: PeerReport,
}

/// Does a round in these namespaces. Rounds with one peer wait for each other.
///
/// # Errors
/// The peer does not answer or refuses, or the log took nothing more. What was done by then stays done,
/// and the next round goes on from there.
pub(super) async fn run(
    context: &Context,
    peer: &Peer,
    namespaces: &[Namespace],
    direction: Direction,
) -> Result<PeerReport, OperationError> {
    {
        let view = context.services.hive.view();
        for namespace in namespaces {
            may_use(&view, &context.caller, namespace)?;
            refuse_secret(&view, namespace)?;
            if namespace.as_str() == NAMESPACE {
                let detail = format!("`{NAMESPACE}` is about this installation only");
                return Err(OperationError::new(ErrorCode::NamespaceForbidden, detail));
            }
        }
    }
    let _one_at_a_time = peer.round.lock().await;
    let mut round = Round {
        context,
        peer,
        report: PeerReport::new(&peer.name, direction),
    };
    for namespace in namespaces {
        round.namespace(namespace, direction).await?;
    }
    Ok(round.report)
}

impl Round<'_> {
    async fn namespace(
        &mut self,
        namespace: &Namespace,
        direction: Direction,
    ) -> Result<(), OperationError> {
        let services = &self.context.services;
        remember_removals(services, namespace).await?;
        let loaded = load(services, &self.peer.name, namespace).await?;
        let (there, remembers, newest_there) = self.greet(namespace).await?;
        let (mut cursor, whole) = self.begin(namespace, loaded.as_ref(), (there, newest_there));
        let now = services.now();
        let met_at = loaded.as_ref().and_then(|kept| kept.met_at);
        let was_long_ago = met_at.is_some_and(|met| now.since(met) > TOMBSTONE_KEPT_MS);
        self.report.namespaces.push(NamespaceReport {
            namespace: namespace.clone(),
            pulled: Tally::default(),
            pushed: Tally::default(),
            whole,
            open_conflicts: 0,
            removals_may_be_missed: was_long_ago || !remembers,
        });
        let mut met_at = met_at;
        if direction.pulls() {
            self.pull(namespace, &mut cursor, met_at).await?;
        }
        if direction.pushes() {
            self.push(namespace, &mut cursor, met_at).await?;
        }
        if met_at.is_none_or(|met| now.since(met) > MET_NOTED_MS) {
            met_at = Some(now);
            self.keep(namespace, &cursor, met_at).await?;
        }
        let view = services.hive.view();
        let kept = view.state.namespace(namespace);
        if let Some(report) = self.report.namespaces.last_mut() {
            report.open_conflicts = kept.map_or(0, |kept| kept.conflicts);
            self.report.pulled.add(report.pulled);
            self.report.pushed.add(report.pushed);
        }
        Ok(())
    }

    /// Who answers there, whether it remembers all removals, and its newest version.
    async fn greet(
        &self,
        namespace: &Namespace,
    ) -> Result<(ReplicaId, bool, MemoryVersion), OperationError> {
        let question = ChangesQuestion {
            namespace: namespace.clone(),
            // Nothing is later than this.
            since: MemoryVersion(u64::MAX),
            again: BTreeSet::new(),
            after: None,
            reader: replica_of(&self.context.services),
        };
        let page = self.peer.link.changes(&question).await;
        let page = page.map_err(|fault| self.broken(&fault))?;
        if page.replica == question.reader {
            let detail = format!(
                "`{}` is this installation itself, or a copy of its data that runs",
                self.peer.name
            );
            return Err(OperationError::new(ErrorCode::MemoryPeerRefused, detail));
        }
        Ok((page.replica, page.remembers_removals, page.newest))
    }

    /// Where to go on from, and why from the beginning if that is so.
    fn begin(
        &self,
        namespace: &Namespace,
        loaded: Option<&Kept>,
        (there, newest_there): (ReplicaId, MemoryVersion),
    ) -> (Cursor, Option<WholeReason>) {
        let Some(Kept { cursor, .. }) = loaded else {
            return (Cursor::fresh(there), Some(WholeReason::First));
        };
        if cursor.replica != there {
            return (Cursor::fresh(there), Some(WholeReason::OtherInstallation));
        }
        let newest_here = {
            let view = self.context.services.hive.view();
            let kept = view.state.namespace(namespace);
            kept.map_or(MemoryVersion(0), |kept| kept.record.last_version)
        };
        if newest_there < cursor.pull.since || newest_here < cursor.push.since {
            return (Cursor::fresh(there), Some(WholeReason::WentBack));
        }
        (cursor.clone(), None)
    }

    async fn pull(
        &mut self,
        namespace: &Namespace,
        cursor: &mut Cursor,
        met_at: Option<UnixMillis>,
    ) -> Result<(), OperationError> {
        let here = replica_of(&self.context.services);
        loop {
            let question = question(namespace, &cursor.pull, here);
            let page = self.peer.link.changes(&question).await;
            let page = page.map_err(|fault| self.broken(&fault))?;
            let became = take(self.context, namespace, &page.items).await?;
            let before = cursor.clone();
            let is_last = page.next.is_none();
            let page_done: Vec<_> = page.items.into_iter().zip(became).collect();
            cursor.pull.note_page(page.newest, page.next, &page_done);
            self.report.note(namespace, RefusedBy::Here, &page_done);
            if *cursor != before {
                self.keep(namespace, cursor, met_at).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn push(
        &mut self,
        namespace: &Namespace,
        cursor: &mut Cursor,
        met_at: Option<UnixMillis>,
    ) -> Result<(), OperationError> {
        loop {
            let question = question(namespace, &cursor.push, cursor.replica);
            let page = changes(&self.context.services, &question).await?;
            let became = self.deliver(namespace, &page.items).await?;
            let before = cursor.clone();
            let is_last = page.next.is_none();
            let page_done: Vec<_> = page.items.into_iter().zip(became).collect();
            cursor.push.note_page(page.newest, page.next, &page_done);
            self.report.note(namespace, RefusedBy::Peer, &page_done);
            if *cursor != before {
                self.keep(namespace, cursor, met_at).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn deliver(
        &self,
        namespace: &Namespace,
        items: &[Item],
    ) -> Result<Vec<Became>, OperationError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let delivery = Delivery {
            namespace: namespace.clone(),
            items: items.to_vec(),
        };
        let applied = self.peer.link.deliver(&delivery).await;
        let applied = applied.map_err(|fault| self.broken(&fault))?;
        let fits = applied.items.len() == items.len()
            && applied
                .items
                .iter()
                .zip(items)
                .all(|(became, item)| became.key == item.key);
        if fits {
            return Ok(applied.items);
        }
        let detail = format!(
            "peer `{}` did not say of each entry what became of it; {}",
            self.peer.name,
            self.so_far()
        );
        Err(OperationError::new(ErrorCode::MemoryPeerRefused, detail))
    }

    async fn keep(
        &self,
        namespace: &Namespace,
        cursor: &Cursor,
        met_at: Option<UnixMillis>,
    ) -> Result<(), OperationError> {
        let content = Kept {
            cursor: cursor.clone(),
            met_at,
        };
        let document = Document {
            namespace: NAMESPACE,
            key: &key_of(&self.peer.name, namespace),
            content: &content,
            ttl_s: None,
            why: "how far a peer is known",
        };
        documents::put_own(&self.context.services, document, None, &[]).await
    }

    fn broken(&self, fault: &super::PeerFault) -> OperationError {
        fault.error(&self.peer.name, &self.so_far())
    }

    /// What this round did before it broke off.
    fn so_far(&self) -> String {
        let (mut pulled, mut pushed) = (Tally::default(), Tally::default());
        for report in &self.report.namespaces {
            pulled.add(report.pulled);
            pushed.add(report.pushed);
        }
        format!(
            "{} entries were taken here and {} there before, and the next round goes on from there",
            pulled.taken, pushed.taken
        )
    }
}

/// What to ask for next.
fn question(namespace: &Namespace, progress: &Progress, reader: ReplicaId) -> ChangesQuestion {
    ChangesQuestion {
        namespace: namespace.clone(),
        since: progress.since,
        again: progress.again.clone(),
        after: progress.after().cloned(),
        reader,
    }
}

fn key_of(peer: &str, namespace: &Namespace) -> String {
    format!("{peer}/{namespace}")
}

async fn load(
    services: &Arc<Services>,
    peer: &str,
    namespace: &Namespace,
) -> Result<Option<Kept>, OperationError> {
    let key = key_of(peer, namespace);
    let (found, _) = documents::own::<Kept>(services, NAMESPACE, &key, None, 1).await?;
    // Keys that only begin so are those of other namespaces; this one would be the first.
    let own = found.into_iter().find(|found| found.key == key);
    Ok(own.map(|found| found.content))
}
