//! Planted bugs: known mistakes that the simulator must find. They exist only under the feature
//! `planted-bugs`, which no shipped binary enables; without it [`planted`] is always false.

/// A mistake that was put in on purpose, to prove that the simulator would see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlantedBug {
    /// A report is taken whatever its fence.
    FenceNotChecked,
    /// A lost at-most-once attempt is granted again.
    AtMostOnceRetried,
    /// Losing a node leaves its attempts leased.
    LostNodeKeepsLeases,
    /// A task becomes ready with its first dependency.
    OneDependencyIsEnough,
    /// Idempotency keys are not remembered.
    IdempotencyForgotten,
    /// A node is given up as soon as it is suspect.
    LeaseGivenUpEarly,
    /// A node goes on working when its lease ran out.
    NoSelfFence,
    /// The newest entry of the log is skipped at recovery.
    NewestEntrySkipped,
    /// The indexes of a commit that a full disk refused are not used again.
    RejectedIndexSkipped,
    /// After a restart of the coordinator leases are not extended.
    LeasesNotExtended,
    /// Retry timers are lost with a restart.
    TimersNotRestored,
    /// Grants to an earlier process of a node are given to its new one.
    RestartedNodeKeepsGrants,
    /// A process of a node that was started earlier than the known one is let in.
    OldInstanceAccepted,
    /// A second process with the same count of starts is let in.
    CloneAccepted,
    /// A process that is about to be refused ends the connection of the one that is known.
    RefusedHelloReplaces,
    /// The wall clock decides which process of a node is the newer one.
    ClockOrdersProcesses,
    /// A join token lets in any number of machines.
    JoinUsesNotCounted,
    /// A join token lets machines in after its end.
    ExpiredTokenLetsIn,
    /// A revoked join token goes on letting machines in.
    RevokedTokenLetsIn,
    /// A machine that repeats its join becomes a second node.
    KeyGetsSecondNode,
    /// The machines that joined are forgotten at recovery.
    EnrolmentLostInRestart,
    /// A removed machine may still connect.
    RemovedNodeStaysWelcome,
    /// A machine that is removed while it registers is let in.
    RemovedWhileRegistering,
    /// A machine may connect before it is approved.
    UnapprovedNodeGetsWork,
    /// More is sent than was granted.
    CreditIgnored,
    /// What was dealt with is not granted anew.
    CreditNotReturned,
    /// An answer renews the lease from when it is read, also after a sleep.
    SleepCountedAsFresh,
    /// An assignment that comes twice is run twice.
    DuplicateMessageRepeatsEffect,
    /// A node that is away goes on getting work.
    AwayNodeGetsWork,
    /// A less patient policy holds before the node knows it.
    HoldShortenedUnheard,
    /// An attempt is moved from a parked node that did not say that it stands still.
    MovedWhileRunning,
    /// A write to shared memory counts whatever its condition says.
    MemoryConditionIgnored,
    /// The newest version of a forgotten namespace is forgotten with it.
    MemoryVersionsStartAnew,
    /// An attached agent that works is given up as soon as an idle one would be offline.
    BusySessionDeclaredDead,
    /// That a schedule acted on a due time is not kept with the next checkpoint.
    ScheduleFiringNotKept,
    /// That a trigger submitted the run for an event is not kept with the next checkpoint.
    TriggerFiringNotKept,
}

impl PlantedBug {
    /// All of them.
    pub const ALL: [Self; 36] = [
        Self::FenceNotChecked,
        Self::AtMostOnceRetried,
        Self::LostNodeKeepsLeases,
        Self::OneDependencyIsEnough,
        Self::IdempotencyForgotten,
        Self::LeaseGivenUpEarly,
        Self::NoSelfFence,
        Self::NewestEntrySkipped,
        Self::RejectedIndexSkipped,
        Self::LeasesNotExtended,
        Self::TimersNotRestored,
        Self::RestartedNodeKeepsGrants,
        Self::OldInstanceAccepted,
        Self::CloneAccepted,
        Self::RefusedHelloReplaces,
        Self::ClockOrdersProcesses,
        Self::JoinUsesNotCounted,
        Self::ExpiredTokenLetsIn,
        Self::RevokedTokenLetsIn,
        Self::KeyGetsSecondNode,
        Self::EnrolmentLostInRestart,
        Self::RemovedNodeStaysWelcome,
        Self::RemovedWhileRegistering,
        Self::UnapprovedNodeGetsWork,
        Self::CreditIgnored,
        Self::CreditNotReturned,
        Self::SleepCountedAsFresh,
        Self::DuplicateMessageRepeatsEffect,
        Self::AwayNodeGetsWork,
        Self::HoldShortenedUnheard,
        Self::MovedWhileRunning,
        Self::MemoryConditionIgnored,
        Self::MemoryVersionsStartAnew,
        Self::BusySessionDeclaredDead,
        Self::ScheduleFiringNotKept,
        Self::TriggerFiringNotKept,
    ];
}

#[cfg(feature = "planted-bugs")]
mod active {
    use super::PlantedBug;
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<PlantedBug>> = const { Cell::new(None) };
    }

    /// Makes this thread run with the bug, or without any.
    pub fn plant(bug: Option<PlantedBug>) {
        ACTIVE.with(|active| active.set(bug));
    }

    /// Whether this thread runs with the bug.
    pub fn planted(bug: PlantedBug) -> bool {
        ACTIVE.with(Cell::get) == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use active::{plant, planted};

/// Whether this thread runs with the bug: never, without the feature.
#[cfg(not(feature = "planted-bugs"))]
pub const fn planted(_: PlantedBug) -> bool {
    false
}
