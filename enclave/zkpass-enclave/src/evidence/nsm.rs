//! The Nitro Security Module, behind its device or a Unix socket.
//!
//! On a socket each message is a `u32` length, big-endian, and the CBOR that
//! the device takes and gives.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use aws_nitro_enclaves_nsm_api::{
    api::{Request, Response},
    driver::{nsm_init, nsm_process_request},
};
use serde_bytes::ByteBuf;
use zkpass_core::{
    encoding::hex,
    evidence::{BINDING_BYTES, Nonce},
};

use super::{Evidence, EvidenceSource, EvidenceSourceError, EvidenceUnavailable, Platform};
use crate::hardening::Needs;

/// The device inside a Nitro enclave.
pub(super) const DEVICE: &str = "/dev/nsm";

/// The longest response of the device (`NSM_RESPONSE_MAX_SIZE` of its driver).
const MAX_RESPONSE_BYTES: usize = 0x3000;

/// PCRs of Nitro are SHA-384 digests.
const PCR_BYTES: usize = 48;

/// The device takes some ten milliseconds; a socket's other end may be busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// A security module.
#[derive(Debug)]
pub(super) struct Nsm {
    transport: Box<dyn Transport>,
    measurement_id: String,
}

/// Carries one request and its response.
trait Transport: fmt::Debug + Send {
    fn exchange(&mut self, request: Request) -> Result<Response, EvidenceUnavailable>;

    fn needs(&self) -> Needs<'static>;
}

/// The device, open for the life of the process.
#[derive(Debug)]
struct Device {
    descriptor: i32,
}

/// A connection made at the start: a confined enclave cannot make another.
#[derive(Debug)]
struct Socket {
    stream: UnixStream,
    patience: Duration,
    lost: bool,
}

impl Nsm {
    pub(super) fn open_device() -> Result<Self, EvidenceSourceError> {
        let descriptor = nsm_init();
        if descriptor < 0 {
            return Err(EvidenceSourceError::NoNsmDevice);
        }
        Self::new(Box::new(Device { descriptor })).map_err(broken)
    }

    pub(super) fn connect(path: &Path) -> Result<Self, EvidenceSourceError> {
        let socket = UnixStream::connect(path).and_then(|stream| Socket::new(stream, PATIENCE));
        let socket = socket.map_err(|source| EvidenceSourceError::NsmSocket {
            path: path.display().to_string(),
            source,
        })?;
        Self::new(Box::new(socket)).map_err(broken)
    }

    fn new(mut transport: Box<dyn Transport>) -> Result<Self, EvidenceUnavailable> {
        // PCR 0 is the digest of the whole image.
        let pcr = match transport.exchange(Request::DescribePCR { index: 0 })? {
            Response::DescribePCR { data, .. } => data,
            other => return Err(unexpected(other)),
        };
        if pcr.len() != PCR_BYTES {
            return Err(EvidenceUnavailable::NoMeasurement);
        }
        Ok(Self {
            transport,
            measurement_id: format!("{}:{}", Platform::Nitro.name(), hex(&pcr)),
        })
    }
}

impl EvidenceSource for Nsm {
    fn platform(&self) -> Platform {
        Platform::Nitro
    }

    fn measurement_id(&self) -> &str {
        &self.measurement_id
    }

    fn evidence(
        &mut self,
        binding: &[u8; BINDING_BYTES],
        nonce: &Nonce,
    ) -> Result<Evidence, EvidenceUnavailable> {
        let request = Request::Attestation {
            user_data: Some(ByteBuf::from(*binding)),
            nonce: Some(ByteBuf::from(*nonce)),
            public_key: None,
        };
        let document = match self.transport.exchange(request)? {
            Response::Attestation { document } => document,
            other => return Err(unexpected(other)),
        };
        // CBOR keeps byte strings whole, so the binding must stand in it as it is.
        if !document.windows(BINDING_BYTES).any(|part| part == binding) {
            return Err(EvidenceUnavailable::NotBound);
        }
        Ok(Evidence {
            document,
            endorsements: Vec::new(),
        })
    }

    fn needs(&self) -> Needs<'_> {
        self.transport.needs()
    }
}

impl Transport for Device {
    fn exchange(&mut self, request: Request) -> Result<Response, EvidenceUnavailable> {
        Ok(nsm_process_request(self.descriptor, request))
    }

    fn needs(&self) -> Needs<'static> {
        Needs::NsmDevice {
            descriptor: self.descriptor,
        }
    }
}

impl Socket {
    fn new(stream: UnixStream, patience: Duration) -> io::Result<Self> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self {
            stream,
            patience,
            lost: false,
        })
    }

    fn roundtrip(&mut self, request: &Request) -> Result<Vec<u8>, EvidenceUnavailable> {
        let deadline = Instant::now() + self.patience;
        let body = serde_cbor::to_vec(request).map_err(|_| EvidenceUnavailable::Malformed)?;
        let length = u32::try_from(body.len()).map_err(|_| EvidenceUnavailable::Malformed)?;
        // In one piece, so that no other end sees half a message for long.
        let message = [&length.to_be_bytes(), body.as_slice()].concat();
        self.stream.write_all(&message).map_err(in_time)?;

        let mut length = [0; 4];
        self.fill(&mut length, deadline)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_RESPONSE_BYTES {
            let limit = MAX_RESPONSE_BYTES;
            return Err(EvidenceUnavailable::TooLarge { limit });
        }
        let mut response = vec![0; length];
        self.fill(&mut response, deadline)?;
        Ok(response)
    }

    /// `read_exact`, until the deadline: a slow drip does not count as progress.
    fn fill(
        &mut self,
        mut buffer: &mut [u8],
        deadline: Instant,
    ) -> Result<(), EvidenceUnavailable> {
        while !buffer.is_empty() {
            if Instant::now() > deadline {
                return Err(EvidenceUnavailable::TimedOut);
            }
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => buffer = buffer.get_mut(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(in_time(error)),
            }
        }
        Ok(())
    }
}

impl Transport for Socket {
    fn exchange(&mut self, request: Request) -> Result<Response, EvidenceUnavailable> {
        if self.lost {
            return Err(EvidenceUnavailable::Lost);
        }
        let response = self.roundtrip(&request).inspect_err(|_| self.lost = true)?;
        serde_cbor::from_slice(&response).map_err(|_| EvidenceUnavailable::Malformed)
    }

    fn needs(&self) -> Needs<'static> {
        Needs::Nothing
    }
}

fn unexpected(response: Response) -> EvidenceUnavailable {
    match response {
        Response::Error(code) => EvidenceUnavailable::Refused(code),
        _ => EvidenceUnavailable::WrongResponse,
    }
}

/// A socket with a timeout says `WouldBlock` when the time is over.
fn in_time(error: io::Error) -> EvidenceUnavailable {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => EvidenceUnavailable::TimedOut,
        _ => EvidenceUnavailable::Io(error),
    }
}

fn broken(cause: EvidenceUnavailable) -> EvidenceSourceError {
    EvidenceSourceError::Broken {
        platform: Platform::Nitro.name(),
        cause: cause.to_string(),
    }
}

#[cfg(test)]
mod tests;
