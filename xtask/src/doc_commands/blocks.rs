//! Finds the blocks of a page that are to be run.

use anyhow::{Context, Result, bail};

/// Opens a block that is run.
const FENCE: &str = "```sh run";
const FENCE_END: &str = "```";
/// Starts the line that states another exit code than 0.
const EXITS: &str = "# exits ";

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Line of the fence, counted from 1.
    pub(super) line: usize,
    pub(super) script: String,
    /// Exit code it has to end with.
    pub(super) exits: i32,
}

/// The blocks in the order of the page.
pub(super) fn read(page: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim_end() != FENCE {
            continue;
        }
        let line = number + 1;
        let mut script = Vec::new();
        loop {
            match lines.next() {
                Some((_, text)) if text.trim_end() == FENCE_END => break,
                Some((_, text)) => script.push(text),
                None => bail!("line {line}: the block is not closed"),
            }
        }
        let exits = script.iter().find_map(|text| text.strip_prefix(EXITS));
        let exits = exits.map_or(Ok(0), |code| code.trim().parse());
        let exits = exits.with_context(|| format!("line {line}: `{EXITS}` needs a number"))?;
        blocks.push(Block {
            line,
            script: script.join("\n"),
            exits,
        });
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_that_are_marked_are_taken() {
        let page = "# Title\n\n```sh\nnot this\n```\n\n```sh run\none\ntwo\n```\n```sh run\n# exits \
                    5\nskep wait\n```\n";
        let expected = [
            Block {
                line: 7,
                script: "one\ntwo".to_owned(),
                exits: 0,
            },
            Block {
                line: 11,
                script: "# exits 5\nskep wait".to_owned(),
                exits: 5,
            },
        ];
        assert_eq!(read(page).unwrap(), expected);
    }

    #[test]
    fn an_open_block_and_a_wrong_code_are_refused() {
        assert_eq!(
            read("x\n```sh run\na\n").unwrap_err().to_string(),
            "line 2: the block is not closed"
        );
        assert!(read("```sh run\n# exits often\n```\n").is_err());
    }
}
