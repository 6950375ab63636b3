use std::{os::unix::fs::symlink, time::Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;

#[derive(Debug)]
struct Echo;

impl Reporter for Echo {
    fn provider(&self) -> &'static str {
        "sev_guest"
    }

    fn report(&self, data: &[u8; REQUEST_BYTES]) -> Option<Report> {
        Some(Report {
            outblob: data.to_vec(),
            auxblob: b"certificates".to_vec(),
        })
    }
}

fn start() -> (Runtime, TempDir, PathBuf, Simulator) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tsm");
    let entered = runtime.enter();
    let simulator = Simulator::start(root.clone(), Arc::new(Echo)).unwrap();
    drop(entered);
    (runtime, directory, root, simulator)
}

fn reaches(path: &Path, expected: &[u8]) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if fs::read(path).is_ok_and(|bytes| bytes == expected) {
            return true;
        }
        std::thread::sleep(TICK);
    }
    false
}

/// Without making or cutting the file, as for the kernel's.
fn write(path: &Path, bytes: &[u8]) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn an_entry_answers_request_after_request() {
    let (_runtime, _directory, root, _simulator) = start();
    for name in ["one", "two"] {
        let entry = root.join(name);
        fs::create_dir(&entry).unwrap();
        assert!(reaches(&entry.join("generation"), b"0\n"));
        assert_eq!(fs::read(entry.join("provider")).unwrap(), b"sev_guest\n");
        for (count, data) in [[1; 64], [2; 64], [2; 64]].iter().enumerate() {
            write(&entry.join("inblob"), data);
            let generation = format!("{}\n", count + 1);
            assert!(reaches(&entry.join("generation"), generation.as_bytes()));
            assert!(reaches(&entry.join("outblob"), data));
            assert_eq!(fs::read(entry.join("auxblob")).unwrap(), b"certificates");
        }
        fs::remove_dir_all(&entry).unwrap();
    }
}

#[test]
fn a_request_of_another_length_is_not_answered() {
    let (_runtime, _directory, root, _simulator) = start();
    let entry = root.join("entry");
    fs::create_dir(&entry).unwrap();
    assert!(reaches(&entry.join("generation"), b"0\n"));
    write(&entry.join("inblob"), &[1; 63]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fs::read(entry.join("generation")).unwrap(), b"0\n");
    write(&entry.join("inblob"), &[1; 65]);
    // It is taken away, and a good one is answered.
    assert!(reaches(&entry.join("inblob"), b""));
    write(&entry.join("inblob"), &[3; 64]);
    assert!(reaches(&entry.join("outblob"), &[3; 64]));
    assert_eq!(fs::read(entry.join("generation")).unwrap(), b"1\n");
}

#[test]
fn nothing_outside_is_touched() {
    let (_runtime, directory, root, _simulator) = start();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let precious = outside.join("precious");
    fs::write(&precious, [7; 64]).unwrap();

    symlink(&outside, root.join("link")).unwrap();
    let entry = root.join("entry");
    fs::create_dir(&entry).unwrap();
    assert!(reaches(&entry.join("generation"), b"0\n"));
    for attribute in ["inblob", "outblob", "generation"] {
        fs::remove_file(entry.join(attribute)).unwrap();
        symlink(&precious, entry.join(attribute)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fs::read(&precious).unwrap(), [7; 64]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    // The others are served on.
    let other = root.join("other");
    fs::create_dir(&other).unwrap();
    assert!(reaches(&other.join("generation"), b"0\n"));
    write(&other.join("inblob"), &[3; 64]);
    assert!(reaches(&other.join("outblob"), &[3; 64]));
}
