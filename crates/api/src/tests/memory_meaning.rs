//! Entries that are found by what they mean.

use super::fixture::Coordinator;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use skep_model::memory::Embedding;
use skep_operations::Embedder;
use std::sync::Arc;

const NEAR: &str = "/api/v2/memory-near";

/// Counts letters: texts of the same letters mean the same to it.
#[derive(Debug)]
struct Letters;

impl Embedder for Letters {
    fn model(&self) -> &'static str {
        "letters"
    }

    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Embedding, String>> {
        let count = |letter| text.chars().filter(|one| *one == letter).count() as f32;
        let counts: Vec<f32> = ('a'..='z').map(count).collect();
        let found = Embedding::of(&counts).map_err(|_| "there are no letters in it".to_owned());
        std::future::ready(found).boxed()
    }
}

fn keys(answer: &Value) -> Vec<&str> {
    let items = answer["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["key"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_that_means_the_same_comes_first() {
    let coordinator = Coordinator::start_with(Arc::new(Letters)).await;
    for (key, value) in [("cat", "the cat sat"), ("dog", "a dog sat"), ("zip", "zzz")] {
        let path = format!("/api/v2/memory/knowledge/{key}");
        let body = json!({"value": value, "embed": true});
        coordinator.write(&path, body).await.ok();
    }
    let plain = json!({"value": "the cat sat"});
    coordinator
        .write("/api/v2/memory/knowledge/plain", plain)
        .await
        .ok();
    coordinator.memory_archived(4).await;
    let body = json!({"text": "tac eht tas", "namespace": "knowledge", "limit": 2});
    let found = coordinator.post(NEAR, body).await.ok();
    assert_eq!(keys(&found), ["cat", "dog"], "{found}");
    assert_eq!(
        (&found["model"], &found["incomparable"]),
        (&json!("letters"), &json!(0))
    );
    assert!(
        found["items"][0]["similarity"].as_f64().unwrap() > 0.999,
        "{found}"
    );
    let replaced = json!({"value": "nothing"});
    coordinator
        .write("/api/v2/memory/knowledge/cat", replaced)
        .await
        .ok();
    let body = json!({"text": "tac eht tas"});
    let found = coordinator.post(NEAR, body).await.ok();
    assert!(!keys(&found).contains(&"cat"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_bring_their_own_embeddings_and_take_them_along() {
    let coordinator = Coordinator::start().await;
    for (key, embedding) in [
        ("a", json!([1, 0])),
        ("b", json!([0, 5])),
        ("c", json!([1, 2, 3])),
    ] {
        let path = format!("/api/v2/memory/swarm/{key}");
        let body = json!({"value": key, "embedding": embedding});
        coordinator.write(&path, body).await.ok();
    }
    coordinator.memory_archived(3).await;
    let near = json!({"embedding": [0.1, 1.0]});
    let found = coordinator.post(NEAR, near.clone()).await.ok();
    assert_eq!(keys(&found), ["b", "a"], "{found}");
    assert_eq!(found["incomparable"], 1);
    let exported = coordinator
        .get("/api/v2/memory-export?namespace=swarm")
        .await;
    let other = Coordinator::start().await;
    other.import_lines(&exported.text()).await;
    other.memory_archived(3).await;
    let found = other.post(NEAR, near).await.ok();
    assert_eq!(keys(&found), ["b", "a"], "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_of_another_model_are_left_out_and_counted() {
    let coordinator = Coordinator::start_with(Arc::new(Letters)).await;
    let ab: Vec<u8> = (0..26).map(|letter| u8::from(letter < 2)).collect();
    for (key, body) in [
        ("asked", json!({"value": "ab", "embed": true})),
        (
            "named",
            json!({"value": "ab", "embedding": ab, "embedding_model": "letters"}),
        ),
        (
            "other",
            json!({"value": "ab", "embedding": ab, "embedding_model": "words"}),
        ),
        ("unnamed", json!({"value": "ab", "embedding": ab})),
    ] {
        let path = format!("/api/v2/memory/swarm/{key}");
        coordinator.write(&path, body).await.ok();
    }
    coordinator.memory_archived(4).await;
    let asked = coordinator.get("/api/v2/memory/swarm/asked").await.ok();
    assert_eq!(asked["embedding_model"], "letters");
    let near = async |coordinator: &Coordinator, body: Value| {
        let found = coordinator.post(NEAR, body).await.ok();
        let mut keys: Vec<_> = keys(&found).iter().map(ToString::to_string).collect();
        keys.sort_unstable();
        (keys, found["model"].clone(), found["incomparable"].clone())
    };
    let of = |keys: &[&str], model: Value, incomparable: u64| {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        (keys, model, json!(incomparable))
    };
    let letters = of(&["asked", "named"], json!("letters"), 2);
    assert_eq!(near(&coordinator, json!({"text": "ba"})).await, letters);
    let words = json!({"embedding": ab, "embedding_model": "words"});
    let only = of(&["other"], json!("words"), 3);
    assert_eq!(near(&coordinator, words.clone()).await, only);
    let unnamed = of(&["unnamed"], Value::Null, 3);
    assert_eq!(
        near(&coordinator, json!({ "embedding": ab })).await,
        unnamed
    );
    let exported = coordinator
        .get("/api/v2/memory-export?namespace=swarm")
        .await;
    let elsewhere = Coordinator::start().await;
    elsewhere.import_lines(&exported.text()).await;
    elsewhere.memory_archived(4).await;
    assert_eq!(near(&elsewhere, words).await, only);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_embedding_is_refused_and_nothing_is_written() {
    let coordinator = Coordinator::start_with(Arc::new(Letters)).await;
    let path = "/api/v2/memory/swarm/a";
    for (body, code) in [
        (json!({"value": 1, "embedding": []}), "embedding_invalid"),
        (
            json!({"value": 1, "embedding": [0, 0]}),
            "embedding_invalid",
        ),
        (
            json!({"value": 1, "embedding": vec![1; 4_097]}),
            "embedding_invalid",
        ),
        (json!({"value": 1, "embedding": ["a"]}), "body_malformed"),
        (
            json!({"value": 1, "embedding": [1], "embedding_model": ""}),
            "field_invalid",
        ),
        (
            json!({"value": "a", "embed": true, "embedding_model": "m"}),
            "field_invalid",
        ),
        (
            json!({"value": 1, "embedding": [1], "embed": true}),
            "field_invalid",
        ),
        (json!({"value": "123", "embed": true}), "embedding_failed"),
        (json!({"base64": "/w==", "embed": true}), "field_invalid"),
    ] {
        let shown: String = body.to_string().chars().take(80).collect();
        let answer = coordinator.write(path, body).await;
        assert_eq!(answer.problem().1, code, "{shown}");
    }
    for (body, code) in [
        (json!({}), "field_invalid"),
        (json!({"text": "a", "embedding": [1]}), "field_invalid"),
        (
            json!({"text": "a", "embedding_model": "m"}),
            "field_invalid",
        ),
        (json!({"text": "1"}), "embedding_failed"),
    ] {
        let answer = coordinator.post(NEAR, body.clone()).await;
        assert_eq!(answer.problem().1, code, "{body}");
    }
    assert_eq!(coordinator.get(path).await.problem().1, "memory_not_found");
    let without = Coordinator::start().await;
    let answer = without.post(NEAR, json!({"text": "a"})).await;
    assert_eq!(answer.problem(), (409, "embedding_unavailable".to_owned()));
}
