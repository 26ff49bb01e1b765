//! In which form a result is shown.

use std::path::Path;

use clap::{Args, ValueEnum};

use super::failure::Failure;

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns, for reading; long results are cut
    Table,
    Csv,
    Json,
    Ndjson,
    /// Arrow IPC stream
    Arrow,
    Parquet,
    /// A workbook for spreadsheets
    Xlsx,
}

impl Format {
    /// The form asked for, or the one that fits: the file's ending, a table in a terminal, CSV in a pipe.
    pub(super) fn choose(asked: Option<Self>, file: Option<&Path>, terminal: bool) -> Result<Self, Failure> {
        let fitting = match file {
            Some(file) => Self::of_file(file).unwrap_or(Self::Csv),
            None if terminal => Self::Table,
            None => Self::Csv,
        };
        let format = asked.unwrap_or(fitting);
        if format.is_binary() && file.is_none() && terminal {
            let message = "a terminal cannot show this format: name a file with -o, or pipe it on";
            return Err(Failure::Usage(message.to_owned()));
        }
        Ok(format)
    }

    fn of_file(file: &Path) -> Option<Self> {
        let ending = file.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "arrow" | "arrows" | "ipc" => Some(Self::Arrow),
            "parquet" => Some(Self::Parquet),
            "xlsx" => Some(Self::Xlsx),
            "txt" => Some(Self::Table),
            _ => None,
        }
    }

    fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet | Self::Xlsx)
    }

    /// As the API calls it; a table is drawn from Arrow.
    pub(super) fn api_name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Table | Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Xlsx => "xlsx",
        }
    }
}

/// Choices in the form of CSV.
#[derive(Debug, Args)]
pub(super) struct CsvArgs {
    /// Write CSV in another encoding than UTF-8
    #[arg(long, value_enum)]
    encoding: Option<Encoding>,
    /// Write text that a spreadsheet would run as a formula as it is
    #[arg(long)]
    no_formula_guard: bool,
}

/// An encoding of CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    #[value(name = "utf-8")]
    Utf8,
    /// UTF-8 that begins with the mark by which spreadsheets know it
    #[value(name = "utf-8-bom")]
    Utf8Bom,
    /// Windows' Shift_JIS; `〓` stands for what it lacks
    Cp932,
}

impl CsvArgs {
    /// As parameters of a request for `format`.
    pub(super) fn query(&self, format: Format) -> Result<Vec<(&'static str, &'static str)>, Failure> {
        let mut query = Vec::new();
        if self.no_formula_guard {
            query.push(("formula_guard", "false"));
        }
        if self.encoding.is_some() && format != Format::Csv {
            let message = "an encoding is a choice of CSV: leave `--encoding` out, or choose CSV";
            return Err(Failure::Usage(message.to_owned()));
        }
        match self.encoding {
            None | Some(Encoding::Utf8) => {}
            Some(Encoding::Utf8Bom) => query.push(("bom", "true")),
            Some(Encoding::Cp932) => query.push(("encoding", "cp932")),
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_where_the_result_goes() {
        check(None, None, true, Some(Format::Table));
        check(None, None, false, Some(Format::Csv));
        check(None, Some("x.parquet"), true, Some(Format::Parquet));
        check(None, Some("x.JSONL"), true, Some(Format::Ndjson));
        check(None, Some("x.xlsx"), true, Some(Format::Xlsx));
        check(Some(Format::Xlsx), None, true, None);
        check(None, Some("x"), true, Some(Format::Csv));
        check(Some(Format::Json), Some("x.csv"), true, Some(Format::Json));
        check(Some(Format::Arrow), None, true, None);
        check(Some(Format::Arrow), None, false, Some(Format::Arrow));

        #[track_caller]
        fn check(asked: Option<Format>, file: Option<&str>, terminal: bool, expected: Option<Format>) {
            assert_eq!(Format::choose(asked, file.map(Path::new), terminal).ok(), expected);
        }
    }
}
