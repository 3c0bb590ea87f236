//! Limits of the model, as refusals.

use skep_model::refusal::{LimitName, Refusal};

/// Refuses more than `max`.
pub(crate) fn within(limit: LimitName, max: usize, given: usize) -> Result<(), Refusal> {
    if given <= max {
        return Ok(());
    }
    Err(Refusal::Limit {
        limit,
        max: max as u64,
        given: given as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::within;
    use crate::State;
    use skep_model::agent::AgentSpec;
    use skep_model::attempt::LogIndex;
    use skep_model::command::{Actor, Command, LogEntry};
    use skep_model::event::Event;
    use skep_model::ids::{AgentId, InstanceId, NodeId, TaskId, TokenId};
    use skep_model::isolation::IsolationLevel;
    use skep_model::limits::{AGENTS_MAX, NEEDS_PER_TASK_MAX, NODES_MAX, SESSIONS_MAX, TOKENS_MAX};
    use skep_model::node::{Hardware, NodeClass, NodeFacts};
    use skep_model::refusal::{LimitName, Refusal};
    use skep_model::requirements::Resources;
    use skep_model::session::{AttachedSpec, HeartbeatMode, SessionFacts};
    use skep_model::task::{NewTask, TaskSpec};
    use skep_model::time::UnixMillis;
    use skep_model::token::TokenRecord;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// The last of so many commands is refused for the limit, and the one before is not.
    #[track_caller]
    fn assert_bounded(limit: LimitName, max: usize, commands: impl Iterator<Item = Command>) {
        assert_bounded_after(limit, max, max, commands);
    }

    /// The same where so many commands do what they say, of which some do not count.
    #[track_caller]
    fn assert_bounded_after(
        limit: LimitName,
        max: usize,
        done: usize,
        commands: impl Iterator<Item = Command>,
    ) {
        let mut state = State::new();
        let mut answers = Vec::new();
        for (index, command) in (1..).zip(commands) {
            let entry = LogEntry {
                at: UnixMillis(0),
                seed: 0,
                actor: Actor::Coordinator,
                command,
            };
            answers = state.apply(LogIndex(index), &entry).events;
            let refused = matches!(answers[..], [Event::Refused { .. }]);
            assert!(!refused || index as usize > done, "{index}: {answers:?}");
        }
        let refusal = within(limit, max, max + 1).unwrap_err();
        assert_eq!(answers, [Event::Refused { reason: refusal }]);
    }

    fn register(number: usize) -> Command {
        Command::RegisterNode {
            node: NodeId::from_u128(number as u128),
            instance: InstanceId::from_u128(1),
            starts: 0,
            agent: AgentId::from_u128(number as u128),
            facts: Box::new(NodeFacts {
                name: format!("n{number}"),
                version: String::new(),
                system: String::new(),
                resources: Resources::NONE,
                slots: 1,
                labels: BTreeMap::new(),
                capabilities: BTreeMap::new(),
                isolation: IsolationLevel::S1,
                probes: Vec::new(),
                class: NodeClass::Server,
                region: None,
                hardware: Hardware::default(),
                models: Vec::new(),
                on_disconnect: None,
            }),
        }
    }

    fn attach(number: usize) -> Command {
        let id = number as u128 | 1 << 64;
        Command::AttachAgent {
            seat: NodeId::from_u128(id),
            instance: InstanceId::from_u128(1),
            agent: AgentId::from_u128(id),
            spec: Box::new(AttachedSpec {
                name: format!("s{number}"),
                role: String::new(),
                capabilities: BTreeMap::new(),
                session: SessionFacts {
                    owner: Actor::Coordinator,
                    heartbeat: HeartbeatMode::Calls,
                    client: String::new(),
                },
            }),
        }
    }

    fn create_agent(number: usize) -> Command {
        Command::CreateAgent {
            agent: AgentId::from_u128(number as u128),
            spec: Box::new(AgentSpec {
                name: format!("a{number}"),
                role: String::new(),
                node: NodeId::from_u128(0),
                capabilities: BTreeMap::new(),
                slots: 1,
            }),
        }
    }

    #[test]
    fn nodes_are_bounded() {
        assert_bounded(
            LimitName::NodesMax,
            NODES_MAX,
            (0..=NODES_MAX).map(register),
        );
    }

    #[test]
    fn sessions_are_bounded() {
        let limit = LimitName::SessionsMax;
        assert_bounded(limit, SESSIONS_MAX, (0..=SESSIONS_MAX).map(attach));
    }

    #[test]
    fn sessions_take_no_room_of_machines_nor_machines_that_of_sessions() {
        let machines = || (0..NODES_MAX).map(register);
        let seats = || (0..SESSIONS_MAX).map(attach);
        let first_seats = seats().chain(machines());
        let first_machines = machines().chain(seats());
        let both = NODES_MAX + SESSIONS_MAX;
        let one_machine = std::iter::once(register(NODES_MAX));
        assert_bounded_after(
            LimitName::NodesMax,
            NODES_MAX,
            both,
            first_seats.chain(one_machine),
        );
        let one_seat = std::iter::once(attach(SESSIONS_MAX));
        let limit = LimitName::SessionsMax;
        assert_bounded_after(limit, SESSIONS_MAX, both, first_machines.chain(one_seat));
    }

    #[test]
    fn agents_are_bounded() {
        let hosted = (1..=AGENTS_MAX).map(create_agent);
        let all = std::iter::once(register(0)).chain(hosted);
        assert_bounded(LimitName::AgentsMax, AGENTS_MAX, all);
    }

    #[test]
    fn tokens_are_bounded() {
        let tokens = (0..=TOKENS_MAX).map(|number| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            Command::CreateToken(Box::new(TokenRecord {
                id: TokenId::from_u128(number as u128),
                name: String::new(),
                hash,
                scopes: Vec::new(),
                created_at: UnixMillis(0),
                expires_at: None,
            }))
        });
        assert_bounded(LimitName::TokensMax, TOKENS_MAX, tokens);
    }

    #[test]
    fn needs_are_bounded() {
        let needs = (0..=NEEDS_PER_TASK_MAX).map(|id| TaskId::from_u128(id as u128));
        let submit = Command::SubmitTasks {
            run: None,
            tasks: vec![NewTask {
                id: TaskId::from_u128(u128::MAX),
                spec: Arc::new(TaskSpec::noop("t")),
                needs: needs.collect(),
            }],
            idempotency: None,
        };
        let mut state = State::new();
        let entry = LogEntry {
            at: UnixMillis(0),
            seed: 0,
            actor: Actor::Coordinator,
            command: submit,
        };
        let events = state.apply(LogIndex(1), &entry).events;
        let reason = Refusal::Limit {
            limit: LimitName::NeedsPerTaskMax,
            max: NEEDS_PER_TASK_MAX as u64,
            given: NEEDS_PER_TASK_MAX as u64 + 1,
        };
        assert_eq!(events, [Event::Refused { reason }]);
    }
}
