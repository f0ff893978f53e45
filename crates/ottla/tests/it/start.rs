//! A node that cannot start: what somebody is told, in a sentence with its cure.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::node::{Node, quiet_ottla, said};

/// An empty folder of this test's.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("start").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A node with these properties ends with code 1, and says all of `told`.
fn refused(overrides: &[&str], environment: &[(&str, &str)], told: &[&str]) {
    let mut command = quiet_ottla();
    command.arg("server").args(overrides.iter().flat_map(|pair| ["--override", *pair]));
    command.envs(environment.iter().copied());
    let said = said(command, "");
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{overrides:?}: {said:?}");
    for words in told {
        assert!(said.err.contains(words), "{words} is not in\n{}", said.err);
    }
}

const ANY_PORT: &str = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";

#[test]
fn a_port_that_is_taken_is_named_with_its_cure() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listeners = format!("listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:0");
    let data = format!("log.dirs={}", folder("port").display());
    let told = format!("ottla: cannot listen on PLAINTEXT://{address}: ");
    let cure = "another program listens there: stop it, or choose another port with --override";
    refused(&[&listeners, &data], &[], &[&told, cure]);
}

#[test]
fn an_address_of_another_machine_is_named() {
    let data = format!("log.dirs={}", folder("address").display());
    // For documentation (RFC 5737): no machine has it.
    let listeners = "listeners=PLAINTEXT://203.0.113.7:9,CONTROLLER://127.0.0.1:0";
    let told = ["cannot listen on PLAINTEXT://203.0.113.7:9: ", "this machine has no such address"];
    refused(&[listeners, &data], &[], &told);
}

#[test]
fn a_folder_that_another_process_uses_is_named() {
    let node = Node::start("start-in-use");
    let data = format!("log.dirs={}", node.folder().join("data").display());
    let told = ["another process uses the data folder", "choose another folder with --override"];
    refused(&[ANY_PORT, &data], &[], &told);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    // Nobody makes folders there, not even a superuser.
    let told = ["cannot use the data folder /proc/ottla", "/proc/ottla"];
    refused(&[ANY_PORT, "log.dirs=/proc/ottla"], &[], &told);
}

#[test]
fn a_folder_of_another_node_or_of_nobody_is_left_alone() {
    let (node, nobody, odd) = (folder("node"), folder("nobody"), folder("odd"));
    let meta = |text: &str| format!("version=1\ncluster.id=abcdefghijklmnopqrstuv\n{text}");
    fs::write(node.join("meta.properties"), meta("node.id=7\n")).unwrap();
    let data = |folder: &PathBuf| format!("log.dirs={}", folder.display());
    let told = ["belongs to node 7, and node.id is 1", "set node.id=7, or choose another folder"];
    refused(&[ANY_PORT, &data(&node)], &[], &told);

    fs::create_dir(nobody.join("orders-0")).unwrap();
    let told = ["holds orders-0 and no meta.properties", "choose an empty folder"];
    refused(&[ANY_PORT, &data(&nobody)], &[], &told);
    assert!(!nobody.join("meta.properties").exists());

    fs::write(odd.join("meta.properties"), meta("")).unwrap();
    refused(
        &[ANY_PORT, &data(&odd)],
        &[],
        &["meta.properties has no node.id: bring the file back"],
    );
}

/// Whose cluster it is says the folder: who meant another one has to hear it, and who only starts
/// again, with the variable that the first start was given, does not.
#[test]
fn a_folder_of_another_cluster_is_told() {
    let data = folder("cluster");
    let meta = "version=1\ncluster.id=abcdefghijklmnopqrstuv\nnode.id=1\n";
    fs::write(data.join("meta.properties"), meta).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    // It goes no further than that, so that it ends.
    let listeners = format!("listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:0");
    let data = format!("log.dirs={}", data.display());
    let told = [
        "the data folder belongs to cluster abcdefghijklmnopqrstuv",
        "MkU3OEVBNTcwNTJENDM2Qg that the environment names is ignored",
    ];
    refused(&[&listeners, &data], &[("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qg")], &told);
}
