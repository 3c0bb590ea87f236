//! Which queue is served next: priority with ageing, then fair share, then age.
//!
//! Age alone would let a run with a long backlog keep all others waiting until they are as old. So a
//! run that holds less than its share counts as old as the oldest task of the same priority of the
//! runs that hold theirs: age decides between priorities, share between runs.
//!
//! Within a round, serving a queue only ever worsens its place: the next head came later, and
//! the share of its run grows. So queues are sorted into one bucket per effective priority, and
//! each bucket is served through two heaps: runs by share, and the queues of a run by age. A head
//! whose place became worse meanwhile is moved when its turn comes.
//! One grant costs a few comparisons in these heaps, however many tasks wait.

use crate::snapshot::{QueueView, Snapshot};
use skep_model::ids::RunId;
use skep_model::limits;
use skep_model::task::ReadyKey;
use skep_model::time::UnixMillis;
use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

const BUCKETS: usize = limits::PRIORITY_MAX as usize + 1;

/// A queue with the task that is next in it.
struct Head<'a> {
    key: ReadyKey,
    queue: usize,
    run: usize,
    rest: std::collections::btree_set::Iter<'a, ReadyKey>,
}

/// How much a run holds for its weight.
#[derive(Debug, Clone, Copy)]
struct Share {
    held: u64,
    weight: u64,
}

impl Share {
    fn compare(self, other: Self) -> Ordering {
        (self.held * other.weight).cmp(&(other.held * self.weight))
    }
}

/// What the runs that wait hold together, and since when those wait that hold their share, when a
/// round begins.
struct Contest {
    together: Share,
    /// By priority before ageing.
    oldest: [Option<UnixMillis>; BUCKETS],
}

impl Contest {
    fn of(snapshot: &Snapshot<'_>, shares: &[Share], runs: &[usize]) -> Self {
        let mut contest = Self {
            together: Share {
                held: shares.iter().map(|share| share.held).sum(),
                weight: shares.iter().map(|share| share.weight).sum(),
            },
            oldest: [None; BUCKETS],
        };
        for (queue, run) in snapshot.queues.iter().zip(runs) {
            let first = queue.tasks.first().map(|key| key.ready_at);
            let oldest = contest.oldest.get_mut(usize::from(queue.priority));
            let (Some(first), Some(oldest)) = (first, oldest) else {
                continue;
            };
            if !lacks(shares[*run], contest.together) {
                *oldest = Some(oldest.map_or(first, |oldest| oldest.min(first)));
            }
        }
        contest
    }
}

/// Whether a run holds less than its share of what all hold together.
fn lacks(share: Share, together: Share) -> bool {
    share.compare(together) == Ordering::Less
}

/// A run in the bucket that is being served; the largest in the heap is served next.
struct Turn<'a> {
    share: Share,
    run: usize,
    heads: BinaryHeap<Head<'a>>,
}

/// What became of the head that was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// It was granted: the next one of its queue follows, at the run's cost.
    Granted,
    /// Nothing fits its requirements: the queue is done for this round.
    QueueUnfit,
}

/// The queues of a round, in the order in which they are to be served.
pub(crate) struct Order<'a> {
    now: UnixMillis,
    base: Vec<u8>,
    shares: Vec<Share>,
    contest: Contest,
    buckets: [Vec<Head<'a>>; BUCKETS],
    level: usize,
    turns: BinaryHeap<Turn<'a>>,
}

/// Priority with ageing: one point for each step waited, and 10 at most. Because the sum is
/// bounded, no task stays behind newer ones of higher priority for ever.
pub(crate) fn effective_priority(base: u8, ready_at: UnixMillis, now: UnixMillis) -> u8 {
    let steps = now.since(ready_at) / limits::PRIORITY_AGEING_STEP_MS;
    u64::from(base)
        .saturating_add(steps)
        .min(u64::from(limits::PRIORITY_MAX)) as u8
}

impl<'a> Order<'a> {
    pub(crate) fn of(snapshot: &Snapshot<'a>) -> Self {
        let mut shares = Vec::new();
        let mut positions = BTreeMap::new();
        let runs: Vec<_> = snapshot
            .queues
            .iter()
            .map(|queue| run_of(queue, &mut positions, &mut shares))
            .collect();
        let mut order = Self {
            now: snapshot.now,
            base: snapshot.queues.iter().map(|queue| queue.priority).collect(),
            contest: Contest::of(snapshot, &shares, &runs),
            shares,
            buckets: std::array::from_fn(|_| Vec::new()),
            level: BUCKETS,
            turns: BinaryHeap::new(),
        };
        for (position, (queue, run)) in snapshot.queues.iter().zip(runs).enumerate() {
            order.file(position, run, queue.tasks);
        }
        order
    }

