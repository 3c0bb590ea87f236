//! How a strategy keeps and picks the agents that suit one requirement signature.

use crate::field::{Asked, Field};
use skep_model::requirements::Requirements;

/// The agents of one signature, in the order of one strategy.
pub(crate) trait Candidates: Sized {
    /// What the strategy keeps over all signatures of a round.
    type Course;

    /// The course of a round that begins.
    fn course(field: &Field<'_, '_>) -> Self::Course;

    /// The candidates of one signature.
    fn new<'a>(field: &Field<'_, 'a>, course: &mut Self::Course, wanted: &'a Requirements) -> Self;

    /// The agent for one task, or none when nothing fits any more. Nodes that failed the task
    /// come last.
    fn choose(
        &mut self,
        field: &Field<'_, '_>,
        course: &mut Self::Course,
        asked: &Asked<'_>,
    ) -> Option<usize>;
}
