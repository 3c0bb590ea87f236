//! From local minutes to points in time: what a cron expression means where clocks are changed.

use super::cron::{Cron, LocalMinute};
use crate::time::UnixMillis;

const MINUTE_MS: i64 = 60_000;
/// Changes of the clock that are looked through before a search ends: some zones have four a year.
const CHANGES_MAX: usize = 64;
/// No clock was ever set back by more than this: 26 hours.
const SET_BACK_MS_MAX: u64 = 26 * 3_600_000;

/// How local time stands to UTC.
pub trait Zone {
    /// Seconds by which local time is ahead of UTC at this time.
    fn offset_s(&self, at: UnixMillis) -> i64;

    /// The first time after this one at which the offset may change.
    fn next_change(&self, after: UnixMillis) -> Option<UnixMillis>;
}

/// Universal time.
#[derive(Debug, Clone, Copy)]
pub struct Utc;

impl Zone for Utc {
    fn offset_s(&self, _: UnixMillis) -> i64 {
        0
    }

    fn next_change(&self, _: UnixMillis) -> Option<UnixMillis> {
        None
    }
}

/// The first due time after `after`; none when there is none within eight years.
///
/// An expression of every hour follows the passing of time: it is due twice in an hour that comes
/// twice, and not in one that is left out. Any other follows the clock on the wall as it goes
/// forward: what lies in an hour that is left out is due, once, when the clock jumps over it, and
/// what lies in an hour that comes twice is due the first time only.
pub fn next_due(cron: &Cron, zone: &dyn Zone, after: UnixMillis) -> Option<UnixMillis> {
    let follows_time = cron.is_of_every_hour();
    let mut at = after;
    let mut from = LocalMinute(local(after, zone.offset_s(after)).0 + 1);
    if !follows_time {
        from = from.max(reached(zone, after));
    }
    for _ in 0..CHANGES_MAX {
        let offset = zone.offset_s(at);
        let minute = cron.next_from(from)?;
        let due = moment(minute, offset);
        let Some(change) = zone.next_change(at).filter(|change| due >= *change) else {
            return Some(due);
        };
        let (old, new) = (local(change, offset), local(change, zone.offset_s(change)));
        if follows_time {
            from = new;
        } else if minute < new {
            return Some(change);
        } else {
            from = old.max(new);
        }
        at = change;
    }
    None
}

/// The local minute up to which clocks have shown everything by then.
fn reached(zone: &dyn Zone, by: UnixMillis) -> LocalMinute {
    let mut at = UnixMillis(by.0.saturating_sub(SET_BACK_MS_MAX));
    let mut reached = local(by, zone.offset_s(by));
    for _ in 0..CHANGES_MAX {
        let Some(change) = zone.next_change(at).filter(|change| *change <= by) else {
            break;
        };
        reached = reached.max(local(change, zone.offset_s(at)));
        at = change;
    }
    reached
}

fn local(at: UnixMillis, offset_s: i64) -> LocalMinute {
    let local_ms = at.0 as i64 + offset_s * 1_000;
    LocalMinute(local_ms.div_euclid(MINUTE_MS))
}

fn moment(minute: LocalMinute, offset_s: i64) -> UnixMillis {
    UnixMillis((minute.0 * MINUTE_MS - offset_s * 1_000).max(0) as u64)
}
