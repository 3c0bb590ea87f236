//! Every operation with every kind of caller.

use super::answer::request;
use super::fixture::Coordinator;
use serde_json::json;
use skep_model::time::UnixMillis;
use skep_model::token::Scope;
use skep_operations::{API_PREFIX, Operation, Shape, TaskRule};

/// A path with ids that are well formed and name nothing.
fn path_of(operation: &Operation) -> String {
    let ids = [
        ("{attempt}", "1?offset=0".to_owned()),
        ("{namespace}", "swarm".to_owned()),
        ("{key}", "a%2Fb".to_owned()),
        ("{blake3}", "0".repeat(64)),
        ("{id}", some_id(operation.path)),
    ];
    let path = ids
        .iter()
        .fold(operation.path.to_owned(), |path, (name, id)| {
            // The query of a parameter goes to the end.
            match id.split_once('?') {
                Some((id, query)) if path.contains(name) => {
                    format!("{}?{query}", path.replace(name, id))
                }
                _ => path.replace(name, id),
            }
        });
    format!("{API_PREFIX}{path}")
}

fn some_id(path: &str) -> String {
    let group = path.split('/').nth(1).unwrap().trim_end_matches('s');
    format!("{group}_00000000000000000000000000")
}

async fn status_of(
    coordinator: &Coordinator,
    operation: &Operation,
    secret: Option<&str>,
) -> String {
    let body = matches!(operation.input, Shape::Json(_)).then(|| json!({}));
    let method = operation.method.as_str();
    let answer = coordinator
        .send(request(method, &path_of(operation), secret, body))
        .await;
    if answer.status.is_success() {
        return "done".to_owned();
    }
    if method == "HEAD" {
        return match answer.status.as_u16() {
            401 => "token".to_owned(),
            403 => "scope_missing".to_owned(),
            _ => "other".to_owned(),
        };
    }
    answer.problem().1
}

/// Callers of these show something else than a token: the secret of a join token, or a signature.
const OPEN: [&str; 3] = ["join.enrol", "nodes.challenge", "nodes.login"];

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_lets_in_its_scopes_and_nobody_else() {
    let coordinator = Coordinator::start().await;
    let expired = coordinator
        .token(&[Scope::Admin], Some(UnixMillis(1)))
        .await;
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        tokens.push((scope, coordinator.token(&[scope], None).await));
    }
    for operation in skep_operations::registry() {
        let id = operation.id;
        if operation.permission.is_open {
            assert!(OPEN.contains(&id), "{id} asks nobody for a token");
            continue;
        }
        let head = operation.method.as_str() == "HEAD";
        let missing = status_of(&coordinator, &operation, None).await;
        assert_eq!(
            missing,
            if head { "token" } else { "token_missing" },
            "{id}"
        );
        let unknown = status_of(&coordinator, &operation, Some("swu1_nobody")).await;
        assert_eq!(
            unknown,
            if head { "token" } else { "token_unknown" },
            "{id}"
        );
        let gone = status_of(&coordinator, &operation, Some(&expired)).await;
        assert_eq!(gone, if head { "token" } else { "token_expired" }, "{id}");
        for (scope, secret) in &tokens {
            let status = status_of(&coordinator, &operation, Some(secret)).await;
            let allowed = *scope == Scope::Admin || operation.permission.scopes.contains(scope);
            assert_eq!(
                status != "scope_missing",
                allowed,
                "{id} with {scope}: {status}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_token_works_for_its_own_task_while_its_attempt_is_current() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("one", 4).await;
    let submitted = coordinator
        .post("/api/v2/tasks", json!({"name": "own", "kind": "noop"}))
        .await;
    let task: skep_model::ids::TaskId = submitted.ok()["id"].as_str().unwrap().parse().unwrap();
    let other = coordinator
        .post("/api/v2/tasks", json!({"name": "other", "kind": "noop"}))
        .await;
    let other = other.ok()["id"].as_str().unwrap().to_owned();
    let fence = coordinator.granted(task).await;
    let secret = coordinator.services().task_tokens.mint(task, fence);

    let own = format!("/api/v2/tasks/{task}");
    let answer = coordinator
        .send(request("GET", &own, Some(&secret), None))
        .await;
    assert_eq!(answer.ok()["id"], task.to_string());
    let foreign = format!("/api/v2/tasks/{other}");
    let answer = coordinator
        .send(request("GET", &foreign, Some(&secret), None))
        .await;
    assert_eq!(answer.problem(), (403, "not_your_task".to_owned()));
    for operation in skep_operations::registry() {
        if operation.permission.attempts == TaskRule::Refused && !operation.permission.is_open {
            let status = status_of(&coordinator, &operation, Some(&secret)).await;
            assert_eq!(status, "not_your_task", "{}", operation.id);
        }
    }

    coordinator.call("DELETE", &own, None).await.ok();
    let answer = coordinator
        .send(request("GET", &own, Some(&secret), None))
        .await;
    assert_eq!(answer.problem(), (409, "fence_stale".to_owned()));
    let forged = secret.replace("swt1_", "swt1_x");
    let answer = coordinator
        .send(request("GET", &own, Some(&forged), None))
        .await;
    assert_eq!(answer.problem(), (401, "token_unknown".to_owned()));
}
