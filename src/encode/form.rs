//! A format with the choices that a caller has in it.

use super::{Format, xlsx};
use crate::error::{Error, Result};

/// How the text of CSV becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    Utf8,
    /// With the mark by which spreadsheets know UTF-8.
    Utf8Bom,
    /// Windows' extension of Shift_JIS (windows-31j), which Japanese spreadsheets expect.
    Cp932,
}

impl Charset {
    /// The one called `name`: a name of the option `encoding`, or a `charset` of HTTP.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.trim_matches('"').to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Some(Self::Utf8),
            "cp932" | "windows-31j" | "shift_jis" | "ms932" => Some(Self::Cp932),
            _ => None,
        }
    }
}

/// How buffers of Arrow IPC are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    Lz4,
    Zstd,
}

impl Compression {
    /// # Errors
    /// `Invalid` when none has this name.
    pub fn from_name(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Error::invalid_field(
                "compression",
                format!("`compression` is `{name}`: expected `none`, `lz4` or `zstd`"),
            )),
        }
    }
}

/// In which form rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Form {
    pub format: Format,
    /// Of CSV.
    pub charset: Charset,
    /// In CSV, puts `'` before text that a spreadsheet would run as a formula.
    pub formula_guard: bool,
    /// Of Arrow IPC.
    pub compression: Compression,
}

impl Form {
    /// A format as it is by default.
    #[must_use]
    pub fn of(format: Format) -> Self {
        Self { format, charset: Charset::Utf8, formula_guard: true, compression: Compression::None }
    }

    /// Whether that many rows can be written.
    ///
    /// # Errors
    /// `OverLimit` when a sheet does not hold them.
    pub fn check_rows(self, rows: u64) -> Result<()> {
        if self.format == Format::Xlsx && rows > xlsx::DATA_ROWS_MAX {
            return Err(xlsx::too_many_rows());
        }
        Ok(())
    }

    /// As in a `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match (self.format, self.charset) {
            (Format::Csv, Charset::Cp932) => "text/csv; charset=windows-31j",
            (format, _) => format.content_type(),
        }
    }
}
