//! Where is listened: addresses and sockets of this machine, and the connections that come from either.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As whom a program counts that comes by a socket of this machine.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// An address and a port.
    Address(SocketAddr),
    /// A socket in the file system.
    Socket {
        /// Its file.
        path: PathBuf,
        /// Who may connect: the mode of that file.
        mode: u32,
    },
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ListenAddress {
    /// The address; none of a socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Socket { .. } => None,
        }
    }

    /// Takes the place, before anything is made. The error says what to do.
    pub fn bind(&self, setting: &str) -> Result<Listener> {
        match self {
            Self::Address(address) => {
                let bound = TcpListener::bind(address).with_context(|| match address.port() {
                    0 => format!("cannot listen on {address} ({setting})"),
                    port => format!(
                        "cannot listen on {address} ({setting}): is another program using port {port}? Choose another one"
                    ),
                });
                Ok(Listener(BoundSocket::Tcp(bound?)))
            }
            Self::Socket { path, mode } => {
                Ok(Listener(BoundSocket::Unix(socket(path, *mode)?, Unlinked(path.clone()))))
            }
        }
    }
}

fn socket(path: &Path, mode: u32) -> Result<UnixListener> {
    let shown = path.display();
    if let Ok(meta) = path.symlink_metadata() {
        if !meta.file_type().is_socket() {
            bail!("cannot listen on unix:{shown}: another file has that name");
        }
        if UnixStream::connect(path).is_ok() {
            bail!("cannot listen on unix:{shown}: another program listens there");
        }
        // Somebody who was killed has left it behind.
        std::fs::remove_file(path).with_context(|| format!("cannot remove the old socket {shown}"))?;
    }
    let listener = UnixListener::bind(path).with_context(|| {
        format!("cannot listen on unix:{shown}: its directory must be there, and writable for this user")
    })?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
        .with_context(|| format!("cannot give unix:{shown} the mode {mode:o}"))?;
    Ok(listener)
}

/// The file of a socket, which goes when nobody listens there any more.
pub(super) struct Unlinked(PathBuf);

impl Drop for Unlinked {
    fn drop(&mut self) {
        // It may be gone already; nobody is harmed by one that stays.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A place that was taken.
pub struct Listener(BoundSocket);

enum BoundSocket {
    Tcp(TcpListener),
    Unix(UnixListener, Unlinked),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(BoundSocket::Tcp(listener))
    }
}

impl Listener {
    /// The address, or the one as which those count who come by a socket.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            BoundSocket::Tcp(listener) => listener.local_addr(),
            BoundSocket::Unix(..) => Ok(HERE),
        }
    }

    /// The same for the runtime.
    pub(super) fn accepting(self) -> io::Result<Accepting> {
        Ok(match self.0 {
            BoundSocket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Accepting::Tcp(tokio::net::TcpListener::from_std(listener)?)
            }
            BoundSocket::Unix(listener, file) => {
                listener.set_nonblocking(true)?;
                Accepting::Unix { listener: tokio::net::UnixListener::from_std(listener)?, _file: file }
            }
        })
    }
}

/// A listener of the runtime.
pub(super) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix {
        listener: tokio::net::UnixListener,
        /// Held, so that the socket's file goes with it.
        _file: Unlinked,
    },
}

impl Accepting {
    /// The next connection, and who is at its other end.
    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // Without it the end of an answer can wait for an acknowledgement of its beginning.
                let _ = stream.set_nodelay(true);
                Ok((Socket::Tcp(stream), from))
            }
            Self::Unix { listener, .. } => Ok((Socket::Unix(listener.accept().await?.0), HERE)),
        }
    }
}

/// A connection of either kind.
pub(super) enum Socket {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

/// Runs one expression on either kind.
macro_rules! either {
    ($socket:expr, $stream:ident => $body:expr) => {
        match $socket.get_mut() {
            Self::Tcp($stream) => $body,
            Self::Unix($stream) => $body,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(task, into))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(task, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(task, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(task))
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_left_behind_is_taken_over_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sock");
        let place = ListenAddress::Socket { path: path.clone(), mode: 0o660 };
        let first = place.bind("listen").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
        let error = place.bind("listen").err().unwrap().to_string();
        assert!(error.contains("another program listens there"), "{error}");
        drop(first);
        assert!(!path.exists(), "it goes with its listener");
        // Killed: the file stays.
        drop(UnixListener::bind(&path).unwrap());
        drop(place.bind("listen").unwrap());
        std::fs::write(&path, "a file").unwrap();
        let error = place.bind("listen").err().unwrap().to_string();
        assert!(error.contains("another file has that name") && path.exists(), "{error}");
    }
}
