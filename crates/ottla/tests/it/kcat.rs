//! The binary as kcat. What is expected here is what kcat 1.7.1 has written of the same records.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::node::{Node, Said, said};

/// As if the binary were called kcat; nobody's file of properties counts.
fn kcat(node: &Node, stdin: &str, line: &str) -> Said {
    let path = node.folder().join("kcat");
    if !path.exists() {
        symlink(env!("CARGO_BIN_EXE_ottla"), &path).unwrap();
    }
    let mut command = Command::new(path);
    command.args(["-F", "/dev/null", "-b", &node.address]).current_dir(node.folder());
    command.args(line.split(' '));
    said(command, stdin)
}

fn check(node: &Node, line: &str, expected: &str) {
    assert_eq!(kcat(node, "", line).ok(), expected, "{line}");
}

#[test]
fn records_are_read_as_kcat_reads_them() {
    let node = Node::start("kcat-reads");
    node.ottla(&["topic", "create", "t", "-p", "2"]).ok();
    let lines = "a:1\nb:2\nnone\n:empty\nc:\n";
    let sent = kcat(&node, lines, "-P -t t -p 0 -K: -H h1=v1 -H h2=v2");
    assert_eq!((sent.code, sent.out.as_str(), sent.err.as_str()), (0, "", ""), "{sent:?}");
    check(&node, "-C -t t -e -q", "1\n2\nnone\nempty\n\n");
    check(&node, "-Ct t -p0 -eq -o-2", "empty\n\n");
    check(&node, "-C -t t -e -q -o 1 -c 2", "2\nnone\n");
    check(&node, "-C -t t -e -q -o s@0 -o e@99", "");
    check(&node, "-C -t t -e -q -o end", "");
    check(&node, "-C -t t -e -q -c 2 -K| -D;", "a|1;b|2;");
    check(&node, "-C -t t -e -q -o 2 -Z -K,", "NULL,none\nNULL,empty\nc,NULL\n");
    check(&node, "-C -t t -c 1 -f %t[%p]@%o:%k=%s:%K:%S:%h\\n", "t[0]@0:a=1:1:1:h1=v1,h2=v2\n");
    let json = kcat(&node, "", "-C -t t -e -q -J -o 2 -c 1").ok();
    let front = "{\"topic\":\"t\",\"partition\":0,\"offset\":2,\"tstype\":\"create\",\"ts\":";
    let back = ",\"broker\":1,\"headers\":[\"h1\",\"v1\",\"h2\",\"v2\"],\"key\":null,\
                \"payload\":\"none\"}\n";
    assert!(json.starts_with(front) && json.ends_with(back), "{json}");
    let ended = kcat(&node, "", "-C -t t -p 0 -e -o end").err;
    assert_eq!(ended, "", "nothing was read");
    let ended = kcat(&node, "", "-C -t t -p 0 -e").err;
    assert_eq!(ended, "ottla: reached the end of topic t [0] at offset 5: exiting\n");
    check(&node, "-G g -e -q -X auto.offset.reset=earliest -c 3 t", "1\n2\nnone\n");
    check(&node, "-G g -e -q t", "empty\n\n");
}

#[test]
fn records_are_written_as_kcat_writes_them() {
    let node = Node::start("kcat-writes");
    fs::write(node.folder().join("lines"), "one\ntwo\n").unwrap();
    fs::write(node.folder().join("whole"), b"\xff\nwhole\n").unwrap();
    kcat(&node, "", "-P -t t -k key -z lz4 -l lines").ok();
    kcat(&node, "", "-P -t t -p 0 whole lines").ok();
    kcat(&node, "\n", "-P -t t -Z").ok();
    kcat(&node, "piped\n", "-t t -q").ok();

    let read = kcat(&node, "", "-C -t t -e -q -c 2 -f %k\\x20%S\\x20%s|").ok();
    assert_eq!(read, "key 3 one|key 3 two|");
    let lengths = kcat(&node, "", "-C -t t -e -q -f %K:%S;").ok();
    assert_eq!(lengths, "3:3;3:3;-1:8;-1:8;-1:-1;-1:5;");
}

#[test]
fn clusters_and_times_are_listed_as_kcat_lists_them() {
    let node = Node::start("kcat-lists");
    node.ottla(&["topic", "create", "t", "-p", "2"]).ok();
    kcat(&node, "x\n", "-P -t t -p 1").ok();
    let at = &node.address;
    let listed = format!(
        "Metadata for t (from broker 1: {at}/1):\n 1 brokers:\n  broker 1 at {at} (controller)\n \
         1 topics:\n  topic \"t\" with 2 partitions:\n    partition 0, leader 1, replicas: 1, isrs: \
         1\n    partition 1, leader 1, replicas: 1, isrs: 1\n"
    );
    check(&node, "-L -t t", &listed);
    check(&node, "-L", &listed.replace("for t ", "for all topics "));
    let ids = "\"leader\":1,\"replicas\":[{\"id\":1}],\"isrs\":[{\"id\":1}]}";
    let json = format!(
        "{{\"originating_broker\":{{\"id\":1,\"name\":\"{at}/1\"}},\"query\":{{\"topic\":\"*\"}},\
         \"controllerid\":1,\"brokers\":[{{\"id\":1,\"name\":\"{at}\"}}],\"topics\":[{{\"topic\":\"t\",\
         \"partitions\":[{{\"partition\":0,{ids},{{\"partition\":1,{ids}]}}]}}"
    );
    check(&node, "-L -J", &json);
    check(&node, "-Q -t t:1:0 -t t:1:-1", "t [1] offset 0\nt [1] offset 1\n");
    check(&node, "-Q -t t:1:99999999999999", "t [1] offset -1\n");
    for (line, told) in [
        ("-C -t nosuch -e", "there is no topic nosuch"),
        ("-C -t t -X security.protocol=ssl", "no TLS, no passwords"),
        ("-C -t t -y", "there is no -y"),
        ("-Q -t t", "TOPIC:PARTITION:MILLISECONDS"),
        ("-C -t t -z", "-z lacks its word"),
    ] {
        let refused = kcat(&node, "", line);
        assert!(refused.code == 1 && refused.err.contains(told), "{line}: {refused:?}");
    }
    let command = node.ottla(&["kcat", "-b", at, "-Q", "-t", "t:1:0"]);
    assert_eq!(command.ok(), "t [1] offset 0\n", "the same without a link");
}
