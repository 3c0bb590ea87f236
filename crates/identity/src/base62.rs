//! Bytes as letters and digits: a big number in base 62, so that a double click selects all of it.
//!
//! Leading zero bytes would be lost; callers begin with a byte that is not zero. Both directions
//! take time quadratic in the length, so callers bound it.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 11 / 8 + 1);
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 62) as u8;
            carry /= 62;
        }
        while carry > 0 {
            digits.push((carry % 62) as u8);
            carry /= 62;
        }
    }
    let letters = digits.iter().rev();
    letters
        .map(|digit| char::from(ALPHABET[usize::from(*digit)]))
        .collect()
}

/// `None` when a character is neither a letter nor a digit.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len() * 3 / 4 + 1);
    for letter in text.bytes() {
        let digit = match letter {
            b'0'..=b'9' => letter - b'0',
            b'A'..=b'Z' => letter - b'A' + 10,
            b'a'..=b'z' => letter - b'a' + 36,
            _ => return None,
        };
        let mut carry = u32::from(digit);
        for byte in &mut bytes {
            carry += u32::from(*byte) * 62;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.reverse();
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_survive_their_text(mut bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            bytes[0] |= 1;
            let text = encode(&bytes);
            prop_assert!(text.bytes().all(|letter| letter.is_ascii_alphanumeric()));
            prop_assert_eq!(decode(&text), Some(bytes));
        }
    }

    #[test]
    fn other_characters_are_refused() {
        for text in ["a-b", "a b", "ä", "_"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
