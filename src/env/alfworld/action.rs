//! The actions of the domain and their parameters.

/// One kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Look,
    Inventory,
    Help,
    ExamineReceptacle,
    ExamineObject,
    GoTo,
    Open,
    Close,
    Take,
    Move,
    Use,
    Heat,
    Clean,
    Cool,
    Slice,
}

/// The role of an action's parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Agent,
    /// The location of the agent after the action.
    Here,
    /// The location of the agent before the action.
    Before,
    /// An object: the first operand of the action.
    FirstObject,
    /// An object: the second operand of the action.
    SecondObject,
    /// A receptacle: the first operand of the action.
    FirstReceptacle,
    /// A receptacle: the second operand of the action.
    SecondReceptacle,
    /// The kind of an operand; no text shows it.
    Kind,
}

/// A parameter in the domain: its name, its type and its role.
pub(crate) type Parameter = (&'static str, &'static str, Role);

const AGENT: Parameter = ("a", "agent", Role::Agent);
const HERE: Parameter = ("l", "location", Role::Here);
const OBJECT: Parameter = ("o", "object", Role::FirstObject);
const RECEPTACLE: Parameter = ("r", "receptacle", Role::FirstReceptacle);
const TARGET: Parameter = ("r", "receptacle", Role::SecondReceptacle);

impl Verb {
    /// All kinds of action.
    pub(crate) const ALL: [Verb; 15] = [
        Verb::Look,
        Verb::Inventory,
        Verb::Help,
        Verb::ExamineReceptacle,
        Verb::ExamineObject,
        Verb::GoTo,
        Verb::Open,
        Verb::Close,
        Verb::Take,
        Verb::Move,
        Verb::Use,
        Verb::Heat,
        Verb::Clean,
        Verb::Cool,
        Verb::Slice,
    ];

    /// The name of the action in the domain, in lower case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Look => "look",
            Verb::Inventory => "inventory",
            Verb::Help => "help",
            Verb::ExamineReceptacle => "examinereceptacle",
            Verb::ExamineObject => "examineobject",
            Verb::GoTo => "gotolocation",
            Verb::Open => "openobject",
            Verb::Close => "closeobject",
            Verb::Take => "pickupobject",
            Verb::Move => "putobject",
            Verb::Use => "toggleobject",
            Verb::Heat => "heatobject",
            Verb::Clean => "cleanobject",
            Verb::Cool => "coolobject",
            Verb::Slice => "sliceobject",
        }
    }

    /// Whether the action can change the state.
    pub(crate) fn changes_state(self) -> bool {
        !matches!(
            self,
            Verb::Look
                | Verb::Inventory
                | Verb::Help
                | Verb::ExamineReceptacle
                | Verb::ExamineObject
        )
    }

    /// The parameters of the action in the order of the domain.
    pub(crate) fn parameters(self) -> &'static [Parameter] {
        const KINDS: [Parameter; 2] = [("ot", "otype", Role::Kind), ("rt", "rtype", Role::Kind)];
        match self {
            Verb::Look => &[AGENT, HERE],
            Verb::Inventory | Verb::Help => &[AGENT],
            Verb::ExamineReceptacle => &[AGENT, RECEPTACLE],
            Verb::ExamineObject => &[AGENT, OBJECT],
            Verb::GoTo => &[
                AGENT,
                ("lstart", "location", Role::Before),
                ("lend", "location", Role::Here),
                RECEPTACLE,
            ],
            Verb::Open | Verb::Close => &[AGENT, HERE, RECEPTACLE],
            Verb::Move => &[AGENT, HERE, OBJECT, TARGET, KINDS[0], KINDS[1]],
            Verb::Take | Verb::Use | Verb::Heat | Verb::Clean | Verb::Cool => {
                &[AGENT, HERE, OBJECT, TARGET]
            }
            Verb::Slice => &[
                AGENT,
                HERE,
                ("co", "object", Role::FirstObject),
                ("ko", "object", Role::SecondObject),
            ],
        }
    }
}

/// An action with its operands. An operand that the verb does not use is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) verb: Verb,
    pub(crate) first: u8,
    pub(crate) second: u8,
}

impl Action {
    /// Creates an action.
    pub(crate) fn new(verb: Verb, first: u8, second: u8) -> Self {
        Self { verb, first, second }
    }
}
