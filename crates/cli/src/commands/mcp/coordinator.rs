//! The coordinator behind `skep mcp`: the one that runs, or one of this process's own.
//!
//! One of its own ends with this process, and so does the work on its node for the time being; what
//! was accepted is in the log of the user's data and goes on with the next coordinator there.

use super::own_runtime::OwnRuntime;
use crate::commands::Session;
use crate::connection;
use crate::exit::{Exit, Failure};
use crate::local_nodes::LocalNodes;
use crate::memory_desk::MemoryServers;
use crate::server::{Server, ServerOptions};
use crate::settings::Key;
use skep_client::Client;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long another process may take from owning the data to answering.
const START_MAX: Duration = Duration::from_secs(15);
/// Pause between two looks for it.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Node processes beside a coordinator of our own.
const NODES: u32 = 1;

/// Finds a coordinator, and keeps the one that it started.
#[derive(Debug)]
pub(super) struct Coordinator<'a> {
    session: &'a Session,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    client: Option<Client>,
    own: Option<Own>,
}

/// A coordinator of this process, with its nodes.
#[derive(Debug)]
struct Own {
    server: Server,
    nodes: LocalNodes,
    runtime: OwnRuntime,
}

impl<'a> Coordinator<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self {
            session,
            known: Mutex::default(),
        }
    }

    /// A client of a coordinator that answered a moment ago, or that was started just now.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let mut known = self.known.lock().await;
        if let Some(client) = &known.client {
            return Ok(client.clone());
        }
        let client = match self.running().await {
            Ok(client) => client,
            // Somebody named it: another one is not what they meant.
            Err(failure) if self.session.global.url.is_some() => return Err(failure),
            Err(_) => {
                let (client, own) = self.start_own().await?;
                known.own = own;
                client
            }
        };
        known.client = Some(client.clone());
        Ok(client)
    }

    /// The coordinator did not answer: the next request looks for one anew.
    pub(super) async fn forget(&self) {
        let mut known = self.known.lock().await;
        if known.own.is_none() {
            known.client = None;
        }
    }

    /// Ends what was started.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        match self.known.into_inner().own {
            None => Ok(()),
            Some(Own {
                server,
                nodes,
                runtime,
            }) => {
                let stopping = async {
                    nodes.stop().await;
                    server.stop().await
                };
                runtime.within(stopping).await
            }
        }
    }

    async fn running(&self) -> Result<Client, Failure> {
        let client = connection::client(&self.session.global, &self.session.places)?;
        client.connect().await?;
        Ok(client)
    }

    async fn start_own(&self) -> Result<(Client, Option<Own>), Failure> {
        let deadline = tokio::time::Instant::now() + START_MAX;
        loop {
            let runtime = OwnRuntime::start()?;
            let failure = match runtime.within(self.start_server()).await {
                Ok((server, nodes)) => {
                    let client = self.running().await?;
                    let own = Own {
                        server,
                        nodes,
                        runtime,
                    };
                    return Ok((client, Some(own)));
                }
                Err(failure) => failure,
            };
            // Another process of this user was faster: its coordinator is as good.
            if failure.code != "data_dir_in_use" || tokio::time::Instant::now() >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            if let Ok(client) = self.running().await {
                return Ok((client, None));
            }
        }
    }

    async fn start_server(&self) -> Result<(Server, LocalNodes), Failure> {
        let session = self.session;
        let strategy = session.settings.setting(Key::Strategy).value;
        let options = ServerOptions {
            places: &session.places,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: &[],
            strategy: &strategy,
            retention: session.settings.retention(),
            announce: None,
            memory_servers: MemoryServers::default(),
            mirror: None,
        };
        let server = Server::start(options).await?;
        match LocalNodes::start(&session.places, &server.note, NODES, true) {
            Ok(nodes) => Ok((server, nodes)),
            Err(failure) => {
                server.stop().await?;
                Err(Failure::new(
                    Exit::Failed,
                    "node_not_started",
                    failure.message,
                ))
            }
        }
    }
}
