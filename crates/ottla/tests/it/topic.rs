//! `ottla topic`, and what all commands do that talk to a cluster.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::node::{Node, Said, quiet_ottla, said};

#[test]
fn topics_are_made_listed_changed_and_deleted() {
    let node = Node::start("topics");
    let said = node.ottla(&[
        "topic",
        "create",
        "orders",
        "payments",
        "-p",
        "3",
        "-s",
        "retention.ms=1000",
    ]);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert_eq!(said.err, "ottla: topic orders created\nottla: topic payments created\n");

    let listed = node.ottla(&["topic", "list"]).ok();
    assert!(listed.starts_with("TOPIC\tPARTITIONS\tREPLICAS\tRECORDS\tSIZE\t"), "{listed}");
    assert!(listed.contains("\norders\t3\t1\t0\t0\t"), "{listed}");
    let table = node.ottla(&["topic", "list", "pay*", "-o", "table"]).ok();
    let expected = "TOPIC     PARTITIONS  REPLICAS  RECORDS     SIZE\n\
                    payments           3         1        0  0 bytes\n";
    assert_eq!(table, expected);
    let json = node.ottla(&["topic", "list", "orders", "-o", "json"]).ok();
    let start =
        "{\"ottla\":1,\"kind\":\"topics\",\"items\":[{\"topic\":\"orders\",\"partitions\":3,";
    assert!(json.starts_with(start), "{json}");

    let alter =
        ["topic", "alter", "orders", "--partitions", "5", "--unset", "retention.ms", "--set"];
    node.ottla(&[&alter[..], &["max.message.bytes=2000"]].concat()).ok();
    let page = node.ottla(&["topic", "describe", "orders"]).ok();
    assert!(page.contains("\n4\t1\t1\t1\t0\t0\t0\n"), "{page}");
    assert!(page.ends_with("PROPERTY\tVALUE\nmax.message.bytes\t2000\n"), "{page}");
    let fewer = node.ottla(&["topic", "alter", "orders", "--partitions", "5"]);
    assert!(fewer.err.contains("orders has 5 partitions, and cannot have 5"), "{fewer:?}");

    let unsure = node.ottla(&["topic", "delete", "orders"]);
    assert_eq!(unsure.code, 2);
    assert!(unsure.err.contains("say --yes to do it"), "{unsure:?}");
    node.ottla(&["topic", "delete", "orders", "--dry-run"]).ok();
    node.ottla(&["topic", "delete", "orders", "--yes"]).ok();
    let gone = node.ottla(&["topic", "delete", "ordrs", "paymnts", "--yes"]);
    let told = "ottla: there is no topic ordrs (`ottla topic list` shows all)\n\
                ottla: there is no topic paymnts; did you mean payments? (`ottla topic list` shows all)\n";
    assert_eq!((gone.code, gone.err.as_str()), (1, told));
    let some = node.ottla(&["topic", "describe", "orders", "payments"]);
    assert_eq!(some.code, 1, "what is there is shown, and what is not is told");
    assert!(some.out.contains("payments") && some.err.contains("no topic orders"), "{some:?}");
    assert_eq!(
        node.ottla(&["topic", "watch", "-n", "2", "--every", "10ms"]).ok().lines().count(),
        4
    );
}

fn asks(address: &str, more: &[&str]) -> Said {
    let mut command = quiet_ottla();
    command.args(["-b", address, "topic", "list"]).args(more);
    said(command, "")
}

fn fails(address: &str, told: &str) {
    let said = asks(address, &["-X", "socket.connection.setup.timeout.ms=300"]);
    assert!(said.err.contains(told), "{told} is not in {said:?}");
    assert_eq!((said.code, said.out.as_str()), (1, ""));
}

#[test]
fn nobody_there_and_strangers_are_told_apart() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    fails(&free, &format!("ottla: nothing listens at {free} ({free}). Start a node with `ottla`"));
    fails("no.such.host.invalid", "the host no.such.host.invalid of the broker");
    let silent = taken.local_addr().unwrap().to_string();
    fails(&silent, "took the connection and said nothing within 300ms");

    for (answer, told) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP: that is no Kafka broker"),
        ("\x15\x03\x01\x00\x02\x02\x16", "wants TLS, which this version does not speak"),
        ("", "closed the connection instead of answering as a broker does"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stranger = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let said = asks(&address, &["-X", "socket.connection.setup.timeout.ms=2000"]);
        assert!(said.err.contains(told), "{said:?}");
        assert_eq!(said.code, 1);
        stranger.join().unwrap();
    }
}

