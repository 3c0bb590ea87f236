//! Builds a frame item by item, each written once, within the bounds of a frame and of the credit.

use crate::codec::{RequestId, WRITES};
use crate::credit::Room;
use crate::frame::Frame;
use crate::framing::Framing;
use crate::packed::{self, CONTENT_BYTES_MAX, Head, Part};
use serde::Serialize;
use skep_model::limits::{FRAME_BYTES_MAX, ITEMS_PER_FRAME_MAX};
use std::borrow::Cow;

const CLOSING: &[u8] = b"]}}";
/// A map of one entry.
const MAP_OF_ONE: u8 = 0x81;
/// A list whose length follows in four bytes.
const LIST: u8 = 0xdd;

/// Whether an item went into the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Added,
    /// It belongs into the next frame, or has to wait for credit.
    Full,
    /// It fits into no frame, not even alone.
    TooLarge,
}

/// A request whose parameters are one list.
#[derive(Debug)]
pub(crate) struct BatchFrame {
    framing: Framing,
    bytes: Vec<u8>,
    /// Where the length of the list goes, in a packed frame.
    length_at: usize,
    items: usize,
    bytes_max: usize,
    room: Room,
}

impl BatchFrame {
    pub(crate) fn request(
        framing: Framing,
        id: u64,
        method: &'static str,
        list: &'static str,
    ) -> Self {
        let bytes_max = if framing.is_binary() {
            CONTENT_BYTES_MAX
        } else {
            FRAME_BYTES_MAX
        };
        Self::bounded(framing, (id, method, list), bytes_max)
    }

