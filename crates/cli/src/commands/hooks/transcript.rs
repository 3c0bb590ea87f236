//! What a transcript of Claude Code says that models used: lines of JSON, of which those of answers
//! carry the provider's own numbers.
//!
//! An answer has a line for each of its parts, all with the same id and with numbers that only grow:
//! the last one counts.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Bytes of a transcript that are read.
const TRANSCRIPT_BYTES_MAX: u64 = 512 << 20;
/// Bytes of one line; longer ones are passed over and counted.
const LINE_BYTES_MAX: u64 = 32 << 20;
/// What every line with numbers has.
const MARK: &[u8] = b"\"usage\"";
/// Characters of a time up to its hour.
const HOUR_CHARS: usize = "2026-11-21T10".len();

#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    message: Option<Message>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Usage {
    #[serde(rename = "input_tokens")]
    input: u64,
    #[serde(rename = "output_tokens")]
    output: u64,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: u64,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_write: u64,
}

impl Usage {
    /// Numbers of one answer only grow from line to line.
    fn grown(self, later: Self) -> Self {
        Self {
            input: self.input.max(later.input),
            output: self.output.max(later.output),
            cache_read: self.cache_read.max(later.cache_read),
            cache_write: self.cache_write.max(later.cache_write),
        }
    }
}

/// One answer of a model.
#[derive(Debug)]
struct Answer {
    model: String,
    hour: Option<String>,
    usage: Usage,
}

/// What models used in a session.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    answers: HashMap<String, Answer>,
    /// Lines that could not be read although they seem to have numbers.
    pub(super) unread: u64,
}

impl Transcript {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if metadata.len() > TRANSCRIPT_BYTES_MAX {
            let bytes = metadata.len();
            let text = format!(
                "it has {bytes} bytes, more than TRANSCRIPT_BYTES_MAX ({TRANSCRIPT_BYTES_MAX})"
            );
            return Err(io::Error::other(text));
        }
        Self::of(BufReader::with_capacity(1 << 20, file))
    }

    fn of(mut lines: impl BufRead) -> io::Result<Self> {
        let mut transcript = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines
                .by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)?
                == 0
            {
                return Ok(transcript);
            }
            if contains(&line, MARK) {
                transcript.take(&line);
            }
        }
    }

    fn take(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            self.unread += 1;
            return;
        };
        // Results of tools may speak of usage as well; only answers of models have all of these.
        let Some(Message {
            id: Some(id),
            model: Some(model),
            usage: Some(usage),
        }) = line.message
        else {
            return;
        };
        let hour = line.timestamp.and_then(|time| {
            let hour = time.get(..HOUR_CHARS)?;
            Some(format!("{hour}:00:00.000Z"))
        });
        let known = self.answers.entry(id).or_insert(Answer {
            model,
            hour,
            usage: Usage::default(),
        });
        known.usage = known.usage.grown(usage);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// By hour and model, as `usage.record` takes it.
    pub(super) fn slices(&self) -> Vec<Value> {
        let mut slices: BTreeMap<(Option<&str>, &str), (u64, Usage)> = BTreeMap::new();
        for answer in self.answers.values() {
            let place = (answer.hour.as_deref(), answer.model.as_str());
            let (messages, sum) = slices.entry(place).or_default();
            *messages += 1;
            sum.input += answer.usage.input;
            sum.output += answer.usage.output;
            sum.cache_read += answer.usage.cache_read;
            sum.cache_write += answer.usage.cache_write;
        }
        let slice = |((hour, model), (messages, usage)): ((Option<&str>, &str), (u64, Usage))| {
            json!({
                "hour": hour,
                "model": model,
                "messages": messages,
                "input_tokens": usage.input,
                "output_tokens": usage.output,
                "cache_read_tokens": usage.cache_read,
                "cache_write_tokens": usage.cache_write,
            })
        };
        slices.into_iter().map(slice).collect()
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, at: &str, model: &str, output: u64) -> String {
        json!({
            "type": "assistant", "timestamp": at, "sessionId": "s",
            "message": {
                "id": id, "model": model, "content": [{"type": "text", "text": "x"}],
                "usage": {"input_tokens": 3, "output_tokens": output,
                          "cache_read_input_tokens": 100, "cache_creation_input_tokens": 7,
                          "service_tier": "standard"},
            },
        })
        .to_string()
    }

    #[test]
    fn each_answer_counts_once_with_its_last_numbers() {
        let lines = [
            r#"{"type":"user","message":{"role":"user","content":"what is the \"usage\" of it"}}"#
                .to_owned(),
            answer("m1", "2026-11-21T10:01:02.003Z", "large", 1),
            answer("m1", "2026-11-21T10:01:03.003Z", "large", 50),
            answer("m2", "2026-11-21T10:59:03.003Z", "large", 8),
            answer("m3", "2026-11-21T11:00:00.000Z", "large", 2),
            answer("m4", "2026-11-21T11:00:00.000Z", "small", 4),
            "{\"usage\": broken".to_owned(),
            r#"{"type":"summary","summary":"done"}"#.to_owned(),
        ];
        let transcript = Transcript::of(lines.join("\n").as_bytes()).unwrap();
        assert_eq!(transcript.unread, 1);
        let slice = |hour: &str, model: &str, messages: u64, output: u64| {
            json!({
                "hour": hour, "model": model, "messages": messages,
                "input_tokens": 3 * messages, "output_tokens": output,
                "cache_read_tokens": 100 * messages, "cache_write_tokens": 7 * messages,
            })
        };
        assert_eq!(
            transcript.slices(),
            [
                slice("2026-11-21T10:00:00.000Z", "large", 2, 58),
                slice("2026-11-21T11:00:00.000Z", "large", 1, 2),
                slice("2026-11-21T11:00:00.000Z", "small", 1, 4),
            ]
        );
    }

    #[test]
    fn a_transcript_without_answers_has_nothing() {
        let transcript = Transcript::of(&b"{\"type\":\"user\"}\n\n"[..]).unwrap();
        assert!(transcript.is_empty());
        assert_eq!(transcript.unread, 0);
        let error = Transcript::read(Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}
