//! Keeps the certificate that a coordinator shows within its time, for as long as it runs.

use crate::authority::{Authority, AuthorityError};
use crate::server_certificate::{ServerCertificate, ShownCertificate};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::SystemTime;

/// Owns the authority and replaces the coordinator's certificate before it ends.
///
/// The certificate names no address, so a coordinator that moves needs no new one.
#[derive(Debug)]
pub struct CertificateKeeper {
    authority: Authority,
    shown: Arc<ShownCertificate>,
    /// The one that is shown.
    current: ServerCertificate,
}

impl CertificateKeeper {
    /// Issues the first certificate.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn start(authority: Authority, now: SystemTime) -> Result<Self, AuthorityError> {
        let current = authority.issue(now)?;
        let shown = ShownCertificate::new(&current)?;
        Ok(Self {
            authority,
            shown,
            current,
        })
    }

    /// How the coordinator speaks TLS. Connections that begin after a renewal get the fresh
    /// certificate by the same configuration; open ones go on.
    ///
    /// # Errors
    /// The provider cannot speak the versions of TLS.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, AuthorityError> {
        Arc::clone(&self.shown).server_config()
    }

    /// Issues a fresh certificate if the one that is shown is past two thirds of its time, or was
    /// made by a clock that was ahead. Says whether it did.
    ///
    /// # Errors
    /// The fresh one cannot be made; the former one stays.
    pub fn renew_if_due(&mut self, now: SystemTime) -> Result<bool, AuthorityError> {
        if self.current.is_fresh(now) {
            return Ok(false);
        }
        let fresh = self.authority.issue(now)?;
        self.shown.replace(&fresh)?;
        self.current = fresh;
        Ok(true)
    }
}
