//! Tasks, runs, nodes and entries of shared memory as resources, each in the form that REST shows it.

use crate::catalogue;
use crate::fault::Fault;
use crate::invocation::Caller;
use crate::memory_uri::MemoryAddress;
use crate::subscription;
use crate::swarm_uri::Named;
use crate::tool_result::{self, Refusal};
use crate::toolset::object;
use crate::wait::read_named;
use rmcp::ErrorData;
use rmcp::model::{
    CacheScope, ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource,
    ResourceContents, ResourceTemplate,
};
use serde_json::{Value, json};
use skep_model::memory::Namespace;

const JSON: &str = "application/json";
/// Runs, and nodes, that the list names; all others are reached by their templates.
const LISTED_MAX: usize = 50;

/// Namespaces whose first entries the list names.
const LISTED_NAMESPACES: [&str; 2] = [Namespace::SWARM, Namespace::KNOWLEDGE];

/// What a list can be made of: the operation, and what its items are.
const LISTS: [(&str, &str); 2] = [("runs.list", "Run"), ("nodes.list", "Node")];

/// The newest runs and the nodes, as far as the caller may see them.
pub(crate) async fn list(caller: &Caller) -> Result<ListResourcesResult, ErrorData> {
    let mut resources = Vec::new();
    for (id, kind) in LISTS {
        let entry = catalogue::find(id).expect("a test lists all kinds");
        let arguments = object(json!({ "limit": LISTED_MAX }));
        let reply = match caller.invoke(entry, arguments).await {
            Ok(reply) => reply,
            // The token of a task sees its own run only, which it can name.
            Err(error) if error.code().status() == 403 => continue,
            Err(error) => return Err(as_error(&error.into())),
        };
        let page = tool_result::document(reply, 0).await;
        let page = page.map_err(|refusal| as_error(&refusal))?;
        let items = page["items"].as_array().into_iter().flatten();
        resources.extend(items.filter_map(|item| resource(kind, item)));
    }
    for namespace in LISTED_NAMESPACES {
        resources.extend(entries(caller, namespace).await?);
    }
    Ok(ListResourcesResult::with_all_items(resources).with_cache_scope(CacheScope::Private))
}

/// The first entries of a namespace of shared memory.
async fn entries(caller: &Caller, namespace: &str) -> Result<Vec<Resource>, ErrorData> {
    let entry = catalogue::find("memory.list").expect("a test lists all kinds");
    let arguments = object(json!({ "namespace": namespace, "limit": LISTED_MAX }));
    let reply = match caller.invoke(entry, arguments).await {
        Ok(reply) => reply,
        Err(error) if error.code().status() == 403 => return Ok(Vec::new()),
        Err(error) => return Err(as_error(&error.into())),
    };
    let page = tool_result::document(reply, 0).await;
    let page = page.map_err(|refusal| as_error(&refusal))?;
    let keys = page["items"].as_array().into_iter().flatten();
    let keys = keys.filter_map(|item| item["key"].as_str());
    let resource = |key: &str| {
        Resource::new(MemoryAddress::of(namespace, key), key)
            .with_description(format!("Entry of shared memory in `{namespace}`"))
            .with_mime_type(JSON)
    };
    Ok(keys.map(resource).collect())
}

fn resource(kind: &str, item: &Value) -> Option<Resource> {
    let named = Named::by_id(item["id"].as_str()?)?;
    let (name, state) = (item["name"].as_str()?, item["state"].as_str()?);
    let resource = Resource::new(named.to_string(), name)
        .with_description(format!("{kind}, {state}"))
        .with_mime_type(JSON);
    Some(resource)
}

/// The kinds of resources.
pub(crate) fn templates() -> ListResourceTemplatesResult {
    let template = |kind: &str, description: &str| {
        ResourceTemplate::new(format!("skep://{kind}/{{id}}"), kind)
            .with_description(description)
            .with_mime_type(JSON)
    };
    ListResourceTemplatesResult::with_all_items(vec![
        template(
            "task",
            "A task: where it stands, its attempts, gates and artifacts.",
        ),
        template("run", "A run with its tasks and artifacts."),
        template("node", "A node: what it can do and what it does."),
        ResourceTemplate::new("skep://memory/{namespace}/{+key}", "memory")
            .with_description("An entry of shared memory, with its version and who wrote it.")
            .with_mime_type(JSON),
    ])
}

/// What the address names.
pub(crate) fn named(uri: &str) -> Result<Named, ErrorData> {
    Named::by_uri(uri).ok_or_else(|| Fault::ResourceUnknown.error(format!("nothing is at `{uri}`")))
}

/// A resource as it is now.
pub(crate) async fn read(caller: &Caller, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let place = subscription::place_now(&caller.services).await;
    let document = match MemoryAddress::by_uri(uri) {
        Some(address) => address.read(caller).await,
        None => read_named(caller, named(uri)?).await,
    };
    let document = document.map_err(|refusal| as_error(&refusal))?;
    let mut contents = ResourceContents::text(document.to_string(), uri).with_mime_type(JSON);
    if let Some(place) = place {
        contents = contents.with_meta(place);
    }
    let result = ReadResourceResult::new(vec![contents]);
    Ok(result.with_ttl_ms(0).with_cache_scope(CacheScope::Private))
}

/// A refusal as an error of JSON-RPC, for requests that are no call of a tool.
pub(crate) fn as_error(refusal: &Refusal) -> ErrorData {
    use rmcp::model::ErrorCode;
    let document = refusal.document();
    let code = match refusal {
        Refusal::Fault(fault, _) => fault.rpc(),
        Refusal::Operation(error) => match error.code().status() {
            404 => ErrorCode::RESOURCE_NOT_FOUND,
            401 | 403 => ErrorCode::INVALID_REQUEST,
            500.. => ErrorCode::INTERNAL_ERROR,
            _ => ErrorCode::INVALID_PARAMS,
        },
    };
    let detail = document["detail"].as_str().unwrap_or_default().to_owned();
    ErrorData::new(code, detail, Some(document))
}
