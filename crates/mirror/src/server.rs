//! The Redis server as the mirror uses it: hashes and lists under keys that it made itself.
//!
//! A set in the server names these keys, and is changed in the same transaction. So a later process
//! knows what it may remove, and a key that is there but not in the set belongs to others.

use crate::prefix::MirrorPrefix;
use crate::source::Fields;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Pipeline, RedisError, RedisResult};
use skep_tiers::without_password;
use std::collections::BTreeSet;
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(2);
/// For one transaction.
const RESPONSE_MAX: Duration = Duration::from_secs(5);
/// Whose mirror it is, and of which process.
const OWNER_KEY: &str = "skep:mirror:owner";
/// The keys that the mirror made.
const INDEX_KEY: &str = "skep:mirror:keys";

/// The server cannot be used as it was described.
#[derive(Debug, thiserror::Error)]
#[error("`{url}` is no address of a Redis server, such as `redis://127.0.0.1:6379/1`")]
pub struct MirrorAddressError {
    url: String,
    #[source]
    source: RedisError,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoundError {
    #[error("the server did not {step}: {source}")]
    Server {
        step: &'static str,
        source: RedisError,
    },
    #[error(
        "`{key}` says that the mirror of another swarm is there (`{owner}`): choose another prefix, or \
         remove that key if that swarm is gone"
    )]
    OtherSwarm { key: String, owner: String },
    #[error("topic `{name}` could not be read: {detail}")]
    Topic { name: String, detail: String },
}

/// What a key is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Hash(Fields),
    List(Vec<String>),
    Nothing,
}

/// A key, without the prefix, and what it is to hold.
pub(crate) type Document = (String, Content);

pub(crate) struct MirrorServer {
    connection: ConnectionManager,
    prefix: MirrorPrefix,
    /// The swarm, and this process.
    swarm: String,
    owner: String,
    /// Keys of the mirror, with the prefix.
    owned: BTreeSet<String>,
    /// Keys that others have.
    foreign: BTreeSet<String>,
}

impl MirrorServer {
    pub(crate) fn open(
        url: &str,
        prefix: MirrorPrefix,
        swarm: String,
        process: &str,
    ) -> Result<Self, MirrorAddressError> {
        let fault = |source| MirrorAddressError {
            url: without_password(url),
            source,
        };
        let client = redis::Client::open(url).map_err(fault)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(RESPONSE_MAX))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(fault)?;
        Ok(Self {
            connection,
            owner: format!("{swarm}/{process}"),
            swarm,
            prefix,
            owned: BTreeSet::new(),
            foreign: BTreeSet::new(),
        })
    }

    /// Whether what this process put there is still there.
    pub(crate) async fn is_own(&mut self) -> Result<bool, RoundError> {
        Ok(self.owner().await?.as_ref() == Some(&self.owner))
    }

    async fn owner(&mut self) -> Result<Option<String>, RoundError> {
        let mut get = redis::cmd("GET");
        get.arg(self.name(OWNER_KEY));
        let owner = get.query_async(&mut self.connection).await;
        owner.map_err(|source| at("say whose mirror it has", source))
    }

    /// Makes the mirror that of this process, whatever of this swarm lies there.
    pub(crate) async fn take_over(&mut self) -> Result<(), RoundError> {
        if let Some(owner) = self.owner().await? {
            let swarm = owner.split('/').next();
            if swarm != Some(self.swarm.as_str()) {
                let key = self.name(OWNER_KEY);
                return Err(RoundError::OtherSwarm { key, owner });
            }
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SET").arg(self.name(OWNER_KEY)).arg(&self.owner);
        pipe.ignore();
        pipe.cmd("SMEMBERS").arg(self.name(INDEX_KEY));
        let (owned,): (BTreeSet<String>,) = self.ask("take over the mirror", &pipe).await?;
        self.owned = owned;
        self.foreign.clear();
        Ok(())
    }

    /// Writes documents in one transaction, those left out that others have; says how many.
    pub(crate) async fn write(&mut self, documents: &[Document]) -> Result<usize, RoundError> {
        self.look_for_others(documents).await?;
        let mut pipe = redis::pipe();
        pipe.atomic();
        let mut written = 0;
        for (key, content) in documents {
            let name = self.name(key);
            if self.foreign.contains(&name) {
                continue;
            }
            written += 1;
            put(&mut pipe, &name, content);
            let (change, is_there) = match content {
                Content::Nothing => ("SREM", false),
                Content::Hash(_) | Content::List(_) => ("SADD", true),
            };
            pipe.cmd(change).arg(self.name(INDEX_KEY)).arg(&name);
            pipe.ignore();
            if is_there {
                self.owned.insert(name);
            } else {
                self.owned.remove(&name);
            }
        }
        if written > 0 {
            let () = self.ask("take what is shown", &pipe).await?;
        }
        Ok(written)
    }

    /// Keys that are new here and there already were made by others.
    async fn look_for_others(&mut self, documents: &[Document]) -> Result<(), RoundError> {
        let names = documents.iter().map(|(key, _)| self.name(key));
        let new: Vec<String> = names.filter(|name| !self.owned.contains(name)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for name in &new {
            pipe.cmd("EXISTS").arg(name);
        }
        let there: Vec<bool> = self.ask("say which keys it has", &pipe).await?;
        for (name, is_there) in new.into_iter().zip(there) {
            if !is_there {
                self.foreign.remove(&name);
            } else if self.foreign.insert(name.clone()) {
                tracing::warn!(
                    key = name,
                    "the Redis server has this key of somebody else: it is not mirrored"
                );
            }
        }
        Ok(())
    }

    /// Keys of the mirror, without the prefix, that are none of these.
    pub(crate) fn owned_but(&self, kept: &BTreeSet<String>) -> Vec<String> {
        let prefix = self.prefix.as_str();
        let keys = self.owned.iter();
        let keys = keys.filter_map(|name| name.strip_prefix(prefix));
        keys.filter(|key| !kept.contains(*key))
            .map(str::to_owned)
            .collect()
    }

    /// How many keys others have.
    pub(crate) fn foreign(&self) -> usize {
        self.foreign.len()
    }

    async fn ask<T: redis::FromRedisValue>(
        &mut self,
        step: &'static str,
        pipe: &Pipeline,
    ) -> Result<T, RoundError> {
        let answer: RedisResult<T> = pipe.query_async(&mut self.connection).await;
        answer.map_err(|source| at(step, source))
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

fn at(step: &'static str, source: RedisError) -> RoundError {
    RoundError::Server { step, source }
}

/// Makes a key hold this and nothing else, whatever type it had.
fn put(pipe: &mut Pipeline, name: &str, content: &Content) {
    pipe.cmd("DEL").arg(name).ignore();
    match content {
        Content::Hash(fields) if !fields.is_empty() => {
            let set = pipe.cmd("HSET").arg(name);
            for (field, text) in fields {
                set.arg(*field).arg(text);
            }
            pipe.ignore();
        }
        Content::List(items) if !items.is_empty() => {
            pipe.cmd("RPUSH").arg(name).arg(items).ignore();
        }
        Content::Hash(_) | Content::List(_) | Content::Nothing => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for (url, shown) in [
            ("redis", "`redis`"),
            ("http://me:secret@host:1", "`http://...@host:1`"),
        ] {
            let opened = MirrorServer::open(url, MirrorPrefix::default(), "s".into(), "p");
            let error = opened.map(drop).unwrap_err().to_string();
            assert!(error.starts_with(shown), "{error}");
        }
    }
}
