//! Unix sockets below directories with long paths.
//!
//! The address of a socket holds 107 bytes at most. A path through an open directory is always
//! short enough, wherever that directory lies.

use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A short path of a socket, for this process and as long as this lives.
#[derive(Debug)]
pub(super) struct SocketAddress {
    /// Keeps the path valid.
    _directory: OwnedFd,
    path: PathBuf,
}

impl SocketAddress {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The address of the socket at this path, which need not be there yet. The directory is opened as
/// a place only: for that nobody needs the right to read it.
pub(super) fn of(socket: &Path) -> io::Result<SocketAddress> {
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(parent, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok(SocketAddress {
        _directory: directory,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::of;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_socket_is_made_and_found_below_a_directory_with_a_long_path() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("d".repeat(200));
        std::fs::create_dir(&directory).unwrap();
        let socket = directory.join("socket");
        assert!(UnixListener::bind(&socket).is_err(), "the path is short");
        let listener = UnixListener::bind(of(&socket).unwrap().path()).unwrap();
        UnixStream::connect(of(&socket).unwrap().path()).unwrap();
        listener.accept().unwrap();
        drop(listener);
        assert!(UnixStream::connect(of(&socket).unwrap().path()).is_err());
        assert!(socket.exists());
    }
}
