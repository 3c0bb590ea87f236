//! Between MCP and MCPX: the same message, with the three groups where each protocol has them.
//!
//! In a message of MCPX the groups stand beside `method`, `result` or `error`, as the contract
//! has it. A peer that speaks plain MCP would not expect them there, so they move into `_meta`,
//! under names with a prefix as MCP demands of names that it does not define itself; such a peer
//! passes over them. Where a message of MCPX has no place for `_meta`, it is made and marked, so
//! that the way back leads to the very same message. Both directions either lose nothing or
//! refuse by name.

use serde_json::{Map, Value};

/// The groups, as MCPX names them.
pub const GROUPS: [&str; 3] = ["orchestration", "coordination", "distribution"];
/// The groups, as they are named in `_meta` of MCP.
pub const META_GROUPS: [&str; 3] = [
    "skep/orchestration",
    "skep/coordination",
    "skep/distribution",
];
/// In `_meta`: what the bridge made to have a place for the groups.
pub const META_MADE: &str = "skep/made";

const META: &str = "_meta";

/// A message that cannot be translated without losing something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// Not one JSON-RPC message.
    #[error("the message is not a JSON object with `method`, `result` or `error`")]
    NotAMessage,
    /// Something that is not an object stands where `_meta` would have to go.
    #[error("`{place}` is not an object, so it has no room for the groups")]
    NoRoom {
        /// Where.
        place: &'static str,
    },
    /// A name that the bridge needs is used for something else.
    #[error("`{name}` is there already: a message of the other protocol does not have it")]
    NameTaken {
        /// Which.
        name: &'static str,
    },
    /// The mark of the bridge does not fit the message.
    #[error("`skep/made` says that the bridge made `{made}`, which does not fit the message")]
    WrongMark {
        /// What it says.
        made: String,
    },
}

/// What the bridge had to make, from the inside to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Meta,
    Carrier,
    Data,
}

impl Made {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Carrier => "params",
            Self::Data => "data",
        }
    }
}

/// The member that carries `_meta`: `params`, `result`, or `data` of `error`.
fn carrier(message: &Map<String, Value>) -> Result<&'static str, BridgeError> {
    ["method", "result", "error"]
        .into_iter()
        .find(|member| message.contains_key(*member))
        .map(|member| if member == "method" { "params" } else { member })
        .ok_or(BridgeError::NotAMessage)
}

fn object<'a>(
    value: &'a mut Value,
    place: &'static str,
) -> Result<&'a mut Map<String, Value>, BridgeError> {
    value.as_object_mut().ok_or(BridgeError::NoRoom { place })
}

/// Translates a message of MCPX into one of MCP. Without groups it is the same.
///
/// # Errors
/// Something would be lost.
pub fn mcpx_to_mcp(message: Value) -> Result<Value, BridgeError> {
    let Value::Object(mut message) = message else {
        return Err(BridgeError::NotAMessage);
    };
    let place = carrier(&message)?;
    let groups: Vec<(&'static str, Value)> = GROUPS
        .into_iter()
        .zip(META_GROUPS)
        .filter_map(|(plain, prefixed)| Some((prefixed, message.remove(plain)?)))
        .collect();
    refuse_foreign_meta(&message, place)?;
    if groups.is_empty() {
        return Ok(Value::Object(message));
    }
    let mut made = None;
    let mut holder = if place == "params" && !message.contains_key(place) {
        made = Some(Made::Carrier);
        message
            .entry(place)
            .or_insert_with(|| Value::Object(Map::new()))
    } else {
        message.get_mut(place).ok_or(BridgeError::NotAMessage)?
    };
    if place == "error" {
        let error = object(holder, "error")?;
        if !error.contains_key("data") {
            made = Some(Made::Data);
        }
        holder = error
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
    }
    let holder = object(
        holder,
        if place == "error" {
            "error.data"
        } else {
            place
        },
    )?;
    if made.is_none() && !holder.contains_key(META) {
        made = Some(Made::Meta);
    }
    let meta = holder
        .entry(META)
        .or_insert_with(|| Value::Object(Map::new()));
    let meta = object(meta, META)?;
    meta.extend(
        groups
            .into_iter()
            .map(|(name, group)| (name.to_owned(), group)),
    );
    if let Some(made) = made {
        meta.insert(META_MADE.to_owned(), made.as_str().into());
    }
    Ok(Value::Object(message))
}

/// A message of MCPX has none of the bridge's names in `_meta`.
fn refuse_foreign_meta(
    message: &Map<String, Value>,
    place: &'static str,
) -> Result<(), BridgeError> {
    let holder = match place {
        "error" => message.get(place).and_then(|error| error.get("data")),
        _ => message.get(place),
    };
    let Some(meta) = holder.and_then(|holder| holder.get(META)) else {
        return Ok(());
    };
    META_GROUPS
        .into_iter()
        .chain([META_MADE])
        .find(|name| meta.get(name).is_some())
        .map_or(Ok(()), |name| Err(BridgeError::NameTaken { name }))
}

/// Translates a message of MCP into one of MCPX. Without groups it is the same.
///
/// # Errors
/// Something would be lost.
pub fn mcp_to_mcpx(message: Value) -> Result<Value, BridgeError> {
    let Value::Object(mut message) = message else {
        return Err(BridgeError::NotAMessage);
    };
    let place = carrier(&message)?;
    if let Some(name) = GROUPS.into_iter().find(|name| message.contains_key(*name)) {
        return Err(BridgeError::NameTaken { name });
    }
    let holder = message.get_mut(place);
    let holder = match place {
        "error" => holder.and_then(|error| error.get_mut("data")),
        _ => holder,
    };
    let Some(holder) = holder.and_then(Value::as_object_mut) else {
        return Ok(Value::Object(message));
    };
    let Some(meta) = holder.get_mut(META).and_then(Value::as_object_mut) else {
        return Ok(Value::Object(message));
    };
    let groups: Vec<(&'static str, Value)> = GROUPS
        .into_iter()
        .zip(META_GROUPS)
        .filter_map(|(plain, prefixed)| Some((plain, meta.remove(prefixed)?)))
        .collect();
    if let Some(mark) = meta.remove(META_MADE) {
        let made = mark_of(&mark).filter(|_| !groups.is_empty() && meta.is_empty());
        let fits = match made {
            Some(Made::Meta) => true,
            Some(Made::Carrier) => place == "params" && holder.len() == 1,
            Some(Made::Data) => place == "error" && holder.len() == 1,
            None => false,
        };
        let Some(made) = made.filter(|_| fits) else {
            let made = mark.as_str().unwrap_or("something else").to_owned();
            return Err(BridgeError::WrongMark { made });
        };
        holder.remove(META);
        unmake(&mut message, made);
    }
    message.extend(
        groups
            .into_iter()
            .map(|(name, group)| (name.to_owned(), group)),
    );
    Ok(Value::Object(message))
}

fn mark_of(mark: &Value) -> Option<Made> {
    [Made::Meta, Made::Carrier, Made::Data]
        .into_iter()
        .find(|made| mark.as_str() == Some(made.as_str()))
}

/// Takes away what was made to hold `_meta`.
fn unmake(message: &mut Map<String, Value>, made: Made) {
    match made {
        Made::Meta => {}
        Made::Carrier => {
            message.remove("params");
        }
        Made::Data => {
            if let Some(error) = message.get_mut("error").and_then(Value::as_object_mut) {
                error.remove("data");
            }
        }
    }
}

#[cfg(test)]
mod tests;
