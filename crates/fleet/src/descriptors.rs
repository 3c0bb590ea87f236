//! The limit of open files: each played caller needs one.

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that the process needs besides its connections.
const OTHER_FILES: u64 = 64;

/// Raises the limit as far as it goes without more rights.
///
/// # Errors
/// It is too low for so many connections even then.
pub fn raise_for(connections: usize) -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).context("raise the limit of open files")?;
    let wanted = connections as u64 + OTHER_FILES;
    match maximum {
        Some(maximum) if maximum < wanted => bail!(
            "{connections} connections need {wanted} open files, and this process may have \
             {maximum}: raise the hard limit (`ulimit -Hn {wanted}` as root)"
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_a_number_beyond_it_is_refused() {
        raise_for(1).unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        if let Some(maximum) = limit.maximum {
            let error = raise_for(maximum as usize).unwrap_err().to_string();
            assert!(error.contains(&maximum.to_string()), "{error}");
        }
    }
}
