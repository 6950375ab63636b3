//! Somebody on the Unix socket between service and enclave, who changes frames.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zkpass_core::frame::{Decoder, Frame, Message};

/// What becomes of a frame; all of it goes where the frame was going.
pub enum Out {
    Frame(Frame),
    Bytes(Vec<u8>),
    /// A byte at a time.
    Crumbs(Frame),
    /// After a while; what comes later overtakes it.
    Later(Frame),
    /// The connection ends.
    Close,
}

/// How long a delayed frame is held.
const A_WHILE: Duration = Duration::from_millis(300);

type Hook = Box<dyn FnMut(Frame) -> Vec<Out> + Send>;

/// The proxy; it serves one connection after the other.
pub struct FrameProxy {
    hook: Arc<Mutex<Hook>>,
    /// Sealed requests that passed, changed or not.
    proves: Arc<Mutex<usize>>,
}

impl FrameProxy {
    /// Listens at `socket` and passes frames to and from the enclave.
    pub fn start(socket: &Path, enclave: &Path) -> Self {
        let honest: Hook = Box::new(|frame| vec![Out::Frame(frame)]);
        let proxy = Self {
            hook: Arc::new(Mutex::new(honest)),
            proves: Arc::default(),
        };
        let (hook, proves) = (Arc::clone(&proxy.hook), Arc::clone(&proxy.proves));
        let listener = UnixListener::bind(socket).unwrap();
        let enclave = enclave.to_owned();
        tokio::spawn(async move {
            loop {
                let (service, _) = listener.accept().await.unwrap();
                let enclave = UnixStream::connect(&enclave).await.unwrap();
                let (from_service, to_service) = service.into_split();
                let (from_enclave, to_enclave) = enclave.into_split();
                let (up, up_queue) = unbounded_channel();
                let (down, down_queue) = unbounded_channel();
                tokio::select! {
                    () = read(from_service, up, &hook, &proves) => {}
                    () = read(from_enclave, down, &hook, &proves) => {}
                    () = write(to_enclave, up_queue) => {}
                    () = write(to_service, down_queue) => {}
                }
            }
        });
        proxy
    }

    /// Changes frames from now on.
    pub fn change(&self, hook: impl FnMut(Frame) -> Vec<Out> + Send + 'static) {
        *self.hook.lock().unwrap() = Box::new(hook);
    }

    /// Passes everything on from now on.
    pub fn be_honest(&self) {
        self.change(|frame| vec![Out::Frame(frame)]);
    }

    /// How many sealed requests came from the service so far.
    pub fn proves(&self) -> usize {
        *self.proves.lock().unwrap()
    }
}

async fn read(
    mut from: OwnedReadHalf,
    to: UnboundedSender<Out>,
    hook: &Mutex<Hook>,
    proves: &Mutex<usize>,
) {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        while let Some(frame) = decoder.next_frame().expect("both sides send frames") {
            if matches!(frame.message, Message::Prove { .. }) {
                *proves.lock().unwrap() += 1;
            }
            let outs = (hook.lock().unwrap())(frame);
            for out in outs {
                let _ = to.send(out);
            }
        }
        match from.read(&mut buffer).await {
            Ok(read) if read > 0 => decoder.push(&buffer[..read]),
            // What is on its way may arrive before the connection ends.
            _ => {
                let _ = to.send(Out::Close);
                return to.closed().await;
            }
        }
    }
}

async fn write(mut to: OwnedWriteHalf, mut queue: UnboundedReceiver<Out>) {
    let (late, mut delayed) = unbounded_channel();
    loop {
        let out = tokio::select! {
            Some(out) = queue.recv() => out,
            Some(frame) = delayed.recv() => Out::Frame(frame),
        };
        let written = match out {
            Out::Frame(frame) => to.write_all(&frame.encode().unwrap()).await,
            Out::Bytes(bytes) => to.write_all(&bytes).await,
            Out::Crumbs(frame) => crumbs(&mut to, &frame).await,
            Out::Later(frame) => {
                let late = late.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(A_WHILE).await;
                    let _ = late.send(frame);
                });
                Ok(())
            }
            Out::Close => return,
        };
        if written.is_err() {
            return;
        }
    }
}

async fn crumbs(to: &mut OwnedWriteHalf, frame: &Frame) -> std::io::Result<()> {
    for byte in frame.encode().unwrap() {
        to.write_all(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}
