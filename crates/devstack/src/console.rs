//! What a person sees while the stack starts: one line per part.

use std::sync::Arc;
use std::time::Duration;

/// Where the lines go; clones share it.
#[derive(Clone)]
pub struct Console(Arc<dyn Fn(&str) + Send + Sync>);

impl Console {
    /// On standard error, so that standard output is for what a command is asked for.
    #[expect(clippy::print_stderr, reason = "the lines of a command")]
    pub fn stderr() -> Self {
        Self::to(|line| eprintln!("{line}"))
    }

    /// Nowhere.
    pub fn quiet() -> Self {
        Self::to(|_| {})
    }

    /// To whoever shows them in another way.
    pub fn to(show: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// Shows one line.
    pub fn line(&self, line: impl AsRef<str>) {
        (self.0)(line.as_ref());
    }

    /// Shows that a part is ready.
    pub fn ready(&self, part: &str, address: &str, took: Duration) {
        self.line(format!("  {part:<14} {address:<44} {:>5.1} s", took.as_secs_f64()));
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Console")
    }
}

/// Prints what a command is asked for.
#[expect(clippy::print_stdout, reason = "what the command is asked for")]
pub fn answer(text: &str) {
    println!("{text}");
}
