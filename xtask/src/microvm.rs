//! `cargo xtask microvm`: boots the enclave as the first process of an emulated
//! machine and talks to it, as a host talks to a Nitro Enclave or a confidential
//! virtual machine.
//!
//! The processor is emulated in software, so this needs no hardware support and
//! proves nothing about memory encryption or evidence. The machine's vsock ends
//! in a Unix socket of `vhost-device-vsock`: the host needs no vsock of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use zkpass_core::frame::{Decoder, Frame, Message};

use crate::image::{self, Kernel, KernelSource};
use crate::shell;

/// Which kernel to boot.
#[derive(clap::Args, Default)]
pub struct Options {
    /// Debian's current kernel is downloaded unless one is given
    #[command(flatten)]
    kernel: KernelSource,
}

/// Programs this needs, and where they come from.
const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64 --version", "Debian: qemu-system-x86"),
    (
        "vhost-device-vsock --version",
        "cargo install --locked vhost-device-vsock",
    ),
    ("dpkg-deb --version", "Debian: dpkg"),
    ("xz --version", "Debian: xz-utils"),
];

/// Emulated machines boot within seconds, but not on a busy host.
const PATIENCE: Duration = Duration::from_secs(180);

/// The shortest wait for the bridge's answer; there is none before the machine has its driver.
const ANSWER_PATIENCE: Duration = Duration::from_millis(200);

const PAUSE: Duration = Duration::from_millis(50);

/// Memory of the machine in MiB.
const MEMORY: u32 = 1024;

/// Boots two machines: one to talk to, one whose enclave ends at once.
pub fn run(options: &Options) -> Result<()> {
    check_tools()?;
    let target = image::target_folder()?;
    let source = if options.kernel.is_given() {
        options.kernel.clone()
    } else {
        KernelSource::package(image::debian_package(&target.join("kernel"))?)
    };
    let kernel = source.read(image::VM_MODULES)?;
    let program = fs::read(image::build_binary(shell::root(), &target)?)?;

    let mut machine = Machine::start(&kernel, &program, &image::usual_arguments())?;
    let result = machine.talk();
    if result.is_err() {
        machine.show_console();
    }
    let times = result?;
    println!(
        "microvm: kernel {}, {} modules, enclave as /init: Hello after {:.1} s, Healthy after {:.1} s",
        kernel.version,
        kernel.modules.len(),
        times.hello.as_secs_f64(),
        times.healthy.as_secs_f64(),
    );
    drop(machine);

    let mut machine = Machine::start(&kernel, &program, &["--nonsense".to_owned()])?;
    let status = machine.end();
    let console = machine.console();
    if status.is_err() || !console.contains("init: the enclave ended: exit status: 2") {
        machine.show_console();
    }
    ensure!(status?.success(), "the emulator failed");
    ensure!(
        console.contains("init: the enclave ended: exit status: 2"),
        "the machine does not say why it ended"
    );
    println!("microvm: the machine ends with its enclave");
    Ok(())
}

fn check_tools() -> Result<()> {
    let missing: Vec<_> = TOOLS
        .iter()
        .filter(|(line, _)| !shell::succeeds(shell::command(line)))
        .map(|(line, source)| {
            let name = line.split(' ').next().unwrap_or(line);
            format!("{name} ({source})")
        })
        .collect();
    if !missing.is_empty() {
        bail!("missing programs: {}", missing.join("; "));
    }
    Ok(())
}

/// An emulated machine; it is stopped when this is dropped.
struct Machine {
    // Dropped in this order.
    emulator: Process,
    _bridge: Process,
    folder: tempfile::TempDir,
    start: Instant,
}

/// From the start of the emulator.
struct Times {
    hello: Duration,
    healthy: Duration,
}

impl Machine {
    fn start(kernel: &Kernel, program: &[u8], arguments: &[String]) -> Result<Self> {
        // Paths of sockets are short, so it is not below the target folder.
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("kernel"), &kernel.image)?;
        let ramdisk = image::whole_ramdisk(&kernel.modules, program, arguments)?;
        fs::write(path("ramdisk"), ramdisk)?;

        let mut bridge = Command::new("vhost-device-vsock");
        bridge
            .arg("--guest-cid=4")
            .arg(option("--socket=", &path("bridge")))
            .arg(option("--uds-path=", &path("vsock")))
            .stdin(Stdio::null())
            .stderr(File::create(path("bridge.log"))?);
        let mut bridge = Process(bridge.spawn().context("cannot start the bridge")?);
        let begin = Instant::now();
        while !path("bridge").exists() {
            if bridge.0.try_wait()?.is_some() || begin.elapsed() > PATIENCE {
                bail!("the bridge did not start: {}", text(&path("bridge.log")));
            }
            thread::sleep(PAUSE);
        }

