//! Addresses of entries of shared memory: `skep://memory/NAMESPACE/KEY`, percent-encoded. A `/` in
//! the namespace is written `%2F`; in a key it may stand as it is.

use crate::catalogue;
use crate::invocation::Caller;
use crate::tool_result::{self, Refusal};
use crate::toolset::object;
use serde_json::{Value, json};
use skep_model::memory::{MemoryKey, Namespace};
use skep_operations::events::MemoryPattern;
use std::fmt::Write;

const PREFIX: &str = "skep://memory/";

/// An entry, or for subscriptions a pattern of entries of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryAddress {
    pub(crate) namespace: Namespace,
    key: String,
}

impl MemoryAddress {
    /// What this address names.
    pub(crate) fn by_uri(uri: &str) -> Option<Self> {
        let (namespace, key) = uri.strip_prefix(PREFIX)?.split_once('/')?;
        let namespace = decoded(namespace)?.parse().ok()?;
        let key = decoded(key)?;
        let _: MemoryKey = key.parse().ok()?;
        Some(Self { namespace, key })
    }

    /// The address of an entry.
    pub(crate) fn of(namespace: &str, key: &str) -> String {
        let mut uri = PREFIX.to_owned();
        encode(&mut uri, namespace, false);
        uri.push('/');
        encode(&mut uri, key, true);
        uri
    }

    /// The entries whose changes are told under this address.
    pub(crate) fn pattern(&self) -> Option<MemoryPattern> {
        let namespace = Some(self.namespace.as_str());
        MemoryPattern::parse(namespace, Some(&self.key)).ok()?
    }

    /// The entry as it is now.
    pub(crate) async fn read(&self, caller: &Caller) -> Result<Value, Refusal> {
        let entry = catalogue::find("memory.get").expect("a test reads an entry");
        let arguments = json!({ "namespace": self.namespace, "key": self.key });
        let reply = caller.invoke(entry, object(arguments)).await?;
        tool_result::document(reply, 0).await
    }
}

fn encode(text: &mut String, part: &str, keeps_slashes: bool) {
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            b'/' if keeps_slashes => text.push('/'),
            _ => write!(text, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for (namespace, key) in [("swarm", "a"), ("run/run_1", "käse/b %?"), ("a", "*")] {
            let uri = MemoryAddress::of(namespace, key);
            let address = MemoryAddress::by_uri(&uri).unwrap();
            assert_eq!(
                (address.namespace.as_str(), &*address.key),
                (namespace, key)
            );
        }
        assert_eq!(
            MemoryAddress::of("a/b", "c/d e"),
            "skep://memory/a%2Fb/c/d%20e"
        );
        for bad in [
            "skep://memory/swarm",
            "skep://memory/swarm/",
            "skep://memory/Swarm/a",
            "skep://memory/swarm/%",
            "skep://memory/swarm/%+1",
            "skep://memory/swarm/%FF",
            "skep://task/swarm/a",
        ] {
            assert_eq!(MemoryAddress::by_uri(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_star_follows_many() {
        let address = MemoryAddress::by_uri("skep://memory/swarm/plan/*").unwrap();
        let pattern = address.pattern().unwrap();
        for (key, expected) in [("plan/a", true), ("plans", false)] {
            let namespace = address.namespace.clone();
            assert_eq!(pattern.matches(&namespace, &key.parse().unwrap()), expected);
        }
    }
}