    fn file(&mut self, queue: usize, run: usize, tasks: &'a BTreeSet<ReadyKey>) {
        let mut rest = tasks.iter();
        if let Some(key) = rest.next().copied() {
            let bucket = self.bucket(queue, run, &key);
            self.buckets[bucket].push(Head {
                key,
                queue,
                run,
                rest,
            });
        }
    }

    fn bucket(&self, queue: usize, run: usize, key: &ReadyKey) -> usize {
        let base = self.base[queue];
        let of_contest = self
            .contest
            .oldest
            .get(usize::from(base))
            .copied()
            .flatten();
        let since = match of_contest {
            Some(oldest) if lacks(self.shares[run], self.contest.together) => {
                oldest.min(key.ready_at)
            }
            _ => key.ready_at,
        };
        usize::from(effective_priority(base, since, self.now))
    }

    /// The queue and task to serve now.
    pub(crate) fn next(&mut self) -> Option<(usize, ReadyKey)> {
        loop {
            while self.turns.is_empty() {
                self.level = self.level.checked_sub(1)?;
                self.open_bucket();
            }
            let head = self.turns.peek()?.heads.peek()?;
            let bucket = self.bucket(head.queue, head.run, &head.key);
            if bucket >= self.level {
                return Some((head.queue, head.key));
            }
            self.lower_head(bucket);
        }
    }

    fn lower_head(&mut self, bucket: usize) {
        let Some(mut turn) = self.turns.peek_mut() else {
            return;
        };
        let head = turn.heads.pop();
        if turn.heads.is_empty() {
            PeekMut::pop(turn);
        } else {
            drop(turn);
        }
        self.buckets[bucket].extend(head);
    }

    fn open_bucket(&mut self) {
        let mut by_run: BTreeMap<usize, Vec<Head<'a>>> = BTreeMap::new();
        for head in std::mem::take(&mut self.buckets[self.level]) {
            by_run.entry(head.run).or_default().push(head);
        }
        let shares = &self.shares;
        self.turns = by_run
            .into_iter()
            .map(|(run, heads)| Turn {
                share: shares[run],
                run,
                heads: heads.into(),
            })
            .collect();
    }

    /// Moves on from what [`Self::next`] returned.
    pub(crate) fn advance(&mut self, served: Served) {
        let Some(mut turn) = self.turns.peek_mut() else {
            return;
        };
        if served == Served::Granted {
            let share = &mut self.shares[turn.run];
            share.held += 1;
            turn.share = *share;
        }
        turn.serve_head(served);
        if turn.heads.is_empty() {
            PeekMut::pop(turn);
        }
    }
}

/// The position of a queue's run among the shares.
fn run_of(
    queue: &QueueView<'_>,
    positions: &mut BTreeMap<Option<RunId>, usize>,
    shares: &mut Vec<Share>,
) -> usize {
    *positions.entry(queue.run).or_insert_with(|| {
        shares.push(Share {
            held: u64::from(queue.held_by_run),
            weight: u64::from(queue.weight.max(1)),
        });
        shares.len() - 1
    })
}

impl Turn<'_> {
    /// Replaces the first head by the next of its queue, if there is one.
    fn serve_head(&mut self, served: Served) {
        let Some(mut head) = self.heads.peek_mut() else {
            return;
        };
        let next = match served {
            Served::Granted => head.rest.next().copied(),
            Served::QueueUnfit => None,
        };
        match next {
            Some(key) => head.key = key,
            None => drop(PeekMut::pop(head)),
        }
    }
}

// Heaps give the largest first, so what is served first must compare as greater.
impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key).then(other.queue.cmp(&self.queue))
    }
}

impl Ord for Turn<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_head = |a: &Self, b: &Self| match (a.heads.peek(), b.heads.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        other
            .share
            .compare(self.share)
            .then_with(|| by_head(self, other))
    }
}

macro_rules! compare_by_ord {
    ($($name:ident),*) => {$(
        impl PartialOrd for $name<'_> {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other) == Ordering::Equal
            }
        }
        impl Eq for $name<'_> {}
    )*};
}
compare_by_ord!(Head, Turn);
