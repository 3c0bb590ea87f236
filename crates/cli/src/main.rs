//! The binary `skep`: parses the command line, wires the parts, prints.
//!
//! This crate may not: contain logic of the swarm. What a command decides is decided by an
//! operation of the coordinator; what it does here is to ask, to show, and to set exit codes.

mod announcing;
mod api;
mod args;
mod background;
mod call_upkeep;
mod certificate_renewal;
mod commands;
mod connection;
mod error_pages;
mod event_follower;
mod exit;
mod farewell;
mod file_upkeep;
mod first_tokens;
mod local_nodes;
mod memory_desk;
mod memory_peers;
mod memory_upkeep;
mod opened_data;
mod output;
mod places;
mod plan_input;
mod progress;
mod reach;
mod redaction;
mod redis_mirror;
mod secret_scan;
mod server;
mod settings;
mod signals;
mod system_ports;
mod terminal_text;

use args::{Cli, Command};
use clap::builder::Resettable;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use commands::Session;
use exit::{Exit, Failure, Outcome};
use output::Output;
use places::Places;
use settings::{Key, Settings};
use std::process::ExitCode;

/// A task's frames, a commit's rows and an answer's text are freed by other threads than those that
/// made them, all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The stages of a task's sandbox are this very binary; they must run before anything else.
    if let Some(code) = skep_runner::internal_main(std::env::args_os().skip(1)) {
        return code;
    }
    let parsed = command_line()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return not_parsed(&error),
    };
    let output = Output::new(cli.global.json);
    // It runs in the sandbox of a task, where the directories of `skep` are hidden.
    if let Command::Merge { command } = &cli.command {
        return ended(commands::merge::run(command), output);
    }
    start_logging(&cli.command);
    let mut runtime = match &cli.command {
        // A client waits for each message that goes through: one thread is quickest.
        Command::Mcp(args) if args.command.is_none() => {
            tokio::runtime::Builder::new_current_thread()
        }
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&Failure::from(error));
            return Exit::Failed.into();
        }
    };
    ended(runtime.block_on(run(cli, &matches, output)), output)
}

/// Says why a command failed, and gives its exit code.
fn ended(outcome: Outcome, output: Output) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) if failure.exit == Exit::Ok => Exit::Ok.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// The command line. An empty variable counts as one that is not set.
fn command_line() -> clap::Command {
    let mut command = Cli::command();
    for name in ["url", "authority", "token", "home"] {
        command = command.mut_arg(name, |argument| {
            let value = argument.get_env().and_then(std::env::var_os);
            if value.is_some_and(|value| value.is_empty()) {
                argument.env(Resettable::Reset)
            } else {
                argument
            }
        });
    }
    command
}

/// `--help` and `--version` are no errors; everything else is one of usage.
fn not_parsed(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nobody is left to tell when stdout is gone.
        drop(error.print());
        return Exit::Ok.into();
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let detail = error.to_string();
        let detail = detail.trim().trim_start_matches("error: ");
        let failure = Failure::new(Exit::Usage, "usage", detail).hint("`skep --help` says more");
        Output::Json.failure(&failure);
    } else {
        drop(error.print());
    }
    Exit::Usage.into()
}

/// Long-running commands log to stderr: text on a terminal, JSON otherwise. Others log what
/// `RUST_LOG` asks for and nothing by default.
fn start_logging(command: &Command) {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let serves = matches!(
        command,
        Command::Up(_)
            | Command::Join(_)
            | Command::Node {
                command: args::NodeCommand::Start(_)
            }
    );
    // What the protocol's library logs at `warn` is what a client did wrong, and it is told so.
    let default = if serves { "info,rmcp=error" } else { "off" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
}

async fn run(cli: Cli, matches: &ArgMatches, output: Output) -> Outcome {
    let session = session(&cli, matches, output)?;
    match cli.command {
        Command::Up(args) => commands::up::run(&session, args).await,
        Command::Run(args) => match args.command {
            Some(command) => commands::runs::run(&session, command).await,
            None => Box::pin(commands::run::run(&session, args)).await,
        },
        Command::Join(args) => Box::pin(commands::join::run(&session, *args)).await,
        Command::Plan(args) => commands::plan::run(&session, args).await,
        Command::Submit(args) => commands::submit::run(&session, args).await,
        Command::Watch(args) => commands::watch::run(&session, args).await,
        Command::Wait(args) => commands::wait::run(&session, args).await,
        Command::Explain { task } => commands::explain::run(&session, &task).await,
        Command::Events(args) => commands::events::run(&session, args).await,
        Command::Doctor { full } => commands::doctor::run(&session, full).await,
        Command::Bench(args) => commands::bench::run(&session, args).await,
        Command::Analyse { command } => commands::analyse::run(&session, command).await,
        Command::Hooks { hook, flags } => commands::hooks::run(&session, &hook, &flags).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "skep", &mut script);
            output::raw(&script)?;
            Ok(Exit::Ok)
        }
        Command::Config { command } => commands::config::run(&session, &command),
        Command::Token { command } => commands::token::run(&session, command).await,
        Command::Node { command } => Box::pin(commands::node::run(&session, command)).await,
        Command::Task { command } => commands::task::run(&session, command).await,
        Command::Agent { command } => commands::agent::run(&session, command).await,
        Command::Work { command } => commands::work::run(&session, command).await,
        Command::Artifact { command } => commands::artifact::run(&session, command).await,
        Command::Schedule { command } => commands::schedule::run(&session, command).await,
        Command::Trigger { command } => commands::trigger::run(&session, command).await,
        Command::Memory { command } => Box::pin(commands::memory::run(&session, command)).await,
        Command::Mcp(args) => Box::pin(commands::mcp::run(&session, args)).await,
        Command::Backup { command } => commands::backup::run(&session, command).await,
        Command::Service { command } => commands::service::run(&session, &command),
        Command::Debug { command } => commands::debug_bundle::run(&session, command).await,
        Command::Merge { command } => commands::merge::run(&command),
        Command::Schema { name } => {
            let schema = match name {
                args::SchemaName::Plan => skep_plan::json_schema(),
                args::SchemaName::Openapi => skep_api::openapi(),
                args::SchemaName::Errors => error_pages::all(),
                args::SchemaName::ClaudeFlow => {
                    serde_json::json!({ "claude-flow.md": skep_mcp::claude_flow_page() })
                }
            };
            output::line(&serde_json::to_string_pretty(&schema).unwrap_or_default())?;
            Ok(Exit::Ok)
        }
    }
}

/// What the commands are given: flags, environment and configuration put together.
fn session(cli: &Cli, matches: &ArgMatches, output: Output) -> Result<Session, Failure> {
    let mut global = cli.global.clone();
    let places = Places::resolve(global.home.as_deref())?;
    let mut settings = Settings::load(&places, &std::env::current_dir()?);
    settings.take_arguments(matches);
    // These say themselves what is wrong with the files.
    let looks_at_settings = matches!(
        cli.command,
        Command::Config { .. } | Command::Doctor { .. } | Command::Debug { .. }
    );
    if let Some(failure) = settings.failure().filter(|_| !looks_at_settings) {
        return Err(failure);
    }
    if let Some(url) = settings.given(Key::Url) {
        global.url = Some(url.value.clone());
        global.url_origin.clone_from(&url.origin);
    }
    if let Some(authority) = settings.given(Key::Authority) {
        global.authority = Some(authority.value.clone());
    }
    global.progress = settings.progress();
    Ok(Session {
        global,
        places,
        output,
        settings,
    })
}
