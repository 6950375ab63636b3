//! The real service with the real enclave, as processes on loopback.
//!
//! The programs are taken from the target directory that this test was built
//! into. `cargo test --workspace` builds them; before `-p zkpass-client` alone,
//! or after changing them, run
//! `cargo build -p zkpass-service -p zkpass-enclave -p zkpass-launcher` with the same profile.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use zkpass_attest::policy::MeasuredValues;
use zkpass_attest::{Measurement, danger::trust_development_root};
use zkpass_client::holder::{self, Holder, HolderBuilder, Request};
use zkpass_client::issuer::Issuer;
use zkpass_client::verifier::{DvrBuilder, Policy};
use zkpass_client::{attestation, keys};
use zkpass_core::dvr::Dvr;
use zkpass_core::encoding::from_hex;
use zkpass_core::keys::{PublicKey, SigningKey};
use zkpass_core::user_data::Profile;

/// Longest any expected event may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running service and its enclave; both end when this is dropped.
pub struct Stack {
    pub url: String,
    /// SHA-256 of the development root that vouches for the enclave.
    pub root: [u8; 32],
    service: Child,
    log: Arc<Mutex<Vec<String>>>,
    directory: TempDir,
}

impl Stack {
    /// Starts the service with these lines of configuration and an enclave.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, "")
    }

    /// The same, with lines of configuration for the enclave too.
    pub fn start_with(config: &str, enclave_config: &str) -> Self {
        Self::start_program(&program("zkpass-enclave"), config, enclave_config)
    }

    /// The same with another program as the enclave.
    pub fn start_program(enclave: &Path, config: &str, enclave_config: &str) -> Self {
        let mut stack = Self::serve(&format!(
            "{config}\n[[enclaves]]\nname = \"e\"\nprogram = {enclave:?}\n{enclave_config}\n"
        ));
        let tee = stack.wait_for_log("in a development TEE", 0);
        let tee: serde_json::Value = serde_json::from_str(&tee).unwrap();
        let root = tee["fields"]["development_root"].as_str().unwrap();
        stack.root = from_hex(root).unwrap();
        // The enclave was started before; its first hello takes a moment.
        stack.wait_for_log("enclave ready", 0);
        stack
    }

    /// Starts the service in front of an enclave that runs already, under a known root.
    pub fn start_connected(socket: &Path, root: [u8; 32]) -> Self {
        let mut stack = Self::serve(&format!(
            "[[enclaves]]\nname = \"e\"\nsocket = {socket:?}\n"
        ));
        stack.root = root;
        stack.wait_for_log("enclave ready", 0);
        stack
    }

    /// Starts the service with a whole configuration but for its address. The
    /// root is unknown, and its enclaves may not be ready yet.
    pub fn serve(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("service.toml");
        std::fs::write(&file, format!("listen = \"127.0.0.1:0\"\n{config}")).unwrap();
        let mut service = Command::new(program("zkpass-service"))
            .args(["--log", "json", "--config"])
            .arg(&file)
            // So that files which it would make are found.
            .current_dir(directory.path())
            .env("TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(service.stderr.take().unwrap()).lines();
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        let mut stack = Self {
            url: String::new(),
            root: [0; 32],
            service,
            log,
            directory,
        };
        let started = stack.wait_for_log("zkpass-service started", 0);
        // The enclave writes to the same standard error, not always whole lines.
        let json = &started[started.find('{').unwrap()..=started.rfind('}').unwrap()];
        let started: serde_json::Value = serde_json::from_str(json).unwrap();
        let address = started["fields"]["address"].as_str().unwrap();
        stack.url = format!("http://{address}");
        stack
    }

    /// Lines of the log of service and enclave so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line with this text at or after an index.
    pub fn wait_for_log(&self, text: &str, from: usize) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let mut new = log.iter().skip(from);
            if let Some(line) = new.find(|line| line.contains(text)) {
                return line.clone();
            }
            assert!(Instant::now() < end, "no `{text}` in {log:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Accepts the enclave program that was built, measured here and not asked for.
    pub fn policy(&self) -> attestation::Policy {
        trust_development_root(pinned(&program("zkpass-enclave")), self.root)
    }

    pub fn holder(&self) -> HolderBuilder {
        Holder::builder(&self.url, self.policy())
    }

    /// The working directory of the service, which is also that of its temporary files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn service_id(&self) -> u32 {
        self.service.id()
    }

    /// The enclave process, below the stage that confines it.
    pub fn enclave_id(&self) -> u32 {
        let stage = child_of(self.service.id()).expect("a stage");
        child_of(stage).expect("an enclave process")
    }

    /// Kills the enclave process, and only it.
    pub fn kill_enclave(&self) {
        self.signal_enclave("KILL");
    }

    /// Sends a signal to the enclave process, and only to it.
    pub fn signal_enclave(&self, name: &str) {
        signal(name, self.enclave_id());
    }
}

/// The process whose parent this is.
pub fn child_of(parent: u32) -> Option<u32> {
    let parent = format!("PPid:\t{parent}");
    let is_child = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        status.is_ok_and(|status| status.lines().any(|line| line == parent))
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let mut numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.find(is_child)
}

