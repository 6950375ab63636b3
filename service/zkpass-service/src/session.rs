//! One connection to one enclave: many requests in flight, none of which is
//! left waiting when the connection ends.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use zkpass_core::api::{EnclaveInfo, EnclaveOffer};
use zkpass_core::code::Code;
use zkpass_core::encoding::base64url;
use zkpass_core::evidence::Nonce;
use zkpass_core::frame::{Decoder, Frame, FrameError, Message};

/// Request id of frames that belong to no request.
const NO_REQUEST: u64 = 0;

/// Bytes taken from the socket at a time.
const READ_BYTES: usize = 64 * 1024;

/// A request on its way to an enclave.
pub(crate) struct Sealed {
    pub(crate) key_id: String,
    pub(crate) bytes: Vec<u8>,
}

/// How the enclave's side of a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A sealed answer, in base64url.
    Answer(Arc<str>),
    /// Evidence for a client's nonce.
    Evidence(Box<EnclaveOffer>),
    /// A refusal that the service may know.
    Failed(Code),
    /// The connection ended first.
    Lost,
}

/// Why a connection ended; the operator may want to know.
#[derive(Debug, Error)]
pub(crate) enum SessionEnd {
    /// The enclave closed the connection.
    #[error("the enclave closed the connection")]
    Closed,
    /// The socket failed.
    #[error("the connection failed")]
    Socket(#[from] io::Error),
    /// The enclave sent something else than frames.
    #[error("the enclave sent a bad frame")]
    Frame(#[from] FrameError),
    /// The enclave sent a message that only the service sends.
    #[error("the enclave sent a message out of place")]
    OutOfPlace,
    /// Nothing came for too long.
    #[error("the enclave is silent")]
    Silent,
}

impl SessionEnd {
    /// Whether the process may still be there, unable to work.
    pub(crate) fn may_hang(&self) -> bool {
        !matches!(self, Self::Closed | Self::Socket(_))
    }
}

/// How a connection is watched.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    /// Time between two health questions.
    pub(crate) health: Duration,
    /// Time without any frame after which the enclave counts as dead.
    pub(crate) silence: Duration,
}

/// What requests need of a connection.
pub(crate) struct Session {
    slots: Arc<Semaphore>,
    outgoing: mpsc::UnboundedSender<Frame>,
    next_id: AtomicU64,
    shared: Mutex<SessionState>,
}

struct SessionState {
    /// Keys of this enclave, the newest last.
    announced: Vec<EnclaveInfo>,
    /// `None` once the connection has ended.
    pending: Option<HashMap<u64, oneshot::Sender<Reply>>>,
}

/// The reading and writing ends of a session, to be driven by [`Driver::run`].
pub(crate) struct Driver {
    session: Arc<Session>,
    reader: FrameReader,
    writer: OwnedWriteHalf,
    queue: mpsc::UnboundedReceiver<Frame>,
}

/// Takes the hello of an enclave and makes a session of the connection.
pub(crate) async fn open(
    stream: UnixStream,
    in_flight: usize,
    patience: Duration,
) -> Result<(Arc<Session>, Driver), SessionEnd> {
    let (read_half, writer) = stream.into_split();
    let mut reader = FrameReader::new(read_half);
    let frame = timeout_at(Instant::now() + patience, reader.next())
        .await
        .map_err(|_| SessionEnd::Silent)??;
    let Message::Hello { info } = frame.message else {
        return Err(SessionEnd::OutOfPlace);
    };
    let (outgoing, queue) = mpsc::unbounded_channel();
    let session = Arc::new(Session {
        slots: Arc::new(Semaphore::new(in_flight)),
        outgoing,
        next_id: AtomicU64::new(NO_REQUEST + 1),
        shared: Mutex::new(SessionState {
            announced: vec![*info],
            pending: Some(HashMap::new()),
        }),
    });
    let driver = Driver {
        session: Arc::clone(&session),
        reader,
        writer,
        queue,
    };
    Ok((session, driver))
}

impl Session {
    /// A place among the requests in flight; `None` when the connection ended.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// Sends a request; the reply comes through what is returned.
    pub(crate) fn prove(self: &Arc<Self>, sealed: Sealed, time_left: Duration) -> Pending {
        self.ask(Message::Prove {
            deadline_ms: u64::try_from(time_left.as_millis()).unwrap_or(u64::MAX),
            key_id: sealed.key_id,
            sealed: sealed.bytes,
        })
    }

    /// Asks for evidence.
    pub(crate) fn attest(self: &Arc<Self>, nonce: Nonce) -> Pending {
        self.ask(Message::Attest { nonce })
    }

    fn ask(self: &Arc<Self>, message: Message) -> Pending {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        if let Some(pending) = &mut self.shared().pending {
            pending.insert(id, sender);
        }
        // Without a place in `pending` the sender is gone: the reply is `Lost`.
        self.send(id, message);
        Pending {
            session: Arc::clone(self),
            id,
            receiver,
        }
    }

