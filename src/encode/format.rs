//! Which format a caller wants.

use super::Charset;
use crate::error::{Error, Result};

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Json,
    Ndjson,
    Csv,
    Arrow,
    Parquet,
    Xlsx,
}

impl Format {
    /// All of them, the preferred first.
    pub const ALL: [Self; 6] = [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow, Self::Parquet, Self::Xlsx];

    /// As in `?format=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Xlsx => "xlsx",
        }
    }

    /// At the end of a file's name, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        self.name()
    }

    /// As in a `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    /// The format with this name.
    ///
    /// # Errors
    /// `Invalid` when there is none.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            Error::invalid_field(
                "format",
                format!(
                    "`format` is `{name}`: expected `json`, `ndjson`, `csv`, `arrow`, `parquet` or `xlsx`"
                ),
            )
        })
    }

    /// The format that an `Accept` header asks for; `default` where it leaves the choice. A `charset` of CSV comes with
    /// it.
    ///
    /// # Errors
    /// `NotSupported` when it accepts none of ours.
    pub fn from_accept(accept: &str, default: Self) -> Result<(Self, Option<Charset>)> {
        let mut best: Option<(f32, Self, Option<Charset>)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
            let media = parts.next().unwrap_or_default();
            let (mut quality, mut charset) = (1.0, None);
            for part in parts {
                match part.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    // One that is not known here makes the range one that cannot be served.
                    Some(("charset", name)) => match Charset::from_name(name) {
                        Some(known) => charset = Some(known),
                        None => quality = 0.0,
                    },
                    _ => {}
                }
            }
            // Of equals the first wins, as the caller wrote it.
            if let Some(format) = Self::of_media(&media, default)
                && quality > best.map_or(0.0, |(quality, ..)| quality)
            {
                best = Some((quality, format, charset));
            }
        }
        match best {
            Some((_, format, charset)) => Ok((format, charset)),
            None if accept.trim().is_empty() => Ok((default, None)),
            None => {
                let known: Vec<_> = Self::ALL.into_iter().map(Self::media).collect();
                Err(Error::NotSupported(format!(
                    "`Accept: {accept}` names no format that is known here: expected one of `{}`",
                    known.join("`, `")
                )))
            }
        }
    }

    /// The content type without its parameters.
    fn media(self) -> &'static str {
        self.content_type().split(';').next().unwrap_or_default()
    }

    fn of_media(media: &str, default: Self) -> Option<Self> {
        match media {
            "*/*" => Some(default),
            "application/*" if default != Self::Csv => Some(default),
            "application/*" => Some(Self::Json),
            "text/*" => Some(Self::Csv),
            "application/ndjson" | "application/jsonl" => Some(Self::Ndjson),
            media => Self::ALL.into_iter().find(|format| format.media() == media),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers_are_weighed() {
        check("", Some(Format::Json));
        check("*/*", Some(Format::Json));
        check("application/json", Some(Format::Json));
        check("text/csv", Some(Format::Csv));
        check("TEXT/CSV; charset=utf-8", Some(Format::Csv));
        check("application/vnd.apache.arrow.stream", Some(Format::Arrow));
        check("application/json;q=0.5, application/x-ndjson", Some(Format::Ndjson));
        check("application/json;q=0.5, text/csv;q=0.9;level=1", Some(Format::Csv));
        check("text/html, */*;q=0.1", Some(Format::Json));
        check("text/csv;q=0, */*", Some(Format::Json));
        check("text/html", None);
        check("text/csv;q=0", None);
        check("application/json;q=x", None);
        check("text/csv;charset=koi8-r", None);
        check("text/csv;charset=koi8-r, application/json", Some(Format::Json));

        #[track_caller]
        fn check(accept: &str, expected: Option<Format>) {
            let found = Format::from_accept(accept, Format::Json).ok().map(|(format, _)| format);
            assert_eq!(found, expected, "{accept}");
        }
    }

    #[test]
    fn an_accept_header_may_name_a_charset() {
        check("text/csv", None);
        check("text/csv; charset=UTF-8", Some(Charset::Utf8));
        check("text/csv;charset=windows-31j;q=0.9", Some(Charset::Cp932));
        check("text/csv;charset=\"Shift_JIS\"", Some(Charset::Cp932));

        #[track_caller]
        fn check(accept: &str, expected: Option<Charset>) {
            assert_eq!(
                Format::from_accept(accept, Format::Json).unwrap(),
                (Format::Csv, expected),
                "{accept}"
            );
        }
    }

    #[test]
    fn every_format_is_found_by_its_names() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()).unwrap(), format);
            assert_eq!(Format::from_accept(format.content_type(), Format::Json).unwrap().0, format);
        }
        let error = Format::from_name("xml").unwrap_err().to_string();
        assert!(error.starts_with("`format` is `xml`: expected `json`"), "{error}");
    }
}
