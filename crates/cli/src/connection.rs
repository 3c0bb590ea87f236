//! Finds the coordinator and its token: flag or environment first, then the user's own.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::places::{Places, read_token};
use skep_client::Client;

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
    connect(&target.url, target.token)
}

/// A client for this address and token.
pub(crate) fn connect(url: &str, token: Option<String>) -> Result<Client, Failure> {
    Client::new(url, token).map_err(|error| {
        Failure::new(Exit::Invalid, "url_invalid", crate::exit::chain(&error))
            .hint("a coordinator's URL looks like http://127.0.0.1:8600")
    })
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
    use super::same_server;

    #[test]
    fn a_scheme_and_a_slash_do_not_make_another_server() {
        assert!(same_server("ws://127.0.0.1:8600", "http://127.0.0.1:8600/"));
        assert!(!same_server(
            "http://127.0.0.1:8600",
            "http://127.0.0.1:8601"
        ));
    }
}
