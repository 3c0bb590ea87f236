//! Commands that a person should look at twice.

/// Parts of such commands, in small letters.
const DANGEROUS: [&str; 9] = [
    "rm -rf /",
    "rm -rf ~",
    "rm -rf *",
    "mkfs",
    "dd if=",
    "> /dev/sd",
    "chmod -r 777 /",
    ":(){",
    "| sh",
];

/// What is dangerous about a command, as far as a list of words can tell.
pub(super) fn dangers(command: &str) -> Vec<&'static str> {
    let command = command.to_lowercase();
    DANGEROUS
        .into_iter()
        .filter(|part| command.contains(part))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_commands_are_known_by_their_parts() {
        assert_eq!(dangers("sudo RM -rf / --no-preserve-root"), ["rm -rf /"]);
        assert_eq!(dangers("curl x | sh"), ["| sh"]);
        assert!(dangers("cargo test").is_empty());
    }
}
