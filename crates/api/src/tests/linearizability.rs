//! Whether a history of one register could have happened one call after the other, each between
//! its beginning and its end: the check of Wing and Gong, with the states that were seen before
//! left out.

use std::collections::BTreeSet;

/// What a call did, as its caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Found this value.
    Read(u64),
    /// Replaced the first value by the second.
    Swapped(u64, u64),
    /// Wanted to replace this value and found another one.
    Refused(u64),
    /// Wanted to replace the first value by the second, and was told nothing.
    Unknown(u64, u64),
}

/// A call, and when it was made and answered. What was never answered may happen at any later time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timed {
    pub(super) call: Call,
    pub(super) began: u64,
    pub(super) ended: u64,
}

impl Call {
    /// The value after the call, if it could have happened at this value.
    fn after(self, value: u64) -> Option<u64> {
        match self {
            Self::Read(found) => (found == value).then_some(value),
            Self::Swapped(old, new) => (old == value).then_some(new),
            Self::Refused(wanted) => (wanted != value).then_some(value),
            Self::Unknown(old, new) => Some(if old == value { new } else { value }),
        }
    }
}

/// Whether there is an order of the calls that explains what each caller was told.
pub(super) fn is_linearizable(start: u64, history: &[Timed]) -> bool {
    let mut seen = BTreeSet::new();
    let all: BTreeSet<usize> = (0..history.len()).collect();
    let mut open = vec![(all, start)];
    while let Some((left, value)) = open.pop() {
        let needed = left.iter().filter(|call| !is_optional(&history[**call]));
        // Whatever begins after another one has ended cannot come before it.
        let Some(first_end) = needed.map(|call| history[*call].ended).min() else {
            return true;
        };
        if !seen.insert((left.clone(), value)) {
            continue;
        }
        for call in left
            .iter()
            .filter(|call| history[**call].began <= first_end)
        {
            if let Some(value) = history[*call].call.after(value) {
                let mut rest = left.clone();
                rest.remove(call);
                open.push((rest, value));
            }
        }
    }
    false
}

/// What was never answered need not have happened.
fn is_optional(timed: &Timed) -> bool {
    matches!(timed.call, Call::Unknown(..))
}

fn timed(call: Call, began: u64, ended: u64) -> Timed {
    Timed { call, began, ended }
}

#[test]
fn histories_that_cannot_be_are_told_from_those_that_can() {
    let swapped = timed(Call::Swapped(0, 1), 0, 10);
    for (history, expected) in [
        (vec![], true),
        (vec![swapped, timed(Call::Read(0), 5, 6)], true),
        (vec![swapped, timed(Call::Read(1), 5, 6)], true),
        (vec![swapped, timed(Call::Read(0), 11, 12)], false),
        (
            vec![
                swapped,
                timed(Call::Read(1), 2, 3),
                timed(Call::Read(0), 4, 5),
            ],
            false,
        ),
        (vec![swapped, timed(Call::Swapped(0, 2), 1, 9)], false),
        (vec![swapped, timed(Call::Refused(0), 11, 12)], true),
        (vec![swapped, timed(Call::Refused(1), 11, 12)], false),
        (
            vec![
                timed(Call::Unknown(0, 7), 0, u64::MAX),
                timed(Call::Read(7), 90, 91),
            ],
            true,
        ),
        (
            vec![
                timed(Call::Unknown(0, 7), 0, u64::MAX),
                timed(Call::Read(0), 90, 91),
            ],
            true,
        ),
        (vec![timed(Call::Read(7), 90, 91)], false),
    ] {
        assert_eq!(is_linearizable(0, &history), expected, "{history:?}");
    }
}
