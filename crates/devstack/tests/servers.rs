//! The servers answer, and die with whoever started them.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use devstack::Console;
use devstack::paths::Paths;
use devstack::run_dir::{Data, RunDir};

/// All children are gone within this after a `kill -9` of devstack.
const GONE_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// A devstack of this test's own; killed when the test fails.
struct Devstack(Child);

impl Drop for Devstack {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

#[test]
fn the_servers_answer_and_die_with_a_devstack_that_is_killed() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_devstack"))
        .arg("servers")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("devstack starts");
    let output = child.stdout.take().expect("it is piped");
    let devstack = Devstack(child);
    let lines: Vec<String> = BufReader::new(output).lines().map_while(Result::ok).take(3).collect();
    let value = |name: &str| {
        let mut pairs = lines.iter().filter_map(|l| l.strip_prefix("export ")?.split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found.unwrap_or_else(|| panic!("{name} is not among {lines:?}")).1.to_owned()
    };

    let redis = value("BOXOFFICE_TEST_REDIS");
    assert_eq!(ask(address(&redis), b"PING\r\n", 7), b"+PONG\r\n");
    // PostgreSQL answers a request for TLS with one letter.
    let postgres = value("BOXOFFICE_TEST_POSTGRES");
    let tls_request = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    assert_eq!(ask(address(&postgres), &tls_request, 1), b"N");
    let name_server = value("BOXOFFICE_TEST_NAMESRV");
    TcpStream::connect(&name_server).expect("the name server listens");

    let paths = Paths::find().expect("the places of this checkout");
    let run = run_of(&paths.devstack, devstack.0.id());
    let pids = pids(&run);
    assert_eq!(pids.len(), 4, "PostgreSQL, Redis, name server, broker: {pids:?}");
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    drop(devstack);
    let killed = Instant::now();
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(killed.elapsed() < GONE_MAX, "still alive: {pids:?}");
        thread::sleep(POLL);
    }
    // What the next start does.
    drop(RunDir::create(&paths.devstack, Data::Remove, &Console::quiet()).expect("a next run"));
    assert!(!run.exists(), "{} is still there", run.display());
}

/// `host:port` of a URL.
fn address(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    host.rsplit('@').next().unwrap_or(host)
}

fn ask(address: &str, request: &[u8], answer_bytes: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(request).expect("it reads");
    let mut answer = vec![0; answer_bytes];
    stream.read_exact(&mut answer).expect("it answers");
    answer
}

fn run_of(devstack: &Path, pid: u32) -> PathBuf {
    let prefix = format!("run-{pid}-");
    let entries = fs::read_dir(devstack).expect("the runs can be listed").flatten();
    let mut runs = entries.map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    });
    runs.next().expect("the run has a directory")
}

fn pids(run: &Path) -> Vec<u32> {
    let files = fs::read_dir(run.join("pids")).expect("the pids can be listed").flatten();
    files
        .map(|file| fs::read_to_string(file.path()).expect("a pid file can be read"))
        .map(|text| text.trim().parse().expect("it holds a pid"))
        .collect()
}

/// A zombie is dead, although nobody has asked how it ended.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
