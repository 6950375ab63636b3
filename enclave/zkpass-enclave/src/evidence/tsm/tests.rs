use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use tempfile::TempDir;

use super::*;

const SHORT: Duration = Duration::from_millis(500);

/// A directory in which a thread does what the kernel does in configfs.
struct Tree {
    directory: TempDir,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The report for 64 bytes of data.
type Report = fn(&[u8]) -> Vec<u8>;

/// How the tree behaves.
#[derive(Clone, Copy)]
struct Kernel {
    provider: &'static str,
    report: Report,
    auxiliary: Option<&'static [u8]>,
    /// Added to the generation besides the one for our write: somebody else wrote too.
    foreign_writes: fn(round: u64) -> u64,
}

const SNP: Kernel = Kernel {
    provider: "sev_guest\n",
    report: snp_report,
    auxiliary: Some(b"certificates"),
    foreign_writes: |_| 0,
};

fn snp_report(data: &[u8]) -> Vec<u8> {
    let mut report = vec![0; 1184];
    report[0x50..0x90].copy_from_slice(data);
    report[0x90..0xc0].fill(0xab);
    report
}

fn tdx_quote(version: u8, body: usize, data: &[u8]) -> Vec<u8> {
    let mut quote = vec![0; 1000];
    quote[0] = version;
    quote[body + 136..body + 184].fill(0xcd);
    quote[body + 520..body + 584].copy_from_slice(data);
    quote
}

impl Tree {
    fn start(kernel: Kernel) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let root = directory.path().to_owned();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            // Per entry: the generation and what was answered last.
            let mut entries: HashMap<PathBuf, (u64, Vec<u8>)> = HashMap::new();
            let mut round = 0;
            while !stopped.load(Ordering::Relaxed) {
                for path in fs::read_dir(&root)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                {
                    // Entries go while we look at them: then there is nothing to do.
                    let _ = animate(&path, kernel, &mut entries, &mut round);
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            directory,
            stop,
            thread: Some(thread),
        }
    }

    fn open(&self, wanted: Option<Platform>) -> Result<Tsm, EvidenceSourceError> {
        Tsm::open_within(self.directory.path(), wanted, SHORT)
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.directory.path())
            .unwrap()
            .next()
            .is_none()
    }
}

