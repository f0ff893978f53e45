//! `ottla dev`: nodes that one starts without thinking.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::node::{Said, quiet_ottla, said};

/// A node as somebody starts it at a terminal.
struct Dev {
    child: Child,
    banner: Vec<String>,
}

impl Dev {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = quiet_ottla();
        command.current_dir(folder).args(arguments).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let mut node = Self { child, banner: Vec::new() };
        for line in BufReader::new(stderr).lines() {
            node.banner.push(line.unwrap());
            if node.banner.last().unwrap().starts_with("  stop") {
                return node;
            }
        }
        panic!("it does not start: {:?}", node.banner);
    }

    /// What the banner says of something.
    fn says(&self, name: &str) -> &str {
        let lines = self.banner.iter().filter_map(|line| line.trim().strip_prefix(name));
        lines.map(str::trim).next().unwrap_or_else(|| panic!("no {name} in {:?}", self.banner))
    }

    fn address(&self) -> &str {
        let (_, rest) = self.says("listening").split_once("PLAINTEXT://").unwrap();
        rest.split(',').next().unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.says("data").split(" (").next().unwrap().into()
    }

    /// Runs a line as somebody types it who has read the banner.
    fn ottla(line: &str) -> Said {
        let mut command = Command::new("sh");
        let binary = Path::new(env!("CARGO_BIN_EXE_ottla")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", binary.display())).args(["-c", line]);
        command.env_remove("OTTLA_BOOTSTRAP").env_remove("KAFKA_BOOTSTRAP_SERVERS");
        said(command, "")
    }

    /// As Ctrl-C does.
    fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fresh(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_node_in_memory_leaves_nothing() {
    let folder = fresh("memory");
    let node = Dev::start(&folder, &["dev", "--memory", "--port", "auto"]);
    assert!(node.says("data").ends_with("(in memory: gone when the node ends)"));
    assert_eq!(node.says("stop"), "Ctrl-C; the data goes with it");
    let data = node.folder();
    assert!(data.starts_with("/dev/shm") && data.join("meta.properties").exists(), "{data:?}");
    assert_eq!(Dev::ottla(node.says("try")).code, 0);
    let read = Dev::ottla(&format!("ottla consume hello -e -b {}", node.address()));
    assert_eq!(read.ok(), "first message\n");
    assert_eq!(node.stop(), Some(0));
    assert!(!data.exists());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing where it was started");
}

#[test]
fn what_a_kill_leaves_in_memory_is_swept_up_by_the_next() {
    let folder = fresh("swept");
    let killed = Dev::start(&folder, &["dev", "--memory", "--port", "auto"]);
    let left = killed.folder();
    let beside = Dev::start(&folder, &["dev", "--memory", "--port", "auto"]);
    assert!(left.exists() && left != beside.folder(), "it is in use");
    drop(killed);
    assert!(left.exists(), "nobody was there to remove it");
    let next = Dev::start(&folder, &["--memory", "--port", "auto"]);
    assert!(!left.exists() && beside.folder().exists());
    assert_eq!((next.stop(), beside.stop()), (Some(0), Some(0)));
}

#[test]
fn a_node_on_another_port_keeps_its_data() {
    let folder = fresh("port");
    let first = Dev::start(&folder, &["--port", "auto"]);
    assert!(first.folder().ends_with("dev/port/ottla-data"), "{:?}", first.banner);
    assert_eq!(Dev::ottla(first.says("try")).code, 0);
    assert_eq!(first.stop(), Some(0));
    let second = Dev::start(&folder, &["dev", "--port", "auto"]);
    let read = Dev::ottla(&format!("ottla consume hello -e -b {}", second.address()));
    assert_eq!(read.ok(), "first message\n");
    assert_eq!(second.stop(), Some(0));
}
