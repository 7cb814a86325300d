//! The actions of the domain, and what their parameters are called there.

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

/// What a parameter of an action stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Agent,
    /// Where the agent is once the action is done.
    Here,
    /// Where the agent was before.
    Before,
    /// An object: the action's first or second operand.
    FirstObject,
    SecondObject,
    /// A receptacle: the action's first or second operand.
    FirstReceptacle,
    SecondReceptacle,
    /// The kinds of the operands, which no text shows.
    Kind,
}

/// A parameter as the domain writes it: its name, its type and its role.
pub(crate) type Parameter = (&'static str, &'static str, Role);

const AGENT: Parameter = ("a", "agent", Role::Agent);
const HERE: Parameter = ("l", "location", Role::Here);
const OBJECT: Parameter = ("o", "object", Role::FirstObject);
const RECEPTACLE: Parameter = ("r", "receptacle", Role::FirstReceptacle);
const WITH: Parameter = ("r", "receptacle", Role::SecondReceptacle);

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

    /// The domain's name of the action, in lower case as planners read it.
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

    /// Whether the action can change anything but what is shown.
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

    /// The action's parameters as the domain declares them.
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
            Verb::Move => &[AGENT, HERE, OBJECT, WITH, KINDS[0], KINDS[1]],
            Verb::Take | Verb::Use | Verb::Heat | Verb::Clean | Verb::Cool => {
                &[AGENT, HERE, OBJECT, WITH]
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

/// An action with its operands; an operand that the verb does not have is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) verb: Verb,
    pub(crate) first: u8,
    pub(crate) second: u8,
}

impl Action {
    pub(crate) fn new(verb: Verb, first: u8, second: u8) -> Self {
        Self { verb, first, second }
    }
}
