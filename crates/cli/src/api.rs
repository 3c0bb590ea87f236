//! The API as the commands see it: JSON documents in and out, failures with exit codes.

use crate::exit::Failure;
use http::Method;
use serde_json::{Value, json};
use skep_client::Client;
use std::fmt::Write as _;

/// A client whose errors are [`Failure`]s.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: Client,
}

impl Api {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// For streams and transfers.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.client.get(path).await?)
    }

    /// A document that is no JSON, such as a log.
    pub(crate) async fn bytes(&self, path: &str) -> Result<bytes::Bytes, Failure> {
        Ok(self
            .client
            .request(Method::GET, path)
            .send_for_bytes()
            .await?)
    }

    /// A POST without a body when the value is null.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.post_with_key(path, body, None).await
    }

    pub(crate) async fn post_with_key(
        &self,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut request = self.client.request(Method::POST, path);
        if !body.is_null() {
            request = request.json(body)?;
        }
        if let Some(key) = key {
            request = request.key(key)?;
        }
        Ok(request.send().await?)
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        Ok(self.client.put(path, body).await?)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.client.delete(path).await?)
    }

    /// All items of a listing up to `limit`, page after page, as one `{"items": [...]}`.
    pub(crate) async fn all(&self, path: &str, limit: usize) -> Result<Value, Failure> {
        let mut all: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        while all.len() < limit {
            let wanted = (limit - all.len()).min(skep_model::limits::PAGE_ITEMS_MAX);
            let joint = if path.contains('?') { '&' } else { '?' };
            let from = cursor
                .map(|cursor| format!("&cursor={cursor}"))
                .unwrap_or_default();
            let page = self
                .get(&format!("{path}{joint}limit={wanted}{from}"))
                .await?;
            all.extend(items(&page).iter().cloned());
            cursor = page
                .get("next_cursor")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(json!({ "items": all }))
    }
}

/// The items of a page.
pub(crate) fn items(page: &Value) -> &[Value] {
    page.get("items")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The path of a route from its parts, each encoded: an id from the command line stays one part.
pub(crate) fn path(parts: &[&str]) -> String {
    let mut text = String::from("/api/v2");
    for part in parts {
        text.push('/');
        text.push_str(&encoded(part));
    }
    text
}

/// A part of a URL, as it may stand in a path or a query.
pub(crate) fn encoded(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_part_of_a_path_cannot_become_another_route() {
        assert_eq!(
            path(&["tasks", "task_1", "logs"]),
            "/api/v2/tasks/task_1/logs"
        );
        assert_eq!(path(&["nodes", "a/b?c d"]), "/api/v2/nodes/a%2Fb%3Fc%20d");
    }
}
