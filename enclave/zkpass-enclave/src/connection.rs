//! One connection of the service: frames in, frames out, many jobs in flight.

use std::{collections::HashMap, future::Future, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::{Id, JoinError, JoinSet},
    time::Instant,
};
use zkpass_core::{
    code::Code,
    frame::{Decoder, Frame, FrameError, Message},
    limits::{MAX_DVR_JWE_BYTES, MAX_SEALED_REQUEST_BYTES, MAX_USER_DATA_JWE_BYTES},
};

use crate::{
    compatible::JweRequest,
    enclave::{Enclave, SealedRequest},
    events::{Event, log},
};

/// Frames that wait for a slow reader before we stop reading from it.
const OUTGOING_FRAMES: usize = 16;

/// The longest frame that a service sends: two JWEs and the fields around them.
const MAX_INCOMING_BYTES: usize = MAX_USER_DATA_JWE_BYTES + MAX_DVR_JWE_BYTES + 1024;
const _: () = assert!(MAX_SEALED_REQUEST_BYTES + 1024 <= MAX_INCOMING_BYTES);

const READ_BYTES: usize = 16 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a frame that a service does not send, or a request id that is in use")]
    OutOfTurn,
    #[error("the writer is gone")]
    Closed,
}

/// Serves a connection until the other side closes it; its jobs end with it.
pub(crate) async fn serve(
    enclave: Arc<Enclave>,
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin,
) {
    log(Event::ConnectionOpened);
    let (outgoing, frames) = mpsc::channel(OUTGOING_FRAMES);
    let connection = Connection {
        enclave,
        outgoing,
        tasks: JoinSet::new(),
        jobs: HashMap::new(),
    };
    let end = tokio::select! {
        end = connection.run(read) => end,
        end = write_frames(write, frames) => end,
    };
    log(match end {
        Err(ConnectionError::Frame(_) | ConnectionError::OutOfTurn) => Event::BadFrame,
        _ => Event::ConnectionClosed,
    });
}

struct Connection {
    enclave: Arc<Enclave>,
    outgoing: mpsc::Sender<Frame>,
    // Dropped with the connection, which aborts the tasks.
    tasks: JoinSet<Message>,
    jobs: HashMap<u64, Job>,
}

struct Job {
    task: Id,
    cancel: Option<oneshot::Sender<()>>,
}

impl Connection {
    async fn run(mut self, mut read: impl AsyncRead + Unpin) -> Result<(), ConnectionError> {
        let mut info = self.enclave.info();
        self.introduce(0).await?;
        let mut decoder = Decoder::new(MAX_INCOMING_BYTES);
        let mut bytes = vec![0; READ_BYTES];
        loop {
            tokio::select! {
                count = read.read(&mut bytes) => {
                    let Some(received) = bytes.get(..count?).filter(|read| !read.is_empty()) else {
                        return Ok(());
                    };
                    decoder.push(received);
                    while let Some(frame) = decoder.next_frame()? {
                        self.take(frame).await?;
                    }
                }
                Some(end) = self.tasks.join_next_with_id() => self.finish(end).await?,
                Ok(()) = info.changed() => self.introduce(0).await?,
            }
        }
    }

    async fn take(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        let id = frame.request_id;
        match frame.message {
            Message::Info => self.introduce(id).await,
            Message::Health => self.send(id, self.enclave.health()).await,
            Message::Cancel => {
                // An unknown id is that of a job which ended just now.
                let job = self.jobs.get_mut(&id);
                if let Some(cancel) = job.and_then(|job| job.cancel.take()) {
                    let _ = cancel.send(());
                }
                Ok(())
            }
            Message::Prove {
                deadline_ms,
                key_id,
                sealed,
            } => {
                let Some(place) = self.place(id).await? else {
                    return Ok(());
                };
                let request = SealedRequest {
                    key_id,
                    sealed,
                    accepted: Instant::now(),
                    patience: Duration::from_millis(deadline_ms),
                    place,
                };
                let (cancel, cancelled) = oneshot::channel();
                let work = Arc::clone(&self.enclave).handle(request, cancelled);
                self.start(id, work, cancel);
                Ok(())
            }
            Message::Attest { nonce } => {
                if self.jobs.contains_key(&id) {
                    return Err(ConnectionError::OutOfTurn);
                }
                // Questions for evidence end soon by themselves.
                let work = Arc::clone(&self.enclave).attest(nonce);
                let job = Job {
                    task: self.tasks.spawn(work).id(),
                    cancel: None,
                };
                self.jobs.insert(id, job);
                Ok(())
            }
            Message::ProveJwe {
                deadline_ms,
                user_data,
                dvr,
            } => {
                let Some(place) = self.place(id).await? else {
                    return Ok(());
                };
                let request = JweRequest {
                    user_data,
                    dvr,
                    accepted: Instant::now(),
                    patience: Duration::from_millis(deadline_ms),
                    place,
                };
                let (cancel, cancelled) = oneshot::channel();
                let work = Arc::clone(&self.enclave).handle_jwe(request, cancelled);
                self.start(id, work, cancel);
                Ok(())
            }
            Message::Hello { .. }
            | Message::Attested { .. }
            | Message::Proof { .. }
            | Message::Answer { .. }
            | Message::Failed { .. }
            | Message::Healthy { .. } => Err(ConnectionError::OutOfTurn),
        }
    }

    /// A place for a request of this id; without one, that is answered already.
    async fn place(&self, id: u64) -> Result<Option<OwnedSemaphorePermit>, ConnectionError> {
        if self.jobs.contains_key(&id) {
            return Err(ConnectionError::OutOfTurn);
        }
        let place = self.enclave.place();
        if place.is_none() {
            let code = Code::QueueFull;
            log(Event::Rejected(code));
            self.send(id, Message::Failed { code }).await?;
        }
        Ok(place)
    }

    fn start(
        &mut self,
        id: u64,
        work: impl Future<Output = Message> + Send + 'static,
        cancel: oneshot::Sender<()>,
    ) {
        let job = Job {
            task: self.tasks.spawn(work).id(),
            cancel: Some(cancel),
        };
        self.jobs.insert(id, job);
    }

    async fn finish(
        &mut self,
        end: Result<(Id, Message), JoinError>,
    ) -> Result<(), ConnectionError> {
        let (task, message) = match end {
            Ok(end) => end,
            // It panicked; the hook has logged where.
            Err(error) => {
                let code = Code::Internal;
                (error.id(), Message::Failed { code })
            }
        };
        let id = self
            .jobs
            .iter()
            .find_map(|(id, job)| (job.task == task).then_some(*id));
        match id {
            Some(id) => {
                self.jobs.remove(&id);
                self.send(id, message).await
            }
            None => Ok(()),
        }
    }

    async fn introduce(&self, request_id: u64) -> Result<(), ConnectionError> {
        let info = Box::new(self.enclave.info().borrow().clone());
        self.send(request_id, Message::Hello { info }).await
    }

    async fn send(&self, request_id: u64, message: Message) -> Result<(), ConnectionError> {
        let frame = Frame {
            request_id,
            message,
        };
        let sent = self.outgoing.send(frame).await;
        sent.map_err(|_| ConnectionError::Closed)
    }
}

async fn write_frames(
    mut write: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
) -> Result<(), ConnectionError> {
    while let Some(frame) = frames.recv().await {
        write.write_all(&frame.encode()?).await?;
    }
    Ok(())
}
