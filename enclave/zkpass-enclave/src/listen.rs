//! Where the enclave listens: a Unix socket, a vsock port or a TCP port.
//!
//! On a host it is a Unix socket. A virtual machine has no path in common with
//! its host: there it is a vsock port, or TCP where the machine has a network.
//! Whoever connects is untrusted in every case, so nothing but the transport
//! differs.

use std::{
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The path of a Unix socket; a file left by a dead process is replaced.
    Unix(PathBuf),
    /// A port of this virtual machine, for its host.
    Vsock(u32),
    /// An address of this machine.
    Tcp(SocketAddr),
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// What follows `vsock:` is not a port.
    #[error("a vsock port is a number from 1 to 4294967294")]
    BadVsockPort,
    /// What follows `tcp:` is not an address with a port.
    #[error("a TCP address is an IP address and a port, like 127.0.0.1:7000")]
    BadTcpAddress,
}

impl Address {
    /// Reads `vsock:PORT`, `tcp:ADDRESS:PORT`, or the path of a Unix socket.
    pub fn parse(text: OsString) -> Result<Self, AddressError> {
        match text.to_str().and_then(|text| text.split_once(':')) {
            Some(("vsock", port)) => match port.parse() {
                // The last number stands for any port, and 0 is reserved.
                Ok(0 | u32::MAX) | Err(_) => Err(AddressError::BadVsockPort),
                Ok(port) => Ok(Self::Vsock(port)),
            },
            Some(("tcp", address)) => {
                let address = address.parse().map_err(|_| AddressError::BadTcpAddress)?;
                Ok(Self::Tcp(address))
            }
            _ => Ok(Self::Unix(text.into())),
        }
    }
}

/// Why there is no listening.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens on the Unix socket.
    #[error("`{}` is in use", .0.display())]
    InUse(PathBuf),
    /// There is something at the path that is not a socket.
    #[error("`{}` exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The Unix socket could not be opened.
    #[error("cannot listen on `{}`: {source}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The vsock port could not be opened.
    #[error("cannot listen on vsock port {port}: {source}")]
    Vsock {
        /// The port.
        port: u32,
        /// The cause.
        source: io::Error,
    },
    /// The TCP address could not be opened.
    #[error("cannot listen on `{address}`: {source}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// Half of a connection that gives bytes.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// Half of a connection that takes bytes.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A socket that connections come in on.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Vsock(VsockListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Needs the context of a runtime, and comes before confinement.
    pub(crate) fn bind(address: &Address) -> Result<Self, ListenError> {
        match address {
            Address::Unix(path) => bind_unix(path).map(Self::Unix),
            Address::Vsock(port) => VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, *port))
                .map(Self::Vsock)
                .map_err(|source| ListenError::Vsock {
                    port: *port,
                    source,
                }),
            Address::Tcp(address) => {
                bind_tcp(address)
                    .map(Self::Tcp)
                    .map_err(|source| ListenError::Tcp {
                        address: *address,
                        source,
                    })
            }
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<(Reader, Writer)> {
        Ok(match self {
            Self::Unix(listener) => {
                let (read, write) = listener.accept().await?.0.into_split();
                (Box::new(read), Box::new(write))
            }
            Self::Vsock(listener) => {
                let (read, write) = listener.accept().await?.0.into_split();
                (Box::new(read), Box::new(write))
            }
            Self::Tcp(listener) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                let (read, write) = stream.into_split();
                (Box::new(read), Box::new(write))
            }
        })
    }
}

fn bind_tcp(address: &SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Listens on a path that only this user may open; the file of a dead process is replaced.
fn bind_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(ListenError::InUse(path.to_owned())),
            Err(_) => fs::remove_file(path).map_err(failed)?,
        },
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse(text.into())
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(parse("/run/e"), Ok(Address::Unix("/run/e".into())));
        assert_eq!(parse("./tcp:1"), Ok(Address::Unix("./tcp:1".into())));
        assert_eq!(parse("vsock:5000"), Ok(Address::Vsock(5000)));
        let address = "127.0.0.1:7000".parse().unwrap();
        assert_eq!(parse("tcp:127.0.0.1:7000"), Ok(Address::Tcp(address)));
        let address = "[::1]:7000".parse().unwrap();
        assert_eq!(parse("tcp:[::1]:7000"), Ok(Address::Tcp(address)));
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for text in ["vsock:", "vsock:0", "vsock:4294967295", "vsock:-1"] {
            assert_eq!(parse(text), Err(AddressError::BadVsockPort), "{text}");
        }
        // Names are not looked up: that would be a connection of its own.
        for text in ["tcp:", "tcp:7000", "tcp:127.0.0.1", "tcp:localhost:7000"] {
            assert_eq!(parse(text), Err(AddressError::BadTcpAddress), "{text}");
        }
    }
}
