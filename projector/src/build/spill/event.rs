//! Events in the form in which they are put aside: everything of [`Raw`], lengths before contents.

use bytes::Bytes;
use journal::{Position, Raw};
use uuid::Uuid;

/// An event whose bytes are somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEvent<'a> {
    pub(crate) stream: &'a str,
    pub(crate) revision: u64,
    pub(crate) position: Position,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: &'a str,
    pub(crate) metadata: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl<'a> From<&'a Raw> for RawEvent<'a> {
    fn from(raw: &'a Raw) -> Self {
        Self {
            stream: &raw.stream,
            revision: raw.revision,
            position: raw.position,
            event_id: raw.event_id,
            event_type: &raw.event_type,
            metadata: &raw.metadata,
            data: &raw.data,
        }
    }
}

impl<'a> RawEvent<'a> {
    /// The event on its own, sharing the bytes of `block`, from which it must be.
    pub(super) fn to_raw(self, block: &Bytes) -> Raw {
        Raw {
            stream: self.stream.into(),
            revision: self.revision,
            position: self.position,
            event_id: self.event_id,
            event_type: self.event_type.into(),
            metadata: block.slice_ref(self.metadata),
            data: block.slice_ref(self.data),
        }
    }

    /// Exactly how many bytes [`encode`](Self::encode) writes.
    pub(super) fn encoded_bytes(&self) -> usize {
        let contents = [self.stream.len(), self.event_type.len(), self.metadata.len()];
        let contents = contents.into_iter().chain([self.data.len()]);
        let contents: usize = contents.map(|len| number_bytes(len as u64) + len).sum();
        let numbers: usize = self.numbers().into_iter().map(number_bytes).sum();
        contents + numbers + size_of::<Uuid>()
    }

    /// Small ones where possible: prepare and commit position hardly ever differ.
    fn numbers(&self) -> [u64; 3] {
        let Position { commit, prepare } = self.position;
        [self.revision, commit, commit.wrapping_sub(prepare)]
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for content in [self.stream.as_bytes(), self.event_type.as_bytes()] {
            put_content(out, content);
        }
        for number in self.numbers() {
            put_number(out, number);
        }
        out.extend_from_slice(self.event_id.as_bytes());
        for content in [self.metadata, self.data] {
            put_content(out, content);
        }
    }

    /// Takes the next event off `from`; `None` when there is no event in it.
    pub(super) fn decode(from: &mut &'a [u8]) -> Option<Self> {
        let stream = take_text(from)?;
        let event_type = take_text(from)?;
        let revision = take_number(from)?;
        let commit = take_number(from)?;
        let prepare = commit.wrapping_sub(take_number(from)?);
        let event_id = Uuid::from_slice(take(from, size_of::<Uuid>())?).ok()?;
        let metadata = take_content(from)?;
        let data = take_content(from)?;
        let position = Position { commit, prepare };
        Some(Self { stream, revision, position, event_id, event_type, metadata, data })
    }
}

/// Seven bits to the byte, the lowest first; all but the last with the highest bit set.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn number_bytes(number: u64) -> usize {
    let bits = (u64::BITS - number.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let [byte] = *take(from, 1)? else { return None };
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn put_content(out: &mut Vec<u8>, content: &[u8]) {
    put_number(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn take_content<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_number(from)?).ok()?;
    take(from, len)
}

fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_content(from)?).ok()
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    from.split_off(..len)
}
