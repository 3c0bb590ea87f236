//! INT and TERM: the first asks for an orderly end, the second ends at once.

use crate::exit::Exit;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first INT or TERM cancels. A second one ends the process.
#[expect(
    clippy::disallowed_methods,
    reason = "the task lives as long as the process; its end is the process's end"
)]
pub(crate) fn shutdown_on_signals() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    // Registered before this returns: whoever is told that the process is ready may stop it.
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::warn!("the system gives no signals; stop the process by other means");
        return token;
    };
    tokio::spawn(async move {
        let mut seen = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            seen += 1;
            cancel.cancel();
            if seen > 1 {
                end_now();
            }
        }
    });
    token
}

#[expect(
    clippy::exit,
    reason = "the second signal asks for the end of the process, now"
)]
fn end_now() {
    std::process::exit(Exit::Interrupted as i32);
}
