//! Where each client keeps its servers, and in which form.

use super::{json_file, toml_file};
use crate::args::{McpClient, Toolset};
use crate::exit::{Exit, Failure};
use etcetera::BaseStrategy;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The name of the server in a file. With the tools of Claude-Flow it has that name, because
/// prompts and permissions of its users name it so.
const fn name(toolset: Toolset) -> &'static str {
    match toolset {
        Toolset::Native | Toolset::All => "skep",
        Toolset::ClaudeFlow => "claude-flow",
    }
}

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Toml,
}

/// A client's file.
#[derive(Debug)]
pub(super) struct ClientFile {
    pub(super) path: PathBuf,
    section: &'static str,
    name: &'static str,
    form: Form,
}

impl ClientFile {
    /// The usual file of a client, or another one of the same form.
    pub(super) fn of(
        client: McpClient,
        toolset: Toolset,
        other: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let (section, form) = match client {
            McpClient::ClaudeCode | McpClient::ClaudeDesktop | McpClient::Cursor => {
                ("mcpServers", Form::Json)
            }
            McpClient::Vscode => ("servers", Form::Json),
            McpClient::Codex => ("mcp_servers", Form::Toml),
        };
        let path =
            other.map_or_else(|| usual_path(client), |path| Ok(std::path::absolute(path)?))?;
        Ok(Self {
            path,
            section,
            name: name(toolset),
            form,
        })
    }

    /// What the file holds; nothing when it is not there.
    pub(super) fn text(&self) -> Result<String, Failure> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(self.unusable(&error.to_string())),
        }
    }

    /// The text with this entry in it.
    pub(super) fn with_entry(&self, text: &str, entry: &Value) -> Result<String, Failure> {
        match self.form {
            Form::Json => json_file::with_entry(text, self.section, self.name, entry)
                .map_err(|error| self.unusable(&error.to_string())),
            Form::Toml => toml_file::with_entry(text, self.section, self.name, entry)
                .map_err(|why| self.unusable(&why)),
        }
    }

    /// The entry in this text.
    pub(super) fn entry(&self, text: &str) -> Option<Value> {
        match self.form {
            Form::Json => json_file::entry(text, self.section, self.name),
            Form::Toml => toml_file::entry(text, self.section, self.name),
        }
    }

    fn unusable(&self, why: &str) -> Failure {
        let message = format!("cannot add to `{}`: {why}", self.path.display());
        Failure::new(Exit::Invalid, "client_file_unusable", message)
    }
}

/// How a client starts the server: this very binary, with what finds the same swarm again.
pub(super) fn entry(client: McpClient, toolset: Toolset, binary: &Path, flags: &[String]) -> Value {
    let mut arguments = vec!["mcp".to_owned()];
    if toolset != Toolset::Native {
        arguments.extend(["--toolset".to_owned(), toolset.as_str().to_owned()]);
    }
    arguments.extend(flags.iter().cloned());
    let mut entry = json!({ "command": binary, "args": arguments });
    match client {
        McpClient::ClaudeCode => {
            entry["type"] = json!("stdio");
            // A dozen tools that are there at once, instead of found by a search first; the others
            // are too many for that.
            entry["alwaysLoad"] = json!(toolset == Toolset::Native);
        }
        McpClient::Vscode => entry["type"] = json!("stdio"),
        McpClient::ClaudeDesktop | McpClient::Cursor | McpClient::Codex => {}
    }
    entry
}

fn usual_path(client: McpClient) -> Result<PathBuf, Failure> {
    let base = etcetera::choose_base_strategy().map_err(|_| {
        Failure::new(Exit::Invalid, "no_home", "this user has no home directory")
            .hint("name the file with --file FILE")
    })?;
    let home = base.home_dir();
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let programs = if cfg!(target_os = "macos") {
        home.join("Library/Application Support")
    } else {
        base.config_dir()
    };
    Ok(match client {
        McpClient::ClaudeCode => variable("CLAUDE_CONFIG_DIR")
            .map_or_else(|| home.to_owned(), PathBuf::from)
            .join(".claude.json"),
        McpClient::ClaudeDesktop => programs.join("Claude/claude_desktop_config.json"),
        McpClient::Cursor => home.join(".cursor/mcp.json"),
        McpClient::Vscode => programs.join("Code/User/mcp.json"),
        McpClient::Codex => variable("CODEX_HOME")
            .map_or_else(|| home.join(".codex"), PathBuf::from)
            .join("config.toml"),
    })
}
