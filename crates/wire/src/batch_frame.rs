//! Builds a frame item by item, each written once, within the bounds of a frame.

use crate::codec::WRITES;
use serde::Serialize;
use skep_model::limits::{FRAME_BYTES_MAX, ITEMS_PER_FRAME_MAX};

const CLOSING: &[u8] = b"]}}";

/// Whether an item went into the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Added,
    /// It belongs into the next frame.
    Full,
    /// It fits into no frame, not even alone.
    TooLarge,
}

/// A request whose parameters are one list.
#[derive(Debug)]
pub(crate) struct BatchFrame {
    bytes: Vec<u8>,
    items: usize,
    bytes_max: usize,
}

impl BatchFrame {
    pub(crate) fn request(id: u64, method: &'static str, list: &'static str) -> Self {
        Self::bounded(id, method, list, FRAME_BYTES_MAX)
    }

    fn bounded(id: u64, method: &'static str, list: &'static str, bytes_max: usize) -> Self {
        let head =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"{list}":["#);
        Self {
            bytes: head.into_bytes(),
            items: 0,
            bytes_max,
        }
    }

    pub(crate) fn push<T: Serialize>(&mut self, item: &T) -> Fit {
        if self.items == ITEMS_PER_FRAME_MAX {
            return Fit::Full;
        }
        let length_before = self.bytes.len();
        if self.items > 0 {
            self.bytes.push(b',');
        }
        serde_json::to_writer(&mut self.bytes, item).expect(WRITES);
        if self.bytes.len() + CLOSING.len() <= self.bytes_max {
            self.items += 1;
            return Fit::Added;
        }
        self.bytes.truncate(length_before);
        if self.items == 0 {
            Fit::TooLarge
        } else {
            Fit::Full
        }
    }

    /// The frame's text; none when nothing went in.
    pub(crate) fn finish(mut self) -> Option<String> {
        if self.items == 0 {
            return None;
        }
        self.bytes.extend_from_slice(CLOSING);
        Some(String::from_utf8(self.bytes).expect("serde_json writes UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_frame_leaves_the_item_out_and_stays_valid_json() {
        let mut frame = BatchFrame::bounded(1, "m", "items", 80);
        let item = "0123456789";
        assert_eq!(frame.push(&item), Fit::Added);
        assert_eq!(frame.push(&item), Fit::Full);
        let text = frame.finish().unwrap();
        assert!(text.len() <= 80, "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["params"]["items"], serde_json::json!([item]));
    }

    #[test]
    fn an_item_that_fits_into_no_frame_is_told_apart() {
        let mut frame = BatchFrame::bounded(1, "m", "items", 65);
        assert_eq!(frame.push(&"x".repeat(65)), Fit::TooLarge);
        assert_eq!(frame.push(&1), Fit::Added);
    }

    #[test]
    fn the_number_of_items_is_bounded_too() {
        let mut frame = BatchFrame::request(1, "m", "items");
        assert!((0..ITEMS_PER_FRAME_MAX).all(|item| frame.push(&item) == Fit::Added));
        assert_eq!(frame.push(&0), Fit::Full);
    }

    #[test]
    fn an_empty_frame_is_not_sent() {
        assert_eq!(BatchFrame::request(1, "m", "items").finish(), None);
    }
}
