//! Codes of the commands that operate a swarm: backups, services, discovery, its authority, agents
//! that serve it, and what comes into shared memory and goes out of it.

use crate::exit::Exit;

/// Code, exit code, title, what to do.
pub(super) const OPERATING: &[(&str, Exit, &str, &str)] = &[
    (
        "session_ended",
        Exit::Conflict,
        "The session of this agent is over",
        "Another process took its place, or it was ended or removed. What it had goes to others. Start it again under another --name if both are wanted.",
    ),
    (
        "session_refused",
        Exit::Denied,
        "The coordinator does not let this agent in",
        "The message says why. An agent needs a token with the scope `agent` (`skep token new NAME --scope agent`), and a name that nobody else has.",
    ),
    (
        "redis_url_invalid",
        Exit::Invalid,
        "The address is none of a Redis or Valkey server",
        "Write it as `redis://HOST:PORT/DATABASE`, e.g. `skep up --redis redis://127.0.0.1:6379/0`.",
    ),
    (
        "embedding_server_invalid",
        Exit::Invalid,
        "The model server cannot be used as it was described",
        "Name what stands before `/embeddings`, e.g. `--embedding-url http://127.0.0.1:11434/v1`. A key goes into a file and over `https` only.",
    ),
    (
        "authority_malformed",
        Exit::Invalid,
        "This is not the fingerprint of a certificate authority",
        "A fingerprint has 64 hexadecimal digits. `skep up --listen ADDRESS` prints it, and `skep doctor` on the coordinator's machine shows it.",
    ),
    (
        "authority_missing",
        Exit::Invalid,
        "Nothing says whom to trust at an encrypted address",
        "Give the fingerprint of the swarm's certificate authority by `--authority`, `SKEP_AUTHORITY`, or the key `authority` of your configuration. `skep doctor` on the coordinator's machine shows it.",
    ),
    (
        "authority_unusable",
        Exit::Storage,
        "The certificate authority of the swarm cannot be used",
        "The detail names the file. Restore the directory `ca` of the coordinator's data from a backup. Without one, remove it: the coordinator makes a new authority, and all machines join anew.",
    ),
    (
        "backup_damaged",
        Exit::Storage,
        "A backup is not as it was made",
        "The detail names the part. Use another backup. A part that was only moved can be put back: its hash says whether it is the right one.",
    ),
    (
        "backup_inside_data",
        Exit::Invalid,
        "A backup may not lie in the data that it copies",
        "Choose a place outside, best on another disk.",
    ),
    (
        "backup_newer",
        Exit::Conflict,
        "A newer version of Skep made the backup",
        "Run that version: the manifest names it as `skep_version`.",
    ),
    (
        "backup_not_found",
        Exit::NotFound,
        "There is no backup there",
        "Give the directory that holds `manifest.json`. One without it was not finished: make another.",
    ),
    (
        "data_dir_missing",
        Exit::NotFound,
        "There is no data of a coordinator",
        "Name the directory of all data with `--home DIR` or SKEP_HOME; `skep config show` lists the one in use.",
    ),
    (
        "directory_not_empty",
        Exit::Conflict,
        "The directory has something in it already",
        "Choose an empty or a new directory. Nothing is overwritten.",
    ),
    (
        "discovery_failed",
        Exit::Failed,
        "Announcements cannot be listened to",
        "Multicast is dead on many guest, container and VPN networks. Join by a token: it holds the addresses.",
    ),
    (
        "interface_malformed",
        Exit::Invalid,
        "An interface cannot be read",
        "Name an interface such as eth0, or a network such as 192.168.1.0/24.",
    ),
    (
        "restore_unfinished",
        Exit::Storage,
        "The members of the swarm that was backed up could not be let go",
        "Nobody was let in. Check the disk, then start the coordinator again: it goes on where it was.",
    ),
    (
        "unit_foreign",
        Exit::Conflict,
        "A unit of this name was written by somebody else",
        "Move it away, or choose another --name.",
    ),
    (
        "unit_not_found",
        Exit::NotFound,
        "There is no such unit",
        "`skep service show` says which one is meant; --user, --name and --coordinator choose it.",
    ),
    (
        "unit_not_written",
        Exit::Denied,
        "The unit may not be written",
        "Use --user for the systemd of this user, or run it as root with --run-as USER.",
    ),
    (
        "export_cut",
        Exit::Invalid,
        "An export of shared memory is not whole",
        "Its last line is missing, or counts other entries: the export broke off, or the file was cut. Export again. Nothing of the file was taken in.",
    ),
    (
        "memory_batch_malformed",
        Exit::Invalid,
        "The file holds no batch of writes",
        "Give a JSON list, or one JSON object a line, each with `namespace`, `key`, and one of `put`, `delete` and `touch`.",
    ),
    (
        "memory_batch_refused",
        Exit::Conflict,
        "Writes of a batch were refused",
        "The table, or `items` with `--json`, says which and why; the others are done. `--all-or-nothing` does none of them when one is refused.",
    ),
    (
        "embedding_malformed",
        Exit::Invalid,
        "The file holds no embedding",
        "An embedding is a JSON list of 1 to 4,096 numbers that a model gave.",
    ),
    (
        "memory_import_refused",
        Exit::Invalid,
        "Some lines of an import were refused",
        "The lines are named with their reasons; all others are written. Repair them, and import the file again: what is there already is written again, or stays with --keep.",
    ),
    (
        "memory_sync_refused",
        Exit::Invalid,
        "Some entries were not taken in",
        "Each is named with the side that refused it and why; all others are exchanged. Make room, or set both sides alike; each later round tries them again.",
    ),
    (
        "peer_token_unusable",
        Exit::Denied,
        "The token of a peer cannot be used",
        "The detail names the file. It holds a token of the other installation, as `skep token new` printed it there, and only its owner may read it.",
    ),
];
