//! INT and TERM: the first asks for an orderly end, the second ends at once.

use crate::exit::Exit;
use std::io;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first INT or TERM cancels. A second one ends the process.
#[expect(
    clippy::disallowed_methods,
    reason = "the task lives as long as the process; its end is the process's end"
)]
pub(crate) fn shutdown_on_signals() -> CancellationToken {
    let token = CancellationToken::new();
    // Registered before this returns: whoever is told that the process is ready may stop it.
    match Signals::registered() {
        Ok(signals) => drop(tokio::spawn(signals.followed_by(token.clone()))),
        Err(error) => without_signals(&error),
    }
    token
}

/// The same for a process with one thread, which may be busy writing to somebody who does not read:
/// signals have a thread of their own. It lives as long as the process.
pub(crate) fn shutdown_on_signals_though_busy() -> CancellationToken {
    let token = CancellationToken::new();
    if let Err(error) = follow_on_a_thread(token.clone()) {
        without_signals(&error);
    }
    token
}

fn follow_on_a_thread(token: CancellationToken) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _entered = runtime.enter();
        Signals::registered()?
    };
    let follow = move || runtime.block_on(signals.followed_by(token));
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(follow).map(drop)
}

fn without_signals(error: &io::Error) {
    tracing::warn!(%error, "the system gives no signals; stop the process by other means");
}

/// INT and TERM, from now on.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn registered() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn followed_by(mut self, token: CancellationToken) {
        let mut seen = 0;
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            seen += 1;
            token.cancel();
            if seen > 1 {
                end_now();
            }
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the second signal asks for the end of the process, now"
)]
fn end_now() {
    std::process::exit(Exit::Interrupted as i32);
}
