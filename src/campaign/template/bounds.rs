//! How much text the engine may make of a template: a mistake is told, and does not fill the memory first.
//!
//! Fuel bounds the steps; this bounds what one step can make. What the engine bounds itself is not here: `*` gives at most
//! 100 million characters, `range` at most 100,000 numbers. `~` has no bound but the steps.

use std::io;

use minijinja::value::{Kwargs, Rest, StringInput, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

/// Bytes of a rendered template; more than a host takes as one argument.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// Bytes of what `join` and `replace` put in many places.
const MAX_INSERTED: usize = 256;
/// The largest width or precision of `format`.
const MAX_WIDTH: usize = 1000;
/// The widest indentation of `indent` and `tojson`.
const MAX_INDENT: usize = 16;
/// The largest count of `slice` and `batch`.
const MAX_COUNT: usize = 1000;

/// Text up to [`MAX_TEXT`].
#[derive(Debug, Default)]
pub(super) struct Bounded(pub(super) Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes away what makes much of little, or bounds it where people use it.
pub(super) fn bound(environment: &mut Environment<'_>) {
    environment.add_filter("batch", batch);
    environment.add_filter("slice", slice);
    environment.add_filter("indent", indent);
    environment.add_filter("format", format);
    environment.add_filter("join", join);
    environment.add_filter("replace", replace);
    environment.add_filter("tojson", tojson);
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn batch(
    state: &State<'_, '_>,
    value: Value,
    count: usize,
    fill: Option<Value>,
) -> Result<Value, Error> {
    check("batch", count, MAX_COUNT)?;
    filters::batch(state, value, count, fill)
}

fn slice(
    state: &State<'_, '_>,
    value: Value,
    count: usize,
    fill: Option<Value>,
) -> Result<Value, Error> {
    check("slice", count, MAX_COUNT)?;
    filters::slice(state, value, count, fill)
}

fn indent(
    value: StringInput<'_>,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    args: Kwargs,
) -> Result<Value, Error> {
    let named: Option<usize> = args.peek("width")?;
    check("indent", width.or(named).unwrap_or_default(), MAX_INDENT)?;
    check("indent", value.as_str().len(), MAX_TEXT)?;
    filters::indent(value, width, first, blank, args)
}

fn check(filter: &str, number: usize, most: usize) -> Result<(), Error> {
    if number > most { Err(refuse(format!("`{filter}` takes at most {most}"))) } else { Ok(()) }
}

fn format(
    state: &mut State<'_, '_>,
    text: &Value,
    values: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let spec = text.as_str().unwrap_or_default();
    let numbers = spec.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let is_wide = |digits: &str| digits.parse::<usize>().map_or(true, |width| width > MAX_WIDTH);
    // A `*` takes its width from a value.
    if spec.contains('*') || numbers.into_iter().any(is_wide) {
        return Err(refuse(format!("`format` takes numbers up to {MAX_WIDTH} and no `*`")));
    }
    filters::format(state, text, values)
}

fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    if joiner.as_ref().is_some_and(|joiner| joiner.as_str().len() > MAX_INSERTED) {
        return Err(refuse(format!("`join` puts at most {MAX_INSERTED} bytes between two values")));
    }
    filters::join(state, value, joiner, attribute, kwargs)
}

fn replace(
    state: &mut State<'_, '_>,
    value: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<Value, Error> {
    if to.as_str().len() > MAX_INSERTED || value.as_str().len() > MAX_TEXT {
        return Err(refuse(format!(
            "`replace` puts at most {MAX_INSERTED} bytes in a place, and takes at most {MAX_TEXT}"
        )));
    }
    filters::replace(state, value, from, to)
}

/// A plain text: the engine's own is escaped for HTML, and counts as safe in every place.
fn tojson(value: &Value, indent: Option<Value>, args: Kwargs) -> Result<Value, Error> {
    let named: Option<Value> = args.peek("indent")?;
    for indent in indent.iter().chain(&named) {
        check("tojson", indent.as_usize().unwrap_or_default(), MAX_INDENT)?;
    }
    let json = filters::tojson(value, indent, args)?;
    Ok(Value::from(json.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Place, Scope, Template};
    use crate::campaign::model::Value as Own;

    struct Nothing;

    impl Scope for Nothing {
        fn axis(&self, _: &str) -> Option<&Own> {
            None
        }
    }

    fn render(text: &str) -> Result<String, String> {
        let template = Template::parse(text, Place::Plain).map_err(|error| error.message)?;
        let parts = template.render(&Nothing).map_err(|error| error.message)?;
        Ok(format!("{parts:?}"))
    }

    #[test]
    fn what_makes_much_of_little_is_refused_before_it_is_made() {
        let told = BTreeMap::from([
            ("{{ 'x' * 10**9 }}", "too large"),
            ("{{ 'x' * 2000000 }}", "more than 1 MiB"),
            ("{% for i in range(100000) %}{{ 'x' * 100000 }}{% endfor %}", "more than 1 MiB"),
            (
                "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
                "fuel",
            ),
            ("{{ range(1000000000) | list | length }}", "too many"),
            ("{{ '%1000000000d' | format(1) | length }}", "up to 1000"),
            ("{{ '%99999999999999999999999d' | format(1) }}", "up to 1000"),
            ("{{ '%.100000f' | format(1) }}", "up to 1000"),
            ("{{ '%*d' | format(1000000000, 1) }}", "no `*`"),
            ("{{ [1] | tojson(indent=1000000000) }}", "at most 16"),
            ("{{ [1] | tojson(1000000000) }}", "at most 16"),
            ("{{ range(100000) | join('x' * 1000000) | length }}", "at most 256"),
            ("{{ ('x' * 100000) | replace('x', 'y' * 100000) | length }}", "at most 256"),
            ("{{ ('x' * 100000000) | replace('x', 'yy') | length }}", "at most 256"),
            ("{{ 'a' | indent(1000000000) | length }}", "at most 16"),
            ("{{ 'a' | indent(width=1000000000) | length }}", "at most 16"),
            ("{{ [1] | slice(1000000000) | length }}", "at most 1000"),
            ("{{ [1] | batch(1000000000, 1) | length }}", "at most 1000"),
        ]);
        for (text, words) in told {
            let error = render(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_people_use_is_as_it_was() {
        for (text, wanted) in [
            ("{{ '%03d' | format(7) }}", "007"),
            ("{{ [1, 2] | join('-') }}", "1-2"),
            ("{{ 'a.b' | replace('.', '_') }}", "a_b"),
            ("{{ [1] | tojson }}", "[1]"),
            ("{{ 'x' * 3 }}", "xxx"),
        ] {
            let shown = render(text).expect(text);
            assert!(shown.contains(wanted), "{text}: {shown}");
        }
    }
}
