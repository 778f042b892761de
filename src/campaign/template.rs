//! Templates and expressions: minijinja, strict, without clock, randomness or environment.
//!
//! A template is text with `{{ name }}` in it. Most hold nothing else; those are kept as [`Segment`]s and rendered
//! without the engine, which is what makes a plan of 100,000 jobs quick. Any other syntax (filters, `{% if %}`) goes
//! through minijinja; a property test holds the two ways equal. Comments are `{{# … #}}`, so that bash's `${#x}` is
//! plain text. What `{{ 'text' }}` and a `raw` block put out is text of the file, not a value: no place escapes it.
//!
//! Inside an engine expression, `~` and filters see a value as the engine prints it: `'x' ~ flag` gives `xTrue`. Only
//! what `{{ }}` shows follows the rules of [`text_of`].
//!
//! Does not know which axes a campaign has: [`Template::names`] tells what is used, the check compares.

mod bounds;
mod compare;
mod engine;
mod error;
mod escape;
mod expression;
mod habits;
mod names;
mod quotes;
mod scan;
mod slices;
#[cfg(test)]
mod tests;
mod values;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::campaign::model::Value;

pub use compare::{Comparison, Literal, comparisons};
pub use error::{RenderError, TemplateError, TemplateErrors};
pub use escape::{escape, text_of};
pub use expression::Expression;
pub(super) use habits::{Habit, Spelling, sets_variable};
pub use names::Name;

/// Where a rendered value ends up; each place has its own escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A shell text: every value is quoted as one word.
    Shell,
    /// A glob: `* ? [` in a value match themselves.
    Glob,
    /// A regular expression: a value matches itself.
    Regex,
    /// As it is.
    Plain,
}

/// A piece of rendered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text, already escaped for its place.
    Text(String),
    /// A name that only the host can resolve. Never a path here, so that identity and other hosts never see one.
    Ref(Reference),
}

/// What `{{ job.out_dir }}` and its like stand for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `job.out_dir`: the attempt's own folder.
    OutDir,
    /// `job.state_dir`: the same for every attempt.
    StateDir,
    /// `work_dir`: where the job starts.
    WorkDir,
    /// `host.x`: the host's own variable.
    HostVar(String),
}

/// A rendered template: text with references in it, in order, no two texts side by side.
pub type Rendered = Vec<Part>;

/// The values that templates and expressions see of one job.
pub trait Scope {
    /// Value of an axis, or of another plain name that an expression may use; `None` where an `include` left it out.
    fn axis(&self, name: &str) -> Option<&Value>;
    /// Which repetition of the cell this is, from 0.
    fn repeat(&self) -> u32 {
        0
    }
    /// `{{ vars.NAME }}`.
    fn var(&self, name: &str) -> Option<&Value> {
        let _ = name;
        None
    }
}

/// Where [`Template::render_into`] writes to.
pub trait Sink {
    /// Appends text that is escaped already; may be empty.
    fn text(&mut self, text: &str);
    /// Appends a reference.
    fn reference(&mut self, reference: &Reference);
}

impl Sink for Rendered {
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.push(Part::Text(text.to_owned())),
        }
    }

    fn reference(&mut self, reference: &Reference) {
        self.push(Part::Ref(reference.clone()));
    }
}

/// A piece of a template that needs no engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text as written.
    Text(String),
    /// `{{ name }}`: the escaped value of the name, or a reference.
    Name(Name),
}

/// A checked template.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    place: Place,
    names: BTreeSet<Name>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Segments(Vec<Segment>),
    Engine(Arc<engine::Compiled>),
}

impl Template {
    /// Parses `text` for a place.
    ///
    /// # Errors
    /// The first of what [`Template::check`] finds.
    pub fn parse(text: &str, place: Place) -> Result<Self, TemplateError> {
        Self::check(text, place).map_err(|mut found| found.errors.swap_remove(0))
    }

