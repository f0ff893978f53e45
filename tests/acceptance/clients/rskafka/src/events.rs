//! What the program is told, and what it tells: see `README.md` of the folder above.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whatever went wrong; it is told and ends the program.
pub type Fault = Box<dyn Error + Send + Sync>;

/// The arguments by their names.
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// From the words behind the program's name.
    pub fn parse(words: &[String]) -> Self {
        let pairs = words.chunks_exact(2);
        Self(pairs.map(|pair| (pair[0].trim_start_matches("--").to_owned(), pair[1].clone())).collect())
    }

    /// One that must be there.
    pub fn text(&self, name: &str) -> Result<&str, Fault> {
        self.get(name).ok_or_else(|| format!("--{name} is needed").into())
    }

    /// One that may be.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One that must be there and a number.
    pub fn number(&self, name: &str) -> Result<usize, Fault> {
        Ok(self.text(name)?.parse()?)
    }
}

/// Set when the standard input has ended.
#[derive(Clone)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Watches the standard input from now on.
    pub fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let setter = Arc::clone(&ended);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while std::io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
            setter.store(true, Ordering::SeqCst);
        });
        Self(ended)
    }

    /// Whether it has.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Prints one event; `rest` is JSON's inside.
pub fn say(event: &str, rest: &str) {
    let at = chrono::Utc::now().timestamp_micros();
    println!("{{\"at\": {at}, \"event\": \"{event}\", {rest}}}");
}

/// Prints that something failed.
pub fn fail(why: &impl Display) {
    let plain = why.to_string().replace(['"', '\\'], " ").replace(char::is_control, " ");
    say("failed", &format!("\"why\": \"{plain}\""));
}

/// Prints that an admin call did what it should, or is an error.
pub fn expect(call: &str, held: bool, got: impl std::fmt::Debug) -> Result<(), Fault> {
    if !held {
        return Err(format!("{call}: got {got:?}").into());
    }
    say("passed", &format!("\"call\": \"{call}\""));
    Ok(())
}
