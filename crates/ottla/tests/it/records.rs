//! `ottla produce` and `ottla consume`.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::node::{Node, quiet_ottla};

#[test]
fn a_first_record_is_written_and_read() {
    let node = Node::start("first-record");
    let said = node.ottla(&["produce", "hello", "first message", "-k", "me", "-H", "by=hand"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    assert!(said.err.starts_with("ottla: created topic hello (1 partition)\n"), "{said:?}");
    assert!(said.err.contains("ottla: sent to hello[0]@0 in "), "{said:?}");
    assert_eq!(node.ottla(&["consume", "hello", "-e"]).ok(), "first message\n");
    let people = node.ottla(&["consume", "hello", "-e", "--output", "table"]).ok();
    assert!(
        people.starts_with("hello[0]@0  20") && people.ends_with("  me  first message  by=hand\n"),
        "{people}"
    );
    let json = node.ottla(&["consume", "hello", "-n", "1", "--output", "json"]).ok();
    assert!(
        json.starts_with(
            "{\"ottla\":1,\"kind\":\"record\",\"topic\":\"hello\",\"partition\":0,\"offset\":0,"
        ),
        "{json}"
    );
    assert!(json.ends_with("\"key\":\"me\",\"value\":\"first message\",\"headers\":[{\"name\":\"by\",\"value\":\"hand\"}]}\n"), "{json}");
    let typo = node.ottla(&["consume", "helo", "-e"]);
    assert!(typo.err.contains("there is no topic helo; did you mean hello?"), "{typo:?}");
    assert_eq!(node.ottla(&["topic", "list", "helo"]).ok().lines().count(), 1, "asking makes none");
}

#[test]
fn lines_become_records_and_places_are_found() {
    let node = Node::start("lines");
    node.ottla(&["topic", "create", "t"]).ok();
    let lines: String = (0..10).map(|number| format!("k{number}:v{number}\n")).collect();
    let sent = node.ottla_given(&lines, &["produce", "t", "-K", ":", "-z", "lz4"]);
    assert!(sent.err.contains("sent 10 records to t in "), "{sent:?}");
    for (arguments, expected) in [
        (&["-e", "-o", "8"][..], "v8\nv9\n"),
        (&["-e", "-o", "-2"], "v8\nv9\n"),
        (&["-e", "-o", "+9"], "v9\n"),
        (&["-o", "2:4"], "v2\nv3\n"),
        (&["-o", "start:+1"], "v0\n"),
        (&["-o", "@-1h:@now", "-n", "2"], "v0\nv1\n"),
        (&["-o", "@now", "-e"], ""),
        (&["-o", "end", "-e"], ""),
        (&["--tail", "1", "-e"], "v9\n"),
        (&["-n", "1", "-f", "%t[%p]@%o %k=%s %K %S\\n"], "t[0]@0 k0=v0 2 2\n"),
        (&["-e", "--filter", "key=k7"], "v7\n"),
        (&["-e", "--filter", "value~^v[12]", "--filter", "key=*1"], "v1\n"),
        (&["-e", "--filter", "v3"], "v3\n"),
        (&["-e", "-p", "0", "-n", "1"], "v0\n"),
    ] {
        let all = [&["consume", "t"], arguments].concat();
        assert_eq!(node.ottla(&all).ok(), expected, "{arguments:?}");
    }
    let nowhere = node.ottla(&["consume", "t", "-p", "3"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.err.contains("topic t has 1 partitions, and none of number 3"), "{nowhere:?}");
}

#[test]
fn a_file_comes_back_as_it_was() {
    let node = Node::start("file");
    let text: String =
        (0..40_000).map(|number| format!("{number:06} {}\n", "x".repeat(100))).collect();
    let path = node.folder().join("lines.txt");
    fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    node.ottla(&["produce", "big", "--file", path, "-p", "0", "-q"]).ok();
    assert!(node.ottla(&["consume", "big", "-e"]).ok() == text, "every line, in order");
    node.ottla(&["produce", "zipped", "--file", path, "-p", "0", "-q", "-z", "zstd"]).ok();
    assert!(node.ottla(&["consume", "zipped", "-e"]).ok() == text, "every line, in order");
    let missing = node.ottla(&["produce", "none", "--file", "/nowhere"]);
    assert_eq!(
        (missing.code, missing.err.as_str()),
        (1, "ottla: cannot read /nowhere: No such file or directory (os error 2)\n")
    );
    assert_eq!(node.ottla(&["topic", "list", "none"]).ok().lines().count(), 1, "nothing was made");
}

#[test]
fn tombstones_formats_and_refusals() {
    let node = Node::start_with("refusals", &["auto.create.topics.enable=false"]);
    let refused = node.ottla(&["produce", "ordrs", "x"]);
    let told = "ottla: there is no topic ordrs (`ottla topic list` shows all), and this cluster makes none on the fly: `ottla topic create ordrs` does\n";
    assert_eq!((refused.code, refused.err.as_str()), (1, told));
    node.ottla(&["topic", "create", "t", "-p", "2", "-s", "max.message.bytes=500"]).ok();
    node.ottla_given("1 a b\n0 c d\n", &["produce", "t", "-f", "%p %k %v"]).ok();
    node.ottla_given("e=\n", &["produce", "t", "-K", "=", "-Z", "-p", "1"]).ok();
    let read = node.ottla(&["consume", "t", "-e", "-p", "1", "-f", "%k %v %S\\n"]).ok();
    assert_eq!(read, "a b 1\ne  -1\n");
    let unfit = node.ottla_given("nonsense\n", &["produce", "t", "-f", "%p %k %v"]);
    assert_eq!(
        (unfit.code, unfit.err.as_str()),
        (1, "ottla: this line does not fit the format: nonsense\n")
    );
    let large = node.ottla(&["produce", "t", "-p", "0", &"x".repeat(1_000)]);
    assert_eq!(large.code, 1);
    assert!(large.err.contains("1 record not written, 0 written"), "{large:?}");
    assert!(large.err.contains("MESSAGE_TOO_LARGE"), "{large:?}");
    assert_eq!(node.ottla(&["produce", "t", "-f", "%k%v"]).code, 2);
    assert_eq!(node.ottla(&["consume", "t", "-o", "x"]).code, 2);
}

#[test]
fn a_group_goes_on_where_it_was() {
    let node = Node::start("group-consume");
    node.ottla(&["topic", "create", "t", "-p", "2"]).ok();
    node.ottla_given("a\nb\nc\nd\n", &["produce", "t", "-p", "1"]).ok();
    let read = |count: &str| node.ottla(&["consume", "t", "-g", "readers", "-n", count]).ok();
    assert_eq!(read("1"), "a\n");
    assert_eq!(read("2"), "b\nc\n");
    assert_eq!(node.ottla(&["consume", "t", "-g", "readers", "-e"]).ok(), "d\n");
    let modern = ["consume", "t", "-g", "modern", "-e", "-X", "group.protocol=consumer"];
    assert_eq!(node.ottla(&modern).ok(), "a\nb\nc\nd\n");
}

#[test]
fn records_come_as_they_are_written() {
    let node = Node::start("follow");
    node.ottla(&["produce", "t", "old"]).ok();
    let mut command = quiet_ottla();
    command.env("OTTLA_BOOTSTRAP", &node.address).args(["consume", "t", "-o", "end", "-n", "1"]);
    let mut reader = command.stdout(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // The reader may look for the end at any time: one of these is behind it.
    while reader.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "nothing came");
        node.ottla(&["produce", "t", "new"]).ok();
    }
    let mut text = String::new();
    reader.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "new\n");
}
