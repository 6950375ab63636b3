//! A Nitro Security Module in software, on a Unix socket.
//!
//! Each message is a 32-bit big-endian length and a body, which is the CBOR
//! that `/dev/nsm` takes and gives. [`Device`] is the module itself, [`Server`]
//! puts it on a socket.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_nitro_enclaves_nsm_api::api::{Digest, ErrorCode, Request, Response};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha384};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use zkpass_devtee::{
    nitro::{NitroDocument, NitroRoot, NitroRootError, NitroSigner},
    rand_core::Rng as _,
};

use crate::{
    Measurements,
    roots::{now, randomness},
};

/// Limits of the device (`NSM_REQUEST_MAX_SIZE` of its driver, and what AWS
/// documents for the fields of a document).
const MAX_REQUEST_BYTES: usize = 0x1000;
const MAX_USER_DATA_BYTES: usize = 512;
const MAX_NONCE_BYTES: usize = 512;
const MAX_PUBLIC_KEY_BYTES: usize = 1024;

/// PCRs of the device. Those below [`FIXED_PCRS`] belong to the hypervisor and are locked from the start.
const PCRS: u16 = 32;
const FIXED_PCRS: u16 = 16;

/// What the device gives at a time.
const RANDOM_BYTES: usize = 256;

/// Far above what one enclave needs.
const MAX_CONNECTIONS: usize = 16;

/// After a failed accept (no file descriptors left, say) nothing is gained by trying at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A chain is renewed so long before it ends, in seconds: documents must verify for a while.
const RENEW_BEFORE: i64 = 3600;

/// Signs for all lives of an enclave; chains last three hours and are renewed.
#[derive(Debug)]
pub struct Authority {
    root: NitroRoot,
    signer: Mutex<Option<Arc<NitroSigner>>>,
}

impl Authority {
    /// An authority under a root.
    pub fn new(root: NitroRoot) -> Self {
        Self {
            root,
            signer: Mutex::default(),
        }
    }

    /// The fingerprint of the root.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.root.fingerprint()
    }

    /// A signer whose chain is valid for an hour at least.
    pub(crate) fn signer(&self) -> Result<Arc<NitroSigner>, NitroRootError> {
        let mut kept = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        if let Some(signer) = kept.as_ref()
            && signer.not_after().saturating_sub(RENEW_BEFORE) > now
        {
            return Ok(Arc::clone(signer));
        }
        let signer = Arc::new(self.root.instance(&mut randomness(), now)?);
        *kept = Some(Arc::clone(&signer));
        Ok(signer)
    }
}

/// The module of one life of an enclave.
#[derive(Debug)]
pub struct Device {
    authority: Arc<Authority>,
    module_id: String,
    pcrs: BTreeMap<u16, Pcr>,
}

#[derive(Debug, Clone, Copy)]
struct Pcr {
    value: [u8; 48],
    locked: bool,
}

impl Device {
    /// A module for an enclave that was measured so.
    pub fn new(authority: Arc<Authority>, measurements: &Measurements) -> Self {
        let launch = [measurements.pcr0, measurements.pcr1, measurements.pcr2];
        let mut pcrs: BTreeMap<_, _> = (0..PCRS)
            .map(|index| {
                let locked = index < FIXED_PCRS;
                let value = [0; 48];
                (index, Pcr { value, locked })
            })
            .collect();
        for (pcr, value) in pcrs.values_mut().zip(launch) {
            pcr.value = value;
        }
        let mut id = [0; 8];
        randomness().fill_bytes(&mut id);
        let id = u64::from_be_bytes(id);
        Self {
            authority,
            module_id: format!("i-zkpass-development-enc{id:016x}"),
            pcrs,
        }
    }

    /// Answers a request, both in CBOR.
    pub fn respond(&mut self, request: &[u8]) -> Vec<u8> {
        let response = if request.len() > MAX_REQUEST_BYTES {
            Err(ErrorCode::InputTooLarge)
        } else {
            serde_cbor::from_slice(request)
                .map_err(|_| ErrorCode::InvalidOperation)
                .and_then(|request| self.answer(request))
        };
        encode(&response.unwrap_or_else(Response::Error))
    }

