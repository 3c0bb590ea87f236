//! The values of a plan's parameters.

use crate::error::{ErrorCode, Problem, Problems};
use crate::file::{ParameterFile, ParameterType};
use crate::schema::Named;
use crate::substitute::{resolve, split};
use crate::suggest;
use std::collections::BTreeMap;

/// Values of all parameters: given or default, paths made absolute. One that is missing has a
/// stand-in, so that what refers to it can be looked at; nothing comes of such a plan.
pub(crate) fn values(
    declared: &Named<ParameterFile>,
    given: &BTreeMap<String, String>,
    base_dir: &str,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    for (name, value) in given
        .iter()
        .filter(|(name, _)| declared.get(name).is_none())
    {
        let message = format!("the plan has no parameter `{name}`");
        let fix = suggest::hint(name, declared.names());
        problems.add(
            None,
            Problem::new(ErrorCode::UnknownParameter, message, fix).found(value),
        );
    }
    let mut all = BTreeMap::new();
    for (position, (name, parameter)) in declared.0.iter().enumerate() {
        let default = parameter.default.as_ref().map(|at| &at.value);
        let Some(value) = given.get(&name.value).or(default) else {
            let message = format!(
                "the parameter `{}` has no default and was not given",
                name.value
            );
            let about = parameter
                .description
                .as_ref()
                .map(|at| format!(" ({})", at.value));
            let fix = format!("give `{}`{}", name.value, about.unwrap_or_default());
            problems.add(
                name.position,
                Problem::new(ErrorCode::MissingParameter, message, fix),
            );
            // A number, and not that of another one: it fits where a count or a value of an axis does.
            all.insert(name.value.clone(), (position + 1).to_string());
            continue;
        };
        let value = match parameter.kind {
            ParameterType::String => value.clone(),
            ParameterType::Path => resolve(base_dir, value),
            ParameterType::Paths => {
                let paths: Vec<String> = split(value)
                    .iter()
                    .map(|path| resolve(base_dir, path))
                    .collect();
                paths.join("\n")
            }
        };
        all.insert(name.value.clone(), value);
    }
    all
}
