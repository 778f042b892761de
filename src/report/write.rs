//! A table as CSV, TSV, JSON, JSON Lines, Markdown or a terminal's table.
//!
//! In files a value stays what it is: nothing is cut or escaped beyond what the format needs, and what is missing is empty.
//! Only for the eye, in Markdown and on a terminal, control characters are written out.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table as Drawn, presets};
use jiff::tz::TimeZone;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use unicode_width::UnicodeWidthStr as _;

use super::results::{Cell, Column, Table};
use super::text::{local, utc, visible};
use crate::plan::JsonNumber;

/// CSV with a header, `\n` line ends, quotes only where they are needed.
pub fn csv(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(table.columns.iter().map(Column::name)).map_err(io_error)?;
    for row in &table.rows {
        writer
            .write_record(row.iter().zip(&table.columns).map(|(cell, column)| filed(cell, column)))
            .map_err(io_error)?;
    }
    writer.flush()
}

/// The system's own error, so that a reader who left is told from a full disk.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Tab-separated values with a header. The format has no quotes: tabs and line ends in a value become `\t`, `\n`.
pub fn tsv(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let mut line = |cells: &mut dyn Iterator<Item = String>| -> io::Result<()> {
        let cells: Vec<String> = cells
            .map(|text| {
                text.replace('\\', "\\\\")
                    .replace('\t', "\\t")
                    .replace('\n', "\\n")
                    .replace('\r', "\\r")
            })
            .collect();
        writeln!(out, "{}", cells.join("\t"))
    };
    line(&mut table.columns.iter().map(|column| column.name().to_owned()))?;
    table.rows.iter().try_for_each(|row| {
        line(&mut row.iter().zip(&table.columns).map(|(cell, column)| filed(cell, column)))
    })
}

