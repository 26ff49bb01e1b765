//! What DataFusion's errors mean for a caller: the one place that reads them. They change between its
//! releases, and here is where that is felt, and nowhere else.
#![warn(clippy::wildcard_enum_match_arm)]

use std::sync::{Arc, LazyLock};

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;

use super::{functions, near};
use crate::error::{Error, Place};
use crate::storage;

/// Near names to offer.
const SUGGESTIONS_MAX: usize = 3;

/// The functions a statement may call. DataFusion suggests one too, but by a measure that takes `coutn`
/// for `cot`.
static FUNCTIONS: LazyLock<Vec<String>> = LazyLock::new(functions::names);

/// What a caller is told of a file that a query could not read.
const DATA_FILE: &str = "a data file of the dataset";

/// Our error for one of DataFusion's.
pub(crate) fn classify(error: DataFusionError) -> Error {
    let place = place_of(&error);
    by_kind(error, place)
}

fn by_kind(error: DataFusionError, place: Option<Place>) -> Error {
    use DataFusionError as E;
    match error {
        E::Context(_, inner) | E::Diagnostic(_, inner) => by_kind(*inner, place),
        E::Collection(errors) => match errors.into_iter().next() {
            Some(first) => classify(first),
            None => Error::internal("a collection of no errors"),
        },
        E::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(inner) => by_kind(inner, place),
            Err(shared) => by_reference(&shared, place),
        },
        E::External(cause) => external(cause),
        E::ArrowError(cause, _) => arrow(*cause),
        E::ParquetError(cause) => parquet(*cause),
        E::ObjectStore(cause) => object(*cause),
        E::IoError(cause) => io(cause),
        whole @ (E::SQL(..)
        | E::SchemaError(..)
        | E::Plan(_)
        | E::Configuration(_)
        | E::NotImplemented(_)
        | E::Execution(_)
        | E::ResourcesExhausted(_)
        | E::Internal(_)
        | E::ExecutionJoin(_)
        | E::Substrait(_)
        | E::Ffi(_)) => by_reference(&whole, place),
    }
}

/// Those that can be read without being taken apart.
fn by_reference(error: &DataFusionError, place: Option<Place>) -> Error {
    use DataFusionError as E;
    if let Some(ours) = ours_within(error) {
        return ours.again();
    }
    match error.find_root() {
        E::SQL(cause, _) => parser(cause),
        E::SchemaError(cause, _) => schema(cause, place),
        E::Plan(message) => plan(message, place),
        E::Configuration(message) => Error::InvalidSql { message: tidy(message), place },
        E::NotImplemented(message) => Error::NotSupported(tidy(message)),
        E::Execution(message) => execution(message),
        E::ResourcesExhausted(message) => Error::OverLimit(format!(
            "the query needs more memory or spill space than there is: {}",
            exhausted(message)
        )),
        E::ArrowError(cause, _) => arrow_by_reference(cause),
        E::ParquetError(cause) => parquet_by_reference(cause),
        E::IoError(cause) => io_by_reference(cause).unwrap_or_else(|| Error::internal(cause.to_string())),
        E::ObjectStore(cause) => unavailable(cause.to_string().into()),
        E::External(cause) => {
            pattern(&cause.to_string()).unwrap_or_else(|| Error::internal(error.to_string()))
        }
        E::Internal(message) => match wrong_types(message) {
            Some(message) => Error::InvalidSql { message, place },
            None => Error::internal(error.to_string()),
        },
        E::ExecutionJoin(_)
        | E::Substrait(_)
        | E::Ffi(_)
        | E::Context(..)
        | E::Diagnostic(..)
        | E::Collection(_)
        | E::Shared(_) => Error::internal(error.to_string()),
    }
}

/// The error of ours that one of DataFusion's was made from.
fn ours_within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    std::iter::successors(Some(error), |error| within(*error)).find_map(|error| error.downcast_ref())
}

/// What an error was made from. An I/O error made from another names only that one's source.
fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|cause| cause as _),
        None => error.source(),
    }
}

/// Where in the statement the planner saw the fault.
fn place_of(error: &DataFusionError) -> Option<Place> {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let span = span.or_else(|| named_field(error.find_root())?.spans().first())?;
    Some(Place { line: span.start.line, column: span.start.column })
}

/// The column an error is about, with its places.
fn named_field(error: &DataFusionError) -> Option<&Column> {
    let DataFusionError::SchemaError(cause, _) = error else { return None };
    match cause.as_ref() {
        SchemaError::FieldNotFound { field, .. } | SchemaError::AmbiguousReference { field } => Some(field),
        SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. } => None,
    }
}

