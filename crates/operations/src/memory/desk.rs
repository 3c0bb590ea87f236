//! What stands between callers of shared memory and what is stored: faster tiers, the key of secret
//! namespaces, and a model server that says where texts lie among meanings.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::memory::sync::Peers;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use skep_identity::{NONCE_BYTES, OpenError, SealingKey, SealingKeyError};
use skep_model::memory::{Bytes, Embedding, MemoryKey, MemoryValue, Namespace};
use skep_tiers::MemoryTiers;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// One for the process.
#[derive(Debug)]
pub struct MemoryDesk {
    /// Tiers 1 and 2.
    pub tiers: MemoryTiers,
    /// The key of secret namespaces.
    pub secrets: Secrets,
    /// The model server, if one is given.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Installations with which entries are exchanged.
    pub peers: Peers,
}

/// Says where texts lie among meanings.
pub trait Embedder: Send + Sync + std::fmt::Debug {
    /// The model that is asked: only embeddings of one model can be compared.
    fn model(&self) -> &str;

    /// Where a text lies; or why nobody knows, as one sentence without a full stop. MUST NOT invent
    /// an answer.
    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Embedding, String>>;
}

/// The key that seals the values of secret namespaces. Its file is made when the first value is
/// sealed.
#[derive(Debug)]
pub struct Secrets {
    path: PathBuf,
    key: OnceLock<SealingKey>,
    /// Two first values must not make two keys.
    making: Mutex<()>,
}

impl Secrets {
    /// Keeps the key in this file.
    pub const fn in_file(path: PathBuf) -> Self {
        Self {
            path,
            key: OnceLock::new(),
            making: Mutex::new(()),
        }
    }

    /// Seals a value for an entry. `may_make_key` says whether nothing was sealed yet. Reads and
    /// writes files.
    pub(super) fn seal(
        &self,
        place: (&Namespace, &MemoryKey),
        value: &MemoryValue,
        may_make_key: bool,
    ) -> Result<MemoryValue, OperationError> {
        let key = match self.key()? {
            Some(key) => key,
            None if may_make_key => self.make()?,
            None => return Err(self.lost()),
        };
        let nonce = random::<NONCE_BYTES>()?;
        key.seal(place, value, nonce)
            .map_err(|error| OperationError::new(ErrorCode::MemoryNotSealed, error.to_string()))
    }

    /// Opens the value of an entry. Reads files.
    pub(super) fn open(
        &self,
        place: (&Namespace, &MemoryKey),
        sealed: &Bytes,
    ) -> Result<MemoryValue, OperationError> {
        let key = self.key()?.ok_or_else(|| self.lost())?;
        key.open(place, sealed).map_err(|error| match error {
            OpenError::OtherKey { .. } => {
                OperationError::new(ErrorCode::MemoryKeyUnusable, error.to_string())
            }
            OpenError::Damaged => {
                let detail = format!("`{}` in `{}`: {error}", place.1, place.0);
                OperationError::new(ErrorCode::MemoryKeyUnusable, detail)
            }
        })
    }

    fn key(&self) -> Result<Option<&SealingKey>, OperationError> {
        if let Some(key) = self.key.get() {
            return Ok(Some(key));
        }
        let found = SealingKey::load(&self.path).map_err(|error| unusable(&error))?;
        Ok(found.map(|found| self.key.get_or_init(|| found)))
    }

    fn make(&self) -> Result<&SealingKey, OperationError> {
        let _one_at_a_time = self.making.lock();
        if let Some(key) = self.key()? {
            return Ok(key);
        }
        let made = SealingKey::create(&self.path, random()?).map_err(|error| unusable(&error))?;
        tracing::info!(
            key = made.id(),
            "made the key of secret namespaces: keep a copy of its file"
        );
        Ok(self.key.get_or_init(|| made))
    }

    fn lost(&self) -> OperationError {
        let detail = format!(
            "values were sealed by a key that is not in `{}`",
            self.path.display()
        );
        OperationError::new(ErrorCode::MemoryKeyUnusable, detail)
    }
}

fn unusable(error: &SealingKeyError) -> OperationError {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    OperationError::new(ErrorCode::MemoryKeyUnusable, detail)
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], OperationError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| OperationError::internal("draw random bytes", &error))?;
    Ok(bytes)
}
