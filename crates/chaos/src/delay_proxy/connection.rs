//! One connection through the proxy: for each direction a reader, a queue, and a writer that hands
//! the bytes over when they are due.

use super::Shared;
use super::settings::{Direction, Lane};
use crate::random::Random;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a thread that waits for a socket looks whether the connection is over.
const LOOK_UP: Duration = Duration::from_millis(20);
/// Between pieces that are to arrive apart.
const CUT_PAUSE: Duration = Duration::from_millis(1);
const READ_BYTES: usize = 16 * 1024;
/// Parcels under way in one direction; when there are more, nothing more is read.
const PARCELS_MAX: usize = 1_024;

/// Something under way. Bytes, or, when empty, the end of the direction.
#[derive(Debug)]
struct Parcel {
    came_at: Instant,
    /// Its place in the jitter.
    place: i32,
    bytes: Vec<u8>,
}

/// Why a writer stops before everything is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    /// The whole connection is over.
    Over,
    /// This direction was ended on purpose.
    HalfClosed,
}

/// A connection, as its threads see it.
#[derive(Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    random: Random,
    /// Resets, and half-closes up and down, of the proxy when it was opened.
    resets: u64,
    half_closes: [u64; 2],
    /// A side has gone without saying so.
    is_broken: AtomicBool,
}

/// Closes without a word: the other side sees a reset.
pub(super) fn reset(stream: TcpStream) {
    // When it fails the other side sees an end instead, which is all that can be done.
    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    drop(stream);
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, random: Random) -> Self {
        let settings = shared.settings();
        let resets = settings.resets;
        let half_closes = [settings.up.half_closes, settings.down.half_closes];
        drop(settings);
        Self {
            shared,
            random,
            resets,
            half_closes,
            is_broken: AtomicBool::new(false),
        }
    }

    /// Passes on both directions until both ended or the connection is over.
    pub(super) fn pass_on(self, client: TcpStream, target: SocketAddr) {
        let Ok(server) = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT) else {
            return reset(client);
        };
        for stream in [&client, &server] {
            let is_set = stream.set_nodelay(true).is_ok()
                && stream.set_read_timeout(Some(LOOK_UP)).is_ok()
                && stream.set_write_timeout(Some(LOOK_UP)).is_ok();
            if !is_set {
                self.is_broken.store(true, Ordering::Release);
            }
        }
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        thread::scope(|scope| {
            let lanes = [
                (Direction::Up, &client, &server),
                (Direction::Down, &server, &client),
            ];
            for (direction, source, target) in lanes {
                let (sender, queue) = sync_channel(PARCELS_MAX);
                let this = &self;
                let reader = thread::Builder::new().name(format!("{direction:?}-reader"));
                let writer = thread::Builder::new().name(format!("{direction:?}-writer"));
                let reading = reader.spawn_scoped(scope, move || this.read(source, &sender));
                let writing =
                    writer.spawn_scoped(scope, move || this.write(direction, target, &queue));
                if reading.is_err() || writing.is_err() {
                    self.is_broken.store(true, Ordering::Release);
                }
            }
        });
        if self.is_over() {
            reset(client);
            reset(server);
        }
    }

    fn is_over(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
            || self.shared.is_stopped()
            || self.shared.settings().resets != self.resets
    }

    fn read(&self, mut source: &TcpStream, queue: &SyncSender<Parcel>) {
        let mut random = self.random.clone();
        let mut buffer = vec![0; READ_BYTES];
        while !self.is_over() {
            let bytes = match source.read(&mut buffer) {
                Ok(count) => buffer[..count].to_vec(),
                Err(error) if is_to_be_repeated(&error) => continue,
                Err(_) => return self.is_broken.store(true, Ordering::Release),
            };
            let is_end = bytes.is_empty();
            let parcel = Parcel {
                came_at: Instant::now(),
                place: random.below(2_001) as i32 - 1_000,
                bytes,
            };
            // A writer that has gone wants no more.
            if queue.send(parcel).is_err() || is_end {
                return;
            }
        }
    }

    fn write(&self, direction: Direction, target: &TcpStream, queue: &Receiver<Parcel>) {
        let mut offset = 0;
        let halt = loop {
            match queue.recv_timeout(LOOK_UP) {
                Ok(parcel) => match self.deliver(direction, target, &parcel, &mut offset) {
                    Ok(()) if parcel.bytes.is_empty() => break Halt::HalfClosed,
                    Ok(()) => {}
                    Err(halt) => break halt,
                },
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(halt) = self.halt(direction) {
                        break halt;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break Halt::Over,
            }
        };
        if halt == Halt::HalfClosed {
            // When the other side has gone already, there is nobody to tell.
            let _ = target.shutdown(Shutdown::Write);
        }
    }

    /// Hands a parcel over when it is due, in as many pieces as the lane says.
    fn deliver(
        &self,
        direction: Direction,
        target: &TcpStream,
        parcel: &Parcel,
        offset: &mut u64,
    ) -> Result<(), Halt> {
        self.wait_until(direction, |lane| parcel.came_at + lane.wait(parcel.place))?;
        let mut rest = parcel.bytes.as_slice();
        while !rest.is_empty() {
            let lane = self.shared.settings().lane(direction).clone();
            let (piece, later) = rest.split_at(lane.piece(rest.len(), *offset));
            if let Some(rate) = lane.rate {
                let on_the_line = Duration::from_secs_f64(piece.len() as f64 / rate.get() as f64);
                self.pause(direction, on_the_line)?;
            }
            self.write_all(direction, target, piece)?;
            *offset += piece.len() as u64;
            self.shared
                .bytes
                .fetch_add(piece.len() as u64, Ordering::Relaxed);
            rest = later;
            if !rest.is_empty() {
                self.pause(direction, CUT_PAUSE)?;
            }
        }
        Ok(())
    }

    fn pause(&self, direction: Direction, length: Duration) -> Result<(), Halt> {
        let until = Instant::now() + length;
        self.wait_until(direction, |_| until)
    }

    /// Waits for a moment, which the settings may move, and while the lane is stalled.
    fn wait_until(&self, direction: Direction, due: impl Fn(&Lane) -> Instant) -> Result<(), Halt> {
        loop {
            if let Some(halt) = self.halt(direction) {
                return Err(halt);
            }
            let settings = self.shared.settings();
            let lane = settings.lane(direction);
            let left = due(lane).saturating_duration_since(Instant::now());
            if left.is_zero() && !lane.is_stalled {
                return Ok(());
            }
            let bound = if left.is_zero() {
                LOOK_UP
            } else {
                left.min(LOOK_UP)
            };
            let waited = self.shared.settings_changed.wait_timeout(settings, bound);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn halt(&self, direction: Direction) -> Option<Halt> {
        if self.is_over() {
            return Some(Halt::Over);
        }
        let before = self.half_closes[usize::from(direction == Direction::Down)];
        let is_ended = self.shared.settings().lane(direction).half_closes != before;
        is_ended.then_some(Halt::HalfClosed)
    }

    fn write_all(
        &self,
        direction: Direction,
        mut target: &TcpStream,
        mut bytes: &[u8],
    ) -> Result<(), Halt> {
        while !bytes.is_empty() {
            match target.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_to_be_repeated(&error) => {
                    if let Some(halt) = self.halt(direction) {
                        return Err(halt);
                    }
                }
                Err(_) => {
                    self.is_broken.store(true, Ordering::Release);
                    return Err(Halt::Over);
                }
            }
        }
        Ok(())
    }
}

fn is_to_be_repeated(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
