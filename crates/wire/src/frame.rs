//! Frames as a WebSocket carries them: text or binary.

/// A frame to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// JSON.
    Text(String),
    /// MessagePack, perhaps compressed.
    Binary(Vec<u8>),
}

impl Frame {
    /// The same, borrowed.
    pub fn as_ref(&self) -> FrameRef<'_> {
        match self {
            Self::Text(text) => FrameRef::Text(text),
            Self::Binary(bytes) => FrameRef::Binary(bytes),
        }
    }

    /// The JSON, unless it is binary.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Its size on the wire.
    pub fn bytes(&self) -> usize {
        self.as_ref().bytes()
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A frame that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameRef<'a> {
    /// JSON.
    Text(&'a str),
    /// MessagePack, perhaps compressed.
    Binary(&'a [u8]),
}

impl FrameRef<'_> {
    /// Its size on the wire.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}
