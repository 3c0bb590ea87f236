//! The task that joins the results of all parts, under the name of the task itself.

use super::{
    Body, Entry, Handover, MergeFile, Part, PartFile, PartitionFile, Parts, Splitting, filled,
};
use crate::error::{ErrorCode, Problem, Problems};
use crate::file::{ArtifactFile, CommandFile, TaskFile, WorkspaceFile};
use crate::merge::Operation;
use crate::position::At;
use crate::schema::Named;
use crate::substitute::{Scope, refers_to_axes};
use std::rc::Rc;

/// Where the artifacts of the parts lie for a command.
const PARTS_DIR: &str = "parts";
/// Where they lie for `concatenate`, which writes beside them.
const HIDDEN_PARTS_DIR: &str = ".skep-parts";

/// Joins files of one path in the order of the directories. What is written is what is there
/// besides when the parts are removed, so that the globs of the parts fit the result. Values come
/// in as variables and never as text of the script.
const CONCATENATE: &str = r#"join() {
  for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    below=${path#.skep-parts/*/}
    if [ -d "$path" ]; then
      case $below in .skep-parts)
        echo "an artifact may not lie below .skep-parts when parts are concatenated" >&2
        exit 1 ;;
      esac
      mkdir -p -- "$below"
      join "$path"
    elif [ -f "$path" ]; then
      cat -- "$path" >> "$below"
    fi
  done
}
mkdir -p .skep-parts
for part in .skep-parts/*; do
  if [ -d "$part" ]; then join "$part"; fi
done
rm -r .skep-parts
"#;

/// Hands the artifact of each part to `skep merge aggregate`, in the order of the directories.
const AGGREGATE: &str = r#": "${SKEP_BIN:?the node is older than this plan: it does not say where skep lies}"
set -- parts/*/"$SKEP_MERGE_FILE"
if [ "$#" -ne "$SKEP_PARTS" ] || [ ! -f "$1" ]; then
  echo "not all of the $SKEP_PARTS parts handed in $SKEP_MERGE_FILE" >&2
  exit 1
fi
mkdir -p -- "$(dirname -- "$SKEP_MERGE_FILE")"
exec "$SKEP_BIN" merge aggregate --fields "$SKEP_MERGE_FIELDS" --output "$SKEP_MERGE_FILE" -- "$@"
"#;

/// The command of a merge, what it takes, and its variables.
struct Merge {
    body: TaskFile,
    glob: String,
    into: &'static str,
    variables: Vec<(&'static str, String)>,
}

impl<'a> Splitting<'a, '_> {
    pub(super) fn merge(
        &self,
        file: &At<MergeFile>,
        parts: &mut Parts<'a>,
        problems: &mut Problems,
    ) {
        if !self.check_parts(parts.results.len(), problems) {
            return;
        }
        let (mut merge, needs_artifacts) = match &file.value {
            MergeFile::Concatenate {} => (self.concatenate(parts, problems), true),
            MergeFile::Aggregate { file, fields } => (self.aggregate(file, fields, problems), true),
            MergeFile::Command(part) => (self.command(part), false),
        };
        let hands_in = |position: &usize| !parts.all[*position].body.artifacts.is_empty();
        if needs_artifacts && !parts.results.iter().all(hands_in) {
            let message = format!("`{}` merges parts that hand nothing in", self.name.value);
            let fix = "add `artifacts` with the files to merge";
            problems.add(
                file.position,
                Problem::new(ErrorCode::MissingKey, message, fix),
            );
        }
        let directories = self.directories(&file.value, parts.results.len());
        let handovers = parts.results.iter().zip(directories);
        let handovers = handovers.map(|(from, directory)| Handover {
            from: *from,
            directory,
            glob: merge.glob.clone(),
            into: merge.into,
        });
        let handovers = handovers.collect();
        let count = parts.results.len().to_string();
        merge.variables.push(("SKEP_PARTS", count));
        parts.results = vec![parts.all.len()];
        parts.all.push(Part {
            name: self.name.value.clone(),
            body: Body::Made(Rc::new(merge.body)),
            axes: Vec::new(),
            variables: merge.variables,
            entry: Entry::After(handovers),
        });
    }

