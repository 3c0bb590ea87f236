//! What a coordinator does beside serving: tasks with names, which its owner stops and waits for.

use tokio::task::JoinHandle;

/// Tasks that run until the token they were given is cancelled.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Background {
    /// Starts a task.
    #[expect(
        clippy::disallowed_methods,
        reason = "the handle is kept under its name and awaited by `Background::ended`"
    )]
    pub(crate) fn start(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.push((name, tokio::spawn(task)));
    }

    /// Waits for all of them; they were told to stop before.
    pub(crate) async fn ended(self) {
        for (name, task) in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, task = name, "a background task failed");
            }
        }
    }
}
