//! Tables: swarms, requirements, and what `explain` says.

use crate::fixture::{GIB, Swarm, agent, node};
use crate::tests::{capability, mixed, rule, wants};
use crate::{Policy, Question, Verdict, explain};
use skep_model::isolation::IsolationLevel;
use skep_model::requirements::{
    AffinitySense, AffinityStrength, Proficiency, Requirements, Resources,
};

fn lacking() -> [(Requirements, &'static str); 10] {
    use AffinitySense::{Attract, Repel};
    use AffinityStrength::Required;
    let gpu = |bytes| wants(|wanted| wanted.resources.gpu_memory_bytes = bytes);
    let both = |wanted: &mut Requirements| {
        wanted.affinity = vec![rule("zone=eu", Attract, Required)];
        wanted.resources.gpu_memory_bytes = GIB;
    };
    [
        (
            Requirements::default(),
            "2 of 3 agents fit; best is agent `a1` on node `n1`, score 846",
        ),
        (
            gpu(24 * GIB),
            "no node has gpu_memory >= 24 GiB; the largest is 8 GiB",
        ),
        (
            wants(|w| w.resources.cpu_millis = 64_500),
            "no node has cpu >= 64.500; the largest is 8",
        ),
        (
            capability("rust", Proficiency::Specialist),
            "no agent is specialist at `rust`; the best is expert",
        ),
        (
            capability("go", Proficiency::Basic),
            "no agent has the capability `go` (basic)",
        ),
        (
            wants(|w| w.isolation = IsolationLevel::S2),
            "no node offers isolation s2; the best is s1",
        ),
        (
            wants(|w| w.affinity = vec![rule("zone=us", Attract, Required)]),
            "every node lacks the required label `zone=us`",
        ),
        (
            wants(|w| w.agent = Some(agent(9))),
            "the task is assigned to `agent_00000000000000000000000009`, which does not exist",
        ),
        (
            wants(both),
            "no agent has all that is wanted; closest is agent `a1` on node `n1`: \
             the node lacks the required label `zone=eu`",
        ),
        (
            wants(|w| {
                w.affinity = vec![
                    rule("zone", Repel, Required),
                    rule("zone", Attract, Required),
                ];
            }),
            "no agent has all that is wanted; closest is agent `a1` on node `n1`: \
             the node lacks the required label `zone`",
        ),
    ]
}

#[test]
fn the_summary_names_what_stands_in_the_way() {
    let mut swarm = mixed();
    for (requirements, expected) in lacking() {
        let explanation = explain(
            &swarm.snapshot(),
            &Question::about(&requirements),
            &Policy::default(),
        );
        assert_eq!(explanation.summary, expected);
    }
    for node in &mut swarm.nodes {
        node.slots_free = 0;
    }
    let busy = explain(
        &swarm.snapshot(),
        &Question::about(&Requirements::default()),
        &Policy::default(),
    );
    let expected = "every agent that could run it is busy: on agent `a1` on node `n1`, \
                    all 4 slots of the node are taken";
    assert_eq!(busy.summary, expected);
    let empty = explain(
        &Swarm::default().snapshot(),
        &Question::about(&Requirements::default()),
        &Policy::default(),
    );
    assert_eq!(empty.summary, "no agent has joined");
}

#[test]
fn each_agent_is_explained_the_best_first() {
    let mut swarm = mixed();
    swarm.nodes[2].free = Resources::NONE;
    let wanted = wants(|wanted| wanted.resources.cpu_millis = 1_500);
    let explanation = explain(
        &swarm.snapshot(),
        &Question {
            failed_on: &[node(1)],
            ..Question::about(&wanted)
        },
        &Policy::default(),
    );
    let lines: Vec<String> = explanation
        .agents
        .iter()
        .map(|of| match &of.verdict {
            Verdict::Fits {
                score,
                failed_before,
                ..
            } => format!("{} fits {score} {failed_before}", of.agent_name),
            Verdict::Rejected(reasons) => format!("{} {}", of.agent_name, reasons[0]),
        })
        .collect();
    let expected = [
        "a1 fits 846 true",
        "a2 cpu 1.500 is wanted, 0 is free",
        "a0 the agent is paused",
    ];
    assert_eq!(lines, expected);
}
