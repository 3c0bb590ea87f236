//! Tools of the contract whose meaning Skep does not have yet, each with the reason.

/// Name and reason, in the order of the contract. A reason completes the sentence "it is not served,
/// because".
pub(super) const NOT_SERVED: &[(&str, &str)] = &[
    ("swarm_init", SWARM),
    ("agent_spawn", MODEL),
    (
        "topology_optimize",
        "all nodes hang on one coordinator: there is no topology to choose",
    ),
    (
        "load_balance",
        "queued tasks belong to no node: each grant chooses the node anew, without being asked",
    ),
    (
        "coordination_sync",
        "there is one coordinator, and what it says is the state: nothing has to be synchronised",
    ),
    (
        "swarm_scale",
        "nodes are started and stopped on their machines, with `skep join` and `skep node`",
    ),
    ("swarm_destroy", SWARM),
    ("neural_status", LEARNING),
    ("neural_train", LEARNING),
    ("neural_patterns", LEARNING),
    ("neural_predict", LEARNING),
    ("model_load", LEARNING),
    ("model_save", LEARNING),
    ("wasm_optimize", LEARNING),
    ("inference_run", LEARNING),
    ("pattern_recognize", LEARNING),
    ("cognitive_analyze", MODEL),
    ("learning_adapt", LEARNING),
    ("neural_compress", LEARNING),
    ("ensemble_create", LEARNING),
    ("transfer_learn", LEARNING),
    ("neural_explain", LEARNING),
    ("sparc_mode", MODEL),
    ("github_repo_analyze", GITHUB),
    ("github_pr_manage", GITHUB),
    ("github_issue_track", GITHUB),
    ("github_release_coord", GITHUB),
    ("github_workflow_auto", GITHUB),
    ("github_code_review", GITHUB),
    ("github_sync_coord", GITHUB),
    ("github_metrics", GITHUB),
    ("daa_agent_create", MODEL),
    (
        "daa_resource_alloc",
        "resources are reserved by each task that needs them, not ahead of it",
    ),
    ("daa_communication", "agents have no mailboxes yet"),
    ("daa_consensus", MODEL),
    (
        "daa_fault_tolerance",
        "attempts of a lost node are tried elsewhere by themselves; nobody has to ask for it",
    ),
    ("daa_optimization", LEARNING),
    ("agents_spawn_parallel", MODEL),
    ("query_control", "no queries of models run in Skep yet"),
    ("query_list", "no queries of models run in Skep yet"),
];

const MODEL: &str = "it needs an agent with a model, which Skep does not start yet";
const LEARNING: &str = "nothing is learned from recorded work yet";
const GITHUB: &str = "nothing talks to GitHub yet";
const SWARM: &str =
    "there is one swarm, the installation: it is neither made nor destroyed by a call";

/// Why a tool of the contract is not served; none for a name that is not in the contract.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let found = NOT_SERVED.iter().find(|(known, _)| *known == name);
    found.map(|(_, reason)| *reason)
}