/// A policy for one program, with the vendors' roots.
pub fn pinned(program: &Path) -> attestation::Policy {
    let platform = zkpass_launcher::DevPlatform::Nitro;
    let confinement = zkpass_launcher::Confinement::Full;
    let measured = zkpass_launcher::measure(program, &[], platform, confinement).unwrap();
    let pcrs = [measured.pcr0, measured.pcr1, measured.pcr2];
    let measurement = Measurement {
        name: "the build under test".into(),
        not_after: None,
        values: MeasuredValues::Nitro {
            pcrs: (0..).zip(pcrs).collect(),
        },
    };
    attestation::Policy::new([measurement]).unwrap()
}

impl Drop for Stack {
    fn drop(&mut self) {
        signal("TERM", self.service.id());
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if matches!(self.service.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

fn signal(name: &str, pid: u32) {
    let command = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.unwrap().success());
}

pub fn program(name: &str) -> PathBuf {
    // The test program is in `deps` below the directory of the others.
    let own = std::env::current_exe().unwrap();
    let program = own
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join(name);
    assert!(
        is_fresh(&program),
        "`{name}` is not built, or older than its sources: \
         run `cargo build -p zkpass-service -p zkpass-enclave -p zkpass-launcher`"
    );
    program
}

/// Whether a program is younger than every source that is listed for it. With
/// an old one proofs would fail to verify, which leads astray.
fn is_fresh(program: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified());
    let (Ok(built), Some(listed)) = (modified(program), listed_sources(program)) else {
        return false;
    };
    let sources = listed.lines().next().and_then(|line| line.split_once(": "));
    let Some((_, sources)) = sources else {
        return false;
    };
    // A space inside a path is escaped, and such a path is not looked at.
    let mut sources = sources.split(' ').filter(|path| !path.contains('\\'));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    sources.all(|path| modified(&root.join(path)).is_ok_and(|changed| changed <= built))
}

/// The list beside a program that was built for its own sake has the sources of
/// every crate in it. For one that was built along with the tests of its package
/// cargo writes none; then it is the compiler's list, with those of the program.
fn listed_sources(program: &Path) -> Option<String> {
    if let Ok(listed) = std::fs::read_to_string(program.with_extension("d")) {
        return Some(listed);
    }
    // It is a link to the file that the compiler wrote.
    let inode = program.metadata().ok()?.ino();
    let files = std::fs::read_dir(program.parent()?.join("deps")).ok()?;
    let mut files = files.filter_map(Result::ok);
    let original = files.find(|file| file.ino() == inode)?;
    std::fs::read_to_string(original.path().with_extension("d")).ok()
}

/// Three parties and a question.
pub struct Scene {
    pub issuer: Issuer,
    pub verifier: SigningKey,
    pub dvr: Dvr,
    pub token: String,
}

pub const QUERY: &str = r#"[
    {"if": {
        "condition": {">=": [{"get_age": [{"dvar": "born"}, "YYYY-MM-DD"]}, 21]},
        "then": [{"output": {"adult": true}}, {"output": {"name": {"dvar": "name"}}}],
        "else": [{"output": {"adult": false}}]
    }}
]"#;

pub const DATA: &str = r#"{"name":"Ayu","_name_zkpass_public_":true,"born":"1990-03-01"}"#;

impl Scene {
    pub fn new() -> Self {
        Self::with_data(DATA)
    }

    /// The largest document there is, which takes longest to prove.
    pub fn large() -> Self {
        let padding = "x".repeat(2700);
        Self::with_data(&DATA.replace('{', &format!(r#"{{"padding":"{padding}","#)))
    }

    pub fn with_data(data: &str) -> Self {
        let issuer = Issuer::new(keys::generate().unwrap());
        let verifier = keys::generate().unwrap();
        let question = DvrBuilder::new(QUERY)
            .unwrap()
            .document(issuer.public_key().into(), Profile::Zkpass)
            .verifying_key(verifier.public().into())
            .nonce(keys::random_id().unwrap())
            .build()
            .unwrap();
        Self {
            token: issuer.sign(data, Profile::Zkpass).unwrap(),
            dvr: question.dvr().clone(),
            issuer,
            verifier,
        }
    }

    /// Signs the DVR as it is, valid or not.
    pub fn dvr_token(&self) -> String {
        let header = zkpass_core::jws::Header::new("JWT", None);
        let payload = serde_json::json!({ "data": self.dvr }).to_string();
        zkpass_core::jws::sign(&header, payload.as_bytes(), &self.verifier)
    }

    pub fn tokens(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(String::new(), self.token.clone())])
    }

    pub fn request(&self) -> Request {
        Request::new(self.dvr_token(), self.tokens()).from_verifier(self.verifier.public())
    }

    pub fn policy(&self) -> Policy {
        let keys = BTreeMap::from([(String::new(), self.issuer.public_key())]);
        Policy::new(self.dvr.clone(), keys)
    }
}

/// The key by which an enclave signs its proofs.
pub async fn identity(stack: &Stack) -> PublicKey {
    let offers = holder::enclaves(&stack.url).await.unwrap();
    offers[0].info.identity_key
}
