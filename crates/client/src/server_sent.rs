//! Reads the `text/event-stream` format piece by piece.

use crate::EVENT_BYTES_MAX;

/// One event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The last id that was said, also by an earlier record.
    pub(crate) id: Option<String>,
    /// Its name; empty when it has none.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A line or an event is longer than `EVENT_BYTES_MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Takes bytes, gives events. Comments and unknown fields are passed over.
#[derive(Debug, Default)]
pub(crate) struct RecordReader {
    line: Vec<u8>,
    after_carriage_return: bool,
    id: Option<String>,
    name: String,
    data: Option<String>,
}

impl RecordReader {
    /// Takes the next bytes and adds the events they complete to `records`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        records: &mut impl Extend<Record>,
    ) -> Result<(), TooLong> {
        for byte in bytes {
            let ends_a_pair = self.after_carriage_return && *byte == b'\n';
            self.after_carriage_return = *byte == b'\r';
            match byte {
                b'\n' if ends_a_pair => {}
                b'\n' | b'\r' => records.extend(self.end_line()?),
                _ if self.line.len() == EVENT_BYTES_MAX => return Err(TooLong),
                _ => self.line.push(*byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Record>, TooLong> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let id = self.id.clone();
            return Ok(self.data.take().map(|data| Record { id, name, data }));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => self.add_data(value)?,
            "event" => value.clone_into(&mut self.name),
            "id" => self.id = Some(value.to_owned()),
            _ => {}
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &str) -> Result<(), TooLong> {
        let Some(data) = &mut self.data else {
            self.data = Some(value.to_owned());
            return Ok(());
        };
        if data.len() + value.len() >= EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        data.push('\n');
        data.push_str(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text in pieces of `piece` bytes; shows events as `id name=data`.
    fn read(text: &str, piece: usize) -> Vec<String> {
        let mut reader = RecordReader::default();
        let mut records = Vec::new();
        for bytes in text.as_bytes().chunks(piece) {
            reader.push(bytes, &mut records).unwrap();
        }
        let show = |Record { id, name, data }| format!("{} {name}={data}", id.unwrap_or_default());
        records.into_iter().map(show).collect()
    }

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let text = ": hello\n\nid: 1.0\ndata: {\"a\":1}\n\n: beat\n\nevent: x\nid: 1.1\n\
                    data: first\ndata:second\n\ndata: no id of its own\n\nid: 9\ndata: unfinished";
        let expected = [
            "1.0 ={\"a\":1}",
            "1.1 x=first\nsecond",
            "1.1 =no id of its own",
        ];
        for piece in 1..text.len() {
            assert_eq!(read(text, piece), expected, "in pieces of {piece}");
            assert_eq!(
                read(&text.replace('\n', "\r\n"), piece),
                expected,
                "crlf, {piece}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = RecordReader::default();
        let mut records = Vec::new();
        assert_eq!(
            reader.push(&vec![b'x'; EVENT_BYTES_MAX], &mut records),
            Ok(())
        );
        assert_eq!(reader.push(b"x", &mut records), Err(TooLong));
    }
}
