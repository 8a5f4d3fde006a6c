// SPDX-License-Identifier: MIT OR Apache-2.0
//! An `object` element, with others inside.

use quick_xml::Writer;
use std::io::{self, Write};

pub struct Object {
    pub number: u64,
    attributes: Vec<(&'static str, String)>,
    infos: Vec<(&'static str, String)>,
    below: Vec<Object>,
}

impl Object {
    pub fn new(kind: &str, number: u64) -> Object {
        let attributes = vec![("type", kind.to_owned()), ("gp_index", number.to_string())];
        Object { number, attributes, infos: Vec::new(), below: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Object {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// For readers: hwloc shows it and gives it no meaning.
    pub fn info(mut self, name: &'static str, value: impl ToString) -> Object {
        self.infos.push((name, value.to_string()));
        self
    }

    pub fn around(mut self, below: impl IntoIterator<Item = Object>) -> Object {
        self.below.extend(below);
        self
    }

    pub fn write<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        let attributes = self.attributes.iter().map(|(name, value)| (*name, value.as_str()));
        let element = writer.create_element("object").with_attributes(attributes);
        if self.infos.is_empty() && self.below.is_empty() {
            return element.write_empty().map(drop);
        }
        let inner = |writer: &mut Writer<W>| {
            for (name, value) in &self.infos {
                let info = writer.create_element("info").with_attribute(("name", *name));
                info.with_attribute(("value", value.as_str())).write_empty()?;
            }
            self.below.iter().try_for_each(|object| object.write(writer))
        };
        element.write_inner_content(inner).map(drop)
    }
}
