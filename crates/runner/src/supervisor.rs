//! The supervisor process: parent of everything one attempt starts, and its end.
//!
//! It lives between the node and the program because only a parent that does nothing else can
//! promise that nothing survives: it adopts orphans (child subreaper), and its stdin is a
//! lifeline. When the node dies, however it dies, the lifeline reads end-of-file and the
//! supervisor kills the tree. It speaks on stdout (notes to the runner); stderr is the output of
//! the program.

use crate::order::{
    EXEC_STAGE, EndCause, EndNote, FREEZE_LINE, LaunchOrder, ORDER_BYTES_MAX, ProgramOrder,
    READY_MARK, STOP_LINE, SupervisorNote, THAW_LINE,
};
use crate::process_tree::{
    Children, kill_descendants, reap, signal_descendants, stop_descendants, terminate_descendants,
};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitStatus, getpid, pidfd_open, set_child_subreaper,
    set_dumpable_behavior,
};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Adopted orphans that ended are taken in at least this often.
const REAP_INTERVAL: Duration = Duration::from_millis(500);
/// The same while a tree is being stopped, when the end of its last process is waited for.
const REAP_INTERVAL_STOPPING: Duration = Duration::from_millis(10);

/// Runs as the supervisor until the attempt is over.
pub(crate) fn supervise() -> ExitCode {
    match try_supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("supervise the attempt: {error}");
            // Nobody is left to tell when the runner's end of the pipe is closed.
            let _ = tell(&SupervisorNote::LaunchFailed { message });
            kill_descendants(|_, _| {});
            ExitCode::FAILURE
        }
    }
}

fn try_supervise() -> io::Result<()> {
    close_inherited_files()?;
    set_child_subreaper(Some(getpid()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut lifeline = Lifeline::default();
    let order = lifeline.read_order()?;
    let pid = match launch(&order.program)? {
        Launched::Running(pid) => pid,
        Launched::Failed(message) => {
            kill_descendants(|_, _| {});
            return tell(&SupervisorNote::LaunchFailed { message });
        }
    };
    // From here on a runner that is gone shows as end-of-file on the lifeline.
    let _ = tell(&SupervisorNote::Started {
        pid: pid.as_raw_pid(),
    });
    let end = Watch::new(pid, &order)?.until_the_end(&mut lifeline)?;
    tell(&SupervisorNote::Ended(end))
}

/// Everything above stderr came from whoever started the node; the program shall not have it.
fn close_inherited_files() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // The handle of the listing itself is closed by now and answers EBADF.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn tell(note: &SupervisorNote) -> io::Result<()> {
    let mut line = serde_json::to_vec(note)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// The runner's end of our stdin: first the order, then lines that stop, freeze or thaw, then
/// end-of-file.
#[derive(Debug, Default)]
struct Lifeline {
    pending: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Stop,
    Freeze,
    Thaw,
}

#[derive(Debug, PartialEq, Eq)]
enum LifelineNews {
    /// The lines that came, in order; none while one is cut.
    Lines(Vec<Line>),
    RunnerGone,
}

impl Lifeline {
    fn read_order(&mut self) -> io::Result<LaunchOrder> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line)?);
            }
            if self.pending.len() > ORDER_BYTES_MAX || self.read_some()? == 0 {
                return Err(io::Error::other("the launch order is cut or too long"));
            }
        }
    }

    fn read_some(&mut self) -> io::Result<usize> {
        let mut chunk = [0_u8; 16 << 10];
        let count = rustix::io::read(rustix::stdio::stdin(), &mut chunk)?;
        self.pending.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    fn news(&mut self) -> LifelineNews {
        match self.read_some() {
            Ok(0) | Err(_) => LifelineNews::RunnerGone,
            Ok(_) => LifelineNews::Lines(self.lines()),
        }
    }

    /// Takes out the lines that are whole.
    fn lines(&mut self) -> Vec<Line> {
        let whole = self.pending.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |end| end + 1);
        let bytes: Vec<u8> = self.pending.drain(..whole).collect();
        let known = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| match line {
                STOP_LINE => Some(Line::Stop),
                FREEZE_LINE => Some(Line::Freeze),
                THAW_LINE => Some(Line::Thaw),
                _ => None,
            });
        known.collect()
    }
}

enum Launched {
    Running(Pid),
    Failed(String),
}

fn launch(program: &ProgramOrder) -> io::Result<Launched> {
    let mut child = Command::new("/proc/self/exe")
        .arg(EXEC_STAGE)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_child(&child);
    let mut order = child.stdin.take().expect("its stdin is piped above");
    let mut report = child.stdout.take().expect("its stdout is piped above");
    order.write_all(&serde_json::to_vec(program)?)?;
    drop(order);
    let mut said = String::new();
    report.read_to_string(&mut said)?;
    Ok(match said.strip_prefix(READY_MARK) {
        Some("") => Launched::Running(pid),
        Some(exec_error) => Launched::Failed(exec_error.to_owned()),
        None if said.is_empty() => {
            Launched::Failed("the exec stage ended before the program began".to_owned())
        }
        None => Launched::Failed(said),
    })
}

