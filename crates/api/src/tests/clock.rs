//! A wall clock that jumps: what ends at a time ends after its lifetime, never earlier or later
//! than the log's own time says.

use super::fixture::Coordinator;
use super::joining::{Machine, join, node_of, principal, token};
use serde_json::{Value, json};
use skep_operations::Principal;

const HOUR_MS: u64 = 3_600_000;
const SECOND_MS: u64 = 1_000;

/// The code with which a machine is refused; empty when it came in.
fn refusal((status, answer): (u16, Value)) -> String {
    if status == 200 {
        return String::new();
    }
    answer["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_jump_of_the_clock_and_its_correction_leave_join_tokens_their_lifetime() {
    let coordinator = Coordinator::start().await;
    let hour = || json!({ "ttl_s": 3_600 });
    let before = token(&coordinator, hour()).await;

    coordinator.clock.set_ahead(HOUR_MS);
    let late = join(&coordinator, &Machine::new("a"), &before).await;
    assert_eq!(refusal(late), "join_token_expired", "the jump ended it");
    let during = token(&coordinator, hour()).await;

    coordinator.clock.set_ahead(0);
    let again = join(&coordinator, &Machine::new("b"), &before).await;
    assert_eq!(refusal(again), "join_token_expired", "it stays ended");
    let after = token(&coordinator, hour()).await;

    coordinator.clock.pass(HOUR_MS - 30 * SECOND_MS);
    for (name, token) in [("c", &during), ("d", &after)] {
        let joined = join(&coordinator, &Machine::new(name), token).await;
        assert_eq!(refusal(joined), "", "its hour is not over");
    }
    coordinator.clock.pass(30 * SECOND_MS);
    for (name, token) in [("e", &during), ("f", &after)] {
        let joined = join(&coordinator, &Machine::new(name), token).await;
        assert_eq!(refusal(joined), "join_token_expired", "its hour is over");
    }
}

#[tokio::test]
async fn a_token_that_is_made_while_the_log_is_ahead_and_idle_is_not_born_dead() {
    let coordinator = Coordinator::start().await;
    coordinator.clock.set_ahead(10 * HOUR_MS);
    token(&coordinator, json!({})).await;
    coordinator.clock.set_ahead(0);
    // Nothing is put into the log meanwhile.
    coordinator.clock.pass(HOUR_MS);
    let made = token(&coordinator, json!({ "ttl_s": 60 })).await;
    let joined = join(&coordinator, &Machine::new("desk"), &made).await;
    assert_eq!(refusal(joined), "");
    let api_token = json!({ "name": "reader", "scopes": ["read"], "ttl_s": 60 });
    let api_token = coordinator.post("/api/v2/tokens", api_token).await.ok();
    let secret = api_token["secret"].as_str().unwrap();
    let caller = principal(&coordinator, secret);
    assert!(matches!(caller, Ok(Principal::Token { .. })), "{caller:?}");
    coordinator.clock.pass(60 * SECOND_MS);
    assert_eq!(
        principal(&coordinator, secret),
        Err("token_expired".to_owned())
    );
}

#[tokio::test]
async fn a_session_that_a_clock_made_that_was_ahead_does_not_outlive_others() {
    let coordinator = Coordinator::start().await;
    let token = token(&coordinator, json!({})).await;
    let machine = Machine::new("desk");
    let (_, admission) = join(&coordinator, &machine, &token).await;
    let node = node_of(&admission);
    // No entry is made meanwhile, so the log does not notice.
    coordinator.clock.set_ahead(HOUR_MS);
    let (_, ahead) = machine.login(&coordinator, node).await;
    let ahead = ahead["token"].as_str().unwrap();
    assert_eq!(principal(&coordinator, ahead), Ok(Principal::Node(node)));
    coordinator.clock.set_ahead(0);
    let expired = Err("token_expired".to_owned());
    assert_eq!(principal(&coordinator, ahead), expired);
    let (_, right) = machine.login(&coordinator, node).await;
    let right = right["token"].as_str().unwrap();
    assert_eq!(principal(&coordinator, right), Ok(Principal::Node(node)));
    coordinator.clock.pass(HOUR_MS);
    assert_eq!(principal(&coordinator, right), expired);
}
