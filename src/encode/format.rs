//! Which format a caller wants.

use crate::error::{Error, Result};

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Json,
    Ndjson,
    Csv,
    Arrow,
    Parquet,
}

impl Format {
    /// All of them, the preferred first.
    pub const ALL: [Self; 5] = [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow, Self::Parquet];

    /// As in `?format=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
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
                format!("`format` is `{name}`: expected `json`, `ndjson`, `csv`, `arrow` or `parquet`"),
            )
        })
    }

    /// The format that an `Accept` header asks for; `default` where it leaves the choice.
    ///
    /// # Errors
    /// `NotSupported` when it accepts none of ours.
    pub fn from_accept(accept: &str, default: Self) -> Result<Self> {
        let mut best: Option<(f32, Self)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |value| value.parse().unwrap_or(0.0));
            // Of equals the first wins, as the caller wrote it.
            if let Some(format) = Self::of_media(&media, default)
                && quality > best.map_or(0.0, |(quality, _)| quality)
            {
                best = Some((quality, format));
            }
        }
        match best {
            Some((_, format)) => Ok(format),
            None if accept.trim().is_empty() => Ok(default),
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

        #[track_caller]
        fn check(accept: &str, expected: Option<Format>) {
            assert_eq!(Format::from_accept(accept, Format::Json).ok(), expected, "{accept}");
        }
    }

    #[test]
    fn every_format_is_found_by_its_names() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()).unwrap(), format);
            assert_eq!(Format::from_accept(format.content_type(), Format::Json).unwrap(), format);
        }
        let error = Format::from_name("xml").unwrap_err().to_string();
        assert!(error.starts_with("`format` is `xml`: expected `json`"), "{error}");
    }
}
