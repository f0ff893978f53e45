//! `ottla group`, `config`, `cluster`, `doctor`, `test` and the rest.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::node::{Node, quiet_ottla, said};

#[test]
fn groups_are_shown_moved_and_deleted() {
    let node = Node::start("groups");
    node.ottla(&["topic", "create", "orders", "-p", "2"]).ok();
    node.ottla_given("a\nb\nc\nd\n", &["produce", "orders", "-p", "1"]).ok();
    node.ottla(&["consume", "orders", "-g", "readers", "-n", "3"]).ok();
    let listed = node.ottla(&["group", "list"]).ok();
    assert_eq!(
        listed,
        "GROUP\tTYPE\tSTATE\tTOPICS\tLAG\tPROTOCOL\nreaders\tclassic\tEmpty\t1\t1\tconsumer\n"
    );
    let lag = node.ottla(&["group", "lag", "read*"]).ok();
    assert!(lag.contains("\nreaders\torders\t1\t3\t4\t1\t-\n"), "{lag}");
    let page = node.ottla(&["group", "describe", "readers"]).ok();
    assert!(page.starts_with("group\treaders\nstate\tEmpty\n"), "{page}");

    let one = ["-t", "orders", "-p", "1"];
    let seek = |target: &[&str], more: &[&str]| {
        let all = [&["group", "seek", "readers"], target, &one[..], more].concat();
        node.ottla(&all)
    };
    for (target, to) in [
        (&["--to", "start"][..], 0),
        (&["--to", "end"], 4),
        (&["--to", "-1"], 3),
        (&["--to", "+1"], 1),
        (&["--to", "2"], 2),
        (&["--to", "99"], 4),
        (&["--to", "current"], 3),
        (&["--to", "@-1h"], 0),
        (&["--to", "@now"], 4),
        (&["--by", "-2"], 1),
        (&["--by", "99"], 4),
        (&["--to-group", "readers"], 3),
    ] {
        let plan = seek(target, &["--dry-run"]).ok();
        assert_eq!(plan, format!("TOPIC\tPARTITION\tFROM\tTO\norders\t1\t3\t{to}\n"), "{target:?}");
    }
    let file = node.folder().join("offsets.csv");
    fs::write(&file, "orders,1,1\n").unwrap();
    assert_eq!(seek(&["--to-file", "offsets.csv"], &["--yes"]).code, 0);
    assert_eq!(node.ottla(&["consume", "orders", "-g", "readers", "-n", "1"]).ok(), "b\n");
    assert_eq!(seek(&["--to", "start"], &[]).code, 2, "it is not done without being told to");
    assert_eq!(seek(&["--to", "start", "--by", "1"], &[]).code, 2);

    let unknown = node.ottla(&["group", "describe", "reader"]);
    assert!(unknown.err.contains("there is no group reader; did you mean readers?"), "{unknown:?}");
    let forgotten = ["group", "delete-offsets", "readers", "orders", "-p", "0", "--yes"];
    assert_eq!(node.ottla(&forgotten).err, "ottla: group readers has forgotten orders-0\n");
    assert_eq!(
        node.ottla(&["group", "delete", "readers", "--yes"]).err,
        "ottla: group readers deleted\n"
    );
    assert_eq!(node.ottla(&["group", "list"]).ok().lines().count(), 1);
}

#[test]
fn properties_of_a_running_cluster_are_set_and_unset() {
    let node = Node::start("configs");
    node.ottla(&["topic", "create", "t"]).ok();
    node.ottla(&["config", "set", "topic", "t", "retention.ms=5000"]).ok();
    node.ottla(&["config", "set", "broker", "default", "log.retention.ms=7000"]).ok();
    let listed = node.ottla(&["config", "list"]).ok();
    let expected = "KIND\tNAME\tPROPERTY\tVALUE\ntopic\tt\tretention.ms\t5000\n\
                    broker\tdefault\tlog.retention.ms\t7000\n";
    assert_eq!(listed, expected);
    let described = node.ottla(&["config", "describe", "topic", "t"]).ok();
    assert!(described.contains("\nretention.ms\t5000\there\tat once\n"), "{described}");
    assert!(!described.contains("cleanup.policy"), "{described}");
    let all = node.ottla(&["config", "describe", "topic", "t", "--all"]).ok();
    assert!(all.contains("\ncleanup.policy\tdelete\tnowhere\t"), "{all}");
    let typo = node.ottla(&["config", "set", "topic", "t", "retention.m=5"]);
    assert_eq!(typo.code, 1);
    assert!(
        typo.err.contains("has no property retention.m; did you mean retention.ms?"),
        "{typo:?}"
    );
    node.ottla(&["config", "set", "topic", "t", "retention.ms=1", "--dry-run"]).ok();
    node.ottla(&["config", "unset", "topic", "t", "retention.ms"]).ok();
    assert!(!node.ottla(&["config", "list"]).ok().contains("retention.ms\t5000"));
    assert_eq!(node.ottla(&["config", "describe", "broker", "x"]).code, 2);
    assert_eq!(node.ottla(&["config", "describe", "topic", "u"]).code, 1);
}