#[test]
fn a_wrong_advertised_address_is_named_with_its_cure() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (advertised, why) in [
        (format!("127.0.0.1:{free}"), "nothing listens there"),
        ("broker.invalid:9092".to_owned(), "nobody here knows that name"),
    ] {
        let property = format!("advertised.listeners=PLAINTEXT://{advertised}");
        let node = Node::start_with("advertised", &[&property]);
        node.ottla(&["topic", "create", "t"]).ok();
        let since = Instant::now();
        let said = node.ottla(&["topic", "describe", "t"]);
        assert!(since.elapsed() < Duration::from_secs(10), "nobody waits for what cannot come");
        let told = format!(
            "ottla: Reached {address}, but it told me to use broker 1 at {advertised}, which is \
             not reachable from here: {why}.\n\
             ottla: The broker's advertised.listeners is wrong for this client. Fix: set \
             advertised.listeners=PLAINTEXT://127.0.0.1:",
            address = node.address,
        );
        assert!(said.err.starts_with(&told), "{told}\nis not\n{}", said.err);
        assert_eq!(said.code, 1);
    }
}

#[test]
fn mistakes_of_the_command_line_are_code_2() {
    for (arguments, told) in [
        (
            &["topic", "list", "-X", "lingr.ms=3"][..],
            "no property lingr.ms is served by this client; did you mean linger.ms?",
        ),
        (&["topic", "list", "-X", "acks=2"], "acks=2: it takes 0, 1, all"),
        (&["topic", "list", "-X", "acks"], "-X takes NAME=VALUE, and `acks` is not"),
        (&["topic", "list", "-X", "security.protocol=SSL"], "this version speaks PLAINTEXT only"),
        (&["topic", "list", "--profile", "x"], "there is no profile x"),
        (&["topic", "lst"], "list"),
        (&["-b", "x", "server"], "are for commands that talk to a cluster"),
        (&["topic", "create", "a/b"], "contains one or more characters other than"),
    ] {
        let mut command = quiet_ottla();
        command.args(arguments);
        let said = said(command, "");
        assert!(said.err.contains(told), "{told} is not in {said:?}");
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}");
    }
    let mut command = quiet_ottla();
    command.args(["topic", "list", "-X", "list"]);
    assert!(said(command, "").ok().contains("\nlinger.ms\tmilliseconds\n"));
}

#[test]
fn profiles_are_kept_and_chosen() {
    let node = Node::start("profiles");
    let home = node.folder().join("home");
    let ottla = |arguments: &[&str]| {
        let mut command = quiet_ottla();
        command.env("XDG_CONFIG_HOME", &home).current_dir(node.folder()).args(arguments);
        said(command, "")
    };
    let here = format!("bootstrap.servers={}", node.address);
    ottla(&["profile", "create", "here", &here, "client.id=me"]).ok();
    ottla(&["profile", "create", "nowhere", "bootstrap.servers=127.0.0.1:1"]).ok();
    assert_eq!(ottla(&["topic", "list", "--profile", "here"]).code, 0);
    ottla(&["profile", "use", "nowhere"]).ok();
    assert_eq!(ottla(&["topic", "list"]).code, 1);
    let near = ottla(&["profile", "use", "her"]);
    assert!(near.err.contains("did you mean here?"), "{near:?}");
    let listed = ottla(&["profile", "list"]).ok();
    let expected = format!(
        "NAME\tIN-USE\tPROPERTIES\nhere\tno\t{here} client.id=me\n\
         nowhere\tyes\tbootstrap.servers=127.0.0.1:1\n"
    );
    assert_eq!(listed, expected);
    std::fs::write(node.folder().join(".ottla.properties"), format!("{here}\n")).unwrap();
    assert_eq!(ottla(&["topic", "list"]).code, 0, "a project's own profile is nearer");
    assert_eq!(ottla(&["profile", "create", "x", "no.such=1"]).code, 2);
}
