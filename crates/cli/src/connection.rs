//! Finds the coordinator, its token and whom to trust there: flag or environment first, then the
//! user's own.

use crate::args::Global;
use crate::exit::{Exit, Failure, chain};
use crate::places::{Places, read_token};
use skep_client::{BaseUrl, Client, ClientError, Dial};
use skep_identity::{Fingerprint, parse_fingerprint, pinned_client_config};

/// Where `skep up` listens unless told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8600";

/// A coordinator and how it was found.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) url_origin: String,
    pub(crate) token: Option<String>,
    pub(crate) token_origin: String,
}

/// Where requests go and with which token.
pub(crate) fn target(global: &Global, places: &Places) -> Result<Target, Failure> {
    let note = places.note();
    let (url, url_origin) = match (&global.url, &note) {
        (Some(url), _) => (url.clone(), global.url_origin.clone()),
        (None, Some(note)) => (
            note.url.clone(),
            "note of this user's coordinator".to_owned(),
        ),
        (None, None) => (DEFAULT_URL.to_owned(), "default".to_owned()),
    };
    if let Some(token) = &global.token {
        let token_origin = "flag --token or SKEP_TOKEN".to_owned();
        return Ok(Target {
            url,
            url_origin,
            token: Some(token.clone()),
            token_origin,
        });
    }
    // The token file belongs to this user's coordinator: it is not shown to another one.
    let file = match (&note, &global.url) {
        (Some(note), None) => Some(note.token_file.clone()),
        (Some(note), Some(url)) if same_server(url, &note.url) => Some(note.token_file.clone()),
        _ => None,
    };
    let token = file.as_deref().map(read_token).transpose()?;
    let token_origin = file.map_or_else(|| "none".to_owned(), |file| file.display().to_string());
    Ok(Target {
        url,
        url_origin,
        token,
        token_origin,
    })
}

/// A client for the coordinator that the flags, the environment or its note name.
pub(crate) fn client(global: &Global, places: &Places) -> Result<Client, Failure> {
    let target = target(global, places)?;
    let authority = global.authority.as_deref().map(fingerprint).transpose()?;
    dial(&target.url, target.token, authority)
}

/// A client for this plain address and token.
pub(crate) fn connect(url: &str, token: Option<String>) -> Result<Client, Failure> {
    dial(url, token, None)
}

/// A client for this address and token, with whom to trust there if it is encrypted.
pub(crate) fn connect_pinned(
    url: &str,
    token: Option<String>,
    authority: Option<&str>,
) -> Result<Client, Failure> {
    dial(url, token, authority.map(fingerprint).transpose()?)
}

/// A client for this address and token. An encrypted address needs an authority that vouches for
/// whoever answers there; a plain one makes no use of it.
fn dial(
    url: &str,
    token: Option<String>,
    authority: Option<Fingerprint>,
) -> Result<Client, Failure> {
    let dialling = BaseUrl::parse(url).and_then(|base| {
        let dial = Dial::new(base, authority.map(pinned_client_config));
        Client::dialling(dial, token)
    });
    dialling.map_err(|error| match error {
        ClientError::TrustMissing { .. } => authority_missing(url),
        other => Failure::new(Exit::Invalid, "url_invalid", chain(&other))
            .hint("a coordinator's URL looks like http://127.0.0.1:8600 or https://HOST:8600"),
    })
}

/// The fingerprint that a person, an attempt's node or a file gave.
fn fingerprint(text: &str) -> Result<Fingerprint, Failure> {
    parse_fingerprint(text).map_err(|error| {
        let message = format!("`{text}` is no fingerprint of a certificate authority: {error}");
        Failure::new(Exit::Invalid, "authority_malformed", message)
            .hint("copy what `skep doctor` shows on the coordinator's machine")
    })
}

fn authority_missing(url: &str) -> Failure {
    let message = format!("`{url}` is encrypted, and nothing says whom to trust there");
    Failure::new(Exit::Invalid, "authority_missing", message).hint(
        "give the fingerprint that `skep doctor` shows on the coordinator's machine, by \
         --authority or SKEP_AUTHORITY",
    )
}

/// `ws://host` and `http://host` are one server.
fn same_server(left: &str, right: &str) -> bool {
    let bare = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.trim_end_matches('/').to_owned()
    };
    bare(left) == bare(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    #[test]
    fn an_encrypted_address_needs_an_authority_and_a_plain_one_does_not() {
        let pin = fingerprint(PIN).unwrap();
        for (url, authority, code) in [
            ("https://10.0.0.1:8600", None, Some("authority_missing")),
            ("wss://10.0.0.1:8600", None, Some("authority_missing")),
            ("https://10.0.0.1:8600", Some(pin), None),
            ("http://10.0.0.1:8600", None, None),
            ("http://10.0.0.1:8600", Some(pin), None),
            ("ftp://10.0.0.1", Some(pin), Some("url_invalid")),
        ] {
            let refused = dial(url, None, authority).err();
            let refused = refused.map(|failure| failure.code);
            assert_eq!(refused.as_deref(), code, "{url}");
        }
    }

    #[test]
    fn a_fingerprint_has_all_its_digits_and_nothing_else() {
        assert_eq!(fingerprint(PIN).unwrap()[..3], [0x00, 0x11, 0x22]);
        let (short, wrong) = (&PIN[..16], PIN.replace('F', "G"));
        for text in [
            "",
            short,
            &wrong,
            &format!("{PIN} "),
            &format!("sha256:{PIN}"),
        ] {
            let failure = fingerprint(text).unwrap_err();
            assert_eq!(failure.code, "authority_malformed", "{text}");
            assert!(failure.message.contains("64 hexadecimal digits"), "{text}");
        }
    }

    #[test]
    fn a_scheme_and_a_slash_do_not_make_another_server() {
        assert!(same_server("ws://127.0.0.1:8600", "http://127.0.0.1:8600/"));
        assert!(!same_server(
            "http://127.0.0.1:8600",
            "http://127.0.0.1:8601"
        ));
    }
}