/// A text that is no SQL. The parser writes the place at the end of its message.
fn parser(error: &ParserError) -> Error {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return Error::OverLimit("the statement nests deeper than 50 levels".to_owned());
        }
    };
    let (message, place) = split_place(message);
    Error::InvalidSql { message: tidy(message), place }
}

/// Takes `… at Line: 2, Column: 5` apart.
fn split_place(message: &str) -> (&str, Option<Place>) {
    let parsed = message.rfind(" at Line: ").and_then(|at| {
        let (text, rest) = message.split_at(at);
        let (line, column) = rest.trim_start_matches(" at Line: ").split_once(", Column: ")?;
        let digits = column.find(|c: char| !c.is_ascii_digit()).unwrap_or(column.len());
        let place = Place { line: line.parse().ok()?, column: column[..digits].parse().ok()? };
        Some((text, Some(place)))
    });
    parsed.unwrap_or((message, None))
}

fn schema(error: &SchemaError, place: Option<Place>) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let suggestions =
                near::near(field.name(), valid_fields.iter().map(Column::name), SUGGESTIONS_MAX);
            Error::UnknownName {
                message: with_hint(format!("no column `{}`", field.flat_name()), &suggestions),
                place,
                suggestions,
            }
        }
        SchemaError::AmbiguousReference { field } => Error::InvalidSql {
            message: format!(
                "`{}` could be a column of several tables: put the table's name in front",
                field.name()
            ),
            place,
        },
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => Error::InvalidSql {
            message: format!("the column `{name}` is there twice: give one of them another name with `AS`"),
            place,
        },
    }
}

/// A statement that cannot be planned. Unknown functions and tables come as text.
fn plan(message: &str, place: Option<Place>) -> Error {
    if let Some(message) = wrong_types(message) {
        return Error::InvalidSql { message, place };
    }
    let function = quoted(message, "Invalid function '").or_else(|| quoted(message, "table function '"));
    if let Some(name) = function {
        let suggestions = near::near(name, FUNCTIONS.iter().map(String::as_str), SUGGESTIONS_MAX);
        let message = with_hint(format!("no function `{name}`"), &suggestions);
        return Error::UnknownName { message, place, suggestions };
    }
    if let Some(name) = quoted(message, "table '").filter(|_| message.ends_with("not found")) {
        let name = name.rsplit('.').next().unwrap_or(name);
        return Error::UnknownName { message: format!("no table `{name}`"), place, suggestions: Vec::new() };
    }
    Error::InvalidSql { message: tidy(message), place }
}

/// The planner takes some calls and comparisons with values of the wrong types for a fault of its own.
fn wrong_types(message: &str) -> Option<String> {
    if message.contains("failed to match any signature") {
        let name = quoted(message, "Function '")?;
        return Some(format!("no form of `{name}` takes values of these types"));
    }
    if let Some(data_type) = message.strip_prefix("Cannot run range queries on datatype: ") {
        let data_type = data_type.lines().next().unwrap_or_default();
        return Some(format!(
            "a window that is ordered by a value of the type {data_type} takes a frame of `ROWS` only"
        ));
    }
    let types = message.strip_prefix("Failed to coerce types ")?;
    let types = types.split(" in BETWEEN").next()?;
    Some(format!("values of the types {types} cannot be compared"))
}

/// What stands between `before` and the next quote.
fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let start = message.find(before)? + before.len();
    let rest = &message[start..];
    Some(&rest[..rest.find('\'')?])
}

/// `message`, and what was probably meant.
pub(super) fn with_hint(message: String, suggestions: &[String]) -> String {
    match suggestions {
        [] => message,
        [one] => format!("{message}; did you mean `{one}`?"),
        several => format!("{message}; did you mean one of `{}`?", several.join("`, `")),
    }
}

/// A fault met while running.
fn execution(message: &str) -> Error {
    if names_objects(message) {
        return Error::internal(message.to_owned());
    }
    Error::BadData(tidy(message))
}

fn arrow(error: ArrowError) -> Error {
    if let ArrowError::ExternalError(cause) = error {
        return external(cause);
    }
    if let ArrowError::IoError(_, cause) = error {
        return io(cause);
    }
    arrow_by_reference(&error)
}

