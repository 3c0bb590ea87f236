//! What `skep up` puts between callers of shared memory and what is stored.

use crate::args::MemoryServerArgs;
use crate::exit::{Exit, Failure, chain};
use crate::memory_peers;
use crate::settings::PeerSetting;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use skep_embedding::{EmbeddingEndpoint, EndpointOptions};
use skep_model::memory::Embedding;
use skep_operations::{Embedder, MemoryDesk, Secrets};
use skep_store::DataDir;
use skep_tiers::{MemoryTiers, SharedTierWriter, TierKey};
use std::path::PathBuf;
use std::sync::Arc;

/// The file of the key of secret namespaces, in the coordinator's directory.
const KEY_FILE: &str = "memory.key";

/// Servers of others that shared memory may use; none by default.
#[derive(Debug, Default)]
pub(crate) struct MemoryServers {
    /// URL of the Redis or Valkey server that is tier 2.
    pub(crate) redis: Option<String>,
    /// URL and model of the model server.
    pub(crate) embedding: Option<(String, String)>,
    /// File with the key of the model server.
    pub(crate) embedding_key_file: Option<PathBuf>,
    /// Installations with which entries are exchanged.
    pub(crate) peers: Vec<PeerSetting>,
}

impl MemoryServers {
    /// Those of the flags, and peers.
    pub(crate) fn of(args: MemoryServerArgs, peers: &[PeerSetting]) -> Self {
        Self {
            redis: args.redis,
            embedding: args.embedding_url.zip(args.embedding_model),
            embedding_key_file: args.embedding_key_file,
            peers: peers.to_vec(),
        }
    }
}

/// The desk, and what has to run for tier 2.
pub(crate) fn open(
    servers: &MemoryServers,
    data: &DataDir,
) -> Result<(MemoryDesk, Option<SharedTierWriter>), Failure> {
    let key = TierKey::derive(data.secret());
    let (tiers, writer) = match &servers.redis {
        None => (MemoryTiers::local(key), None),
        Some(url) => {
            let opened = MemoryTiers::with_shared(key, url);
            let (tiers, writer) = opened
                .map_err(|error| Failure::new(Exit::Invalid, "redis_url_invalid", chain(&error)))?;
            (tiers, Some(writer))
        }
    };
    let desk = MemoryDesk {
        tiers,
        secrets: Secrets::in_file(data.path().join(KEY_FILE)),
        embedder: embedder(servers)?,
        peers: memory_peers::open(&servers.peers)?,
    };
    Ok((desk, writer))
}

fn embedder(servers: &MemoryServers) -> Result<Option<Arc<dyn Embedder>>, Failure> {
    let Some((url, model)) = servers.embedding.clone() else {
        return Ok(None);
    };
    let invalid = |detail| Failure::new(Exit::Invalid, "embedding_server_invalid", detail);
    let key = servers.embedding_key_file.as_deref().map(|path| {
        let text = std::fs::read_to_string(path)
            .map_err(|error| invalid(format!("read `{}`: {error}", path.display())))?;
        Ok::<_, Failure>(text.trim().to_owned())
    });
    let key = key.transpose()?;
    let endpoint = EmbeddingEndpoint::new(EndpointOptions { url, model, key });
    let endpoint = endpoint.map_err(|error| invalid(chain(&error)))?;
    Ok(Some(Arc::new(ModelServer(endpoint))))
}

/// The model server, as operations ask it.
#[derive(Debug)]
struct ModelServer(EmbeddingEndpoint);

impl Embedder for ModelServer {
    fn model(&self) -> &str {
        self.0.model()
    }

    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Embedding, String>> {
        let asked = async move { self.0.embed(text).await.map_err(|error| chain(&error)) };
        asked.boxed()
    }
}
