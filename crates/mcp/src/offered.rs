//! Which set of tools a URL asks for, and what is in it.

use crate::claude_flow::{self, ContractTool};
use crate::toolset::{self, Action};
use rmcp::RoleServer;
use rmcp::model::Tool;
use rmcp::service::RequestContext;

/// The parameter of the URL.
const PARAMETER: &str = "toolset";

/// A set of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Toolset {
    /// A few operations that agents need all the time, and a pair that finds all others.
    #[default]
    Native,
    /// The contract of Claude-Flow.
    ClaudeFlow,
    /// Both.
    All,
}

/// What a name of a tool stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Offered {
    /// A tool of Skep's own set.
    Native(Action),
    /// A tool of the contract.
    Contract(&'static ContractTool),
}

impl Toolset {
    /// Their names, as the URL and the command line have them.
    const NAMES: [(&'static str, Self); 3] = [
        ("native", Self::Native),
        ("claude-flow", Self::ClaudeFlow),
        ("all", Self::All),
    ];

    /// The set that a query asks for; Skep's own when it asks for none.
    ///
    /// # Errors
    /// The name of a set that does not exist.
    pub(crate) fn of_query(query: Option<&str>) -> Result<Self, String> {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let mut chosen = Self::default();
        for (_, wanted) in pairs.filter(|(name, _)| name == PARAMETER) {
            let known = Self::NAMES.iter().find(|(name, _)| *name == wanted);
            chosen = known
                .map(|(_, set)| *set)
                .ok_or_else(|| wanted.into_owned())?;
        }
        Ok(chosen)
    }

    /// The set that a message asks for. One that does not exist was refused before.
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        let parts = context.extensions.get::<http::request::Parts>();
        let query = parts.and_then(|parts| parts.uri.query());
        Self::of_query(query).unwrap_or_default()
    }

    pub(crate) const fn has_native(self) -> bool {
        matches!(self, Self::Native | Self::All)
    }

    pub(crate) const fn has_contract(self) -> bool {
        matches!(self, Self::ClaudeFlow | Self::All)
    }

    /// As `tools/list` shows them, always in the same order.
    pub(crate) fn tools(self) -> Vec<Tool> {
        let native = toolset::tools().iter().filter(|_| self.has_native());
        let native = native.map(|tool| tool.tool.clone());
        let contract = claude_flow::tools().filter(|_| self.has_contract());
        native.chain(contract).collect()
    }

    /// The tool of this name, if it is in the set.
    pub(crate) fn find(self, name: &str) -> Option<Offered> {
        let native = toolset::find(name).filter(|_| self.has_native());
        let contract = || claude_flow::find(name).filter(|_| self.has_contract());
        native
            .map(|tool| Offered::Native(tool.action))
            .or_else(|| contract().map(Offered::Contract))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_query_names_the_set_and_an_unknown_one_is_refused() {
        for (query, set) in [
            (None, Toolset::Native),
            (Some(""), Toolset::Native),
            (Some("toolset=claude-flow"), Toolset::ClaudeFlow),
            (Some("a=b&toolset=all"), Toolset::All),
        ] {
            assert_eq!(Toolset::of_query(query), Ok(set), "{query:?}");
        }
        let unknown = Toolset::of_query(Some("toolset=ruv-swarm"));
        assert_eq!(unknown, Err("ruv-swarm".to_owned()));
    }

    #[test]
    fn each_set_finds_its_own_tools_and_all_names_differ() {
        let names = |set: Toolset| {
            let tools = set.tools().into_iter();
            tools.map(|tool| tool.name.into_owned()).collect::<Vec<_>>()
        };
        let (native, contract) = (names(Toolset::Native), names(Toolset::ClaudeFlow));
        assert_eq!(
            names(Toolset::All),
            [native.clone(), contract.clone()].concat()
        );
        let distinct: BTreeSet<_> = native.iter().chain(&contract).collect();
        assert_eq!(distinct.len(), native.len() + contract.len());
        for name in &native {
            assert!(Toolset::ClaudeFlow.find(name).is_none(), "{name}");
            assert!(Toolset::All.find(name).is_some(), "{name}");
        }
        for name in &contract {
            assert!(Toolset::Native.find(name).is_none(), "{name}");
            assert!(Toolset::ClaudeFlow.find(name).is_some(), "{name}");
        }
    }
}
