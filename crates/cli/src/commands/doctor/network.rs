//! What `skep doctor` says about joining: the authority's files, and the addresses that join tokens
//! name.

use super::{Check, Session};
use crate::exit::chain;
use skep_client::{BaseUrl, Client, Dial, Method};
use skep_identity::{Authority, AuthorityError, fingerprint_text, pinned_client_config};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long an address of this very machine may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Nothing where no coordinator ever listened for other machines.
pub(super) async fn checks(session: &Session) -> Vec<Check> {
    let directory = session.places.coordinator().join("ca");
    let Some(loaded) = load(&directory) else {
        return Vec::new();
    };
    let authority = match loaded {
        Ok(authority) => authority,
        Err(error) => {
            return vec![Check::fail(
                "authority",
                chain(&error),
                "do what it says; without its key no machine can join or connect",
            )];
        }
    };
    let fingerprint = authority.fingerprint();
    let pin = fingerprint_text(&fingerprint);
    let detail = format!("{pin}, valid; its key is readable by this user only");
    let mut checks = vec![Check::ok("authority", detail)];
    let addresses = session.places.note().map(|note| note.addresses);
    for address in addresses.unwrap_or_default() {
        let answer = ask(&address, fingerprint).await;
        checks.push(judge(&address, answer));
    }
    checks
}

/// The authority of this user's coordinator; `None` without one. Never makes one.
fn load(directory: &Path) -> Option<Result<Authority, AuthorityError>> {
    let has_files = std::fs::read_dir(directory).is_ok_and(|mut files| files.next().is_some());
    has_files.then(|| Authority::load_or_create(directory, SystemTime::now()))
}

/// Asks there as a machine that joins would: over TLS that is pinned to the authority.
async fn ask(address: &str, fingerprint: [u8; 32]) -> Result<(), String> {
    let base = BaseUrl::parse(&format!("https://{address}")).map_err(|error| chain(&error))?;
    let dial = Dial::new(base, Some(pinned_client_config(fingerprint)));
    let client = Client::dialling(dial, None).map_err(|error| chain(&error))?;
    let request = client.request(Method::GET, "/livez").once();
    let asked = request.timeout(ANSWER_MAX).send_for_bytes().await;
    asked.map(drop).map_err(|error| chain(&error))
}

fn judge(address: &str, answer: Result<(), String>) -> Check {
    match answer {
        Ok(()) => Check::ok(
            "join address",
            format!("{address} answers from here; a firewall may still keep others out"),
        ),
        Err(reason) => Check::warn(
            "join address",
            format!("{address} does not answer: {reason}"),
            "start the coordinator with `skep up --listen 0.0.0.0:8600`, name an address that \
             reaches it with --advertise HOST:PORT, and let the port through the firewall",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_authority_is_examined_and_never_made() {
        let directory = tempfile::tempdir().unwrap();
        assert!(load(directory.path()).is_none());
        assert!(load(&directory.path().join("missing")).is_none());
        Authority::load_or_create(directory.path(), SystemTime::now()).unwrap();
        assert!(load(directory.path()).unwrap().is_ok());
        let key = directory.path().join("authority.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = load(directory.path()).unwrap().unwrap_err();
        assert!(chain(&error).contains("chmod 600"), "{error}");
        std::fs::remove_file(&key).unwrap();
        let error = load(directory.path()).unwrap().unwrap_err();
        assert!(chain(&error).contains("is missing"), "{error}");
    }

    #[test]
    fn an_address_that_does_not_answer_is_named_with_a_cure() {
        let check = judge("10.0.0.1:8600", Err("refused".to_owned()));
        assert_eq!(check.status, Status::Warn);
        assert!(check.detail.contains("10.0.0.1:8600") && check.cure.is_some());
        assert_eq!(judge("10.0.0.1:8600", Ok(())).status, Status::Ok);
    }
}
