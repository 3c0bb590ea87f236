//! Handshakes in memory between a coordinator and a machine that pins an authority.

use super::*;
use crate::authority::Authority;
use crate::certificate_keeper::CertificateKeeper;
use crate::server_certificate::{ServerCertificate, ShownCertificate};
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use std::time::{Duration, SystemTime};

fn authority() -> Authority {
    let directory = tempfile::tempdir().unwrap();
    Authority::load_or_create(directory.path(), SystemTime::now()).unwrap()
}

/// Runs a handshake to its end and says what the client made of it.
fn shake(pin: Fingerprint, shown: &ServerCertificate) -> Result<(), TlsFailure> {
    let shown = ShownCertificate::new(shown).unwrap();
    shake_with(pin, shown.server_config().unwrap()).map(|_| ())
}

/// The same; gives the certificate that the server showed.
fn shake_with(
    pin: Fingerprint,
    config: Arc<ServerConfig>,
) -> Result<CertificateDer<'static>, TlsFailure> {
    let mut client = client(pin);
    let mut server = ServerConnection::new(config).unwrap();
    while client.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut &*bytes).unwrap();
        // The server learns of a refusal by an alert.
        let _ = server.process_new_packets();
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &*bytes).unwrap();
        if let Err(error) = client.process_new_packets() {
            let wrapped = io::Error::new(io::ErrorKind::InvalidData, error);
            return Err(explain_tls_error(&wrapped).unwrap());
        }
    }
    assert_eq!(client.alpn_protocol(), Some(&b"http/1.1"[..]));
    Ok(client.peer_certificates().unwrap()[0].clone())
}

fn client(pin: Fingerprint) -> ClientConnection {
    // The address that was dialled does not matter, only the authority does.
    let name = ServerName::try_from("192.0.2.7").unwrap();
    ClientConnection::new(pinned_client_config(pin), name).unwrap()
}

#[test]
fn the_pinned_authority_is_trusted() {
    let authority = authority();
    let shown = authority.issue(SystemTime::now()).unwrap();
    assert_eq!(shake(authority.fingerprint(), &shown), Ok(()));
}

#[test]
fn another_authority_is_refused() {
    let shown = authority().issue(SystemTime::now()).unwrap();
    let refused = shake(authority().fingerprint(), &shown);
    assert_eq!(refused, Err(TlsFailure::AuthorityChanged));
}

#[test]
fn showing_the_pinned_authority_does_not_help_one_that_it_did_not_sign() {
    let (ours, theirs) = (authority(), authority());
    let mut shown = theirs.issue(SystemTime::now()).unwrap();
    let real = ours.issue(SystemTime::now()).unwrap();
    shown.chain[1] = real.chain[1].clone();
    let refused = shake(ours.fingerprint(), &shown);
    assert!(matches!(refused, Err(TlsFailure::Other(_))), "{refused:?}");
}

#[test]
fn a_certificate_whose_time_is_over_is_refused() {
    let authority = authority();
    let now = SystemTime::now();
    let past = now - Duration::from_hours(1);
    let shown = authority.issue_until(past, past).unwrap();
    let refused = shake(authority.fingerprint(), &shown);
    assert_eq!(refused, Err(TlsFailure::WrongTime));
}

#[test]
fn a_pin_of_the_servers_own_certificate_is_no_authority() {
    let authority = authority();
    let shown = authority.issue(SystemTime::now()).unwrap();
    let refused = shake(fingerprint(&shown.chain[0]), &shown);
    assert_eq!(refused, Err(TlsFailure::AuthorityChanged));
}

#[test]
fn the_authority_itself_is_no_coordinator() {
    let authority = authority();
    let refused = shake(authority.fingerprint(), &authority.as_server());
    assert!(matches!(refused, Err(TlsFailure::Other(_))), "{refused:?}");
}

#[test]
fn a_fresh_certificate_is_shown_without_a_new_listener() {
    let authority = authority();
    let pin = authority.fingerprint();
    let now = SystemTime::now();
    let days = |days: u64| Duration::from_hours(days * 24);
    // A coordinator that was started 300 of 397 days ago.
    let mut keeper = CertificateKeeper::start(authority, now - days(300)).unwrap();
    let config = keeper.server_config().unwrap();
    let seen = || shake_with(pin, Arc::clone(&config)).unwrap();
    let first = seen();
    for (at, renews, why) in [
        (now - days(300), false, "it is new"),
        (now - days(40), false, "a third of its time is left"),
        (now, true, "less than a third is left"),
        (now, false, "it is new again"),
        (now - days(1), true, "it was made by a clock that was ahead"),
    ] {
        let before = seen();
        assert_eq!(keeper.renew_if_due(at).unwrap(), renews, "{why}");
        assert_eq!(seen() != before, renews, "{why}");
    }
    assert_ne!(seen(), first, "the pin still holds");
}

#[test]
fn a_certificate_whose_key_does_not_fit_is_not_shown() {
    let authority = authority();
    let now = SystemTime::now();
    let first = authority.issue(now).unwrap();
    let shown = ShownCertificate::new(&first).unwrap();
    let mut mixed = authority.issue(now).unwrap();
    mixed.key.clone_from(&first.key);
    assert!(shown.replace(&mixed).is_err());
    let config = shown.server_config().unwrap();
    assert_eq!(
        shake_with(authority.fingerprint(), config),
        Ok(first.chain[0].clone())
    );
}

#[test]
fn a_server_that_answers_in_plain_http_is_not_tls() {
    let mut client = client([0; 32]);
    let mut answer = &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..];
    client.read_tls(&mut answer).unwrap();
    let error = client.process_new_packets().unwrap_err();
    assert_eq!(explain_tls_error(&error), Some(TlsFailure::NotTls));
}

#[test]
fn an_error_that_has_nothing_to_do_with_tls_is_left_alone() {
    let error = io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(explain_tls_error(&error), None);
}