    /// A directory for each part. Their order is that of the parts, but for branches that a
    /// command finds by name.
    fn directories(&self, merge: &MergeFile, count: usize) -> Vec<String> {
        let partition = self.task.partition.as_ref().map(|at| &at.value);
        if let (MergeFile::Command(_), Some(PartitionFile::TaskParallel { branches })) =
            (merge, partition)
        {
            return branches.names().map(str::to_owned).collect();
        }
        let width = (count - 1).to_string().len();
        (0..count).map(|part| format!("{part:0width$}")).collect()
    }

    /// The task in a fresh directory, with neither its needs nor what is meant for its parts:
    /// settings that refer to axes are among that.
    fn merge_frame(&self) -> TaskFile {
        let mut frame = self.frame();
        frame.condition = None;
        frame.inputs.clear();
        frame.artifacts.clear();
        frame.gates.clear();
        frame.compensate = None;
        let settings = &mut frame.settings;
        settings.workspace = Some(At::new(WorkspaceFile::None, None));
        settings.reads.retain(|path| !refers_to_axes(path));
        settings.env.0.retain(|(_, value)| !refers_to_axes(value));
        settings
            .labels
            .0
            .retain(|(_, value)| !refers_to_axes(value));
        if let Some(rules) = &mut settings.affinity {
            rules.retain(|rule| {
                !refers_to_axes(&rule.label) && !rule.value.as_ref().is_some_and(refers_to_axes)
            });
        }
        frame
    }

    fn command(&self, part: &PartFile) -> Merge {
        Merge {
            body: filled(&self.merge_frame(), part),
            glob: "**".to_owned(),
            into: PARTS_DIR,
            variables: Vec::new(),
        }
    }

    /// Hands in by the globs of the parts.
    fn concatenate(&self, parts: &Parts<'_>, problems: &mut Problems) -> Merge {
        let mut body = self.merge_frame();
        body.command = script(CONCATENATE);
        for position in &parts.results {
            let part = &parts.all[*position];
            let scope = Scope {
                params: self.params,
                matrix: &part.axes,
            };
            let mut filled = |text: &At<String>| At::new(scope.fill(text, problems), text.position);
            for artifact in &part.body.artifacts {
                let artifact = ArtifactFile {
                    glob: filled(&artifact.glob),
                    name: artifact.name.as_ref().map(&mut filled),
                    required: artifact.required.clone(),
                };
                if !body.artifacts.contains(&artifact) {
                    body.artifacts.push(artifact);
                }
            }
        }
        Merge {
            body,
            glob: "**".to_owned(),
            into: HIDDEN_PARTS_DIR,
            variables: Vec::new(),
        }
    }

    fn aggregate(
        &self,
        file: &At<String>,
        fields: &Named<At<Operation>>,
        problems: &mut Problems,
    ) -> Merge {
        let path = self.scope().fill(file, problems);
        // The path goes to a shell quoted and to the runner as a glob: it must mean the same there.
        let is_plain = !path.contains(['*', '?', '[', ']', '\n'])
            && !path.starts_with(['/', '-'])
            && !path.split('/').any(|name| ["", ".", ".."].contains(&name));
        if !is_plain {
            let message = "`file` must be the path of one file in the workspace";
            let fix = "write it plainly, like `totals.json`";
            let problem = Problem::new(ErrorCode::BadName, message, fix);
            problems.add(file.position, problem.found(&path));
        }
        let rules = fields.0.iter();
        let rules = rules.map(|(name, rule)| (name.value.clone(), rule.value.as_str().into()));
        let rules = serde_json::Value::Object(rules.collect());
        let mut body = self.merge_frame();
        body.command = script(AGGREGATE);
        body.artifacts = vec![ArtifactFile {
            glob: file.clone(),
            name: None,
            required: None,
        }];
        Merge {
            body,
            glob: path.clone(),
            into: PARTS_DIR,
            variables: vec![
                ("SKEP_MERGE_FILE", path),
                ("SKEP_MERGE_FIELDS", rules.to_string()),
            ],
        }
    }
}

fn script(text: &str) -> CommandFile {
    CommandFile {
        run: Some(At::new(text.to_owned(), None)),
        argv: None,
    }
}
