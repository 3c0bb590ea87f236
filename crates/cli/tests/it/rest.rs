//! What tests ask of the API itself, as the administrator.

use crate::hive::TestHive;
use http::Method;
use serde_json::Value;
use skep_client::{Client, ClientError};

fn ask<T>(hive: &TestHive, call: impl AsyncFnOnce(Client) -> Result<T, ClientError>) -> T {
    let token = std::fs::read_to_string(hive.path().join("home/state/token")).unwrap();
    let url = format!("http://{}", hive.address());
    let client = Client::new(&url, Some(token.trim().to_owned())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(call(client)).unwrap()
}

pub(crate) fn post(hive: &TestHive, path: &str, body: &Value) -> Value {
    ask(hive, async |client| client.post(path, body).await)
}

/// A number of `/metrics`, by its name with labels.
pub(crate) fn metric(hive: &TestHive, name: &str) -> Option<f64> {
    let bytes = ask(hive, async |client| {
        client
            .request(Method::GET, "/metrics")
            .send_for_bytes()
            .await
    });
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let line = text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix(' ')
    });
    line.map(|number| number.parse().unwrap())
}
