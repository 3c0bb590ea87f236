//! Queries of URLs.

use std::fmt::Write;

/// The path with these parameters as its query, encoded.
pub fn with_query<'a>(
    path: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut text = path.to_owned();
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in parameters {
        text.push(separator);
        encode(&mut text, name);
        text.push('=');
        encode(&mut text, value);
        separator = '&';
    }
    text
}

fn encode(text: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => write!(text, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_joined() {
        assert_eq!(with_query("/a", []), "/a");
        let path = with_query("/a", [("q", "x y&z"), ("ä", "1~2")]);
        assert_eq!(path, "/a?q=x%20y%26z&%C3%A4=1~2");
        assert_eq!(with_query("/a?b=c", [("d", "e")]), "/a?b=c&d=e");
    }
}
