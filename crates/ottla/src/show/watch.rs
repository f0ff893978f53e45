//! Answers that are shown again and again.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use ottla_env::Clock;

use super::{Answer, Format, print};
use crate::failure::Failure;

/// Whether an answer is shown again, as lists take it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Watch {
    /// Show it again and again
    #[arg(short, long)]
    watch: bool,

    #[command(flatten)]
    pace: Pace,
}

/// How often an answer is shown.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Pace {
    /// How long to wait in between, as 2s or 500ms
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = crate::when::duration)]
    every: Duration,

    /// How often to show it [default: until it is stopped]
    #[arg(short = 'n', long, value_name = "COUNT")]
    times: Option<u64>,
}

impl Watch {
    /// Shows what `make` makes: once, or again and again.
    pub(crate) async fn show(
        self,
        clock: &(dyn Clock + 'static),
        (kind, format): (&'static str, Format),
        mut make: impl AsyncFnMut() -> Result<Answer, Failure>,
    ) -> Result<(), Failure> {
        if self.watch || self.pace.times.is_some() {
            return self.pace.show(clock, (kind, format), make).await;
        }
        Ok(print(kind, &make().await?, format)?)
    }
}

impl Pace {
    /// Shows what `make` makes, again and again.
    pub(crate) async fn show(
        self,
        clock: &(dyn Clock + 'static),
        (kind, format): (&'static str, Format),
        mut make: impl AsyncFnMut() -> Result<Answer, Failure>,
    ) -> Result<(), Failure> {
        let mut shown = 0;
        while self.times.is_none_or(|times| shown < times) {
            if shown > 0 {
                clock.sleep(self.every).await;
            }
            let answer = make().await?;
            redraw(format)?;
            print(kind, &answer, format)?;
            shown += 1;
        }
        Ok(())
    }
}

/// Moves a terminal to where the last answer began.
fn redraw(format: Format) -> io::Result<()> {
    if format.is_for_people() && io::stdout().is_terminal() {
        io::stdout().write_all(b"\x1b[H\x1b[2J")?;
    }
    Ok(())
}
