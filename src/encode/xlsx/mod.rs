//! XLSX: one sheet, written row by row into a zip archive that leaves as it grows. The archive's directory comes
//! last, so a file that was broken off does not open.
//!
//! | column                | cell                                                                              |
//! |-----------------------|-----------------------------------------------------------------------------------|
//! | numbers               | a number; text where its 15 digits would change it                                |
//! | dates, times          | real ones, to the millisecond; text before March 1900, when spreadsheets miscount |
//! | all else              | text. It is never a formula, whatever it begins with                              |
//!
//! That a limit cut rows off stands in a second sheet, which is there only then, and in the properties of the file.

use std::io::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::out::Out;
use super::pipe::Pipe;
use super::{Encoder, slices, values};
use crate::error::{Error, Result};
use cells::{At, Kind, NAME_STYLE, letters};
use parts::{
    FROZEN_HEADER, RELATIONS, SHEET_BEGIN, STYLES, content_types, properties, workbook, workbook_relations,
};

mod cells;
mod parts;

/// Rows of a sheet below the one that holds the names.
pub(super) const DATA_ROWS_MAX: u64 = 1_048_575;
const COLUMNS_MAX: usize = 16_384;
/// The fastest: a sheet repeats itself so much that more effort saves little.
const LEVEL: i64 = 1;

/// Writes one workbook.
pub(super) struct Xlsx {
    fields: Vec<FieldRef>,
    kinds: Vec<Kind>,
    /// `A`, `B`, … of each column.
    letters: Vec<String>,
    /// None once it is closed.
    archive: Option<ZipWriter<StreamWriter<Pipe>>>,
    pipe: Pipe,
    rows: u64,
}

impl Xlsx {
    pub(super) fn new(schema: &Schema) -> Result<Self> {
        let fields = schema.fields().to_vec();
        if fields.len() > COLUMNS_MAX {
            return Err(Error::NotSupported(format!(
                "the result has {} columns; a sheet holds at most {COLUMNS_MAX}: ask for CSV or Parquet",
                fields.len()
            )));
        }
        values::check(&fields)?;
        let pipe = Pipe::default();
        Ok(Self {
            kinds: fields.iter().map(|field| Kind::of(field.data_type())).collect(),
            letters: (0..fields.len()).map(letters).collect(),
            fields,
            archive: Some(ZipWriter::new_stream(pipe.clone())),
            pipe,
            rows: 0,
        })
    }

    /// Begins the next part of the archive.
    fn part(&mut self, name: &str, content: &str) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL));
        if let Some(archive) = &mut self.archive {
            archive.start_file(name, options).map_err(failed)?;
        }
        self.write(content.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.archive {
            // A part of more than 4 GiB would need a kind of archive that spreadsheets do not read.
            Some(archive) => archive.write_all(bytes).map_err(|cause| {
                Error::OverLimit(format!("the sheet grows too large ({cause}): ask for CSV or Parquet"))
            }),
            None => Ok(()),
        }
    }

    /// The parts that tell what is in the file; they come when it is known.
    fn directory(&mut self, truncated: bool) -> Result<()> {
        let mut sheets = vec!["Result"];
        if truncated {
            sheets.push("Truncated");
            let mut note =
                format!("{SHEET_BEGIN}<sheetData><row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>");
            note.push_str(&format!("a limit ended the result after {} rows: there are more", self.rows));
            note.push_str("</t></is></c></row></sheetData></worksheet>");
            self.part("xl/worksheets/sheet2.xml", &note)?;
        }
        self.part("xl/workbook.xml", &workbook(&sheets))?;
        self.part("xl/_rels/workbook.xml.rels", &workbook_relations(sheets.len()))?;
        self.part("docProps/custom.xml", &properties(self.rows, truncated))?;
        self.part("[Content_Types].xml", &content_types(sheets.len()))
    }
}

pub(super) fn too_many_rows() -> Error {
    Error::OverLimit(format!(
        "a sheet holds at most {DATA_ROWS_MAX} rows below the names: set a `limit`, or ask for CSV or Parquet"
    ))
}

fn failed(cause: zip::result::ZipError) -> Error {
    Error::internal(cause)
}

impl Encoder for Xlsx {
    fn begin(&mut self, out: &mut Out) -> Result<()> {
        self.part("_rels/.rels", RELATIONS)?;
        self.part("xl/styles.xml", STYLES)?;
        let mut sheet = format!("{SHEET_BEGIN}{FROZEN_HEADER}<sheetData><row r=\"1\">").into_bytes();
        for (field, letters) in self.fields.iter().zip(&self.letters) {
            At { letters, row: 1 }.text(field.name(), NAME_STYLE, &mut sheet)?;
        }
        sheet.extend_from_slice(b"</row>");
        self.part("xl/worksheets/sheet1.xml", "")?;
        self.write(&sheet)?;
        self.pipe.drain(&mut out.text);
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()> {
        let (mut sheet, mut json, mut text) = (Vec::new(), Vec::new(), String::new());
        for slice in slices(batch) {
            sheet.clear();
            let mut columns = values::encoders(&self.fields, &slice)?;
            for index in 0..slice.num_rows() {
                self.rows += 1;
                if self.rows > DATA_ROWS_MAX {
                    return Err(too_many_rows());
                }
                let row = self.rows + 1;
                write!(sheet, "<row r=\"{row}\">").map_err(Error::internal)?;
                for ((column, kind), letters) in columns.iter_mut().zip(&self.kinds).zip(&self.letters) {
                    if !column.is_null(index) {
                        json.clear();
                        column.encode(index, &mut json);
                        let plain = values::plain(&json, &mut text)?;
                        let plain = std::str::from_utf8(plain).map_err(Error::internal)?;
                        At { letters, row }.cell(plain, *kind, &mut sheet)?;
                    }
                }
                sheet.extend_from_slice(b"</row>");
            }
            drop(columns);
            self.write(&sheet)?;
            self.pipe.drain(&mut out.text);
        }
        Ok(())
    }

    fn end(&mut self, truncated: bool, out: &mut Out) -> Result<()> {
        self.write(b"</sheetData></worksheet>")?;
        self.directory(truncated)?;
        if let Some(archive) = self.archive.take() {
            archive.finish().map_err(failed)?;
        }
        self.pipe.drain(&mut out.text);
        Ok(())
    }

    fn fail(&mut self, error: Error, _: &mut Out) -> Result<()> {
        // It ends itself as if it were whole, into a pipe that nobody reads.
        self.archive = None;
        Err(error)
    }
}
