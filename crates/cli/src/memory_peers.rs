//! The way to installations with which shared memory is exchanged, and the rounds with them that nobody
//! asks for.

use crate::connection;
use crate::exit::{Exit, Failure, chain};
use crate::settings::PeerSetting;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use skep_client::{Client, ClientError, Method};
use skep_operations::{
    Applied, ChangesPage, ChangesQuestion, Delivery, Peer, PeerFault, PeerLink, Peers, Services,
    Tally, sync_with_peer,
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rights of anybody but the owner.
const OTHERS: u32 = 0o077;
/// How long a peer may take for one page.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest pause after rounds that failed, unless rounds are rarer than that anyway.
const FAILED_PAUSE_MAX: Duration = Duration::from_hours(1);
/// Doublings of the pause that count.
const DOUBLINGS_MAX: u32 = 16;

/// The peers of the configuration.
pub(crate) fn open(settings: &[PeerSetting]) -> Result<Peers, Failure> {
    let peers = settings.iter().map(peer).collect::<Result<_, _>>()?;
    Ok(Peers::new(peers))
}

fn peer(setting: &PeerSetting) -> Result<Peer, Failure> {
    let token = token_of(&setting.name, &setting.token_file)?;
    let authority = setting.authority.as_deref();
    let client = connection::connect_pinned(&setting.url, Some(token), authority)?;
    let mut peer = Peer::new(&setting.name, Arc::new(RestLink(client)))
        .map_err(|error| Failure::new(Exit::Invalid, "config_invalid", error.to_string()))?;
    if let Some(namespaces) = &setting.namespaces {
        peer.namespaces.clone_from(namespaces);
    }
    peer.direction = setting.direction;
    peer.every = setting.every;
    Ok(peer)
}

/// The token of a peer. A file that others can read is refused: they would have it, too.
fn token_of(peer: &str, file: &Path) -> Result<String, Failure> {
    let unusable = |detail: String| {
        let message = format!(
            "peer `{peer}`: the token file `{}` {detail}",
            file.display()
        );
        Failure::new(Exit::Denied, "peer_token_unusable", message)
    };
    let unreadable = |error| unusable(format!("cannot be read: {error}"));
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let detail = format!("can be read by others (mode {mode:o})");
        return Err(unusable(detail).hint(format!(
            "run `chmod 600 {}`, and make a new token if somebody may have read it",
            file.display()
        )));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(unusable("is empty".to_owned()));
    }
    Ok(token.to_owned())
}

/// A peer behind its REST API.
#[derive(Debug)]
struct RestLink(Client);

impl RestLink {
    async fn post<B, T>(&self, path: &str, body: &B) -> Result<T, PeerFault>
    where
        B: Serialize + Sync,
        T: DeserializeOwned,
    {
        let request = self.0.request(Method::POST, path);
        let request = request.json(body).map_err(|error| fault(&error))?;
        let sent = request.timeout(PAGE_TIMEOUT).send().await;
        sent.map_err(|error| fault(&error))
    }
}

fn fault(error: &ClientError) -> PeerFault {
    match error.problem() {
        Some(problem) => PeerFault::Refused {
            code: problem.code.clone(),
            detail: format!("{}: {}", problem.title, problem.detail),
        },
        None => PeerFault::Unreachable {
            detail: chain(error),
        },
    }
}

impl PeerLink for RestLink {
    fn address(&self) -> String {
        self.0.base_url().to_string()
    }

    fn changes<'a>(
        &'a self,
        question: &'a ChangesQuestion,
    ) -> BoxFuture<'a, Result<ChangesPage, PeerFault>> {
        self.post("/api/v2/memory-sync/changes", question).boxed()
    }

    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Applied, PeerFault>> {
        self.post("/api/v2/memory-sync/deliver", delivery).boxed()
    }
}

/// Rounds with a peer, this often, until `stop` is cancelled. After one that failed the pause doubles.
pub(crate) async fn run(
    services: Arc<Services>,
    peer: String,
    every: Duration,
    stop: CancellationToken,
) {
    let mut failures = 0;
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let round = tokio::select! {
            round = sync_with_peer(&services, &peer) => round,
            () = stop.cancelled() => return,
        };
        match round {
            Ok(report) => {
                failures = 0;
                if has_news(report.pulled) || has_news(report.pushed) {
                    let (pulled, pushed) = (report.pulled, report.pushed);
                    tracing::info!(peer, ?pulled, ?pushed, "exchanged shared memory");
                }
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(peer, %error, "shared memory was not exchanged");
            }
        }
        pause = pause_after(every, failures);
    }
}

fn has_news(tally: Tally) -> bool {
    tally.taken + tally.conflicts + tally.refused > 0
}

fn pause_after(every: Duration, failures: u32) -> Duration {
    let longer = every.saturating_mul(1 << failures.min(DOUBLINGS_MAX));
    longer.min(FAILED_PAUSE_MAX.max(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_with_each_failure_up_to_a_bound() {
        let minutes = Duration::from_mins;
        for (every, failures, pause) in [
            (minutes(5), 0, minutes(5)),
            (minutes(5), 1, minutes(10)),
            (minutes(5), 3, minutes(40)),
            (minutes(5), 30, FAILED_PAUSE_MAX),
            (minutes(600), 1, minutes(600)),
        ] {
            assert_eq!(pause_after(every, failures), pause, "{every:?} {failures}");
        }
    }

    #[test]
    fn a_token_that_others_can_read_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lab.token");
        let missing = token_of("lab", &file).unwrap_err();
        assert_eq!(missing.code, "peer_token_unusable");
        std::fs::write(&file, "swu1_x\n").unwrap();
        for (mode, usable) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&file, permissions).unwrap();
            let token = token_of("lab", &file).ok();
            assert_eq!(token.as_deref(), usable.then_some("swu1_x"), "{mode:o}");
        }
    }
}
