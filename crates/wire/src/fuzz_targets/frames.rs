//! Frames and the bridge: what is read can be written, and read again as the same.

use crate::bridge::{mcp_to_mcpx, mcpx_to_mcp};
use crate::codec::{Calls, CoordinatorCall, Message, NodeCall, Opened};
use crate::frame::FrameRef;
use crate::framing::Framing;
use crate::payload::{Capabilities, Capability};
use serde_json::Value;

/// Reads bytes as a text frame and as a binary one, from either end.
pub fn frame_decode(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        read_by_both(FrameRef::Text(text));
    }
    read_by_both(FrameRef::Binary(data));
}

fn read_by_both(frame: FrameRef<'_>) {
    if let Ok(opened) = Opened::new(frame) {
        write_again::<NodeCall>(&opened);
        write_again::<CoordinatorCall>(&opened);
    }
}

fn write_again<C: Calls>(opened: &Opened<'_>) {
    let Ok(Message::Call { id, call, .. }) = opened.decode::<C>() else {
        return;
    };
    let written = call.encode(id.as_ref());
    let packed = Capabilities::NONE.with(Capability::MessagePack);
    let framings = [packed, packed.with(Capability::Zstd)].map(Framing::agreed);
    for framing in framings.into_iter().chain([Framing::TEXT]) {
        let frame = call.frame(framing, id.as_ref());
        let opened = Opened::new(frame.as_ref()).expect("it was written by us");
        match opened.decode::<C>() {
            Ok(Message::Call { id, call, .. }) => assert_eq!(
                call.encode(id.as_ref()),
                written,
                "it is read as something else than it was written from"
            ),
            Ok(_) => panic!("a call was written and something else is read: {written}"),
            Err(bad) => panic!("what was written cannot be read: {bad}: {written}"),
        }
    }
}

/// Translates in both directions and back.
pub fn bridge(data: &[u8]) {
    let Ok(message) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(mcp) = mcpx_to_mcp(message.clone()) {
        let back = mcp_to_mcpx(mcp);
        assert_eq!(back.as_ref(), Ok(&message), "over MCP");
    }
    if let Ok(mcpx) = mcp_to_mcpx(message.clone()) {
        let back = mcpx_to_mcp(mcpx);
        assert_eq!(back.as_ref(), Ok(&message), "over MCPX");
    }
}
