//! The event stream: every event once, in order, from any cursor that is still kept.

mod feed;
mod listing;
mod pattern;
mod texts;

pub(crate) use feed::newest;
pub use feed::{EventFeed, EventFilter, PIECE_BYTES_MAX};
pub use listing::FeedStart;
pub use pattern::MemoryPattern;
pub(crate) use pattern::changed;
pub use texts::{EventText, EventTexts};

use crate::declare::{READ, read};
use crate::operation::Operation;
use listing::list;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        read(
            "events.list",
            "/events",
            READ,
            "Lists events after a cursor, or streams them as server-sent events.",
        )
        .answers(list),
    ]
}