    fn bounded(
        framing: Framing,
        (id, method, list): (u64, &'static str, &'static str),
        bytes_max: usize,
    ) -> Self {
        let mut bytes = Vec::with_capacity(256);
        if framing.is_binary() {
            let head = Head {
                id: Some(RequestId::Number(id)),
                method: Some(Cow::Borrowed(method)),
                part: Part::Params,
            };
            packed::write(&mut bytes, &head);
            bytes.push(MAP_OF_ONE);
            packed::write(&mut bytes, list);
            bytes.extend_from_slice(&[LIST, 0, 0, 0, 0]);
        } else {
            let head =
                format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"{list}":["#);
            bytes.extend_from_slice(head.as_bytes());
        }
        Self {
            framing,
            length_at: bytes.len().saturating_sub(size_of::<u32>()),
            bytes,
            items: 0,
            bytes_max,
            room: Room::UNBOUNDED,
        }
    }

    /// Bounds it by credit.
    pub(crate) const fn within(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

    const fn closing(&self) -> &'static [u8] {
        if self.framing.is_binary() {
            b""
        } else {
            CLOSING
        }
    }

    pub(crate) fn push<T: Serialize>(&mut self, item: &T) -> Fit {
        if self.items == ITEMS_PER_FRAME_MAX || self.items as u64 >= self.room.items {
            return Fit::Full;
        }
        let length_before = self.bytes.len();
        if self.framing.is_binary() {
            packed::write(&mut self.bytes, item);
        } else {
            if self.items > 0 {
                self.bytes.push(b',');
            }
            serde_json::to_writer(&mut self.bytes, item).expect(WRITES);
        }
        let length = self.bytes.len() + self.closing().len();
        let fits = length <= self.bytes_max;
        if fits && self.room.holds(self.items, length as u64) {
            self.items += 1;
            return Fit::Added;
        }
        self.bytes.truncate(length_before);
        if self.items == 0 && !fits {
            Fit::TooLarge
        } else {
            Fit::Full
        }
    }

    /// The frame and what it takes of the credit; none when nothing went in.
    pub(crate) fn finish(mut self) -> Option<(Frame, u64)> {
        if self.items == 0 {
            return None;
        }
        self.bytes.extend_from_slice(self.closing());
        let cost = self.bytes.len() as u64;
        let frame = if self.framing.is_binary() {
            let length = u32::try_from(self.items).expect("at most ITEMS_PER_FRAME_MAX");
            self.bytes[self.length_at..][..size_of::<u32>()].copy_from_slice(&length.to_be_bytes());
            self.framing.seal(&self.bytes)
        } else {
            Frame::Text(String::from_utf8(self.bytes).expect("serde_json writes UTF-8"))
        };
        Some((frame, cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Body, read_result};
    use crate::payload::{Capabilities, Capability};
    use serde_json::Value;

    const WORDS: (u64, &str, &str) = (1, "m", "items");

    fn binary() -> Framing {
        Framing::agreed(Capabilities::NONE.with(Capability::MessagePack))
    }

    fn items_of(frame: &Frame) -> Value {
        match frame {
            Frame::Text(text) => {
                let value: Value = serde_json::from_str(text).unwrap();
                value["params"]["items"].clone()
            }
            Frame::Binary(bytes) => {
                let content = packed::open(bytes).unwrap();
                let (_, params) = packed::read_front::<Value>(&content).unwrap();
                let value: Value = read_result("m", Body::Packed(params)).unwrap();
                value["items"].clone()
            }
        }
    }

    #[test]
    fn a_full_frame_leaves_the_item_out_and_stays_readable() {
        for (framing, bytes_max) in [(Framing::TEXT, 80), (binary(), 55)] {
            let mut frame = BatchFrame::bounded(framing, WORDS, bytes_max);
            let item = "0123456789";
            assert_eq!(frame.push(&item), Fit::Added);
            assert_eq!(frame.push(&item), Fit::Full);
            let (frame, cost) = frame.finish().unwrap();
            assert!(cost <= bytes_max as u64, "{frame:?}");
            assert_eq!(items_of(&frame), serde_json::json!([item]));
        }
    }

    #[test]
    fn an_item_that_fits_into_no_frame_is_told_apart() {
        for framing in [Framing::TEXT, binary()] {
            let mut frame = BatchFrame::bounded(framing, WORDS, 65);
            assert_eq!(frame.push(&"x".repeat(65)), Fit::TooLarge);
            assert_eq!(frame.push(&1), Fit::Added);
        }
    }

    #[test]
    fn the_number_of_items_is_bounded_too() {
        for framing in [Framing::TEXT, binary()] {
            let mut frame = framing.batch(1, "m", "items");
            assert!((0..ITEMS_PER_FRAME_MAX).all(|item| frame.push(&item) == Fit::Added));
            assert_eq!(frame.push(&0), Fit::Full);
            let (frame, _) = frame.finish().unwrap();
            assert_eq!(
                items_of(&frame).as_array().unwrap().len(),
                ITEMS_PER_FRAME_MAX
            );
        }
    }

    #[test]
    fn an_empty_frame_is_not_sent() {
        for framing in [Framing::TEXT, binary()] {
            assert_eq!(framing.batch(1, "m", "items").finish(), None);
        }
    }

    #[test]
    fn a_frame_keeps_within_the_credit() {
        for framing in [Framing::TEXT, binary()] {
            let room = Room {
                items: 2,
                bytes: 1_000,
                may_exceed: false,
            };
            let mut frame = framing.batch(1, "m", "items").within(room);
            assert_eq!(frame.push(&1), Fit::Added);
            assert_eq!(frame.push(&"x".repeat(1_000)), Fit::Full);
            assert_eq!(frame.push(&2), Fit::Added);
            assert_eq!(frame.push(&3), Fit::Full);
            // With nothing under way one item may always go.
            let room = Room {
                items: 2,
                bytes: 10,
                may_exceed: true,
            };
            let mut frame = framing.batch(1, "m", "items").within(room);
            assert_eq!(frame.push(&"x".repeat(1_000)), Fit::Added);
            assert_eq!(frame.push(&1), Fit::Full);
        }
    }
}