/// One JSON object a row; axes below `params`, what is missing is `null`.
pub fn jsonl(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for row in &table.rows {
        serde_json::to_writer(&mut *out, &Object(table, row))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes one JSON document.
pub fn json_document(table: &Table, campaign: &str, out: &mut dyn Write) -> io::Result<()> {
    let rows = table.rows.iter().map(|row| Object(table, row)).collect();
    serde_json::to_writer(out, &Document { schema: 1, campaign, rows }).map_err(io::Error::from)
}

#[derive(Serialize)]
struct Document<'t> {
    schema: u32,
    campaign: &'t str,
    rows: Vec<Object<'t>>,
}

/// A Markdown table; short ids, times to the second.
pub fn markdown(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let escaped = |text: &str| {
        let mut shown = String::new();
        for c in visible(text).chars() {
            match c {
                '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' => shown.extend(['\\', c]),
                '<' => shown.push_str("&lt;"),
                '&' => shown.push_str("&amp;"),
                c => shown.push(c),
            }
        }
        shown
    };
    let names: Vec<String> = table.columns.iter().map(|column| escaped(column.name())).collect();
    writeln!(out, "| {} |", names.join(" | "))?;
    let rules: Vec<&str> =
        (0..names.len()).map(|place| if numeric(table, place) { "---:" } else { "---" }).collect();
    writeln!(out, "| {} |", rules.join(" | "))?;
    for row in &table.rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&table.columns)
            .map(|(cell, column)| escaped(&shown(cell, column, &TimeZone::UTC)))
            .collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

/// Columns that a narrow terminal does without, the first of them first: what others say too, or is seldom looked for.
const SPARED: [&str; 9] =
    ["name", "snapshot", "git_rev", "dirty", "index", "ended_at", "started_at", "attempt", "host"];

/// A table for a terminal of `width` columns, or as wide as it gets without one. Columns without any value are left out.
/// Where room is short some others are, too: the second value names them.
pub fn terminal(table: &Table, width: Option<u16>, zone: &TimeZone) -> (String, Vec<&'static str>) {
    let mut kept: Vec<usize> = (0..table.columns.len())
        .filter(|place| table.rows.iter().any(|row| row[*place] != Cell::Empty))
        .collect();
    let spared = width.map_or(Vec::new(), |width| spare(table, &mut kept, width, zone));
    let mut drawn = plain_table(width);
    drawn.set_header(kept.iter().map(|place| visible(table.columns[*place].name()).into_owned()));
    for row in &table.rows {
        drawn.add_row(
            kept.iter().map(|place| {
                visible(&shown(&row[*place], &table.columns[*place], zone)).into_owned()
            }),
        );
    }
    for (column, place) in kept.iter().enumerate() {
        if numeric(table, *place)
            && let Some(column) = drawn.column_mut(column)
        {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let flowing: Vec<&str> = table
        .columns
        .iter()
        .filter(|column| matches!(column, Column::Axis(_) | Column::Fixed("name" | "detail")))
        .map(Column::name)
        .collect();
    (finished(drawn, &flowing), spared)
}

/// Takes columns out until the rest has room, if that is enough; their names.
fn spare(table: &Table, kept: &mut Vec<usize>, width: u16, zone: &TimeZone) -> Vec<&'static str> {
    let wide = |place: usize| {
        let column = &table.columns[place];
        let cells = table.rows.iter().map(|row| visible(&shown(&row[place], column, zone)).width());
        cells.chain([visible(column.name()).width()]).max().unwrap_or(0) + 2
    };
    let widths: BTreeMap<usize, usize> = kept.iter().map(|place| (*place, wide(*place))).collect();
    let mut spared = Vec::new();
    for name in SPARED {
        let needed: usize = kept.iter().map(|place| widths[place]).sum();
        if needed <= usize::from(width) {
            break;
        }
        let is_it =
            |place: &usize| matches!(table.columns[*place], Column::Fixed(fixed) if fixed == name);
        // Without axes the name alone says which job a row is.
        let axes = table.columns.iter().any(|column| matches!(column, Column::Axis(_)));
        if let Some(at) = kept.iter().position(is_it).filter(|_| axes || name != "name") {
            kept.remove(at);
            spared.push(name);
        }
    }
    spared
}

/// The look of every table on a terminal: no frame, blanks between columns.
pub(super) fn plain_table(width: Option<u16>) -> Drawn {
    let mut drawn = Drawn::new();
    drawn.load_style(presets::NOTHING);
    if let Some(width) = width {
        drawn.set_content_arrangement(ContentArrangement::Dynamic);
        drawn.set_width(width);
    }
    drawn
}

/// The text of such a table: two blanks between columns, none at the ends. Where room is short, `flowing` columns wrap.
pub(super) fn finished(mut drawn: Drawn, flowing: &[&str]) -> String {
    let whole: Vec<bool> = drawn
        .header()
        .map(|row| {
            row.cell_iter().map(|cell| !flowing.contains(&cell.content().as_str())).collect()
        })
        .unwrap_or_default();
    for (column, whole) in drawn.column_iter_mut().zip(whole) {
        column.set_padding((0, 2));
        if whole {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    drawn.trim_fmt()
}

fn numeric(table: &Table, place: usize) -> bool {
    table.rows.iter().any(|row| row[place] != Cell::Empty)
        && table.rows.iter().all(|row| {
            matches!(row[place], Cell::Empty | Cell::Int(_) | Cell::Float(_) | Cell::Spelled(_))
        })
}

/// A number as JSON spells it: the shortest text that reads back as the same number.
fn float(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else {
        serde_json::Value::from(number).to_string()
    }
}

/// The cell in CSV and TSV. Texts that are for people only are safe to print; an axis value is data.
fn filed(cell: &Cell, column: &Column) -> String {
    match (cell, column) {
        (Cell::Text(text), Column::Fixed(_)) => visible(text).into_owned(),
        (cell, _) => plain(cell),
    }
}

/// The cell as text.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => float(*number),
        Cell::Spelled(number) => number.clone(),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Time(moment) => utc(*moment),
    }
}

/// The cell for the eye.
fn shown(cell: &Cell, column: &Column, zone: &TimeZone) -> String {
    match (cell, column) {
        (Cell::Text(text), Column::Fixed("job_id")) => text.chars().take(8).collect(),
        (Cell::Text(text), Column::Fixed("git_rev" | "snapshot")) => {
            text.chars().take(12).collect()
        }
        (Cell::Time(moment), _) => local(*moment, zone),
        (cell, _) => plain(cell),
    }
}

/// A row as an object. Axes stand together below `params`, in front of the times.
struct Object<'t>(&'t Table, &'t [Cell]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(table, row) = self;
        let columns = || table.columns.iter().zip(*row);
        let mut object = serializer.serialize_map(None)?;
        for (column, cell) in columns() {
            let Column::Fixed(name) = column else { continue };
            if matches!(*name, "started_at" | "queued_at") {
                object.serialize_entry("params", &Axes(table, row))?;
            }
            object.serialize_entry(name, &Json(cell))?;
        }
        object.end()
    }
}

/// The axes of a row as an object.
struct Axes<'t>(&'t Table, &'t [Cell]);

impl Serialize for Axes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let axes = self.0.columns.iter().zip(self.1).filter_map(|(column, cell)| match column {
            Column::Axis(name) => Some((name, Json(cell))),
            Column::Fixed(_) => None,
        });
        serializer.collect_map(axes)
    }
}

/// A cell as JSON, which has no NaN and no infinity: they are told as text, not dropped as `null`.
struct Json<'t>(&'t Cell);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Empty => serializer.serialize_unit(),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Int(number) => serializer.serialize_i64(*number),
            Cell::Float(number) if number.is_nan() => serializer.serialize_str("NaN"),
            Cell::Float(number) if number.is_infinite() => {
                serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Cell::Float(number) => serializer.serialize_f64(*number),
            Cell::Spelled(number) => JsonNumber(number).serialize(serializer),
            Cell::Bool(truth) => serializer.serialize_bool(*truth),
            Cell::Time(moment) => serializer.serialize_str(&utc(*moment)),
        }
    }
}