    /// The key to seal new requests to, if it is still good.
    pub(crate) fn announced(&self) -> Option<EnclaveInfo> {
        let now = unix_seconds();
        let newest = self.shared().announced.last().cloned();
        newest.filter(|info| info.not_after > now)
    }

    /// Whether this enclave holds the key, or held it a moment ago.
    pub(crate) fn has_key(&self, enclave_id: &str, key_id: &str) -> bool {
        self.shared()
            .announced
            .iter()
            .any(|info| info.key_id == key_id && info.enclave_id == enclave_id)
    }

    fn send(&self, request_id: u64, message: Message) {
        // The queue is bounded by the slots, each of which allows one request
        // and one cancellation. A closed queue means an ended session.
        let _ = self.outgoing.send(Frame {
            request_id,
            message,
        });
    }

    fn received(&self, frame: Frame) -> Result<(), SessionEnd> {
        let reply = match frame.message {
            Message::Hello { info } => {
                self.shared().announce(*info, unix_seconds());
                return Ok(());
            }
            Message::Healthy { .. } => return Ok(()),
            Message::Answer { sealed } => Reply::Answer(base64url(&sealed).into()),
            Message::Attested { offer } => Reply::Evidence(offer),
            Message::Failed { code } => Reply::Failed(code),
            Message::Info
            | Message::Prove { .. }
            | Message::Cancel
            | Message::Health
            | Message::Attest { .. }
            | Message::ProveJwe { .. }
            | Message::Proof { .. } => {
                return Err(SessionEnd::OutOfPlace);
            }
        };
        let waiting = self
            .shared()
            .pending
            .as_mut()
            .and_then(|pending| pending.remove(&frame.request_id));
        if let Some(waiting) = waiting {
            // Nobody may be waiting any more; that is their affair.
            let _ = waiting.send(reply);
        }
        Ok(())
    }

    fn end(&self) {
        self.slots.close();
        // Dropping the senders tells everyone who waits.
        self.shared().pending = None;
    }

    fn shared(&self) -> MutexGuard<'_, SessionState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionState {
    fn announce(&mut self, info: EnclaveInfo, now: i64) {
        self.announced
            .retain(|known| known.not_after > now && known.key_id != info.key_id);
        self.announced.push(info);
    }
}

/// A request whose reply has not come yet.
pub(crate) struct Pending {
    session: Arc<Session>,
    id: u64,
    receiver: oneshot::Receiver<Reply>,
}

impl Pending {
    /// Waits for the reply, which comes once.
    pub(crate) async fn reply(&mut self) -> Reply {
        (&mut self.receiver).await.unwrap_or(Reply::Lost)
    }

    /// Tells the enclave that nobody wants the answer any more.
    pub(crate) fn cancel(&self) {
        self.session.send(self.id, Message::Cancel);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(pending) = &mut self.session.shared().pending {
            pending.remove(&self.id);
        }
    }
}

impl Driver {
    /// Moves frames until the connection ends. Dropping the driver, or this
    /// future, fails what is pending.
    pub(crate) async fn run(mut self, watch: Watch) -> SessionEnd {
        tokio::select! {
            end = receive(&self.session, &mut self.reader, watch.silence) => end,
            error = write(&mut self.writer, &mut self.queue) => SessionEnd::Socket(error),
            () = ask_for_health(&self.session, watch.health) => SessionEnd::Silent,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.session.end();
    }
}

async fn receive(session: &Session, reader: &mut FrameReader, silence: Duration) -> SessionEnd {
    loop {
        let received = match timeout_at(Instant::now() + silence, reader.next()).await {
            Ok(frame) => frame.and_then(|frame| session.received(frame)),
            Err(_) => Err(SessionEnd::Silent),
        };
        if let Err(end) = received {
            return end;
        }
    }
}

async fn write(
    writer: &mut OwnedWriteHalf,
    queue: &mut mpsc::UnboundedReceiver<Frame>,
) -> io::Error {
    while let Some(frame) = queue.recv().await {
        let written = match frame.encode() {
            Ok(bytes) => writer.write_all(&bytes).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = written {
            return error;
        }
    }
    // The session owns the sender and outlives its driver.
    io::ErrorKind::BrokenPipe.into()
}

async fn ask_for_health(session: &Session, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        session.send(NO_REQUEST, Message::Health);
    }
}

struct FrameReader {
    socket: OwnedReadHalf,
    decoder: Decoder,
    buffer: Box<[u8]>,
}

impl FrameReader {
    fn new(socket: OwnedReadHalf) -> Self {
        Self {
            socket,
            decoder: Decoder::default(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        }
    }

    /// The next frame; dropping the future loses nothing.
    async fn next(&mut self) -> Result<Frame, SessionEnd> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            let read = self.socket.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(SessionEnd::Closed);
            }
            self.decoder.push(&self.buffer[..read]);
        }
    }
}

fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}
