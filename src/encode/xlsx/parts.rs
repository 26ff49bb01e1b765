//! The parts of a workbook beside its sheet.

use super::super::{ROWS_KEY, TRUNCATED_KEY};

pub(super) const SHEET_BEGIN: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#,
);
pub(super) const FROZEN_HEADER: &str = concat!(
    r#"<sheetViews><sheetView workbookViewId="0">"#,
    r#"<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>"#,
);
pub(super) const STYLES: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#,
    r#"<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/>"#,
    r#"<numFmt numFmtId="165" formatCode="yyyy\-mm\-dd\ hh:mm:ss.000"/></numFmts>"#,
    r#"<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>"#,
    r#"<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>"#,
    r#"<fills count="2"><fill><patternFill patternType="none"/></fill>"#,
    r#"<fill><patternFill patternType="gray125"/></fill></fills>"#,
    r#"<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>"#,
    r#"<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>"#,
    r#"<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>"#,
    r#"<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
    r#"<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
    r#"<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>"#,
    r#"</styleSheet>"#,
);
pub(super) const RELATIONS: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
    r#"<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>"#,
    r#"<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/custom-properties" Target="docProps/custom.xml"/>"#,
    r#"</Relationships>"#,
);

pub(super) fn workbook(sheets: &[&str]) -> String {
    let mut text = concat!(
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" "#,
        r#"xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>"#,
    )
    .to_owned();
    for (name, number) in sheets.iter().zip(1..) {
        text.push_str(&format!(r#"<sheet name="{name}" sheetId="{number}" r:id="rId{number}"/>"#));
    }
    text.push_str("</sheets></workbook>");
    text
}

pub(super) fn workbook_relations(sheets: usize) -> String {
    const TYPES: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let mut text = concat!(
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
    )
    .to_owned();
    for number in 1..=sheets {
        text.push_str(&format!(
            r#"<Relationship Id="rId{number}" Type="{TYPES}/worksheet" Target="worksheets/sheet{number}.xml"/>"#
        ));
    }
    text.push_str(&format!(
        r#"<Relationship Id="rId{}" Type="{TYPES}/styles" Target="styles.xml"/></Relationships>"#,
        sheets + 1
    ));
    text
}

pub(super) fn content_types(sheets: usize) -> String {
    const MAIN: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let mut text = format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">"#,
            r#"<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>"#,
            r#"<Default Extension="xml" ContentType="application/xml"/>"#,
            r#"<Override PartName="/xl/workbook.xml" ContentType="{main}.sheet.main+xml"/>"#,
            r#"<Override PartName="/xl/styles.xml" ContentType="{main}.styles+xml"/>"#,
            r#"<Override PartName="/docProps/custom.xml" "#,
            r#"ContentType="application/vnd.openxmlformats-officedocument.custom-properties+xml"/>"#,
        ),
        main = MAIN
    );
    for number in 1..=sheets {
        text.push_str(&format!(
            r#"<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{MAIN}.worksheet+xml"/>"#
        ));
    }
    text.push_str("</Types>");
    text
}

pub(super) fn properties(rows: u64, truncated: bool) -> String {
    format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
            r#"<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/custom-properties" "#,
            r#"xmlns:vt="http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes">"#,
            r#"<property fmtid="{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}" pid="2" name="{rows_key}">"#,
            r#"<vt:i8>{rows}</vt:i8></property>"#,
            r#"<property fmtid="{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}" pid="3" name="{truncated_key}">"#,
            r#"<vt:bool>{truncated}</vt:bool></property></Properties>"#,
        ),
        rows_key = ROWS_KEY,
        truncated_key = TRUNCATED_KEY,
        rows = rows,
        truncated = truncated
    )
}