#[test]
fn a_cluster_is_shown_and_checked() {
    let node = Node::start("cluster");
    node.ottla(&["topic", "create", "t", "-p", "3"]).ok();
    let info = node.ottla(&["cluster", "info"]).ok();
    assert!(info.ends_with("controller\t1\nbrokers\t1\ntopics\t1\npartitions\t3\n"), "{info}");
    let nodes = node.ottla(&["cluster", "nodes"]).ok();
    assert!(nodes.contains("\n1\t127.0.0.1\t") && nodes.contains("\t3\t0\t"), "{nodes}");
    let quorum = node.ottla(&["cluster", "quorum"]).ok();
    assert!(quorum.starts_with("leader\t1\n") && quorum.contains("\n1\tleader\t"), "{quorum}");
    let features = node.ottla(&["cluster", "features"]).ok();
    assert!(features.contains("\nmetadata.version\t"), "{features}");
    let health = node.ottla(&["cluster", "health"]);
    assert_eq!((health.code, health.err.as_str()), (0, "ottla: the cluster is well\n"));
    let doctor = node.ottla(&["doctor"]);
    assert!(
        doctor.out.contains(&format!("\nbroker 1\tok\t{} answers\n", node.address)),
        "{doctor:?}"
    );
    let (since, mut nobody) = (Instant::now(), quiet_ottla());
    nobody.args(["cluster", "health", "--wait", "400ms", "-b", "127.0.0.1:1"]);
    let nobody = said(nobody, "");
    assert!(since.elapsed() >= Duration::from_millis(400), "it waits");
    assert!(nobody.code == 1 && nobody.err.contains("nothing listens at"), "{nobody:?}");
    let mut sick = quiet_ottla();
    sick.args(["doctor", "-b", "127.0.0.1:1"]);
    let sick = said(sick, "");
    assert!(sick.code == 1 && sick.out.contains("\ncluster\tproblem\tnothing listens"), "{sick:?}");
}

fn temporary_folders(of: u32) -> usize {
    let name = format!("ottla-test-{of}-");
    let entries = fs::read_dir(std::env::temp_dir()).unwrap();
    entries
        .filter(|each| each.as_ref().unwrap().file_name().to_string_lossy().starts_with(&name))
        .count()
}

#[test]
fn a_command_has_a_node_of_its_own() {
    let binary = env!("CARGO_BIN_EXE_ottla");
    let run = |script: &str| {
        let mut command = quiet_ottla();
        command.args(["test", "-s", "num.partitions=3", "--", "sh", "-c", script]);
        said(command, "")
    };
    let script = format!(
        "{binary} produce t one -q -b $KAFKA_BOOTSTRAP_SERVERS && {binary} consume t -e && \
         {binary} topic list | cut -f2 | tail -1; exit 7"
    );
    let ended = run(&script);
    assert_eq!((ended.code, ended.out.as_str()), (7, "one\n3\n"), "{ended:?}");
    assert_eq!(run("kill -9 $$").code, 137);
    let mut command = quiet_ottla();
    command.args(["test", "--", "/no/such/command"]);
    let missing = said(command, "");
    assert!(
        missing.code == 1 && missing.err.contains("cannot run /no/such/command"),
        "{missing:?}"
    );
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let mut command = quiet_ottla();
    command.args(["test", "--", "sh", "-c", "echo begun; exec sleep 100"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut begun = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut begun).unwrap();
    assert_eq!(temporary_folders(child.id()), 1);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143), "as the command ended");
    assert_eq!(temporary_folders(child.id()), 0);
}

#[test]
fn it_says_which_version_it_is() {
    let mut command = quiet_ottla();
    command.arg("version");
    assert!(said(command, "").ok().starts_with("ottla 0."));
}
