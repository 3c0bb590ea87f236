//! The loop that keeps the server as the swarm is.

use crate::prefix::MirrorPrefix;
use crate::server::{Content, Document, MirrorAddressError, MirrorServer, RoundError};
use crate::source::{Changed, MirrorSource, Overview};
use crate::stats::MirrorStats;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause between two rounds: what changes meanwhile is one round.
const ROUND_PAUSE: Duration = Duration::from_millis(200);
/// After so long without a change it looks all the same: at what changes without an event, and
/// whether the server still has what it was given.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Pause after a round that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Changed topics that are remembered; more are all of them.
const TOPICS_CHANGED_MAX: usize = 1_024;
/// Documents in one transaction, and topics that are read at once: each may have a mebibyte.
const DOCUMENTS_PER_WRITE: usize = 16;

/// What a mirror is opened with.
#[derive(Debug)]
pub struct MirrorOptions<'a> {
    /// Address of the server.
    pub url: &'a str,
    /// What stands before all names.
    pub prefix: MirrorPrefix,
    /// The swarm that is shown, without `/`: two swarms do not write over each other.
    pub swarm: String,
    /// A text that no other process has.
    pub process: &'a str,
}

/// A mirror that has to be run.
pub struct Mirror {
    server: MirrorServer,
    stats: Arc<MirrorStats>,
    /// What the server has of the overview; nothing when it is not known what it has.
    shown: Option<Overview>,
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Mirror {
    /// Describes the mirror. The server need not be reachable, now or ever.
    ///
    /// # Errors
    /// The URL is none of a Redis server.
    pub fn open(options: MirrorOptions<'_>) -> Result<Self, MirrorAddressError> {
        let MirrorOptions {
            url,
            prefix,
            swarm,
            process,
        } = options;
        Ok(Self {
            server: MirrorServer::open(url, prefix, swarm, process)?,
            stats: Arc::default(),
            shown: None,
        })
    }

    /// What it does, for metrics.
    pub fn stats(&self) -> Arc<MirrorStats> {
        Arc::clone(&self.stats)
    }

    /// Follows the swarm until it is told to stop, or nothing will change any more. What lies in the
    /// server then stays there.
    pub async fn run(mut self, mut source: impl MirrorSource, stop: CancellationToken) {
        let mut pending = Changed::default();
        loop {
            let round = self.round(&source, &pending);
            let Some(done) = stop.run_until_cancelled(round).await else {
                return;
            };
            let (pause, look) = self.settle(done, &mut pending);
            let pause = stop.run_until_cancelled(tokio::time::sleep(pause));
            if pause.await.is_none() {
                return;
            }
            let next = tokio::time::timeout(look, source.changed());
            match stop.run_until_cancelled(next).await {
                Some(Ok(Some(changed))) => {
                    self.stats.fell_behind();
                    pending.add(changed, TOPICS_CHANGED_MAX);
                }
                // Nothing changed that says so.
                Some(Err(_)) => {}
                Some(Ok(None)) | None => return,
            }
        }
    }

    /// Draws the conclusion of a round: how long to rest, and how long to wait for a change then.
    fn settle(
        &mut self,
        done: Result<(), RoundError>,
        pending: &mut Changed,
    ) -> (Duration, Duration) {
        match done {
            Ok(()) => {
                *pending = Changed::default();
                if self.stats.caught_up() {
                    tracing::info!("the Redis mirror shows the swarm");
                }
                (ROUND_PAUSE, LOOK_PAUSE)
            }
            Err(error) => {
                self.shown = None;
                if self.stats.failed() {
                    tracing::warn!(%error, "the Redis mirror is behind; the swarm is not affected");
                }
                (RETRY_PAUSE, Duration::ZERO)
            }
        }
    }

    async fn round(
        &mut self,
        source: &impl MirrorSource,
        pending: &Changed,
    ) -> Result<(), RoundError> {
        let known = match self.shown.take() {
            Some(shown) if self.server.is_own().await? => Some(shown),
            _ => None,
        };
        let overview = source.overview();
        match known {
            None => self.rebuild(source, &overview).await?,
            Some(shown) => {
                self.write(differences(&shown, &overview)).await?;
                if pending.all_topics {
                    self.rebuild(source, &overview).await?;
                } else {
                    let names: Vec<String> = pending.topics.iter().cloned().collect();
                    self.write_topics(source, &names).await?;
                }
            }
        }
        self.stats.found_foreign(self.server.foreign());
        self.shown = Some(overview);
        Ok(())
    }

    /// Writes all of it, and removes what was there of an earlier process.
    async fn rebuild(
        &mut self,
        source: &impl MirrorSource,
        overview: &Overview,
    ) -> Result<(), RoundError> {
        self.server.take_over().await?;
        let all = differences(&Overview::default(), overview);
        let mut kept: BTreeSet<String> = all.iter().map(|(key, _)| key.clone()).collect();
        self.write(all).await?;
        let mut after = None;
        loop {
            let page = source.topics(after.as_deref());
            kept.extend(self.write_topics(source, &page.names).await?);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let gone = self.server.owned_but(&kept).into_iter();
        self.write(gone.map(|key| (key, Content::Nothing)).collect())
            .await?;
        self.stats.rebuilt();
        Ok(())
    }

    /// Writes these topics as they are now, and gives the keys of those that are there.
    async fn write_topics(
        &mut self,
        source: &impl MirrorSource,
        names: &[String],
    ) -> Result<Vec<String>, RoundError> {
        let mut there = Vec::with_capacity(names.len());
        for some in names.chunks(DOCUMENTS_PER_WRITE) {
            let mut documents = Vec::with_capacity(some.len());
            for name in some {
                let (key, content) = document(source, name).await?;
                if content != Content::Nothing {
                    there.push(key.clone());
                }
                documents.push((key, content));
            }
            self.write(documents).await?;
        }
        Ok(there)
    }

    async fn write(&mut self, documents: Vec<Document>) -> Result<(), RoundError> {
        for some in documents.chunks(DOCUMENTS_PER_WRITE) {
            let written = self.server.write(some).await?;
            self.stats.wrote(written);
        }
        Ok(())
    }
}

async fn document(source: &impl MirrorSource, name: &str) -> Result<Document, RoundError> {
    let fields = source.topic(name).await;
    let fields = fields.map_err(|detail| RoundError::Topic {
        name: name.to_owned(),
        detail,
    })?;
    let content = fields.map_or(Content::Nothing, Content::Hash);
    Ok((format!("knowledge:{name}"), content))
}

/// What has to be written where one overview lies, so that the other one does.
fn differences(shown: &Overview, wanted: &Overview) -> Vec<Document> {
    let mut documents = Vec::new();
    let key = |id: &str| format!("sessions:{id}");
    for (id, fields) in &wanted.sessions {
        if shown.sessions.get(id) != Some(fields) {
            documents.push((key(id), Content::Hash(fields.clone())));
        }
    }
    let gone = shown.sessions.keys();
    let gone = gone.filter(|id| !wanted.sessions.contains_key(*id));
    documents.extend(gone.map(|id| (key(id), Content::Nothing)));
    if shown.work_queue != wanted.work_queue {
        let queue = Content::List(wanted.work_queue.clone());
        documents.push(("work_queue".to_owned(), queue));
    }
    if shown.metrics != wanted.metrics {
        let metrics = Content::Hash(wanted.metrics.clone());
        documents.push(("metrics:global".to_owned(), metrics));
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Fields;
    use std::collections::BTreeMap;

    fn fields(text: &str) -> Fields {
        Fields::from([("status", text.to_owned())])
    }

    #[test]
    fn only_what_differs_is_written() {
        let shown = Overview {
            sessions: BTreeMap::from([
                ("gone".to_owned(), fields("idle")),
                ("other".to_owned(), fields("idle")),
                ("same".to_owned(), fields("idle")),
            ]),
            work_queue: vec!["{}".to_owned()],
            metrics: fields("x"),
        };
        let mut wanted = shown.clone();
        assert_eq!(differences(&shown, &wanted), []);
        wanted.sessions.remove("gone");
        wanted.sessions.insert("other".to_owned(), fields("busy"));
        wanted.work_queue.clear();
        let busy = Content::Hash(fields("busy"));
        assert_eq!(
            differences(&shown, &wanted),
            [
                ("sessions:other".to_owned(), busy),
                ("sessions:gone".to_owned(), Content::Nothing),
                ("work_queue".to_owned(), Content::List(Vec::new())),
            ]
        );
    }
}
