//! Patterns over relative paths: `*`, `?` and `[...]` within a name, `**` over directories.

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing could match.
    #[error("the pattern is empty: use `**` for all files")]
    Empty,
    /// It would leave the workspace.
    #[error("the pattern `{0}` leaves the workspace: it must be relative and without `..`")]
    Leaves(String),
    /// A `[` without its `]`.
    #[error("the pattern `{0}` has a `[` without a `]`")]
    OpenClass(String),
}

/// A pattern over paths relative to a workspace. A `*` also matches names that begin with a dot;
/// `dir/` stands for `dir/**`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`: any number of directories; at the end, everything below.
    AnyDepth,
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(char),
    AnyOne,
    AnyRun,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.starts_with('/') || text.contains('\0') {
            return Err(GlobError::Leaves(text.to_owned()));
        }
        let mut segments = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(GlobError::Leaves(text.to_owned())),
                "**" if segments.last() == Some(&Segment::AnyDepth) => {}
                "**" => segments.push(Segment::AnyDepth),
                name => {
                    let tokens =
                        parse_name(name).ok_or_else(|| GlobError::OpenClass(text.to_owned()))?;
                    segments.push(Segment::Name(tokens));
                }
            }
        }
        if segments.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.ends_with('/') && segments.last() != Some(&Segment::AnyDepth) {
            segments.push(Segment::AnyDepth);
        }
        Ok(Self { segments })
    }

    /// Whether a path, `/` between its parts, matches.
    pub fn matches(&self, path: &str) -> bool {
        self.walk(path)[self.segments.len()]
    }

    /// Whether something below a directory could match.
    pub(crate) fn may_match_below(&self, directory: &str) -> bool {
        self.walk(directory)[..self.segments.len()].contains(&true)
    }

    /// Whether the pattern names one path and nothing else.
    pub(crate) fn is_literal(&self) -> bool {
        self.segments.iter().all(|segment| match segment {
            Segment::AnyDepth => false,
            Segment::Name(tokens) => tokens.iter().all(|token| matches!(token, Token::One(_))),
        })
    }

    /// The positions in the pattern that can be reached after the path; time is bounded by the
    /// product of both lengths, whatever the pattern.
    fn walk(&self, path: &str) -> Vec<bool> {
        let end = self.segments.len();
        let mut reached = vec![false; end + 1];
        reached[0] = true;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            self.skip_any_depth(&mut reached);
            let mut next = vec![false; end + 1];
            for (position, segment) in self.segments.iter().enumerate() {
                match segment {
                    _ if !reached[position] => {}
                    Segment::AnyDepth => {
                        next[position] = true;
                        next[end] |= position + 1 == end;
                    }
                    Segment::Name(tokens) => next[position + 1] |= name_matches(tokens, name),
                }
            }
            reached = next;
        }
        reached
    }

    /// `**` may stand for no directory at all, except at the end.
    fn skip_any_depth(&self, reached: &mut [bool]) {
        for position in 0..self.segments.len() - 1 {
            if reached[position] && self.segments[position] == Segment::AnyDepth {
                reached[position + 1] = true;
            }
        }
    }
}

fn parse_name(name: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        let token = match letter {
            '?' => Token::AnyOne,
            '*' if tokens.last() == Some(&Token::AnyRun) => continue,
            '*' => Token::AnyRun,
            '[' => parse_class(&mut letters)?,
            other => Token::One(other),
        };
        tokens.push(token);
    }
    Some(tokens)
}

fn parse_class(letters: &mut std::str::Chars<'_>) -> Option<Token> {
    let (body, rest) = {
        let text = letters.as_str();
        // A `]` in the first place is a member.
        let first = usize::from(text.starts_with(['!', '^']));
        let members_from = first + usize::from(text[first..].starts_with(']'));
        let length = members_from + text[members_from..].find(']')?;
        (&text[..length], &text[length + 1..])
    };
    *letters = rest.chars();
    let members = body.strip_prefix(['!', '^']);
    let negated = members.is_some();
    let members: Vec<char> = members.unwrap_or(body).chars().collect();
    let mut ranges = Vec::new();
    let mut index = 0;
    while index < members.len() {
        let low = members[index];
        let is_range = members.get(index + 1) == Some(&'-') && index + 2 < members.len();
        let last = if is_range { index + 2 } else { index };
        ranges.push((low, members[last]));
        index = last + 1;
    }
    Some(Token::Class { negated, ranges })
}

/// Matches with one point of return, the latest `*`, so it cannot blow up.
fn name_matches(tokens: &[Token], name: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    let (mut token, mut letter) = (0, 0);
    let mut latest_run: Option<(usize, usize)> = None;
    while letter < letters.len() {
        match tokens.get(token) {
            Some(Token::AnyRun) => {
                latest_run = Some((token, letter));
                token += 1;
            }
            Some(one) if token_matches(one, letters[letter]) => {
                token += 1;
                letter += 1;
            }
            _ => match latest_run {
                Some((run, taken)) => {
                    latest_run = Some((run, taken + 1));
                    token = run + 1;
                    letter = taken + 1;
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|rest| *rest == Token::AnyRun)
}

fn token_matches(token: &Token, letter: char) -> bool {
    match token {
        Token::One(wanted) => *wanted == letter,
        Token::AnyOne => true,
        Token::AnyRun => false,
        Token::Class { negated, ranges } => {
            ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&letter))
                != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        for (pattern, path, expected) in [
            ("a.txt", "a.txt", true),
            ("./a.txt", "a.txt", true),
            ("a.txt", "b/a.txt", false),
            ("*.txt", "a.txt", true),
            ("*.txt", ".txt", true),
            ("*.txt", "d/a.txt", false),
            ("**", "a", true),
            ("**", "a/b/c", true),
            ("**/*.txt", "a.txt", true),
            ("**/*.txt", "x/y/a.txt", true),
            ("out/**", "out/a/b", true),
            ("out/**", "out", false),
            ("out/", "out/a", true),
            ("out/**/z", "out/z", true),
            ("out/**/z", "out/a/b/z", true),
            ("out/**/z", "out/a/zz", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("ä?", "äö", true),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.matches(path), expected, "`{pattern}` on `{path}`");
        }
    }

    #[test]
    fn patterns_that_leave_the_workspace_are_refused() {
        for pattern in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "..",
            "**/../x",
            "a\0b",
        ] {
            let error = Glob::parse(pattern).unwrap_err();
            assert_eq!(error, GlobError::Leaves(pattern.to_owned()));
        }
        assert_eq!(Glob::parse(""), Err(GlobError::Empty));
        assert_eq!(Glob::parse("a[b"), Err(GlobError::OpenClass("a[b".into())));
    }

    #[test]
    fn directories_are_entered_only_if_something_below_can_match() {
        for (pattern, directory, expected) in [
            ("out/*.txt", "out", true),
            ("out/*.txt", "src", false),
            ("out/*.txt", "out/deep", false),
            ("**/x", "a/b", true),
            ("a", "a", false),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(
                glob.may_match_below(directory),
                expected,
                "{pattern} {directory}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_ends_at_once() {
        let glob = Glob::parse(&format!("{}b", "*a".repeat(100))).unwrap();
        assert!(!glob.matches(&"a".repeat(2_000)));
    }
}
