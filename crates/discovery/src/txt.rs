//! The TXT record of an announcement: what is written, and how a stranger's is judged.

use skep_model::ids::ClusterId;

use crate::{ApiScheme, FingerprintPrefix, TXT_ENTRIES_MAX, TXT_VALUE_BYTES_MAX, TXT_VERSION};

const VERSION_KEY: &str = "v";
const CLUSTER_KEY: &str = "id";
const FINGERPRINT_KEY: &str = "fp";
const API_KEY: &str = "api";

/// What an announcement claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) cluster: ClusterId,
    pub(crate) fingerprint_prefix: FingerprintPrefix,
    pub(crate) api: ApiScheme,
}

/// Why an announcement is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ignored {
    #[error("more than {TXT_ENTRIES_MAX} TXT entries")]
    TooManyEntries,
    #[error("TXT entry `{0}` appears twice")]
    Repeated(&'static str),
    #[error("TXT entry `{0}` is missing")]
    Missing(&'static str),
    #[error("TXT entry `{0}` is too long or malformed")]
    Malformed(&'static str),
    #[error("another version of the TXT record than `{TXT_VERSION}`")]
    OtherVersion,
    #[error("malformed instance name")]
    BadInstanceName,
    #[error("no address that one can connect to")]
    NoAddress,
    #[error("more findings than are kept")]
    TooManyFound,
}

impl Claim {
    /// The entries of the TXT record.
    pub(crate) fn entries(&self) -> [(&'static str, String); 4] {
        [
            (VERSION_KEY, TXT_VERSION.to_owned()),
            (CLUSTER_KEY, self.cluster.to_string()),
            (FINGERPRINT_KEY, self.fingerprint_prefix.to_string()),
            (API_KEY, self.api.as_str().to_owned()),
        ]
    }

    /// Judges the entries of a record that anybody may have written. Unknown entries are passed
    /// over, so that a later version can add some.
    pub(crate) fn parse<'a>(
        entries: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, Ignored> {
        let entries: Vec<_> = entries.take(TXT_ENTRIES_MAX + 1).collect();
        if entries.len() > TXT_ENTRIES_MAX {
            return Err(Ignored::TooManyEntries);
        }
        if value(&entries, VERSION_KEY)? != TXT_VERSION {
            return Err(Ignored::OtherVersion);
        }
        let cluster = value(&entries, CLUSTER_KEY)?;
        let fingerprint_prefix = value(&entries, FINGERPRINT_KEY)?;
        if value(&entries, API_KEY)? != ApiScheme::Https.as_str() {
            return Err(Ignored::Malformed(API_KEY));
        }
        Ok(Self {
            cluster: cluster
                .parse()
                .map_err(|_| Ignored::Malformed(CLUSTER_KEY))?,
            fingerprint_prefix: fingerprint_prefix
                .parse()
                .map_err(|_| Ignored::Malformed(FINGERPRINT_KEY))?,
            api: ApiScheme::Https,
        })
    }
}

/// The value of the one entry named `key`; names of entries ignore case (RFC 6763, 6.4).
fn value<'a>(
    entries: &[(&'a str, Option<&'a [u8]>)],
    key: &'static str,
) -> Result<&'a str, Ignored> {
    let mut named = entries
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(key));
    let (_, bytes) = named.next().ok_or(Ignored::Missing(key))?;
    if named.next().is_some() {
        return Err(Ignored::Repeated(key));
    }
    let bytes = bytes.ok_or(Ignored::Malformed(key))?;
    let is_plain = bytes.len() <= TXT_VALUE_BYTES_MAX && bytes.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(bytes)
        .ok()
        .filter(|_| is_plain)
        .ok_or(Ignored::Malformed(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            cluster: ClusterId::from_u128(7),
            fingerprint_prefix: FingerprintPrefix::from([0xab; 8]),
            api: ApiScheme::Https,
        }
    }

    /// The valid record with `change` applied.
    fn parsed(change: impl FnOnce(&mut Vec<(String, Option<Vec<u8>>)>)) -> Result<Claim, Ignored> {
        let mut entries: Vec<_> = claim()
            .entries()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Some(value.into_bytes())))
            .collect();
        change(&mut entries);
        Claim::parse(
            entries
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref())),
        )
    }

    #[test]
    fn what_is_announced_is_understood_with_unknown_entries_and_capital_keys() {
        assert_eq!(parsed(|_| ()), Ok(claim()));
        assert_eq!(
            parsed(|entries| {
                entries.push(("zone".to_owned(), Some(vec![0xff; 200])));
                entries.push(("flag".to_owned(), None));
                entries[1].0 = "ID".to_owned();
            }),
            Ok(claim())
        );
    }

    #[test]
    fn a_value_that_is_not_of_its_form_is_ignored() {
        let long = "a".repeat(TXT_VALUE_BYTES_MAX + 1);
        let short_id = claim().cluster.to_string();
        let short_id = &short_id[..short_id.len() - 1];
        let cases: [(usize, &[u8], Ignored); 16] = [
            (0, b"2", Ignored::OtherVersion),
            (0, b"11", Ignored::OtherVersion),
            (0, b"", Ignored::OtherVersion),
            (0, b" 1", Ignored::Malformed("v")),
            (1, b"", Ignored::Malformed("id")),
            (1, short_id.as_bytes(), Ignored::Malformed("id")),
            (
                1,
                b"node_00000000000000000000000007",
                Ignored::Malformed("id"),
            ),
            (1, b"\x1b[2J", Ignored::Malformed("id")),
            (1, b"\xff\xfe", Ignored::Malformed("id")),
            (1, long.as_bytes(), Ignored::Malformed("id")),
            (2, b"abab", Ignored::Malformed("fp")),
            (2, b"ABABABABABABABAB", Ignored::Malformed("fp")),
            (2, b"abababababababababab", Ignored::Malformed("fp")),
            (2, b"abababab\0babababa", Ignored::Malformed("fp")),
            (3, b"http", Ignored::Malformed("api")),
            (3, long.as_bytes(), Ignored::Malformed("api")),
        ];
        for (index, value, expected) in cases {
            let found = parsed(|entries| entries[index].1 = Some(value.to_vec()));
            assert_eq!(found, Err(expected), "{value:?}");
        }
    }

    #[test]
    fn a_missing_a_repeated_and_a_valueless_entry_are_ignored() {
        for (index, key) in ["v", "id", "fp", "api"].into_iter().enumerate() {
            let missing = parsed(|entries| drop(entries.remove(index)));
            assert_eq!(missing, Err(Ignored::Missing(key)));
            let repeated = parsed(|entries| entries.push(entries[index].clone()));
            assert_eq!(repeated, Err(Ignored::Repeated(key)));
            let valueless = parsed(|entries| entries[index].1 = None);
            assert_eq!(valueless, Err(Ignored::Malformed(key)));
        }
    }

    #[test]
    fn a_record_with_too_many_entries_is_ignored() {
        let padded = |count: usize| {
            parsed(|entries| {
                entries.extend((entries.len()..count).map(|index| (format!("x{index}"), None)));
            })
        };
        assert_eq!(padded(TXT_ENTRIES_MAX), Ok(claim()));
        assert_eq!(padded(TXT_ENTRIES_MAX + 1), Err(Ignored::TooManyEntries));
    }
}
