//! What the connection agrees on before the session begins.

use super::incoming::out_of_order;
use super::{CoordinatorEnd, CoordinatorOutput, Stage};
use crate::bounds::PROTOCOL_MAJOR;
use crate::codec::{RequestId, method};
use crate::credit::{Granting, Spending};
use crate::fault::{WireError, echo};
use crate::framing::Framing;
use crate::payload::{Capability, Negotiation};
use skep_model::time::UnixMillis;

impl CoordinatorEnd {
    /// Answers with what both ends have; everything after the answer is written like that.
    pub(super) fn admit_negotiation(
        &mut self,
        id: &RequestId,
        said: &Negotiation,
    ) -> Result<Vec<CoordinatorOutput>, WireError> {
        if self.agreed.is_some() || self.stage != Stage::AwaitsHello {
            return Err(out_of_order(
                method::NEGOTIATE,
                "it is said once, before the hello",
            ));
        }
        if said.version.split('.').next() != Some(PROTOCOL_MAJOR) {
            return Err(WireError::VersionUnsupported {
                offered: echo(&said.version),
            });
        }
        let agreed = self.options.offers.and(said.known());
        let mut answer = Negotiation::offering(agreed, self.options.result_window);
        answer.extensions = answer.extensions.and(said.extensions);
        let outputs = self.answer(id, &answer);
        self.agreed = Some(agreed);
        self.framing = Framing::agreed(agreed);
        if let Some(credit) = said.credit.filter(|_| agreed.has(Capability::Credits)) {
            self.spending = Spending::bounded(credit);
            self.granting = Some(Granting::new(self.options.result_window));
        }
        Ok(outputs)
    }

    /// The time of the day, if the end was told how its clock stands to it.
    pub(super) fn time_of_day(&self, now: u64) -> Option<UnixMillis> {
        let zero = self.options.unix_ms_at_zero?;
        Some(UnixMillis(zero.saturating_add(now)))
    }
}
