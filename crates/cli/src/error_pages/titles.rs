//! Titles of codes whose crates give the codes only.

use skep_plan::ErrorCode as PlanCode;
use skep_wire::FaultCode;

/// What a plan error means; its text names place, value and fix.
pub(super) const fn plan_title(code: PlanCode) -> &'static str {
    match code {
        PlanCode::Syntax => "The text is not YAML or JSON",
        PlanCode::DuplicateKey => "A key stands twice in one mapping",
        PlanCode::UnknownKey => "A key that does not exist here",
        PlanCode::WrongType => "A value of another type, or none of the allowed words",
        PlanCode::MissingKey => "A key is missing",
        PlanCode::Empty => "The plan has no tasks",
        PlanCode::BadName => "A name has characters that names may not have, or is too long",
        PlanCode::OutOfRange => "A number is outside its bounds",
        PlanCode::BadDuration => "This is not a span of time",
        PlanCode::BadSize => "This is not an amount of bytes or processors",
        PlanCode::TwoCommands => "A task has two commands, or a noop has one",
        PlanCode::NoCommand => "A task has neither `run` nor `argv`",
        PlanCode::NeedsCommand => "A key needs a command, and the task is described in words",
        PlanCode::TooLong => "A script, list or value is beyond its limit",
        PlanCode::UnknownTask => "A task needs another that does not exist",
        PlanCode::Cycle => "Tasks need each other in a circle",
        PlanCode::UnknownReference => "A reference means nothing here",
        PlanCode::UnknownParameter => "The plan has no such parameter",
        PlanCode::MissingParameter => "A parameter without a default was not given",
        PlanCode::VariableClash => "Two parameters or axes make the same variable",
        PlanCode::BadMatrix => "A matrix has no values, or a value twice",
        PlanCode::TooManyTasks => "The plan has more tasks than one submission may have",
        PlanCode::BadVariable => "A variable that Skep sets itself, or a name no variable can have",
    }
}

/// What a refused frame means.
pub(super) const fn fault_title(code: FaultCode) -> &'static str {
    match code {
        FaultCode::ParseError => "The frame is not JSON",
        FaultCode::InvalidRequest => "The frame is not a JSON-RPC 2.0 message",
        FaultCode::FrameTooLarge => "The frame is larger than FRAME_BYTES_MAX",
        FaultCode::MethodUnknown => "There is no such method",
        FaultCode::InvalidParams => "The parameters do not fit the method",
        FaultCode::TooManyItems => "The message carries more than ITEMS_PER_FRAME_MAX items",
        FaultCode::OutOfOrder => "The method comes at the wrong point of the session",
        FaultCode::VersionUnsupported => "The protocol version is not supported",
        FaultCode::Busy => "Too many requests wait for an answer",
        FaultCode::Replaced => "A newer process of the node is connected",
        FaultCode::Removed => "The node was removed, or may not join",
        FaultCode::Shutdown => "The session ends; the node connects again",
        FaultCode::Protocol => "Too many messages were not understood",
        FaultCode::StorageFull => "The coordinator's disk is full; the node keeps its work",
        FaultCode::EncodingNotAgreed => "A binary frame came, and none were agreed on",
        FaultCode::MethodNotServed => "The method exists, and is not served here",
        FaultCode::DeadlineExceeded => "The message came after its deadline; nothing was done",
        FaultCode::EpochStale => "The message is of another epoch of the coordinator",
        FaultCode::MessageIdReused => "A message id was used for two different requests",
        FaultCode::AnswerNotKept => "The request was answered before, and the answer is gone",
        FaultCode::CreditExceeded => "More was sent than the receiver had granted",
    }
}
