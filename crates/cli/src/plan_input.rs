//! Reads a plan file and its parameters, and checks them before anything is sent.

use crate::args::PlanInput;
use crate::commands::node::pairs;
use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use skep_plan::{Draft, PlanError, PlanErrors};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of a plan file; a larger one is hardly written by anyone.
pub(crate) const PLAN_BYTES_MAX: u64 = 4 << 20;

/// A plan that is known to be good, and what it is submitted with.
#[derive(Debug)]
pub(crate) struct PlanBody {
    pub(crate) source: String,
    pub(crate) params: BTreeMap<String, String>,
    /// Relative paths in the plan are seen from here: the present directory.
    pub(crate) base_dir: String,
    pub(crate) draft: Draft,
}

impl PlanBody {
    /// The body for `POST /api/v2/runs`.
    pub(crate) fn submission(&self) -> Value {
        json!({ "plan": self.source, "params": self.params, "base_dir": self.base_dir })
    }
}

/// Reads, parses and expands.
pub(crate) fn read(input: &PlanInput) -> Result<PlanBody, Failure> {
    let source = read_text(&input.plan, "plan")?;
    let mut params = match &input.var_file {
        Some(file) => read_params(file)?,
        None => BTreeMap::new(),
    };
    params.extend(pairs("param", &input.params)?);
    let base_dir = std::env::current_dir()?.to_string_lossy().into_owned();
    let origin = input.plan.display().to_string();
    let (plan, draft) = skep_plan::compile(&source, &origin, &params, &base_dir)
        .map_err(|errors| invalid(&errors))?;
    plan.check_strategy(&skep_scheduler::STRATEGIES)
        .map_err(|errors| invalid(&errors))?;
    Ok(PlanBody {
        source,
        params,
        base_dir,
        draft,
    })
}

/// All errors of a plan as one failure.
fn invalid(errors: &PlanErrors) -> Failure {
    let count = errors.0.len();
    let noun = if count == 1 { "error" } else { "errors" };
    let message = format!("the plan has {count} {noun}\n{errors}");
    let mut failure = Failure::new(Exit::Invalid, "plan_invalid", message);
    failure.errors = errors.0.iter().map(error_document).collect();
    failure
}

fn error_document(error: &PlanError) -> Value {
    json!({
        "code": error.code.as_str(),
        "file": error.origin,
        "line": error.position.map(|at| at.line),
        "column": error.position.map(|at| at.column),
        "message": error.message,
        "value": error.value,
        "fix": error.fix,
    })
}

pub(crate) fn read_text(path: &Path, what: &str) -> Result<String, Failure> {
    let unreadable = |error: &std::io::Error| {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Invalid,
        };
        let message = format!("cannot read the {what} file `{}`: {error}", path.display());
        Failure::new(exit, "file_unreadable", message)
    };
    let bytes = std::fs::metadata(path)
        .map_err(|error| unreadable(&error))?
        .len();
    if bytes > PLAN_BYTES_MAX {
        let message = format!(
            "the {what} file `{}` has {bytes} bytes: PLAN_BYTES_MAX is {PLAN_BYTES_MAX}",
            path.display()
        );
        return Err(Failure::new(Exit::Invalid, "plan_too_large", message));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(&error))
}

/// Parameters from a YAML or JSON file with a flat object of texts, numbers and truth values.
fn read_params(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = read_text(path, "parameter")?;
    let invalid = |detail: String| {
        let message = format!(
            "the parameter file `{}` is not usable: {detail}",
            path.display()
        );
        Failure::new(Exit::Invalid, "params_malformed", message)
            .hint("it should hold one object, e.g. `dir: src`")
    };
    let values: BTreeMap<String, Value> =
        serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let plain = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(number) => Ok((key, number.to_string())),
        Value::Bool(truth) => Ok((key, truth.to_string())),
        _ => Err(invalid(format!(
            "`{key}` is neither a text, a number nor a truth value"
        ))),
    };
    values.into_iter().map(plain).collect()
}
