//! Where commands write. One type, because a reader that goes away (`| head`) is a quiet end and not an
//! error, and that must hold for every line.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

use super::failure::Failure;

/// Results go to one stream, remarks to another, so that a pipe gets results only.
pub struct Out {
    results: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    results_terminal: Option<Terminal>,
    remarks_terminal: bool,
}

/// Where a person reads results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    /// Cells in a line; `None` where the terminal does not say.
    pub(super) width: Option<usize>,
}

impl Terminal {
    fn here() -> Option<Self> {
        let width = || comfy_table::Table::new().width().map(usize::from).filter(|width| *width > 0);
        io::stdout().is_terminal().then(|| Self { width: width() })
    }
}

impl Out {
    /// Standard output and standard error.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            results: Box::new(io::BufWriter::with_capacity(1 << 16, io::stdout())),
            remarks: Box::new(io::stderr()),
            results_terminal: Terminal::here(),
            remarks_terminal: io::stderr().is_terminal(),
        }
    }

    /// Any two writers, neither of them a terminal.
    #[must_use]
    pub fn to(results: Box<dyn Write + Send>, remarks: Box<dyn Write + Send>) -> Self {
        Self { results, remarks, results_terminal: None, remarks_terminal: false }
    }

    /// A writer that stands for a terminal of this width.
    #[cfg(test)]
    pub(super) fn to_terminal(results: Box<dyn Write + Send>, width: Option<usize>) -> Self {
        Self { results_terminal: Some(Terminal { width }), ..Self::to(results, Box::new(io::sink())) }
    }

    /// Whether a person reads the results.
    pub(super) fn is_terminal(&self) -> bool {
        self.results_terminal.is_some()
    }

    /// Where a person reads the results; `None` for a file or a pipe.
    pub(super) fn terminal(&self) -> Option<Terminal> {
        self.results_terminal
    }

    /// Whether a person reads the remarks, so that a moving bar makes sense.
    pub(super) fn remarks_to_terminal(&self) -> bool {
        self.remarks_terminal
    }

    /// Writes part of a result.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.results.write_all(bytes).map_err(closed)
    }

    /// Writes a line of a result.
    pub(super) fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.results, "{line}").map_err(closed)
    }

    /// Tells something beside the result.
    pub(super) fn remark(&mut self, remark: impl fmt::Display) {
        // Whether anybody reads remarks does not matter to what is done.
        let _ = writeln!(self.remarks, "{remark}");
    }

    /// Tells of a failure.
    pub(super) fn complain(&mut self, failure: &Failure) {
        // What was found before it still counts.
        let _ = self.results.flush();
        if !failure.is_silent() {
            self.remark(failure);
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.results.flush().map_err(closed)
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out").field("terminal", &self.results_terminal).finish_non_exhaustive()
    }
}

fn closed(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::File(format!("the output cannot be written: {error}")),
    }
}

/// What a test reads back of what was written.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Paper(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Paper {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_a_quiet_end() {
        let mut out = Out::to(Box::new(Gone), Box::new(io::sink()));
        let failure = out.line("x").unwrap_err();
        assert!(matches!(failure, Failure::OutputClosed));
        assert!(failure.is_silent());
    }
}
