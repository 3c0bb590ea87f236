//! A runtime beside the one that forwards messages, for a coordinator in the same process.
//!
//! Forwarding is quickest on one thread: nothing is handed from one thread to another, and a
//! message is on its way at once. A coordinator has more to do, and goes on when the client does
//! not read what is written to it.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use tokio::runtime::{Builder, Runtime};

/// A runtime with threads of its own. They end when it is dropped, without being waited for: what
/// runs there has been stopped before.
#[derive(Debug)]
pub(super) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Waits for the future here; what it opens and starts belongs to that runtime.
    pub(super) async fn within<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let waiting = poll_fn(|context| {
            let _entered = self.0.as_ref().map(Runtime::enter);
            future.as_mut().poll(context)
        });
        waiting.await
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_started_within_runs_while_the_caller_is_blocked() {
        let here = Builder::new_current_thread().enable_all().build().unwrap();
        here.block_on(async {
            let there = OwnRuntime::start().unwrap();
            let (sender, receiver) = std::sync::mpsc::channel();
            let mut tasks = tokio::task::JoinSet::new();
            let start = async {
                // Timers and sockets are of the runtime that the future sees.
                tokio::time::sleep(Duration::from_millis(1)).await;
                tasks.spawn(async move { sender.send(7) });
            };
            there.within(start).await;
            // This thread does nothing else meanwhile.
            assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(7));
            assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(()));
        });
    }
}