    fn answer(&mut self, request: Request) -> Result<Response, ErrorCode> {
        match request {
            Request::DescribePCR { index } => {
                let pcr = self.pcr(index)?;
                Ok(Response::DescribePCR {
                    lock: pcr.locked,
                    data: pcr.value.to_vec(),
                })
            }
            Request::ExtendPCR { index, data } => {
                let pcr = self.unlocked(index)?;
                let hash = Sha384::new().chain_update(pcr.value).chain_update(data);
                pcr.value = hash.finalize().into();
                let data = pcr.value.to_vec();
                Ok(Response::ExtendPCR { data })
            }
            Request::LockPCR { index } => {
                self.unlocked(index)?.locked = true;
                Ok(Response::LockPCR)
            }
            Request::LockPCRs { range } => {
                if range > PCRS {
                    return Err(ErrorCode::InvalidIndex);
                }
                for (_, pcr) in self.pcrs.range_mut(..range) {
                    pcr.locked = true;
                }
                Ok(Response::LockPCRs)
            }
            Request::DescribeNSM => Ok(Response::DescribeNSM {
                version_major: 1,
                version_minor: 0,
                version_patch: 0,
                module_id: self.module_id.clone(),
                max_pcrs: PCRS,
                locked_pcrs: self.locked().map(|(index, _)| index).collect(),
                digest: Digest::SHA384,
            }),
            Request::Attestation {
                user_data,
                nonce,
                public_key,
            } => self.attest(user_data, nonce, public_key),
            Request::GetRandom => {
                let mut random = vec![0; RANDOM_BYTES];
                randomness().fill_bytes(&mut random);
                Ok(Response::GetRandom { random })
            }
            _ => Err(ErrorCode::InvalidOperation),
        }
    }

    fn attest(
        &self,
        user_data: Option<ByteBuf>,
        nonce: Option<ByteBuf>,
        public_key: Option<ByteBuf>,
    ) -> Result<Response, ErrorCode> {
        let signer = self.authority.signer();
        let signer = signer.map_err(|_| ErrorCode::InternalError)?;
        let document = NitroDocument {
            module_id: self.module_id.clone(),
            timestamp_ms: now_ms(),
            pcrs: self
                .locked()
                .filter_map(|(index, pcr)| Some((u8::try_from(index).ok()?, pcr.value)))
                .collect(),
            public_key: bounded(public_key, MAX_PUBLIC_KEY_BYTES)?,
            user_data: bounded(user_data, MAX_USER_DATA_BYTES)?,
            nonce: bounded(nonce, MAX_NONCE_BYTES)?,
        };
        Ok(Response::Attestation {
            document: signer.document(&document),
        })
    }

    fn locked(&self) -> impl Iterator<Item = (u16, &Pcr)> {
        self.pcrs
            .iter()
            .filter(|(_, pcr)| pcr.locked)
            .map(|(index, pcr)| (*index, pcr))
    }

    fn pcr(&mut self, index: u16) -> Result<&mut Pcr, ErrorCode> {
        self.pcrs.get_mut(&index).ok_or(ErrorCode::InvalidIndex)
    }

    fn unlocked(&mut self, index: u16) -> Result<&mut Pcr, ErrorCode> {
        let pcr = self.pcr(index)?;
        if pcr.locked {
            Err(ErrorCode::ReadOnlyIndex)
        } else {
            Ok(pcr)
        }
    }
}

/// A module on a socket, until it is dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a path that only this user may open; a socket that is there is replaced.
    ///
    /// It needs a runtime of tokio, on which it serves.
    pub fn start(path: impl Into<PathBuf>, device: Device) -> io::Result<Self> {
        let path = path.into();
        remove(&path)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let task = tokio::spawn(accept(listener, Arc::new(Mutex::new(device))));
        Ok(Self { path, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // If it is gone already, that is as good.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn accept(listener: UnixListener, device: Arc<Mutex<Device>>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let device = Arc::clone(&device);
                connections.spawn(async move {
                    // An error is the end of the connection, whose owner sees it.
                    let _ = serve(stream, &device).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers requests in their order until the other end closes or breaks the protocol.
async fn serve(mut stream: UnixStream, device: &Mutex<Device>) -> io::Result<()> {
    loop {
        let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
        if length > MAX_REQUEST_BYTES {
            let response = encode(&Response::Error(ErrorCode::InputTooLarge));
            return send(&mut stream, &response).await;
        }
        let mut request = vec![0; length];
        stream.read_exact(&mut request).await?;
        let response = device
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .respond(&request);
        send(&mut stream, &response).await?;
    }
}

async fn send(stream: &mut UnixStream, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let message = [&length.to_be_bytes(), body].concat();
    stream.write_all(&message).await
}

fn encode(response: &Response) -> Vec<u8> {
    // A response is made of plain data, which can always be written.
    serde_cbor::to_vec(response).unwrap_or_default()
}

fn bounded(bytes: Option<ByteBuf>, most: usize) -> Result<Option<Vec<u8>>, ErrorCode> {
    match bytes {
        Some(bytes) if bytes.len() > most => Err(ErrorCode::InputTooLarge),
        other => Ok(other.map(ByteBuf::into_vec)),
    }
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests;