    /// Parses `text` for a place and tells all that is wrong with it.
    ///
    /// # Errors
    /// Syntax, a name that can stand for nothing (`{{ job.foo }}`), and in [`Place::Shell`] quotes around braces.
    pub fn check(text: &str, place: Place) -> Result<Self, TemplateErrors> {
        if text.contains('\0') {
            let error = TemplateError::new(
                "a NUL byte stands in the text, which nothing on a host can carry",
            )
            .help("leave `\\u0000` out");
            return Err(TemplateErrors { errors: vec![error], names: BTreeSet::new() });
        }
        let pieces = scan::scan(text);
        let mut errors = Vec::new();
        let (names, body) = if let Some(segments) = names::segments(text, &pieces, &mut errors) {
            let names = segments.iter().filter_map(Segment::name).cloned().collect();
            (names, Some(Body::Segments(segments)))
        } else {
            match engine::Compiled::parse(text, &pieces, place) {
                Ok(compiled) => (compiled.names().clone(), Some(Body::Engine(Arc::new(compiled)))),
                Err(found) => {
                    errors.extend(found.errors);
                    (found.names, None)
                }
            }
        };
        if place == Place::Shell {
            errors.extend(quotes::read(text, &pieces).errors);
        }
        errors.sort_by_key(|error| error.range.as_ref().map(|range| range.start));
        match body {
            Some(body) if errors.is_empty() => {
                Ok(Self { text: text.to_owned(), place, names, body })
            }
            _ => Err(TemplateErrors { errors, names }),
        }
    }

    /// Where the text names something as other tools would, `$x` or `{x}`, so that it is no part of the template.
    pub(super) fn habits(text: &str, place: Place) -> Vec<Habit> {
        let pieces = scan::scan(text);
        match place {
            Place::Shell => quotes::read(text, &pieces).habits,
            Place::Glob | Place::Regex | Place::Plain => habits::plain_habits(text, &pieces),
        }
    }

    /// The template as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place that values are escaped for.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The names that the template takes from its [`Scope`] or leaves to the host.
    pub fn names(&self) -> &BTreeSet<Name> {
        &self.names
    }

    /// The template as plain pieces, when it holds nothing but text and `{{ name }}`: a caller with many jobs then
    /// escapes each value once, by [`escape()`], and joins.
    pub fn segments(&self) -> Option<&[Segment]> {
        match &self.body {
            Body::Segments(segments) => Some(segments),
            Body::Engine(_) => None,
        }
    }

    /// Renders for one job.
    ///
    /// # Errors
    /// An axis that this job leaves empty, a value with a NUL byte, a list or none, whatever the engine refuses.
    pub fn render(&self, scope: &dyn Scope) -> Result<Rendered, RenderError> {
        let mut parts = Rendered::new();
        self.render_into(scope, &mut parts)?;
        Ok(parts)
    }

    /// Renders for one job into a sink that the caller may keep between jobs. After an error the sink holds a part of
    /// the text.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_into(&self, scope: &dyn Scope, sink: &mut dyn Sink) -> Result<(), RenderError> {
        match &self.body {
            Body::Engine(compiled) => compiled.render_into(scope, sink),
            Body::Segments(segments) => {
                segments.iter().try_for_each(|segment| self.render_segment(segment, scope, sink))
            }
        }
    }

    fn render_segment(
        &self,
        segment: &Segment,
        scope: &dyn Scope,
        sink: &mut dyn Sink,
    ) -> Result<(), RenderError> {
        let name = match segment {
            Segment::Text(text) => {
                sink.text(text);
                return Ok(());
            }
            Segment::Name(name) => name,
        };
        let value = match name {
            Name::Ref(reference) => {
                sink.reference(reference);
                return Ok(());
            }
            Name::Repeat => {
                sink.text(&scope.repeat().to_string());
                return Ok(());
            }
            Name::Axis(axis) => scope.axis(axis),
            Name::Var(var) => scope.var(var),
        };
        let value = value.ok_or_else(|| RenderError::empty(name))?;
        sink.text(&escape(self.place, value)?);
        Ok(())
    }

    /// The engine's way for any template, so that a test can hold it against the segments.
    ///
    /// # Errors
    /// As [`Template::render`].
    #[doc(hidden)]
    pub fn render_by_engine(&self, scope: &dyn Scope) -> Result<Rendered, RenderError> {
        let compiled = engine::Compiled::parse(&self.text, &scan::scan(&self.text), self.place)
            .map_err(|found| {
                let messages = found.errors.into_iter().map(|error| error.message);
                RenderError::new(messages.collect::<Vec<_>>().join("; "))
            })?;
        let mut parts = Rendered::new();
        compiled.render_into(scope, &mut parts)?;
        Ok(parts)
    }
}

impl Segment {
    fn name(&self) -> Option<&Name> {
        match self {
            Self::Text(_) => None,
            Self::Name(name) => Some(name),
        }
    }
}
