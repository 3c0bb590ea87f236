//! Trust in one certificate authority that is known by its fingerprint.

use crate::Fingerprint;
use crate::authority::{SERVER_NAME, fingerprint};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

/// How a machine that joined speaks TLS: it trusts the authority with this fingerprint, and
/// nobody else.
pub fn pinned_client_config(pin: Fingerprint) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(PinnedAuthority {
        pin,
        provider: Arc::clone(&provider),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers of both versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Whether machines that pin this authority would take the chain, server's certificate first.
pub(crate) fn check_chain(
    pin: Fingerprint,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let (end_entity, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let name =
        ServerName::try_from(SERVER_NAME).map_err(|error| Error::General(error.to_string()))?;
    PinnedAuthority { pin, provider }
        .verify_server_cert(end_entity, intermediates, &name, &[], now)
        .map(|_| ())
}

/// The authority has another fingerprint than the one that is pinned.
#[derive(Debug, thiserror::Error)]
#[error("its certificate authority is not the pinned one")]
struct AuthorityChanged;

/// Takes the authority from what the server sends, if it has the pinned fingerprint, and then
/// checks the server's certificate against it by the usual rules.
#[derive(Debug)]
struct PinnedAuthority {
    pin: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates
            .iter()
            .find(|one| fingerprint(one) == self.pin);
        let pinned = pinned.ok_or_else(|| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
                AuthorityChanged,
            ))))
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let name =
            ServerName::try_from(SERVER_NAME).map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, &name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Why a TLS connection to a coordinator was given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// Somebody else's authority.
    #[error(
        "its certificate authority is not the pinned one: it is another swarm's coordinator, its \
         authority was made anew, or somebody listens in between; a node joins anew with a fresh \
         token, a command is given the fingerprint that `skep doctor` shows on the coordinator's \
         machine"
    )]
    AuthorityChanged,
    /// The certificate's time is over, or has not come.
    #[error(
        "its certificate is not valid at this time: compare the clocks of both machines; if they \
         agree, restart the coordinator, which makes a new certificate"
    )]
    WrongTime,
    /// It does not speak TLS.
    #[error("it does not speak TLS: it is not a Skep coordinator that listens for other machines")]
    NotTls,
    /// Another reason.
    #[error("its certificate was refused: {0}")]
    Other(String),
}

/// What a failed connection says about TLS; `None` when it failed for another reason.
pub fn explain_tls_error(error: &(dyn StdError + 'static)) -> Option<TlsFailure> {
    let found = find(error)?;
    let failure = match found {
        Error::InvalidCertificate(CertificateError::Other(other))
            if other.0.downcast_ref::<AuthorityChanged>().is_some() =>
        {
            TlsFailure::AuthorityChanged
        }
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => TlsFailure::WrongTime,
        Error::InvalidMessage(_) => TlsFailure::NotTls,
        other => TlsFailure::Other(other.to_string()),
    };
    Some(failure)
}

/// The TLS error among an error's causes. What an I/O error wraps is not among its sources.
fn find<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<Error>() {
            return Some(found);
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests;