fn arrow_by_reference(error: &ArrowError) -> Error {
    use ArrowError as E;
    match error {
        E::CastError(message) | E::ParseError(message) | E::ComputeError(message) => execution(message),
        E::InvalidArgumentError(message) | E::ArithmeticOverflow(message) => execution(message),
        E::CsvError(message) | E::JsonError(message) | E::AvroError(message) => execution(message),
        E::DivideByZero => Error::BadData("division by zero".to_owned()),
        E::DictionaryKeyOverflowError | E::RunEndIndexOverflowError | E::OffsetOverflowError(_) => {
            Error::OverLimit("a column of the result is too large to be held in one batch".to_owned())
        }
        E::MemoryError(message) => Error::OverLimit(tidy(message)),
        E::NotYetImplemented(message) => Error::NotSupported(tidy(message)),
        E::ExternalError(_)
        | E::SchemaError(_)
        | E::IoError(..)
        | E::IpcError(_)
        | E::ParquetError(_)
        | E::CDataInterface(_) => Error::internal(error.to_string()),
    }
}

/// `engine/reader.rs` has checked the bytes, and its errors are ours: any other is of the decoder.
fn parquet(error: ParquetError) -> Error {
    if let ParquetError::External(cause) = error {
        return external(cause);
    }
    parquet_by_reference(&error)
}

/// A data file that cannot be decoded is damage: it was whole when its version was published.
fn parquet_by_reference(error: &ParquetError) -> Error {
    if let ParquetError::NYI(message) = error {
        return Error::NotSupported(tidy(message));
    }
    tracing::error!(%error, "a data file cannot be decoded");
    let message = error.to_string();
    let reason = if names_objects(&message) { "it cannot be decoded" } else { first_line(&message) };
    Error::Damaged { object: DATA_FILE.to_owned(), reason: tidy(reason) }
}

fn unavailable(cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Unavailable { message: "the object store cannot be read".to_owned(), cause: Some(cause) }
}

/// Text that names stored objects is for the log, not for the caller.
fn names_objects(message: &str) -> bool {
    message.contains("datasets/") || message.contains("shirabe://")
}

/// Our error for one of the object store's. Keys stay in the log.
fn object(error: object_store::Error) -> Error {
    tracing::error!(%error, "a data file cannot be read");
    storage::classify(error, DATA_FILE)
}

fn io(error: std::io::Error) -> Error {
    io_by_reference(&error).unwrap_or_else(|| Error::internal(error))
}

/// What a caller can act on. Only spilling reads and writes files itself.
fn io_by_reference(error: &std::io::Error) -> Option<Error> {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Some(Error::StorageFull("temporary rows of the query".to_owned()));
    }
    // The writer of spilled rows knows only I/O errors, and hands our refusal on inside one.
    ours_within(error).map(Error::again)
}

fn external(cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let cause = match cause.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<DataFusionError>() {
        Ok(error) => return classify(*error),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<ArrowError>() {
        Ok(error) => return arrow(*error),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<ParquetError>() {
        Ok(error) => return parquet(*error),
        Err(cause) => cause,
    };
    match cause.downcast::<object_store::Error>() {
        Ok(error) => object(*error),
        Err(cause) => pattern(&cause.to_string()).unwrap_or_else(|| Error::internal(cause)),
    }
}

/// A regular expression that is none. The crate that reads them is not ours to name, and its last line says why.
fn pattern(message: &str) -> Option<Error> {
    let is_pattern =
        message.starts_with("regex parse error") || message.starts_with("Compiled regex exceeds");
    let reason = message.lines().last()?.trim_start_matches("error: ");
    is_pattern.then(|| Error::BadData(format!("a regular expression cannot be read: {}", tidy(reason))))
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Who asked in vain, and who holds what there is. [`TrackConsumersPool`] says it in several lines.
///
/// [`TrackConsumersPool`]: datafusion::execution::memory_pool::TrackConsumersPool
fn exhausted(message: &str) -> String {
    let first = first_line(message);
    let asked = first
        .strip_prefix("Additional allocation failed for ")
        .and_then(|rest| rest.split_once(" with top memory consumers"));
    let Some((asked, _)) = asked else {
        return tidy(first);
    };
    let held: Vec<String> = message
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("  ")?.split_once('#')?;
            let (_, bytes) = rest.split_once("consumed ")?;
            Some(format!("{name} {}", bytes.split(',').next()?))
        })
        .collect();
    format!("{asked} asked for more; held by {}", held.join(", "))
}

/// A library's message in the form of ours: lower-case at the start, no full stop, no backtrace.
fn tidy(message: &str) -> String {
    let message = message.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default();
    let message = message.trim().trim_end_matches('.');
    let mut chars = message.chars();
    match (chars.next(), chars.next()) {
        // `UNION` and `SQL` stay as they are.
        (Some(first), second) if second.is_none_or(|c| !c.is_uppercase()) => {
            first.to_lowercase().chain(message.chars().skip(1)).collect()
        }
        _ => message.to_owned(),
    }
}
