//! Answers to results that were applied.

use super::{ConnectionId, ToNode};
use crate::applier::Reaction;
use crate::engine::Output;
use skep_model::event::Event;
use skep_wire::coordinator_end::ReplyId;
use skep_wire::payload::{AttemptKey, EndCode, ResultAnswer, ResultAnswers, ResultVerdict};
use std::collections::BTreeSet;

/// The disk is full: nothing of the batch is stored, the node keeps all of it and sends it again.
pub(crate) fn results_not_stored(
    connection: ConnectionId,
    request: ReplyId,
    keys: Vec<AttemptKey>,
) -> Output {
    let answer = |key| {
        let reason = format!(
            "{}: the coordinator's disk is full, send it again later",
            EndCode::StorageFull.as_str()
        );
        ResultAnswer::new(key, ResultVerdict::Refused { reason })
    };
    let answers = ResultAnswers {
        items: keys.into_iter().map(answer).collect(),
    };
    Output::ToNode(connection, ToNode::Answers { request, answers })
}

/// A batch of reports was applied: each is committed, or refused with the reason.
pub(crate) fn results_applied(
    connection: ConnectionId,
    request: ReplyId,
    keys: Vec<AttemptKey>,
    reaction: &Reaction<'_>,
    out: &mut Vec<Output>,
) {
    let refused: BTreeSet<AttemptKey> = reaction
        .events
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ReportRefused { task, fence, .. } => Some(AttemptKey::new(*task, *fence)),
            _ => None,
        })
        .collect();
    let answer = |key: AttemptKey| {
        let verdict = if refused.contains(&key) {
            ResultVerdict::Stale
        } else {
            ResultVerdict::Committed
        };
        ResultAnswer::new(key, verdict)
    };
    let answers = ResultAnswers {
        items: keys.into_iter().map(answer).collect(),
    };
    out.push(Output::ToNode(
        connection,
        ToNode::Answers { request, answers },
    ));
}
