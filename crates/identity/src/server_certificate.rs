//! The certificate that a coordinator shows, and its replacement while the coordinator runs.

use crate::authority::AuthorityError;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A coordinator's certificate with its key, in memory.
#[derive(Clone)]
pub(crate) struct ServerCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Vec<u8>,
    pub(crate) made_at: SystemTime,
    pub(crate) renew_at: SystemTime,
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate(..)")
    }
}

impl ServerCertificate {
    /// Whether it need not be replaced: it is within the first two thirds of its time. One that
    /// was made later than now was made by a clock that was ahead, and others may not take it yet.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        (self.made_at..self.renew_at).contains(&now)
    }

    fn certified(&self) -> Result<Arc<CertifiedKey>, AuthorityError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(self.chain.clone(), key, &provider)
            .map(Arc::new)
            .map_err(|error| make(&error))
    }
}

/// The certificate that a running coordinator shows. It can be replaced by a fresh one without a
/// new listener: handshakes that begin afterwards show the fresh one.
pub(crate) struct ShownCertificate {
    current: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for ShownCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownCertificate(..)")
    }
}

impl ShownCertificate {
    /// Shows this one first.
    ///
    /// # Errors
    /// The certificate and its key do not fit.
    pub(crate) fn new(first: &ServerCertificate) -> Result<Arc<Self>, AuthorityError> {
        let current = RwLock::new(first.certified()?);
        Ok(Arc::new(Self { current }))
    }

    /// Shows this one from now on.
    ///
    /// # Errors
    /// The certificate and its key do not fit; the former one stays.
    pub(crate) fn replace(&self, fresh: &ServerCertificate) -> Result<(), AuthorityError> {
        *self.current.write() = fresh.certified()?;
        Ok(())
    }

    /// How a coordinator that shows it speaks TLS.
    ///
    /// # Errors
    /// The provider cannot speak the versions of TLS.
    pub(crate) fn server_config(self: Arc<Self>) -> Result<Arc<ServerConfig>, AuthorityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| make(&error))?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

fn make(error: &rustls::Error) -> AuthorityError {
    AuthorityError::Make(error.to_string())
}