fn animate(
    path: &Path,
    kernel: Kernel,
    entries: &mut HashMap<PathBuf, (u64, Vec<u8>)>,
    round: &mut u64,
) -> io::Result<()> {
    let replace = |attribute: &str, bytes: &[u8]| {
        let unfinished = path.join(".new");
        fs::write(&unfinished, bytes)?;
        fs::rename(unfinished, path.join(attribute))
    };
    if !entries.contains_key(path) {
        replace("generation", b"0\n")?;
        replace("provider", kernel.provider.as_bytes())?;
        replace("inblob", b"")?;
        entries.insert(path.to_owned(), (0, Vec::new()));
        return Ok(());
    }
    let (generation, answered) = entries.get_mut(path).unwrap();
    let data = fs::read(path.join("inblob"))?;
    if data.len() == BINDING_BYTES {
        *round += 1;
        *generation += 1 + (kernel.foreign_writes)(*round);
        *answered = data;
        replace("inblob", b"")?;
        replace("generation", format!("{generation}\n").as_bytes())?;
        // As a slow firmware: the report comes later than the count.
        thread::sleep(Duration::from_millis(3));
        if let Some(auxiliary) = kernel.auxiliary {
            replace("auxblob", auxiliary)?;
        }
        replace("outblob", &(kernel.report)(answered))?;
    }
    Ok(())
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

#[test]
fn snp_reports_come_with_their_certificates() {
    let tree = Tree::start(SNP);
    for wanted in [None, Some(Platform::SevSnp)] {
        let mut source = tree.open(wanted).unwrap();
        assert_eq!(source.platform(), Platform::SevSnp);
        assert_eq!(
            source.measurement_id(),
            format!("sev-snp:{}", "ab".repeat(48))
        );
        let evidence = source.evidence(&[5; BINDING_BYTES], &[6; 32]).unwrap();
        assert_eq!(evidence.document, snp_report(&[5; BINDING_BYTES]));
        assert_eq!(evidence.endorsements, b"certificates");
    }
    assert!(tree.is_empty(), "entries are left behind");
}

#[test]
fn tdx_quotes_of_both_versions_are_read() {
    let kernels: [Report; 2] = [|data| tdx_quote(4, 48, data), |data| tdx_quote(5, 54, data)];
    for report in kernels {
        let tree = Tree::start(Kernel {
            provider: "tdx_guest\n",
            report,
            auxiliary: None,
            ..SNP
        });
        let mut source = tree.open(Some(Platform::Tdx)).unwrap();
        assert_eq!(source.measurement_id(), format!("tdx:{}", "cd".repeat(48)));
        let evidence = source.evidence(&[5; BINDING_BYTES], &[6; 32]).unwrap();
        assert_eq!(evidence.document, report(&[5; BINDING_BYTES]));
        assert!(evidence.endorsements.is_empty());
    }
}

#[test]
fn a_report_is_asked_for_again_after_a_foreign_write() {
    // The first two writes meet another one, later ones do not.
    let tree = Tree::start(Kernel {
        foreign_writes: |round| u64::from(round <= 2),
        ..SNP
    });
    assert!(tree.open(None).is_ok());

    let tree = Tree::start(Kernel {
        foreign_writes: |round| u64::from(round > 1),
        ..SNP
    });
    let mut source = tree.open(None).unwrap();
    assert!(matches!(
        source.evidence(&[5; BINDING_BYTES], &[6; 32]),
        Err(EvidenceUnavailable::Contended)
    ));
    assert!(tree.is_empty(), "the entry of a failure is left behind");
}

#[test]
fn reports_that_are_wrong_are_not_passed_on() {
    let cases: [(Report, &str); 3] = [
        (|_| snp_report(&[1; BINDING_BYTES]), "does not carry"),
        (|data| snp_report(data)[..0xa0].to_vec(), "no launch"),
        (|_| vec![0; MAX_BLOB_BYTES + 1], "more than"),
    ];
    for (report, expected) in cases {
        let tree = Tree::start(Kernel { report, ..SNP });
        let message = tree.open(None).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(tree.is_empty());
    }
    let tree = Tree::start(Kernel {
        provider: "tdx_guest",
        report: |data| tdx_quote(3, 48, data),
        ..SNP
    });
    let message = tree.open(None).unwrap_err().to_string();
    assert!(message.contains("no launch"), "{message}");
}

#[test]
fn silence_ends_in_time() {
    // Nobody makes attributes here.
    let directory = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let error = Tsm::open_within(directory.path(), None, SHORT).unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
    assert!(begin.elapsed() < 20 * SHORT);
    assert!(fs::read_dir(directory.path()).unwrap().next().is_none());

    // A report that never comes.
    let tree = Tree::start(Kernel {
        report: |_| Vec::new(),
        ..SNP
    });
    let message = tree.open(None).unwrap_err().to_string();
    assert!(message.contains("in time"), "{message}");
}

#[test]
fn the_platform_must_be_the_one_that_is_asked_for() {
    let tree = Tree::start(SNP);
    let message = tree.open(Some(Platform::Tdx)).unwrap_err().to_string();
    assert!(message.contains("`sev_guest`"), "{message}");
    assert!(message.contains("`tdx_guest`"), "{message}");

    let tree = Tree::start(Kernel {
        provider: "arm_cca_guest\n",
        ..SNP
    });
    let error = tree.open(None).unwrap_err();
    assert!(matches!(error, EvidenceSourceError::OtherProvider { .. }));

    let nowhere = tempfile::tempdir().unwrap().path().join("gone");
    let error = Tsm::open(&nowhere, None).unwrap_err();
    assert!(matches!(error, EvidenceSourceError::NoTsmProvider { .. }));
    assert!(error.to_string().contains("--tsm-root"), "{error}");
}
