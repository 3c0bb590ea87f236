//! `skep merge`: what the merge of a partitioned task runs in its sandbox, which is why it needs
//! neither configuration nor coordinator.

use crate::args::{AggregateArgs, MergeCommand};
use crate::exit::{Exit, Failure, Outcome};
use serde_json::Value;
use skep_plan::merge::{Fields, aggregate};
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bytes of all results that are joined: all of them are in memory together, several times as
/// large as they are written.
const MERGE_BYTES_MAX: u64 = 64 << 20;
/// What the result may be read and written by, before the umask.
const RESULT_MODE: u32 = 0o666;

pub(crate) fn run(command: &MergeCommand) -> Outcome {
    match command {
        MergeCommand::Aggregate(args) => join(args),
    }
}

fn join(args: &AggregateArgs) -> Outcome {
    let fields: Fields = serde_json::from_str(&args.fields)
        .map_err(|error| failed(format!("`--fields` is no object of rules: {error}")))?;
    let parts = read_parts(&args.files, MERGE_BYTES_MAX)?;
    let joined = aggregate(&parts, &fields).map_err(|error| failed(error.to_string()))?;
    replace(&args.output, &joined).map_err(|error| {
        let path = args.output.display();
        let message = format!("cannot write the result `{path}`: {error}");
        Failure::new(Exit::Failed, "io_failed", message)
    })?;
    Ok(Exit::Ok)
}

fn failed(message: String) -> Failure {
    Failure::new(Exit::Invalid, "merge_failed", message)
}

/// The results in the order of the parts, with a bound on all of them together.
fn read_parts(files: &[PathBuf], bytes_max: u64) -> Result<Vec<Value>, Failure> {
    let mut room = bytes_max;
    let mut parts = Vec::with_capacity(files.len());
    for (part, path) in files.iter().enumerate() {
        let text = read_up_to(path, room + 1).map_err(|error| {
            let message = format!("cannot read the result `{}`: {error}", path.display());
            Failure::new(Exit::NotFound, "file_unreadable", message)
        })?;
        room = room.checked_sub(text.len() as u64).ok_or_else(|| {
            let message = format!(
                "the results are larger than {bytes_max} bytes (MERGE_BYTES_MAX) in all, at part \
                 {part} (`{}`)",
                path.display()
            );
            Failure::new(Exit::Invalid, "merge_too_large", message)
                .hint("let parts hand in less, or join them with a command of your own")
        })?;
        parts.push(serde_json::from_slice(&text).map_err(|error| {
            let path = path.display();
            failed(format!(
                "the result of part {part} (`{path}`) is not JSON: {error}"
            ))
        })?);
    }
    Ok(parts)
}

fn read_up_to(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(bytes_max).read_to_end(&mut text)?;
    Ok(text)
}

/// The file is there whole or not at all, also when this is killed.
fn replace(path: &Path, value: &Value) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(RESULT_MODE))
        .tempfile_in(directory)?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.write_all(b"\n")?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_directory(parts: &[&str]) -> (tempfile::TempDir, AggregateArgs) {
        let directory = tempfile::tempdir().unwrap();
        let files = parts.iter().enumerate().map(|(part, text)| {
            let path = directory.path().join(format!("{part}.json"));
            std::fs::write(&path, text).unwrap();
            path
        });
        let args = AggregateArgs {
            fields: r#"{"lines": "sum", "names": "union"}"#.to_owned(),
            output: directory.path().join("all.json"),
            files: files.collect(),
        };
        (directory, args)
    }

    #[test]
    fn results_are_joined_in_order_into_a_file_that_replaces_an_older_one() {
        let parts = [
            r#"{"lines": 3, "names": ["b"]}"#,
            r#"{"lines": 4, "names": ["a", "b"]}"#,
        ];
        let (directory, args) = in_a_directory(&parts);
        std::fs::write(&args.output, "old").unwrap();
        assert_eq!(join(&args).unwrap(), Exit::Ok);
        let text = std::fs::read(&args.output).unwrap();
        let joined: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(joined, serde_json::json!({"lines": 7, "names": ["b", "a"]}));
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, parts.len() + 1, "no temporary file is left");
    }

    #[test]
    fn what_cannot_be_joined_is_named_and_leaves_the_older_result() {
        for (part, fields, code, said) in [
            ("{}", r#"{"lines": "sum"}"#, "merge_failed", "no part has"),
            ("[1]", "{}", "merge_failed", "part 0 must be a JSON object"),
            ("{", "{}", "merge_failed", "0.json`) is not JSON"),
            ("{}", r#"{"lines": "product"}"#, "merge_failed", "`product`"),
        ] {
            let (_directory, mut args) = in_a_directory(&[part]);
            fields.clone_into(&mut args.fields);
            std::fs::write(&args.output, "old").unwrap();
            let failure = join(&args).unwrap_err();
            assert_eq!((failure.exit, &*failure.code), (Exit::Invalid, code));
            assert!(failure.message.contains(said), "{}", failure.message);
            assert_eq!(std::fs::read(&args.output).unwrap(), b"old");
        }
    }

    #[test]
    fn all_results_together_are_bounded() {
        let (_directory, mut args) = in_a_directory(&["{}", "[0]"]);
        assert_eq!(read_parts(&args.files, 5).unwrap().len(), 2);
        let failure = read_parts(&args.files, 4).unwrap_err();
        assert_eq!(failure.code, "merge_too_large");
        assert!(failure.message.contains("part 1"), "{}", failure.message);
        args.files.push("no-such-file".into());
        assert_eq!(
            read_parts(&args.files, 5).unwrap_err().code,
            "file_unreadable"
        );
    }
}
