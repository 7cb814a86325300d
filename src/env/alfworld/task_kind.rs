//! The kinds of task.

/// The six kinds of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    Pick,
    Look,
    Clean,
    Heat,
    Cool,
    Pick2,
}

impl TaskKind {
    /// All kinds, in the order in which they are numbered.
    pub(crate) const ALL: [TaskKind; 6] = [
        TaskKind::Pick,
        TaskKind::Look,
        TaskKind::Clean,
        TaskKind::Heat,
        TaskKind::Cool,
        TaskKind::Pick2,
    ];

    /// The names of the kinds in reports, in the order of [`TaskKind::ALL`].
    pub(crate) const NAMES: [&'static str; 6] = ["Pick", "Look", "Clean", "Heat", "Cool", "Pick2"];
}