        let start = Instant::now();
        let mut emulator = Command::new("qemu-system-x86_64");
        emulator
            .args(["-machine", "q35,accel=tcg,memory-backend=memory"])
            .args(["-cpu", "max", "-smp", "2", "-m", &format!("{MEMORY}M")])
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none"])
            // The bridge reads and writes the machine's memory.
            .arg("-object")
            .arg(format!(
                "memory-backend-memfd,id=memory,size={MEMORY}M,share=on"
            ))
            .arg("-chardev")
            .arg(option("socket,id=bridge,path=", &path("bridge")))
            .args(["-device", "vhost-user-vsock-pci,chardev=bridge"])
            .arg("-serial")
            .arg(option("file:", &path("console")))
            .arg("-kernel")
            .arg(path("kernel"))
            .arg("-initrd")
            .arg(path("ramdisk"))
            .args(["-append", image::VM_COMMAND_LINE])
            .stdin(Stdio::null());
        let emulator = Process(emulator.spawn().context("cannot start the emulator")?);
        Ok(Self {
            emulator,
            _bridge: bridge,
            folder,
            start,
        })
    }

    /// Waits for the greeting and asks for a sign of life.
    fn talk(&mut self) -> Result<Times> {
        let mut connection = loop {
            if let Some(status) = self.emulator.0.try_wait()? {
                bail!("the machine ended: {status}");
            }
            if self.start.elapsed() > PATIENCE {
                bail!("the enclave does not listen");
            }
            // On a slow host everything takes longer, the answer too.
            let patience = ANSWER_PATIENCE.max(self.start.elapsed() / 5);
            match Connection::open(&self.folder.path().join("vsock"), patience) {
                Ok(connection) => break connection,
                Err(_) => thread::sleep(PAUSE),
            }
        };
        connection.stream.set_read_timeout(Some(PATIENCE))?;
        let greeting = connection.receive()?;
        let Message::Hello { info } = greeting.message else {
            bail!("no greeting but {greeting:?}");
        };
        ensure!(info.is_signed(), "the greeting is not signed");
        let hello = self.start.elapsed();

        let request_id = 7;
        let message = Message::Health;
        let frame = Frame {
            request_id,
            message,
        };
        connection.stream.write_all(&frame.encode()?)?;
        let expected = Frame {
            request_id,
            message: Message::Healthy {
                waiting: 0,
                running: 0,
            },
        };
        let answer = connection.receive()?;
        ensure!(answer == expected, "not healthy: {answer:?}");
        let healthy = self.start.elapsed();
        Ok(Times { hello, healthy })
    }

    /// Waits for the machine to end by itself.
    fn end(&mut self) -> Result<ExitStatus> {
        while self.start.elapsed() < PATIENCE {
            if let Some(status) = self.emulator.0.try_wait()? {
                return Ok(status);
            }
            thread::sleep(PAUSE);
        }
        bail!("the machine does not end")
    }

    fn console(&self) -> String {
        text(&self.folder.path().join("console"))
    }

    fn show_console(&self) {
        eprintln!("--- console\n{}\n---", self.console());
        eprintln!(
            "--- bridge\n{}\n---",
            text(&self.folder.path().join("bridge.log"))
        );
    }
}

/// A process that is stopped when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // If it has ended already, that is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection to the enclave through the bridge.
struct Connection {
    stream: UnixStream,
    decoder: Decoder,
}

impl Connection {
    /// Asks the bridge for the port of the enclave. Fails until the enclave listens.
    fn open(socket: &Path, patience: Duration) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(patience))?;
        writeln!(stream, "CONNECT {}", image::VSOCK_PORT)?;
        let mut line = Vec::new();
        let mut byte = [0];
        // One by one: what follows the line belongs to the enclave.
        while line.last() != Some(&b'\n') {
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        ensure!(line.starts_with(b"OK "), "the bridge refused");
        Ok(Self {
            stream,
            decoder: Decoder::default(),
        })
    }

    fn receive(&mut self) -> Result<Frame> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            let count = self.stream.read(&mut bytes)?;
            ensure!(count > 0, "the enclave closed the connection");
            self.decoder.push(&bytes[..count]);
        }
    }
}

fn option(start: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(start);
    option.push(path);
    option
}

fn text(path: &Path) -> String {
    fs::read(path).map_or_else(
        |error| error.to_string(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
