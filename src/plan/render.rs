//! Templates over all jobs: what they look up and escape is looked up and escaped once for each value of an axis.
//!
//! For the one job that somebody asks about, `job` renders straight from the template; this is for the hundred thousand
//! whose ids are wanted. What a template means is `campaign`'s; where the short way does not apply, it is asked.

use std::collections::BTreeMap;

use crate::campaign::Campaign;
use crate::campaign::template::{Name, Place, Reference, Segment, Sink, Template, escape};
use crate::plan::PlanError;
use crate::plan::axes::{Column, ColumnKind, Row};

/// The values of a column, escaped for a place, one after the other.
#[derive(Debug)]
struct Escaped {
    text: String,
    ends: Vec<usize>,
}

impl Escaped {
    /// `None` when a value has no form at that place; the jobs that use it are told by the template.
    fn new(column: &Column, place: Place) -> Option<Self> {
        let mut escaped = Self { text: String::new(), ends: Vec::new() };
        for value in &column.values {
            escaped.text.push_str(&escape(place, value).ok()?);
            escaped.ends.push(escaped.text.len());
        }
        Some(escaped)
    }

    fn get(&self, at: u32) -> Option<&str> {
        let at = at as usize;
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.text[start..end])
    }
}

/// A piece of a text, ready for every job.
#[derive(Debug)]
enum Piece {
    Text(String),
    /// The value of a column, from one of the tables.
    Value {
        column: usize,
        table: usize,
    },
    Reference(Reference),
}

/// A template of the campaign, ready for every job.
#[derive(Debug)]
pub(crate) struct Text<'c> {
    template: &'c Template,
    what: String,
    /// `None` when the template needs the engine.
    pieces: Option<Vec<Piece>>,
}

/// The texts of a campaign with the tables that they share.
#[derive(Debug)]
pub(crate) struct Texts<'c> {
    campaign: &'c Campaign,
    pub(crate) columns: &'c [Column],
    tables: Vec<Option<Escaped>>,
    places: BTreeMap<(u8, usize), usize>,
}

impl<'c> Texts<'c> {
    pub(crate) fn new(campaign: &'c Campaign, columns: &'c [Column]) -> Self {
        Self { campaign, columns, tables: Vec::new(), places: BTreeMap::new() }
    }

    /// Makes a template ready; `what` is the key of the file that holds it.
    pub(crate) fn prepare(&mut self, template: &'c Template, what: impl Into<String>) -> Text<'c> {
        let place = template.place();
        let pieces = template.segments().and_then(|segments| {
            segments.iter().map(|segment| self.piece(segment, place)).collect()
        });
        Text { template, what: what.into(), pieces }
    }

    fn piece(&mut self, segment: &Segment, place: Place) -> Option<Piece> {
        let name = match segment {
            Segment::Text(text) => return Some(Piece::Text(text.clone())),
            Segment::Name(name) => name,
        };
        let column = match name {
            Name::Ref(reference) => return Some(Piece::Reference(reference.clone())),
            Name::Var(name) => {
                let value = self.campaign.vars.get(name.as_str())?;
                return Some(Piece::Text(escape(place, value).ok()?.into_owned()));
            }
            Name::Axis(axis) => self.columns.iter().position(|c| c.name.as_str() == axis)?,
            Name::Repeat => match self.columns.iter().position(|c| c.kind == ColumnKind::Repeat) {
                Some(at) => at,
                None => return Some(Piece::Text("0".to_owned())),
            },
        };
        let key = (place_key(place), column);
        let table = *self.places.entry(key).or_insert_with(|| {
            self.tables.push(Escaped::new(&self.columns[column], place));
            self.tables.len() - 1
        });
        Some(Piece::Value { column, table })
    }

    /// Whether the text is the same for every job, and cannot fail.
    pub(crate) fn is_constant(text: &Text<'_>) -> bool {
        let constant = |piece: &Piece| !matches!(piece, Piece::Value { .. });
        text.pieces.as_ref().is_some_and(|pieces| pieces.iter().all(constant))
    }

    /// Whether the text has a form for this cell, by the short way alone; `false` says only that it must be rendered.
    pub(crate) fn surely_renders(&self, text: &Text<'_>, cell: &[u32]) -> bool {
        text.pieces.as_ref().is_some_and(|pieces| {
            pieces.iter().all(|piece| match piece {
                Piece::Value { column, table } => self.value(*table, cell[*column]).is_some(),
                Piece::Text(_) | Piece::Reference(_) => true,
            })
        })
    }

    /// Renders a text for one cell into `sink`.
    pub(crate) fn render(
        &self,
        text: &Text<'_>,
        cell: &[u32],
        sink: &mut dyn Sink,
    ) -> Result<(), PlanError> {
        let Some(pieces) = text.pieces.as_ref().filter(|_| self.surely_renders(text, cell)) else {
            let row = Row { columns: self.columns, vars: &self.campaign.vars, cell };
            return text.template.render_into(&row, sink).map_err(|error| PlanError::Render {
                what: text.what.clone(),
                cell: row.words(),
                cause: error.to_string(),
            });
        };
        for piece in pieces {
            match piece {
                Piece::Text(text) => sink.text(text),
                Piece::Reference(reference) => sink.reference(reference),
                Piece::Value { column, table } => {
                    sink.text(self.value(*table, cell[*column]).unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    fn value(&self, table: usize, at: u32) -> Option<&str> {
        self.tables[table].as_ref()?.get(at)
    }
}

/// Places have no order of their own.
fn place_key(place: Place) -> u8 {
    match place {
        Place::Shell => 0,
        Place::Glob => 1,
        Place::Regex => 2,
        Place::Plain => 3,
    }
}
