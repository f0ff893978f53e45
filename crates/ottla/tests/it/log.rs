//! `ottla log` on folders: Apache Kafka's golden one, damaged copies of it, and a running node's.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ottla_testkit::{Value, apache_folder};

/// What a command said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn ottla_log(arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    let output = command.arg("log").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Said { code, out: text(output.stdout), err: text(output.stderr) }
}

/// Apache Kafka's folder, in a fresh place.
fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("log").join(name);
    let _ = fs::remove_dir_all(&root);
    for (path, bytes) in apache_folder() {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Names and bytes of every file.
fn content(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(content(&path)),
            false => files.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    files.sort();
    files
}

#[test]
fn a_folder_in_order_is_said_to_be() {
    let root = folder("in-order");
    let before = content(&root);
    let said = ottla_log(&["verify", "--deep", text(&root)]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.contains("nothing is wrong"), "{}", said.out);
    let summary = "read 36.6 kB in 8 partitions, 14 segments, 440 batches, 489 records";
    assert!(said.out.contains(summary), "{}", said.out);
    assert_eq!(content(&root), before, "verifying writes nothing");
}

#[test]
fn damage_is_shown_mended_and_gone() {
    for (way, lost, end) in [
        ("--skip-damage", "lost: offset 9\n", 23),
        ("--truncate-at-damage", "lost: offset 9 and all behind it", 9),
    ] {
        let root = folder(way.trim_start_matches('-'));
        let partition = root.join("transactions-0");
        let segment = partition.join("00000000000000000004.log");
        flip(&segment, 470);
        let said = ottla_log(&["verify", text(&root)]);
        assert_eq!(said.code, 1);
        let found = "395   80 bytes cannot be read, offset 9 with them: the stored checksum is";
        assert!(said.out.contains(found), "{}", said.out);
        assert!(said.out.contains("1 of damage"), "{}", said.out);

        let before = content(&root);
        let said = ottla_log(&["recover", text(&partition), way]);
        assert_eq!(said.code, 1, "{}", said.out);
        assert!(said.out.contains(lost), "{}", said.out);
        assert!(said.out.ends_with("Nothing was changed. Add --yes to do it.\n"), "{}", said.out);
        let mut after = content(&root);
        after.retain(|(path, _)| path.file_name().unwrap() != ".lock");
        assert_eq!(after, before);

        let said = ottla_log(&["recover", text(&partition), way, "--yes"]);
        assert_eq!(said.code, 0, "{} {}", said.out, said.err);
        assert!(said.out.contains(&format!("the log goes on at offset {end}")), "{}", said.out);
        let kept = partition.join(".ottla-damaged-00000000000000000004-395");
        let said = ottla_log(&["dump", text(&kept)]);
        assert!(said.out.contains("BAD: the stored checksum is"), "{} {}", said.out, said.err);
        let said = ottla_log(&["verify", text(&root)]);
        assert_eq!(said.code, 0, "{}", said.out);
        let said = ottla_log(&["recover", text(&partition)]);
        assert_eq!(said.code, 0);
        assert!(said.out.contains(&format!("whole, up to offset {end}")), "{}", said.out);
    }
}

#[test]
fn without_a_choice_both_ways_are_explained() {
    let root = folder("choice");
    let partition = root.join("transactions-0");
    flip(&partition.join("00000000000000000004.log"), 470);
    let said = ottla_log(&["recover", text(&partition), "--yes"]);
    let expected = "\
--skip-damage leaves the damage out and keeps what is good behind it
    lost: offset 9
    the log goes on at offset 23
--truncate-at-damage ends the log in front of the damage
    lost: offset 9 and all behind it, 1.0 kB of good batches
    the log goes on at offset 9: consumers that have read further must be reset
Nothing was changed. Choose one of these, and add --yes.
";
    assert_eq!(said.code, 1);
    assert!(said.out.ends_with(expected), "{}", said.out);
}

#[test]
fn a_batch_is_a_row_and_a_record_a_line() {
    let root = folder("dump");
    let path = root.join("idempotent-0");
    let said = ottla_log(&["dump", text(&path), "--records", "--offset", "19", "--limit", "2"]);
    let expected = "\
POSITION  BASE  LAST  EPOCH  PRODUCER  PEPOCH  SEQUENCE  RECORDS  BYTES  CODEC  MAX-TIME                  FLAGS  CRC
76        19    19    0      0         0       19        1        81     none   2023-11-14T22:13:39.000Z  -      ok
    19  2023-11-14T22:13:39.000Z  \"key-3\"  \"value-19\"
157       20    29    0      1         0       0         10       224    lz4    2023-11-14T22:13:49.000Z  -      ok
    20  2023-11-14T22:13:40.000Z  \"key-0\"  \"value-20\"  \"n\"=0x14
";
    assert_eq!(said.code, 0);
    assert!(said.out.contains(expected), "{}", said.out);
}

#[test]
fn every_file_of_a_folder_can_be_dumped() {
    let root = folder("every-file");
    for (path, _) in content(&root) {
        let said = ottla_log(&["dump", text(&path), "--records", "--output", "json"]);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", path.display());
        let _: Value = said.out.parse().unwrap_or_else(|error| panic!("{error:?}: {}", said.out));
    }
    let said = ottla_log(&["dump", text(&root.join("__cluster_metadata-0")), "-r"]);
    let record = "FeatureLevelRecord { name: \"metadata.version\", feature_level: 30 }";
    assert!(said.out.contains(record), "{}", said.out);
}

#[test]
fn a_damaged_batch_is_a_row_as_well() {
    let root = folder("dump-damaged");
    let segment = root.join("transactions-0/00000000000000000004.log");
    flip(&segment, 470);
    let said = ottla_log(&["dump", text(&segment)]);
    assert_eq!(said.code, 1);
    let row = said.out.lines().find(|line| line.starts_with("395 ")).unwrap();
    assert!(row.contains("damaged") && row.contains("BAD: the stored checksum is"), "{row}");
    assert!(said.out.contains("\n475 "), "what follows is shown: {}", said.out);
}

/// Arguments, and the line that tells what is wrong with them.
#[test]
fn mistakes_have_their_line() {
    let root = folder("mistakes");
    let root = text(&root);
    refused(&["dump", "/nowhere"], "/nowhere: No such file or directory (os error 2)");
    refused(
        &["verify", "/proc"],
        "/proc is neither a log directory nor a partition's: the first has \
            a file meta.properties, the second files whose names end in .log",
    );
    let partition = format!(
        "{root} is not a partition's directory: give the one that holds the \
                             damaged .log files, as in /var/lib/ottla/orders-0"
    );
    refused(&["recover", root], &partition);
    let metadata = format!("{root}/__cluster_metadata-0");
    refused(
        &["recover", &metadata, "--skip-damage"],
        "the metadata log cannot do without some of its \
            records: what they said of topics would be wrong; --truncate-at-damage takes back \
            everything since the damage instead",
    );
    assert_eq!(ottla_log(&["recover", &metadata, "--skip-damage", "--truncate-at-damage"]).code, 2);
}

fn refused(arguments: &[&str], told: &str) {
    let said = ottla_log(arguments);
    assert_eq!((said.code, said.err, said.out.as_str()), (1, format!("ottla: {told}\n"), ""));
}

/// A node, killed when the test ends.
struct Node(Child);

impl Node {
    /// Returns when it serves.
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        let listeners = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
        let data = format!("log.dirs={}", text(data));
        command.args(["server", "--override", listeners, "--override", &data]);
        let mut node = Self(command.stderr(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(node.0.stderr.take().unwrap()).lines();
        let told: Vec<String> =
            lines.map_while(Result::ok).take_while(|line| !line.contains("stop")).collect();
        assert!(node.0.try_wait().unwrap().is_none(), "the node does not start: {told:?}");
        node
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_running_node_is_respected() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("log/running");
    let _ = fs::remove_dir_all(&root);
    let node = Node::start(&root);
    let said = ottla_log(&["verify", text(&root)]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.contains("beside a running node"), "{}", said.out);
    let metadata = root.join("__cluster_metadata-0");
    let running = format!(
        "a node has {} open: stop it first, since mending a log under a running \
                           node would damage it",
        text(&root)
    );
    refused(&["recover", text(&metadata)], &running);
    drop(node);
    let said = ottla_log(&["verify", text(&root)]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert_eq!(ottla_log(&["recover", text(&metadata)]).code, 0);
}
