//! SPDX licence expressions: whether a list of allowed licences satisfies one.

use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// Whether the terms on the list are enough. `/` is the old way to write `OR`.
pub(super) fn allows(text: &str, allowed: &BTreeSet<String>) -> Result<bool> {
    let spaced = text
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut reader = Reader {
        words: spaced.split_whitespace().collect(),
        next: 0,
        allowed,
    };
    let answer = reader.any_of()?;
    match reader.peek() {
        None => Ok(answer),
        Some(word) => bail!("`{word}` is not expected there"),
    }
}

/// The words of an expression and how far they are read.
struct Reader<'a> {
    words: Vec<&'a str>,
    next: usize,
    allowed: &'a BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        self.next += usize::from(found);
        found
    }

    /// `a OR b`: one is enough.
    fn any_of(&mut self) -> Result<bool> {
        let mut answer = self.all_of()?;
        while self.take("OR") {
            answer |= self.all_of()?;
        }
        Ok(answer)
    }

    /// `a AND b` binds closer than `OR`.
    fn all_of(&mut self) -> Result<bool> {
        let mut answer = self.term()?;
        while self.take("AND") {
            answer &= self.term()?;
        }
        Ok(answer)
    }

    fn term(&mut self) -> Result<bool> {
        if self.take("(") {
            let answer = self.any_of()?;
            if !self.take(")") {
                bail!("a `)` is missing");
            }
            return Ok(answer);
        }
        let Some(name) = self
            .peek()
            .filter(|word| !["AND", "OR", "WITH", ")"].contains(word))
        else {
            bail!("a licence is missing");
        };
        self.next += 1;
        if !self.take("WITH") {
            return Ok(self.allowed.contains(name));
        }
        let Some(exception) = self.peek() else {
            bail!("an exception is missing after `WITH`");
        };
        self.next += 1;
        // An exception only adds permissions, so the bare licence is enough.
        Ok(self.allowed.contains(name)
            || self.allowed.contains(&format!("{name} WITH {exception}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged_by_their_terms() {
        let allowed = ["MIT", "Apache-2.0", "GPL-2.0 WITH Linux-syscall-note"];
        let allowed: BTreeSet<String> = allowed.into_iter().map(str::to_owned).collect();
        let table = [
            ("MIT", Some(true)),
            ("GPL-3.0", Some(false)),
            ("MIT/GPL-3.0", Some(true)),
            ("GPL-3.0 OR Apache-2.0", Some(true)),
            ("MIT AND GPL-3.0", Some(false)),
            ("MIT OR Apache-2.0 AND GPL-3.0", Some(true)),
            ("(MIT OR Apache-2.0) AND GPL-3.0", Some(false)),
            ("(MIT OR GPL-3.0) AND Apache-2.0", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("GPL-2.0 WITH Linux-syscall-note", Some(true)),
            ("GPL-2.0 WITH other", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT)", None),
            ("MIT MIT", None),
        ];
        for (text, expected) in table {
            assert_eq!(allows(text, &allowed).ok(), expected, "{text}");
        }
    }
}
