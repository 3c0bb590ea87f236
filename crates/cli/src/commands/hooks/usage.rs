//! Reports what models used in the session whose program calls a hook. Claude Code writes the place of
//! its transcript to the hook's stdin.

use super::transcript::Transcript;
use crate::api::{Api, path};
use crate::exit::Failure;
use crate::output::note;
use crate::system_ports::SystemClock;
use http::Method;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::{Value, json};
use skep_coordinator::ports::Clock;
use std::io::IsTerminal;
use std::path::PathBuf;

/// How long stdin is waited for: who gives something has written it before the hook starts.
const STDIN_MS_MAX: u64 = 100;
/// Bytes of what is given there.
const STDIN_BYTES_MAX: usize = 1 << 20;
/// Hooks at whose time a session has used something.
const REPORTING: [&str; 3] = ["session-end", "stop", "post-task"];

/// What Claude Code says to a hook, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Given {
    session_id: String,
    transcript_path: PathBuf,
}

/// Reports what the session used so far, if the hook is one at whose time that is known and stdin
/// says where it stands. A later report takes the place of this one.
pub(super) async fn report(api: &Api, hook: &str) -> Result<(), Failure> {
    if !REPORTING.contains(&hook) {
        return Ok(());
    }
    let Some(given) = read_stdin().and_then(|text| serde_json::from_slice::<Given>(&text).ok())
    else {
        return Ok(());
    };
    let transcript = match Transcript::read(&given.transcript_path) {
        Ok(transcript) => transcript,
        Err(error) => {
            let place = given.transcript_path.display();
            note(&format!("`{place}` cannot be read: {error}"));
            return Ok(());
        }
    };
    if transcript.unread > 0 {
        let lines = transcript.unread;
        note(&format!(
            "{lines} lines of the transcript could not be read"
        ));
    }
    if transcript.is_empty() {
        return Ok(());
    }
    let body = json!({ "slices": transcript.slices() });
    let route = path(&["usage", "session", &given.session_id]);
    let request = api.client().request(Method::PUT, &route);
    request.json(&body)?.once().send::<Value>().await?;
    Ok(())
}

/// All of stdin, if it is given at once and is no terminal.
fn read_stdin() -> Option<Vec<u8>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return None;
    }
    let begun = SystemClock.elapsed_ms();
    let mut text = Vec::new();
    let mut piece = [0; 8192];
    loop {
        let left = STDIN_MS_MAX.checked_sub(SystemClock.elapsed_ms() - begun)?;
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: (left * 1_000_000) as i64,
        };
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        // Nothing more in time: whoever keeps it open gives nothing that could be read.
        if poll(&mut ready, Some(&timeout)).ok()? == 0 {
            return None;
        }
        match rustix::io::read(&stdin, &mut piece).ok()? {
            0 => return Some(text),
            count => text.extend_from_slice(&piece[..count]),
        }
        // All that matters is there, whether or not whoever gives it closes its end.
        if serde_json::from_slice::<Given>(&text).is_ok() {
            return Some(text);
        }
        if text.len() > STDIN_BYTES_MAX {
            return None;
        }
    }
}
