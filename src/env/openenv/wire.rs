//! The forms of OpenEnv's messages that the client and the server share.

/// The path of the WebSocket endpoint.
pub(super) const SOCKET_PATH: &str = "/ws";

/// Maximum number of bytes of a message in either direction.
pub(super) const MAX_MESSAGE: usize = 4 << 20;

/// The codes of `{"type":"error","data":{"message":…,"code":…}}`.
pub(super) mod code {
    /// The message is not JSON.
    pub const INVALID_JSON: &str = "INVALID_JSON";
    /// The message's type is unknown.
    pub const UNKNOWN_TYPE: &str = "UNKNOWN_TYPE";
    /// The message's data do not fit its type, or an action does not fit the schema.
    pub const VALIDATION_ERROR: &str = "VALIDATION_ERROR";
    /// The environment failed.
    pub const EXECUTION_ERROR: &str = "EXECUTION_ERROR";
    /// All sessions of the server are taken.
    pub const CAPACITY_REACHED: &str = "CAPACITY_REACHED";
}
