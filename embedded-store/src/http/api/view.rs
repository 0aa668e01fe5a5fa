//! Events as the page gets them. What they say is somebody else's text: it travels as text, never as
//! markup, and in lists only its beginning does.

use serde::Serialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::event::{LINK_KIND, Recorded, written_time};
use crate::semantics::names;

/// Characters of an event's data that a list shows.
const PREVIEW: usize = 200;

/// Bytes of data or metadata that an answer carries; the rest has to be saved as a file.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of binary data that an answer carries, two digits each.
const MOST_BINARY_BYTES: usize = 64 * 1024;

/// An event in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    position: String,
    stream: String,
    revision: String,
    id: Uuid,
    #[serde(rename = "type")]
    kind: String,
    created: String,
    is_json: bool,
    data_size: usize,
    metadata_size: usize,
    preview: String,
    /// Where it points, if it is a link.
    link: Option<Target>,
}

#[derive(Debug, Serialize)]
pub(super) struct Target {
    revision: String,
    stream: String,
}

/// An event with what it says.
#[derive(Debug, Serialize)]
pub(super) struct Full {
    #[serde(flatten)]
    summary: Summary,
    data: Content,
    metadata: Content,
}

/// Bytes in the form in which they can be shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    form: Form,
    /// Or two hexadecimal digits for each byte.
    text: String,
    size: usize,
    /// Whether there is more than is shown.
    cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Empty,
    Json,
    Text,
    Binary,
}

pub(super) fn summary(event: &Recorded) -> Summary {
    Summary {
        position: event.position.to_string(),
        stream: event.stream.to_string(),
        revision: event.revision.to_string(),
        id: event.id,
        kind: event.kind.to_string(),
        created: written_time(event.created),
        is_json: event.is_json,
        data_size: event.data.len(),
        metadata_size: event.metadata.len(),
        preview: preview(&event.data),
        link: target(event),
    }
}

pub(super) fn full(event: &Recorded) -> Full {
    Full { summary: summary(event), data: content(&event.data), metadata: content(&event.metadata) }
}

fn target(event: &Recorded) -> Option<Target> {
    let (revision, stream) = link_target(event)?;
    Some(Target { revision: revision.to_string(), stream: stream.to_owned() })
}

/// Where an event points, if it is a link.
pub(super) fn link_target(event: &Recorded) -> Option<(u64, &str)> {
    (&*event.kind == LINK_KIND).then(|| names::link_target(&event.data)).flatten()
}

/// The beginning of a text; nothing of what is none.
fn preview(data: &[u8]) -> String {
    // A character has four bytes at most, and the last one may be cut.
    let beginning = &data[..data.len().min(PREVIEW * 4)];
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return String::new(),
    };
    let mut words = text.split_whitespace();
    let mut preview = String::new();
    while let Some(word) = words.next().filter(|_| preview.chars().count() < PREVIEW) {
        if !preview.is_empty() {
            preview.push(' ');
        }
        preview.push_str(word);
    }
    preview.chars().take(PREVIEW).collect()
}

/// What bytes are, whatever their event says of them.
pub(super) fn form(bytes: &[u8]) -> Form {
    match std::str::from_utf8(bytes) {
        Err(_) => Form::Binary,
        Ok("") => Form::Empty,
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Form::Json,
        Ok(_) => Form::Text,
    }
}

fn content(bytes: &[u8]) -> Content {
    let size = bytes.len();
    let Ok(text) = std::str::from_utf8(bytes) else {
        let shown = &bytes[..size.min(MOST_BINARY_BYTES)];
        let text = shown.iter().copied().fold(String::with_capacity(shown.len() * 2), hexadecimal);
        return Content { form: Form::Binary, text, size, cut: shown.len() < size };
    };
    let end = text.floor_char_boundary(MOST_BYTES);
    let cut = end < size;
    // A part of JSON is none.
    let form = if cut { Form::Text } else { form(bytes) };
    Content { form, text: text[..end].to_owned(), size, cut }
}

fn hexadecimal(mut text: String, byte: u8) -> String {
    for digit in [byte >> 4, byte & 15] {
        text.extend(char::from_digit(digit.into(), 16));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_line_of_text_even_where_a_character_is_cut() {
        assert_eq!(preview(b"{\n  \"a\":\t1 }"), "{ \"a\": 1 }");
        let long = preview("\u{20ac}".repeat(1_000).as_bytes());
        assert_eq!(long.chars().count(), PREVIEW);
        assert_eq!(preview(&[0, 159, 146, 150]), "");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_digits() {
        let shown = content(&[0, 159, 255]);
        assert_eq!((shown.form, shown.text.as_str()), (Form::Binary, "009fff"));
        let long = content(&vec![255; MOST_BINARY_BYTES + 1]);
        assert_eq!((long.text.len(), long.size, long.cut), (131_072, 65_537, true));
    }

    #[test]
    fn what_is_called_json_is() {
        assert_eq!(content(b"{\"a\":[1e400,\"\\u202e\"]}").form, Form::Json);
        assert_eq!(content(b"{\"a\":").form, Form::Text);
        assert_eq!(content(b"").form, Form::Empty);
    }
}