/// Waits for the program, its timeout, a stop line or the loss of the runner.
struct Watch {
    main: Pid,
    main_handle: OwnedFd,
    main_status: Option<WaitStatus>,
    kill_grace: Duration,
    /// When the next step against the tree is due.
    deadline: Instant,
    stopping: Option<EndCause>,
    /// Since when the tree stands still: its time does not run meanwhile.
    frozen_since: Option<Instant>,
}

impl Watch {
    fn new(main: Pid, order: &LaunchOrder) -> io::Result<Self> {
        Ok(Self {
            main,
            main_handle: pidfd_open(main, PidfdFlags::empty())?,
            main_status: None,
            kill_grace: Duration::from_millis(order.kill_grace_ms),
            deadline: Instant::now() + Duration::from_millis(order.timeout_ms),
            stopping: None,
            frozen_since: None,
        })
    }

    fn until_the_end(mut self, lifeline: &mut Lifeline) -> io::Result<EndNote> {
        // A stop may be so close behind the order that one read took in both.
        for line in lifeline.lines() {
            self.obey(line)?;
        }
        loop {
            let children = self.reap();
            let main_ended = self.main_status.is_some();
            // A tree that is being stopped may use its grace after the program is gone.
            if children == Children::None || (main_ended && self.stopping.is_none()) {
                return Ok(self.finish());
            }
            if self.frozen_since.is_none() && Instant::now() >= self.deadline {
                if self.stopping.is_some() {
                    return Ok(self.finish());
                }
                self.begin_stop(EndCause::Timeout);
            }
            if self.wait_for_news()? {
                match lifeline.news() {
                    LifelineNews::Lines(lines) => {
                        for line in lines {
                            self.obey(line)?;
                        }
                    }
                    LifelineNews::RunnerGone => {
                        kill_descendants(|_, _| {});
                        return Err(io::Error::other("the runner is gone"));
                    }
                }
            }
        }
    }

    /// What is being stopped neither freezes nor is stopped again.
    fn obey(&mut self, line: Line) -> io::Result<()> {
        if self.stopping.is_some() {
            return Ok(());
        }
        match (line, self.frozen_since) {
            (Line::Stop, None) => self.begin_stop(EndCause::Stop),
            // Nobody may go on, not even to say goodbye: others may be at this work by now.
            (Line::Stop, Some(_)) => {
                self.stopping = Some(EndCause::Stop);
                self.frozen_since = None;
                self.deadline = Instant::now();
            }
            (Line::Freeze, None) => {
                self.frozen_since = Some(Instant::now());
                if stop_descendants() {
                    tell(&SupervisorNote::Frozen)?;
                }
            }
            (Line::Thaw, Some(since)) => {
                self.frozen_since = None;
                self.deadline += since.elapsed();
                signal_descendants(Signal::CONT);
            }
            (Line::Freeze, Some(_)) | (Line::Thaw, None) => {}
        }
        Ok(())
    }

    fn reap(&mut self) -> Children {
        let main = self.main;
        let status = &mut self.main_status;
        reap(&mut |pid, ended| {
            if pid == main {
                *status = Some(ended);
            }
        })
    }

    fn begin_stop(&mut self, cause: EndCause) {
        self.stopping = Some(cause);
        self.deadline = Instant::now() + self.kill_grace;
        terminate_descendants();
    }

    /// Sleeps until something happens; true if the lifeline has something to read.
    fn wait_for_news(&self) -> io::Result<bool> {
        let interval = match self.stopping {
            None => REAP_INTERVAL,
            Some(_) => REAP_INTERVAL_STOPPING,
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let pause = match self.frozen_since {
            None => left.min(interval),
            Some(_) => interval,
        };
        let timeout = Timespec::try_from(pause).expect("half a second fits");
        let mut sources = vec![PollFd::from_borrowed_fd(
            rustix::stdio::stdin(),
            PollFlags::IN,
        )];
        if self.main_status.is_none() {
            sources.push(PollFd::new(&self.main_handle, PollFlags::IN));
        }
        match poll(&mut sources, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!sources[0].revents().is_empty()),
            Err(error) => Err(error.into()),
        }
    }

    fn finish(mut self) -> EndNote {
        let main = self.main;
        let status = &mut self.main_status;
        let survivors = kill_descendants(|pid, ended| {
            if pid == main {
                *status = Some(ended);
            }
        });
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
        EndNote {
            cause: self.stopping.unwrap_or(EndCause::Program),
            exit_code: self.main_status.and_then(exit_code),
            user_ms: usage.map_or(0, |used| to_ms(used.user_time())),
            system_ms: usage.map_or(0, |used| to_ms(used.system_time())),
            memory_peak_bytes: usage.map_or(0, |used| used.max_rss().unsigned_abs() * 1024),
            survivors,
        }
    }
}

fn exit_code(status: WaitStatus) -> Option<i32> {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
}

fn to_ms(time: nix::sys::time::TimeVal) -> u64 {
    (time.tv_sec() * 1_000 + time.tv_usec() / 1_000).unsigned_abs()
}
