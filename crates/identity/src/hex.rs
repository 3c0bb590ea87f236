//! Bytes of fixed length as hexadecimal digits.

use crate::HexError;

pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    let pairs = bytes.iter();
    pairs
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

pub(crate) fn decode<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let error = HexError { digits: 2 * N };
    let value = |digit: u8| char::from(digit).to_digit(16);
    if text.len() != 2 * N {
        return Err(error);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let (high, low) = (value(pair[0]).ok_or(error)?, value(pair[1]).ok_or(error)?);
        *byte = (high * 16 + low) as u8;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_their_text_and_other_texts_are_refused() {
        let bytes = [0, 1, 127, 255];
        assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        for text in ["", "00", "0001x2ff", "ä00011f", "00017fff0"] {
            assert!(decode::<4>(text).is_err(), "{text}");
        }
    }
}
