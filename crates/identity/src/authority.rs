//! The swarm's own certificate authority, and the certificates of its coordinator.

use crate::Fingerprint;
use crate::key_file::{self, KeyFileError};
use crate::pinned;
use crate::server_certificate::ServerCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The name in every coordinator's certificate, and the only one that nodes ask for: they know
/// the coordinator by its authority, whatever address they reach it by, also through a NAT.
pub const SERVER_NAME: &str = "coordinator.skep.internal";
/// Name of every authority; they are told apart by their fingerprints.
const AUTHORITY_NAME: &str = "Skep authority";
const KEY_FILE: &str = "authority.key";
const CERTIFICATE_FILE: &str = "authority.der";
/// How long an authority lasts: ten years.
const AUTHORITY_VALIDITY: Duration = Duration::from_hours(10 * 365 * 24);
/// How long a coordinator's certificate lasts. It is made anew at each start and after two thirds
/// of its time, and kept in memory.
const SERVER_VALIDITY: Duration = Duration::from_hours(397 * 24);
/// Certificates begin this long before they are made: clocks of other machines may be behind.
const CLOCK_SLACK: Duration = Duration::from_hours(24);

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// One of its files.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A file holds something else, or one of the two is missing.
    #[error(
        "the certificate authority in `{directory}` is damaged ({detail}): restore it from a \
         backup, or remove the directory and let all machines join anew"
    )]
    Damaged {
        /// Where it lies.
        directory: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A certificate or key cannot be made.
    #[error("make a certificate: {0}")]
    Make(String),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error.to_string())
    }
}

/// The certificate authority of one swarm.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority")
            .field(&self.fingerprint())
            .finish()
    }
}

impl Authority {
    /// The authority in this directory, which must exist; a new one is made and stored durably
    /// when there is none.
    ///
    /// # Errors
    /// The files cannot be used, hold something else, or one of the two is missing. A crash in the
    /// middle of the very first start leaves that as well; nothing was signed yet then.
    pub fn load_or_create(directory: &Path, now: SystemTime) -> Result<Self, AuthorityError> {
        let (key_path, certificate_path) =
            (directory.join(KEY_FILE), directory.join(CERTIFICATE_FILE));
        let damaged = |detail: String| AuthorityError::Damaged {
            directory: directory.to_owned(),
            detail,
        };
        match (
            key_file::read(&key_path)?,
            key_file::read(&certificate_path)?,
        ) {
            (Some(key), Some(certificate)) => {
                let key = PrivatePkcs8KeyDer::from(key);
                let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)
                    .map_err(|error| damaged(error.to_string()))?;
                let loaded = Self {
                    certificate: certificate.into(),
                    issuer: Issuer::new(authority_params(now), key),
                };
                loaded.check(now).map_err(damaged)?;
                Ok(loaded)
            }
            (None, None) => {
                let made = Self::create(now)?;
                key_file::write(&key_path, made.issuer.key().serialized_der())?;
                key_file::write(&certificate_path, &made.certificate)?;
                Ok(made)
            }
            // A new authority in its place would shut out every machine that joined.
            (Some(_), None) => Err(damaged(format!("`{CERTIFICATE_FILE}` is missing"))),
            (None, Some(_)) => Err(damaged(format!("`{KEY_FILE}` is missing"))),
        }
    }

    /// Whether machines that pin this authority take what it signs: key and certificate belong
    /// together, and the certificate can be read.
    fn check(&self, now: SystemTime) -> Result<(), String> {
        let issued = self.issue(now).map_err(|error| error.to_string())?;
        let since_epoch = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|error| format!("the clock is wrong: {error}"))?;
        let now = UnixTime::since_unix_epoch(since_epoch);
        pinned::check_chain(self.fingerprint(), &issued.chain, now)
            .map_err(|error| format!("key and certificate do not fit: {error}"))
    }

    fn create(now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let params = authority_params(now);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
        })
    }

    /// What join tokens pin.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate)
    }

    /// A fresh certificate for the coordinator.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub(crate) fn issue(&self, now: SystemTime) -> Result<ServerCertificate, AuthorityError> {
        self.issue_until(now, now + SERVER_VALIDITY)
    }

    pub(crate) fn issue_until(
        &self,
        now: SystemTime,
        end: SystemTime,
    ) -> Result<ServerCertificate, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params("Skep coordinator", now, end);
        let name = SERVER_NAME.try_into()?;
        params.subject_alt_names = vec![SanType::DnsName(name)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServerCertificate {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: key.serialize_der(),
            made_at: now,
            renew_at: now + end.duration_since(now).unwrap_or_default() * 2 / 3,
        })
    }

    /// Its own certificate and key in the place of a coordinator's.
    #[cfg(test)]
    pub(crate) fn as_server(&self) -> ServerCertificate {
        ServerCertificate {
            chain: vec![self.certificate.clone(), self.certificate.clone()],
            key: self.issuer.key().serialize_der(),
            made_at: SystemTime::UNIX_EPOCH,
            renew_at: SystemTime::UNIX_EPOCH,
        }
    }
}

pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

fn authority_params(now: SystemTime) -> CertificateParams {
    let mut params = params(AUTHORITY_NAME, now, now + AUTHORITY_VALIDITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str, now: SystemTime, end: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (now - CLOCK_SLACK).into();
    params.not_after = end.into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_stays_the_same_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let first = Authority::load_or_create(directory.path(), now).unwrap();
        let again = Authority::load_or_create(directory.path(), now).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        again.issue(now).unwrap();
    }

    #[test]
    fn an_authority_that_lost_its_key_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        Authority::load_or_create(directory.path(), SystemTime::now()).unwrap();
        std::fs::remove_file(directory.path().join(KEY_FILE)).unwrap();
        refuses(&directory);
    }

    #[track_caller]
    fn refuses(directory: &tempfile::TempDir) {
        let error = Authority::load_or_create(directory.path(), SystemTime::now()).unwrap_err();
        assert!(matches!(error, AuthorityError::Damaged { .. }), "{error}");
    }

    fn stored() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        Authority::load_or_create(directory.path(), SystemTime::now()).unwrap();
        directory
    }

    #[test]
    fn an_authority_that_lost_its_certificate_is_not_replaced() {
        let directory = stored();
        std::fs::remove_file(directory.path().join(CERTIFICATE_FILE)).unwrap();
        refuses(&directory);
    }

    #[test]
    fn a_certificate_with_the_key_of_another_authority_is_refused() {
        let (directory, other) = (stored(), stored());
        let [from, to] = [&other, &directory].map(|one| one.path().join(KEY_FILE));
        std::fs::copy(from, to).unwrap();
        refuses(&directory);
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_refused() {
        let directory = stored();
        std::fs::write(directory.path().join(CERTIFICATE_FILE), b"something else").unwrap();
        refuses(&directory);
    }
}
