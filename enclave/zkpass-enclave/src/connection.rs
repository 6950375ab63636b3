//! One connection of the service: frames in, frames out, many jobs in flight.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    task::{Id, JoinError, JoinSet},
};
use zkpass_core::{
    code::Code,
    frame::{Decoder, Frame, FrameError, Message},
    limits::MAX_SEALED_REQUEST_BYTES,
};

use crate::{
    enclave::{Enclave, SealedRequest},
    events::{Event, log},
};

/// Frames that wait for a slow reader before we stop reading from it.
const OUTGOING_FRAMES: usize = 16;

/// The longest frame that a service sends: a sealed request and the fields around it.
const MAX_INCOMING_BYTES: usize = MAX_SEALED_REQUEST_BYTES + 1024;

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
                if self.jobs.contains_key(&id) {
                    return Err(ConnectionError::OutOfTurn);
                }
                let Some(place) = self.enclave.place() else {
                    let code = Code::QueueFull;
                    log(Event::Rejected(code));
                    return self.send(id, Message::Failed { code }).await;
                };
                let request = SealedRequest {
                    key_id,
                    sealed,
                    patience: Duration::from_millis(deadline_ms),
                    place,
                };
                let (cancel, cancelled) = oneshot::channel();
                let work = Arc::clone(&self.enclave).handle(request, cancelled);
                let job = Job {
                    task: self.tasks.spawn(work).id(),
                    cancel: Some(cancel),
                };
                self.jobs.insert(id, job);
                Ok(())
            }
            Message::Hello { .. }
            | Message::Answer { .. }
            | Message::Failed { .. }
            | Message::Healthy { .. } => Err(ConnectionError::OutOfTurn),
        }
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
